"""One pass that answers every limit: what is known before a call does not depend on the limit.

Call j is refused at limit L if and only if P(j) >= L, where P(j) is the usage that is known when
the call starts. It holds without feedback: one budget with one limit on money, tokens or calls, no
reservation, shares or window that rolls, and calls that count in one scope each. The engine answers
everything else, limit by limit.

Where traces are plain, and each is a scope, no call is read into Python: limits on ten million calls
are answered in seconds.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple

import msgspec

from otelbudget.audit.happenings import Fate, RecordedCall, Recording
from otelbudget.audit.judging import Verdicts, false_stops
from otelbudget.audit.replay import OnStop, replay
from otelbudget.audit.usages import Usages, usages_of_rows, usages_of_traces
from otelbudget.budgets.config import Budget, Budgets, LimitKind
from otelbudget.budgets.decisions import amount
from otelbudget.budgets.plans import Plan
from otelbudget.budgets.scopes import RUN, TRACE, Place, Scope
from otelbudget.budgets.spent import TOKEN_CLASSES, amounts_of
from otelbudget.pricing.billing import UnknownModel, pusd
from otelbudget.pricing.book import PriceBook
from otelbudget.store import sql
from otelbudget.store.store import Store

_load = partial(sql.load, "otelbudget.audit")
MOST_BY_ENGINE = 200
_NS_PER_SECOND = 10**9


class SweepPoint(msgspec.Struct, frozen=True):
    """What one limit would have done.

    Attributes:
        kind: What it counts.
        limit: In the unit of the kind.
        scopes_reached: Scopes whose usage came to the limit or above.
        scopes_stopped: Scopes of which a call was refused.
        calls_denied: Calls refused.
        avoided_pusd: List cost of the refused calls.
        false_stops: Stopped runs that were good, None where no run can be judged.
    """

    kind: LimitKind
    limit: int
    scopes_reached: int
    scopes_stopped: int
    calls_denied: int
    avoided_pusd: int
    false_stops: int | None


def sweep(  # noqa: PLR0913 - what is swept, and what is asked
    store: Store,
    recording: Recording,
    budget: Budget,
    kind: LimitKind,
    limits: Sequence[int],
    verdicts: Verdicts,
    *,
    on_stop: OnStop = OnStop.CALL,
) -> tuple[SweepPoint, ...]:
    """What each of many limits of one kind would have done.

    Args:
        store: Where to compute.
        recording: What happened.
        budget: What the limits are counted by; its own limits are left out.
        kind: What the limits count.
        limits: In the unit of the kind, in any order.
        verdicts: Which runs were good.
        on_stop: What a refusal ends.

    Returns:
        One point per distinct limit, ascending.
    """
    distinct = sorted(set(limits))
    if not is_without_feedback(recording, budget, kind, on_stop):
        return tuple(
            _by_engine(recording, _limited(budget, kind, limit), limit, verdicts, on_stop)
            for limit in distinct
        )
    rows = list(_rows(recording, budget, kind, verdicts))
    usages = usages_of_rows(store, rows, kind, is_judged=bool(verdicts))
    return _points(store, usages, kind, distinct)


def sweep_traces(
    store: Store,
    book: PriceBook,
    kind: LimitKind,
    limits: Sequence[int],
    success: tuple[str, str] | None = None,
    *,
    is_portable: bool = False,
) -> tuple[SweepPoint, ...]:
    """What each of many limits per trace would have done, where traces are plain.

    A model without a known price counts nothing toward limits on money.

    Args:
        store: A store on which `build_model_calls` has run, and for which `is_plain` holds.
        book: Prices.
        kind: What the limits count; limits on tools need `sweep`.
        limits: In the unit of the kind, in any order.
        success: Attribute of the root span and its value as text, which say that a run was good.
        is_portable: Use what other databases understand too.

    Returns:
        One point per distinct limit, ascending.
    """
    usages = usages_of_traces(store, book, kind, success, is_portable=is_portable)
    return _points(store, usages, kind, sorted(set(limits)))


class Untouched(NamedTuple):
    """All calls with usage, as they are where no limit touches them.

    Attributes:
        traces: Traces of calls with a start.
        calls: Calls with a start.
        calls_without_time: Calls without.
        spent_pusd: List cost of all.
        unpriced: Calls with a start and without a known price.
        unpriced_model: The model of one of these, None without one.
    """

    traces: int
    calls: int
    calls_without_time: int
    spent_pusd: int
    unpriced: int
    unpriced_model: str | None


def untouched(store: Store) -> Untouched:
    """What a store on which `build_model_calls` has run holds before any limit."""
    return Untouched(*store.row(_load("untouched_calls")))


def is_without_feedback(
    recording: Recording, budget: Budget, kind: LimitKind, on_stop: OnStop = OnStop.CALL
) -> bool:
    """Whether what is known before a call is the same whatever was refused before it."""
    if kind in (LimitKind.TOOL_CALLS, LimitKind.SECONDS) or recording.extensions:
        return False
    if on_stop is OnStop.RUN and not (budget.per == (TRACE,) and _ends_with_its_trace(recording)):
        return False
    if budget.per is not None and RUN not in budget.per:
        is_in_one_scope = True
    else:
        is_in_one_scope = all(
            call.place is None or len(call.place.runs) == 1 for call in recording.calls
        )
    has_released = any(call.fate is Fate.RELEASED for call in recording.calls)
    return is_in_one_scope and not (kind is LimitKind.CALLS and has_released)


def _ends_with_its_trace(recording: Recording) -> bool:
    """Whether each run is a trace, and no call of it passes a limit that has refused another."""
    return not recording.tools and all(
        not call.is_free
        and call.fate is not Fate.RECORDED
        and (call.place is None or call.place.runs[0].is_trace)
        for call in recording.calls
    )


def log_spaced(kind: LimitKind, lowest: Decimal, highest: Decimal, count: int) -> list[int]:
    """Limits evenly spaced in the logarithm, both ends included, in the unit of the kind.

    Args:
        kind: What the limits count.
        lowest: First limit, above 0, in USD, in seconds or as a count.
        highest: Last limit, not below the first.
        count: How many, at least 2.
    """
    step = (highest / lowest).ln() / (count - 1)
    spaced = [lowest * (step * index).exp() for index in range(1, count - 1)]
    is_fine = kind in (LimitKind.COST_USD, LimitKind.SECONDS)
    places = Decimal("0.000001") if is_fine else Decimal(1)
    rounded = [lowest, *(value.quantize(places) for value in spaced), highest]
    match kind:
        case LimitKind.COST_USD:
            return [pusd(value) for value in rounded]
        case LimitKind.SECONDS:
            return [int(value * _NS_PER_SECOND) for value in rounded]
        case _:
            return [int(value) for value in rounded]


def _limited(budget: Budget, kind: LimitKind, limit: int) -> Budget:
    written: dict[str, Any] = {str(kind): amount(kind, limit)}
    if kind not in (LimitKind.COST_USD, LimitKind.SECONDS):
        written[str(kind)] = limit
    return Budget(name=budget.name, per=budget.per, warn_at=(), **written)


def _by_engine(
    recording: Recording, budget: Budget, limit: int, verdicts: Verdicts, on_stop: OnStop
) -> SweepPoint:
    [kind] = budget.limits
    result = replay(recording, Budgets((budget,), UnknownModel.ALLOW), on_stop)
    return SweepPoint(
        kind,
        limit,
        result.scopes_reached,
        result.scopes_stopped,
        result.calls_denied,
        result.avoided_pusd,
        false_stops(verdicts, result.runs_stopped),
    )


def _points(
    store: Store, usages: Usages, kind: LimitKind, limits: Sequence[int]
) -> tuple[SweepPoint, ...]:
    return tuple(
        SweepPoint(
            kind,
            limit=int(limit),
            scopes_reached=int(reached),
            scopes_stopped=int(stopped),
            calls_denied=int(denied),
            avoided_pusd=int(avoided),
            false_stops=int(good) if usages.is_judged else None,
        )
        for limit, reached, stopped, denied, avoided, good in usages.rows(store, limits)
    )


def _rows(
    recording: Recording, budget: Budget, kind: LimitKind, verdicts: Verdicts
) -> Iterator[tuple[Any, ...]]:
    """Rows of `replay_calls`: each call with its scope and, where that was good, its run."""
    plan = Plan(budget)
    scopes: dict[tuple[Scope, int], int] = {}
    runs: dict[object, int] = {}
    in_order = sorted(
        recording.calls,
        key=lambda call: (call.start_time_unix_nano, call.trace_id, call.span_id),
    )
    is_money = kind is LimitKind.COST_USD
    for position, call in enumerate(in_order):
        place = call.place or Place(call.trace_id)
        start, _ = plan.window_at(call.start_time_unix_nano)
        key = tuple((key, place.value(key)) for key in budget.per or ()), start
        run = place.runs[0].scope[0]
        yield (
            scopes.setdefault(key, len(scopes)),
            runs.setdefault(run, len(runs)) if verdicts.get(run) else None,
            position,
            call.start_time_unix_nano,
            call.end_time_unix_nano,
            _amount(call, kind),
            call.charge.list_cost_pusd,
            (is_money and call.is_free) or call.fate is Fate.RECORDED,
        )


def _amount(call: RecordedCall, kind: LimitKind) -> int:
    if kind is LimitKind.CALLS:
        return 1
    if call.fate is Fate.RELEASED:
        return 0
    match kind:
        case LimitKind.COST_USD:
            return call.charge.counted_pusd
        case LimitKind.TOKENS:
            return call.charge.tokens
        case _:
            return amounts_of(call.charge)[3 + TOKEN_CLASSES[kind]]
