"""What a gate found, as its JSON object and as a table for people."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from rich.console import Group, RenderableType
from rich.text import Text

from budget_audit.formats.documents import MAX_ROWS, input_, left_off, period
from budget_audit.formats.tables import more, titled_table
from budget_audit.formats.values import amount, time
from otelbudget.audit.gate import Violation
from otelbudget.audit.outcomes import Replay
from otelbudget.audit.spend import InputFacts
from otelbudget.errors import unit
from otelbudget.ingest import ReadReport

_SHOWN = 25


class Judged(NamedTuple):
    """What a gate found.

    Attributes:
        violations: The limits that were passed, or that would have refused a call.
        replay: What the budgets would have done.
        false_stops: Stopped runs that were good, None where no run can be judged.
    """

    violations: Sequence[Violation]
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
            "tool_calls_denied": replay.tool_calls_denied,
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
    calls = f"{counted(replay.calls, 'call')} in {counted(replay.scopes, 'scope')}"
    parts: list[RenderableType] = []
    if judged.is_ok:
        parts.append(Text(f"Within budget: {calls}."))
    else:
        limits = counted(len(judged.failing), "limit")
        parts += [Text(f"Over budget: {limits} passed, {calls}."), "", _rows(judged.failing)]
        parts += more(judged.failing, _SHOWN)
    if judged.audited:
        parts += ["", Text("In audit mode, which does not fail:", style="dim")]
        parts += [_rows(judged.audited), *more(judged.audited, _SHOWN)]
    return Group(*parts)


def counted(count: int, noun: str) -> str:
    """A number of things for people."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


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


def _rows(violations: Sequence[Violation]) -> RenderableType:
    rows = titled_table("budget", "scope", title="Passed limits")
    for name in ("limit", "usage", "refused"):
        rows.add_column(name, justify="right", no_wrap=True)
    for each in violations[:_SHOWN]:
        usage = each.usage
        since = "" if usage.window_start is None else f" from {time(usage.window_start)}"
        rows.add_row(
            usage.budget,
            ", ".join(f"{key} {value}" for key, value in usage.scope) + since,
            f"{amount(usage.kind, usage.limit)} {unit(usage.kind)}",
            amount(usage.kind, usage.usage),
            f"{each.calls_denied:,}",
        )
    return rows
