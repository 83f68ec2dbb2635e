"""What is promised of suggested limits, on workloads whose needs are known.

A workload is three workflows whose runs need lognormal amounts, with 3 % runaways that take 8 to 80
times what they need. `tests/benchmarks/suggesting.py` measures the same on many more.
"""

import pytest

from tests.benchmarks.suggesting import Measured, measure

SEEDS = 40


@pytest.fixture(scope="module")
def measured() -> Measured:
    """300 runs per workflow, of deviations 0.3, 0.5 and 0.7."""
    return measure(seeds=SEEDS, count=300, deviations=(0.3, 0.5, 0.7))


def test_fresh_good_runs_are_let_through_by_all_limits_together(measured: Measured) -> None:
    """At most 2 points below the wanted 95 %, for nine in ten of the seeds."""
    assert measured.covering >= 0.9


def test_intervals_hold_the_true_quantile(measured: Measured) -> None:
    """Nominal 90 %; 360 intervals, of which those of one workflow hang together."""
    assert measured.holding >= 0.88


def test_runaways_are_listed_and_hardly_any_good_run(measured: Measured) -> None:
    assert measured.runaways_listed >= 0.9
    assert measured.good_listed <= 0.01


def test_below_the_minimum_it_abstains() -> None:
    """0.95 ** 45 = 0.0994 is the first power under 10 %."""
    assert measure(seeds=20, count=44, deviations=(0.3, 0.5, 0.7)).abstained == 1.0
