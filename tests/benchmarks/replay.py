"""Limits over many calls: sweeps straight from the store, a loop in Python, replay by the engine.

A sweep runs in a process of its own: python -m tests.benchmarks.replay CALLS [MEMORY].
"""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from functools import partial
from heapq import heappop, heappush
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from rich.table import Table

from otelbudget.audit.calls import build_model_calls
from otelbudget.audit.recorded import recorded
from otelbudget.audit.replay import replay
from otelbudget.audit.sweep import log_spaced, sweep_traces
from otelbudget.budgets.config import Budget, Budgets, LimitKind
from otelbudget.pricing.billing import UnknownModel
from otelbudget.pricing.book import PriceBook
from otelbudget.store.store import Store
from tests.benchmarks.processes import Ran, run
from tests.benchmarks.timing import Rounds, row, seconds

SQL = Path(__file__).parent / "sql"
LIMITS = log_spaced(LimitKind.COST_USD, Decimal("0.00001"), Decimal(1), 1_000)
LOOPED_CALLS, LOOPED_LIMITS = 100_000, 5
LITTLE_MEMORY = "512MB"
Call = tuple[str, int, int, int]


def sweeps(table: Table, calls: int, rounds: int) -> None:
    """A sweep of 1,000 limits, at first and with P stored, beside a loop over calls and limits."""
    took: dict[str, list[tuple[Ran, dict[str, float]]]] = {"": [], LITTLE_MEMORY: []}
    loops = []
    for _ in range(rounds):
        for memory, runs in took.items():
            ran = run((sys.executable, "-m", __name__, str(calls), *filter(None, [memory])))
            assert ran is not None
            runs.append((ran, json.loads(ran.output)))
        loops.append(seconds(_loop_of_part()))
    title = f"sweep of {len(LIMITS):,} limits over {calls:,} calls"
    for memory, runs in took.items():
        under = f", DuckDB given {memory}" if memory else ""
        for name in ("cold", "P stored"):
            each = Rounds(tuple(figures[name] for _, figures in runs))
            row(table, f"{title}{under}, {name}", each, "s")
            if not memory:
                scale = LOOPED_CALLS * LOOPED_LIMITS / (calls * len(LIMITS))
                part = f"{LOOPED_CALLS:,} calls, {LOOPED_LIMITS} limits"
                looped = Rounds(tuple(loops)) / scale
                row(table, f"  anchor: a Python loop, scaled from {part}", looped, "s", ours=each)
        row(table, "  memory", Rounds(tuple(ran.main_mb for ran, _ in runs)), "MB")


def sweep_seconds(calls: int, memory: str | None) -> dict[str, float]:
    """Seconds of the first sweep over generated calls, ten a trace, and of the next."""
    book = PriceBook.load()
    store = _generated(calls, book)
    if memory is not None:
        store.execute((SQL / "limit_memory.sql").read_text("utf-8").replace("$memory", memory))
    ask = partial(sweep_traces, store, book, LimitKind.COST_USD, LIMITS)
    return {"cold": seconds(ask), "P stored": seconds(ask)}


def _generated(calls: int, book: PriceBook) -> Store:
    store = Store()
    build_model_calls(store, book)  # makes the tables that it stands on
    store.execute((SQL / "generate_calls.sql").read_text("utf-8"), {"calls": calls})
    store.execute((SQL / "generate_roots.sql").read_text("utf-8"))
    return store


def _loop_of_part() -> partial[list[tuple[int, int]]]:
    store = _generated(LOOPED_CALLS, PriceBook.load())
    calls = store.rows((SQL / "generated_calls.sql").read_text("utf-8"))
    store.close()
    return partial(loop, calls, LIMITS[:: len(LIMITS) // LOOPED_LIMITS])


def loop(calls: Iterable[Call], limits: Sequence[int]) -> list[tuple[int, int]]:
    """Calls that each limit refuses, and their cost: one pass over all calls a limit.

    Args:
        calls: Trace id, start, end and cost, ordered by trace and start.
        limits: On the cost of a trace.
    """
    calls = list(calls)
    return [_refused(calls, limit) for limit in limits]


def _refused(calls: Iterable[Call], limit: int) -> tuple[int, int]:
    count = cost = 0
    for _, trace in groupby(calls, itemgetter(0)):
        for refused in _refused_of(trace, limit):
            count += 1
            cost += refused
    return count, cost


def _refused_of(trace: Iterable[Call], limit: int) -> Iterator[int]:
    under_way: list[tuple[int, int]] = []
    known = 0
    for _, start, end, cost in trace:
        while under_way and under_way[0][0] <= start:
            known += heappop(under_way)[1]
        if known >= limit:
            yield cost
        else:
            heappush(under_way, (end, cost))


def engine(table: Table, store: Store, book: PriceBook) -> None:
    """One limit per trace over the calls of a store, by the engine."""
    budgets = Budgets((Budget(cost_usd="0.05"),), UnknownModel.ALLOW)
    recordings = []
    read = seconds(
        lambda: recordings.append(recorded(store, book, budgets.budgets, budgets.unknown_model))
    )
    replayed = seconds(lambda: replay(recordings[0], budgets))
    calls = len(recordings[0].calls)
    row(table, f"reading {calls:,} calls to replay", Rounds.of(read), "s")
    row(table, "  replay by the engine", Rounds.of(replayed), "s")
    row(table, "  calls", Rounds.of(calls / (read + replayed)), "calls/s")


def main(calls: str, memory: str | None = None) -> None:
    sys.stdout.write(json.dumps(sweep_seconds(int(calls), memory)))


if __name__ == "__main__":
    main(*sys.argv[1:])
