"""Random traces, ended and delivered in any order: live counting equals the audit's, to the token."""

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.trace import Span, Status, StatusCode, Tracer, set_span_in_context

from otelbudget import Budget, BudgetSpanProcessor
from otelbudget.audit.calls import build_model_calls
from otelbudget.pricing.book import PriceBook
from otelbudget.store.spans import Content, Resource, Scope, SpanRow, span_row
from otelbudget.store.store import Store

START_NS = 1_795_000_000 * 10**9
CONTENT = Content(b"k" * 32)
SCOPES = ("app", "openinference.instrumentation.x", "opentelemetry.instrumentation.anthropic")
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "tool": {"gen_ai.operation.name": "execute_tool"},
    "agent": {"gen_ai.operation.name": "invoke_agent"},
    "chat": {"gen_ai.operation.name": "chat"},
}


class Usage(NamedTuple):
    """What a trace's calls come to.

    Attributes:
        calls: Calls, those of unknown usage included.
        tokens: Input and output.
        cost_pusd: List cost.
    """

    calls: int = 0
    tokens: int = 0
    cost_pusd: int = 0


@dataclass(frozen=True)
class Drawn:
    """One span to be made.

    Attributes:
        trace: Number of its trace.
        parent: Index of its parent among all spans, None for a root.
        kind: One of KINDS.
        tokens: Input tokens, 0 for a span that tells of no usage.
        cached: How many of them came from the cache.
        response_id: Its response id, or None.
        scope: Name of its tracer.
        name: Its name.
        at: Start and end in ns.
        is_failed: It ends with an error.
    """

    trace: int
    parent: int | None
    kind: str = "plain"
    tokens: int = 0
    cached: int = 0
    response_id: str | None = None
    scope: str = SCOPES[1]
    name: str = "span"
    at: tuple[int, int] = (0, 100)
    is_failed: bool = False

    def attributes(self) -> dict[str, Any]:
        """What is written on the span before it ends."""
        written = dict(KINDS[self.kind])
        if self.tokens:
            written |= {
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": "gpt-4o",
                "gen_ai.usage.input_tokens": self.tokens,
                "gen_ai.usage.output_tokens": 7,
            }
        if self.cached:
            written["gen_ai.usage.cache_read.input_tokens"] = self.cached
        if self.response_id is not None:
            written["gen_ai.response.id"] = self.response_id
        return written


@st.composite
def _spans(draw: st.DrawFn) -> list[Drawn]:
    traces = draw(st.integers(1, 3))
    spans = [Drawn(trace, None, name="run") for trace in range(traces)]
    for _ in range(draw(st.integers(1, 12))):
        parent = draw(st.integers(0, len(spans) - 1))
        start = draw(st.integers(0, 12))
        kind = draw(st.sampled_from(["plain", "tool", "agent", "chat", "chat", "chat"]))
        tokens = draw(st.sampled_from([0, 0, 10, 10, 10, 23]))
        spans.append(
            Drawn(
                trace=spans[parent].trace,
                parent=parent,
                kind=kind,
                tokens=tokens,
                cached=draw(st.sampled_from([0, 0, 3])) if tokens else 0,
                response_id=draw(st.sampled_from([None, "r1", "r1", "r2"])),
                scope=draw(st.sampled_from(SCOPES)),
                name=draw(st.sampled_from(["LLM", "chat"])),
                at=(start, start + draw(st.integers(0, 6))),
                is_failed=draw(st.sampled_from([False, False, False, True])),
            )
        )
    return spans


@st.composite
def _runs(draw: st.DrawFn) -> tuple[list[Drawn], list[tuple[int, bool]], list[int]]:
    """Spans, the order in which they start (True) and end, and the order of their delivery."""
    spans = draw(_spans())
    order: list[tuple[int, bool]] = []
    unstarted = list(range(len(spans)))
    still_open: list[int] = []
    end_early = draw(st.booleans())
    while unstarted or still_open:
        closable = [index for index in still_open if _may_end(index, spans, unstarted, still_open)]
        if unstarted and not (end_early and closable and draw(st.booleans())):
            started = unstarted.pop(0)
            still_open.append(started)
            order.append((started, True))
        else:
            ended = draw(st.sampled_from(closable))
            still_open.remove(ended)
            order.append((ended, False))
    return spans, order, draw(st.permutations(range(len(spans))))


def _may_end(index: int, spans: list[Drawn], unstarted: list[int], still_open: list[int]) -> bool:
    """A trace that is quiet is forgotten, so one span stays open until all have started."""
    trace = spans[index].trace
    is_last = sum(spans[each].trace == trace for each in still_open) == 1
    return not is_last or all(spans[each].trace != trace for each in unstarted)


class _Collect(SpanProcessor):
    def __init__(self) -> None:
        self.ended: dict[int, ReadableSpan] = {}

    def on_end(self, span: ReadableSpan) -> None:
        self.ended[span.context.span_id] = span


def _live(spans: list[Drawn], order: list[tuple[int, bool]]) -> tuple[Any, list[SpanRow]]:
    """What a processor counted by trace, and what an exporter would have written."""
    collect = _Collect()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(collect)
    processor = BudgetSpanProcessor(Budget(tokens=10**12, warn_at=()))
    provider.add_span_processor(processor)
    made: dict[int, Span] = {}
    try:
        for index, is_start in order:
            drawn = spans[index]
            if is_start:
                made[index] = _start(provider.get_tracer(drawn.scope), drawn, made)
            else:
                _end(made[index], drawn)
    finally:
        provider.shutdown()
    usages = {
        account.scope[0][1]: Usage(account.calls, account.tokens, account.cost_pusd)
        for _, account in processor.engine.ledger.accounts()
        if account.calls
    }
    assert processor.stats.faults == 0
    assert not processor._accounting.links._traces  # noqa: SLF001 - nothing is left behind
    rows = [
        _row(collect.ended[span.get_span_context().span_id]) for _, span in sorted(made.items())
    ]
    return usages, rows


def _start(tracer: Tracer, drawn: Drawn, made: dict[int, Span]) -> Span:
    parent = Context() if drawn.parent is None else set_span_in_context(made[drawn.parent])
    return tracer.start_span(
        drawn.name, parent, attributes=KINDS[drawn.kind], start_time=START_NS + drawn.at[0]
    )


def _end(span: Span, drawn: Drawn) -> None:
    span.set_attributes(drawn.attributes())
    if drawn.is_failed:
        span.set_status(Status(StatusCode.ERROR))
    span.end(START_NS + drawn.at[1])


def _row(span: ReadableSpan) -> SpanRow:
    context, parent, scope = span.context, span.parent, span.instrumentation_scope
    return span_row(
        CONTENT,
        Resource(),
        Scope(scope.name if scope is not None else ""),
        trace_id=format(context.trace_id, "032x"),
        span_id=format(context.span_id, "016x"),
        parent_span_id=None if parent is None else format(parent.span_id, "016x"),
        name=span.name,
        kind=1,
        start_time_unix_nano=span.start_time,
        end_time_unix_nano=span.end_time,
        attributes=span.attributes or {},
        status_code=span.status.status_code.value,
        events=[
            {
                "name": event.name,
                "time_unix_nano": event.timestamp,
                "attributes": event.attributes or {},
            }
            for event in span.events
        ],
    )


@pytest.fixture(scope="module")
def book() -> PriceBook:
    return PriceBook.load()


def _audited(rows: list[SpanRow], book: PriceBook) -> dict[str, Usage]:
    """What the audit counts by trace; failed calls without usage are none."""
    store = Store()
    store.append(rows)
    build_model_calls(store, book)
    usages: defaultdict[str, Usage] = defaultdict(Usage)
    for trace_id, has_usage, is_error, tokens, cost in store.rows(
        "select trace_id, has_usage, is_error, input_tokens + output_tokens, list_cost_pusd "
        "from model_calls"
    ):
        if has_usage or not is_error:
            so_far = usages[trace_id]
            added = (tokens, int(cost)) if has_usage else (0, 0)
            usages[trace_id] = Usage(
                so_far.calls + 1, so_far.tokens + added[0], so_far.cost_pusd + added[1]
            )
    store.close()
    return dict(usages)


@given(st.lists(_runs(), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_live_counting_equals_the_audit_whatever_the_order(
    book: PriceBook, runs: list[tuple[list[Drawn], list[tuple[int, bool]], list[int]]]
) -> None:
    """Each run has a processor of its own; one store holds them all."""
    live: dict[str, Usage] = {}
    delivered: list[SpanRow] = []
    for number, (spans, order, delivery) in enumerate(runs):
        usages, rows = _live([_of_run(number, span) for span in spans], order)
        live |= usages
        delivered += [rows[index] for index in delivery]

    assert live == _audited(delivered, book)


def _of_run(number: int, span: Drawn) -> Drawn:
    """A span whose response id no other run has."""
    return replace(span, response_id=span.response_id and f"{number} {span.response_id}")
