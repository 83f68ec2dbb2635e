"""budget-audit suggest."""

import math
from collections.abc import Sequence
from pathlib import Path

import click

from budget_audit import loading, options
from budget_audit.formats import suggestions as formats
from budget_audit.formats.budgets_yaml import budgets_yaml, is_suggested
from budget_audit.formats.write import Answer, write
from otelbudget.audit.keys import UnknownKeyError
from otelbudget.audit.runs_of_workflows import DEFAULT_BY, KINDS, parse_by
from otelbudget.audit.select import keep_scopes, keep_where
from otelbudget.audit.spend import input_facts
from otelbudget.audit.suggest import DEFAULT_COVERS, suggest
from otelbudget.budgets.config import LimitKind


class By(click.ParamType[tuple[str, ...]]):
    """Keys that tell workflows apart, joined by commas."""

    name = "KEY,..."

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Parse the text."""
        try:
            return parse_by(str(value))
        except UnknownKeyError as error:
            self.fail(str(error), param, ctx)


class Kinds(click.ParamType[tuple[LimitKind, ...]]):
    """Kinds of limits, joined by commas."""

    name = "KIND,..."

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[LimitKind, ...]:
        """Parse the text."""
        names = tuple(dict.fromkeys(part.strip() for part in str(value).split(",")))
        wrong = [name for name in names if name not in KINDS]
        if wrong:
            self.fail(f"{wrong[0]!r} is no kind; choose from {', '.join(KINDS)}", param, ctx)
        return tuple(map(LimitKind, names))


def _number(context: click.Context, param: click.Parameter, value: float) -> float:
    """Refuse NaN, which passes every range."""
    if math.isnan(value):
        raise click.BadParameter("nan is no share", context, param)
    return value


@click.command("suggest")
@options.sources
@click.option(
    "--by",
    type=By(),
    default=",".join(DEFAULT_BY),
    show_default=True,
    help="What tells workflows apart: workflow (name of the root span), agent (that the root span "
    "names), or other keys of `audit --by`, of a run's first call.",
)
@click.option(
    "--covers",
    type=click.FloatRange(0.5, 0.999),
    callback=_number,
    default=DEFAULT_COVERS,
    show_default=True,
    help="Share of a workflow's runs that its limits should let through, all of them together.",
)
@click.option(
    "--kinds",
    type=Kinds(),
    default=",".join(KINDS),
    show_default=True,
    help="What to limit, the most wanted first; each more needs more runs.",
)
@click.option(
    "--tiers",
    type=click.IntRange(min=1),
    help="Let workflows share so many tiers at most; else those that need about the same share one.",
)
@options.prices
@options.where
@options.period
@options.format_
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, allow_dash=True),
    help="Write a budgets file (with json or csv: the answer) to a file, or to standard output "
    "for -.",
)
@options.strict
def command(
    sources: Sequence[str],
    by: tuple[str, ...],
    covers: float,
    kinds: tuple[LimitKind, ...],
    tiers: int | None,
    prices_file: Path | None,
    where: tuple[tuple[str, str], ...],
    since: int | None,
    until: int | None,
    format_: str,
    output: str | None,
    strict: bool,
) -> None:
    """Suggest a limit per workflow from what its runs needed.

    A workflow is the name of the root span, with the agent it names. Its limits let the wanted
    share of runs through with 90 % confidence, by order statistics; where the runs are too few there
    is no limit. Suspected runaways are left out and listed.

    \b
    Example:
      budget-audit suggest traces.jsonl -o budgets.yaml
    """
    is_budgets = format_ == "table" and output is not None
    loading.refuse_source(output, sources)
    if is_budgets:
        _refuse_own(str(output))
    store, report, _ = loading.load(sources, loading.own_book(prices_file))
    keep_where(store, where)
    keep_scopes(store, since, until)
    try:
        found = suggest(
            store, covers=covers, by=by, kinds=kinds, tier_count=tiers, since=since, until=until
        )
    except UnknownKeyError as error:
        raise click.BadParameter(str(error), param_hint="--by") from error
    facts = input_facts(store)
    text = budgets_yaml(found, facts)
    document = formats.document(found, facts, report, text)
    answer = Answer(formats.table(found), document, formats.rows(document["groups"]))
    if is_budgets:
        _write_budgets(str(output), text)
    if not is_budgets or output != "-":
        write(answer, format_=format_, output="-" if is_budgets else output or "-")
    loading.warn(report, strict=strict)


def _refuse_own(output: str) -> None:
    """Refuse to write a suggestion over a file that is none.

    Raises:
        click.ClickException: The file holds something else.
    """
    path = Path(output)
    if output == "-" or not path.is_file():
        return
    try:
        text = path.read_text("utf-8", errors="replace")
    except OSError as error:
        raise click.FileError(output, error.strerror or str(error)) from error
    if text and not is_suggested(text):
        raise click.ClickException(
            f"{output} exists and is no suggestion of this command, so it is kept; give another "
            "name, or - for standard output"
        )


def _write_budgets(output: str, text: str) -> None:
    if not text:
        raise click.ClickException("no limit can be suggested from these traces: no file written")
    if output == "-":
        click.echo(text, nl=False)
        return
    try:
        Path(output).write_text(text, "utf-8")
    except OSError as error:
        raise click.FileError(output, error.strerror or str(error)) from error
    click.echo(f"wrote {output}", err=True)
