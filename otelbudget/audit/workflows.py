"""What the runs of each workflow use, and which runs used most."""

from collections.abc import Mapping
from fractions import Fraction
from functools import partial

import msgspec

from otelbudget.audit.answers import answered
from otelbudget.store import sql
from otelbudget.store.store import Store

_load = partial(sql.load, "otelbudget.audit")

DEAREST_TRACES = 10


class Statistic(msgspec.Struct, frozen=True):
    """How much runs used of something.

    Attributes:
        runs: Runs of which it is known.
        whole: What they used together.
        median: The smallest amount that half of the runs stay at or below.
        p95: The smallest amount that 95 % of the runs stay at or below.
        most: What the run that used most used.
    """

    runs: int = 0
    whole: int = 0
    median: int | None = None
    p95: int | None = None
    most: int | None = None

    @property
    def mean(self) -> int | None:
        """What a run used on average, rounded to a whole unit."""
        return round(Fraction(self.whole, self.runs)) if self.runs else None


class Workflow(msgspec.Struct, frozen=True):
    """The runs with the same name of the root span.

    Attributes:
        name: That name.
        runs: Traces with a model call.
        failed_runs: Those whose root span failed.
        list_cost_pusd: Of pico-USD, by run; runs with a call of unknown usage or price are not
            among them.
        tokens: Of input and output tokens, by run.
        model_calls: Of calls with usage, by run.
        nanoseconds: Of the time that root spans took, by run; runs that have not ended are not
            among them.
        cost_pusd: What all priced calls cost, None where none has a price.
    """

    name: str
    runs: int
    failed_runs: int
    list_cost_pusd: Statistic
    tokens: Statistic
    model_calls: Statistic
    nanoseconds: Statistic
    cost_pusd: int | None = None


class TraceSpend(msgspec.Struct, frozen=True):
    """What a trace used.

    Attributes:
        trace_id: The trace.
        workflow: Name of its root span.
        starts_at: Start in unix ns, None where unknown.
        is_failed: Its root span failed.
        model_calls: Calls with usage.
        tokens: Their input and output tokens.
        list_cost_pusd: What they cost in pico-USD, None where no call has a price.
        nanoseconds: How long its root span took, None where it is missing or has not ended.
        unpriced_calls: Those of them without a known price, which are not in the cost.
        calls_without_usage: Further calls, which did not fail and tell no usage.
    """

    trace_id: str
    workflow: str
    starts_at: int | None
    is_failed: bool
    model_calls: int
    tokens: int
    list_cost_pusd: int | None
    nanoseconds: int | None
    unpriced_calls: int = 0
    calls_without_usage: int = 0


class Workflows(msgspec.Struct, frozen=True):
    """Runs by workflow.

    Attributes:
        workflows: The workflows, the dearest first.
        count: How many there are, those that were not asked for included.
        dearest: The ten traces that cost most.
    """

    workflows: tuple[Workflow, ...]
    count: int
    dearest: tuple[TraceSpend, ...]


def workflows(store: Store, most: int | None = None) -> Workflows:
    """What the runs of each workflow use.

    Args:
        store: A store on which `build_model_calls` has run.
        most: How many workflows to give, None for all.
    """
    if most is None:
        return _workflows(store, most)
    return answered(store, Workflows, ("workflows", most), lambda: _workflows(store, most))


def _workflows(store: Store, most: int | None) -> Workflows:
    store.execute(_load("create_trace_sums"))
    statistics = {
        (workflow, measure): Statistic(runs, int(whole), *rest)
        for workflow, measure, runs, whole, *rest in store.rows(_load("workflow_statistics"))
    }
    rows = store.rows(_load("workflow_sums"), {"most": most})
    found = tuple(
        _workflow(name, runs, failed_runs, None if cost is None else int(cost), statistics)
        for name, runs, failed_runs, cost, _ in rows
    )
    dearest = store.rows(_load("dearest_traces"), {"most": DEAREST_TRACES})
    return Workflows(found, rows[0][-1] if rows else 0, tuple(TraceSpend(*row) for row in dearest))


def _workflow(
    name: str,
    runs: int,
    failed_runs: int,
    cost_pusd: int | None,
    statistics: Mapping[tuple[str, str], Statistic],
) -> Workflow:
    cost, tokens, model_calls, nanoseconds = (
        statistics.get((name, measure), Statistic()) for measure in _MEASURES
    )
    return Workflow(name, runs, failed_runs, cost, tokens, model_calls, nanoseconds, cost_pusd)


_MEASURES = ("whole_cost_pusd", "tokens", "model_calls", "nanoseconds")
