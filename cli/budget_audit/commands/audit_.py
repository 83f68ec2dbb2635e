"""budget-audit audit."""

from collections.abc import Sequence
from pathlib import Path

import click

from budget_audit import loading, noting, options
from budget_audit.formats import documents, forecasts, tables
from budget_audit.formats import workflows as runs_shown
from budget_audit.formats.documents import MAX_ROWS
from budget_audit.formats.rows import flat
from budget_audit.formats.write import Answer, write
from otelbudget.audit.forecast import forecast
from otelbudget.audit.keys import KEYS, Keys, UnknownKeyError, parse_keys
from otelbudget.audit.select import keep_calls, keep_where
from otelbudget.audit.spend import Spend, spend
from otelbudget.audit.workflows import workflows as find_workflows
from otelbudget.budgets.config import Budgets
from otelbudget.budgets.windows import DEFAULT_TIMEZONE, CalendarUnit, CalendarWindow
from otelbudget.errors import BudgetConfigError
from otelbudget.pricing.book import PriceBook
from otelbudget.store.store import Store


class KeyNames(click.ParamType[tuple[str, ...]]):
    """Keys to group by, joined by commas."""

    name = "KEY,..."

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Parse the text."""
        try:
            return parse_keys(str(value))
        except UnknownKeyError as error:
            self.fail(str(error), param, ctx)


@click.command("audit")
@options.sources
@click.option(
    "--by",
    type=KeyNames(),
    default="model",
    show_default=True,
    help=f"Group by one or more of {', '.join(KEYS)}, or any attribute, such as tenant.id.",
)
@click.option(
    "--timezone",
    default=DEFAULT_TIMEZONE,
    show_default=True,
    help="Whose hours, days, weeks and months are meant, such as Europe/Berlin.",
)
@click.option("--workflows", is_flag=True, help="Add the runs by workflow, and the dearest runs.")
@click.option(
    "--forecast", "is_forecast", is_flag=True, help="Add what will be spent if days go on alike."
)
@click.option(
    "--budgets",
    "budgets_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="With --forecast: say when the budgets of this file will be used up.",
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
    timezone: str,
    is_forecast: bool,
    workflows: bool,
    budgets_file: Path | None,
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
      budget-audit audit traces.jsonl --by day,tenant.id --timezone Europe/Berlin
      budget-audit audit traces.jsonl --workflows --forecast --budgets budgets.yaml
    """
    loading.refuse_source(output, sources)
    budgets = _budgets(timezone, budgets_file, is_forecast=is_forecast)
    other = loading.tokencost() if fallback else None
    store, report, book = loading.load(
        sources, loading.own_book(prices_file, budgets, fallback=other)
    )
    keep_where(store, where)
    keep_calls(store, since, until)
    result = _spend(store, Keys(by, timezone), book, None if format_ == "csv" else MAX_ROWS)
    if result.totals.model_calls:
        noting.note_untold(report, result.keys_without_values)
    if not result.groups:
        noting.note_no_calls(report, result.input, where, since, until)
    runs = find_workflows(store, MAX_ROWS) if workflows else None
    ahead = forecast(store, timezone, budgets.budgets if budgets else ()) if is_forecast else None
    beside = [
        *(runs_shown.tables(runs, result.totals.list_cost_pusd) if runs else []),
        *(forecasts.tables(ahead, timezone) if ahead else []),
    ]
    document = documents.audit(result, report, book)
    document |= runs_shown.document(runs) if runs else {}
    document |= {"forecast": forecasts.document(ahead)} if ahead else {}
    rows = flat(documents.audit_groups(result))
    write(Answer(tables.audit(result, by, beside), document, rows), format_=format_, output=output)
    loading.warn(report, strict=strict)


def _budgets(timezone: str, file: Path | None, *, is_forecast: bool) -> Budgets | None:
    """The budgets of `--budgets`; refuses what does not go together before anything is read."""
    try:
        CalendarWindow(CalendarUnit.DAY, timezone)
    except BudgetConfigError as error:
        raise click.BadParameter(error.reason, param_hint="--timezone") from error
    if file is not None and not is_forecast:
        raise click.UsageError("--budgets goes with --forecast; to replay budgets use simulate")
    return None if file is None else Budgets.from_yaml(file)


def _spend(store: Store, keys: Keys, book: PriceBook, most: int | None) -> Spend:
    try:
        return spend(store, keys, book=book, most=most)
    except UnknownKeyError as error:
        raise click.BadParameter(str(error), param_hint="--by") from error
