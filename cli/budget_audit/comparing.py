"""The price book beside another price table, and made anew from its source."""

import re
from collections.abc import Iterable
from datetime import date
from importlib import import_module
from types import ModuleType

import click

from budget_audit.formats.prices import Comparison, Difference
from budget_audit.loading import tokencost
from otelbudget.pricing.book import PriceBook
from otelbudget.pricing.files import encode_book
from otelbudget.pricing.second_opinion import FROZE, Listed


def compare(book: PriceBook, against: str, at_ns: int) -> Comparison:
    """What another table prices otherwise at a time.

    Args:
        book: The book.
        against: "tokencost" or "genai-prices", which must be installed.
        at_ns: The time, unix nanoseconds.

    Raises:
        click.ClickException: It is not installed.
    """
    if against == "tokencost":
        table = tokencost()
        return _compared(book, table.rows(), table.name, FROZE, at_ns)
    compiler = _compiler()
    name = f"{compiler.SOURCE} {compiler.source_version()}"
    return _compared(book, compiler.source_rows(at_ns), name, None, at_ns)


def compiled(packaged: PriceBook, today: date) -> bytes | None:
    """The book of the installed genai-prices; None where that is not newer than the packaged one.

    Raises:
        click.ClickException: It is not installed.
    """
    compiler = _compiler()
    if _numbers(compiler.source_version()) <= _numbers(packaged.version):
        return None
    for name in compiler.unexplained_windows():
        click.echo(f"warning: the prices of {name} by time of day are left out", err=True)
    return encode_book(compiler.compile_book(today))


def recompiled(packaged: PriceBook) -> bytes:
    """The book of an installed genai-prices that is not newer: its day is that of the packaged one.

    Raises:
        click.ClickException: It is not installed.
    """
    compiler = _compiler()
    day = date.fromisoformat(packaged.compiled_on)
    return encode_book(compiler.compile_book(day))


def _compiler() -> ModuleType:
    try:
        return import_module("otelbudget.pricing.compile_book")
    except ImportError as error:
        raise click.ClickException(
            "genai-prices is not installed; run: pip install 'otelbudget[prices]'"
        ) from error


def _numbers(version: str) -> tuple[int, ...]:
    """A version in an order: "0.2.10" comes after "0.2.9"."""
    return tuple(int(number) for number in re.findall(r"\d+", version))


def _compared(
    book: PriceBook, rows: Iterable[Listed], theirs: str, dated: str | None, at_ns: int
) -> Comparison:
    same = missing = 0
    differences = []
    for row in rows:
        price = book.price(row.provider, row.model, at_ns)
        if price is None:
            missing += 1
            continue
        ours = (
            price.input_pusd_per_token,
            price.output_pusd_per_token,
            price.cache_read_pusd_per_token,
        )
        listed = (row.input, row.output, row.cache_read)
        # A table that states no rate for cache reads says nothing about them.
        if ours[:2] == listed[:2] and (None in (ours[2], listed[2]) or ours[2] == listed[2]):
            same += 1
        else:
            differences.append(Difference(row.provider, row.model, price.matched, ours, listed))
    return Comparison(
        f"{book.source} {book.version}",
        book.compiled_on,
        theirs,
        dated,
        same,
        missing,
        sorted(differences, key=lambda each: (each.provider or "", each.model)),
    )
