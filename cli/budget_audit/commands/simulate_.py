"""budget-audit simulate."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import click

from budget_audit import loading, options
from budget_audit.formats import documents, tables
from budget_audit.formats.rows import flat
from budget_audit.formats.write import Answer, write
from otelbudget.audit.replay import (
    REPLAYED_KINDS,
    RecordedCall,
    false_stops,
    recorded_calls,
    replay,
)
from otelbudget.audit.select import keep_scopes, keep_where
from otelbudget.audit.spend import input_facts
from otelbudget.audit.sweep import log_spaced, sweep
from otelbudget.budgets.config import Budgets, LimitKind
from otelbudget.ingest import ReadReport
from otelbudget.pricing.billing import UnknownModel


@click.command("simulate")
@options.sources
@click.option(
    "--limit",
    "limits",
    type=options.Limit(),
    multiple=True,
    help="A limit per trace: cost_usd=0.50, tokens=20000 or calls=20; may be given for each kind.",
)
@click.option(
    "--scope",
    type=click.Choice(["trace"]),
    default="trace",
    show_default=True,
    help="What --limit is counted by.",
)
@click.option(
    "--budgets",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A budgets file to replay instead of --limit.",
)
@click.option(
    "--sweep",
    "range_",
    type=options.SweepRange(),
    help="Many limits of one kind, evenly spaced in the logarithm: cost_usd=0.05:2:40.",
)
@options.prices
@options.where
@options.period
@options.output
@options.strict
def command(
    sources: Sequence[str],
    limits: tuple[tuple[LimitKind, str], ...],
    scope: str,  # noqa: ARG001 - "trace" is the only choice so far
    file: Path | None,
    range_: tuple[LimitKind, Decimal, Decimal, int] | None,
    prices_file: Path | None,
    where: tuple[tuple[str, str], ...],
    since: int | None,
    until: int | None,
    format_: str,
    output: str,
    strict: bool,
) -> None:
    """Replay limits over recorded traces: what would they have stopped and saved.

    The engine is the one that enforces live. It is assumed that a run would have gone on as
    recorded up to its stop. With --limit, a model without a known price counts nothing toward a
    money limit; a budgets file says what it counts.

    \b
    Example:
      budget-audit simulate traces.jsonl --limit cost_usd=0.50
      budget-audit simulate traces.jsonl --sweep cost_usd=0.05:2:40
    """
    budgets = _budgets(limits, file, range_)
    loading.refuse_source(output, sources)
    store, report, book = loading.load(sources, loading.own_book(prices_file, budgets))
    keep_where(store, where)
    keep_scopes(store, since, until)
    calls, timeless = recorded_calls(store, book, budgets.unknown_model)
    _note_unpriced(report, calls, budgets)
    _note_not_replayed(report, budgets)
    result = replay(calls, budgets, timeless)
    points = () if range_ is None else sweep(store, calls, range_[0], log_spaced(*range_))
    good = false_stops(store, result)
    document = documents.simulate(
        result, budgets, input_facts(store), report, sweep=points, false_stops=good
    )
    rows = flat(document["sweep"] or documents.simulate_stopped(result))
    table = tables.simulate(result, points, good)
    write(Answer(table, document, rows), format_=format_, output=output)
    loading.warn(report, strict=strict)


def _note_unpriced(report: ReadReport, calls: Sequence[RecordedCall], budgets: Budgets) -> None:
    unpriced = [call.charge.model for call in calls if call.charge.list_cost_pusd is None]
    if unpriced:
        counts = "nothing" if budgets.unknown_model is UnknownModel.ALLOW else "a ceiling price"
        report.warn(
            "unpriced_calls",
            f"calls of {unpriced[0]!r} have no known price and count {counts} toward money limits",
            len(unpriced),
        )


def _note_not_replayed(report: ReadReport, budgets: Budgets) -> None:
    """Say which parts of a budgets file a replay of recorded calls leaves out."""
    for budget in budgets.budgets:
        left_out = [f"max_{kind}" for kind in budget.limits if kind not in REPLAYED_KINDS]
        left_out += ["reserve"] if budget.reserve else []
        if left_out:
            report.warn(
                "not_replayed",
                f"{', '.join(left_out)} of budget {budget.name!r} acts live only; the replay "
                "decides by its other limits, without holding estimates",
                len(left_out),
            )


def _budgets(
    limits: tuple[tuple[LimitKind, str], ...],
    file: Path | None,
    range_: tuple[LimitKind, Decimal, Decimal, int] | None,
) -> Budgets:
    if file is not None:
        if limits:
            raise click.UsageError("give --limit or --budgets, not both")
        return Budgets.from_yaml(file)
    if limits:
        kinds = [kind for kind, _ in limits]
        if len(set(kinds)) < len(kinds):
            raise click.UsageError("give each kind of --limit once; --sweep tries many")
        return Budgets((options.budget_of(list(limits)),), UnknownModel.ALLOW)
    if range_ is None:
        raise click.UsageError(
            "say what to replay: --limit cost_usd=0.50, --budgets FILE or --sweep"
        )
    return Budgets((), UnknownModel.ALLOW)
