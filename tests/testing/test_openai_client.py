"""The fake provider under the real openai client."""

import asyncio
from collections.abc import Iterator

import openai
import pytest
from openai import AsyncOpenAI, AzureOpenAI, OpenAI
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletionMessageParam

from otelbudget.testing import Billed, FakeProvider, Reply, ToolCall, Usage

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hello"}]
REPLY = Reply(
    input_tokens=1_000,
    output_tokens=200,
    cache_read_input_tokens=600,
    reasoning_output_tokens=150,
    text="one two three",
)


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider(REPLY) as running:
        yield running


@pytest.fixture
def client(provider: FakeProvider) -> Iterator[OpenAI]:
    with OpenAI(base_url=provider.openai_base_url, api_key="none", max_retries=0) as made:
        yield made


def _chat_usage(usage: CompletionUsage | None) -> Usage:
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    assert usage.completion_tokens_details is not None
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    return Usage(
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.prompt_tokens_details.cached_tokens or 0,
        usage.prompt_tokens_details.cache_write_tokens or 0,
        usage.completion_tokens_details.reasoning_tokens or 0,
    )


def test_a_chat_completion_carries_the_reply(client: OpenAI, provider: FakeProvider) -> None:
    answer = client.chat.completions.create(model="gpt-4o", messages=HELLO)

    assert answer.choices[0].message.content == "one two three"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "gpt-4o"
    assert answer.id.startswith("chatcmpl-")
    assert _chat_usage(answer.usage) == REPLY.usage
    assert provider.billed == [Billed("gpt-4o", REPLY.usage)]


def test_usage_of_a_chat_tells_of_audio_and_the_answer_of_its_tier(
    client: OpenAI, provider: FakeProvider
) -> None:
    provider.reply_with(
        Reply(
            input_tokens=90,
            output_tokens=60,
            audio_input_tokens=70,
            audio_output_tokens=40,
            service_tier="flex",
        )
    )

    answer = client.chat.completions.create(model="gpt-4o", messages=HELLO)

    assert answer.usage is not None
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.completion_tokens_details is not None
    assert answer.usage.prompt_tokens_details.audio_tokens == 70
    assert answer.usage.completion_tokens_details.audio_tokens == 40
    assert answer.service_tier == "flex"


def test_web_searches_are_items_of_a_response_plain_and_streamed(
    client: OpenAI, provider: FakeProvider
) -> None:
    provider.reply_with(Reply(web_searches=2))

    plain = client.responses.create(model="gpt-4o", input="hello")
    with client.responses.stream(model="gpt-4o", input="hello") as stream:
        streamed = stream.get_final_response()

    for answer in (plain, streamed):
        assert [item.type for item in answer.output] == ["web_search_call"] * 2 + ["message"]
    assert streamed.output_text == plain.output_text


def test_the_request_is_kept_as_it_arrived(client: OpenAI, provider: FakeProvider) -> None:
    client.chat.completions.create(model="gpt-4o", messages=HELLO, extra_headers={"X-Team": "red"})

    (request,) = provider.requests
    assert request.path == "/v1/chat/completions"
    assert request.headers["x-team"] == "red"
    assert request.body == {"model": "gpt-4o", "messages": HELLO}


def test_the_answer_can_name_another_model(client: OpenAI, provider: FakeProvider) -> None:
    provider.reply_with(Reply(model="gpt-4o-2024-11-20"))

    answer = client.chat.completions.create(model="gpt-4o", messages=HELLO)

    assert answer.model == "gpt-4o-2024-11-20"
    assert provider.billed[0].model == "gpt-4o-2024-11-20"


def test_a_stream_without_include_usage_has_no_usage(
    client: OpenAI, provider: FakeProvider
) -> None:
    chunks = list(client.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True))

    assert "".join(c.choices[0].delta.content or "" for c in chunks) == "one two three"
    assert [chunk.usage for chunk in chunks] == [None] * len(chunks)
    assert provider.billed == [Billed("gpt-4o", REPLY.usage)]


def test_a_stream_with_include_usage_ends_with_usage_and_no_choices(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model="gpt-4o", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )

    *chunks, last = list(stream)
    assert [chunk.usage for chunk in chunks] == [None] * len(chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert last.choices == []
    assert _chat_usage(last.usage) == REPLY.usage


def test_tool_calls_arrive_plain_and_streamed(client: OpenAI, provider: FakeProvider) -> None:
    provider.reply_with(Reply(text="", tool_calls=(ToolCall("search", {"q": "otel"}),)))

    answer = client.chat.completions.create(model="gpt-4o", messages=HELLO)
    with client.chat.completions.stream(model="gpt-4o", messages=HELLO) as stream:
        streamed = stream.get_final_completion()

    for choice in (answer.choices[0], streamed.choices[0]):
        assert choice.finish_reason == "tool_calls"
        assert choice.message.tool_calls is not None
        (call,) = choice.message.tool_calls
        assert call.type == "function"
        assert (call.function.name, call.function.arguments) == ("search", '{"q": "otel"}')


def test_a_raw_response_parses_and_names_its_request(client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="gpt-4o", messages=HELLO)

    assert raw.headers["x-request-id"].startswith("req_")
    assert _chat_usage(raw.parse().usage) == REPLY.usage


def test_a_response_carries_the_reply(client: OpenAI) -> None:
    answer = client.responses.create(model="gpt-4o", input="hello")

    assert answer.output_text == "one two three"
    assert answer.id.startswith("resp_")
    assert answer.usage is not None
    assert answer.usage.input_tokens == 1_000
    assert answer.usage.input_tokens_details.cached_tokens == 600
    assert answer.usage.output_tokens == 200
    assert answer.usage.output_tokens_details.reasoning_tokens == 150


def test_a_streamed_response_ends_with_usage(client: OpenAI, provider: FakeProvider) -> None:
    provider.reply_with(Reply(input_tokens=30, output_tokens=4, tool_calls=(ToolCall("search"),)))

    with client.responses.stream(model="gpt-4o", input="hello") as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()

    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert "response.output_text.delta" in kinds
    assert kinds[-1] == "response.completed"
    assert final.output[1].type == "function_call"
    assert final.usage is not None
    assert (final.usage.input_tokens, final.usage.output_tokens) == (30, 4)


@pytest.mark.parametrize(
    ("inputs", "count"),
    [
        pytest.param("one", 1, id="a-string"),
        pytest.param(["one", "two"], 2, id="a-batch"),
        pytest.param([[1, 2], [3]], 2, id="a-batch-of-tokens"),
        pytest.param([1, 2, 3], 1, id="tokens"),
    ],
)
def test_embeddings_give_one_vector_per_input(
    client: OpenAI, provider: FakeProvider, inputs: list[str], count: int
) -> None:
    answer = client.embeddings.create(model="text-embedding-3-small", input=inputs)

    assert len(answer.data) == count
    assert len(answer.data[0].embedding) == 8
    assert answer.usage.prompt_tokens == 1_000
    assert provider.billed[0].usage == Usage(1_000, 0)


def test_embeddings_are_the_same_in_base64_and_as_numbers(client: OpenAI) -> None:
    # The client asks for base64 unless told otherwise.
    plain = client.embeddings.create(model="m", input="one", encoding_format="float")
    packed = client.embeddings.create(model="m", input="one")

    assert packed.data[0].embedding == pytest.approx(plain.data[0].embedding)


def test_azure_addresses_its_deployment(provider: FakeProvider) -> None:
    with AzureOpenAI(
        azure_endpoint=provider.url, api_key="none", api_version="2025-01-01-preview"
    ) as azure:
        azure.chat.completions.create(model="my-deployment", messages=HELLO)

    assert provider.requests[0].path.startswith(
        "/openai/deployments/my-deployment/chat/completions?api-version="
    )
    assert provider.billed == [Billed("my-deployment", REPLY.usage)]


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        pytest.param(400, openai.BadRequestError, None, id="400"),
        pytest.param(401, openai.AuthenticationError, "invalid_api_key", id="401"),
        pytest.param(404, openai.NotFoundError, "model_not_found", id="404"),
        pytest.param(429, openai.RateLimitError, "rate_limit_exceeded", id="429"),
        pytest.param(500, openai.InternalServerError, None, id="500"),
    ],
)
def test_errors_are_those_of_the_provider_and_free(
    client: OpenAI,
    provider: FakeProvider,
    status: int,
    error: type[openai.APIStatusError],
    code: str | None,
) -> None:
    provider.reply_with(Reply(status=status))

    with pytest.raises(error) as caught:
        client.chat.completions.create(model="gpt-4o", messages=HELLO)

    assert caught.value.code == code
    assert provider.request_count == 1
    assert provider.billed == []


def test_a_retry_is_a_request_of_its_own(provider: FakeProvider) -> None:
    provider.reply_with([Reply(status=429, headers={"retry-after-ms": "1"}), Reply()])
    with OpenAI(base_url=provider.openai_base_url, api_key="none", max_retries=2) as client:
        client.chat.completions.create(model="gpt-4o", messages=HELLO)

    assert provider.request_count == 2
    assert len(provider.billed) == 1


def test_compatible_servers_may_leave_usage_out(client: OpenAI, provider: FakeProvider) -> None:
    provider.reply_with(Reply(with_usage=False))

    plain = client.chat.completions.create(model="m", messages=HELLO)
    streamed = client.chat.completions.create(
        model="m", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    response = client.responses.create(model="m", input="hello")

    assert plain.usage is None
    assert all(chunk.usage is None for chunk in streamed)
    assert response.usage is None
    assert len(provider.billed) == 3


def test_a_dropped_connection_is_no_answer_and_free(client: OpenAI, provider: FakeProvider) -> None:
    provider.reply_with(Reply(drop_connection=True))

    with pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(model="gpt-4o", messages=HELLO)

    assert provider.request_count == 1
    assert provider.billed == []


def test_a_stream_can_break_off_and_is_billed(client: OpenAI, provider: FakeProvider) -> None:
    provider.reply_with(Reply(break_after_events=2))
    stream = client.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True)
    received = [next(stream), next(stream)]

    with pytest.raises(openai.APIConnectionError):
        next(stream)

    assert len(received) == 2
    assert len(provider.billed) == 1


def test_a_stream_cut_short_by_the_client_is_billed(client: OpenAI, provider: FakeProvider) -> None:
    provider.reply_with(Reply(output_tokens=500, text="word " * 100, text_chunks=100))

    with client.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True) as stream:
        next(iter(stream))

    assert provider.billed == [Billed("gpt-4o", Usage(10, 500))]


def test_the_async_client_gets_the_same_answers(provider: FakeProvider) -> None:
    async def ask() -> tuple[Usage, Usage, str]:
        async with AsyncOpenAI(base_url=provider.openai_base_url, api_key="none") as client:
            plain = await client.chat.completions.create(model="gpt-4o", messages=HELLO)
            stream = await client.chat.completions.create(
                model="gpt-4o", messages=HELLO, stream=True, stream_options={"include_usage": True}
            )
            chunks = [chunk async for chunk in stream]
            response = await client.responses.create(model="gpt-4o", input="hello")
            return _chat_usage(plain.usage), _chat_usage(chunks[-1].usage), response.output_text

    plain, streamed, text = asyncio.run(ask())
    assert plain == streamed == REPLY.usage
    assert text == "one two three"


def test_concurrent_calls_overlap_and_are_all_counted(provider: FakeProvider) -> None:
    provider.reply_with(Reply(latency_seconds=0.2))

    async def ask(count: int) -> set[str]:
        async with AsyncOpenAI(base_url=provider.openai_base_url, api_key="none") as client:
            calls = [
                client.chat.completions.create(model="gpt-4o", messages=HELLO) for _ in range(count)
            ]
            return {answer.id for answer in await asyncio.gather(*calls)}

    ids = asyncio.run(ask(24))
    assert len(ids) == 24
    assert provider.request_count == len(provider.billed) == 24
    assert 1 < provider.in_flight_peak <= 24
