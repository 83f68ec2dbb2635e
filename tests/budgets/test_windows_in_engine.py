"""What counts in which window: at every edge, settled late, and in windows that roll."""

import threading
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelbudget.budgets.config import Budget, LimitKind
from otelbudget.budgets.decisions import Accounts, Admission, Attempt, NoticeKind, Refusal
from otelbudget.budgets.engine import Engine
from otelbudget.budgets.ledger import Account, MemoryLedger
from otelbudget.budgets.scopes import Place
from otelbudget.pricing.billing import Charge

SECOND = 10**9
BERLIN = ZoneInfo("Europe/Berlin")


def _at(year: int, month: int, day: int) -> int:
    """Unix ns of a midnight in Berlin."""
    return int(datetime(year, month, day, tzinfo=BERLIN).timestamp()) * SECOND


MIDNIGHT = _at(2026, 1, 6)


def _daily(**limits: Any) -> Engine:
    return Engine([Budget(window="day", timezone="Europe/Berlin", per="tenant", **limits)])


def _rolling(**limits: Any) -> Engine:
    return Engine([Budget(window="10s", per="tenant", **limits)])


def _place(tenant: str = "acme") -> Place:
    return Place("t", (), {"tenant": tenant})


def _ask(engine: Engine, place: Place, at_ns: int) -> Admission | Refusal:
    return engine.admit(engine.accounts(place, at_ns), Attempt(at_ns))


def _admitted(engine: Engine, place: Place, at_ns: int) -> Admission:
    decision = _ask(engine, place, at_ns)
    assert isinstance(decision, Admission)
    return decision


def _charged(engine: Engine, place: Place, at_ns: int, charge: Charge) -> Accounts:
    accounts = engine.accounts(place, at_ns)
    with engine.ledger.lock:
        engine.charge(accounts, charge, at_ns)
    return accounts


def _accounts(engine: Engine) -> list[Account]:
    return [account for _, account in engine.ledger.accounts()]


def _cost(amount: int, model: str = "m") -> Charge:
    return Charge(model, amount, amount)


# Calendar windows


def test_the_last_nanosecond_of_a_day_counts_in_it_and_the_next_in_the_next() -> None:
    engine, place = _daily(calls=1), _place()

    assert isinstance(_ask(engine, place, MIDNIGHT - 1), Admission)
    assert isinstance(_ask(engine, place, MIDNIGHT - 1), Refusal)
    assert isinstance(_ask(engine, place, MIDNIGHT), Admission)
    assert isinstance(_ask(engine, place, MIDNIGHT), Refusal)


def test_one_place_may_be_asked_for_both_sides_of_an_edge_in_any_order() -> None:
    engine, place = _daily(calls=9), _place()
    for at_ns in (MIDNIGHT, MIDNIGHT - 1, MIDNIGHT + 1, MIDNIGHT - 2, MIDNIGHT):
        _admitted(engine, place, at_ns)

    assert [account.calls for account in _accounts(engine)] == [2, 3]


@pytest.mark.parametrize(
    ("day", "hours"),
    [
        pytest.param((2026, 3, 29), 23, id="clocks go forward"),
        pytest.param((2026, 10, 25), 25, id="clocks go back"),
    ],
)
def test_a_day_is_as_long_as_its_clocks_make_it(day: tuple[int, int, int], hours: int) -> None:
    engine, place, start = _daily(calls=1), _place(), _at(*day)
    _admitted(engine, place, start)

    assert isinstance(_ask(engine, place, start + hours * 3_600 * SECOND - 1), Refusal)
    assert isinstance(_ask(engine, place, start + hours * 3_600 * SECOND), Admission)


def test_a_call_that_ends_after_the_edge_is_settled_in_the_window_of_its_start() -> None:
    engine, place = _daily(cost_usd=1), _place()
    late = _admitted(engine, place, MIDNIGHT - 1)
    _admitted(engine, place, MIDNIGHT)
    engine.settle(late, _cost(7))

    assert [(each.cost_pusd, each.in_flight) for each in _accounts(engine)] == [(7, 0), (0, 1)]


def test_the_nearest_edge_of_several_budgets_ends_what_a_place_keeps() -> None:
    hourly, daily = (
        Budget(calls=9, name="h", window="hour"),
        Budget(calls=9, name="d", window="day"),
    )
    engine, place = Engine([daily, hourly]), _place()
    hour = 3_600 * SECOND
    for at_ns in (0, hour - 1, hour, 24 * hour - 1, 24 * hour):
        _admitted(engine, place, at_ns)
    counts = [(each.key[0], each.key[2] // hour, each.calls) for each in _accounts(engine)]

    assert counts == [
        ("d", 0, 4),
        ("d", 24, 1),
        ("h", 0, 2),
        ("h", 1, 1),
        ("h", 23, 1),
        ("h", 24, 1),
    ]


def test_threads_on_both_sides_of_an_edge_count_each_on_its_own() -> None:
    engine, place, barrier = _daily(calls=10**6), _place(), threading.Barrier(4)

    def work(at_ns: int) -> None:
        barrier.wait()
        for _ in range(300):
            engine.settle(_admitted(engine, place, at_ns), _cost(1))

    times = (MIDNIGHT - 1, MIDNIGHT, MIDNIGHT - 2, MIDNIGHT + 1)
    threads = [threading.Thread(target=work, args=(at_ns,)) for at_ns in times]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    # Two threads of 300 calls on each side.
    assert [(each.calls, each.cost_pusd) for each in _accounts(engine)] == [(600, 600), (600, 600)]


def test_each_window_is_told_of_anew() -> None:
    engine, place = _daily(calls=2, warn_at=["0.5"]), _place()
    told = [
        [notice.kind for notice in _admitted(engine, place, at_ns).notices]
        for at_ns in (MIDNIGHT - 2, MIDNIGHT - 1, MIDNIGHT, MIDNIGHT + 1)
    ]

    assert told == 2 * [[NoticeKind.WARNING], [NoticeKind.EXCEEDED]]


def test_windows_that_are_over_go_first_and_are_not_missed() -> None:
    budget = Budget(window="day", calls=1, per="tenant")
    engine = Engine([budget], MemoryLedger(max_scopes=4))
    day = 86_400 * SECOND
    places = [_place(tenant) for tenant in "abc"]
    for at_ns in (day, day, 2 * day, 3 * day):
        for place in places:
            _ask(engine, place, at_ns)
    _ask(engine, places[0], day)  # a late span of a day that is over

    kept = {(each.scope[0][1], each.key[2] // day) for each in _accounts(engine)}
    assert kept == {("a", 3), ("b", 3), ("c", 3), ("a", 1)}
    assert engine.ledger.dropped_scopes == 0


def test_a_scope_that_is_used_without_pause_is_kept_among_many_others() -> None:
    engine = Engine([Budget(calls=10**6, per="tenant")], MemoryLedger(max_scopes=3))
    busy = _place("busy")
    for number in range(50):
        _admitted(engine, busy, 1)
        _admitted(engine, _place(f"tenant {number}"), 1)

    [account] = [each for each in _accounts(engine) if each.scope[0][1] == "busy"]
    assert account.calls == 50


def test_a_scope_never_has_two_accounts() -> None:
    engine = Engine([Budget(calls=10**6, per="tenant")], MemoryLedger(max_scopes=2))
    first = _place("acme")
    _admitted(engine, first, 1)
    for other in ("a", "b", "c"):  # which push it out
        _admitted(engine, _place(other), 1)
    second = _place("acme")
    _admitted(engine, second, 1)
    _admitted(engine, first, 1)
    _admitted(engine, second, 1)

    assert engine.accounts(first, 1)[0][1] is engine.accounts(second, 1)[0][1]
    assert engine.accounts(first, 1)[0][1].calls == 3


# Windows that roll


def test_a_call_counts_until_the_window_has_its_length() -> None:
    engine, place = _rolling(calls=1), _place()
    _admitted(engine, place, 100 * SECOND)

    assert isinstance(_ask(engine, place, 110 * SECOND - 1), Refusal)
    assert isinstance(_ask(engine, place, 110 * SECOND), Admission)


def test_a_call_that_ends_after_it_left_the_window_adds_nothing() -> None:
    engine, place = _rolling(cost_usd=1), _place()
    late = _admitted(engine, place, 100 * SECOND)
    _admitted(engine, place, 110 * SECOND)
    engine.settle(late, _cost(7))

    [account] = _accounts(engine)
    assert (account.cost_pusd, account.calls, dict(account.spent_by_model)) == (0, 1, {})


def test_an_estimate_that_left_the_window_is_not_taken_back_again() -> None:
    engine, place = _rolling(cost_usd=1), _place()
    late = _admitted(engine, place, 100 * SECOND)
    engine.settle_at_estimate(late, Charge("m", 9, None, 9))
    _charged(engine, place, 110 * SECOND, _cost(5))
    engine.settle(late, _cost(7))

    [account] = _accounts(engine)
    assert (account.cost_pusd, account.estimated_pusd) == (5, 0)
    assert dict(account.spent_by_model) == {"m": 5}


@pytest.mark.parametrize("model", ["m", "n"])
def test_a_charge_that_left_the_window_is_not_taken_back_again(model: str) -> None:
    engine, place = _rolling(cost_usd=1), _place()
    charge = _cost(9)
    accounts = _charged(engine, place, 100 * SECOND, charge)
    _charged(engine, place, 110 * SECOND, _cost(5, model))
    engine.take_back(accounts, charge, 100 * SECOND)

    [account] = _accounts(engine)
    assert (account.cost_pusd, account.calls) == (5, 1)
    assert dict(account.spent_by_model) == {model: 5}


def test_a_released_call_opens_a_window_that_its_start_had_filled() -> None:
    engine, place = _rolling(calls=1), _place()
    engine.release(_admitted(engine, place, 100 * SECOND))

    assert isinstance(_ask(engine, place, 100 * SECOND), Admission)
    assert isinstance(_ask(engine, place, 100 * SECOND), Refusal)


def test_what_left_is_told_of_again_once_the_window_has_passed_since() -> None:
    engine, place = _rolling(tokens=10, warn_at=["0.5"]), _place()
    slow = _admitted(engine, place, 100 * SECOND)
    _admitted(engine, place, 105 * SECOND)  # time comes to 105 s before the first is settled
    kinds = [each.kind for each in engine.settle(slow, Charge("m", 6))]
    _admitted(engine, place, 110 * SECOND)  # its 6 tokens leave, 5 s after it was told of them
    again = _admitted(engine, place, 114 * SECOND)
    kinds += [each.kind for each in engine.settle(again, Charge("m", 6))]
    assert kinds == [NoticeKind.WARNING]
    _admitted(engine, place, 124 * SECOND)
    later = _admitted(engine, place, 125 * SECOND)
    kinds += [each.kind for each in engine.settle(later, Charge("m", 6))]

    assert kinds == [NoticeKind.WARNING, NoticeKind.WARNING]


def test_time_passes_for_tools_too() -> None:
    engine, place = _rolling(tool_calls=2, warn_at=()), _place()
    accounts = engine.tool_accounts(place, 100 * SECOND, "search")
    told = [engine.count_tool(accounts, at * SECOND) for at in (100, 110)]

    assert told == [[], []]
    assert _accounts(engine)[0].tool_calls == 1


def test_a_retry_is_decided_by_what_counts_when_it_leaves() -> None:
    engine, place = _rolling(cost_usd="0.000000000005"), _place()
    first = _admitted(engine, place, 100 * SECOND)
    second = _admitted(engine, place, 109 * SECOND)
    engine.settle(first, _cost(5))

    assert isinstance(engine.repeat(second, None, 109 * SECOND), Refusal)
    assert not isinstance(engine.repeat(second, None, 110 * SECOND), Refusal)


_CHARGES = st.lists(
    st.tuples(st.integers(0, 3 * SECOND), st.integers(1, 9), st.sampled_from("mno"), st.booleans()),
    max_size=60,
)


@given(_CHARGES)
@settings(max_examples=200, deadline=None)
def test_what_is_put_together_counts_not_less_and_leaves_in_full(
    drawn: list[tuple[int, int, str, bool]],
) -> None:
    """With room for eight entries; a window of 10 s, and its sums from scratch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("otelbudget.budgets.rolling._MAX_ENTRIES", 8)
        engine, place, now = _rolling(tokens=10**6, input_tokens=10**6), _place(), 0
        counted: list[tuple[int, int]] = []
        for step, tokens, model, is_taken_back in drawn:
            now += step
            charge = Charge(model, tokens, tokens)
            accounts = _charged(engine, place, now, charge)
            if is_taken_back:
                engine.take_back(accounts, charge, now)
            else:
                counted.append((now, tokens))
            [account] = _accounts(engine)
            assert account.tokens >= sum(n for at, n in counted if at > now - 10 * SECOND)
            assert account.tokens <= sum(n for _, n in counted)
            assert sum(account.spent_by_model.values()) == account.cost_pusd == account.tokens
        for _, account in engine.ledger.accounts():
            account.pass_time(now + 10 * SECOND)
            assert (account.tokens, account.calls, account.cost_pusd) == (0, 0, 0)
            assert dict(account.spent_by_model) == {}
            assert account.usage(LimitKind.INPUT_TOKENS) == 0


def test_a_busy_window_keeps_a_bounded_number_of_entries() -> None:
    engine, place = _rolling(calls=10**6), _place()
    for number in range(10_000):
        _admitted(engine, place, 100 * SECOND + number)

    [account] = _accounts(engine)
    assert account.calls == 10_000
    account.pass_time(110 * SECOND + 9_999)
    assert account.calls == 0
