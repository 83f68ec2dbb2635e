"""Deciding and keeping count, without any span."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelbudget.budgets.config import Budget, LimitKind, Mode
from otelbudget.budgets.decisions import Admission, Attempt, NoticeKind, Refusal
from otelbudget.budgets.engine import Engine
from otelbudget.budgets.ledger import Account, MemoryLedger
from otelbudget.budgets.scopes import Place
from otelbudget.budgets.spent import Spent, part_of
from otelbudget.pricing.billing import Charge


def _ask(engine: Engine, scope: str = "t") -> Admission | Refusal:
    return engine.admit(engine.accounts(Place(scope)), Attempt())


def _admitted(engine: Engine, scope: str = "t") -> Admission:
    decision = _ask(engine, scope)
    assert isinstance(decision, Admission)
    return decision


def _account(engine: Engine) -> Account:
    [(_, account)] = engine.ledger.accounts()
    return account


def test_calls_count_when_they_start_money_and_tokens_when_they_end() -> None:
    engine = Engine([Budget(calls=9, cost_usd=9)])
    admission = _admitted(engine)
    account = _account(engine)

    assert (account.calls, account.tokens, account.cost_pusd) == (1, 0, 0)
    engine.settle(admission, Charge("m", tokens=7, list_cost_pusd=5))
    assert (account.calls, account.tokens, account.cost_pusd) == (1, 7, 5)


@pytest.mark.parametrize("mode", [Mode.AUDIT, Mode.OFF])
def test_only_enforcing_budgets_refuse(mode: Mode) -> None:
    engine = Engine([Budget(calls=0, mode=mode)])

    assert isinstance(_ask(engine, "t"), Admission)
    assert engine.peek(engine.accounts(Place("t")), Attempt()) is None


def test_peek_changes_nothing() -> None:
    engine = Engine([Budget(calls=0)])

    assert isinstance(engine.peek(engine.accounts(Place("t")), Attempt()), Refusal)
    assert (_account(engine).calls, _account(engine).denied) == (0, 0)


def test_a_released_call_was_none() -> None:
    engine = Engine([Budget(calls=1)])
    engine.release(_admitted(engine))

    assert isinstance(_ask(engine, "t"), Admission)


def test_the_end_of_a_budget_is_told_once() -> None:
    engine = Engine([Budget(tokens=10, warn_at=[])])
    kinds = [
        notice.kind
        for _ in range(3)
        for notice in engine.settle(
            engine.count(engine.accounts(Place("t")), Attempt()), Charge(tokens=10)
        )
    ]

    assert kinds == [NoticeKind.EXCEEDED]


def test_warnings_that_one_call_passes_are_each_told_once() -> None:
    engine = Engine([Budget(tokens=100, warn_at=["0.5", "0.8", "0.9"])])
    told = [
        [notice.threshold for notice in engine.settle(_admitted(engine), Charge(tokens=tokens))]
        for tokens in (49, 1, 1, 40, 1)
    ]

    assert told == [[], [Decimal("0.5")], [], [Decimal("0.8"), Decimal("0.9")], []]


def test_a_refusal_tells_the_limit_that_is_furthest_over() -> None:
    engine = Engine([Budget(tokens=10, calls=1, name="a"), Budget(tokens=5, name="b")])
    engine.settle(_admitted(engine), Charge(tokens=20))
    refusal = _ask(engine, "t")

    assert isinstance(refusal, Refusal)
    facts = refusal.facts()
    assert (facts.budget, facts.kind, facts.usage, facts.limit) == (
        "b",
        "tokens",
        Decimal(20),
        Decimal(5),
    )


def test_what_is_told_of_a_scopes_spend_is_bounded() -> None:
    spent = Spent()
    for number in range(100):
        charge = Charge(f"model-{number}", list_cost_pusd=1)
        spent.add(charge, part_of(charge), 1, leaves=False)

    assert len(spent.by(0)) == 65
    assert spent.by(0)["(other models)"] == 36
    assert sum(spent.by(0).values()) == 100
    assert len(spent.latest) == 5


def test_accounts_are_bounded_and_those_in_use_are_kept() -> None:
    ledger = MemoryLedger(max_scopes=3)
    engine = Engine([Budget(calls=1)], ledger)
    for scope in ("kept", "a", "b", "kept", "c", "kept", "d"):
        _ask(engine, scope)

    assert {account.scope[0][1] for _, account in ledger.accounts()} == {"kept", "c", "d"}
    assert isinstance(_ask(engine, "kept"), Refusal)
    assert ledger.dropped_scopes == 2


_CHARGES = st.lists(
    st.tuples(st.integers(0, 10**9), st.integers(0, 10**13), st.booleans()), max_size=30
)


def _charge(tokens: int, cost: int, is_estimated: bool) -> Charge:  # noqa: FBT001 - a drawn value
    if is_estimated:
        return Charge("m", tokens=tokens, estimated_pusd=cost)
    return Charge("m", tokens=tokens, list_cost_pusd=cost)


@given(_CHARGES, st.randoms(use_true_random=False))
def test_settled_spend_is_the_sum_in_any_order(
    drawn: list[tuple[int, int, bool]], random: "Callable[..., object]"
) -> None:
    engine = Engine([Budget(calls=10**6)])
    pairs = [(_admitted(engine), _charge(*each)) for each in drawn]
    random.shuffle(pairs)  # type: ignore[attr-defined]  # a random.Random
    for admission, charge in pairs:
        engine.settle(admission, charge)

    for _, account in engine.ledger.accounts():
        assert account.cost_pusd == sum(cost for _, cost, _ in drawn)
        assert account.estimated_pusd == sum(cost for _, cost, is_rough in drawn if is_rough)
        assert account.tokens == sum(tokens for tokens, _, _ in drawn)
        assert account.calls == len(drawn)
        assert account.usage(LimitKind.COST_USD) == sum(account.spent_by_model.values())


@given(_CHARGES)
@settings(max_examples=20, deadline=None)
def test_settled_spend_is_the_sum_over_eight_threads(drawn: list[tuple[int, int, bool]]) -> None:
    engine = Engine([Budget(calls=10**6)])

    def call(each: tuple[int, int, bool]) -> None:
        engine.settle(_admitted(engine), _charge(*each))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(call, drawn * 8))

    for _, account in engine.ledger.accounts():
        assert account.cost_pusd == 8 * sum(cost for _, cost, _ in drawn)
        assert account.calls == 8 * len(drawn)


def test_eight_threads_pass_a_limit_of_calls_exactly() -> None:
    engine = Engine([Budget(calls=100)])
    with ThreadPoolExecutor(8) as pool:
        decisions = list(pool.map(lambda scope: _ask(engine, scope), ["t"] * 400))

    assert sum(isinstance(decision, Admission) for decision in decisions) == 100
    assert _account(engine).denied == 300
