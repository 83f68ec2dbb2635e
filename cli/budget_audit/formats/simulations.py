"""What a simulation and a gate found, as their JSON objects and as tables for people."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from budget_audit.formats.documents import MAX_ROWS, input_, left_off, period
from budget_audit.formats.tables import more, percent, titled_table, traces
from budget_audit.formats.values import amount, day, money, short_amount, short_money, time
from otelbudget.audit.graduation import Graduation
from otelbudget.audit.outcomes import LimitOutcome, Replay, ScopeOutcome
from otelbudget.audit.spend import InputFacts
from otelbudget.audit.sweep import SweepPoint
from otelbudget.budgets.config import Budget, Budgets, LimitKind
from otelbudget.budgets.scopes import TRACE
from otelbudget.errors import unit
from otelbudget.ingest import ReadReport

_SHOWN = 25
_SHOWN_POINTS = 100


class Simulation(NamedTuple):
    """What a simulation found.

    Attributes:
        replay: What the budgets would have done.
        budgets: The budgets.
        sweep: What each of many limits would have done.
        false_stops: Stopped runs that were good, None where no run can be judged.
        graduations: Whether enforcing each budget is safe.
    """

    replay: Replay
    budgets: Budgets
    sweep: Sequence[SweepPoint]
    false_stops: int | None
    graduations: Sequence[Graduation]


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
        },
        "limits": [_limit(limit) for limit in replay.limits],
        "stopped": rows[:MAX_ROWS],
        "left_off": left_off(rows),
        "sweep": [_sweep_point(point) for point in found.sweep],
        "graduation": [_graduation(each) for each in found.graduations],
    }


def stopped(replay: Replay) -> list[dict[str, Any]]:
    """Every stopped scope of a simulation, the dearest avoided first."""
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
        return _sweep(found.sweep)
    parts: list[RenderableType] = [
        _headline(found),
        Text(_judged(found.false_stops), style="dim"),
        "",
        _limits(replay, found.budgets),
    ]
    if replay.stopped:
        parts += ["", _stopped(replay), *more(replay.stopped, _SHOWN)]
    if found.sweep:
        parts += ["", _sweep(found.sweep)]
    if found.graduations:
        parts += ["", Text("Audit or enforce", style="bold")]
        parts += [Text(each.sentence) for each in found.graduations]
    return Group(*parts)


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
    are_traces = all(budget.per in (None, (TRACE,)) for budget in found.budgets.budgets)
    scopes = traces(replay.scopes) if are_traces else f"{replay.scopes:,} scopes"
    tools = f"{replay.tool_calls_denied:,} tool calls refused, " if replay.tool_calls_denied else ""
    return Text.assemble(
        f"{replay.scopes_stopped:,} of {scopes} with model calls would have been stopped, ",
        f"{replay.calls_denied:,} of {replay.calls:,} calls refused, {tools}",
        (f"{short_money(replay.avoided_pusd)} avoided", "bold"),
        f" of {short_money(total)}{share}",
    )


def _limits(replay: Replay, budgets: Budgets) -> Table:
    by_name = {budget.name: budget for budget in budgets.budgets}
    limits = titled_table("budget", "limit", title="Limits")
    for name in ("reached", "stopped", "refused calls", "worst overshoot"):
        limits.add_column(name, justify="right")
    for limit in replay.limits:
        limits.add_row(
            limit.budget,
            f"{amount(limit.kind, limit.limit)} {unit(limit.kind)} "
            f"{_counted_by(limit, by_name[limit.budget])}",
            f"{limit.scopes_reached:,}",
            f"{limit.scopes_stopped:,}",
            f"{limit.calls_denied + limit.tool_calls_denied:,}",
            short_amount(limit.kind, limit.worst_overshoot),
        )
    return limits


def _counted_by(limit: LimitOutcome, budget: Budget) -> str:
    """What a limit is counted by, for people: "per tenant.id and day"."""
    keys = list(budget.per or ("run",))
    if budget.window is not None:
        keys.append(str(budget.window))
    part = ""
    if limit.tool is not None:
        part = f"of tool {limit.tool} "
    elif limit.share is not None:
        part = f"for {' '.join(limit.share)} "
    return f"{part}per {' and '.join(keys)}"


def _stopped(replay: Replay) -> Table:
    has_several_limits = len(replay.limits) > 1
    are_traces = all(len(each.scope) == 1 and each.scope[0][0] == TRACE for each in replay.stopped)
    found = titled_table(title="Stopped, dearest first")
    found.add_column("stopped trace" if are_traces else "stopped", no_wrap=True)
    found.add_column("limit" if has_several_limits else "at", no_wrap=True)
    for name in ("made", "refused", "spent", "avoided"):
        found.add_column(name, justify="right", no_wrap=True)
    for scope in replay.stopped[:_SHOWN]:
        limit = f"{amount(scope.kind, scope.limit)} {unit(scope.kind)}"
        found.add_row(
            scope.scope[0][1] if are_traces else _scope(scope),
            limit if has_several_limits else day(scope.stopped_at),
            f"{scope.calls_allowed:,}",
            f"{scope.calls_denied + scope.tool_calls_denied:,}",
            short_money(scope.spent_pusd),
            short_money(scope.avoided_pusd),
        )
    return found


def _scope(scope: ScopeOutcome) -> Text:
    since = "" if scope.window_start is None else f" from {(time(scope.window_start) or '')[:16]}Z"
    named = ", ".join(f"{key} {value}" for key, value in scope.scope)
    return Text(named + since, no_wrap=True, overflow="ellipsis")


def _sweep(points: Sequence[SweepPoint]) -> Table:
    found = titled_table(title="Sweep: one limit per row")
    for name in ("limit", "reached", "stopped", "good runs stopped", "refused calls", "avoided"):
        found.add_column(name, justify="right")
    for point in points[:_SHOWN_POINTS]:
        found.add_row(
            f"{amount(point.kind, point.limit)} {unit(point.kind)}",
            f"{point.scopes_reached:,}",
            f"{point.scopes_stopped:,}",
            "?" if point.false_stops is None else f"{point.false_stops:,}",
            f"{point.calls_denied:,}",
            short_money(point.avoided_pusd),
        )
    return found


def _judged(false_stops: int | None) -> str:
    if false_stops is None:
        return "Whether a stopped run was good cannot be told: no root span has ended."
    if not false_stops:
        return "None of the stopped runs had ended without an error: no good run lost."
    return f"{false_stops:,} of the stopped runs had ended without an error: good runs lost."
