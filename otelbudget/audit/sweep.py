"""One pass that answers every limit: what is known before a call does not depend on the limit.

Call j is refused at limit L if and only if P(j) >= L, where P(j) is the usage that is known when
the call starts. It holds for one budget with one kind of limit and no reservation; the engine
answers everything else.
"""

from collections.abc import Sequence
from decimal import Decimal
from functools import partial

import msgspec

from otelbudget.audit.replay import RecordedCall
from otelbudget.budgets.config import LimitKind
from otelbudget.pricing.billing import pusd
from otelbudget.store import sql
from otelbudget.store.store import Store

_load = partial(sql.load, "otelbudget.audit")


class SweepPoint(msgspec.Struct, frozen=True):
    """What one limit would have done.

    Attributes:
        kind: What it counts.
        limit: Pico-USD or a count.
        scopes_reached: Scopes whose usage came to the limit or above.
        scopes_stopped: Scopes of which a call was refused.
        calls_denied: Calls refused.
        avoided_pusd: List cost of the refused calls.
        false_stops: Stopped scopes whose run was good, None where no run can be judged.
    """

    kind: LimitKind
    limit: int
    scopes_reached: int
    scopes_stopped: int
    calls_denied: int
    avoided_pusd: int
    false_stops: int | None


def sweep(
    store: Store, calls: Sequence[RecordedCall], kind: LimitKind, limits: Sequence[int]
) -> tuple[SweepPoint, ...]:
    """What each of many limits of one kind, per trace, would have done.

    Args:
        store: A store on which `build_model_calls` has run.
        calls: Its calls.
        kind: What the limits count.
        limits: Pico-USD or counts, in any order.

    Returns:
        One point per distinct limit, ascending.
    """
    store.execute(_load("create_replay_calls"))
    store.fill("replay_calls", [_row(call, kind) for call in calls])
    is_count = kind is LimitKind.CALLS
    store.execute(_load("create_known_by_counts" if is_count else "create_known_by_sums"))
    can_judge = bool(store.rows(_load("judged_traces")))
    return tuple(
        SweepPoint(
            kind,
            limit=int(limit),
            scopes_reached=int(reached),
            scopes_stopped=int(stopped),
            calls_denied=int(denied),
            avoided_pusd=int(avoided),
            false_stops=int(good) if can_judge else None,
        )
        for limit, reached, stopped, denied, avoided, good in store.rows(
            _load("sweep"), {"limits": sorted(set(limits))}
        )
    )


def log_spaced(kind: LimitKind, lowest: Decimal, highest: Decimal, count: int) -> list[int]:
    """Limits evenly spaced in the logarithm, both ends included: pico-USD or counts.

    Args:
        kind: What the limits count.
        lowest: First limit, above 0, in USD or as a count.
        highest: Last limit, not below the first.
        count: How many, at least 2.
    """
    step = (highest / lowest).ln() / (count - 1)
    spaced = [lowest * (step * index).exp() for index in range(1, count - 1)]
    places = Decimal("0.000001") if kind is LimitKind.COST_USD else Decimal(1)
    rounded = [lowest, *(value.quantize(places) for value in spaced), highest]
    return [pusd(value) if kind is LimitKind.COST_USD else int(value) for value in rounded]


def _row(call: RecordedCall, kind: LimitKind) -> tuple[str, str, int, int, int, int | None]:
    charge = call.charge
    match kind:
        case LimitKind.COST_USD:
            amount = charge.counted_pusd
        case LimitKind.TOKENS:
            amount = charge.tokens
        case LimitKind.CALLS | LimitKind.TOOL_CALLS:
            amount = 1
    return (
        call.trace_id,
        call.span_id,
        call.start_time_unix_nano,
        call.end_time_unix_nano,
        amount,
        charge.list_cost_pusd,
    )
