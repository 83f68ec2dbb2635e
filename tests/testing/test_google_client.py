"""The fake provider under the real google-genai client."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from google.genai import Client, errors, types
from google.oauth2.credentials import Credentials

from otelbudget.testing import Billed, FakeProvider, Reply, ToolCall, Usage

MODEL = "gemini-2.5-flash"
REPLY = Reply(
    input_tokens=1_000,
    output_tokens=200,
    cache_read_input_tokens=600,
    reasoning_output_tokens=50,
    audio_input_tokens=30,
    image_input_tokens=20,
    tool_use_input_tokens=100,
    text="one two three",
)


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider(REPLY) as running:
        yield running


def _options(provider: FakeProvider) -> types.HttpOptions:
    return types.HttpOptions(base_url=provider.google_base_url, client_args={"verify": False})


@pytest.fixture
def client(provider: FakeProvider) -> Iterator[Client]:
    with Client(api_key="none", http_options=_options(provider)) as made:
        yield made


@pytest.fixture
def vertex(provider: FakeProvider) -> Client:
    return Client(
        vertexai=True,
        project="project",
        location="us-central1",
        credentials=Credentials("none"),  # type: ignore[no-untyped-call]  # google-auth's
        http_options=_options(provider),
    )


def _counts(usage: types.GenerateContentResponseUsageMetadata | None) -> dict[str, Any]:
    assert usage is not None
    return usage.model_dump(exclude_none=True)


COUNTS = {
    "prompt_token_count": 900,
    "tool_use_prompt_token_count": 100,
    "cached_content_token_count": 600,
    "candidates_token_count": 150,
    "thoughts_token_count": 50,
    "total_token_count": 1_200,
    "prompt_tokens_details": [
        {"modality": types.MediaModality.TEXT, "token_count": 850},
        {"modality": types.MediaModality.AUDIO, "token_count": 30},
        {"modality": types.MediaModality.IMAGE, "token_count": 20},
    ],
    "candidates_tokens_details": [{"modality": types.MediaModality.TEXT, "token_count": 150}],
    "cache_tokens_details": [{"modality": types.MediaModality.TEXT, "token_count": 600}],
}
"""REPLY as Google counts it: caches within the prompt; tools and thoughts beside it."""


def test_content_has_text_usage_model_and_id(client: Client, provider: FakeProvider) -> None:
    answer = client.models.generate_content(model=MODEL, contents="hello")

    assert answer.text == "one two three"
    assert _counts(answer.usage_metadata) == COUNTS
    assert answer.model_version == MODEL
    assert answer.response_id
    assert provider.billed == [Billed(MODEL, REPLY.usage)]


def test_streamed_content_has_usage_so_far_in_every_chunk(
    client: Client, provider: FakeProvider
) -> None:
    chunks = list(client.models.generate_content_stream(model=MODEL, contents="hello"))

    assert "".join(chunk.text or "" for chunk in chunks) == "one two three"
    first = _counts(chunks[0].usage_metadata)
    assert (first["prompt_token_count"], first["candidates_token_count"]) == (900, 1)
    assert _counts(chunks[-1].usage_metadata) == COUNTS
    assert provider.billed == [Billed(MODEL, REPLY.usage)]


def test_the_async_client_gets_the_same_answers(client: Client) -> None:
    async def ask() -> tuple[dict[str, Any], dict[str, Any]]:
        plain = await client.aio.models.generate_content(model=MODEL, contents="hello")
        stream = await client.aio.models.generate_content_stream(model=MODEL, contents="hello")
        chunks = [chunk async for chunk in stream]
        return _counts(plain.usage_metadata), _counts(chunks[-1].usage_metadata)

    assert asyncio.run(ask()) == (COUNTS, COUNTS)


def test_vertex_is_served_on_its_own_paths(vertex: Client, provider: FakeProvider) -> None:
    answer = vertex.models.generate_content(model=MODEL, contents="hello")

    assert _counts(answer.usage_metadata) == COUNTS
    assert "/publishers/google/models/" in provider.requests[0].path
    assert provider.billed == [Billed(MODEL, REPLY.usage)]


def test_tool_calls_arrive_plain_and_streamed(client: Client, provider: FakeProvider) -> None:
    provider.reply_with(Reply(text="Let me look.", tool_calls=(ToolCall("search", {"q": "otel"}),)))

    plain = client.models.generate_content(model=MODEL, contents="hello")
    chunks = list(client.models.generate_content_stream(model=MODEL, contents="hello"))

    assert [(one.name, one.args) for one in plain.function_calls or ()] == [
        ("search", {"q": "otel"})
    ]
    assert [one.name for one in chunks[-1].function_calls or ()] == ["search"]


def test_searches_are_told_as_grounding(client: Client, provider: FakeProvider) -> None:
    provider.reply_with(Reply(web_searches=2))

    answer = client.models.generate_content(model=MODEL, contents="hello")

    [candidate] = answer.candidates or []
    assert candidate.grounding_metadata is not None
    assert len(candidate.grounding_metadata.web_search_queries or []) == 2


def test_an_interaction_has_text_and_usage_plain_and_streamed(
    client: Client, provider: FakeProvider
) -> None:
    plain: Any = client.interactions.create(model=MODEL, input="hello")
    events: Any = list(client.interactions.create(model=MODEL, input="hello", stream=True))

    assert plain.output_text == "one two three"
    streamed = events[-1].interaction
    for usage in (plain.usage, streamed.usage):
        assert (usage.total_input_tokens, usage.total_tool_use_tokens) == (900, 100)
        assert (usage.total_output_tokens, usage.total_thought_tokens) == (150, 50)
        assert usage.total_cached_tokens == 600
    assert provider.billed == [Billed(MODEL, REPLY.usage)] * 2


def test_embeddings_have_one_vector_per_text_and_bill_no_output(
    client: Client, provider: FakeProvider
) -> None:
    answer = client.models.embed_content(model="gemini-embedding-001", contents=["one", "two"])

    assert len(answer.embeddings or []) == 2
    assert answer.usage_metadata is not None
    assert answer.usage_metadata.prompt_token_count == 1_000
    assert provider.billed == [Billed("gemini-embedding-001", Usage(1_000, 0))]


def test_vertex_counts_the_tokens_of_each_text(vertex: Client, provider: FakeProvider) -> None:
    answer = vertex.models.embed_content(model="text-embedding-005", contents=["one", "two"])

    statistics = [one.statistics for one in answer.embeddings or []]
    assert [one.token_count for one in statistics if one is not None] == [500, 500]
    assert provider.requests[0].path.endswith(":predict")


@pytest.mark.parametrize(
    ("status", "error", "name"),
    [
        pytest.param(400, errors.ClientError, "INVALID_ARGUMENT", id="400"),
        pytest.param(429, errors.ClientError, "RESOURCE_EXHAUSTED", id="429"),
        pytest.param(500, errors.ServerError, "INTERNAL", id="500"),
    ],
)
def test_errors_are_those_of_the_provider_and_free(
    client: Client,
    provider: FakeProvider,
    status: int,
    error: type[errors.APIError],
    name: str,
) -> None:
    provider.reply_with(Reply(status=status))

    with pytest.raises(error) as caught:
        client.models.generate_content(model=MODEL, contents="hello")

    assert (caught.value.code, caught.value.status) == (status, name)
    assert provider.billed == []
