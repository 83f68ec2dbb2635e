"""budget-audit audit."""

from collections.abc import Sequence
from pathlib import Path

import click

from budget_audit import loading, options
from budget_audit.formats import documents, tables
from budget_audit.formats.rows import flat
from budget_audit.formats.write import Answer, write
from otelbudget.audit.select import keep_calls, keep_where
from otelbudget.audit.spend import KEYS, spend


class Keys(click.ParamType[tuple[str, ...]]):
    """Keys to group by, joined by commas."""

    name = "KEY,..."

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Parse the text."""
        keys = tuple(part.strip() for part in str(value).split(","))
        wrong = [key for key in keys if key not in KEYS]
        if wrong:
            self.fail(f"{wrong[0]!r} is no key; choose from {', '.join(KEYS)}", param, ctx)
        return keys


@click.command("audit")
@options.sources
@click.option(
    "--by",
    type=Keys(),
    default="model",
    show_default=True,
    help=f"Group by one or more of {', '.join(KEYS)}.",
)
@options.prices
@click.option(
    "--fallback",
    type=click.Choice(["tokencost"]),
    help="Price models that the price book does not know by tokencost (frozen in 2025-09).",
)
@options.where
@options.period
@options.output
@options.strict
def command(
    sources: Sequence[str],
    by: tuple[str, ...],
    prices_file: Path | None,
    fallback: str | None,
    where: tuple[tuple[str, str], ...],
    since: int | None,
    until: int | None,
    format_: str,
    output: str,
    strict: bool,
) -> None:
    """Answer what was spent, on what, and what the numbers leave out.

    Each model call counts once: where a parent repeats what its children used, or two
    instrumentations saw one call, it is not added again.

    \b
    Example:
      budget-audit audit traces.jsonl --by model,agent
    """
    loading.refuse_source(output, sources)
    other = loading.tokencost() if fallback else None
    store, report, book = loading.load(sources, loading.own_book(prices_file, fallback=other))
    keep_where(store, where)
    keep_calls(store, since, until)
    result = spend(store, by)
    document = documents.audit(result, report, book)
    answer = Answer(tables.audit(result, by), document, flat(documents.audit_groups(result)))
    write(answer, format_=format_, output=output)
    loading.warn(report, strict=strict)
