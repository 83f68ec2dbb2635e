"""Where budgets would have stopped a trace: its first refused call, by the engine's replay."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from otelbudget.audit.happenings import Fate, RecordedCall, Recording
from otelbudget.audit.outcomes import Refused, Replay
from otelbudget.audit.replay import replay
from otelbudget.budgets.config import Budgets, LimitKind
from otelbudget.budgets.scopes import TRACE, Place, Scope

_Moment = tuple[int, str]


class Stop(NamedTuple):
    """Where a trace would have been stopped.

    Attributes:
        at_ns: Start of the refused call, unix ns.
        span_id: Its span.
        budget: Name of the budget.
        kind: The limit.
        limit: In the unit of its kind.
        scope: What the budget was used up by.
        window_start: Start of its window in unix ns, None where it has none or rolls.
        calls_before: Model calls of the trace that start before it.
        calls_denied: Model calls of the trace that would have been refused, itself included; calls
            known to be free pass a limit on money.
        avoided_pusd: Their list cost, in pico-USD.
    """

    at_ns: int
    span_id: str
    budget: str
    kind: LimitKind
    limit: int
    scope: Scope
    window_start: int | None
    calls_before: int
    calls_denied: int
    avoided_pusd: int


def first_stop(recording: Recording, budgets: Budgets, trace_id: str) -> Stop | None:
    """The first call of a trace, of a model or a tool, that budgets would have refused.

    What is refused up to a time does not depend on what comes later, so the recording is replayed up
    to one call after another, by halves.

    Args:
        recording: What happened, in this trace and where else the budgets count.
        budgets: The budgets.
        trace_id: The trace.

    Returns:
        None where none of its calls is refused.
    """
    if all(budget.per == (TRACE,) for budget in budgets.budgets):
        recording = _within(recording, trace_id)
    moments = _moments(recording, trace_id)
    runs = {
        (call.place or Place(call.trace_id)).runs[0].scope[0]
        for call in recording.calls
        if call.trace_id == trace_id
    } | {tool.place.runs[0].scope[0] for tool in recording.tools if tool.trace_id == trace_id}

    def refused(count: int) -> tuple[Replay, list[Refused]]:
        result = replay(_until(recording, moments[count - 1]), budgets)
        return result, [each for each in result.refused if each.run in runs]

    if not moments:
        return None
    whole, found = refused(len(moments))
    if not found:
        return None
    lowest, highest = 1, len(moments)
    while lowest < highest:
        middle = (lowest + highest) // 2
        if refused(middle)[1]:
            highest = middle
        else:
            lowest = middle + 1
    result, found = refused(lowest)
    denied = [
        call
        for place, call in enumerate(_until(recording, moments[-1]).calls)
        if place in whole.refused_calls and call.trace_id == trace_id
    ]
    return _stop(
        _calls_before(recording, trace_id, moments[lowest - 1]),
        denied,
        moments[lowest - 1],
        result,
        found[0],
    )


def _calls_before(recording: Recording, trace_id: str, moment: _Moment) -> int:
    return sum(
        call.trace_id == trace_id
        and call.fate is not Fate.DENIED
        and (call.start_time_unix_nano, call.span_id) < moment
        for call in recording.calls
    )


def _stop(
    calls_before: int, denied: Sequence[RecordedCall], moment: _Moment, result: Replay, by: Refused
) -> Stop:
    budget = next(
        name
        for name, scope, window_start, kind in result.denials
        if (scope, window_start, kind) == (by.scope, by.window_start, by.kind)
    )
    limit = next(
        usage.limit
        for usage in result.usages
        if (usage.budget, usage.scope, usage.window_start, usage.kind)
        == (budget, by.scope, by.window_start, by.kind)
    )
    return Stop(
        *moment,
        budget,
        by.kind,
        limit,
        by.scope,
        by.window_start,
        calls_before,
        len(denied),
        sum(call.charge.list_cost_pusd or 0 for call in denied),
    )


def _moments(recording: Recording, trace_id: str) -> Sequence[_Moment]:
    """When the trace asked for admission, and from which spans."""
    calls = (
        (call.start_time_unix_nano, call.span_id)
        for call in recording.calls
        if call.trace_id == trace_id
    )
    tools = ((tool.at_ns, tool.span_id) for tool in recording.tools if tool.trace_id == trace_id)
    return sorted({*calls, *tools})


def _within(recording: Recording, trace_id: str) -> Recording:
    """What happened in a trace."""
    return msgspec.structs.replace(
        recording,
        calls=[each for each in recording.calls if each.trace_id == trace_id],
        tools=[each for each in recording.tools if each.trace_id == trace_id],
        extensions=[each for each in recording.extensions if each.place.trace_id == trace_id],
        starts={place: at for place, at in recording.starts.items() if place.trace_id == trace_id},
    )


def _until(recording: Recording, moment: _Moment) -> Recording:
    """What had been asked for up to a moment, itself included."""
    at_ns, _ = moment
    return msgspec.structs.replace(
        recording,
        calls=[
            each
            for each in recording.calls
            if _asked_by(each.start_time_unix_nano, each.span_id, moment)
        ],
        tools=[each for each in recording.tools if _asked_by(each.at_ns, each.span_id, moment)],
        extensions=[each for each in recording.extensions if each.at_ns <= at_ns],
    )


def _asked_by(at_ns: int, span_id: str, moment: _Moment) -> bool:
    return (at_ns, span_id) <= moment
