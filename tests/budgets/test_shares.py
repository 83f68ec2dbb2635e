"""Shares of a budget, runs inside runs, grace, extensions and forks, without any span."""

from collections.abc import Sequence
from decimal import Context, Decimal, Inexact, localcontext
from typing import Any

import pytest

from otelbudget.budgets.config import Budget, LimitKind
from otelbudget.budgets.decisions import Admission, Attempt, Hold, NoticeKind, Refusal
from otelbudget.budgets.engine import Engine
from otelbudget.budgets.ledger import Account
from otelbudget.budgets.scopes import Place, RunScope
from otelbudget.pricing.billing import Charge

TEAM = {"agent": {"supervisor": "0.2", "worker1": "0.3", "worker2": "0.3", "worker3": "0.2"}}
RUN = RunScope("r1")


def _agent(name: str, *runs: RunScope) -> Place:
    return Place("t", runs or (RUN,), {"agent": name})


def _ask(engine: Engine, place: Place, **known: Any) -> Admission | Refusal:
    return engine.admit(engine.accounts(place, 1), Attempt(1, **known))


def _admitted(engine: Engine, place: Place, **known: Any) -> Admission:
    decision = _ask(engine, place, **known)
    assert isinstance(decision, Admission)
    return decision


def _spend(engine: Engine, place: Place, usd_cents: int) -> None:
    engine.settle(_admitted(engine, place), Charge("m", 1, usd_cents * 10**10))


def _scopes(engine: Engine) -> dict[Sequence[str], Account]:
    return {
        tuple(value for _, value in account.scope): account
        for _, account in engine.ledger.accounts()
    }


def test_an_agent_may_use_its_share_and_no_more() -> None:
    engine = Engine([Budget(cost_usd=100, per="run", shares=TEAM)])
    _spend(engine, _agent("supervisor"), 1_999)
    _spend(engine, _agent("supervisor"), 1)  # 20.00 USD, 0.2 * 100 USD
    refusal = _ask(engine, _agent("supervisor"))

    assert isinstance(refusal, Refusal)
    assert refusal.facts().limit == 20
    assert refusal.facts().scope == {"run": "r1", "agent": "supervisor"}
    assert isinstance(_ask(engine, _agent("worker1")), Admission)


def test_children_stay_inside_the_parent() -> None:
    engine = Engine([Budget(cost_usd=100, per="run", shares={"agent": {"a": "0.8"}})])
    _spend(engine, _agent("a"), 7_900)
    _spend(engine, _agent("b"), 2_100)  # 79 + 21 = 100 USD
    refusal = _ask(engine, _agent("a"))

    assert isinstance(refusal, Refusal)
    assert refusal.facts().scope == {"run": "r1"}


def test_who_has_no_share_may_use_all_of_it() -> None:
    engine = Engine([Budget(cost_usd=100, per="run", shares=TEAM)])
    _spend(engine, _agent("planner"), 9_999)

    assert isinstance(_ask(engine, _agent("planner")), Admission)
    assert set(_scopes(engine)) == {("r1",)}


@pytest.mark.parametrize(
    ("limit", "ratio", "share"),
    [
        pytest.param(10, "0.3", 3, id="even"),
        pytest.param(10, "0.35", 3, id="rounded down"),
        pytest.param(2**63 - 1, "0.1", 922_337_203_685_477_580, id="exact to the last digit"),
    ],
)
def test_a_share_is_exact_and_rounded_down(limit: int, ratio: str, share: int) -> None:
    with localcontext(Context(prec=3, traps=[])):
        engine = Engine([Budget(tokens=limit, per="run", shares={"agent": {"a": ratio}})])
        _admitted(engine, _agent("a"))

    assert _scopes(engine)["r1", "a"].limits.by_kind[LimitKind.TOKENS] == share


def test_time_is_not_shared_out() -> None:
    engine = Engine([Budget(seconds=10, calls=10, per="run", shares={"agent": {"a": "0.5"}})])
    _admitted(engine, _agent("a"))

    assert dict(_scopes(engine)["r1", "a"].limits.by_kind) == {LimitKind.CALLS: 5}


def test_what_does_not_fit_a_share_is_held_nowhere() -> None:
    engine = Engine([Budget(tokens=10, per="run", reserve=True, shares={"agent": {"a": "0.5"}})])
    _admitted(engine, _agent("a"), hold=Hold(0, 4))
    refusal = _ask(engine, _agent("a"), hold=Hold(0, 2))

    assert isinstance(refusal, Refusal)
    assert refusal.account.scope == (("run", "r1"), ("agent", "a"))
    assert [account.held_tokens for account in _scopes(engine).values()] == [4, 4]


def test_an_extension_reaches_the_shares_that_are_open_and_those_that_open_later() -> None:
    engine = Engine([Budget(calls=10, per="run", shares={"agent": {"a": "0.2", "b": "0.5"}})])
    _admitted(engine, _agent("a"))
    _admitted(engine, _agent("a"))
    assert isinstance(_ask(engine, _agent("a")), Refusal)
    [notice] = engine.extend(engine.accounts(_agent("main"), 1), RUN, LimitKind.CALLS, 10)
    _admitted(engine, _agent("a"))
    _admitted(engine, _agent("b"))
    limits = {
        scope: each.limits.by_kind[LimitKind.CALLS] for scope, each in _scopes(engine).items()
    }

    assert (notice.kind, notice.limit, notice.usage) == (NoticeKind.EXTENDED, 20, 2)
    # 0.2 * 20 and 0.5 * 20
    assert limits == {("r1",): 20, ("r1", "a"): 4, ("r1", "b"): 10}


def test_an_extension_is_for_its_run_alone() -> None:
    engine = Engine([Budget(calls=1, per="run")])
    other = RunScope("r2")
    for run in (RUN, other):
        _admitted(engine, _agent("a", run))
    engine.extend(engine.accounts(_agent("a"), 1), RUN, LimitKind.CALLS, 1)

    assert isinstance(_ask(engine, _agent("a")), Admission)
    assert isinstance(_ask(engine, _agent("a", other)), Refusal)


def test_an_inner_run_counts_on_the_outer_too() -> None:
    engine = Engine([Budget(calls=3, per="run", shares={"agent": {"a": "0.7"}})])
    outer, inner, sibling = RunScope("outer"), RunScope("inner"), RunScope("sibling")
    _admitted(engine, _agent("a", outer, inner))
    _admitted(engine, _agent("b", outer, sibling))
    _admitted(engine, _agent("b", outer, sibling))
    calls = {scope: account.calls for scope, account in _scopes(engine).items()}

    assert calls == {
        ("outer",): 3,
        ("outer", "a"): 1,
        ("inner",): 1,
        ("inner", "a"): 1,
        ("sibling",): 2,
    }
    assert isinstance(_ask(engine, _agent("b", outer, inner)), Refusal)


def test_a_tier_counts_for_the_runs_that_asked_for_it() -> None:
    engine = Engine([Budget(calls=9, per=None, name="deep")])
    quick, deep = RunScope("q", "quick"), RunScope("d", "deep")
    _admitted(engine, _agent("a", quick, deep))
    _admitted(engine, _agent("a", quick))

    assert set(_scopes(engine)) == {("d",)}


def test_grace_lets_a_stated_number_of_calls_pass_and_a_released_one_is_given_back() -> None:
    engine, place = Engine([Budget(calls=0, per="run", grace=2)]), _agent("a")
    first = _admitted(engine, place, is_wrap_up=True)
    _admitted(engine, place, is_wrap_up=True)
    assert isinstance(_ask(engine, place, is_wrap_up=True), Refusal)
    engine.release(first)

    assert isinstance(_ask(engine, place), Refusal)
    assert isinstance(_ask(engine, place, is_wrap_up=True), Admission)


@pytest.mark.parametrize("known", [{"is_wrap_up": True}, {"is_free": True}])
def test_a_retry_is_not_refused_by_what_let_its_call_pass(known: dict[str, bool]) -> None:
    engine, place = Engine([Budget(cost_usd="0.01", per="run", grace=1)]), _agent("a")
    _spend(engine, place, 1)
    call = _admitted(engine, place, **known)

    assert not isinstance(engine.repeat(call, None, 1), Refusal)


def test_a_retry_in_an_open_budget_is_refused_once_it_is_used_up() -> None:
    engine, place = Engine([Budget(cost_usd="0.01", per="run")]), _agent("a")
    call = _admitted(engine, place)

    assert isinstance(engine.repeat(call, Charge("m", 1, 10**10), 1), Refusal)


def test_classes_of_tokens_are_held_and_given_back() -> None:
    engine, place = Engine([Budget(output_tokens=10, per="run", reserve=True)]), _agent("a")
    call = _admitted(engine, place, hold=Hold(0, 0, 50, 6))
    assert isinstance(_ask(engine, place, hold=Hold(0, 0, 50, 5)), Refusal)
    engine.release(call)

    assert isinstance(_ask(engine, place, hold=Hold(0, 0, 50, 10)), Admission)


def test_a_call_of_the_parent_that_ends_in_a_fork_takes_nothing_from_what_the_fork_holds() -> None:
    engine, place = Engine([Budget(tokens=10, per="run", reserve=True)]), _agent("a")
    inherited = _admitted(engine, place, hold=Hold(0, 5))
    engine.renew_after_fork()
    _admitted(engine, place, hold=Hold(0, 6))
    engine.settle(inherited, Charge("m", 3))

    [account] = _scopes(engine).values()
    assert (account.held_tokens, account.in_flight, account.tokens) == (6, 1, 3)


def test_a_released_call_reopens_a_limit_of_which_it_is_told_once() -> None:
    engine, place = Engine([Budget(calls=1, per="run", warn_at=())]), _agent("a")
    told = []
    for _ in range(3):
        call = _admitted(engine, place)
        told += [notice.kind for notice in call.notices]
        assert isinstance(_ask(engine, place), Refusal)
        engine.release(call)

    assert told == [NoticeKind.EXCEEDED]


def test_the_applications_decimal_context_decides_nothing() -> None:
    engine = Engine(
        [Budget(tokens=1_000, name="a", per="run"), Budget(tokens=1_001, name="b", per="run")]
    )
    place = _agent("a")
    call = _admitted(engine, place)
    with localcontext(Context(prec=2, traps=[Inexact])):
        engine.settle(call, Charge("m", 3_333))
        refusal = _ask(engine, place)
        assert isinstance(refusal, Refusal)
        engine.extend(engine.accounts(place, 1), RUN, LimitKind.TOKENS, 1)

    assert refusal.budget.name == "a"  # 3.333 of its limit, of the other's 3.3297
    assert refusal.facts().usage == Decimal(3_333)
