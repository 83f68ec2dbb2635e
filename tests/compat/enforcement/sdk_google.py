"""The google-genai SDK."""

from typing import Any

from tests.compat.enforcement.scenario import Scenario, Stage, package, with_variants

SDK = "google.genai"
_ASK = {"model": "gemini-2.5-flash", "contents": "hello"}
_LARGE = 250_000


def _client(stage: Stage) -> Any:
    genai = package("google.genai")
    options = package("google.genai.types").HttpOptions(
        base_url=stage.url, client_args={"verify": False}, async_client_args={"verify": False}
    )
    return genai.Client(api_key="none", http_options=options)


def _generate(stage: Stage) -> None:
    with _client(stage) as client:
        client.models.generate_content(**_ASK)


def _generate_stream(stage: Stage) -> None:
    with _client(stage) as client:
        list(client.models.generate_content_stream(**_ASK))


async def _generate_async(stage: Stage) -> None:
    async with _client(stage).aio as client:
        await client.models.generate_content(**_ASK)


async def _generate_stream_async(stage: Stage) -> None:
    async with _client(stage).aio as client:
        [_ async for _ in await client.models.generate_content_stream(**_ASK)]


def _chat(stage: Stage) -> None:
    with _client(stage) as client:
        client.chats.create(model=_ASK["model"]).send_message("hello")


def _chat_stream(stage: Stage) -> None:
    with _client(stage) as client:
        list(client.chats.create(model=_ASK["model"]).send_message_stream("hello"))


def _functions(stage: Stage) -> None:
    def search(query: str) -> str:
        """Search for something."""
        return f"found {query}"

    config = package("google.genai.types").GenerateContentConfig(tools=[search])
    with _client(stage) as client:
        client.models.generate_content(**_ASK, config=config)


SCENARIOS = (
    *with_variants(
        Scenario("models.generate_content", _generate, large_input_tokens=_LARGE),
        Scenario(
            "aio.models.generate_content_stream",
            _generate_stream_async,
            large_input_tokens=_LARGE,
        ),
    ),
    Scenario("models.generate_content_stream", _generate_stream, large_input_tokens=_LARGE),
    Scenario("aio.models.generate_content", _generate_async, large_input_tokens=_LARGE),
    Scenario("chats send_message", _chat, large_input_tokens=_LARGE),
    Scenario("chats send_message_stream", _chat_stream, large_input_tokens=_LARGE),
    Scenario(
        "models.generate_content with automatic function calling",
        _functions,
        trips_at=3,
        asks_for_tool=True,
        large_input_tokens=_LARGE,
    ),
)
