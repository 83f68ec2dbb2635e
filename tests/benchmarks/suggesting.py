"""How well suggested limits hold on workloads whose needs are known: python -m tests.benchmarks.suggesting.

A workload is three workflows. The good runs of each need lognormal amounts of several kinds, which
hang together; 3 % of the runs are runaways that take 8 to 80 times what they need.
"""

import math
import random
import sys
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from otelbudget.audit.runs_of_workflows import KINDS, Runs
from otelbudget.audit.suggest import RUNAWAY, Suggestion, fitted
from otelbudget.budgets.config import LimitKind

MEDIANS = {
    LimitKind.COST_USD: 10**10,
    LimitKind.CALLS: 6,
    LimitKind.TOKENS: 4_000,
    LimitKind.SECONDS: 20 * 10**9,
}
COUNTED = (LimitKind.CALLS,)
RUNAWAYS = 0.03
FRESH = 3_000
TOLERANCE = 0.02


class Workload(NamedTuple):
    """What runs need.

    Attributes:
        deviation: Of the logarithm of each kind.
        correlation: How much the kinds hang together, from 0 to 1.
    """

    deviation: float
    correlation: float = 0.7

    def draw(self, choose: random.Random) -> list[float]:
        """What a good run needs, by kind."""
        shared = choose.gauss(0, 1)
        own = math.sqrt(1 - self.correlation)
        common = math.sqrt(self.correlation)
        return [
            median * math.exp(self.deviation * (common * shared + own * choose.gauss(0, 1)))
            for median in MEDIANS.values()
        ]

    def recorded(self, count: int, choose: random.Random) -> tuple[Runs, set[str]]:
        """Runs, and which of them are runaways."""
        rows, runaways = [], set()
        for number in range(count):
            needed = self.draw(choose)
            if choose.random() < RUNAWAYS:
                factor = math.exp(choose.uniform(math.log(8), math.log(80)))
                needed = [factor * amount for amount in needed]
                runaways.add(str(number))
            rows.append(_whole(needed))
        columns = dict(zip(MEDIANS, map(list, zip(*rows, strict=True)), strict=True))
        needs = {kind: columns.get(kind, [0] * count) for kind in KINDS}
        return Runs({"workflow": "w"}, [str(place) for place in range(count)], needs), runaways


class Measured(NamedTuple):
    """What became of the promises, each as a share.

    Attributes:
        covering: Seeds in which fresh good runs of every workflow together stay within all limits
            as often as wanted, less 2 points.
        holding: Intervals that hold the true quantile; those of counts are not among them, since a
            count has no such single quantile.
        runaways_listed: Runaways that are listed.
        good_listed: Good runs that are.
        abstained: Workflows without a limit.
    """

    covering: float
    holding: float
    runaways_listed: float
    good_listed: float
    abstained: float


class _Tally:
    """Counts over seeds."""

    def __init__(self) -> None:
        self.seeds = self.covering = 0
        self.intervals = self.holding = 0
        self.runaways = self.runaways_listed = 0
        self.good = self.good_listed = 0
        self.workflows = self.abstained = 0

    def add(
        self, found: Suggestion, runaways: set[str], count: int, quantiles: Sequence[float]
    ) -> None:
        listed = {
            trace for part in found.left_out if part.reason == RUNAWAY for trace in part.trace_ids
        }
        self.runaways += len(runaways)
        self.runaways_listed += len(runaways & listed)
        self.good += count - len(runaways)
        self.good_listed += len(listed - runaways)
        self.workflows += 1
        self.abstained += not found.limits
        for kind, quantile in zip(MEDIANS, quantiles, strict=True):
            if kind in found.limits and kind not in COUNTED:
                low, high = found.limits[kind].interval
                self.intervals += 1
                self.holding += low <= quantile <= high

    def measured(self) -> Measured:
        return Measured(
            self.covering / self.seeds,
            self.holding / max(self.intervals, 1),
            self.runaways_listed / max(self.runaways, 1),
            self.good_listed / self.good,
            self.abstained / self.workflows,
        )


def measure(
    *,
    seeds: int,
    count: int,
    deviations: Sequence[float],
    covers: float = 0.95,
    correlation: float = 0.7,
) -> Measured:
    """Suggest limits for many workloads.

    Args:
        seeds: How many workloads.
        count: Runs of each workflow.
        deviations: The workflows, by how widely their needs spread.
        covers: Share of runs that limits should let through.
        correlation: How much kinds hang together.
    """
    workflows = [Workload(deviation, correlation) for deviation in deviations]
    fresh = [_fresh(workflow) for workflow in workflows]
    normal = NormalDist().inv_cdf(covers)
    tally = _Tally()
    for seed in range(seeds):
        choose = random.Random(seed)  # noqa: S311 - test data
        shares = []
        for workflow, runs in zip(workflows, fresh, strict=True):
            recorded, runaways = workflow.recorded(count, choose)
            found = fitted(recorded, covers)
            quantiles = [
                median * math.exp(workflow.deviation * normal) for median in MEDIANS.values()
            ]
            tally.add(found, runaways, count, quantiles)
            shares.append(_covered(found, runs))
        tally.seeds += 1
        tally.covering += min(shares) >= covers - TOLERANCE
    return tally.measured()


def _fresh(workflow: Workload) -> list[list[int]]:
    choose = random.Random(f"fresh {workflow}")  # noqa: S311 - test data
    return [_whole(workflow.draw(choose)) for _ in range(FRESH)]


def _covered(found: Suggestion, runs: Sequence[Sequence[int]]) -> float:
    limits = [found.limits[kind].limit if kind in found.limits else sys.maxsize for kind in MEDIANS]
    within = sum(
        all(amount <= limit for amount, limit in zip(run, limits, strict=True)) for run in runs
    )
    return within / len(runs)


def _whole(needed: Sequence[float]) -> list[int]:
    return [max(round(amount), 1) for amount in needed]


def main(seeds: int = 200) -> None:
    """Measure on the grid that docs/suggest.md shows."""
    names = ("deviations", "runs", "covers", "covering", "holding", "runaways", "good")
    table = Table(*names, title=f"Suggested limits, {seeds} seeds each", box=None)
    for deviations in ((0.3, 0.5, 0.7), (0.6,) * 3, (0.8,) * 3, (1.0,) * 3, (1.2,) * 3):
        for count, covers in ((150, 0.95), (300, 0.9), (300, 0.95), (1_000, 0.95), (1_000, 0.99)):
            found = measure(seeds=seeds, count=count, deviations=deviations, covers=covers)
            shown = (f"{100 * share:.1f} %" for share in found[:-1])
            table.add_row(" ".join(map(str, deviations)), str(count), str(covers), *shown)
    Console().print(table)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
