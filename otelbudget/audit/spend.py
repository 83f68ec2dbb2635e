"""What was spent, on what, and what the numbers do not say."""

from collections.abc import Sequence
from decimal import Decimal
from functools import partial

import msgspec

from otelbudget.store import sql
from otelbudget.store.store import Store

_load = partial(sql.load, "otelbudget.audit")

KEYS = ("model", "provider", "agent", "service", "workflow", "trace", "operation")
_MAX_TRACE_IDS = 20


class Totals(msgspec.Struct, frozen=True):
    """Sums over model calls.

    Attributes:
        traces: Traces; in a group, those with a call of the group.
        model_calls: Calls with usage, each counted once.
        input_tokens: Input tokens, cache reads and writes included.
        output_tokens: Output tokens, reasoning included.
        cache_read_input_tokens: Input tokens read from the provider's cache.
        cache_write_input_tokens: Input tokens written to the provider's cache.
        reasoning_output_tokens: Output tokens that were reasoning.
        list_cost_pusd: Cost at list price in pico-USD, None where no call has a price.
        reported_cost_usd: What the spans themselves say, in USD, None where none says anything.
        unpriced_calls: Calls whose model has no known price; not in `list_cost_pusd`.
        unpriced_input_tokens: Their input tokens.
        unpriced_output_tokens: Their output tokens.
        calls_without_usage: Calls that did not fail and report no usage; not in `model_calls`.
        calls_without_time: Calls with usage whose start is unknown.
    """

    traces: int = 0
    model_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_write_input_tokens: int = 0
    reasoning_output_tokens: int = 0
    list_cost_pusd: int | None = None
    reported_cost_usd: Decimal | None = None
    unpriced_calls: int = 0
    unpriced_input_tokens: int = 0
    unpriced_output_tokens: int = 0
    calls_without_usage: int = 0
    calls_without_time: int = 0


class Group(msgspec.Struct, frozen=True):
    """The totals of the calls that share a key.

    Attributes:
        key: Value by key name; "(none)" where the calls carry none.
        totals: Their sums.
    """

    key: dict[str, str]
    totals: Totals


class Finding(msgspec.Struct, frozen=True):
    """Something about the traces that a reader of the totals should know.

    Attributes:
        code: Stable name.
        severity: "info" or "warn".
        text: One sentence with the remedy where there is one.
        count: How often.
        trace_ids: At most 20 traces where it is found.
        amount_pusd: What it amounts to in pico-USD, None where that cannot be said.
    """

    code: str
    severity: str
    text: str
    count: int
    trace_ids: tuple[str, ...] = ()
    amount_pusd: int | None = None


class InputFacts(msgspec.Struct, frozen=True):
    """What the spans that were read are like.

    Attributes:
        deliveries: Spans as they were delivered.
        distinct_spans: Spans by trace and span id.
        traces: Traces.
        period_start: Earliest start, unix ns, None without times.
        period_end: Latest end, unix ns, None without times.
        is_sampled: Whether a sampler says that it left traces out.
    """

    deliveries: int
    distinct_spans: int
    traces: int
    period_start: int | None
    period_end: int | None
    is_sampled: bool


class Spend(msgspec.Struct, frozen=True):
    """The answer of an audit.

    Attributes:
        input: What the spans are like.
        totals: Sums over all calls.
        groups: Sums by key, the dearest first.
        findings: What the totals do not say.
    """

    input: InputFacts
    totals: Totals
    groups: tuple[Group, ...]
    findings: tuple[Finding, ...]


def spend(store: Store, by: Sequence[str] = ("model",)) -> Spend:
    """What the store's model calls spent.

    Args:
        store: A store on which `build_model_calls` has run.
        by: Keys of `KEYS` to group by, in order.
    """
    rows = store.rows(_load("spend_by_key"), {"keys": []})
    groups = tuple(
        Group(dict(zip(by, key, strict=True)), Totals(*sums))
        for key, *sums in store.rows(_load("spend_by_key"), {"keys": list(by)})
    )
    sums = Totals(*rows[0][1:]) if rows else Totals()
    (traces,) = store.row(_load("count_traces"))
    totals = msgspec.structs.replace(sums, traces=traces)
    return Spend(input_facts(store), totals, groups, _findings(store))


def input_facts(store: Store) -> InputFacts:
    """What the store's spans are like."""
    return InputFacts(*store.row(_load("input_facts")))


_PROBLEMS = {
    "without_usage": (
        "calls_without_usage",
        "warn",
        (
            "model calls report no usage, so the totals are too low; for streams of chat "
            "completions set stream_options={'include_usage': true}"
        ),
    ),
    "failed": ("failed_calls", "info", "model calls failed and report no usage"),
    "unpriced": (
        "unpriced_calls",
        "warn",
        "model calls have no known price and are missing from the cost, not free",
    ),
    "reported_differs": (
        "reported_cost_differs",
        "info",
        "model calls report a cost of their own that differs by more than 1 % from the list price",
    ),
}


def _findings(store: Store) -> tuple[Finding, ...]:
    found: dict[str, list[tuple[str, int]]] = {}
    for kind, trace_id, calls in store.rows(_load("problem_calls")):
        found.setdefault(kind, []).append((trace_id, calls))
    findings = [
        _finding(code, severity, text, found[kind])
        for kind, (code, severity, text) in _PROBLEMS.items()
        if kind in found
    ]
    if orphans := store.rows(_load("orphans")):
        text = "spans have a parent that is missing; what it carried may be missing too"
        findings.append(_finding("orphan_spans", "info", text, orphans))
    if repeated := store.rows(_load("repeated_usage")):
        text = "spans repeat the usage of calls that are counted, and were not added again"
        findings.append(_finding("repeated_usage", "info", text, repeated))
    if cycles := store.rows(_load("cycles")):
        text = (
            "times the parents of spans go round in a circle; the earliest span counts as the top"
        )
        findings.append(_finding("parent_cycles", "warn", text, cycles))
    return tuple(findings)


def _finding(code: str, severity: str, text: str, traces: Sequence[tuple[str, int]]) -> Finding:
    count = sum(each for _, each in traces)
    trace_ids = tuple(trace_id for trace_id, _ in traces[:_MAX_TRACE_IDS])
    return Finding(code, severity, f"{count} {text}.", count, trace_ids)
