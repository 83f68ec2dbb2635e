"""One trace, as its JSON object and as a tree for people."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from budget_audit.formats.documents import input_, period
from budget_audit.formats.folding import Row, folded
from budget_audit.formats.tables import titled_table
from budget_audit.formats.values import (
    amount,
    counted,
    exact_amount,
    money,
    one_line,
    optional_money,
    scope_and_window,
    short_money,
    time,
)
from otelbudget.audit import trace
from otelbudget.audit.spend import InputFacts
from otelbudget.audit.stops import Stop
from otelbudget.audit.trace import Node, TraceTree
from otelbudget.budgets.config import Budgets
from otelbudget.ingest import ReadReport

_SHOWN = 200
_SHOWN_ERRORS = 5
_ROUGH_SECONDS = 10
_COLUMNS = ("input", "output", "cost", "so far", "time")
_VERSION = re.compile(r"([-@]\d[\d-]*)?")
_MARKS = {
    trace.DENIED: "refused",
    trace.AGGREGATE: "repeat",
    trace.OF_THE_GATE: "repeat",
    trace.OF_THE_PLATFORM: "repeat",
    trace.WITHOUT_USAGE: "no usage",
    trace.TOLD_ABOVE: "no usage",
    trace.FAILED: "failed",
    trace.UNPRICED: "no price",
}


class Shown(NamedTuple):
    """A trace, and where budgets would have stopped it.

    Attributes:
        tree: The trace.
        budgets: What would have stopped it, None where that is not asked.
        stop: Where, None where nothing would have.
    """

    tree: TraceTree
    budgets: Budgets | None
    stop: Stop | None

    @property
    def stopped_at(self) -> int | None:
        """Place of the node that would have been refused."""
        if self.stop is None:
            return None
        asked = self.stop.span_id, self.stop.at_ns
        named = [place for place, node in enumerate(self.tree.nodes) if node.span_id == asked[0]]
        exact = [
            place for place in named if self.tree.nodes[place].start_time_unix_nano == asked[1]
        ]
        return next(iter([*exact[::-1], *named]), None)


def document(shown: Shown, facts: InputFacts, report: ReadReport) -> dict[str, Any]:
    """The object of `budget-audit trace --format json`."""
    return {
        "schema": "otelbudget.trace/1",
        "trace_id": shown.tree.trace_id,
        "period": period(facts),
        "input": input_(facts, report),
        "totals": _totals(shown.tree),
        "stop": None if shown.stop is None else _stop(shown.stop),
        "spans": spans(shown),
    }


def spans(shown: Shown) -> list[dict[str, Any]]:
    """Every span and every call that a gate told of, parents before their children."""
    nodes, stopped_at = shown.tree.nodes, shown.stopped_at
    return [
        _span(node, None if node.parent is None else nodes[node.parent], place == stopped_at)
        for place, node in enumerate(nodes)
    ]


def table(shown: Shown) -> RenderableType:
    """The tree: a headline, the spans, then what does not count and what failed."""
    rows = list(folded(shown.tree.nodes, shown.stopped_at))
    stopped = None if shown.stopped_at is None else shown.tree.nodes[shown.stopped_at]
    left = len(rows) - _SHOWN
    more = [Text(f"… and {left:,} more rows (--format json or csv)", style="dim")]
    return Group(
        _headline(shown.tree),
        *_stop_lines(shown),
        "",
        _rows(rows[:_SHOWN], stopped),
        *(more if left > 0 else []),
        *_uncounted(shown.tree.nodes),
        *_errors(shown.tree.nodes),
    )


def _totals(tree: TraceTree) -> dict[str, Any]:
    calls = [call for call in tree.calls if call.has_usage]
    costs = [call.list_cost_pusd for call in calls if call.list_cost_pusd is not None]
    return {
        "spans": sum(not (node.call and node.call.is_gate) for node in tree.nodes),
        "model_calls": len(calls),
        "input_tokens": sum(call.input_tokens for call in calls),
        "output_tokens": sum(call.output_tokens for call in calls),
        "cache_read_input_tokens": sum(call.cache_read_input_tokens for call in calls),
        "cache_write_input_tokens": sum(call.cache_write_input_tokens for call in calls),
        "reasoning_output_tokens": sum(call.reasoning_output_tokens for call in calls),
        "list_cost_usd": money(sum(costs)) if costs else None,
        "unpriced_calls": len(calls) - len(costs),
        "calls_without_usage": sum(not call.has_usage and not call.is_error for call in tree.calls),
        "errors": sum(node.is_error for node in tree.nodes),
    }


def _stop(stop: Stop) -> dict[str, Any]:
    return {
        "budget": stop.budget,
        "kind": str(stop.kind),
        "limit": amount(stop.kind, stop.limit),
        "scope": dict(stop.scope),
        "window_start": time(stop.window_start),
        "at": time(stop.at_ns),
        "span_id": stop.span_id,
        "calls_before": stop.calls_before,
        "calls_denied": stop.calls_denied,
        "avoided_usd": money(stop.avoided_pusd),
    }


def _span(node: Node, parent: Node | None, is_stop: bool) -> dict[str, Any]:  # noqa: FBT001 - a column
    call = node.call
    return {
        "span_id": node.span_id,
        "parent_span_id": None if parent is None else parent.span_id,
        "depth": node.depth,
        "kind": node.kind,
        "name": node.name,
        "service": node.service,
        "agent": node.agent,
        "provider": call.provider if call else None,
        "model": call.model if call else None,
        "start": time(node.start_time_unix_nano),
        "end": time(node.end_time_unix_nano),
        "duration_ns": _duration(node),
        "error": node.is_error,
        "error_message": node.error or None,
        "told_by_gate": bool(call and call.is_gate),
        "orphan": node.is_orphan,
        "cycle": node.is_cut,
        "input_tokens": call.input_tokens if call else 0,
        "output_tokens": call.output_tokens if call else 0,
        "cache_read_input_tokens": call.cache_read_input_tokens if call else 0,
        "cache_write_input_tokens": call.cache_write_input_tokens if call else 0,
        "list_cost_usd": optional_money(call.list_cost_pusd) if call else None,
        "running_usd": optional_money(node.running_pusd),
        "not_counted": node.not_counted,
        "not_counted_tokens": node.told_tokens,
        "stop": is_stop,
    }


def _headline(tree: TraceTree) -> Text:
    totals = _totals(tree)
    starts = [node.start_time_unix_nano for node in tree.nodes if node.start_time_unix_nano]
    begun = f", {(time(min(starts)) or '')[:19].replace('T', ' ')} UTC" if starts else ""
    costs = [call.list_cost_pusd for call in tree.calls if call.list_cost_pusd is not None]
    return Text.assemble(
        (short_money(sum(costs) if costs else None), "bold"),
        f" list cost for {counted(totals['model_calls'], 'model call')}, "
        f"{counted(totals['spans'], 'span')} in trace {tree.trace_id}{begun}",
    )


def _stop_lines(shown: Shown) -> list[RenderableType]:
    if shown.budgets is None:
        return []
    stop = shown.stop
    if stop is None:
        return [Text("No call of it would have been refused.")]
    budget = next(each for each in shown.budgets.budgets if each.name == stop.budget)
    whose = scope_and_window(stop.scope, budget, stop.window_start)
    calls = f"{counted(stop.calls_denied, 'call')} refused"
    return [
        Text.assemble(
            ("Stopped", "bold red"),
            f" after {counted(stop.calls_before, 'call')} by {exact_amount(stop.kind, stop.limit)} of "
            f"budget {stop.budget} for {whose}: {calls}, ",
            (f"{short_money(stop.avoided_pusd)} avoided", "bold"),
        )
    ]


def _rows(rows: Sequence[Row], stopped: Node | None) -> Table:
    found = titled_table(title="Spans")
    found.add_column("span", min_width=20)
    numbers = [list(_numbers(row)) for row in rows]
    for name, column in zip(_COLUMNS, zip(*numbers, strict=True), strict=True):
        width = max(len(name), *map(len, column))
        found.add_column(name, justify="right", no_wrap=True, min_width=width)
    for row, cells in zip(rows, numbers, strict=True):
        found.add_row(_name(row, is_stop=row.nodes[0] is stopped), *cells)
    return found


def _name(row: Row, *, is_stop: bool) -> Text:
    node = row.nodes[0]
    call, times = node.call, len(row.nodes)
    model = call.model if call is not None else None
    style = "red" if node.is_error else "" if call is not None else "dim"
    text = Text.assemble(
        (row.guide, "dim"),
        ("STOP ", "bold red") if is_stop else "",
        (f"{times:,} x ", "bold") if times > 1 else "",
        (one_line(node.name), style),
        f" {model}" if model and not _is_named(model, node.name) else "",
        (" (parent missing)", "yellow") if node.is_orphan else "",
        (" (parents in a circle)", "yellow") if node.is_cut else "",
        (" failed", "red") if node.is_error else "",
    )
    text.no_wrap, text.overflow = True, "ellipsis"  # long names give way, numbers stay whole
    return text


def _is_named(model: str, name: str) -> bool:
    """Whether a span's name tells the model, but for the date of its version."""
    return any(
        model.startswith(word) and _VERSION.fullmatch(model, len(word)) for word in name.split()
    )


def _numbers(row: Row) -> Iterator[str | Text]:
    calls = [node.call for node in row.nodes if node.call is not None and node.call.has_usage]
    first, last = row.nodes[0], row.nodes[-1]
    yield f"{sum(call.input_tokens for call in calls):,}" if calls else ""
    yield f"{sum(call.output_tokens for call in calls):,}" if calls else ""
    costs = [call.list_cost_pusd for call in calls if call.list_cost_pusd is not None]
    mark = "" if first.not_counted is None else _MARKS.get(first.not_counted, "twin")
    yield Text(short_money(sum(costs))) if costs and not mark else Text(mark, style="yellow")
    yield "" if last.running_pusd is None else short_money(last.running_pusd)
    durations = [_duration(node) for node in row.nodes]
    yield _time(sum(each or 0 for each in durations)) if any(durations) else ""


def _uncounted(nodes: Sequence[Node]) -> list[RenderableType]:
    """What does not count, by reason."""
    by_reason: dict[str, list[Node]] = {}
    for node in nodes:
        if node.not_counted is not None:
            by_reason.setdefault(node.not_counted, []).append(node)
    if not by_reason:
        return []
    lines: list[RenderableType] = ["", Text("Not counted", style="bold")]
    for reason, some in by_reason.items():
        tokens = sum(node.told_tokens for node in some)
        told = f", {counted(tokens, 'token')}" if tokens else ""
        example = f" (e.g. {one_line(some[0].name)}, span {some[0].span_id})"
        mark = _MARKS.get(reason, "twin")
        text = f"{mark}: {counted(len(some), 'span')}{told}, {reason}"
        lines.append(Text.assemble(("- ", "dim"), text, (example, "dim")))
    return lines


def _errors(nodes: Sequence[Node]) -> list[RenderableType]:
    failed = [node for node in nodes if node.is_error]
    if not failed:
        return []
    lines: list[RenderableType] = ["", Text("Failed", style="bold")]
    for node in failed[:_SHOWN_ERRORS]:
        message = " ".join(node.error.split())[:160] or "no message"
        lines.append(Text.assemble(("- ", "dim"), f"{one_line(node.name)}: {message}"))
    left = len(failed) - _SHOWN_ERRORS
    return [*lines, *([Text(f"… and {left:,} more", style="dim")] if left > 0 else [])]


def _duration(node: Node) -> int | None:
    """How long it took in ns, None where that is not known; clocks may run backwards."""
    start, end = node.start_time_unix_nano, node.end_time_unix_nano
    return None if start is None or end is None else max(end - start, 0)


def _time(duration_ns: int) -> str:
    seconds, milliseconds = duration_ns / 10**9, duration_ns / 10**6
    if seconds < 1:
        return f"{milliseconds:,.0f} ms" if milliseconds >= 1 else "< 1 ms"
    return f"{seconds:,.1f} s" if seconds < _ROUGH_SECONDS else f"{seconds:,.0f} s"
