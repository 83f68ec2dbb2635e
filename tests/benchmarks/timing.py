"""Times work in interleaved rounds and writes lines of the table."""

import time
from collections.abc import Callable

from rich.table import Table

ROUNDS = 5
Measured = dict[str, float]


def seconds_per(work: Callable[[], object], times: int) -> float:
    """Seconds for one of many repetitions."""
    start = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - start) / times


def best(works: dict[str, tuple[Callable[[], object], int]]) -> Measured:
    """The best round of each work, all works taking turns in every round."""
    results: Measured = {}
    for _ in range(ROUNDS):
        for name, (work, times) in works.items():
            results[name] = min(results.get(name, 1e9), seconds_per(work, times))
    return results


def row(table: Table, name: str, value: float, *, unit: str = "us") -> None:
    """Adds a line; "us" turns seconds into microseconds."""
    if unit == "us":
        shown = f"{value * 1e6:,.2f}"
    else:
        shown = f"{value:,.2f}" if value < 100 else f"{value:,.0f}"
    table.add_row(name, shown, unit)
