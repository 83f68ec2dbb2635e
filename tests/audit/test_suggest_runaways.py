"""Suspected runaways: those far above the others are listed, and a second mode is none."""

import random
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from otelbudget.audit.runaways import suspects
from otelbudget.budgets.config import LimitKind

COST, CALLS, TOKENS = LimitKind.COST_USD, LimitKind.CALLS, LimitKind.TOKENS
AMOUNTS = st.lists(st.integers(0, 10**12), max_size=60)


def listed(*amounts: int) -> tuple[int, ...]:
    return suspects({COST: amounts}).listed


def spread(count: int, seed: int, deviation: float = 0.5) -> list[int]:
    choose = random.Random(seed)  # noqa: S311 - test data
    return [round(choose.lognormvariate(10, deviation)) for _ in range(count)]


def test_a_run_of_eight_times_the_others_is_listed() -> None:
    assert listed(*[1_000 + number for number in range(60)], 8_500, 8_400) == (60, 61)


def test_of_equal_runs_none_is_listed() -> None:
    assert listed(*[1_000] * 50) == ()
    assert listed(*[1_000] * 50, 7_000) == ()
    assert listed(*[1_000] * 50, 9_000) == (50,)


def test_small_counts_that_differ_by_one_are_no_runaways() -> None:
    assert suspects({CALLS: [3] * 90 + [4] * 6 + [5] * 4}).listed == ()
    assert suspects({CALLS: [3] * 90 + [4] * 6 + [40] * 4}).listed == (96, 97, 98, 99)


def test_free_runs_are_judged_by_their_tokens() -> None:
    found = suspects({COST: [0] * 40, TOKENS: [1_000] * 39 + [20_000]})

    assert found.listed == (39,)


def test_runs_that_need_nothing_are_no_reason_to_list_others() -> None:
    assert listed(*[0] * 40, *[1_000] * 10) == ()
    assert listed() == ()
    assert listed(0, 0) == ()


def test_a_run_with_many_times_the_calls_is_listed_at_any_cost() -> None:
    calls = [4, 5, 6] * 20
    calls[7] = 60

    assert suspects({COST: [1_000] * 60, CALLS: calls}).listed == (7,)


def test_more_than_a_tenth_are_a_second_mode() -> None:
    """5 of 50 are a tenth; 6 of 51 are more."""
    assert len(listed(*[1_000] * 45, *[20_000] * 5)) == 5
    assert suspects({COST: [1_000] * 45 + [20_000] * 6}) == ((), (), 0.0, 6)


def test_modes_of_a_wide_workflow_are_kept() -> None:
    found = suspects({COST: [*spread(300, 1), *(8 * amount for amount in spread(100, 2))]})

    assert len(found.listed) <= 4


def test_where_runs_spread_widely_the_lowest_listed_are_doubtful() -> None:
    """Of 1,000 good runs 2.4 deviations leave 8 above: so many of those listed may be good."""
    amounts = spread(1_000, 3, deviation=0.8)
    amounts += [30 * amount for amount in spread(30, 4, deviation=0.8)]
    found = suspects({COST: amounts})

    lowest = sorted(found.listed, key=amounts.__getitem__)[: len(found.doubtful)]
    assert 6 <= len(found.doubtful) <= 8
    assert sorted(lowest) == list(found.doubtful)
    assert 0 < found.hidden < 0.01


def test_where_runs_hardly_spread_nothing_is_in_doubt() -> None:
    found = suspects({COST: [*spread(1_000, 3, deviation=0.2), *[300_000] * 30]})

    assert (len(found.listed), found.doubtful) == (30, ())
    assert found.hidden < 0.001


@given(amounts=AMOUNTS, unit=st.sampled_from([1, 1_000, 10**12]))
def test_the_unit_does_not_matter(amounts: Sequence[int], unit: int) -> None:
    assert listed(*[amount * 4 for amount in amounts]) == listed(
        *[amount * 4 * unit for amount in amounts]
    )


@given(amounts=AMOUNTS)
def test_those_listed_lie_above_all_others_and_are_few(amounts: Sequence[int]) -> None:
    found = suspects({COST: amounts})

    kept = [amount for place, amount in enumerate(amounts) if place not in found.listed]
    assert len(found.listed) <= 0.1 * len(amounts)
    assert all(amounts[place] > max(kept) for place in found.listed)
    assert set(found.doubtful) <= set(found.listed)
