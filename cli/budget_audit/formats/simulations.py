"""What a simulation and a gate found, as their JSON objects and as tables for people."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from budget_audit.formats.documents import MAX_ROWS, input_, left_off, period
from budget_audit.formats.tables import add_budgets, more, percent, titled_table
from budget_audit.formats.values import (
    amount,
    counted,
    day,
    exact_amount,
    money,
    scope_and_window,
    short_amount,
    short_money,
    time,
)
from otelbudget.audit.graduation import Graduation
from otelbudget.audit.outcomes import LimitOutcome, Replay
from otelbudget.audit.spend import InputFacts
from otelbudget.audit.sweep import SweepPoint
from otelbudget.budgets.config import Budget, Budgets, LimitKind, Mode
from otelbudget.budgets.scopes import RUN, TRACE
from otelbudget.budgets.windows import CalendarWindow
from otelbudget.ingest import ReadReport

_SHOWN = 25
_SHOWN_POINTS = 100
_BESIDE_IDS = 12


class Enforced(NamedTuple):
    """What budgets would have done if those in audit mode enforced.

    Attributes:
        replay: What they would have done.
        false_stops: Stopped runs that were good, None where no run can be judged.
    """

    replay: Replay
    false_stops: int | None


class Simulation(NamedTuple):
    """What a simulation found.

    Attributes:
        replay: What the budgets would have done.
        budgets: The budgets.
        runs: How many runs have a call, whether a budget counts it or not, in words.
        sweep: What each of many limits would have done.
        false_stops: Stopped runs that were good, None where no run can be judged.
        graduations: Whether enforcing each budget is safe.
        enforced: The same if budgets in audit mode enforced, None where none is in it.
        assumptions: What the answer takes to be true, one sentence each.
        base: What the budgets would have done to the calls as they were; None without a what-if.
    """

    replay: Replay
    budgets: Budgets
    runs: str
    sweep: Sequence[SweepPoint]
    false_stops: int | None
    graduations: Sequence[Graduation]
    enforced: Enforced | None
    assumptions: Sequence[str]
    base: Replay | None


def document(found: Simulation, facts: InputFacts, report: ReadReport) -> dict[str, Any]:
    """The object of `budget-audit simulate --format json`."""
    replay, rows = found.replay, stopped(found.replay)
    first = replay.limits[0].kind if replay.limits else LimitKind.COST_USD
    worst = max(
        (limit.worst_overshoot for limit in replay.limits if limit.kind is first), default=0
    )
    return {
        "schema": "otelbudget.simulate/1",
        "period": period(facts),
        "input": input_(facts, report),
        "policy": found.budgets.as_config(),
        "totals": {
            "scopes": replay.scopes,
            "scopes_reached": replay.scopes_reached,
            "scopes_stopped": replay.scopes_stopped,
            "calls": replay.calls,
            "calls_denied": replay.calls_denied,
            "calls_audited": replay.calls_audited,
            "tool_calls_denied": replay.tool_calls_denied,
            "calls_without_time": replay.calls_without_time,
            "attempts_unknown": replay.attempts_unknown,
            "estimates_assumed": replay.estimates_assumed,
            "spent_usd": money(replay.spent_pusd),
            "avoided_usd": money(replay.avoided_pusd),
            "estimated_usd": money(replay.estimated_pusd),
            "worst_overshoot": amount(first, worst),
            "runs": len(replay.runs),
            "runs_stopped": len(replay.runs_stopped),
            "false_stops": found.false_stops,
            "if_enforced": _if_enforced(found.enforced),
            "as_recorded": _as_recorded(found.base),
        },
        "assumptions": list(found.assumptions),
        "limits": [_limit(limit) for limit in replay.limits],
        "stopped": rows[:MAX_ROWS],
        "left_off": left_off(rows),
        "sweep": [_sweep_point(point) for point in found.sweep],
        "graduation": [_graduation(each) for each in found.graduations],
    }


def stopped(replay: Replay) -> list[dict[str, Any]]:
    """Every stopped scope of a simulation, most avoided first, then most spent."""
    return [
        {
            "budget": each.budget,
            "kind": str(each.kind),
            "limit": amount(each.kind, each.limit),
            "window_start": time(each.window_start),
            "scope": dict(each.scope),
            "at": time(each.stopped_at),
            "calls_allowed": each.calls_allowed,
            "calls_denied": each.calls_denied,
            "tool_calls_denied": each.tool_calls_denied,
            "spent_usd": money(each.spent_pusd),
            "avoided_usd": money(each.avoided_pusd),
        }
        for each in replay.stopped
    ]


def table(found: Simulation) -> RenderableType:
    """What limits would have done: a headline, each limit, the stopped scopes, the sweep."""
    replay = found.replay
    if not replay.limits:
        return Group(*_supposed(found), _sweep(found.sweep))
    parts: list[RenderableType] = [
        *_supposed(found),
        _headline(found),
        *_judged(found),
        "",
        _limits(replay, found.budgets),
    ]
    if replay.stopped:
        parts += ["", _stopped(replay, found.budgets), *more(replay.stopped, _SHOWN)]
    if found.sweep:
        parts += ["", _sweep(found.sweep)]
    if found.graduations:
        parts += ["", Text("Audit or enforce", style="bold")]
        parts += [Text(each.sentence) for each in found.graduations]
    return Group(*parts)


def _if_enforced(enforced: Enforced | None) -> dict[str, Any] | None:
    if enforced is None:
        return None
    replay = enforced.replay
    return {
        "calls_denied": replay.calls_denied,
        "tool_calls_denied": replay.tool_calls_denied,
        "runs_stopped": len(replay.runs_stopped),
        "false_stops": enforced.false_stops,
    }


def _as_recorded(base: Replay | None) -> dict[str, Any] | None:
    """The same totals without the what-ifs."""
    if base is None:
        return None
    return {
        "scopes_reached": base.scopes_reached,
        "scopes_stopped": base.scopes_stopped,
        "calls_denied": base.calls_denied,
        "spent_usd": money(base.spent_pusd),
        "avoided_usd": money(base.avoided_pusd),
        "estimated_usd": money(base.estimated_pusd),
        "runs_stopped": len(base.runs_stopped),
    }


def _limit(limit: LimitOutcome) -> dict[str, Any]:
    row: dict[str, Any] = {
        "budget": limit.budget,
        "kind": str(limit.kind),
        "limit": amount(limit.kind, limit.limit),
        "scopes_reached": limit.scopes_reached,
        "scopes_stopped": limit.scopes_stopped,
        "calls_denied": limit.calls_denied,
        "tool_calls_denied": limit.tool_calls_denied,
        "worst_overshoot": amount(limit.kind, limit.worst_overshoot),
    }
    if limit.share is not None:
        row["share"] = dict([limit.share])
    if limit.tool is not None:
        row["tool"] = limit.tool
    return row


def _sweep_point(point: SweepPoint) -> dict[str, Any]:
    return {
        "kind": str(point.kind),
        "limit": amount(point.kind, point.limit),
        "scopes_reached": point.scopes_reached,
        "scopes_stopped": point.scopes_stopped,
        "calls_denied": point.calls_denied,
        "avoided_usd": money(point.avoided_pusd),
        "false_stops": point.false_stops,
    }


def _graduation(each: Graduation) -> dict[str, Any]:
    return {
        "budget": each.budget,
        "mode": str(each.mode),
        "runs_judged": each.runs_judged,
        "false_stops": each.false_stops,
        "upper_bound": None if each.upper_bound is None else str(each.upper_bound),
        "is_safe": each.is_safe,
        "runs_needed": each.runs_needed,
        "sentence": each.sentence,
    }


def _headline(found: Simulation) -> Text:
    replay = found.replay
    total = replay.spent_pusd + replay.avoided_pusd
    share = f" ({percent(replay.avoided_pusd, total)})" if total else ""
    tools = counted(replay.tool_calls_denied, "tool call") + " refused, "
    return Text.assemble(
        f"{len(replay.runs_stopped):,} of {found.runs} with model calls would have "
        f"been stopped, {replay.calls_denied:,} of {counted(replay.calls, 'call')} refused",
        _more_if_enforced(found),
        tools if replay.tool_calls_denied else "",
        (f"{short_money(replay.avoided_pusd)} avoided", "bold"),
        f" of {short_money(total)}{share}",
    )


def _supposed(found: Simulation) -> list[RenderableType]:
    """What the calls would have cost, beside what they did, and what that takes to be true."""
    if found.base is None:
        return []
    before = found.base.spent_pusd + found.base.avoided_pusd
    after = found.replay.spent_pusd + found.replay.avoided_pusd
    change = f" ({100 * (after - before) / before:+.0f} %)" if before else ""
    headline = Text.assemble(
        "What if: all calls cost ",
        (short_money(after), "bold"),
        f" instead of {short_money(before)}{change}",
        f"; {len(found.replay.runs_stopped):,} runs are stopped instead of "
        f"{len(found.base.runs_stopped):,}"
        if found.replay.limits
        else "",
    )
    return [headline, *(Text(each, style="dim") for each in found.assumptions), ""]


def _more_if_enforced(found: Simulation) -> str:
    """What budgets in audit mode hold back, up to the next part of the headline."""
    if found.enforced is None:
        return ", "
    calls = found.enforced.replay.calls_denied - found.replay.calls_denied
    if calls <= 0:
        return ", "
    return f"; {calls:,} more would be, if the budgets in audit mode enforced; "


def _limits(replay: Replay, budgets: Budgets) -> Table:
    by_name = {budget.name: budget for budget in budgets.budgets}
    limits = titled_table(title="Limits")
    add_budgets(limits, map(_named, budgets.budgets))
    limits.add_column("limit", overflow="fold")
    for name in ("reached", "stopped", "refused", "worst overshoot"):
        limits.add_column(name, justify="right")
    for limit in replay.limits:
        limits.add_row(
            _named(by_name[limit.budget]),
            f"{exact_amount(limit.kind, limit.limit)} {_counted_by(limit, by_name[limit.budget])}",
            f"{limit.scopes_reached:,}",
            f"{limit.scopes_stopped:,}",
            f"{limit.calls_denied + limit.tool_calls_denied:,}",
            short_amount(limit.kind, limit.worst_overshoot),
        )
    return limits


def _named(budget: Budget) -> str:
    """A budget for people, with its mode where it does not enforce."""
    return budget.name if budget.mode is Mode.ENFORCE else f"{budget.name} ({budget.mode})"


def _counted_by(limit: LimitOutcome, budget: Budget) -> str:
    """What a limit is counted by, for people: "per tenant.id and day"."""
    keys = list(budget.per or ("run",))
    window = budget.window
    if window is not None:
        zone = f" {window.timezone}" if isinstance(window, CalendarWindow) else ""
        keys.append(f"{window}{zone}")
    part = ""
    if limit.tool is not None:
        part = f"of tool {limit.tool} "
    elif limit.share is not None:
        part = f"for {' '.join(limit.share)} "
    return f"{part}per {' and '.join(keys)}"


def _stopped(replay: Replay, budgets: Budgets) -> Table:
    by_name = {budget.name: budget for budget in budgets.budgets}
    has_several_limits = len(replay.limits) > 1
    are_traces = all(len(each.scope) == 1 and each.scope[0][0] == TRACE for each in replay.stopped)
    has_ids = any(key in (TRACE, RUN) for each in replay.stopped for key, _ in each.scope)
    found = titled_table(title="Stopped, dearest first")
    # Ids stay whole also in 80 columns, so that they can be copied.
    name = "stopped trace" if are_traces else "stopped"
    found.add_column(name, no_wrap=are_traces, overflow="fold")
    name = "limit" if has_several_limits else "at"
    found.add_column(name, overflow="fold", max_width=_BESIDE_IDS if has_ids else None)
    for name in ("made", "refused", "spent", "avoided"):
        found.add_column(name, justify="right", no_wrap=True)
    for scope in replay.stopped[:_SHOWN]:
        whose = scope_and_window(scope.scope, by_name[scope.budget], scope.window_start)
        limit = exact_amount(scope.kind, scope.limit)
        found.add_row(
            scope.scope[0][1] if are_traces else whose,
            limit if has_several_limits else day(scope.stopped_at),
            f"{scope.calls_allowed:,}",
            f"{scope.calls_denied + scope.tool_calls_denied:,}",
            short_money(scope.spent_pusd),
            short_money(scope.avoided_pusd),
        )
    return found


def _sweep(points: Sequence[SweepPoint]) -> Table:
    found = titled_table(title="Sweep: one limit per row")
    for name in ("limit", "reached", "stopped", "good runs stopped", "refused calls", "avoided"):
        found.add_column(name, justify="right")
    for point in points[:_SHOWN_POINTS]:
        found.add_row(
            exact_amount(point.kind, point.limit),
            f"{point.scopes_reached:,}",
            f"{point.scopes_stopped:,}",
            "?" if point.false_stops is None else f"{point.false_stops:,}",
            f"{point.calls_denied:,}",
            short_money(point.avoided_pusd),
        )
    return found


def _judged(found: Simulation) -> list[RenderableType]:
    """Whether the runs that are stopped were good."""
    lines = []
    if found.replay.runs_stopped:
        lines.append(_lost("the stopped runs", found.false_stops))
    is_one_limit = len(found.replay.limits) == 1 == len(found.budgets.budgets)
    per = found.budgets.budgets[0].per if is_one_limit else None
    if found.false_stops and not found.sweep and per is not None:
        lines.append(_curve(found.replay.limits[0], per))
    enforced = found.enforced
    if enforced is not None and len(enforced.replay.runs_stopped) > len(found.replay.runs_stopped):
        stopped_then = counted(len(enforced.replay.runs_stopped), "run")
        lines.append(_lost(f"the {stopped_then} stopped then", enforced.false_stops))
    return [Text(line, style="dim") for line in lines]


def _curve(limit: LimitOutcome, per: Sequence[str]) -> str:
    """How to see what other limits would stop."""
    lowest, highest = (amount(limit.kind, factor * limit.limit) for factor in (1, 10))
    scope = "" if per == (TRACE,) else f" --scope {','.join(per)}"
    return f"What larger limits would lose: --sweep {limit.kind}={lowest}:{highest}:10{scope}"


def _lost(runs: str, false_stops: int | None) -> str:
    if false_stops is None:
        return f"Whether {runs} were good cannot be told: no root span has ended."
    if not false_stops:
        return f"None of {runs} had ended without an error: no good run lost."
    lost = "a good run" if false_stops == 1 else "good runs"
    return f"{false_stops:,} of {runs} had ended without an error: {lost} lost."
