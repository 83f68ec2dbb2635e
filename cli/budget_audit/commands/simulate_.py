"""budget-audit simulate."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import click
from click.core import ParameterSource

from budget_audit import loading, options, replaying, supposing, sweeping
from budget_audit.formats import simulations
from budget_audit.formats.rows import flat
from budget_audit.formats.tables import runs_counted
from budget_audit.formats.write import Answer, write
from otelbudget.audit.replay import OnStop
from otelbudget.audit.spend import input_facts
from otelbudget.audit.sweep import (
    MOST_BY_ENGINE,
    SweepPoint,
    is_without_feedback,
    log_spaced,
    sweep,
)
from otelbudget.audit.whatif import WhatIf
from otelbudget.budgets.config import Budget, Budgets, LimitKind
from otelbudget.errors import BudgetConfigError
from otelbudget.pricing.billing import UnknownModel

_Range = tuple[LimitKind, Decimal, Decimal, int]


@click.command("simulate")
@options.sources
@click.option(
    "--limit",
    "limits",
    type=options.Limit(),
    multiple=True,
    help="A limit: cost_usd=0.50, tokens=20000, calls=20, tool_calls=10, seconds=60 or that of a "
    "class of tokens; may be given for each kind.",
)
@click.option(
    "--scope",
    type=options.Scope(),
    default="trace",
    show_default=True,
    help="What --limit and --sweep are counted by: trace, run, process, any key such as tenant.id, "
    "or several joined by commas.",
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
@supposing.what_ifs
@options.on_stop
@options.success
@options.prices
@options.where
@options.period
@options.output
@options.strict
def command(
    sources: Sequence[str],
    limits: tuple[tuple[LimitKind, str], ...],
    scope: tuple[str, ...],
    file: Path | None,
    range_: _Range | None,
    what_if: WhatIf,
    on_stop: str,
    success: tuple[str, str] | None,
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
    recorded up to its stop; --on-stop says what a stop ends. With --limit, a model without a known price counts nothing toward a
    money limit; a budgets file says what it counts.

    \b
    Example:
      budget-audit simulate traces.jsonl --limit cost_usd=0.50
      budget-audit simulate traces.jsonl --limit cost_usd=10 --scope tenant.id
      budget-audit simulate traces.jsonl --budgets budgets.yaml
      budget-audit simulate traces.jsonl --sweep cost_usd=0.05:2:40
      budget-audit simulate traces.jsonl --limit cost_usd=0.50 --reprice gpt-4o=gpt-4o-mini
    """
    budgets, swept = _budgets(limits, scope, file, range_), _swept(scope, range_)
    loading.refuse_source(output, sources)
    asked = replaying.Asked(
        budgets,
        swept,
        where,
        since,
        until,
        success,
        has_tiers=bool(file),
        what_if=what_if,
        on_stop=OnStop(on_stop),
    )
    loaded = loading.load(sources, loading.own_book(prices_file, budgets))
    if range_ is not None and sweeping.is_for_database(loaded, asked, range_[0]):
        simulation = sweeping.swept(loaded, asked, range_[0], log_spaced(*range_))
    else:
        found = replaying.of(loaded, asked)
        simulation = _simulation(found, range_)
        found.say_unused_tiers()
    facts = input_facts(loaded.store)
    document = simulations.document(simulation, facts, loaded.report)
    rows = flat(document["sweep"] or simulations.stopped(simulation.replay))
    write(Answer(simulations.table(simulation), document, rows), format_=format_, output=output)
    loading.warn(loaded.report, strict=strict)


def _simulation(found: replaying.Replayable, range_: _Range | None) -> simulations.Simulation:
    """What the budgets, and the limits of the sweep, would have done."""
    budgets, swept = found.asked.budgets, found.asked.swept
    result = found.replay(budgets)
    points: Sequence[SweepPoint] = ()
    if range_ is not None and swept is not None:
        points = _points(found, swept, range_)
    return simulations.Simulation(
        result,
        budgets,
        runs_counted(found.recording.runs),
        points,
        found.false_stops(result),
        found.graduations() if found.asked.has_tiers else (),
        _enforced(found),
        found.assumptions,
        found.base(),
    )


def _enforced(found: replaying.Replayable) -> simulations.Enforced | None:
    """What the budgets would have done if those in audit mode enforced."""
    result = found.if_enforced()
    return None if result is None else simulations.Enforced(result, found.false_stops(result))


def _points(found: replaying.Replayable, swept: Budget, range_: _Range) -> Sequence[SweepPoint]:
    """What each of the limits would have done."""
    _refuse_long(found, swept, range_)
    limits, on_stop = log_spaced(*range_), found.asked.on_stop
    return sweep(
        found.store, found.recording, swept, range_[0], limits, found.verdicts, on_stop=on_stop
    )


def _refuse_long(found: replaying.Replayable, swept: Budget, range_: _Range) -> None:
    """Refuse a sweep that the engine would have to answer limit by limit for too long."""
    kind, *_, count = range_
    asked = found.recording, swept, kind, found.asked.on_stop
    if count > MOST_BY_ENGINE and not is_without_feedback(*asked):
        raise click.UsageError(
            f"--sweep of {count} limits on {kind} per {', '.join(swept.per or ())} needs a replay "
            f"for each; ask for {MOST_BY_ENGINE} at most"
        )


def _swept(scope: Sequence[str], range_: _Range | None) -> Budget | None:
    if range_ is None:
        return None
    kind, lowest, *_ = range_
    return _budget([(kind, str(lowest))], scope, "sweep")


def _budget(limits: Sequence[tuple[LimitKind, str]], scope: Sequence[str], name: str) -> Budget:
    try:
        return options.budget_of(limits, scope, name)
    except BudgetConfigError as error:
        raise click.UsageError(str(error)) from error


def _budgets(
    limits: tuple[tuple[LimitKind, str], ...],
    scope: Sequence[str],
    file: Path | None,
    range_: _Range | None,
) -> Budgets:
    if file is not None:
        if limits:
            raise click.UsageError("give --limit or --budgets, not both")
        given = click.get_current_context().get_parameter_source("scope")
        if range_ is None and given is ParameterSource.COMMANDLINE:
            raise click.UsageError(
                "--scope goes with --limit and --sweep; in a budgets file `per` says it"
            )
        return Budgets.from_yaml(file)
    if limits:
        kinds = [kind for kind, _ in limits]
        if len(set(kinds)) < len(kinds):
            raise click.UsageError("give each kind of --limit once; --sweep tries many")
        return Budgets((_budget(limits, scope, "limit"),), UnknownModel.ALLOW)
    if range_ is None:
        raise click.UsageError(
            "say what to replay: --limit cost_usd=0.50, --budgets FILE or --sweep"
        )
    return Budgets((), UnknownModel.ALLOW)
