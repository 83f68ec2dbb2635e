"""The openai gate where a call does not go as planned, and the many doors into the SDK."""

import asyncio
import gc
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx2
import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Tracer
from pydantic import BaseModel, ValidationError

from otelbudget import Budget, BudgetExceededError, BudgetSpanProcessor
from otelbudget.testing import FakeProvider, Reply

Watch = Callable[..., BudgetSpanProcessor]
UsageOf = Callable[[BudgetSpanProcessor], tuple[int, int, int]]

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hello"}]
WITH_USAGE: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
TEN_CENTS_PUSD = 100_000_000_000
ONE_CALL = (1, 25_000, TEN_CENTS_PUSD)
ONE_UNREAD_CALL = (1, 0, 0)


class Answer(BaseModel):
    """What the model is asked to say."""

    x: int


def _chat(client: OpenAI, **options: Any) -> Any:
    return client.chat.completions.create(model="gpt-4o", messages=HELLO, **options)


# Doors into the SDK.


def _chat_stream_helper(client: OpenAI) -> None:
    options: Any = {"stream_options": {"include_usage": True}}
    with client.chat.completions.stream(model="gpt-4o", messages=HELLO, **options) as stream:
        stream.until_done()


def _responses_stream_helper(client: OpenAI) -> None:
    with client.responses.stream(model="gpt-4o", input="hello") as stream:
        stream.get_final_response()


def _azure(client: OpenAI) -> None:
    url = str(client.base_url).removesuffix("/v1/")
    azure = openai.AzureOpenAI(azure_endpoint=url, api_key="none", api_version="2024-10-21")
    _chat(azure)


class _OwnClient(OpenAI):
    """A client class of the application's own."""


def _streaming_response(client: OpenAI, read: str) -> None:
    create = client.chat.completions.with_streaming_response.create
    with create(model="gpt-4o", messages=HELLO) as raw:
        getattr(raw, read)()


def _post(client: OpenAI, path: str, cast_to: Any) -> None:
    client.post(path, cast_to=cast_to, body={"model": "gpt-4o", "messages": HELLO})


DOORS: dict[str, Callable[[OpenAI], object]] = {
    "chat.stream": _chat_stream_helper,
    "responses.stream": _responses_stream_helper,
    "chat.parse": lambda client: client.chat.completions.parse(
        model="gpt-4o", messages=HELLO, response_format=Answer
    ),
    "beta.chat.parse": lambda client: client.beta.chat.completions.parse(
        model="gpt-4o", messages=HELLO, response_format=Answer
    ),
    "responses.parse": lambda client: client.responses.parse(
        model="gpt-4o", input="hello", text_format=Answer
    ),
    "with_options": lambda client: _chat(client.with_options(timeout=5)),
    "subclass": lambda client: _chat(_OwnClient(base_url=client.base_url, api_key="none")),
    "azure": _azure,
    "post": lambda client: _post(client, "/chat/completions", dict[str, Any]),
    "post-without-slash": lambda client: _post(client, "chat/completions", dict[str, Any]),
    "post-http-response": lambda client: _post(client, "/chat/completions", httpx2.Response),
    "streaming_response-json": lambda client: _streaming_response(client, "json"),
    "streaming_response-text": lambda client: _streaming_response(client, "text"),
    "streaming_response-read": lambda client: _streaming_response(client, "read"),
    "raw-not-parsed": lambda client: client.chat.completions.with_raw_response.create(
        model="gpt-4o", messages=HELLO
    ),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.usefixtures("run")
def test_each_door_into_the_sdk_is_charged_once(
    ten_cents: FakeProvider,
    client: OpenAI,
    processor: BudgetSpanProcessor,
    usage_of: UsageOf,
    door: str,
) -> None:
    ten_cents.reply_with(Reply(input_tokens=20_000, output_tokens=5_000, text='{"x": 1}'))
    DOORS[door](client)

    assert len(ten_cents.billed) == 1
    assert usage_of(processor) == ONE_CALL


@pytest.mark.parametrize("door", DOORS)
def test_each_door_into_the_sdk_is_closed_by_a_used_up_budget(
    ten_cents: FakeProvider, client: OpenAI, watch: Watch, tracer: Tracer, door: str
) -> None:
    watch(Budget(calls=0))

    with tracer.start_as_current_span("run"), pytest.raises(BudgetExceededError):
        DOORS[door](client)
    assert ten_cents.request_count == 0


@pytest.mark.usefixtures("run")
def test_an_answer_that_the_sdk_cannot_parse_is_charged(
    client: OpenAI, processor: BudgetSpanProcessor, usage_of: UsageOf
) -> None:
    """The fake provider's prose is no JSON for `Answer`; it is billed all the same."""
    with pytest.raises(ValidationError):
        client.chat.completions.parse(model="gpt-4o", messages=HELLO, response_format=Answer)

    assert usage_of(processor) == ONE_CALL


@pytest.mark.usefixtures("run")
def test_requests_that_ask_no_model_are_neither_counted_nor_refused(
    client: OpenAI, watch: Watch, ten_cents: FakeProvider
) -> None:
    watch(Budget(calls=0))

    with pytest.raises(openai.NotFoundError):  # the fake provider has no models to list
        client.models.list()
    assert ten_cents.request_count == 1


# Streams that are not read to their end.


@pytest.mark.usefixtures("run")
def test_a_response_stream_is_charged_before_its_last_event_is_handed_on(
    client: OpenAI, processor: BudgetSpanProcessor
) -> None:
    spent_at_last = 0
    for event in client.responses.create(model="gpt-4o", input="hello", stream=True):
        if event.type == "response.completed":
            [(_, account)] = processor.engine.ledger.accounts()
            spent_at_last = account.cost_pusd
            break

    assert spent_at_last == TEN_CENTS_PUSD


@pytest.mark.usefixtures("run")
def test_a_chat_stream_is_charged_before_its_usage_is_handed_on(
    client: OpenAI, processor: BudgetSpanProcessor
) -> None:
    spent_at_usage = 0
    for chunk in _chat(client, **WITH_USAGE):
        if chunk.usage is not None:
            [(_, account)] = processor.engine.ledger.accounts()
            spent_at_usage = account.cost_pusd
            break

    assert spent_at_usage == TEN_CENTS_PUSD


@pytest.mark.parametrize("events_read", [0, 1, 2])
@pytest.mark.usefixtures("run")
def test_a_stream_dropped_half_way_counts_as_a_call_of_unknown_usage(
    client: OpenAI, processor: BudgetSpanProcessor, usage_of: UsageOf, events_read: int
) -> None:
    stream = _chat(client, **WITH_USAGE)
    for _ in range(events_read):
        next(stream)
    stream.close()
    del stream
    gc.collect()

    assert usage_of(processor) == ONE_UNREAD_CALL


def test_dropped_streams_leave_nothing_behind(
    client: OpenAI, processor: BudgetSpanProcessor, tracer: Tracer, usage_of: UsageOf
) -> None:
    with tracer.start_as_current_span("run"):
        _chat(client, **WITH_USAGE)
        client.chat.completions.with_raw_response.create(
            model="gpt-4o", messages=HELLO, stream=True
        )
    gc.collect()

    assert usage_of(processor) == (2, 0, 0)
    assert not processor._accounting.links._traces  # noqa: SLF001 - there is no public view of it


@pytest.mark.usefixtures("run")
def test_a_stream_collected_while_our_lock_is_held_does_not_hang(
    client: OpenAI, processor: BudgetSpanProcessor, usage_of: UsageOf
) -> None:
    """The collector can run in the middle of any line, so also of ours."""
    stream = _chat(client, **WITH_USAGE)
    next(stream)
    del stream
    accounting = processor._accounting  # noqa: SLF001 - see above
    with accounting.lock, accounting.engine.ledger.lock:
        gc.collect()

    assert usage_of(processor) == ONE_UNREAD_CALL


@pytest.mark.usefixtures("run")
def test_a_stream_that_breaks_off_counts_as_a_call_of_unknown_usage(
    ten_cents: FakeProvider, client: OpenAI, processor: BudgetSpanProcessor, usage_of: UsageOf
) -> None:
    ten_cents.reply_with(Reply(break_after_events=2))
    with pytest.raises(openai.APIConnectionError):
        list(_chat(client, **WITH_USAGE))

    assert usage_of(processor) == ONE_UNREAD_CALL


# The stream without usage is the SDK's default for chat; the user is told how to get it.


@pytest.mark.usefixtures("run")
def test_a_stream_without_usage_is_reported_once_with_the_remedy(
    client: OpenAI,
    processor: BudgetSpanProcessor,
    usage_of: UsageOf,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(3):
        list(_chat(client, stream=True))

    assert usage_of(processor) == (3, 0, 0)
    assert sum("include_usage" in message for message in caplog.messages) == 1


@pytest.mark.usefixtures("run")
def test_an_answer_without_usage_is_a_call_of_unknown_usage(
    ten_cents: FakeProvider, client: OpenAI, processor: BudgetSpanProcessor, usage_of: UsageOf
) -> None:
    ten_cents.reply_with(Reply(with_usage=False))
    _chat(client)

    assert usage_of(processor) == ONE_UNREAD_CALL


# Requests that fail.


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429])
@pytest.mark.usefixtures("run")
def test_a_request_that_the_provider_refuses_is_no_call(
    ten_cents: FakeProvider,
    client: OpenAI,
    processor: BudgetSpanProcessor,
    usage_of: UsageOf,
    status: int,
) -> None:
    ten_cents.reply_with(Reply(status=status))
    with pytest.raises(openai.APIStatusError):
        _chat(client)

    assert usage_of(processor) == (0, 0, 0)


def test_a_refused_request_is_told_to_the_audit_as_failed(
    ten_cents: FakeProvider,
    client: OpenAI,
    tracer: Tracer,
    span_exporter: InMemorySpanExporter,
    processor: BudgetSpanProcessor,
    usage_of: UsageOf,
) -> None:
    ten_cents.reply_with(Reply(status=400))
    chat = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
    # As pydantic-ai does it: the span around the call ends without an error.
    with tracer.start_as_current_span("chat", attributes=chat), suppress(openai.APIStatusError):
        _chat(client)

    [span] = span_exporter.get_finished_spans()
    [event] = [event for event in span.events if event.name == "otelbudget.call"]
    assert (event.attributes or {})["otelbudget.call.released"] is True
    assert usage_of(processor) == (0, 0, 0)


@pytest.mark.parametrize(
    "reply", [Reply(status=500), Reply(status=503), Reply(drop_connection=True)]
)
@pytest.mark.usefixtures("run")
def test_a_request_whose_outcome_is_unknown_stays_counted(
    ten_cents: FakeProvider,
    client: OpenAI,
    processor: BudgetSpanProcessor,
    usage_of: UsageOf,
    reply: Reply,
) -> None:
    ten_cents.reply_with(reply)
    with pytest.raises(openai.APIError):
        _chat(client)

    assert usage_of(processor) == ONE_UNREAD_CALL


@pytest.mark.usefixtures("run")
def test_a_request_that_times_out_stays_counted(
    ten_cents: FakeProvider, client: OpenAI, processor: BudgetSpanProcessor, usage_of: UsageOf
) -> None:
    ten_cents.reply_with(Reply(latency_seconds=30))
    with pytest.raises(openai.APITimeoutError):
        _chat(client, timeout=0.3)

    assert usage_of(processor) == ONE_UNREAD_CALL


@pytest.mark.usefixtures("run")
def test_a_call_that_the_sdk_retries_is_one_call(
    ten_cents: FakeProvider, client: OpenAI, processor: BudgetSpanProcessor, usage_of: UsageOf
) -> None:
    answer = Reply(input_tokens=20_000, output_tokens=5_000)
    at_once = {"retry-after-ms": "1"}
    ten_cents.reply_with([Reply(status=500, headers=at_once), answer])
    _chat(client.with_options(max_retries=2))

    assert ten_cents.request_count == 2
    assert usage_of(processor) == ONE_CALL


def test_a_refusal_is_not_retried(
    ten_cents: FakeProvider, client: OpenAI, watch: Watch, tracer: Tracer
) -> None:
    processor = watch(Budget(calls=0))
    with tracer.start_as_current_span("run"), pytest.raises(BudgetExceededError):
        _chat(client.with_options(max_retries=5))

    [(_, account)] = processor.engine.ledger.accounts()
    assert account.denied == 1
    assert ten_cents.request_count == 0


@pytest.mark.usefixtures("run")
def test_a_cancelled_call_stays_counted(
    ten_cents: FakeProvider, processor: BudgetSpanProcessor, usage_of: UsageOf
) -> None:
    ten_cents.reply_with(Reply(latency_seconds=30))

    async def cancel() -> None:
        async with openai.AsyncOpenAI(
            base_url=ten_cents.openai_base_url,
            api_key="none",
            http_client=openai.DefaultAsyncHttpxClient(verify=False),
        ) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await client.chat.completions.create(model="gpt-4o", messages=HELLO)

    asyncio.run(cancel())

    assert usage_of(processor) == ONE_UNREAD_CALL


@pytest.mark.usefixtures("processor")
def test_what_the_gate_read_is_an_event_on_the_current_span(
    client: OpenAI,
    tracer: Tracer,
    span_exporter: InMemorySpanExporter,
) -> None:
    with tracer.start_as_current_span("run"):
        answer = _chat(client)

    [span] = span_exporter.get_finished_spans()
    [event] = span.events
    assert event.name == "otelbudget.call"
    attributes = dict(event.attributes or {})
    assert len(str(attributes.pop("otelbudget.call.id"))) == 32
    assert attributes.pop("otelbudget.call.start_time_unix_nano")
    assert attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o",
        "openai.response.service_tier": "default",
        "gen_ai.response.id": answer.id,
        "gen_ai.usage.input_tokens": 20_000,
        "gen_ai.usage.output_tokens": 5_000,
    }


def test_a_span_inside_the_gate_does_not_hide_the_id_by_which_others_are_known(
    ten_cents: FakeProvider,
    provider: TracerProvider,
    processor: BudgetSpanProcessor,
    tracer: Tracer,
    usage_of: UsageOf,
) -> None:
    """OpenInference tells of the usage inside, without an id, and traceloop afterwards, with one."""
    inside = provider.get_tracer("openinference.instrumentation.openai")
    after = provider.get_tracer("opentelemetry.instrumentation.openai.v1")

    def tell(_response: httpx2.Response) -> None:
        counts = {"llm.token_count.prompt": 20_000, "llm.token_count.completion": 5_000}
        inside.start_span("Response", attributes=counts).end()

    http = openai.DefaultHttpxClient(verify=False, event_hooks={"response": [tell]})
    with (
        openai.OpenAI(
            base_url=ten_cents.openai_base_url, api_key="none", http_client=http
        ) as client,
        tracer.start_as_current_span("run"),
    ):
        asked_at = time.time_ns()
        answer = client.responses.create(model="gpt-4o", input="hello")
        usage: dict[str, str | int] = {
            "gen_ai.response.id": answer.id,
            "gen_ai.usage.input_tokens": 20_000,
            "gen_ai.usage.output_tokens": 5_000,
        }
        after.start_span("openai.response", attributes=usage, start_time=asked_at).end()

    assert usage_of(processor) == ONE_CALL
