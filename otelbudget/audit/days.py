"""What days to come will use, by the days there were.

The interval is that of Student's t distribution for a sum of new days, whose mean and spread are
known from the old ones only. From four weeks on each weekday has a mean of its own. Days are taken
to be independent, and none of them to be part of a trend.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import NormalDist, fmean
from typing import NamedTuple

COVERAGE = 0.9
"""How often the interval should hold the truth."""
WEEKDAY_DAYS = 28
"""Full days from which on each weekday has a mean of its own."""
_WEEK = 7


class Days(NamedTuple):
    """What days used.

    Attributes:
        sums: What each used, in order.
        means: What a day used on average: by weekday, or under 0 for all of them.
        counts: How many days each mean is of.
        variance: Of days about their means.
        has_weekdays: Each weekday has a mean of its own.
    """

    sums: Sequence[int]
    means: Mapping[int, float]
    counts: Mapping[int, int]
    variance: float
    has_weekdays: bool


class Ahead(NamedTuple):
    """A day to come, or the part of it that is to come.

    Attributes:
        weekday: Day of the week, 0 is Monday.
        start: Start in unix ns.
        end: End in unix ns.
        part: The part of the day between them, at most 1.
    """

    weekday: int
    start: int
    end: int
    part: float


class Interval(NamedTuple):
    """What days to come use.

    Attributes:
        expected: As expected.
        lower: Lower end of the interval, at least 0.
        upper: Its upper end.
    """

    expected: int
    lower: int
    upper: int


def days_of(sums: Sequence[int], first_weekday: int) -> Days:
    """Days in a row.

    Args:
        sums: What each used; more than one day.
        first_weekday: Weekday of the first, 0 is Monday.
    """
    has_weekdays = len(sums) >= WEEKDAY_DAYS
    groups: dict[int, list[int]] = defaultdict(list)
    for number, value in enumerate(sums):
        groups[(first_weekday + number) % _WEEK if has_weekdays else 0].append(value)
    means = {group: fmean(values) for group, values in groups.items()}
    squares = sum((value - means[group]) ** 2 for group in groups for value in groups[group])
    counts = {group: len(values) for group, values in groups.items()}
    return Days(sums, means, counts, squares / (len(sums) - len(groups)), has_weekdays)


def predict(days: Days, ahead: Sequence[Ahead]) -> Interval:
    """What days to come will use in all."""
    parts: dict[int, float] = defaultdict(float)
    for each in ahead:
        parts[each.weekday if days.has_weekdays else 0] += each.part
    expected = sum(part * days.means[group] for group, part in parts.items())
    spread = sum(part + part**2 / days.counts[group] for group, part in parts.items())
    freedom = len(days.sums) - len(days.means)
    margin = t_quantile(freedom) * math.sqrt(days.variance * spread)
    return Interval(round(expected), max(round(expected - margin), 0), round(expected + margin))


def t_quantile(freedom: int) -> float:
    """Student's t that is not passed on either side as often as `COVERAGE` says.

    The expansion of Cornish and Fisher, within 0.2 % from 6 degrees of freedom on.
    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5.
    """
    z = NormalDist().inv_cdf((1 + COVERAGE) / 2)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + math.fsum(term / freedom**power for power, term in enumerate(terms, 1))
