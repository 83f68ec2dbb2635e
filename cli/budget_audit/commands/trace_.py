"""budget-audit trace."""

from collections.abc import Sequence
from pathlib import Path

import click

from budget_audit import loading, options
from budget_audit.formats import traces
from budget_audit.formats.rows import flat
from budget_audit.formats.write import Answer, write
from otelbudget.audit.recorded import recorded
from otelbudget.audit.spend import input_facts
from otelbudget.audit.stops import first_stop
from otelbudget.audit.trace import find_trace, trace_tree
from otelbudget.budgets.config import LimitKind


@click.command("trace")
@options.sources
@click.argument("trace_id", metavar="TRACE_ID")
@options.limits
@options.prices
@options.output
@options.strict
def command(
    sources: Sequence[str],
    trace_id: str,
    limits: tuple[tuple[LimitKind, str], ...],
    file: Path | None,
    prices_file: Path | None,
    format_: str,
    output: str,
    strict: bool,
) -> None:
    """Show one trace: the tree of its spans, what each used, cost and brought the total to.

    The beginning of an id is enough where it is the only one. With --limit or --budgets the first
    call that would have been refused is marked, by the engine that enforces live.

    \b
    Example:
      budget-audit trace traces.jsonl 8848c1f0
      budget-audit trace traces.jsonl 8848c1f0 --limit cost_usd=0.50
    """
    loading.refuse_source(output, sources)
    budgets = options.limited(limits, file)
    store, report, book = loading.load(sources, loading.own_book(prices_file, budgets))
    tree = trace_tree(store, find_trace(store, trace_id))
    stop = None
    if budgets is not None:
        recording = recorded(store, book, budgets.budgets, budgets.unknown_model)
        stop = first_stop(recording, budgets, tree.trace_id)
    shown = traces.Shown(tree, budgets, stop)
    document = traces.document(shown, input_facts(store), report)
    write(
        Answer(traces.table(shown), document, flat(document["spans"])),
        format_=format_,
        output=output,
    )
    loading.warn(report, strict=strict)
