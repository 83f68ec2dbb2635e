"""budget-audit focus."""

from collections.abc import Sequence
from pathlib import Path

import click

from budget_audit import loading, noting, options
from budget_audit.formats import focus
from budget_audit.formats.values import counted
from budget_audit.formats.write import csv_text, write_text
from otelbudget.audit.focus import Charge, charges
from otelbudget.audit.keys import UnknownKeyError, parse_keys
from otelbudget.audit.select import keep_calls, keep_where
from otelbudget.audit.spend import input_facts
from otelbudget.budgets.scopes import NONE
from otelbudget.pricing.book import PriceBook
from otelbudget.store.store import Store


@click.command("focus")
@options.sources
@click.option(
    "--by",
    metavar="KEY,...",
    help="Keys to divide by and write as tags: agent, workflow, service, user or any attribute, such "
    "as tenant.id, joined by commas.",
)
@options.prices
@options.where
@options.period
@click.option(
    "--format",
    type=click.Choice(["csv"]),
    default="csv",
    expose_value=False,
    help="How to write the rows; FOCUS rows are CSV.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, allow_dash=True),
    default="-",
    help="Write the rows to a file instead of standard output.",
)
@options.strict
def command(
    sources: Sequence[str],
    by: str | None,
    prices_file: Path | None,
    where: tuple[tuple[str, str], ...],
    since: int | None,
    until: int | None,
    output: str,
    strict: bool,
) -> None:
    """Write what was spent as FOCUS rows (CSV), for the tools of finance.

    A row for each day in UTC, model, class of tokens and value of the keys. Costs are list costs:
    what the tokens cost by published rates, without discounts, credits or taxes. This is no invoice.

    \b
    Example:
      budget-audit focus traces.jsonl --by tenant.id,workflow -o focus.csv
    """
    loading.refuse_source(output, sources)
    try:
        keys = parse_keys(by) if by else ()
    except UnknownKeyError as error:
        raise click.UsageError(str(error)) from error
    store, report, book = loading.load(sources, loading.own_book(prices_file))
    keep_where(store, where)
    keep_calls(store, since, until)
    found = _charges(store, book, keys)
    noting.note_untold(report, [key for key in keys if found and _is_untold(key, found)])
    if not found:
        noting.note_no_calls(report, input_facts(store), where, since, until)
    unpriced = sum(each.list_cost_pusd is None for each in found)
    if unpriced:
        report.warn(
            "unpriced_rows",
            f"{counted(unpriced, 'row')} of models without a known price have no cost",
        )
    if any(each.day is None for each in found):
        report.warn("rows_without_time", "calls without a time are in rows without a charge period")
    write_text(csv_text(focus.rows(found, f"{book.source} {book.version}")), output)
    loading.warn(report, strict=strict)


def _charges(store: Store, book: PriceBook, keys: Sequence[str]) -> Sequence[Charge]:
    try:
        return list(charges(store, book, keys))
    except UnknownKeyError as error:
        raise click.BadParameter(str(error), param_hint="--by") from error


def _is_untold(key: str, found: Sequence[Charge]) -> bool:
    """Whether no call has a value for a key."""
    return all(each.tags.get(key) == NONE for each in found)
