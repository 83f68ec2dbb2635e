"""The openai SDK in every form its users call it."""

from typing import Any

from tests.compat.enforcement.scenario import Scenario, Stage, package, with_variants

SDK = "openai"
HELLO = {"role": "user", "content": "hello"}
MODEL = "gpt-4o"
CHAT: dict[str, Any] = {"model": MODEL, "messages": [HELLO]}
CHAT_STREAM = CHAT | {"stream": True, "stream_options": {"include_usage": True}}
RESPONSE: dict[str, Any] = {"model": MODEL, "input": "hello"}
EMBEDDING = {"model": "text-embedding-3-large", "input": "hello"}


def client(stage: Stage) -> Any:
    """A client as users make it, retries included; it loads no certificates."""
    openai = package("openai")
    http = openai.DefaultHttpxClient(verify=False)
    return openai.OpenAI(base_url=f"{stage.url}/v1", api_key="none", http_client=http)


def async_client(stage: Stage) -> Any:
    """As `client`, for asyncio."""
    openai = package("openai")
    http = openai.DefaultAsyncHttpxClient(verify=False)
    return openai.AsyncOpenAI(base_url=f"{stage.url}/v1", api_key="none", http_client=http)


def answer_model() -> Any:
    """A pydantic model for structured answers."""
    return package("pydantic").create_model("Answer", number=(int, ...))


def _chat(stage: Stage) -> None:
    with client(stage) as openai:
        openai.chat.completions.create(**CHAT)


async def _chat_async(stage: Stage) -> None:
    async with async_client(stage) as openai:
        await openai.chat.completions.create(**CHAT)


def _chat_stream(stage: Stage) -> None:
    with client(stage) as openai:
        list(openai.chat.completions.create(**CHAT_STREAM))


async def _chat_stream_async(stage: Stage) -> None:
    async with async_client(stage) as openai:
        [_ async for _ in await openai.chat.completions.create(**CHAT_STREAM)]


def _chat_helper(stage: Stage) -> None:
    options = {"include_usage": True}
    with (
        client(stage) as openai,
        openai.chat.completions.stream(**CHAT, stream_options=options) as events,
    ):
        list(events)


async def _chat_helper_async(stage: Stage) -> None:
    options = {"include_usage": True}
    async with (
        async_client(stage) as openai,
        openai.chat.completions.stream(**CHAT, stream_options=options) as events,
    ):
        [_ async for _ in events]


def _chat_parse(stage: Stage) -> None:
    with client(stage) as openai:
        openai.chat.completions.parse(**CHAT, response_format=answer_model())


async def _chat_parse_async(stage: Stage) -> None:
    async with async_client(stage) as openai:
        await openai.chat.completions.parse(**CHAT, response_format=answer_model())


def _chat_raw(stage: Stage) -> None:
    with client(stage) as openai:
        openai.chat.completions.with_raw_response.create(**CHAT).parse()


def _chat_streaming_response(stage: Stage) -> None:
    with (
        client(stage) as openai,
        openai.chat.completions.with_streaming_response.create(**CHAT) as response,
    ):
        response.parse()


def _chat_azure(stage: Stage) -> None:
    openai = package("openai")
    with openai.AzureOpenAI(
        azure_endpoint=stage.url,
        api_key="none",
        api_version="2026-06-01",
        http_client=openai.DefaultHttpxClient(verify=False),
    ) as azure:
        azure.chat.completions.create(**CHAT)


def _responses(stage: Stage) -> None:
    with client(stage) as openai:
        openai.responses.create(**RESPONSE)


async def _responses_async(stage: Stage) -> None:
    async with async_client(stage) as openai:
        await openai.responses.create(**RESPONSE)


def _responses_stream(stage: Stage) -> None:
    with client(stage) as openai:
        list(openai.responses.create(**RESPONSE, stream=True))


async def _responses_stream_async(stage: Stage) -> None:
    async with async_client(stage) as openai:
        [_ async for _ in await openai.responses.create(**RESPONSE, stream=True)]


def _responses_helper(stage: Stage) -> None:
    with client(stage) as openai, openai.responses.stream(**RESPONSE) as events:
        list(events)


async def _responses_helper_async(stage: Stage) -> None:
    async with async_client(stage) as openai, openai.responses.stream(**RESPONSE) as events:
        [_ async for _ in events]


def _responses_parse(stage: Stage) -> None:
    with client(stage) as openai:
        openai.responses.parse(**RESPONSE, text_format=answer_model())


def _embeddings(stage: Stage) -> None:
    with client(stage) as openai:
        openai.embeddings.create(**EMBEDDING)


async def _embeddings_async(stage: Stage) -> None:
    async with async_client(stage) as openai:
        await openai.embeddings.create(**EMBEDDING)


_JSON = '{"number": 7}'

SCENARIOS = (
    *with_variants(
        Scenario("chat.completions.create", _chat),
        Scenario("chat.completions.create stream async", _chat_stream_async),
        Scenario("responses.create", _responses),
    ),
    Scenario("chat.completions.create async", _chat_async),
    Scenario("chat.completions.create stream", _chat_stream),
    Scenario("chat.completions.stream", _chat_helper),
    Scenario("chat.completions.stream async", _chat_helper_async),
    Scenario("chat.completions.parse", _chat_parse, text=_JSON),
    Scenario("chat.completions.parse async", _chat_parse_async, text=_JSON),
    Scenario("chat.completions.with_raw_response", _chat_raw),
    Scenario("chat.completions.with_streaming_response", _chat_streaming_response),
    Scenario("AzureOpenAI chat.completions.create", _chat_azure),
    Scenario("responses.create async", _responses_async),
    Scenario("responses.create stream", _responses_stream),
    Scenario("responses.create stream async", _responses_stream_async),
    Scenario("responses.stream", _responses_helper),
    Scenario("responses.stream async", _responses_helper_async),
    Scenario("responses.parse", _responses_parse, text=_JSON),
    Scenario("embeddings.create", _embeddings, large_input_tokens=1_000_000),
    Scenario("embeddings.create async", _embeddings_async, large_input_tokens=1_000_000),
)
