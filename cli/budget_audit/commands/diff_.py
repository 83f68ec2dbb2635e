"""budget-audit diff."""

from decimal import Decimal
from pathlib import Path

import click

from budget_audit import loading, options
from budget_audit.app import EXIT_GATE_FAILED
from budget_audit.formats import diffs
from budget_audit.formats.rows import flat
from budget_audit.formats.write import Answer, write
from otelbudget.audit.diff import compare
from otelbudget.audit.select import keep_where
from otelbudget.audit.spend import input_facts

_NOTHING = "no workflow has runs of a known cost on both sides to compare"


@click.command("diff")
@click.argument("base", metavar="BASE")
@click.argument("head", metavar="HEAD")
@click.option(
    "--fail-over",
    type=options.Rise(),
    help="Exit 3 where the median cost of a run rose by more than this, and by more than chance: "
    "10%.",
)
@options.prices
@options.where
@options.output
@options.strict
def command(
    base: str,
    head: str,
    fail_over: Decimal | None,
    prices_file: Path | None,
    where: tuple[tuple[str, str], ...],
    format_: str,
    output: str,
    strict: bool,
) -> None:
    """Compare the runs of two sources: what do they call, use and cost now, and before.

    By workflow, which is the name of the root span, and by model. A change is more than chance
    where runs divided at random seldom differ as much (permutation test, corrected for all tests).
    BASE and HEAD are a file, folder, glob or DuckDB store each.

    \b
    Example:
      budget-audit diff main.jsonl branch.jsonl
      budget-audit diff main.jsonl branch.jsonl --fail-over 10%
    """
    loading.refuse_source(output, [base, head])
    book = loading.own_book(prices_file)
    sides = [loading.load([source], book) for source in (base, head)]
    for side in sides:
        keep_where(side.store, where)
    before, after = (diffs.Source(input_facts(side.store), side.report) for side in sides)
    comparison = compare(*(side.store for side in sides))
    compared = diffs.Compared(comparison, before, after, fail_over)
    is_nothing = all(each.ratio is None for each in comparison.changes)
    if is_nothing:
        sides[-1].report.warn("nothing_compared", _NOTHING)
    document = diffs.document(compared)
    write(
        Answer(diffs.table(compared), document, flat(diffs.changes(compared))),
        format_=format_,
        output=output,
    )
    for side in sides:
        loading.warn(side.report, strict=strict)
    if strict and is_nothing:
        raise click.ClickException(f"{_NOTHING} (--strict)")
    if compared.failing:
        raise click.exceptions.Exit(EXIT_GATE_FAILED)
