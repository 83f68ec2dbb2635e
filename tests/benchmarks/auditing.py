"""Audit of stores of ten thousand to ten million spans, and replay of their calls."""

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from otelbudget.audit import sources
from otelbudget.store import files, kept
from tests.benchmarks.processes import BUDGET_AUDIT, Ran, run
from tests.benchmarks.replay import engine
from tests.benchmarks.timing import Rounds, row, seconds

SQL = Path(__file__).parent / "sql"
SPANS_FOR_A_CALL = 10 / 6
_TIMEOUT_SECONDS = 10.0


def audits(table: Table, folder: Path, sizes: Sequence[int], rounds: int) -> None:
    """The first question about a store, the next, and how they grow with the store."""
    took: dict[int, list[tuple[Ran, Ran]]] = {size: [] for size in sizes}
    stores = {size: make(folder / f"{size}.duckdb", size) for size in sizes}
    for _ in range(rounds):
        for size, store in stores.items():
            kept.file(store).unlink(missing_ok=True)
            took[size].append((_audit(store), _audit(store)))
    for size, runs in took.items():
        for name, which in (("first", 0), ("next", 1)):
            seconds = Rounds(tuple(both[which].seconds for both in runs))
            row(table, f"audit of {size:,} spans, {name}", seconds, "s")
            row(table, "  memory", Rounds(tuple(both[which].main_mb for both in runs)), "MB")
    for store in stores.values():
        kept.file(store).unlink(missing_ok=True)
        store.unlink()


def make(path: Path, spans: int) -> Path:
    """A store of generated spans; the same every time."""
    connection = files.connect()
    connection.execute(f"set temp_directory = '{path.parent}'")
    files.create(connection, path)
    with files.attached(connection, path, read_only=False, timeout_seconds=_TIMEOUT_SECONDS):
        connection.execute((SQL / "generate_spans.sql").read_text("utf-8"), {"spans": spans})
    connection.close()
    return path


def _audit(store: Path) -> Ran:
    ran = run((*BUDGET_AUDIT, "audit", str(store), "--by", "model", "--format", "json"))
    assert ran is not None
    return ran


def replays(table: Table, folder: Path, calls: int) -> None:
    """Model calls of a generated store, and their replay by the engine."""
    store = make(folder / "replay.duckdb", round(calls * SPANS_FOR_A_CALL))
    loading = []
    took = seconds(lambda: loading.append(sources.load([str(store)])))
    (loaded,) = loading
    rate = Rounds.of(loaded.report.spans / took)
    row(
        table,
        f"model calls of {loaded.report.spans:,} spans: read, counted, priced",
        rate,
        "spans/s",
    )
    engine(table, loaded.store, loaded.book)
    loaded.store.close()
    kept.file(store).unlink(missing_ok=True)
    store.unlink()
