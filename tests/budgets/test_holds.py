"""Reservations: no order of concurrent calls passes a limit that the estimates bound."""

import random
import threading
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle as Calls
from hypothesis.stateful import (
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from otelbudget import Budget
from otelbudget.budgets.decisions import Admission, Attempt, Hold, Refusal
from otelbudget.budgets.engine import Engine
from otelbudget.budgets.scopes import Place
from otelbudget.pricing.billing import Charge

# A budget in the smallest units: 1 pico-USD is 10^-12 USD.
PICO = "0.000000000001"


def budget(limit_pusd: int, **keys: Any) -> Budget:
    return Budget(cost_usd=f"{limit_pusd * 10**-12:.12f}", reserve=True, warn_at=(), **keys)


def cost(amount: int) -> Charge:
    return Charge("m", amount, amount)


def admit(engine: Engine, amount: int) -> Admission | Refusal:
    return engine.admit(engine.accounts(Place("t")), Attempt(hold=Hold(amount, amount)))


def test_a_call_is_admitted_while_what_it_may_use_still_fits() -> None:
    engine = Engine([budget(10)])

    assert isinstance(admit(engine, 6), Admission)
    assert isinstance(admit(engine, 4), Admission)
    refusal = admit(engine, 1)
    assert isinstance(refusal, Refusal)
    assert refusal.facts().estimate is not None


def test_what_a_call_left_unused_can_be_held_again() -> None:
    engine = Engine([budget(10)])
    first = admit(engine, 8)
    assert isinstance(first, Admission)
    engine.settle(first, cost(3))

    assert isinstance(admit(engine, 7), Admission)


def test_a_released_call_holds_nothing() -> None:
    engine = Engine([budget(10)])
    first = admit(engine, 10)
    assert isinstance(first, Admission)
    engine.release(first)

    assert isinstance(admit(engine, 10), Admission)


def test_a_settlement_above_its_estimate_is_recorded_in_full() -> None:
    engine = Engine([budget(10)])
    first = admit(engine, 2)
    assert isinstance(first, Admission)
    engine.settle(first, cost(12))

    refusal = engine.peek(engine.accounts(Place("t")), Attempt())
    assert refusal is not None
    assert refusal.account.cost_pusd == 12


def test_an_estimate_is_replaced_by_the_usage_that_is_told_later() -> None:
    engine = Engine([budget(10)])
    first = admit(engine, 9)
    assert isinstance(first, Admission)
    engine.settle_at_estimate(first, Charge("m", 9, None, 9))
    assert isinstance(admit(engine, 2), Refusal)
    engine.settle(first, cost(5))

    [(_, account)] = engine.ledger.accounts()
    assert (account.cost_pusd, account.estimated_pusd, account.tokens) == (5, 0, 5)
    assert isinstance(admit(engine, 5), Admission)


def test_one_admission_takes_all_its_holds_or_none() -> None:
    engine = Engine([budget(10, name="wide"), budget(3, name="narrow")])

    assert isinstance(admit(engine, 4), Refusal)
    assert {account.held_pusd for _, account in engine.ledger.accounts()} == {0}


def test_a_budget_that_does_not_reserve_holds_nothing() -> None:
    engine = Engine([Budget(cost_usd=PICO, warn_at=()), budget(100, name="other")])

    assert isinstance(admit(engine, 50), Admission)
    assert isinstance(admit(engine, 50), Admission)
    assert [account.held_pusd for _, account in engine.ledger.accounts()] == [0, 100]


def test_in_audit_mode_a_call_without_room_goes_on_and_is_marked() -> None:
    engine = Engine([budget(10, mode="audit")])
    admit(engine, 8)
    second = admit(engine, 8)

    assert isinstance(second, Admission)
    assert second.is_audited


@dataclass
class _Call:
    """A call of the model: what it was estimated at, and how its admission stands."""

    admission: Admission
    estimate: int
    counted: int = 0
    is_held: bool = True


class _Holds(RuleBasedStateMachine):
    """The engine beside a model that keeps every call in a list and adds up anew each time."""

    calls = Calls("calls")
    estimated = Calls("estimated")

    @initialize(limit=st.integers(1, 60))
    def start(self, limit: int) -> None:
        self.limit = limit
        self.engine = Engine([budget(limit)])
        self.all: list[_Call] = []

    @property
    def taken(self) -> int:
        return sum(call.estimate if call.is_held else call.counted for call in self.all)

    @rule(target=calls, estimate=st.integers(1, 30))
    def admit(self, estimate: int) -> Any:
        used = sum(call.counted for call in self.all)
        fits = used < self.limit and self.taken + estimate <= self.limit
        decision = admit(self.engine, estimate)
        assert isinstance(decision, Admission) is fits
        if isinstance(decision, Refusal):
            return None
        self.all.append(_Call(decision, estimate))
        return self.all[-1]

    @rule(call=consumes(calls), share=st.integers(0, 100))
    def settle(self, call: _Call | None, share: int) -> None:
        if call is not None:
            call.counted, call.is_held = call.estimate * share // 100, False
            self.engine.settle(call.admission, cost(call.counted))

    @rule(call=consumes(calls))
    def release(self, call: _Call | None) -> None:
        if call is not None:
            call.is_held = False
            self.engine.release(call.admission)

    @rule(target=estimated, call=consumes(calls))
    def lose_sight(self, call: _Call | None) -> Any:
        if call is not None:
            call.counted, call.is_held = call.estimate, False
            charge = Charge("m", call.estimate, None, call.estimate)
            self.engine.settle_at_estimate(call.admission, charge)
        return call

    @rule(call=consumes(estimated), share=st.integers(0, 100))
    def learn(self, call: _Call | None, share: int) -> None:
        if call is not None:
            call.counted = call.estimate * share // 100
            self.engine.settle(call.admission, cost(call.counted))

    @invariant()
    def sums_are_those_of_the_model(self) -> None:
        for _, account in self.engine.ledger.accounts():
            assert account.cost_pusd == sum(call.counted for call in self.all)
            assert account.held_pusd == sum(call.estimate for call in self.all if call.is_held)
            assert account.in_flight == sum(call.is_held for call in self.all)
            assert account.cost_pusd + account.held_pusd <= self.limit


def test_holds_follow_the_model_in_every_order() -> None:
    run_state_machine_as_test(_Holds, settings=settings(max_examples=200, deadline=None))


@settings(max_examples=300, deadline=None)
@given(
    limit=st.integers(10, 400),
    workload=st.lists(st.tuples(st.integers(1, 40), st.integers(0, 100)), min_size=8, max_size=64),
    seed=st.integers(0, 2**32),
)
def test_threads_never_pass_a_limit_and_lose_no_settled_amount(
    limit: int, workload: list[tuple[int, int]], seed: int
) -> None:
    engine = Engine([budget(limit)])
    settled: list[int] = []
    highest: list[int] = []

    def work(calls: list[tuple[int, int]], order: random.Random) -> None:
        open_calls: list[tuple[Admission, int]] = []
        for estimate, share in calls:
            decision = admit(engine, estimate)
            if isinstance(decision, Admission):
                open_calls.append((decision, estimate * share // 100))
            if open_calls and order.random() < 0.6:
                admission, used = open_calls.pop(order.randrange(len(open_calls)))
                engine.settle(admission, cost(used))
                settled.append(used)
            with engine.ledger.lock:
                highest.extend(each.cost_pusd for _, each in engine.ledger.accounts())
        for admission, used in open_calls:
            engine.settle(admission, cost(used))
            settled.append(used)

    threads = [
        threading.Thread(target=work, args=(workload[start::4], random.Random(seed + start)))  # noqa: S311
        for start in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    [(_, account)] = engine.ledger.accounts()
    assert account.cost_pusd == sum(settled)
    assert max(highest) <= account.cost_pusd <= limit
    assert (account.held_pusd, account.held_tokens, account.in_flight) == (0, 0, 0)


@pytest.mark.parametrize("in_flight", [1, 2, 20])
def test_without_reservation_the_overshoot_is_what_was_in_flight(in_flight: int) -> None:
    engine = Engine([Budget(cost_usd=f"{10 * 10**-12:.12f}", warn_at=())])
    admissions = [engine.admit(engine.accounts(Place("t")), Attempt()) for _ in range(in_flight)]
    notices = [
        notice
        for admission in admissions
        if isinstance(admission, Admission)
        for notice in engine.settle(admission, cost(10))
    ]

    [exceeded] = notices
    assert exceeded.calls_in_flight == in_flight - 1
    [(_, account)] = engine.ledger.accounts()
    assert account.cost_pusd - 10 == 10 * exceeded.calls_in_flight
