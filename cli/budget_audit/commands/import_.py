"""budget-audit import."""

import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import click

from budget_audit import loading, options
from budget_audit.formats import documents, tables
from budget_audit.formats.rows import flat
from budget_audit.formats.write import Answer, write
from otelbudget.audit.calls import distinct_spans
from otelbudget.audit.spend import input_facts
from otelbudget.store.parquet import write as write_parquet
from otelbudget.store.store import Store


@click.command("import")
@options.sources
@click.option(
    "--store",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    help="DuckDB file to add the spans to; made where there is none.",
)
@click.option(
    "--parquet",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write the spans to as a Parquet file; made where there is none.",
)
@click.option(
    "--content",
    type=click.Choice(["drop", "keep"]),
    default="drop",
    show_default=True,
    help="Whether message content and other long texts are kept, or their sizes and hashes only.",
)
@options.output
@options.strict
def command(
    sources: Sequence[str],
    target: Path | None,
    parquet: Path | None,
    content: str,
    format_: str,
    output: str,
    strict: bool,
) -> None:
    """Read traces into a DuckDB store, or into Parquet files.

    All spans are added in one step: after a failed or interrupted import the store is as it was.
    Spans that the store has in just this form are not added again.

    \b
    Example:
      budget-audit import traces/ --store traces.duckdb
    """
    if target is None and parquet is None:
        raise click.UsageError("say where to: --store FILE, --parquet DIR or both")
    loading.refuse_source(output, sources)
    store = Store.beside(target) if target else Store(Path(tempfile.gettempdir()))
    with closing(store):
        _, report = loading.read(sources, into=store, keep=content == "keep")
        distinct_spans(store)
        facts = input_facts(store)
        written = write_parquet(store, parquet) if parquet else None
        added = store.save(target) if target else store.count()
    to = [str(each) for each in (target, written) if each]
    document = documents.import_(report, facts, to, added)
    rows = flat([{"store": to[0], **document["input"]}])
    write(
        Answer(tables.import_(report, facts, to, added), document, rows),
        format_=format_,
        output=output,
    )
    loading.warn(report, strict=strict)
