"""Permutation tests and Holm's correction, against brute force and by how often they err."""

import math
import random
from collections.abc import Sequence
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelbudget.audit.permutation import PERMUTATIONS, Method, holm, permutation_test


def plain_holm(p_values: Sequence[float]) -> list[float]:
    """Of each test: the largest, over the tests not above it, of its p-value times those not below."""
    adjusted = []
    for mine in p_values:
        steps = [
            min(1.0, other * (len(p_values) - sum(each < other for each in p_values)))
            for other in p_values
            if other <= mine
        ]
        adjusted.append(max(steps))
    return adjusted


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_equals_a_brute_force(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(plain_holm(p_values))


def test_holm_as_in_his_paper() -> None:
    """0.01 x 3; 0.02 x 2; 0.04 x 1, which may not be below the one before."""
    assert holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([]) == []


@given(
    st.lists(st.integers(-5, 5), min_size=2, max_size=5),
    st.lists(st.integers(-5, 5), min_size=2, max_size=5),
)
def test_small_samples_are_divided_in_every_way(base: list[int], head: list[int]) -> None:
    values = base + head
    observed = abs(sum(base) * len(head) - sum(head) * len(base))
    ways = [
        abs(sum(chosen) * len(head) - (sum(values) - sum(chosen)) * len(base))
        for chosen in combinations(values, len(base))
    ]

    test = permutation_test([*map(float, base)], [*map(float, head)])

    assert test is not None
    assert test.method is Method.EXACT
    assert test.p_value == pytest.approx(sum(way >= observed for way in ways) / len(ways))


def test_one_value_on_a_side_cannot_be_compared() -> None:
    assert permutation_test([1.0], [1.0, 2.0, 3.0]) is None


def test_the_same_seed_gives_the_same_answer() -> None:
    draw = random.Random(1)  # noqa: S311 - no secret
    base, head = ([draw.gauss(0, 1) for _ in range(40)] for _ in range(2))

    assert permutation_test(base, head, 7) == permutation_test(base, head, 7)


def test_a_clear_difference_takes_every_permutation() -> None:
    test = permutation_test(
        [float(each) for each in range(30)], [100.0 + each for each in range(30)]
    )

    assert test is not None
    assert (test.method, test.permutations) == (Method.DRAWN, PERMUTATIONS)
    assert test.p_value == 1 / (PERMUTATIONS + 1)


def test_the_normal_limit_is_near_what_is_drawn() -> None:
    """Just above the size from which permutations are not drawn any more, and just below."""
    draw = random.Random(3)  # noqa: S311 - no secret
    base = [draw.gauss(0, 1) for _ in range(100)]
    head = [draw.gauss(0.28, 1) for _ in range(100)]

    drawn = permutation_test(base, head)
    normal = permutation_test([*base, base[0]], [*head, head[0]])

    assert drawn is not None
    assert normal is not None
    assert (drawn.method, normal.method) == (Method.DRAWN, Method.NORMAL)
    assert normal.p_value == pytest.approx(drawn.p_value, rel=0.3, abs=0.01)


def test_equal_values_are_no_difference() -> None:
    for count in (5, 50, 300):
        test = permutation_test([0.25] * count, [0.25] * count)

        assert test is not None
        assert test.p_value == 1


@pytest.mark.parametrize("size", [6, 40, 250])
def test_p_values_are_uniform_where_nothing_differs(size: int) -> None:
    """Of 200 tests without a difference, those at or below p are p of all, within 4 deviations."""
    p_values = []
    for seed in range(200):
        draw = random.Random(seed)  # noqa: S311 - no secret
        base, head = ([draw.gauss(0, 0.6) for _ in range(size)] for _ in range(2))
        test = permutation_test(base, head, seed)
        p_values.append(1.0 if test is None else test.p_value)

    for level in (0.05, 0.25, 0.5, 0.75):
        share = sum(p <= level for p in p_values) / 200

        assert share == pytest.approx(level, abs=4 * math.sqrt(level * (1 - level) / 200))
