"""Answers as tables for people."""

from collections.abc import Collection, Iterable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from budget_audit.formats.values import counted, day, money, short_money
from otelbudget.audit.findings import Finding
from otelbudget.audit.outcomes import Run
from otelbudget.audit.spend import InputFacts, PricedShare, Spend, Totals
from otelbudget.audit.suggest import Suggestion
from otelbudget.budgets.scopes import TRACE
from otelbudget.ingest import ReadReport

MAX_ROWS = 25
_WHOLE = 20


def audit(spend: Spend, by: Sequence[str]) -> RenderableType:
    """What was spent: a headline, a table by key, what the numbers leave out."""
    totals = spend.totals
    headline = Text.assemble(
        (short_money(totals.list_cost_pusd), "bold"),
        f" list cost for {counted(totals.model_calls, 'model call')} in ",
        f"{counted(totals.traces, 'trace')}, ",
        f"{_span_of_days(spend.input)}",
    )
    table = titled_table(*by, title=f"Spend by {', '.join(by)}")
    for name in ("calls", "input", "cached", "output", "list cost", "share"):
        table.add_column(name, justify="right", no_wrap=True)
    for group in spend.groups[:MAX_ROWS]:
        table.add_row(*group.key.values(), *_sums(group.totals, totals))
    return Group(
        headline,
        "",
        table,
        *more(spend.groups, MAX_ROWS),
        *_findings(spend.findings),
        *_sureness(spend.confidence),
    )


def import_(report: ReadReport, facts: InputFacts, store: str) -> RenderableType:
    """What was imported."""
    duplicates = facts.deliveries - facts.distinct_spans
    formats = ", ".join(f"{count} {name}" for name, count in report.formats.items())
    return Text.assemble(
        (counted(report.spans, "span"), "bold"),
        f" of {counted(facts.traces, 'trace')} from {counted(report.files, 'file')} ({formats})",
        f" into {store}",
        f"; {duplicates:,} were delivered twice and count once" if duplicates else "",
    )


def suggest(suggestions: Sequence[Suggestion], covers: float) -> RenderableType:
    """A limit per workflow, or why there is none."""
    share = f"{100 * covers:g} %"
    title = f"Limits that let {share} of a workflow's runs through, with 90 % confidence"
    table = titled_table("workflow", title=title)
    for name in ("runs", "limit", "90 % interval"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("stopped later")
    for each in suggestions:
        limit, interval = each.why_not or "", ""
        if each.limit_pusd is not None and each.interval_pusd is not None:
            limit = f"{money(each.limit_pusd)} USD"
            interval = " to ".join(short_money(end) for end in each.interval_pusd)
        table.add_row(
            each.workflow,
            f"{each.eligible:,}",
            Text(limit, style="bold" if each.limit_pusd is not None else "dim"),
            interval,
            _holdout(each),
        )
    notes = [
        Text(f"{each.workflow}: left out {len(part.trace_ids)} ({part.reason})", style="dim")
        for each in suggestions
        for part in each.left_out
    ]
    if any(each.limit_pusd is not None for each in suggestions):
        text = "A limit is rounded up to three digits; the interval is that of the wanted share."
        notes.append(Text(text, style="dim"))
    return Group(table, *notes)


def titled_table(*names: str, title: str) -> Table:
    """A table with a title and these columns, as every answer has it.

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
    for finding in findings:
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


def _holdout(suggestion: Suggestion) -> str:
    holdout = suggestion.holdout
    if holdout is None or not holdout.scopes:
        return ""
    drift = ", needs have risen" if holdout.has_drifted else ""
    return f"{holdout.stopped} of {holdout.scopes}{drift}"


def more(rows: Sequence[object], shown: int) -> list[RenderableType]:
    """How many rows are not shown, if any."""
    left = len(rows) - shown
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


def _span_of_days(facts: InputFacts) -> str:
    if facts.period_start is None:
        return "without times"
    first, last = day(facts.period_start), day(facts.period_end)
    return first if first == last else f"{first} to {last} (UTC)"
