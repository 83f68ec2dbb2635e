"""Order statistics: the ranks are exact, and boxes cover together what one kind covers alone."""

import random
from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelbudget.audit.quantiles import (
    at_least,
    box,
    cuts,
    interval_ranks,
    runs_needed,
    upper_rank,
)


def at_most(count: int, most: int, covers: Fraction) -> Fraction:
    """Probability that at most `most` of `count` values lie below the quantile, exactly."""
    return sum(
        (comb(count, k) * covers**k * (1 - covers) ** (count - k) for k in range(most + 1)),
        Fraction(0),
    )


COUNTS = [1, 2, 10, 22, 44, 45, 46, 59, 76, 77, 100, 180]
COVERS = [Fraction(1, 2), Fraction(8, 10), Fraction(9, 10), Fraction(95, 100), Fraction(99, 100)]


@pytest.mark.parametrize("covers", COVERS, ids=str)
def test_the_rank_is_the_lowest_that_bounds_the_quantile_nine_times_in_ten(
    covers: Fraction,
) -> None:
    for count in COUNTS:
        rank = upper_rank(count, float(covers))

        if rank is None:
            assert at_most(count, count - 1, covers) < Fraction(9, 10)
        else:
            assert at_most(count, rank - 1, covers) >= Fraction(9, 10)
            assert rank == 1 or at_most(count, rank - 2, covers) < Fraction(9, 10)


@pytest.mark.parametrize("covers", COVERS, ids=str)
def test_the_interval_holds_the_quantile_nine_times_in_ten(covers: Fraction) -> None:
    for count in COUNTS:
        ranks = interval_ranks(count, float(covers))

        assert (ranks is None) is (upper_rank(count, float(covers)) is None)
        if ranks is not None:
            lower, upper = ranks
            below_lower = at_most(count, lower - 1, covers) if lower else Fraction(0)
            above_lower = at_most(count, lower, covers)
            assert at_most(count, upper - 1, covers) - below_lower >= Fraction(9, 10)
            # The lower end is as high as it can be.
            assert at_most(count, upper - 1, covers) - above_lower < Fraction(9, 10)


def test_doubtful_values_raise_the_upper_rank_and_hidden_ones_lower_the_lower() -> None:
    plain = interval_ranks(1_000, 0.95)
    larger = interval_ranks(1_005, 0.95)
    doubtful = interval_ranks(1_000, 0.95, doubtful=5)
    hidden = interval_ranks(1_000, 0.95, hidden=0.01)
    assert plain
    assert larger
    assert doubtful
    assert hidden

    assert doubtful[1] == larger[1] > plain[1]
    assert abs(doubtful[0] - plain[0]) <= 1
    # 1 % of the 950 runs below the quantile
    assert plain[0] - 11 <= hidden[0] <= plain[0] - 8
    assert hidden[1] == plain[1]


@pytest.mark.parametrize(
    ("covers", "kinds", "needed"),
    [
        # 0.5 ** 4 = 0.0625, 0.9 ** 22 = 0.0985, 0.95 ** 45 = 0.0994, 0.99 ** 230 = 0.0991
        (0.5, 1, 4),
        (0.9, 1, 22),
        (0.95, 1, 45),
        (0.99, 1, 230),
        # 0.95 ** 77 + 77 * 0.95 ** 76 * 0.05 = 0.0193 + 0.0780 = 0.0973
        (0.95, 2, 77),
    ],
)
def test_runs_needed_is_the_least_count_with_a_bound(
    covers: float, kinds: int, needed: int
) -> None:
    assert runs_needed(covers, kinds) == needed
    assert (cuts(needed, covers), cuts(needed - 1, covers)) == (kinds, kinds - 1)


@pytest.mark.parametrize("count", [10**5, 10**6])
def test_ranks_of_many_runs_lie_where_the_normal_distribution_has_them(count: int) -> None:
    rank = upper_rank(count, 0.95)

    # 1.2816 standard deviations of sqrt(n * 0.95 * 0.05) above 0.95 n
    assert rank == pytest.approx(0.95 * count + 1.2816 * (count * 0.0475) ** 0.5, abs=3)


def test_the_tail_of_a_binomial_is_exact() -> None:
    # Of 3 trials at 1/4: at least 2 in 3 * 1/16 * 3/4 + 1/64 = 10/64
    assert at_least(3, 2, 0.25) == pytest.approx(10 / 64)
    assert at_least(3, 0, 0.25) == pytest.approx(1)


def test_a_box_cuts_the_highest_of_each_kind_in_turn() -> None:
    cost = [9, 8, 1, 7, 6, 5]
    calls = [1, 7, 9, 2, 3, 3]

    # cost 9 (run 1), calls 9 (run 3), cost 8 (run 2), calls 3 (run 5: its 7 has gone with run 2)
    assert box([cost, calls], 4) == [8, 3]
    assert box([cost], 2) == [8]


@given(
    rows=st.lists(st.tuples(*[st.integers(0, 9)] * 3), min_size=3, max_size=40),
    share=st.floats(0.0, 1.0),
)
def test_at_most_the_cut_runs_lie_outside_a_box(
    rows: list[tuple[int, int, int]], share: float
) -> None:
    count = max(3, int(share * len(rows)))
    columns = list(zip(*rows, strict=True))

    highest = box(columns, count)

    outside = [row for row in rows if any(a > b for a, b in zip(row, highest, strict=True))]
    # The run that is cut last lies on the edge.
    assert len(outside) <= count - 1


def test_a_box_of_three_kinds_covers_as_often_as_one_kind_does() -> None:
    """Uniform kinds: the share of runs within the box is the product of its sides, for two alike."""
    choose = random.Random(5)  # noqa: S311 - test data
    covered, samples, count = 0, 400, 200
    for _ in range(samples):
        first = [choose.randrange(10**9) for _ in range(count)]
        other = [choose.randrange(10**9) for _ in range(count)]
        sides = box([first, other, first], cuts(count, 0.9))
        covered += min(sides[0], sides[2]) * sides[1] / 10**18 >= 0.9

    # Nominal 90 %, less three standard deviations of 400 samples: 3 * sqrt(0.9 * 0.1 / 400) = 0.045
    assert covered / samples >= 0.855
