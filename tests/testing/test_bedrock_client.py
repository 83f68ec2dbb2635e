"""The fake provider under the real client of Bedrock."""

import json
from collections.abc import Iterator
from typing import Any

import boto3  # type: ignore[import-untyped]  # it has no types
import pytest
from botocore.config import Config  # type: ignore[import-untyped]  # as above
from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # as above

from otelbudget.testing import Billed, FakeProvider, Reply, ToolCall, Usage

CLAUDE = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
NOVA = "amazon.nova-lite-v1:0"
LLAMA = "meta.llama3-1-70b-instruct-v1:0"
HELLO = [{"role": "user", "content": [{"text": "hello"}]}]
REPLY = Reply(
    input_tokens=1_000,
    output_tokens=200,
    cache_read_input_tokens=600,
    cache_write_input_tokens=300,
    text="one two three",
)
COUNTS = {
    "inputTokens": 100,
    "outputTokens": 200,
    "totalTokens": 1_200,
    "cacheReadInputTokens": 600,
    "cacheWriteInputTokens": 300,
}
"""REPLY as Bedrock counts it: input without caches, the total with them."""


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider(REPLY) as running:
        yield running


@pytest.fixture
def client(provider: FakeProvider) -> Any:
    return boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=provider.bedrock_endpoint_url,
        aws_access_key_id="none",
        aws_secret_access_key="none",  # noqa: S106 - no secret
        config=Config(retries={"total_max_attempts": 1, "mode": "standard"}),
    )


def test_a_conversation_has_text_and_usage(client: Any, provider: FakeProvider) -> None:
    answer = client.converse(modelId=CLAUDE, messages=HELLO)

    assert answer["output"]["message"]["content"] == [{"text": "one two three"}]
    assert answer["usage"] == COUNTS
    assert answer["ResponseMetadata"]["RequestId"]
    assert provider.billed == [Billed(CLAUDE, REPLY.usage)]


def test_a_streamed_conversation_has_usage_in_its_last_event(
    client: Any, provider: FakeProvider
) -> None:
    events = list(client.converse_stream(modelId=CLAUDE, messages=HELLO)["stream"])

    deltas = [event["contentBlockDelta"] for event in events if "contentBlockDelta" in event]
    assert "".join(delta["delta"]["text"] for delta in deltas) == "one two three"
    assert events[-1]["metadata"]["usage"] == COUNTS
    assert provider.billed == [Billed(CLAUDE, REPLY.usage)]


def test_tool_use_arrives_plain_and_streamed(client: Any, provider: FakeProvider) -> None:
    provider.reply_with(Reply(text="", tool_calls=(ToolCall("search", {"q": "otel"}),)))

    plain = client.converse(modelId=NOVA, messages=HELLO)
    events = list(client.converse_stream(modelId=NOVA, messages=HELLO)["stream"])

    [block] = plain["output"]["message"]["content"]
    assert (plain["stopReason"], block["toolUse"]["name"]) == ("tool_use", "search")
    [delta] = [event["contentBlockDelta"] for event in events if "contentBlockDelta" in event]
    assert json.loads(delta["delta"]["toolUse"]["input"]) == {"q": "otel"}


def test_a_model_of_anthropic_answers_in_its_own_format(client: Any) -> None:
    answer = client.invoke_model(modelId=CLAUDE, body=json.dumps({"messages": HELLO}))

    body = json.loads(answer["body"].read())
    assert body["model"] == "claude-haiku-4-5-20251001"
    assert (body["usage"]["input_tokens"], body["usage"]["cache_read_input_tokens"]) == (100, 600)


@pytest.mark.parametrize("model", [CLAUDE, NOVA, LLAMA])
def test_counts_of_an_invoked_model_are_in_the_headers(client: Any, model: str) -> None:
    answer = client.invoke_model(modelId=model, body="{}")

    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amzn-bedrock-input-token-count"] == "100"
    assert headers["x-amzn-bedrock-output-token-count"] == "200"
    assert headers["x-amzn-bedrock-cache-read-input-token-count"] == "600"


@pytest.mark.parametrize("model", [CLAUDE, LLAMA])
def test_counts_of_a_streamed_model_are_in_its_last_piece(client: Any, model: str) -> None:
    stream = client.invoke_model_with_response_stream(modelId=model, body="{}")["body"]

    pieces = [json.loads(event["chunk"]["bytes"]) for event in stream]
    metrics = pieces[-1]["amazon-bedrock-invocationMetrics"]
    assert (metrics["inputTokenCount"], metrics["outputTokenCount"]) == (100, 200)


def test_an_embedding_bills_no_output(client: Any, provider: FakeProvider) -> None:
    model = "amazon.titan-embed-text-v2:0"
    answer = client.invoke_model(modelId=model, body=json.dumps({"inputText": "hello"}))

    assert json.loads(answer["body"].read())["inputTextTokenCount"] == 1_000
    assert provider.billed == [Billed(model, Usage(1_000, 0))]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        pytest.param(400, "ValidationException", id="400"),
        pytest.param(403, "AccessDeniedException", id="403"),
        pytest.param(429, "ThrottlingException", id="429"),
        pytest.param(500, "InternalServerException", id="500"),
    ],
)
def test_errors_are_those_of_the_provider_and_free(
    client: Any, provider: FakeProvider, status: int, code: str
) -> None:
    provider.reply_with(Reply(status=status))

    with pytest.raises(ClientError) as caught:
        client.converse(modelId=CLAUDE, messages=HELLO)

    response = caught.value.response
    assert response["Error"]["Code"] == code
    assert response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert provider.billed == []
