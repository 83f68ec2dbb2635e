"""One pass that answers every limit: what is known before a call does not depend on the limit.

Call j is refused at limit L if and only if P(j) >= L, where P(j) is the usage that is known when
the call starts. It holds without feedback: one budget with one limit on money, tokens or calls, no
reservation, shares or window that rolls, and calls that count in one scope each. The engine answers
everything else, limit by limit.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec

from otelbudget.audit.happenings import Fate, RecordedCall, Recording
from otelbudget.audit.judging import Verdicts, false_stops
from otelbudget.audit.replay import replay
from otelbudget.budgets.config import Budget, Budgets, LimitKind
from otelbudget.budgets.decisions import amount
from otelbudget.budgets.plans import Plan
from otelbudget.budgets.scopes import RUN, Place, Scope
from otelbudget.budgets.spent import TOKEN_CLASSES, amounts_of
from otelbudget.pricing.billing import UnknownModel, pusd
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


def sweep(
    store: Store,
    recording: Recording,
    budget: Budget,
    kind: LimitKind,
    limits: Sequence[int],
    verdicts: Verdicts,
) -> tuple[SweepPoint, ...]:
    """What each of many limits of one kind would have done.

    Args:
        store: Where to compute.
        recording: What happened.
        budget: What the limits are counted by; its own limits are left out.
        kind: What the limits count.
        limits: In the unit of the kind, in any order.
        verdicts: Which runs were good.

    Returns:
        One point per distinct limit, ascending.
    """
    distinct = sorted(set(limits))
    if is_without_feedback(recording, budget, kind):
        return tuple(_in_one_pass(store, recording, budget, kind, distinct, verdicts))
    return tuple(_by_engine(recording, budget, kind, limit, verdicts) for limit in distinct)


def is_without_feedback(recording: Recording, budget: Budget, kind: LimitKind) -> bool:
    """Whether what is known before a call is the same whatever was refused before it."""
    if kind in (LimitKind.TOOL_CALLS, LimitKind.SECONDS) or recording.extensions:
        return False
    if budget.per is not None and RUN not in budget.per:
        is_in_one_scope = True
    else:
        is_in_one_scope = all(
            call.place is None or len(call.place.runs) == 1 for call in recording.calls
        )
    has_released = any(call.fate in {Fate.RELEASED, Fate.RECORDED} for call in recording.calls)
    return is_in_one_scope and not (kind is LimitKind.CALLS and has_released)


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


def _by_engine(
    recording: Recording, budget: Budget, kind: LimitKind, limit: int, verdicts: Verdicts
) -> SweepPoint:
    written: dict[str, Any] = {str(kind): amount(kind, limit)}
    if kind not in (LimitKind.COST_USD, LimitKind.SECONDS):
        written[str(kind)] = limit
    limited = Budget(name=budget.name, per=budget.per, warn_at=(), **written)
    result = replay(recording, Budgets((limited,), UnknownModel.ALLOW))
    return SweepPoint(
        kind,
        limit,
        result.scopes_reached,
        result.scopes_stopped,
        result.calls_denied,
        result.avoided_pusd,
        false_stops(verdicts, result.runs_stopped),
    )


def _in_one_pass(
    store: Store,
    recording: Recording,
    budget: Budget,
    kind: LimitKind,
    limits: Sequence[int],
    verdicts: Verdicts,
) -> Iterator[SweepPoint]:
    store.execute(_load("create_replay_calls"))
    store.fill("replay_calls", list(_rows(recording, budget, kind, verdicts)))
    is_count = kind is LimitKind.CALLS
    store.execute(_load("create_known_by_counts" if is_count else "create_known_by_sums"))
    for limit, reached, stopped, denied, avoided, good in store.rows(
        _load("sweep"), {"limits": limits}
    ):
        yield SweepPoint(
            kind,
            limit=int(limit),
            scopes_reached=int(reached),
            scopes_stopped=int(stopped),
            calls_denied=int(denied),
            avoided_pusd=int(avoided),
            false_stops=int(good) if verdicts else None,
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
            is_money and call.is_free,
        )


def _amount(call: RecordedCall, kind: LimitKind) -> int:
    charge = call.charge
    match kind:
        case LimitKind.COST_USD:
            return charge.counted_pusd if call.fate is Fate.SETTLED else 0
        case LimitKind.TOKENS:
            return charge.tokens if call.fate is Fate.SETTLED else 0
        case LimitKind.CALLS:
            return 1
        case _:
            return amounts_of(charge)[3 + TOKEN_CLASSES[kind]] if call.fate is Fate.SETTLED else 0
