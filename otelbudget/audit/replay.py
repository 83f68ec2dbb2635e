"""What limits would have done: recorded calls go through the engine that decides live.

A call occupies [start, end); its end is at least a nanosecond after its start, and at equal times
ends come before starts. Calls count when they start, money and tokens when they end. It is assumed
that a run would have gone on as recorded up to its stop.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from typing import NamedTuple

import msgspec

from otelbudget.budgets.config import Budget, Budgets, LimitKind
from otelbudget.budgets.decisions import Admission, Attempt, Refusal
from otelbudget.budgets.engine import Engine
from otelbudget.budgets.ledger import MemoryLedger
from otelbudget.budgets.scopes import Place
from otelbudget.genai.usage import ModelCall, TokenUsage
from otelbudget.pricing.billing import Charge, UnknownModel, bill
from otelbudget.pricing.book import PriceBook
from otelbudget.store import sql
from otelbudget.store.store import Store

_load = partial(sql.load, "otelbudget.audit")

REPLAYED_KINDS = (LimitKind.COST_USD, LimitKind.TOKENS, LimitKind.CALLS)
"""The limits that a replay of model calls can decide about."""


class RecordedCall(NamedTuple):
    """A call as it was recorded.

    Attributes:
        trace_id: Its trace.
        span_id: Its span.
        start_time_unix_nano: Start.
        end_time_unix_nano: End, after the start.
        charge: What it cost.
        tier: The tier that its run asked for, or None.
    """

    trace_id: str
    span_id: str
    start_time_unix_nano: int
    end_time_unix_nano: int
    charge: Charge
    tier: str | None = None


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
        trace_id, tier, span_id, provider, model, start, end, *tokens, cost = row
        if cost is None:
            usage = TokenUsage(*tokens)
            call = ModelCall(provider, model, start_time_unix_nano=start, usage=usage)
            charge = bill(call, book, unknown_model)
        else:
            charge = Charge(model, sum(tokens), cost)
        if start is None:
            timeless.append(charge)
        else:
            timed.append(RecordedCall(trace_id, span_id, start, end, charge, tier))
    return timed, timeless


def replay(
    calls: Sequence[RecordedCall], budgets: Budgets, timeless: Sequence[Charge] = ()
) -> Replay:
    """Send recorded calls through an engine with `budgets`.

    Args:
        calls: In any order.
        budgets: What applies to them; a tier to the traces that asked for it.
        timeless: Charges of calls without a start: spent, never refused.
    """
    run = _Run(budgets)
    for index, is_start in _in_time(calls):
        if is_start:
            run.start(index, calls[index])
        else:
            run.end(index, calls[index])
    return run.result(calls, timeless)


def _in_time(calls: Sequence[RecordedCall]) -> Iterator[tuple[int, bool]]:
    """Index of a call and whether it starts, in the order in which starts and ends happen."""
    starts = (
        (call.start_time_unix_nano, 1, call.trace_id, call.span_id, index)
        for index, call in enumerate(calls)
    )
    ends = (
        (call.end_time_unix_nano, 0, call.trace_id, call.span_id, index)
        for index, call in enumerate(calls)
    )
    for _, is_start, _, _, index in sorted(chain(starts, ends)):
        yield index, bool(is_start)


class _Run:
    """One replay under way."""

    def __init__(self, budgets: Budgets) -> None:
        self._engine = Engine(budgets.budgets, MemoryLedger(max_scopes=sys.maxsize))
        self._admissions: dict[int, Admission] = {}
        self._stopped: dict[str, ScopeOutcome] = {}
        self._denials: Counter[tuple[str, LimitKind]] = Counter()
        self._denied_scopes: dict[tuple[str, LimitKind], set[str]] = {}
        self._estimated_pusd = 0

    def start(self, index: int, call: RecordedCall) -> None:
        """A call asks for admission."""
        at_ns = call.start_time_unix_nano
        accounts = self._engine.accounts(Place(call.trace_id, tier=call.tier), at_ns)
        decision = self._engine.admit(accounts, Attempt(at_ns))
        if isinstance(decision, Refusal):
            self._refused(decision, call)
        else:
            self._admissions[index] = decision

    def end(self, index: int, call: RecordedCall) -> None:
        """A call ends; nothing happens where it was refused."""
        admission = self._admissions.pop(index, None)
        if admission is not None:
            self._engine.settle(admission, call.charge)
            if call.charge.list_cost_pusd is None:
                self._estimated_pusd += call.charge.estimated_pusd

    def result(self, calls: Sequence[RecordedCall], timeless: Sequence[Charge]) -> Replay:
        """What the whole came to."""
        total = sum(call.charge.list_cost_pusd or 0 for call in calls)
        avoided = sum(scope.avoided_pusd for scope in self._stopped.values())
        for call in calls:
            scope = self._stopped.get(call.trace_id)
            if scope is not None:
                scope.calls_allowed += 1
                scope.spent_pusd += call.charge.list_cost_pusd or 0
        for scope in self._stopped.values():
            scope.calls_allowed -= scope.calls_denied
            scope.spent_pusd -= scope.avoided_pusd
        limits = [
            self._limit_outcome(budget, kind)
            for budget in self._engine.budgets
            for kind in budget.limits
        ]
        return Replay(
            scopes=len({call.trace_id for call in calls}),
            scopes_reached=len(self._reached()),
            calls=len(calls),
            calls_without_time=len(timeless),
            spent_pusd=total - avoided + sum(charge.list_cost_pusd or 0 for charge in timeless),
            avoided_pusd=avoided,
            estimated_pusd=self._estimated_pusd,
            limits=tuple(limits),
            stopped=tuple(sorted(self._stopped.values(), key=_dearest_first)),
        )

    def _refused(self, refusal: Refusal, call: RecordedCall) -> None:
        budget, kind = refusal.budget, refusal.kind
        scope = self._stopped.get(call.trace_id)
        if scope is None:
            scope = self._stopped[call.trace_id] = ScopeOutcome(
                budget.name, call.trace_id, kind, budget.limits[kind], call.start_time_unix_nano
            )
        scope.calls_denied += 1
        scope.avoided_pusd += call.charge.list_cost_pusd or 0
        self._denials[budget.name, kind] += 1
        self._denied_scopes.setdefault((budget.name, kind), set()).add(call.trace_id)

    def _limit_outcome(self, budget: Budget, kind: LimitKind) -> LimitOutcome:
        limit = budget.limits[kind]
        usages = [
            account.usage(kind)
            for name, account in self._engine.ledger.accounts()
            if name == budget.name
        ]
        return LimitOutcome(
            budget=budget.name,
            kind=kind,
            limit=limit,
            scopes_reached=sum(usage >= limit for usage in usages),
            scopes_stopped=len(self._denied_scopes.get((budget.name, kind), ())),
            calls_denied=self._denials[budget.name, kind],
            worst_overshoot=max((usage - limit for usage in usages if usage > limit), default=0),
        )

    def _reached(self) -> set[str]:
        """Scopes in which some limit was reached."""
        limits = {budget.name: budget.limits for budget in self._engine.budgets}
        return {
            account.scope[0][1]
            for name, account in self._engine.ledger.accounts()
            if any(account.usage(kind) >= limit for kind, limit in limits[name].items())
        }


def _dearest_first(scope: ScopeOutcome) -> tuple[int, int, str]:
    return -scope.avoided_pusd, -scope.calls_denied, scope.scope


def false_stops(store: Store, result: Replay) -> int | None:
    """Stopped scopes whose run was good; None where no run can be judged.

    A run is good if its root span is there, has ended and did not fail.
    """
    judged: dict[str, bool] = dict(store.rows(_load("judged_traces")))
    if not judged:
        return None
    return sum(judged.get(scope.scope, False) for scope in result.stopped)
