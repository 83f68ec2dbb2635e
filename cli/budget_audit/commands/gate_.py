"""budget-audit gate."""

from collections.abc import Sequence
from pathlib import Path

import click

from budget_audit import loading, options, replaying
from budget_audit.app import EXIT_GATE_FAILED
from budget_audit.formats import gates
from budget_audit.formats.junit import xml
from budget_audit.formats.rows import flat
from budget_audit.formats.values import counted
from budget_audit.formats.write import Answer, write, write_text
from otelbudget.audit.gate import violations
from otelbudget.audit.spend import input_facts
from otelbudget.budgets.config import Budgets


@click.command("gate")
@click.argument("sources", nargs=-1, metavar="SRC...")
@click.option(
    "--budgets",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The budgets file.",
)
@click.option(
    "--junit",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write JUnit XML to this file: a test case for each budget and kind of limit.",
)
@click.option("--config-only", is_flag=True, help="Check the budgets file and read no traces.")
@options.success
@options.prices
@options.where
@options.period
@options.output
@options.strict
def command(
    sources: Sequence[str],
    file: Path,
    junit: Path | None,
    config_only: bool,
    success: tuple[str, str] | None,
    prices_file: Path | None,
    where: tuple[tuple[str, str], ...],
    since: int | None,
    until: int | None,
    format_: str,
    output: str,
    strict: bool,
) -> None:
    """Fail where recorded runs pass their budgets: for CI.

    Exits 3 where usage is above a limit, or where a call would have been refused. What passes
    budgets in audit mode is listed, and does not fail. With --strict it exits 1 where there was
    nothing to judge.

    \b
    Example:
      budget-audit gate traces.jsonl --budgets budgets.yaml
      budget-audit gate traces.jsonl --budgets budgets.yaml --junit budgets.xml
      budget-audit gate --config-only --budgets budgets.yaml
    """
    budgets = Budgets.from_yaml(file)
    if config_only:
        click.echo(f"{file}: {counted(len(budgets.budgets), 'budget')}, nothing wrong")
        return
    if not sources:
        raise click.UsageError("give the traces to judge, or --config-only to check the file alone")
    loading.refuse_source(output, sources)
    loading.refuse_source(None if junit is None else str(junit), sources)
    asked = replaying.Asked(budgets, None, where, since, until, success, has_tiers=True)
    found = replaying.load(sources, prices_file, asked)
    result = found.replay(budgets)
    nothing = found.nothing(result)
    passed = violations(found.recording, budgets, result)
    judged = gates.Judged(passed, budgets, found.recording.runs, result, found.false_stops(result))
    document = gates.document(judged, input_facts(found.store), found.report)
    write(
        Answer(gates.table(judged), document, flat(document["violations"])),
        format_=format_,
        output=output,
    )
    if junit is not None:
        write_text(xml(judged, nothing), str(junit))
    loading.warn(found.report, strict=strict)
    found.say_unused_tiers()
    if strict and nothing:
        raise click.ClickException(f"{nothing} (--strict)")
    if not judged.is_ok:
        raise click.exceptions.Exit(EXIT_GATE_FAILED)
