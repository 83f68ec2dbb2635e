"""The fake provider under the real anthropic client."""

import asyncio
from collections.abc import Iterator

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic
from anthropic.types import MessageParam, ToolUseBlock

from otelbudget.testing import Billed, FakeProvider, Reply, ToolCall, Usage

MODEL = "claude-haiku-4-5"
HELLO: list[MessageParam] = [{"role": "user", "content": "hello"}]
REPLY = Reply(
    input_tokens=1_000,
    output_tokens=200,
    cache_read_input_tokens=600,
    cache_write_input_tokens=300,
    reasoning_output_tokens=50,
    text="one two three",
)


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider(REPLY) as running:
        yield running


@pytest.fixture
def client(provider: FakeProvider) -> Iterator[Anthropic]:
    with Anthropic(base_url=provider.anthropic_base_url, api_key="none", max_retries=0) as made:
        yield made


def _usage(usage: anthropic.types.Usage) -> Usage:
    """Anthropic's counts as the reply has them: its input leaves caches out."""
    read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    details = usage.output_tokens_details
    return Usage(
        usage.input_tokens + read + written,
        usage.output_tokens,
        read,
        written,
        details.thinking_tokens if details else 0,
    )


def test_input_leaves_caches_out_on_the_wire(client: Anthropic, provider: FakeProvider) -> None:
    answer = client.messages.create(model=MODEL, max_tokens=10, messages=HELLO)

    assert answer.usage.input_tokens == 100  # 1,000 - 600 read - 300 written
    assert answer.usage.cache_read_input_tokens == 600
    assert answer.usage.cache_creation_input_tokens == 300
    assert _usage(answer.usage) == REPLY.usage
    assert answer.id.startswith("msg_")
    assert answer.stop_reason == "end_turn"
    assert provider.billed == [Billed(MODEL, REPLY.usage)]
    assert provider.requests[0].path == "/v1/messages"


def test_usage_tells_of_one_hour_caches_searches_and_the_tier(
    client: Anthropic, provider: FakeProvider
) -> None:
    reply = Reply(
        input_tokens=1_000,
        cache_write_input_tokens=300,
        cache_write_1h_input_tokens=120,
        web_searches=2,
        service_tier="priority",
    )
    provider.reply_with(reply)

    plain = client.messages.create(model=MODEL, max_tokens=10, messages=HELLO)
    with client.messages.stream(model=MODEL, max_tokens=10, messages=HELLO) as stream:
        streamed = stream.get_final_message()

    for usage in (plain.usage, streamed.usage):
        assert usage.cache_creation is not None
        assert usage.cache_creation.ephemeral_5m_input_tokens == 180  # 300 - 120
        assert usage.cache_creation.ephemeral_1h_input_tokens == 120
        assert usage.server_tool_use is not None
        assert usage.server_tool_use.web_search_requests == 2
        assert usage.service_tier == "priority"
    assert provider.billed == [Billed(MODEL, reply.usage)] * 2


def test_the_stream_helper_adds_up_to_the_reply(client: Anthropic) -> None:
    with client.messages.stream(model=MODEL, max_tokens=10, messages=HELLO) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()

    assert text == "one two three"
    assert _usage(final.usage) == REPLY.usage


def test_a_raw_stream_has_input_first_and_output_near_the_end(client: Anthropic) -> None:
    events = list(client.messages.create(model=MODEL, max_tokens=10, messages=HELLO, stream=True))

    first, delta, last = events[0], events[-2], events[-1]
    assert first.type == "message_start"
    assert (first.message.usage.input_tokens, first.message.usage.output_tokens) == (100, 1)
    assert delta.type == "message_delta"
    assert (delta.usage.input_tokens, delta.usage.output_tokens) == (100, 200)
    assert last.type == "message_stop"


def test_tool_use_arrives_plain_and_streamed(client: Anthropic, provider: FakeProvider) -> None:
    provider.reply_with(Reply(text="Let me look.", tool_calls=(ToolCall("search", {"q": "otel"}),)))

    plain = client.messages.create(model=MODEL, max_tokens=10, messages=HELLO)
    with client.messages.stream(model=MODEL, max_tokens=10, messages=HELLO) as stream:
        streamed = stream.get_final_message()

    assert plain.stop_reason == streamed.stop_reason == "tool_use"
    assert [block.type for block in plain.content] == ["text", "tool_use"]
    assert isinstance(plain.content[1], ToolUseBlock)
    assert isinstance(streamed.content[1], ToolUseBlock)
    assert (plain.content[1].name, plain.content[1].input) == ("search", {"q": "otel"})
    assert (streamed.content[1].name, streamed.content[1].input) == ("search", {"q": "otel"})


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        pytest.param(400, anthropic.BadRequestError, "invalid_request_error", id="400"),
        pytest.param(401, anthropic.AuthenticationError, "authentication_error", id="401"),
        pytest.param(404, anthropic.NotFoundError, "not_found_error", id="404"),
        pytest.param(429, anthropic.RateLimitError, "rate_limit_error", id="429"),
        pytest.param(500, anthropic.InternalServerError, "api_error", id="500"),
    ],
)
def test_errors_are_those_of_the_provider_and_free(
    client: Anthropic,
    provider: FakeProvider,
    status: int,
    error: type[anthropic.APIStatusError],
    kind: str,
) -> None:
    provider.reply_with(Reply(status=status))

    with pytest.raises(error) as caught:
        client.messages.create(model=MODEL, max_tokens=10, messages=HELLO)

    assert isinstance(caught.value.body, dict)
    assert caught.value.body["error"]["type"] == kind
    assert caught.value.request_id is not None
    assert caught.value.request_id.startswith("req_")
    assert provider.billed == []


def test_a_dropped_connection_is_no_answer(client: Anthropic, provider: FakeProvider) -> None:
    provider.reply_with(Reply(drop_connection=True))

    with pytest.raises(anthropic.APIConnectionError):
        client.messages.create(model=MODEL, max_tokens=10, messages=HELLO)

    assert provider.billed == []


def test_a_stream_cut_short_by_the_client_is_billed(
    client: Anthropic, provider: FakeProvider
) -> None:
    with client.messages.stream(model=MODEL, max_tokens=10, messages=HELLO) as stream:
        next(iter(stream))

    assert provider.billed == [Billed(MODEL, REPLY.usage)]


def test_the_async_client_gets_the_same_answers(provider: FakeProvider) -> None:
    async def ask() -> tuple[Usage, Usage]:
        async with AsyncAnthropic(base_url=provider.anthropic_base_url, api_key="none") as client:
            plain = await client.messages.create(model=MODEL, max_tokens=10, messages=HELLO)
            async with client.messages.stream(model=MODEL, max_tokens=10, messages=HELLO) as stream:
                streamed = await stream.get_final_message()
            return _usage(plain.usage), _usage(streamed.usage)

    plain, streamed = asyncio.run(ask())
    assert plain == streamed == REPLY.usage
