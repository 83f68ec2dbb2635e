"""The google-genai gate: what passes it is charged once, and a used-up budget closes it."""

import asyncio
import gc
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from google.genai import Client, errors, types
from google.oauth2.credentials import Credentials
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Tracer

from otelbudget import Budget, BudgetExceededError, BudgetSpanProcessor
from otelbudget.testing import FakeProvider, Reply, ToolCall

Watch = Callable[..., BudgetSpanProcessor]
UsageOf = Callable[[BudgetSpanProcessor], tuple[int, int, int]]

MODEL = "gemini-2.5-flash"
# 0.30 USD/Mtok * 200_000 + 2.50 USD/Mtok * 16_000 = 0.06 USD + 0.04 USD
TEN_CENTS = Reply(input_tokens=200_000, output_tokens=16_000)
TEN_CENTS_PUSD = 100_000_000_000
ONE_CALL = (1, 216_000, TEN_CENTS_PUSD)

INSTRUMENTATION = "opentelemetry.instrumentation.google_genai"


@pytest.fixture
def options(fake_provider: FakeProvider) -> types.HttpOptions:
    fake_provider.reply_with(TEN_CENTS)
    return types.HttpOptions(
        base_url=fake_provider.google_base_url,
        client_args={"verify": False},
        async_client_args={"verify": False},
    )


@pytest.fixture
def client(options: types.HttpOptions) -> Iterator[Client]:
    with Client(api_key="none", http_options=options) as made:
        yield made


@pytest.fixture
def vertex(options: types.HttpOptions) -> Iterator[Client]:
    with Client(
        vertexai=True,
        project="project",
        location="us-central1",
        credentials=Credentials("none"),  # type: ignore[no-untyped-call]  # google-auth's
        http_options=options,
    ) as made:
        yield made


def _plain(client: Client) -> object:
    return client.models.generate_content(model=MODEL, contents="hello")


def _plain_once(options: types.HttpOptions) -> None:
    with Client(api_key="none", http_options=options) as client:
        _plain(client)


def _stream(client: Client) -> object:
    return list(client.models.generate_content_stream(model=MODEL, contents="hello"))


def _chat(client: Client) -> object:
    return client.chats.create(model=MODEL).send_message("hello")


def _chat_stream(client: Client) -> object:
    return list(client.chats.create(model=MODEL).send_message_stream("hello"))


async def _plain_async(client: Client) -> object:
    return await client.aio.models.generate_content(model=MODEL, contents="hello")


async def _stream_async(client: Client) -> object:
    stream = await client.aio.models.generate_content_stream(model=MODEL, contents="hello")
    return [chunk async for chunk in stream]


async def _chat_async(client: Client) -> object:
    return await client.aio.chats.create(model=MODEL).send_message("hello")


async def _chat_stream_async(client: Client) -> object:
    stream = await client.aio.chats.create(model=MODEL).send_message_stream("hello")
    return [chunk async for chunk in stream]


def _interaction(client: Client) -> object:
    return client.interactions.create(model=MODEL, input="hello")


def _interaction_stream(client: Client) -> object:
    return list(client.interactions.create(model=MODEL, input="hello", stream=True))


def _interaction_raw(client: Client) -> object:
    raw: Any = client.interactions.with_raw_response
    return raw.create(model=MODEL, input="hello").parse()


async def _interaction_async(client: Client) -> object:
    return await client.aio.interactions.create(model=MODEL, input="hello")


async def _interaction_stream_async(client: Client) -> object:
    stream: Any = await client.aio.interactions.create(model=MODEL, input="hello", stream=True)
    return [event async for event in stream]


def _run(client: Client, call: Callable[[Client], Coroutine[Any, Any, object]]) -> None:
    """Make a call on an event loop of its own, by a client whose connections end with it."""

    async def call_and_close() -> None:
        options = client._api_client._http_options.model_copy()  # noqa: SLF001 - nowhere public
        own = Client(api_key="none", http_options=options)
        async with own.aio:
            await call(own)
        own.close()

    asyncio.run(call_and_close())


DOORS: dict[str, Callable[[Client], object]] = {
    "plain": _plain,
    "stream": _stream,
    "chat": _chat,
    "chat-stream": _chat_stream,
    "interaction": _interaction,
    "interaction-stream": _interaction_stream,
    "interaction-raw": _interaction_raw,
    "async-interaction": lambda client: _run(client, _interaction_async),
    "async-interaction-stream": lambda client: _run(client, _interaction_stream_async),
    "async-plain": lambda client: _run(client, _plain_async),
    "async-stream": lambda client: _run(client, _stream_async),
    "async-chat": lambda client: _run(client, _chat_async),
    "async-chat-stream": lambda client: _run(client, _chat_stream_async),
}


@pytest.mark.parametrize("door", DOORS)
def test_the_fourth_call_of_ten_cents_is_refused_at_thirty_cents(
    client: Client,
    fake_provider: FakeProvider,
    watch: Watch,
    tracer: Tracer,
    usage_of: UsageOf,
    door: str,
) -> None:
    processor = watch(Budget(cost_usd="0.30"))
    with tracer.start_as_current_span("run"):
        for _ in range(3):
            DOORS[door](client)
        with pytest.raises(BudgetExceededError):
            DOORS[door](client)
        usage = usage_of(processor)

    assert fake_provider.request_count == 3
    assert usage == (3, 3 * 216_000, 3 * TEN_CENTS_PUSD)


@pytest.mark.parametrize("door", ["plain", "stream", "async-plain", "async-stream"])
def test_a_call_with_a_span_of_an_instrumentation_around_it_is_charged_once(
    client: Client,
    provider: TracerProvider,
    watch: Watch,
    tracer: Tracer,
    usage_of: UsageOf,
    door: str,
) -> None:
    processor = watch(Budget(cost_usd=100))
    attributes = {
        "gen_ai.operation.name": "generate_content",
        "gen_ai.provider.name": "gcp.gemini",
        "gen_ai.request.model": MODEL,
    }
    instrumentation = provider.get_tracer(INSTRUMENTATION)
    with (
        tracer.start_as_current_span("run"),
        instrumentation.start_as_current_span("generate_content", attributes=attributes) as span,
    ):
        DOORS[door](client)
        span.set_attribute("gen_ai.usage.input_tokens", 200_000)
        span.set_attribute("gen_ai.usage.output_tokens", 16_000)

    assert usage_of(processor) == ONE_CALL


@pytest.mark.parametrize(
    "door",
    ["plain", "stream", "async-plain", "async-stream", "interaction", "interaction-stream"],
)
@pytest.mark.usefixtures("run")
def test_caches_thoughts_and_tools_are_charged_each_at_its_rate(
    client: Client,
    fake_provider: FakeProvider,
    processor: BudgetSpanProcessor,
    usage_of: UsageOf,
    door: str,
) -> None:
    fake_provider.reply_with(
        Reply(
            input_tokens=10_000,
            output_tokens=3_000,
            cache_read_input_tokens=4_000,
            reasoning_output_tokens=2_000,
            audio_input_tokens=1_000,
            tool_use_input_tokens=500,
            web_searches=3,
        )
    )
    DOORS[door](client)

    # 0.30 USD/Mtok * 5_000 + 1.00 USD/Mtok * 1_000 of audio + 0.03 USD/Mtok * 4_000 cached
    # + 2.50 USD/Mtok * 3_000 out + 0.035 USD for a prompt with searches
    # = 0.0015 + 0.001 + 0.00012 + 0.0075 + 0.035 USD = 0.04512 USD
    assert usage_of(processor) == (1, 13_000, 45_120_000_000)


@pytest.mark.usefixtures("run")
def test_gemini_3_bills_each_search(
    client: Client,
    fake_provider: FakeProvider,
    processor: BudgetSpanProcessor,
    usage_of: UsageOf,
) -> None:
    fake_provider.reply_with(Reply(input_tokens=1_000, output_tokens=100, web_searches=3))
    client.models.generate_content(model="gemini-3-pro-preview", contents="hello")

    # 2 USD/Mtok * 1_000 + 12 USD/Mtok * 100 + 3 * 0.014 USD = 0.002 + 0.0012 + 0.042 USD
    assert usage_of(processor) == (1, 1_100, 45_200_000_000)


@pytest.mark.usefixtures("run")
def test_images_are_charged_at_their_rate(
    client: Client,
    fake_provider: FakeProvider,
    processor: BudgetSpanProcessor,
    usage_of: UsageOf,
) -> None:
    fake_provider.reply_with(
        Reply(input_tokens=1_000, output_tokens=1_390, image_output_tokens=1_290)
    )
    client.models.generate_content(model="gemini-2.5-flash-image", contents="a cat")

    # 0.30 USD/Mtok * 1_000 + 2.50 USD/Mtok * 100 + 30 USD/Mtok * 1_290 = 0.0003 + 0.00025 + 0.0387
    assert usage_of(processor) == (1, 2_390, 39_250_000_000)


@pytest.mark.usefixtures("processor")
def test_what_the_gate_read_is_an_event_on_the_current_span(
    vertex: Client,
    fake_provider: FakeProvider,
    tracer: Tracer,
    span_exporter: InMemorySpanExporter,
) -> None:
    fake_provider.reply_with(
        Reply(input_tokens=10, output_tokens=5, reasoning_output_tokens=2, service_tier="flex")
    )
    with tracer.start_as_current_span("run"):
        answer = vertex.models.generate_content(model=MODEL, contents="hello")

    [span] = span_exporter.get_finished_spans()
    [event] = span.events
    attributes = dict(event.attributes or {})
    assert attributes["gen_ai.provider.name"] == "gcp.vertex_ai"
    assert attributes["gen_ai.operation.name"] == "generate_content"
    assert attributes["gen_ai.request.model"] == attributes["gen_ai.response.model"] == MODEL
    assert attributes["gen_ai.response.id"] == answer.response_id
    assert attributes["gen_ai.usage.input_tokens"] == 10
    assert attributes["gen_ai.usage.output_tokens"] == 5
    assert "on_demand_flex" in attributes.values()


# 0.15 USD/Mtok * 1_000_000 = 0.15 USD
EMBEDDINGS = Reply(input_tokens=1_000_000)


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.usefixtures("run")
def test_embeddings_are_charged_and_have_no_output(
    client: Client,
    fake_provider: FakeProvider,
    processor: BudgetSpanProcessor,
    usage_of: UsageOf,
    is_async: bool,  # noqa: FBT001 - a table cell
) -> None:
    fake_provider.reply_with(EMBEDDINGS)
    if is_async:
        _run(client, _embed_async)
    else:
        client.models.embed_content(model="gemini-embedding-001", contents=["one", "two"])

    assert usage_of(processor) == (1, 1_000_000, 150_000_000_000)


async def _embed_async(client: Client) -> object:
    return await client.aio.models.embed_content(model="gemini-embedding-001", contents="one")


@pytest.mark.usefixtures("run")
def test_embeddings_of_vertex_are_charged_by_the_tokens_of_each_text(
    vertex: Client, fake_provider: FakeProvider, processor: BudgetSpanProcessor, usage_of: UsageOf
) -> None:
    fake_provider.reply_with(EMBEDDINGS)
    vertex.models.embed_content(model="gemini-embedding-001", contents="one")

    assert usage_of(processor) == (1, 1_000_000, 150_000_000_000)


def test_a_used_up_budget_stops_a_loop_of_function_calls(
    client: Client,
    fake_provider: FakeProvider,
    watch: Watch,
    tracer: Tracer,
    usage_of: UsageOf,
) -> None:
    """The SDK calls the function and asks again by itself; each request is a call."""

    def weather() -> str:
        """Tell the weather."""
        return "fine"

    fake_provider.reply_with(
        Reply(input_tokens=200_000, output_tokens=16_000, tool_calls=(ToolCall("weather"),))
    )
    processor = watch(Budget(cost_usd="0.30"))
    config = types.GenerateContentConfig(tools=[weather])
    with tracer.start_as_current_span("run"):
        with pytest.raises(BudgetExceededError):
            client.models.generate_content(model=MODEL, contents="hello", config=config)
        usage = usage_of(processor)

    assert fake_provider.request_count == 3
    assert usage == (3, 3 * 216_000, 3 * TEN_CENTS_PUSD)


@pytest.mark.usefixtures("run")
def test_requests_that_ask_no_model_are_neither_counted_nor_refused(
    client: Client, watch: Watch, fake_provider: FakeProvider
) -> None:
    watch(Budget(calls=0))
    with pytest.raises(errors.ClientError):  # the fake provider counts no tokens
        client.models.count_tokens(model=MODEL, contents="hello")

    assert fake_provider.request_count == 1


def test_a_refusal_is_not_retried(
    options: types.HttpOptions, fake_provider: FakeProvider, watch: Watch, tracer: Tracer
) -> None:
    processor = watch(Budget(calls=0))
    options.retry_options = types.HttpRetryOptions(attempts=5)
    with tracer.start_as_current_span("run"), pytest.raises(BudgetExceededError):
        _plain_once(options)

    [(_, account)] = processor.engine.ledger.accounts()
    assert account.denied == 1
    assert fake_provider.request_count == 0


@pytest.mark.usefixtures("run")
def test_a_call_that_the_sdk_retries_is_one_call(
    options: types.HttpOptions,
    fake_provider: FakeProvider,
    processor: BudgetSpanProcessor,
    usage_of: UsageOf,
) -> None:
    options.retry_options = types.HttpRetryOptions(attempts=2, initial_delay=0, jitter=0)
    fake_provider.reply_with([Reply(status=503), TEN_CENTS])
    _plain_once(options)

    assert fake_provider.request_count == 2
    assert usage_of(processor) == ONE_CALL


@pytest.mark.parametrize("door", ["plain", "stream", "async-plain", "async-stream"])
@pytest.mark.parametrize("status", [400, 403, 429])
@pytest.mark.usefixtures("run")
def test_a_request_that_the_provider_refuses_is_no_call(
    client: Client,
    fake_provider: FakeProvider,
    processor: BudgetSpanProcessor,
    usage_of: UsageOf,
    status: int,
    door: str,
) -> None:
    fake_provider.reply_with(Reply(status=status))
    with pytest.raises(errors.ClientError):
        DOORS[door](client)

    assert usage_of(processor) == (0, 0, 0)


@pytest.mark.parametrize(
    "reply", [Reply(status=500), Reply(drop_connection=True), Reply(break_after_events=1)]
)
@pytest.mark.usefixtures("run")
def test_a_request_whose_outcome_is_unknown_stays_counted(
    client: Client,
    fake_provider: FakeProvider,
    processor: BudgetSpanProcessor,
    usage_of: UsageOf,
    reply: Reply,
) -> None:
    fake_provider.reply_with(reply)
    with pytest.raises(Exception):  # noqa: B017, PT011 - each HTTP client has errors of its own
        _stream(client)

    assert usage_of(processor)[0] == 1


@pytest.mark.usefixtures("run")
def test_a_stream_is_charged_before_its_last_chunk_is_handed_on(
    client: Client, processor: BudgetSpanProcessor
) -> None:
    spent_at_last = 0
    for chunk in client.models.generate_content_stream(model=MODEL, contents="hello"):
        if chunk.candidates and chunk.candidates[0].finish_reason:
            [(_, account)] = processor.engine.ledger.accounts()
            spent_at_last = account.cost_pusd

    assert spent_at_last == TEN_CENTS_PUSD


@pytest.mark.parametrize("chunks_read", [1, 2])
@pytest.mark.usefixtures("run")
def test_a_stream_dropped_half_way_stays_counted(
    client: Client, processor: BudgetSpanProcessor, usage_of: UsageOf, chunks_read: int
) -> None:
    stream = client.models.generate_content_stream(model=MODEL, contents="hello")
    for _ in range(chunks_read):
        next(stream)
    del stream
    gc.collect()

    assert usage_of(processor)[0] == 1


@pytest.mark.usefixtures("run")
def test_an_async_stream_dropped_with_its_loop_stays_counted(
    client: Client, processor: BudgetSpanProcessor, usage_of: UsageOf
) -> None:
    async def begin(client: Client) -> None:
        stream = await client.aio.models.generate_content_stream(model=MODEL, contents="hello")
        await anext(stream)

    _run(client, begin)
    gc.collect()

    assert usage_of(processor)[0] == 1


@pytest.mark.usefixtures("run")
def test_a_stream_that_nobody_reads_is_no_call(
    client: Client,
    fake_provider: FakeProvider,
    processor: BudgetSpanProcessor,
    usage_of: UsageOf,
) -> None:
    """The SDK sends its request when the first chunk is asked for."""
    client.models.generate_content_stream(model=MODEL, contents="hello")

    assert fake_provider.request_count == 0
    assert not list(processor.engine.ledger.accounts()) or usage_of(processor) == (0, 0, 0)


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.usefixtures("run")
def test_an_interaction_that_the_provider_refuses_is_no_call(
    options: types.HttpOptions,
    fake_provider: FakeProvider,
    processor: BudgetSpanProcessor,
    usage_of: UsageOf,
    is_streamed: bool,  # noqa: FBT001 - a table cell
) -> None:
    options.retry_options = types.HttpRetryOptions(attempts=1)
    fake_provider.reply_with(Reply(status=400))
    with (
        Client(api_key="none", http_options=options) as client,
        pytest.raises(Exception, match="400"),
    ):
        client.interactions.create(model=MODEL, input="hello", stream=is_streamed)

    assert fake_provider.request_count == 1
    assert usage_of(processor) == (0, 0, 0)


@pytest.mark.usefixtures("run")
def test_a_stream_of_an_interaction_dropped_half_way_stays_counted(
    client: Client, processor: BudgetSpanProcessor, usage_of: UsageOf
) -> None:
    stream: Any = client.interactions.create(model=MODEL, input="hello", stream=True)
    next(iter(stream))
    stream.close()
    del stream
    gc.collect()

    assert usage_of(processor)[0] == 1
