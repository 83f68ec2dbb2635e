"""From the sources on the command line to a store of model calls that can be asked."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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

from budget_audit import options
from budget_audit.formats.values import counted
from otelbudget.audit import sources as audit_sources
from otelbudget.audit.sources import Loaded as Loaded  # noqa: PLC0414 - given on
from otelbudget.budgets.config import Budgets, read_prices
from otelbudget.ingest import MAX_BYTES, ReadReport, expand
from otelbudget.pricing.book import Fallback, PriceBook
from otelbudget.pricing.second_opinion import TokencostMissingError, TokencostPrices
from otelbudget.store.store import Store


def load(sources: Sequence[str], book: PriceBook | None = None) -> Loaded:
    """Read all sources and count their model calls, showing how far it is.

    Args:
        sources: The sources on the command line.
        book: The prices to use; list prices by default.

    Raises:
        TraceReadError: Nothing in them could be read.
        StoreError: A store cannot be read.
    """
    with _shown(sources) as progress:
        loaded = audit_sources.load(sources, book, **_reading(progress))
    if context := click.get_current_context(silent=True):
        context.call_on_close(loaded.store.close)
    return loaded


def read(
    sources: Sequence[str], *, into: Store | None = None, keep: bool = False
) -> tuple[Store, ReadReport]:
    """Read all sources into a store, showing how far it is.

    Raises:
        TraceReadError: Nothing in them could be read.
        StoreError: A store cannot be read.
    """
    with _shown(sources) as progress:
        return audit_sources.read(sources, into=into, keep=keep, **_reading(progress))


def _reading(progress: Callable[[int, int], None]) -> dict[str, Any]:
    """How sources are read here: with all cores, and saying what is waited for."""
    context = click.get_current_context(silent=True)
    return {
        "progress": progress,
        "on_wait": lambda path: click.echo(
            f"waiting for another process to let go of {path} ...", err=True
        ),
        "processes": os.cpu_count() or 1,
        "max_bytes": context.meta.get(options.MAX_BYTES, MAX_BYTES) if context else MAX_BYTES,
    }


@contextmanager
def _shown(sources: Sequence[str]) -> Iterator[Callable[[int, int], None]]:
    """Shows how far reading is, in a terminal; told of the bytes and spans read so far."""
    sizes = [Path(source).stat().st_size for source in expand(sources) if Path(source).is_file()]
    columns = (
        SpinnerColumn(),
        TextColumn("reading"),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[spans]:,} spans"),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True)
    is_shown = sys.stderr.isatty() and bool(sizes or "-" in sources)
    with Progress(*columns, console=console, transient=True, disable=not is_shown) as bar:
        task = bar.add_task("reading", total=sum(sizes) or None, spans=0)
        yield lambda size, spans: bar.update(task, completed=size, spans=spans)


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
