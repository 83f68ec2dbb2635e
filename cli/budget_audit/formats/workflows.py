"""Runs by workflow, and the dearest ones, for programs and for people."""

from collections.abc import Callable, Sequence
from typing import Any

from rich.console import RenderableType

from budget_audit.formats.tables import MAX_ROWS, more_rows, percent, titled_table
from budget_audit.formats.values import counted, one_line, optional_money, short_money, time
from otelbudget.audit.workflows import Statistic, TraceSpend, Workflow, Workflows
from otelbudget.budgets.config import LimitKind
from otelbudget.budgets.values import written_limit

_Write = Callable[[int], Any]


def document(found: Workflows) -> dict[str, Any]:
    """The keys that `--workflows` adds to the object of `audit`."""
    return {
        "workflows": [_workflow(each) for each in found.workflows],
        "workflows_left_off": found.count - len(found.workflows),
        "dearest_traces": [_trace(each) for each in found.dearest],
    }


def tables(found: Workflows, all_cost_pusd: int | None) -> list[RenderableType]:
    """What the runs of each workflow use, and the runs that cost most."""
    return [
        "",
        _workflows(found.workflows[:MAX_ROWS], all_cost_pusd or 0),
        *more_rows(found.count - MAX_ROWS),
        "",
        _dearest(found.dearest),
    ]


def _workflow(workflow: Workflow) -> dict[str, Any]:
    cost = workflow.list_cost_pusd
    return {
        "workflow": workflow.name,
        "runs": workflow.runs,
        "failed_runs": workflow.failed_runs,
        "list_cost_usd": optional_money(workflow.cost_pusd),
        "per_run": {
            "list_cost_usd": _statistic(cost, optional_money),
            "tokens": _statistic(workflow.tokens, int),
            "model_calls": _statistic(workflow.model_calls, int),
            "seconds": _statistic(workflow.nanoseconds, _seconds),
        },
    }


def _statistic(statistic: Statistic, write: _Write) -> dict[str, Any]:
    values = {
        "mean": statistic.mean,
        "median": statistic.median,
        "p95": statistic.p95,
        "max": statistic.most,
    }
    written = {name: None if value is None else write(value) for name, value in values.items()}
    return {"runs": statistic.runs, **written}


def _seconds(nanoseconds: int) -> str:
    return str(written_limit(LimitKind.SECONDS, nanoseconds))


def _trace(trace: TraceSpend) -> dict[str, Any]:
    return {
        "trace_id": trace.trace_id,
        "workflow": trace.workflow,
        "start": time(trace.starts_at),
        "failed": trace.is_failed,
        "model_calls": trace.model_calls,
        "tokens": trace.tokens,
        "list_cost_usd": optional_money(trace.list_cost_pusd),
        "unpriced_calls": trace.unpriced_calls,
        "calls_without_usage": trace.calls_without_usage,
        "seconds": None if trace.nanoseconds is None else _seconds(trace.nanoseconds),
    }


def _workflows(workflows: Sequence[Workflow], all_cost: int) -> RenderableType:
    table = titled_table("workflow, then per run", title="Runs by workflow")
    for name in ("mean", "median", "95 %", "most"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in workflows:
        table.add_row(one_line(each.name))
        table.add_row(_runs(each, all_cost))
        table.add_row("  list cost", *_row(each.list_cost_pusd, short_money))
        table.add_row("  tokens", *_row(each.tokens, _counted))
        table.add_row("  calls", *_row(each.model_calls, _counted))
        table.add_row("  time", *_row(each.nanoseconds, duration))
    return table


def _runs(workflow: Workflow, all_cost: int) -> str:
    """How many runs a workflow has, and their share of all cost: "  53 runs, 84 % of cost"."""
    failed = f", {workflow.failed_runs:,} failed" if workflow.failed_runs else ""
    share = percent(workflow.cost_pusd or 0, all_cost)
    return f"  {counted(workflow.runs, 'run')}{failed}{f', {share} of cost' if share else ''}"


def _row(statistic: Statistic, write: Callable[[int], str]) -> list[str]:
    values = (statistic.mean, statistic.median, statistic.p95, statistic.most)
    return ["?" if value is None else write(value) for value in values]


def _dearest(traces: Sequence[TraceSpend]) -> RenderableType:
    table = titled_table("trace", "workflow", title="Dearest runs")
    for name in ("calls", "tokens", "time", "list cost"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in traces:
        workflow = one_line(each.workflow)
        table.add_row(
            each.trace_id,
            f"{workflow} (failed)" if each.is_failed else workflow,
            _counted(each.model_calls),
            _counted(each.tokens),
            "?" if each.nanoseconds is None else duration(each.nanoseconds),
            _cost(each),
        )
    return table


def _cost(trace: TraceSpend) -> str:
    """The cost of a run, and of how many of its calls it is not known."""
    unknown = trace.unpriced_calls + trace.calls_without_usage
    is_partial = unknown and trace.list_cost_pusd is not None
    return short_money(trace.list_cost_pusd) + (f" + {unknown:,} unpriced" if is_partial else "")


def _counted(value: int) -> str:
    return f"{value:,}"


_SECOND, _MINUTE, _HOUR = 10**9, 60 * 10**9, 3_600 * 10**9


def duration(nanoseconds: int) -> str:
    """A length of time for people, such as "250 ms", "2.5 s", "3 min 20 s" or "2 h 5 min"."""
    if nanoseconds < _SECOND:
        return f"{nanoseconds // 10**6} ms"
    if nanoseconds < _MINUTE:
        return f"{nanoseconds / _SECOND:.1f} s"
    if nanoseconds < _HOUR:
        return f"{nanoseconds // _MINUTE} min {nanoseconds % _MINUTE // _SECOND} s"
    return f"{nanoseconds // _HOUR} h {nanoseconds % _HOUR // _MINUTE} min"
