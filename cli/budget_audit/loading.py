"""From the sources on the command line to a store of model calls that can be asked."""

import secrets
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from budget_audit.formats.values import counted
from otelbudget.audit.calls import build_model_calls
from otelbudget.budgets.config import Budgets, read_prices
from otelbudget.errors import StoreBusyError, StoreError, TraceReadError
from otelbudget.ingest import ReadReport, expand, is_store, read_traces
from otelbudget.pricing.book import Fallback, PriceBook
from otelbudget.pricing.second_opinion import TokencostMissingError, TokencostPrices
from otelbudget.store.spans import Content
from otelbudget.store.store import Store

DUCKDB_FORMAT = "duckdb"
_QUIET_SECONDS = 1.0


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


def load(sources: Sequence[str], book: PriceBook | None = None) -> Loaded:
    """Read all sources and count their model calls.

    Args:
        sources: The sources on the command line.
        book: The prices to use; list prices by default.

    Raises:
        TraceReadError: Nothing in them could be read.
        StoreError: A store cannot be read.
    """
    book = book or PriceBook.load()
    store, report = read(sources)
    stale = book.staleness(time.time_ns())
    if stale is not None:
        report.warn("stale_prices", stale)
    faults = build_model_calls(store, book)
    if faults:
        report.warn(
            "unreadable_counts", "a token count that is no count, such as NaN, was ignored", faults
        )
    return Loaded(store, report, book)


def own_book(
    file: Path | None, budgets: Budgets | None = None, *, fallback: Fallback | None = None
) -> PriceBook:
    """The prices that a command uses: of `--prices`, else of its budgets file, else the list's.

    Raises:
        BudgetConfigError: A key or value of the file is not allowed.
    """
    overrides = None if budgets is None else budgets.prices
    return PriceBook.load(overrides if file is None else read_prices(file), fallback=fallback)


def tokencost() -> TokencostPrices:
    """The table of the installed tokencost.

    Raises:
        click.ClickException: It is not installed.
    """
    try:
        return TokencostPrices.load()
    except TokencostMissingError as error:
        raise click.ClickException(str(error)) from error


def read(sources: Sequence[str]) -> tuple[Store, ReadReport]:
    """Read all sources into a store in memory.

    Raises:
        TraceReadError: Nothing in them could be read.
        StoreError: A store cannot be read.
    """
    store, report = Store(), ReadReport()
    paths = expand(sources)
    stores = [path for path in paths if isinstance(path, Path) and is_store(path)]
    others = [str(path) for path in paths if path not in stores]
    fault: StoreError | None = None
    for path in stores:
        try:
            report.spans += _copy(store, path)
        except StoreError as error:
            fault = fault or error
            report.unreadable += 1
            report.warn("unreadable_file", str(error))
            continue
        report.formats[DUCKDB_FORMAT] = report.formats.get(DUCKDB_FORMAT, 0) + 1
    report.files += len(stores)
    if others:
        _read_files(others, store, report)
    elif fault is not None and not report.formats:
        raise fault
    return store, report


def _copy(store: Store, path: Path) -> int:
    """Add a store's spans; says so when another process keeps us waiting."""
    try:
        return store.copy_from(path, timeout_seconds=_QUIET_SECONDS)
    except StoreBusyError:
        click.echo(f"waiting for another process to let go of {path} ...", err=True)
        return store.copy_from(path)


def _read_files(files: Sequence[str], store: Store, report: ReadReport) -> None:
    content = Content(secrets.token_bytes(32))
    total = sum(Path(file).stat().st_size for file in files if Path(file).is_file())
    is_shown = sys.stderr.isatty() and any(file == "-" or Path(file).exists() for file in files)
    columns = (
        SpinnerColumn(),
        TextColumn("reading"),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[spans]:,} spans"),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not is_shown) as bar:
        task = bar.add_task("reading", total=total or None, spans=0)
        try:
            for rows in read_traces(
                files,
                content,
                report,
                progress=lambda size, spans: bar.update(task, completed=size, spans=spans),
            ):
                store.append(rows)
        except TraceReadError:
            if not report.spans:  # where a store gave spans, a bad file is a warning
                raise
            report.unreadable += 1


def refuse_source(output: str | None, sources: Sequence[str]) -> None:
    """Refuse to write an answer over the traces it is about.

    Raises:
        click.UsageError: The output is one of the sources.
    """
    if output not in (None, "-") and Path(str(output)).exists():
        for path in expand(sources):
            if isinstance(path, Path) and path.exists() and path.samefile(str(output)):
                raise click.UsageError(
                    f"--output {output} is one of the sources; name another file"
                )


def warn(report: ReadReport, *, strict: bool) -> None:
    """Write what could not be read to standard error; fail on it where that is asked for.

    Raises:
        click.ClickException: Something could not be read and `strict` is set.
    """
    for warning in report.warnings:
        times = f" ({warning.count:,} times)" if warning.count > 1 else ""
        click.echo(f"warning: {warning.code}: {warning.example}{times}", err=True)
    if strict and report.unreadable:
        records = counted(report.unreadable, "record")
        raise click.ClickException(f"{records} could not be read (--strict)")
