"""The anthropic SDK in every form its users call it."""

from typing import Any

from tests.compat.enforcement.scenario import Scenario, Stage, package, with_variants

SDK = "anthropic"
MODEL = "claude-sonnet-4-5"
MESSAGE: dict[str, Any] = {
    "model": MODEL,
    "max_tokens": 1_000,
    "messages": [{"role": "user", "content": "hello"}],
}


def client(stage: Stage) -> Any:
    """A client as users make it, retries included; it loads no certificates."""
    anthropic = package("anthropic")
    http = anthropic.DefaultHttpxClient(verify=False)
    return anthropic.Anthropic(base_url=stage.url, api_key="none", http_client=http)


def async_client(stage: Stage) -> Any:
    """As `client`, for asyncio."""
    anthropic = package("anthropic")
    http = anthropic.DefaultAsyncHttpxClient(verify=False)
    return anthropic.AsyncAnthropic(base_url=stage.url, api_key="none", http_client=http)


def _create(stage: Stage) -> None:
    with client(stage) as anthropic:
        anthropic.messages.create(**MESSAGE)


async def _create_async(stage: Stage) -> None:
    async with async_client(stage) as anthropic:
        await anthropic.messages.create(**MESSAGE)


def _create_stream(stage: Stage) -> None:
    with client(stage) as anthropic:
        list(anthropic.messages.create(**MESSAGE, stream=True))


async def _create_stream_async(stage: Stage) -> None:
    async with async_client(stage) as anthropic:
        [_ async for _ in await anthropic.messages.create(**MESSAGE, stream=True)]


def _stream(stage: Stage) -> None:
    with client(stage) as anthropic, anthropic.messages.stream(**MESSAGE) as events:
        list(events)


async def _stream_async(stage: Stage) -> None:
    async with async_client(stage) as anthropic, anthropic.messages.stream(**MESSAGE) as events:
        [_ async for _ in events]


def _text_stream(stage: Stage) -> None:
    with client(stage) as anthropic, anthropic.messages.stream(**MESSAGE) as events:
        list(events.text_stream)
        events.get_final_message()


def _raw(stage: Stage) -> None:
    with client(stage) as anthropic:
        anthropic.messages.with_raw_response.create(**MESSAGE).parse()


def _beta(stage: Stage) -> None:
    with client(stage) as anthropic:
        anthropic.beta.messages.create(**MESSAGE)


SCENARIOS = (
    *with_variants(
        Scenario("messages.create", _create),
        Scenario("messages.create stream async", _create_stream_async),
    ),
    Scenario("messages.create async", _create_async),
    Scenario("messages.create stream", _create_stream),
    Scenario("messages.stream", _stream),
    Scenario("messages.stream async", _stream_async),
    Scenario("messages.stream text_stream", _text_stream),
    Scenario("messages.with_raw_response", _raw),
    Scenario("beta.messages.create", _beta),
)
