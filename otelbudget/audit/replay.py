"""What limits would have done: recorded calls go through the engine that decides live.

A call occupies [start, end); its end is at least a nanosecond after its start, and at equal times
ends come before starts. Calls count when they start, money and tokens when they end. It is assumed
that a run would have gone on as recorded up to its stop.
"""

import sys
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from typing import NamedTuple

import msgspec

from otelbudget.budgets.config import Budget, Budgets, LimitKind
from otelbudget.budgets.engine import Admission, Engine, Refusal
from otelbudget.budgets.ledger import Account, MemoryLedger
from otelbudget.genai.usage import ModelCall, TokenUsage
from otelbudget.pricing.billing import Charge, UnknownModel, bill
from otelbudget.pricing.book import PriceBook
from otelbudget.store import sql
from otelbudget.store.store import Store

_load = partial(sql.load, "otelbudget.audit")


class RecordedCall(NamedTuple):
    """A call as it was recorded.

    Attributes:
        trace_id: Its trace.
        span_id: Its span.
        start_time_unix_nano: Start.
        end_time_unix_nano: End, after the start.
        charge: What it cost.
    """

    trace_id: str
    span_id: str
    start_time_unix_nano: int
    end_time_unix_nano: int
    charge: Charge


class ScopeOutcome(msgspec.Struct):
    """What a budget did to one scope.

    Attributes:
        budget: Name of the budget that refused first.
        scope: Value of its `per` key.
        kind: The limit that refused first.
        limit: That limit, pico-USD or a count.
        stopped_at: Start of the first refused call, unix ns.
        calls_allowed: Calls of the scope that went through.
        calls_denied: Calls of the scope that were refused.
        spent_pusd: List cost of the calls that went through, priced calls only.
        avoided_pusd: List cost of the refused calls, priced calls only.
    """

    budget: str
    scope: str
    kind: LimitKind
    limit: int
    stopped_at: int
    calls_allowed: int = 0
    calls_denied: int = 0
    spent_pusd: int = 0
    avoided_pusd: int = 0


class LimitOutcome(msgspec.Struct, frozen=True):
    """What one limit did over all scopes.

    Attributes:
        budget: Name of its budget.
        kind: What it counts.
        limit: Pico-USD or a count.
        scopes_reached: Scopes whose usage came to the limit or above.
        scopes_stopped: Scopes of which it refused a call.
        calls_denied: Calls that it refused.
        worst_overshoot: Largest usage above the limit, in the limit's unit, at least 0.
    """

    budget: str
    kind: LimitKind
    limit: int
    scopes_reached: int
    scopes_stopped: int
    calls_denied: int
    worst_overshoot: int


class Replay(msgspec.Struct, frozen=True):
    """What budgets would have done to recorded calls.

    Attributes:
        scopes: Scopes with a call.
        scopes_reached: Scopes in which some limit was reached.
        calls: Calls that were replayed.
        calls_without_time: Calls without a start, which were not replayed.
        spent_pusd: List cost of what went through, calls without time included.
        avoided_pusd: List cost of what was refused.
        estimated_pusd: What unpriced calls that went through counted toward money limits.
        limits: Each limit's part.
        stopped: The scopes that were stopped, the dearest avoided first.
    """

    scopes: int
    scopes_reached: int
    calls: int
    calls_without_time: int
    spent_pusd: int
    avoided_pusd: int
    estimated_pusd: int
    limits: tuple[LimitOutcome, ...]
    stopped: tuple[ScopeOutcome, ...]

    @property
    def calls_denied(self) -> int:
        """Calls that were refused."""
        return sum(scope.calls_denied for scope in self.stopped)


def recorded_calls(
    store: Store, book: PriceBook, unknown_model: UnknownModel
) -> tuple[list[RecordedCall], list[Charge]]:
    """The store's model calls with usage; apart from them what the calls without a start cost."""
    timed: list[RecordedCall] = []
    timeless: list[Charge] = []
    for row in chain.from_iterable(store.batches(_load("calls_to_replay"))):
        trace_id, span_id, provider, model, start, end, input_tokens, output_tokens, cost = row
        if cost is None:
            usage = TokenUsage(input_tokens, output_tokens)
            call = ModelCall(provider, model, start_time_unix_nano=start, usage=usage)
            charge = bill(call, book, unknown_model)
        else:
            charge = Charge(model, input_tokens + output_tokens, cost)
        if start is None:
            timeless.append(charge)
        else:
            timed.append(RecordedCall(trace_id, span_id, start, end, charge))
    return timed, timeless


def replay(
    calls: Sequence[RecordedCall], budgets: Budgets, timeless: Sequence[Charge] = ()
) -> Replay:
    """Send recorded calls through an engine with `budgets`.

    Args:
        calls: In any order.
        budgets: Those that apply to every trace; tiers apply to none.
        timeless: Charges of calls without a start: spent, never refused.
    """
    engine = Engine(budgets.budgets, MemoryLedger(max_scopes=sys.maxsize))
    admissions: dict[int, Admission] = {}
    stopped: dict[tuple[str, str], ScopeOutcome] = {}
    denied = avoided = 0
    denied_by: dict[tuple[str, LimitKind], tuple[int, set[str]]] = {}
    for index, is_start in _in_time(calls):
        call = calls[index]
        if is_start:
            decision = engine.admit(call.trace_id)
            if isinstance(decision, Refusal):
                _note_refusal(decision, call, stopped, denied_by)
                denied += 1
                avoided += call.charge.list_cost_pusd or 0
            else:
                admissions[index] = decision
        elif (admission := admissions.pop(index, None)) is not None:
            engine.settle(admission, call.charge)
    _fill(stopped, engine, calls)
    limits = tuple(
        _limit_outcome(budget, kind, engine, denied_by)
        for budget in engine.budgets
        for kind in budget.limits
    )
    reached = {
        account.scope
        for budget, account in _accounts(engine)
        if any(account.usage(kind) >= limit for kind, limit in budget.limits.items())
    }
    total = sum(charge.list_cost_pusd or 0 for charge in (*(c.charge for c in calls), *timeless))
    estimated = max((account_estimates(engine)), default=0)
    return Replay(
        scopes=len({call.trace_id for call in calls}),
        scopes_reached=len(reached),
        calls=len(calls),
        calls_without_time=len(timeless),
        spent_pusd=total - avoided,
        avoided_pusd=avoided,
        estimated_pusd=estimated,
        limits=limits,
        stopped=tuple(sorted(stopped.values(), key=_dearest)),
    )
