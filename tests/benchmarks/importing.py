"""Import of large files, beside other ways to read them; each in a process of its own."""

import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import duckdb
from rich.table import Table

from otelbudget.ingest import ReadReport, read_traces
from otelbudget.store.spans import Content
from otelbudget.store.store import Store
from tests.benchmarks import exports
from tests.benchmarks.exports import Export
from tests.benchmarks.processes import BUDGET_AUDIT, Ran, run
from tests.benchmarks.timing import Rounds, measure, row

PEERS = Path(".venv-bench-peers/bin")
APPENDED_BYTES, SMALL_SPANS, TINY_SPANS = 10_000_000, 2_000, 1_000
_LONGEST_SECONDS = 120.0
_KINDS = {"lean": exports.LEAN_WORDS, "content-heavy": exports.CONTENT_WORDS}


class Way(NamedTuple):
    """A way to read a file.

    Attributes:
        name: What it is called in the table.
        file: What it reads.
        read: Reads it to a new path; None where it took too long.
    """

    name: str
    file: Export
    read: Callable[[Export, Path], Ran | None]


def imports(table: Table, folder: Path, size: int, rounds: int) -> None:
    """Spans a second from OTLP JSON lines to a store, lean and with content."""
    for kind, words in _KINDS.items():
        export = exports.write(folder / f"{kind}.jsonl", size, words)
        small = exports.part(export, folder / f"{kind}-small.jsonl", SMALL_SPANS)
        tiny = exports.part(export, folder / f"{kind}-tiny.jsonl", TINY_SPANS)
        ours = Way(f"import of {size / 1e6:,.0f} MB, {kind} spans", export, _import)
        anchors = (
            Way("json.loads and executemany", small, partial(_anchor, "executemany")),
            Way("DuckDB read_json into a table", export, partial(_anchor, "read_json")),
            Way("tracelift summarize (keeps nothing)", export, _tracelift),
            Way("tokenjam backfill otlp", tiny, _tokenjam),
        )
        _show(table, ours, _in_turns((ours, *anchors), folder, rounds))
        export.path.unlink()


def peer_version(name: str) -> str | None:
    """The version of a package that is installed beside, None where it is not."""
    found = next(PEERS.parent.glob(f"lib/*/site-packages/{name}-*.dist-info"), None)
    return None if found is None else found.name.removesuffix(".dist-info").rpartition("-")[2]


def _in_turns(ways: Sequence[Way], folder: Path, rounds: int) -> dict[Way, list[Ran]]:
    """What each way took in every round; one that takes too long is left out of the rest."""
    took: dict[Way, list[Ran]] = {way: [] for way in ways}
    for number in range(rounds):
        for way in tuple(took):
            target = folder / f"{number}-{ways.index(way)}"
            ran = way.read(way.file, target)
            target.unlink(missing_ok=True)
            if ran is None:
                del took[way]
            else:
                took[way].append(ran)
    return took


def _show(table: Table, ours: Way, took: dict[Way, list[Ran]]) -> None:
    runs = took.pop(ours)
    rate = _of(runs, "seconds").rate(ours.file.spans)
    row(table, ours.name, rate, "spans/s")
    row(table, "  bytes", _of(runs, "seconds").rate(ours.file.size / 1e6), "MB/s")
    row(table, "  time of all processors, a span", _of(runs, "cpu_seconds") / ours.file.spans)
    row(table, "  memory", _of(runs, "main_mb"), "MB")
    row(table, "  memory, the reading processes included", _of(runs, "all_mb"), "MB")
    for way, runs_of_way in took.items():
        part = "" if way.file is ours.file else f", first {way.file.spans:,} spans only"
        rate_of_way = _of(runs_of_way, "seconds").rate(way.file.spans)
        row(table, f"  anchor: {way.name}{part}", rate_of_way, "spans/s", ours=rate)


def _of(runs: Sequence[Ran], field: str) -> Rounds:
    return Rounds(tuple(getattr(ran, field) for ran in runs))


def _import(file: Export, target: Path) -> Ran | None:
    return run((*BUDGET_AUDIT, "import", str(file.path), "--store", str(target)))


def _anchor(name: str, file: Export, target: Path) -> Ran | None:
    return run(
        (sys.executable, "-m", "tests.benchmarks.anchors", name, str(file.path), str(target)),
        timeout_seconds=_LONGEST_SECONDS,
    )


def _tracelift(file: Export, target: Path) -> Ran | None:
    return _peer("tracelift", "summarize", str(file.path), home=target)


def _tokenjam(file: Export, target: Path) -> Ran | None:
    return _peer("tj", "backfill", "otlp", "--source-file", str(file.path), home=target)


def _peer(program: str, *arguments: str, home: Path) -> Ran | None:
    """Run a program of another package, with a home of its own for what it keeps."""
    path = PEERS / program
    if not path.exists():
        return None
    return run(
        (str(path.absolute()), *arguments),
        env={**os.environ, "HOME": f"{home}-home"},
        timeout_seconds=_LONGEST_SECONDS,
    )


def appending(table: Table, folder: Path) -> None:
    """Rows into a store, beside executemany of the same rows."""
    export = exports.write(folder / "appended.jsonl", APPENDED_BYTES, exports.LEAN_WORDS)
    batches = read_traces([str(export.path)], Content(b"k" * 32), ReadReport())
    rows = [row for batch in batches for row in batch]
    some = rows[:TINY_SPANS]
    connection = duckdb.connect(str(folder / "executemany"))
    columns = ", ".join(f"c{place} varchar" for place in range(len(some[0])))
    connection.execute(f"create table anchor ({columns})")
    marks = ", ".join("?" * len(some[0]))
    insert = f"insert into anchor values ({marks})"
    took = measure(
        {
            "ours": (lambda: Store().append(rows), 1),
            "anchor": (lambda: connection.executemany(insert, some), 1),
        }
    )
    ours = took["ours"].rate(len(rows))
    row(table, "rows of spans into a store in memory", ours, "spans/s")
    row(table, "  anchor: executemany", took["anchor"].rate(len(some)), "spans/s", ours=ours)
