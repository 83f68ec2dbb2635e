"""Answers as tables for people."""

from collections.abc import Collection, Iterable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from budget_audit.formats.values import counted, day, one_line, short_money
from otelbudget.audit.findings import Finding
from otelbudget.audit.keys import TIMES
from otelbudget.audit.outcomes import Run
from otelbudget.audit.spend import Group as SpendGroup
from otelbudget.audit.spend import InputFacts, PricedShare, Spend, Totals
from otelbudget.budgets.scopes import TRACE
from otelbudget.ingest import ReadReport

MAX_ROWS = 25
MAX_DAYS = 100
_WHOLE = 20


def audit(spend: Spend, by: Sequence[str], beside: Iterable[RenderableType] = ()) -> RenderableType:
    """What was spent: a headline, a table by key, what was asked beside, what the numbers leave out."""
    totals = spend.totals
    if not spend.groups:
        return Group(_no_calls(spend.input), *beside, *_findings(spend.findings))
    headline = Text.assemble(
        (short_money(totals.list_cost_pusd), "bold"),
        f" list cost for {counted(totals.model_calls, 'model call')} in ",
        f"{counted(totals.traces, 'trace')}, ",
        days(spend.first_call_at, spend.last_call_at),
    )
    table = titled_table(*by, title=f"Spend by {', '.join(by)}")
    for name in ("calls", "input", "cached", "output", "list cost", "share"):
        table.add_column(name, justify="right", no_wrap=True)
    shown = MAX_DAYS if set(by) <= {*TIMES} else MAX_ROWS
    for group in _in_order(spend.groups[:shown], by):
        table.add_row(*map(one_line, group.key.values()), *_sums(group.totals, totals))
    return Group(
        headline,
        "",
        table,
        *more_rows(spend.groups_count - shown),
        *beside,
        *_findings(spend.findings),
        *_sureness(spend.confidence),
    )


def _no_calls(facts: InputFacts) -> Text:
    read = f"{counted(facts.distinct_spans, 'span')} of {counted(facts.traces, 'trace')}"
    return Text(f"No model calls to count; read were {read}.")


def _in_order(groups: Sequence[SpendGroup], by: Sequence[str]) -> Sequence[SpendGroup]:
    """Days and the like by time, all else the dearest first."""
    times = [key for key in by if key in TIMES]
    return sorted(groups, key=lambda group: [group.key[key] for key in times])


def import_(report: ReadReport, facts: InputFacts, to: Sequence[str], added: int) -> RenderableType:
    """What was imported; `documents.import_` says what is given."""
    duplicates = facts.deliveries - facts.distinct_spans
    formats = ", ".join(f"{count} {name}" for name, count in report.formats.items())
    known = report.spans - added
    return Text.assemble(
        f"{added:,} of " if known > 0 else "",
        (counted(report.spans, "span"), "bold"),
        f" of {counted(facts.traces, 'trace')} from {counted(report.files, 'file')} ({formats})",
        f" {'added to' if known > 0 else 'into'} {' and '.join(to)}",
        f"; {duplicates:,} were delivered twice and count once" if duplicates else "",
        f"; {known:,} were there already" if known > 0 else "",
    )


def titled_table(*names: str, title: str | None) -> Table:
    """A table with a title, if any, and these columns, as every answer has it.

    Where the terminal is narrow these columns fold, so that nothing in them is cut off.
    """
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in names:
        table.add_column(name, overflow="fold")
    table.header_style = "bold"
    return table


def _sums(totals: Totals, whole: Totals) -> tuple[str, ...]:
    cost, all_cost = totals.list_cost_pusd or 0, whole.list_cost_pusd or 0
    unpriced = f" + {totals.unpriced_calls:,} unpriced" if totals.unpriced_calls else ""
    shown = "unknown" if totals.list_cost_pusd is None else short_money(cost) + unpriced
    return (
        f"{totals.model_calls:,}",
        f"{totals.input_tokens:,}",
        percent(totals.cache_read_input_tokens, totals.input_tokens),
        f"{totals.output_tokens:,}",
        shown,
        percent(cost, all_cost),
    )


def _findings(findings: Iterable[Finding]) -> list[RenderableType]:
    lines = Table.grid(padding=(0, 1, 0, 0))
    for finding in sorted(findings, key=lambda each: each.severity != "warn"):
        is_warning = finding.severity == "warn"
        mark = Text("!" if is_warning else "-", style="yellow" if is_warning else "dim")
        example = f" (e.g. trace {finding.trace_ids[0]})" if finding.trace_ids else ""
        cost = f" {short_money(finding.amount_pusd)}." if finding.amount_pusd else ""
        lines.add_row(mark, Text.assemble(finding.text, (cost, "bold"), (example, "dim")))
    return ["", Text("Findings", style="bold"), lines] if lines.row_count else []


def _sureness(shares: Sequence[PricedShare]) -> list[RenderableType]:
    """How many prices are sure, where some are not."""
    calls = sum(share.model_calls for share in shares)
    if all(share.confidence in ("exact", "free") for share in shares):
        return []
    parts = (
        f"{share.confidence.replace('_', ' ')} {percent(share.model_calls, calls)}"
        for share in shares
    )
    return ["", Text(f"Prices, by calls: {', '.join(parts)}", style="dim")]


def more(rows: Sequence[object], shown: int) -> list[RenderableType]:
    """How many rows are not shown, if any."""
    return more_rows(len(rows) - shown)


def more_rows(left: int) -> list[RenderableType]:
    """How many rows are not shown, if any."""
    return [Text(f"… and {left:,} more (--format json or csv)", style="dim")] if left > 0 else []


def add_budgets(table: Table, budgets: Iterable[str]) -> None:
    """Add a column for names of budgets; they stay whole unless one is long."""
    longest = max(map(len, budgets), default=0)
    table.add_column("budget", no_wrap=longest <= _WHOLE, overflow="fold")


def percent(part: int, whole: int) -> str:
    """A part of a whole for people."""
    return f"{100 * part / whole:.0f} %" if whole else ""


def runs_counted(runs: Collection[Run]) -> str:
    """A number of runs for people: "2 traces" where none was opened by name, else "2 runs"."""
    return counted(len(runs), "trace" if all(key == TRACE for key, _ in runs) else "run")


def days(start: int | None, end: int | None) -> str:
    """The days of a period for people, from two times in unix ns, the last one included."""
    if start is None:
        return "without times"
    first, last = day(start), day(end)
    return first if first == last else f"{first} to {last} (UTC)"
