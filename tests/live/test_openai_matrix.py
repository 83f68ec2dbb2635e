"""Every form of an openai call under every way of tracing: three calls, then a refusal."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from decimal import Decimal
from itertools import product
from typing import Any, NamedTuple

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON

from otelbudget import Budget, BudgetExceededError, BudgetSpanProcessor
from otelbudget.testing import FakeProvider

FORMS = ("plain", "stream", "raw", "raw_stream", "streaming_response", "streaming_response_stream")


class Cell(NamedTuple):
    """One call: an API, the form it is made in, and which client makes it."""

    api: str
    form: str
    is_async: bool


CELLS = [
    Cell(api, form, is_async)
    for api, form, is_async in product(("chat", "responses", "embeddings"), FORMS, (False, True))
    if not (api == "embeddings" and form.endswith("stream"))
]
each_call = pytest.mark.parametrize(
    "cell",
    [
        pytest.param(cell, id=f"{cell.api}-{cell.form}-{'async' if cell.is_async else 'sync'}")
        for cell in CELLS
    ],
)
MakeCall = Callable[[str, str, bool], None]


class _CountsStarts(SpanProcessor):
    def __init__(self, started: list[str]) -> None:
        self._started = started

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self._started.append(span.name)


@pytest.fixture(params=["instrumented", "bare", "suppressed", "sampled_out"])
def tracing(
    request: pytest.FixtureRequest, span_exporter: InMemorySpanExporter
) -> Iterator[tuple[TracerProvider, AbstractContextManager[Any]]]:
    """A provider that traces in one of the ways, and the context to make calls in."""
    provider = TracerProvider(sampler=ALWAYS_OFF if request.param == "sampled_out" else ALWAYS_ON)
    provider.add_span_processor(SimpleSpanProcessor(span_exporter))
    instrumentor = OpenAIInstrumentor()
    if request.param != "bare":
        instrumentor.instrument(tracer_provider=provider)
    yield (
        provider,
        suppress_instrumentation() if request.param == "suppressed" else nullcontext(),
    )
    if request.param != "bare":
        instrumentor.uninstrument()
    provider.shutdown()


@each_call
def test_three_calls_pass_and_the_fourth_never_leaves(
    tracing: tuple[TracerProvider, AbstractContextManager[Any]],
    ten_cents: FakeProvider,
    make_call: MakeCall,
    cell: Cell,
) -> None:
    """Sampled out, too: the gate needs no recorded span, only the trace id."""
    provider, context = tracing
    processor = BudgetSpanProcessor(Budget(cost_usd="0.25"))
    provider.add_span_processor(processor)
    with provider.get_tracer("app").start_as_current_span("run") as root, context:
        for _ in range(3):
            make_call(*cell)
        with pytest.raises(BudgetExceededError) as refusal:
            make_call(*cell)
        is_current = trace.get_current_span() is root

    assert type(refusal.value) is BudgetExceededError
    assert refusal.value.usage == Decimal("0.30")
    assert ten_cents.request_count == len(ten_cents.billed) == 3
    assert is_current
    [(_, account)] = processor.engine.ledger.accounts()
    # 3 calls * 0.10 USD; 1 USD is 10^12 pico-USD
    assert account.cost_pusd == 300_000_000_000
    assert account.tokens == sum(
        billed.usage.input_tokens + billed.usage.output_tokens for billed in ten_cents.billed
    )
    assert (account.calls, account.denied) == (3, 1)


@each_call
@pytest.mark.usefixtures("instrumented")
def test_every_span_of_a_call_ends(
    provider: TracerProvider,
    span_exporter: InMemorySpanExporter,
    make_call: MakeCall,
    cell: Cell,
) -> None:
    started: list[str] = []
    provider.add_span_processor(_CountsStarts(started))
    provider.add_span_processor(BudgetSpanProcessor(Budget(calls=1)))
    with provider.get_tracer("app").start_as_current_span("run"):
        make_call(*cell)
        with pytest.raises(BudgetExceededError):
            make_call(*cell)

    assert len(span_exporter.get_finished_spans()) == len(started)
