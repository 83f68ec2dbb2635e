"""From what the user names to a store that can be asked."""

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from otelbudget.audit.calls import build_model_calls
from otelbudget.errors import StoreBusyError, StoreError
from otelbudget.genai.reading import MAX_TOKENS
from otelbudget.ingest import MAX_BYTES, Progress, ReadReport, expand, is_store
from otelbudget.ingest.filling import fill
from otelbudget.pricing.book import PriceBook
from otelbudget.store import spill, sql
from otelbudget.store.store import READ_TIMEOUT_SECONDS, Store

_load = partial(sql.load, "otelbudget.audit")
_DUCKDB = "duckdb"
_QUIET_SECONDS = 1.0
_LONGEST_SHOWN = 60
_LARGE_BYTES = 1 << 26
_Used = TypeVar("_Used")


class Loaded(NamedTuple):
    """What the sources held.

    Attributes:
        store: Their spans and model calls.
        report: What reading them found.
        book: The prices used.
    """

    store: Store
    report: ReadReport
    book: PriceBook


def load(sources: Sequence[str], book: PriceBook | None = None, **reading: Any) -> Loaded:
    """Read all sources and count their model calls.

    Args:
        sources: Files, folders, globs, DuckDB stores, "-" for standard input.
        book: The prices to use; list prices by default.
        reading: As `read` takes it.

    Raises:
        TraceReadError: Nothing in them could be read.
        StoreError: A store cannot be read.
    """
    book = book or PriceBook.load()
    store, report = read(sources, **reading)
    stale = book.staleness(time.time_ns())
    if stale is not None:
        report.warn("stale_prices", stale)
    faults = build_model_calls(store, book)
    if faults:
        report.warn("unreadable_counts", _first_fault(store), faults)
    return Loaded(store, report, book)


def _first_fault(store: Store) -> str:
    """Names the first token count that is none, and what a count is."""
    key, trace_id, span_id, attributes = store.row(_load("first_faulty_value"))
    value = msgspec.json.encode(msgspec.json.decode(attributes).get(key)).decode()
    shown = value if len(value) <= _LONGEST_SHOWN else f"{value[:_LONGEST_SHOWN]}..."
    return (
        f"span {span_id} of trace {trace_id}: {key} is {shown}, which is no token count and was "
        f"ignored; a count is a whole number from 0 to {MAX_TOKENS:,}"
    )


def read(  # noqa: PLR0913 - two that matter, the others have a default
    sources: Sequence[str],
    *,
    into: Store | None = None,
    keep: bool = False,
    on_wait: Callable[[Path], None] | None = None,
    progress: Progress | None = None,
    max_bytes: int = MAX_BYTES,
    processes: int = 1,
) -> tuple[Store, ReadReport]:
    """Read all sources: one store as it is, anything else into a store of its own.

    Args:
        sources: Files, folders, globs, DuckDB stores, "-" for standard input.
        into: A store to add everything to.
        keep: Keep message content and long texts of files.
        on_wait: Called with the path of a store that another process holds, once.
        progress: Called with the bytes read from files so far and the spans read from them.
        max_bytes: As `read_traces` takes it.
        processes: How many processes may read large files.

    Raises:
        TraceReadError: Nothing in them could be read.
        StoreError: A store cannot be read.
    """
    report = ReadReport()
    paths = expand(sources)
    stores = [path for path in paths if isinstance(path, Path) and is_store(path)]
    others = [str(path) for path in paths if path not in stores]
    if into is None and len(stores) == 1 and not others:
        store = _open(stores[0], on_wait)
        report.spans = store.count()
        _found(report)
        return store, report
    store = into or _empty(paths)
    with ExitStack() as undoing:
        undoing.callback(store.close)
        fault = _copy(store, stores, report, on_wait)
        if others:
            fill(
                store,
                others,
                report,
                keep=keep,
                progress=progress,
                max_bytes=max_bytes,
                processes=processes,
            )
        elif fault is not None and not report.formats:
            raise fault
        undoing.pop_all()
    return store, report


def _open(path: Path, on_wait: Callable[[Path], None] | None) -> Store:
    """A store as it is; a copy of it where something waits beside it that cannot be moved in."""
    if spill.take_in(path):
        return _in_turn(partial(Store.of, path), path, on_wait)
    with ExitStack() as undoing:
        store = _empty([path])
        undoing.callback(store.close)
        _in_turn(partial(store.copy_from, path), path, on_wait)
        undoing.pop_all()
    return store


def _copy(
    store: Store,
    paths: Sequence[Path],
    report: ReadReport,
    on_wait: Callable[[Path], None] | None,
) -> StoreError | None:
    """Add the spans of stores; returns why the first that cannot be read cannot be."""
    first: StoreError | None = None
    for path in paths:
        try:
            report.spans += _in_turn(partial(store.copy_from, path), path, on_wait)
        except StoreError as error:
            first = first or error
            report.files += 1
            report.unreadable += 1
            report.warn("unreadable_file", str(error), file=str(path))
            continue
        _found(report)
    return first


def _found(report: ReadReport) -> None:
    report.files += 1
    report.formats[_DUCKDB] = report.formats.get(_DUCKDB, 0) + 1


def _in_turn(
    use: Callable[..., _Used], path: Path, on_wait: Callable[[Path], None] | None
) -> _Used:
    """What using a store gives; tells when another process keeps us waiting."""
    try:
        return use(timeout_seconds=_QUIET_SECONDS)
    except StoreBusyError:
        if on_wait:
            on_wait(path)
        return use(timeout_seconds=READ_TIMEOUT_SECONDS)


def _empty(paths: Sequence[Path | str]) -> Store:
    """A store for the spans of some files: on disk where they may be too many for memory."""
    return Store(Path(tempfile.gettempdir()) if _are_large(paths) else None)


def _are_large(paths: Sequence[Path | str]) -> bool:
    """Whether the spans of some files may be too many for memory; of what is no file, they may."""
    total = 0
    for path in paths:
        if not isinstance(path, Path):
            return True
        with suppress(OSError):
            total += path.stat().st_size
    return total > _LARGE_BYTES
