"""What a gate found, as its JSON object and as a table for people."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from rich.console import Group, RenderableType
from rich.text import Text

from budget_audit.formats.documents import MAX_ROWS, input_, left_off, period
from budget_audit.formats.tables import add_budgets, more, runs_counted, titled_table
from budget_audit.formats.values import amount, counted, exact_amount, scope_and_window, time
from otelbudget.audit.gate import Violation
from otelbudget.audit.outcomes import Replay, Run
from otelbudget.audit.spend import InputFacts
from otelbudget.budgets.config import Budgets
from otelbudget.ingest import ReadReport

_SHOWN = 25


class Judged(NamedTuple):
    """What a gate found.

    Attributes:
        violations: The limits that were passed, or that would have refused a call.
        budgets: The budgets.
        runs: All runs with a call, whether a budget counts it or not.
        replay: What the budgets would have done.
        false_stops: Stopped runs that were good, None where no run can be judged.
    """

    violations: Sequence[Violation]
    budgets: Budgets
    runs: Collection[Run]
    replay: Replay
    false_stops: int | None

    @property
    def is_ok(self) -> bool:
        """Whether no enforcing budget was passed."""
        return not self.failing

    @property
    def failing(self) -> Sequence[Violation]:
        """What fails the gate."""
        return [each for each in self.violations if each.usage.is_enforcing]

    @property
    def audited(self) -> Sequence[Violation]:
        """What passes budgets in audit mode."""
        return [each for each in self.violations if not each.usage.is_enforcing]


def document(judged: Judged, facts: InputFacts, report: ReadReport) -> dict[str, Any]:
    """The object of `budget-audit gate --format json`."""
    violations, audited = (
        [_violation(each) for each in some] for some in (judged.failing, judged.audited)
    )
    replay = judged.replay
    return {
        "schema": "otelbudget.gate/1",
        "ok": judged.is_ok,
        "period": period(facts),
        "input": input_(facts, report),
        "totals": {
            "scopes": replay.scopes,
            "calls": replay.calls,
            "calls_denied": replay.calls_denied,
            "calls_audited": replay.calls_audited,
            "tool_calls_denied": replay.tool_calls_denied,
            "runs": len(replay.runs),
            "runs_stopped": len(replay.runs_stopped),
            "false_stops": judged.false_stops,
        },
        "violations": violations[:MAX_ROWS],
        "left_off": left_off(violations),
        "audited": audited[:MAX_ROWS],
        "audited_left_off": left_off(audited),
    }


def table(judged: Judged) -> RenderableType:
    """Whether the gate is open, and what was passed."""
    replay = judged.replay
    parts: list[RenderableType] = []
    if judged.is_ok:
        calls = f"{counted(replay.calls, 'call')} in {runs_counted(judged.runs)}"
        parts.append(Text(f"Within budget: {calls}."))
    else:
        parts.append(Text(f"Over budget: {_over(judged)} passed a limit or had a call refused."))
        title = "Limits reached or passed"
        parts += ["", _rows(judged.failing, judged.budgets, title)]
        parts += more(judged.failing, _SHOWN)
    if judged.audited:
        title = "The same in audit mode, which does not fail"
        parts += ["", _rows(judged.audited, judged.budgets, title)]
        parts += more(judged.audited, _SHOWN)
    return Group(*parts)


def _over(judged: Judged) -> str:
    """How many went over: "54 of 201 traces", or "3 scopes" where not all are runs of one kind."""
    over = {(each.usage.scope, each.usage.window_start) for each in judged.failing}
    runs = {scope[0] for scope, _ in over if len(scope) == 1}
    if len(runs) == len(over) and runs <= {*judged.runs}:
        return f"{len(over):,} of {runs_counted(judged.runs)}"
    return counted(len(over), "scope")


def _violation(each: Violation) -> dict[str, Any]:
    usage = each.usage
    return {
        "budget": usage.budget,
        "kind": str(usage.kind),
        "limit": amount(usage.kind, usage.limit),
        "usage": amount(usage.kind, usage.usage),
        "scope": dict(usage.scope),
        "window_start": time(usage.window_start),
        "calls_denied": each.calls_denied,
    }


def _rows(violations: Sequence[Violation], budgets: Budgets, title: str) -> RenderableType:
    by_name = {budget.name: budget for budget in budgets.budgets}
    rows = titled_table(title=title)
    add_budgets(rows, (each.usage.budget for each in violations[:_SHOWN]))
    rows.add_column("scope", overflow="fold")
    for name in ("limit", "usage"):
        rows.add_column(name, justify="right", overflow="fold")
    rows.add_column("refused", justify="right", no_wrap=True)
    for each in violations[:_SHOWN]:
        usage = each.usage
        rows.add_row(
            usage.budget,
            scope_and_window(usage.scope, by_name[usage.budget], usage.window_start),
            exact_amount(usage.kind, usage.limit),
            exact_amount(usage.kind, usage.usage),
            f"{each.calls_denied:,}",
        )
    return rows
