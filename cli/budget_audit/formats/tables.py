"""Answers as tables for people."""

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from budget_audit.formats.values import amount, day, money, short_amount, short_money
from otelbudget.audit.findings import Finding
from otelbudget.audit.replay import Replay, ScopeOutcome
from otelbudget.audit.spend import InputFacts, PricedShare, Spend, Totals
from otelbudget.audit.suggest import Suggestion
from otelbudget.audit.sweep import SweepPoint
from otelbudget.errors import unit
from otelbudget.ingest import ReadReport

_MAX_ROWS = 25
_MAX_SWEEP_ROWS = 100


def audit(spend: Spend, by: Sequence[str]) -> RenderableType:
    """What was spent: a headline, a table by key, what the numbers leave out."""
    totals = spend.totals
    headline = Text.assemble(
        (short_money(totals.list_cost_pusd), "bold"),
        f" list cost for {totals.model_calls:,} model calls in {_traces(totals.traces)}, ",
        f"{_span_of_days(spend.input)}",
    )
    table = _table(*by, title=f"Spend by {', '.join(by)}")
    for name in ("calls", "input", "cached", "output", "list cost", "share"):
        table.add_column(name, justify="right", no_wrap=True)
    for group in spend.groups[:_MAX_ROWS]:
        keys = [_shrinking(value) for value in group.key.values()]
        table.add_row(*keys, *_sums(group.totals, totals))
    return Group(
        headline,
        "",
        table,
        *_more(spend.groups, _MAX_ROWS),
        *_findings(spend.findings),
        *_sureness(spend.confidence),
    )


def import_(report: ReadReport, facts: InputFacts, store: str) -> RenderableType:
    """What was imported."""
    duplicates = facts.deliveries - facts.distinct_spans
    formats = ", ".join(f"{count} {name}" for name, count in report.formats.items())
    return Text.assemble(
        (f"{report.spans:,} spans", "bold"),
        f" of {_traces(facts.traces)} from {_files(report.files)} ({formats}) into {store}",
        f"; {duplicates:,} were delivered twice and count once" if duplicates else "",
    )


def simulate(
    replay: Replay, sweep: Sequence[SweepPoint], false_stops: int | None
) -> RenderableType:
    """What limits would have done: a headline, each limit, the stopped scopes, the sweep."""
    if not replay.limits:
        return _sweep(sweep)
    total = replay.spent_pusd + replay.avoided_pusd
    share = f" ({_percent(replay.avoided_pusd, total)})" if total else ""
    headline = Text.assemble(
        f"{len(replay.stopped):,} of {_traces(replay.scopes)} with model calls ",
        "would have been stopped, ",
        f"{replay.calls_denied:,} of {replay.calls:,} calls refused, ",
        (f"{short_money(replay.avoided_pusd)} avoided", "bold"),
        f" of {short_money(total)}{share}",
    )
    parts: list[RenderableType] = [headline, Text(_judged(false_stops), style="dim"), ""]
    limits = _table("budget", "limit", title="Limits")
    for name in ("reached", "stopped", "refused calls", "worst overshoot"):
        limits.add_column(name, justify="right")
    for limit in replay.limits:
        limits.add_row(
            limit.budget,
            f"{amount(limit.kind, limit.limit)} {unit(limit.kind)} per trace",
            f"{limit.scopes_reached:,}",
            f"{limit.scopes_stopped:,}",
            f"{limit.calls_denied:,}",
            short_amount(limit.kind, limit.worst_overshoot),
        )
    parts.append(limits)
    if replay.stopped:
        stopped = _stopped(replay.stopped, has_several_limits=len(replay.limits) > 1)
        parts += ["", stopped, *_more(replay.stopped, _MAX_ROWS)]
    if sweep:
        parts += ["", _sweep(sweep)]
    return Group(*parts)


def suggest(suggestions: Sequence[Suggestion], covers: float) -> RenderableType:
    """A limit per workflow, or why there is none."""
    share = f"{100 * covers:g} %"
    title = f"Limits that let {share} of a workflow's runs through, with 90 % confidence"
    table = _table("workflow", title=title)
    for name in ("runs", "limit", "90 % interval"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("stopped later")
    for each in suggestions:
        limit, interval = each.why_not or "", ""
        if each.limit_pusd is not None and each.interval_pusd is not None:
            limit = f"{money(each.limit_pusd)} USD"
            interval = " to ".join(short_money(end) for end in each.interval_pusd)
        table.add_row(
            _shrinking(each.workflow),
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


def _table(*names: str, title: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in names:
        table.add_column(name)
    table.header_style = "bold"
    return table


def _shrinking(text: str) -> Text:
    """Text of a column that gives way where the terminal is narrow; the others stay whole."""
    return Text(text, no_wrap=True, overflow="ellipsis")


def _sums(totals: Totals, whole: Totals) -> tuple[str, ...]:
    cost, all_cost = totals.list_cost_pusd or 0, whole.list_cost_pusd or 0
    unpriced = f" + {totals.unpriced_calls:,} unpriced" if totals.unpriced_calls else ""
    shown = "unknown" if totals.list_cost_pusd is None else short_money(cost) + unpriced
    return (
        f"{totals.model_calls:,}",
        f"{totals.input_tokens:,}",
        _percent(totals.cache_read_input_tokens, totals.input_tokens),
        f"{totals.output_tokens:,}",
        shown,
        _percent(cost, all_cost),
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
        f"{share.confidence.replace('_', ' ')} {_percent(share.model_calls, calls)}"
        for share in shares
    )
    return ["", Text(f"Prices, by calls: {', '.join(parts)}", style="dim")]


def _stopped(stopped: Sequence[ScopeOutcome], *, has_several_limits: bool) -> Table:
    table = _table(title="Stopped, dearest first")
    table.add_column("stopped trace", no_wrap=True)
    table.add_column("limit" if has_several_limits else "at", no_wrap=True)
    for name in ("made", "refused", "spent", "avoided"):
        table.add_column(name, justify="right", no_wrap=True)
    for scope in stopped[:_MAX_ROWS]:
        limit = f"{amount(scope.kind, scope.limit)} {unit(scope.kind)}"
        table.add_row(
            scope.scope,
            limit if has_several_limits else day(scope.stopped_at),
            f"{scope.calls_allowed:,}",
            f"{scope.calls_denied:,}",
            short_money(scope.spent_pusd),
            short_money(scope.avoided_pusd),
        )
    return table


def _sweep(points: Sequence[SweepPoint]) -> Table:
    table = _table(title="Sweep: one limit per row")
    for name in ("limit", "reached", "stopped", "good runs stopped", "refused calls", "avoided"):
        table.add_column(name, justify="right")
    for point in points[:_MAX_SWEEP_ROWS]:
        table.add_row(
            f"{amount(point.kind, point.limit)} {unit(point.kind)}",
            f"{point.scopes_reached:,}",
            f"{point.scopes_stopped:,}",
            "?" if point.false_stops is None else f"{point.false_stops:,}",
            f"{point.calls_denied:,}",
            short_money(point.avoided_pusd),
        )
    return table


def _holdout(suggestion: Suggestion) -> str:
    holdout = suggestion.holdout
    if holdout is None or not holdout.scopes:
        return ""
    drift = ", needs have risen" if holdout.has_drifted else ""
    return f"{holdout.stopped} of {holdout.scopes}{drift}"


def _judged(false_stops: int | None) -> str:
    if false_stops is None:
        return "Whether a stopped run was good cannot be told: no root span has ended."
    if not false_stops:
        return "None of the stopped runs had ended without an error: no good run lost."
    return f"{false_stops:,} of the stopped runs had ended without an error: good runs lost."


def _more(rows: Sequence[object], shown: int) -> list[RenderableType]:
    left = len(rows) - shown
    return [Text(f"… and {left:,} more (--format json or csv)", style="dim")] if left > 0 else []


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else ""


def _traces(count: int) -> str:
    return "1 trace" if count == 1 else f"{count:,} traces"


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count:,} files"


def _span_of_days(facts: InputFacts) -> str:
    if facts.period_start is None:
        return "without times"
    first, last = day(facts.period_start), day(facts.period_end)
    return first if first == last else f"{first} to {last} (UTC)"
