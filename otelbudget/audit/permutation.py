"""Whether two samples differ by more than chance: a permutation test, and Holm's correction."""

import math
import random
from collections.abc import Sequence
from enum import StrEnum
from itertools import combinations
from typing import NamedTuple

PERMUTATIONS = 9_999
"""How many random permutations are drawn at most where not all can be tried."""
MOST_EXACT = 20_000
"""Up to so many ways to divide the values, each is tried."""
MOST_DRAWN = 100
"""Where both samples are larger, the distribution over permutations is taken to be normal."""
_ENOUGH = 50
_TOLERANCE = 1e-12


class Method(StrEnum):
    """How a p-value came about.

    Attributes:
        EXACT: Every way to divide the values was tried.
        DRAWN: Random permutations, until 50 were as extreme, or 9,999 were drawn.
        NORMAL: The exact mean and variance over all permutations, and their normal limit.
    """

    EXACT = "exact"
    DRAWN = "drawn"
    NORMAL = "normal"


class Test(NamedTuple):
    """The answer of a test.

    Attributes:
        p_value: Chance of means that differ as much or more if nothing but chance divides the values.
        method: How it came about.
        permutations: How many divisions were tried; 0 for the normal limit.
    """

    p_value: float
    method: Method
    permutations: int


def permutation_test(base: Sequence[float], head: Sequence[float], seed: int = 0) -> Test | None:
    """Whether the means of two samples differ, on both sides.

    Args:
        base: Values.
        head: Other values.
        seed: Where random permutations begin: the same seed gives the same answer.

    Returns:
        None where a sample has fewer than two values.

    Source: E. J. G. Pitman 1937 for the test; J. Besag and P. Clifford 1991 for drawing until enough
    are as extreme, which keeps the p-value valid; W. Hoeffding 1951 for the normal limit.
    """
    if min(len(base), len(head)) < 2:  # noqa: PLR2004 - the spread of one value is unknown
        return None
    few, many = sorted((base, head), key=len)
    values = [*few, *many]
    center = math.fsum(values) / len(values)
    values = [value - center for value in values]
    observed = abs(math.fsum(values[: len(few)]))
    observed -= _TOLERANCE * (1 + observed)
    if math.comb(len(values), len(few)) <= MOST_EXACT:
        return _exact(values, len(few), observed)
    if len(few) > MOST_DRAWN:
        return _normal(values, len(few), observed)
    return _drawn(values, len(few), observed, random.Random(seed))  # noqa: S311 - no secret


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values that hold for all tests at once, in the same order; none is above 1.

    Source: S. Holm 1979, A simple sequentially rejective multiple test procedure.
    """
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


def _exact(values: Sequence[float], size: int, observed: float) -> Test:
    tried = extreme = 0
    for chosen in combinations(values, size):
        tried += 1
        extreme += abs(math.fsum(chosen)) >= observed
    return Test(extreme / tried, Method.EXACT, tried)


def _drawn(values: Sequence[float], size: int, observed: float, draw: random.Random) -> Test:
    extreme = 0
    for drawn in range(1, PERMUTATIONS + 1):
        extreme += abs(sum(draw.sample(values, size))) >= observed
        if extreme == _ENOUGH:
            return Test(extreme / drawn, Method.DRAWN, drawn)
    return Test((extreme + 1) / (PERMUTATIONS + 1), Method.DRAWN, PERMUTATIONS)


def _normal(values: Sequence[float], size: int, observed: float) -> Test:
    count = len(values)
    spread = math.fsum(value * value for value in values) / count
    variance = spread * size * (count - size) / (count - 1)
    if variance == 0:
        return Test(1.0, Method.NORMAL, 0)
    return Test(math.erfc(observed / math.sqrt(2 * variance)), Method.NORMAL, 0)
