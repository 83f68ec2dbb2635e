"""The anthropic gate: every client and form, three calls, then a refusal; and what is charged."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from decimal import Decimal
from itertools import product
from typing import Any, NamedTuple

import anthropic
import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.genai.anthropic import AnthropicInstrumentor
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON
from opentelemetry.trace import Tracer

from otelbudget import Budget, BudgetExceededError, BudgetSpanProcessor
from otelbudget.testing import FakeProvider, Reply

Watch = Callable[..., BudgetSpanProcessor]

MODEL = "claude-haiku-4-5"
# claude-haiku-4-5: 1 USD/Mtok * 50_000 + 5 USD/Mtok * 10_000 = 0.05 USD + 0.05 USD
TEN_CENTS = Reply(input_tokens=50_000, output_tokens=10_000, model="claude-haiku-4-5-20251001")
FORMS = ("plain", "stream", "helper", "raw", "raw_stream", "streaming_response", "beta")
OPTIONS: dict[str, Any] = {
    "max_tokens": 10_000,
    "messages": [{"role": "user", "content": "hello"}],
    "timeout": 60,
}


class Cell(NamedTuple):
    """One call: the client that makes it and the form it is made in."""

    client: str
    form: str
    is_async: bool

    @property
    def model(self) -> str:
        """The model in the words of the platform."""
        return {
            "bedrock": "global.anthropic.claude-haiku-4-5-20251001-v1:0",
            "vertex": "claude-haiku-4-5@20251001",
        }.get(self.client, MODEL)


CELLS = [
    *(Cell("anthropic", form, is_async) for form, is_async in product(FORMS, (False, True))),
    *(
        Cell(client, form, is_async)
        for client, form, is_async in product(
            ("bedrock", "vertex"), ("plain", "stream", "helper"), (False, True)
        )
    ),
]
each_call = pytest.mark.parametrize(
    "cell",
    [
        pytest.param(cell, id=f"{cell.client}-{cell.form}-{'async' if cell.is_async else 'sync'}")
        for cell in CELLS
    ],
)


@pytest.fixture
def ten_cents(fake_provider: FakeProvider) -> FakeProvider:
    fake_provider.reply_with(TEN_CENTS)
    return fake_provider


@pytest.fixture(params=["instrumented", "bare", "suppressed", "sampled_out"])
def tracing(request: pytest.FixtureRequest) -> Iterator[tuple[TracerProvider, Any]]:
    """A provider that traces in one of the ways, and the context to make calls in."""
    provider = TracerProvider(sampler=ALWAYS_OFF if request.param == "sampled_out" else ALWAYS_ON)
    instrumentor = AnthropicInstrumentor()
    if request.param != "bare":
        instrumentor.instrument(tracer_provider=provider)
    context: AbstractContextManager[Any] = nullcontext()
    if request.param == "suppressed":
        context = suppress_instrumentation()
    yield provider, context
    if request.param != "bare":
        instrumentor.uninstrument()
    provider.shutdown()


def new_client(cell: Cell, url: str) -> Any:
    """A client that does not retry and loads no certificates."""
    prefix = "Async" if cell.is_async else ""
    http = getattr(anthropic, f"Default{prefix}HttpxClient")(verify=False)
    options: dict[str, Any] = {"base_url": url, "max_retries": 0, "http_client": http}
    match cell.client:
        case "bedrock":
            keys = {"aws_access_key": "none", "aws_secret_key": "none", "aws_region": "us-east-1"}
            return getattr(anthropic, f"{prefix}AnthropicBedrock")(**keys, **options)
        case "vertex":
            place = {"project_id": "p", "region": "us-east5", "access_token": "none"}
            return getattr(anthropic, f"{prefix}AnthropicVertex")(**place, **options)
    return getattr(anthropic, f"{prefix}Anthropic")(api_key="none", **options)


def make_call(cell: Cell, url: str) -> None:
    """Make a call, read all of its answer and drop it."""
    if cell.is_async:
        asyncio.run(_make_async(cell, url))
        return
    with new_client(cell, url) as client:
        options = {**OPTIONS, "model": cell.model, "stream": cell.form.endswith("stream")}
        match cell.form:
            case "helper":
                del options["stream"]
                with client.messages.stream(**options) as stream:
                    assert stream.get_final_message()
            case "beta":
                client.beta.messages.create(**options)
            case "raw" | "raw_stream":
                _drain(client.messages.with_raw_response.create(**options).parse(), cell)
            case "streaming_response":
                with client.messages.with_streaming_response.create(**options) as raw:
                    raw.parse()
            case _:
                _drain(client.messages.create(**options), cell)


def _drain(answer: Any, cell: Cell) -> None:
    if cell.form.endswith("stream"):
        assert list(answer)


async def _make_async(cell: Cell, url: str) -> None:
    async with new_client(cell, url) as client:
        options = {**OPTIONS, "model": cell.model, "stream": cell.form.endswith("stream")}
        match cell.form:
            case "helper":
                del options["stream"]
                async with client.messages.stream(**options) as stream:
                    assert await stream.get_final_message()
            case "beta":
                await client.beta.messages.create(**options)
            case "raw" | "raw_stream":
                raw = await client.messages.with_raw_response.create(**options)
                await _drain_async(await raw.parse(), cell)
            case "streaming_response":
                async with client.messages.with_streaming_response.create(**options) as raw:
                    await raw.parse()
            case _:
                await _drain_async(await client.messages.create(**options), cell)


async def _drain_async(answer: Any, cell: Cell) -> None:
    if cell.form.endswith("stream"):
        assert [event async for event in answer]


@each_call
def test_three_calls_pass_and_the_fourth_never_leaves(
    tracing: tuple[TracerProvider, Any], ten_cents: FakeProvider, cell: Cell
) -> None:
    provider, context = tracing
    processor = BudgetSpanProcessor(Budget(cost_usd="0.25"))
    provider.add_span_processor(processor)
    with provider.get_tracer("app").start_as_current_span("run") as root, context:
        for _ in range(3):
            make_call(cell, ten_cents.anthropic_base_url)
        with pytest.raises(BudgetExceededError) as refusal:
            make_call(cell, ten_cents.anthropic_base_url)
        is_current = trace.get_current_span() is root

    assert type(refusal.value) is BudgetExceededError
    assert refusal.value.usage == Decimal("0.30")
    assert ten_cents.request_count == len(ten_cents.billed) == 3
    assert is_current
    [(_, account)] = processor.engine.ledger.accounts()
    # 3 calls * 0.10 USD; 1 USD is 10^12 pico-USD
    assert account.cost_pusd == 300_000_000_000
    assert (account.calls, account.denied, account.in_flight) == (3, 1, 0)


def test_caches_reasoning_and_searches_are_charged_from_the_response(
    ten_cents: FakeProvider, watch: Watch, tracer: Tracer
) -> None:
    ten_cents.reply_with(
        Reply(
            10_000,
            2_000,
            cache_read_input_tokens=3_000,
            cache_write_input_tokens=4_000,
            cache_write_1h_input_tokens=1_000,
            reasoning_output_tokens=500,
            web_searches=2,
        )
    )
    processor = watch(Budget(cost_usd=1))
    for form in ("plain", "stream", "helper"):
        with tracer.start_as_current_span(form):
            make_call(Cell("anthropic", form, is_async=False), ten_cents.anthropic_base_url)

    # 3_000 tokens * 1 USD/Mtok, 3_000 read * 0.10, 3_000 written * 1.25, 1_000 for an hour * 2,
    # 2_000 of output * 5, and two searches of 0.01 USD each
    expected = 3_000_000_000 + 300_000_000 + 3_750_000_000 + 2_000_000_000 + 10_000_000_000
    costs = [account.cost_pusd for _, account in processor.engine.ledger.accounts()]
    assert costs == [expected + 20_000_000_000] * 3


@pytest.mark.parametrize("path", ["count_tokens", "models"])
def test_requests_that_ask_no_model_are_neither_counted_nor_refused(
    ten_cents: FakeProvider, watch: Watch, tracer: Tracer, path: str
) -> None:
    watch(Budget(calls=0))
    cell = Cell("anthropic", "plain", is_async=False)
    with (
        tracer.start_as_current_span("run"),
        new_client(cell, ten_cents.anthropic_base_url) as client,
    ):
        requests = {
            "models": client.models.list,
            "count_tokens": lambda: client.messages.count_tokens(model=MODEL, messages=[]),
        }
        with pytest.raises(anthropic.NotFoundError):  # the fake provider serves neither
            requests[path]()

    assert ten_cents.request_count == 1
