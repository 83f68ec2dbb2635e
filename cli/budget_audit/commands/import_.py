"""budget-audit import."""

from collections.abc import Sequence
from pathlib import Path

import click

from budget_audit import loading, options
from budget_audit.formats import documents, tables
from budget_audit.formats.rows import flat
from budget_audit.formats.write import Answer, write
from otelbudget.audit.calls import distinct_spans
from otelbudget.audit.spend import input_facts


@click.command("import")
@options.sources
@click.option(
    "--store",
    "target",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="DuckDB file to add the spans to; made where there is none.",
)
@options.output
@options.strict
def command(
    sources: Sequence[str],
    target: Path,
    format_: str,
    output: str,
    strict: bool,
) -> None:
    """Read traces into a DuckDB store.

    All spans are added in one step: after a failed or interrupted import the store is as it was.

    \b
    Example:
      budget-audit import traces/ --store traces.duckdb
    """
    loading.refuse_source(output, sources)
    store, report = loading.read(sources)
    distinct_spans(store)
    facts = input_facts(store)
    store.save(target)
    document = documents.import_(report, facts, str(target))
    rows = flat([{"store": str(target), **document["input"]}])
    write(
        Answer(tables.import_(report, facts, str(target)), document, rows),
        format_=format_,
        output=output,
    )
    loading.warn(report, strict=strict)
