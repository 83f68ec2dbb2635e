"""Times work in interleaved rounds and writes lines of the table."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Self

from rich.table import Table

ROUNDS = 5
_SCALES = {"us": 1e6, "ms": 1e3}


@dataclass(frozen=True, slots=True)
class Rounds:
    """One value of each round; two of them are put together round by round.

    Attributes:
        values: Seconds, or whatever is measured; at least one.
    """

    values: tuple[float, ...]

    @classmethod
    def of(cls, *values: float) -> Self:
        """The values of rounds."""
        return cls(values)

    def __sub__(self, other: "Rounds") -> "Rounds":
        return Rounds(tuple(a - b for a, b in zip(self.values, other.values, strict=True)))

    def __truediv__(self, other: "Rounds | float") -> "Rounds":
        if isinstance(other, Rounds):
            return Rounds(tuple(a / b for a, b in zip(self.values, other.values, strict=True)))
        return Rounds(tuple(value / other for value in self.values))

    def rate(self, count: float) -> "Rounds":
        """How many of a number of things are done in a second, from the seconds for all."""
        return Rounds(tuple(count / value for value in self.values))


def seconds(work: Callable[[], object]) -> float:
    """Seconds that a work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def seconds_per(work: Callable[[], object], times: int) -> float:
    """Seconds for one of many repetitions."""
    start = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - start) / times


def measure(
    works: Mapping[str, tuple[Callable[[], object], int]], rounds: int = ROUNDS
) -> dict[str, Rounds]:
    """Seconds for one repetition of each work, all works taking turns in every round."""
    measured: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, (work, times) in works.items():
            measured[name].append(seconds_per(work, times))
    return {name: Rounds(tuple(values)) for name, values in measured.items()}


def table() -> Table:
    """The table of figures."""
    made = Table(box=None)
    made.add_column("path")
    for name in ("median", "least", "most"):
        made.add_column(name, justify="right")
    made.add_column("unit")
    made.add_column("otelbudget is", justify="right")
    return made


def row(
    to: Table, name: str, rounds: Rounds, unit: str = "us", *, ours: Rounds | None = None
) -> None:
    """Adds a line.

    Args:
        to: The table.
        name: What was measured.
        rounds: Seconds where the unit is "us", "ms" or "s"; otherwise in the unit.
        unit: One per second, such as "spans/s", is the better the more.
        ours: Of an anchor: what otelbudget takes for the same, in the same unit.
    """
    scale = _SCALES.get(unit, 1)
    values = [value * scale for value in rounds.values]
    shown = [_shown(value) for value in (median(values), min(values), max(values))]
    better = ""
    if ours is not None:
        ratio = ours / rounds if unit.endswith("/s") else rounds / ours
        better = f"{_shown(median(ratio.values))} x as good"
    to.add_row(name, *shown, unit, better)


def _shown(value: float) -> str:
    return f"{value:,.2f}" if abs(value) < 100 else f"{value:,.0f}"
