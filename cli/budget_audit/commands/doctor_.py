"""budget-audit doctor."""

import sys

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from budget_audit import options
from budget_audit.app import EXIT_GATE_FAILED
from budget_audit.formats import doctor
from budget_audit.formats.rows import flat
from budget_audit.formats.write import Answer, write
from otelbudget.doctor.results import Report
from otelbudget.doctor.verify import probe


@click.command("doctor")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@options.output
@click.pass_context
def command(ctx: click.Context, names: tuple[str, ...], format_: str, output: str) -> None:
    """Prove in this environment that a used-up budget stops the next model call.

    Every provider SDK that is installed, bare and under each of its instrumentations, calls a
    provider on 127.0.0.1 in a fresh process. It passes where the first call was charged as billed,
    and the second made no request and raised BudgetExceededError. Exits 3 where one fails.

    NAME is an SDK or an instrumentation, such as openai; all are tried by default.

    \b
    Example:
      budget-audit doctor
    """
    try:
        report = _probed(names)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="NAME") from error
    document = doctor.document(report)
    write(
        Answer(doctor.table(report), document, flat(document["probes"])),
        format_=format_,
        output=output,
    )
    if not report.is_ok:
        ctx.exit(EXIT_GATE_FAILED)


def _probed(names: tuple[str, ...]) -> Report:
    columns = (TextColumn("probing"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not sys.stderr.isatty()
    ) as bar:
        task = bar.add_task("probing", total=None)
        return probe(
            *names, progress=lambda done, total: bar.update(task, completed=done, total=total)
        )
