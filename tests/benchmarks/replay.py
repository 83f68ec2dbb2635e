"""Measures limits over many calls: sweeps straight from the store, and replay by the engine."""

from decimal import Decimal
from functools import partial
from pathlib import Path
from time import perf_counter

from rich.table import Table

from otelbudget.audit.calls import build_model_calls
from otelbudget.audit.recorded import recorded
from otelbudget.audit.replay import replay
from otelbudget.audit.sweep import log_spaced, sweep_traces
from otelbudget.budgets.config import Budget, Budgets, LimitKind
from otelbudget.pricing.billing import UnknownModel
from otelbudget.pricing.book import PriceBook
from otelbudget.store.store import Store

SQL = Path(__file__).parent / "sql"
LIMITS = log_spaced(LimitKind.COST_USD, Decimal("0.00001"), Decimal(1), 1_000)


def sweeps(table: Table, calls: int = 10_000_000, memory: str | None = None) -> None:
    """A sweep of 1,000 limits over calls of ten a trace: at first, and with P stored."""
    store, book = Store(), PriceBook.load()
    build_model_calls(store, book)  # makes the tables that it stands on
    store.execute((SQL / "generate_calls.sql").read_text("utf-8"), {"calls": calls})
    store.execute((SQL / "generate_roots.sql").read_text("utf-8"))
    if memory is not None:
        store.execute((SQL / "limit_memory.sql").read_text("utf-8").replace("$memory", memory))
    ask = partial(sweep_traces, store, book, LimitKind.COST_USD, LIMITS)
    under = "" if memory is None else f" under {memory}"
    for name in ("cold", "with P stored"):
        start = perf_counter()
        ask()
        label = f"sweep of {len(LIMITS):,} limits over {calls:,} calls{under}, {name}"
        table.add_row(label, f"{perf_counter() - start:.2f} s")


def engine(table: Table, store: Store, book: PriceBook) -> None:
    """One limit per trace over the calls of a store, by the engine."""
    budgets = Budgets((Budget(cost_usd="0.05"),), UnknownModel.ALLOW)
    start = perf_counter()
    recording = recorded(store, book, budgets.budgets, budgets.unknown_model)
    read = perf_counter()
    replay(recording, budgets)
    table.add_row(f"reading {len(recording.calls):,} calls to replay", f"{read - start:.2f} s")
    table.add_row("  replay by the engine", f"{perf_counter() - read:.2f} s")
