"""Usage is read off whatever a function may return: dicts, text and objects of the SDKs."""

from types import SimpleNamespace
from typing import Any

import pytest
import requests
from anthropic.types import Message
from google.genai.types import GenerateContentResponse
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from otelbudget.genai.usage import TokenUsage
from otelbudget.live.gates.returned import read_returned

COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o",
    "choices": [],
    "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
}
GEMINI = {
    "candidates": [{"finishReason": "STOP", "content": {"parts": [{"text": "hi"}]}}],
    "usageMetadata": {
        "promptTokenCount": 10,
        "cachedContentTokenCount": 4,
        "candidatesTokenCount": 3,
        "thoughtsTokenCount": 2,
        "totalTokenCount": 15,
        "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 6}],
    },
    "modelVersion": "gemini-2.5-flash",
    "responseId": "r1",
}
GEMINI_USAGE = TokenUsage(10, 5, 4, reasoning_output_tokens=2, audio_input_tokens=6)
# LangChain's input holds the cached tokens.
LANGCHAIN = {
    "usage_metadata": {
        "input_tokens": 10,
        "output_tokens": 5,
        "total_tokens": 15,
        "input_token_details": {"cache_read": 4, "cache_creation": 2},
        "output_token_details": {"reasoning": 1},
    },
    "response_metadata": {"model_name": "gpt-4o", "id": "chatcmpl-1"},
    "id": "run-1",
}


def _http(body: bytes) -> requests.Response:
    response = requests.Response()
    response._content = body  # noqa: SLF001 - as if it had been read
    return response


@pytest.mark.parametrize(
    ("value", "usage", "model", "response_id"),
    [
        pytest.param(COMPLETION, TokenUsage(10, 5), "gpt-4o", "chatcmpl-1", id="dict"),
        pytest.param(
            ChatCompletion.model_validate(COMPLETION),
            TokenUsage(10, 5),
            "gpt-4o",
            "chatcmpl-1",
            id="openai-object",
        ),
        pytest.param(
            Response.model_construct(
                id="resp_1",
                model="gpt-4o",
                usage=SimpleNamespace(
                    input_tokens=10,
                    output_tokens=5,
                    input_tokens_details=SimpleNamespace(cached_tokens=4),
                    output_tokens_details=None,
                ),
            ),
            TokenUsage(10, 5, 4),
            "gpt-4o",
            "resp_1",
            id="openai-response-object",
        ),
        pytest.param(
            Message.model_validate(
                {
                    "id": "msg_1",
                    "type": "message",
                    "role": "assistant",
                    "model": "claude-haiku-4-5",
                    "content": [],
                    "usage": {
                        "input_tokens": 4,
                        "cache_read_input_tokens": 6,
                        "output_tokens": 5,
                    },
                }
            ),
            TokenUsage(10, 5, 6),
            "claude-haiku-4-5",
            "msg_1",
            id="anthropic-object",
        ),
        pytest.param(GEMINI, GEMINI_USAGE, "gemini-2.5-flash", "r1", id="gemini-dict"),
        pytest.param(
            GenerateContentResponse.model_validate(GEMINI),
            GEMINI_USAGE,
            "gemini-2.5-flash",
            "r1",
            id="gemini-object",
        ),
        pytest.param(
            {"usage_metadata": {"prompt_token_count": 10, "candidates_token_count": 5}},
            TokenUsage(10, 5),
            None,
            None,
            id="gemini-snake-case",
        ),
        pytest.param(
            {"id": "v1_1", "usage": {"total_input_tokens": 10, "total_output_tokens": 5}},
            TokenUsage(10, 5),
            None,
            "v1_1",
            id="gemini-interaction",
        ),
        pytest.param(
            {"usage": {"inputTokens": 4, "outputTokens": 5, "cacheReadInputTokens": 6}},
            TokenUsage(10, 5, 6),
            None,
            None,
            id="bedrock-converse",
        ),
        pytest.param(
            {"metadata": {"usage": {"inputTokens": 10, "outputTokens": 5}}},
            TokenUsage(10, 5),
            None,
            None,
            id="bedrock-last-event",
        ),
        pytest.param(
            {"prompt_token_count": 10, "generation_token_count": 5},
            TokenUsage(10, 5),
            None,
            None,
            id="llama-on-bedrock",
        ),
        pytest.param(
            {"prompt_tokens": 10, "completion_tokens": 5}, TokenUsage(10, 5), None, None, id="plain"
        ),
        pytest.param(
            {"input_tokens": 10, "output_tokens": 5}, TokenUsage(10, 5), None, None, id="plain-new"
        ),
        pytest.param(
            {"model": "voyage-3", "usage": {"total_tokens": 10}},
            TokenUsage(10, 0),
            "voyage-3",
            None,
            id="only-a-total",
        ),
        pytest.param(
            {"model": "llama3", "done": True, "prompt_eval_count": 10, "eval_count": 5},
            TokenUsage(10, 5),
            "llama3",
            None,
            id="ollama",
        ),
        pytest.param(
            {"id": "c1", "usage": {"billed_units": {"input_tokens": 10.0, "output_tokens": 5.0}}},
            TokenUsage(10, 5),
            None,
            "c1",
            id="cohere",
        ),
        pytest.param(
            LANGCHAIN,
            TokenUsage(10, 5, 4, 2, 1),
            "gpt-4o",
            "chatcmpl-1",
            id="langchain",
        ),
        pytest.param(
            # As litellm's proxy answers for Claude: its input holds the caches, told twice.
            {
                "usage": {
                    "prompt_tokens": 10,
                    "completion_tokens": 5,
                    "prompt_tokens_details": {"cached_tokens": 6},
                    "cache_read_input_tokens": 6,
                    "cache_creation_input_tokens": 0,
                }
            },
            TokenUsage(10, 5, 6),
            None,
            None,
            id="gateway",
        ),
        pytest.param((COMPLETION, 0.1), TokenUsage(10, 5), "gpt-4o", "chatcmpl-1", id="tuple"),
        pytest.param(
            b'data: {"usage": {"prompt_tokens": 10, "completion_tokens": 5}}\n\n',
            TokenUsage(10, 5),
            None,
            None,
            id="event-of-a-server",
        ),
        pytest.param(
            _http(b'{"usage": {"prompt_tokens": 10, "completion_tokens": 5}}'),
            TokenUsage(10, 5),
            None,
            None,
            id="http-response",
        ),
    ],
)
def test_usage_model_and_id_are_read(
    value: object, usage: TokenUsage, model: str | None, response_id: str | None
) -> None:
    call, _ = read_returned(value)

    assert call is not None
    assert (call.usage, call.response_model, call.response_id) == (usage, model, response_id)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "hello",
        "{no json",
        b"\xff",
        (),
        7,
        3.5,
        [],
        {},
        pytest.param(object(), id="object"),
        "data: [DONE]",
        {"usage": None},
        {"usage": {"prompt_tokens": "many"}},
        {"usage": {"prompt_tokens": True, "completion_tokens": -1}},
        {"usage_metadata": {"prompt_token_count": None}},
    ],
    ids=repr,
)
def test_what_tells_no_usage_is_unknown_and_never_zero(value: Any) -> None:
    call, is_last = read_returned(value)

    assert call is None or call.usage is None
    assert not is_last or call is not None


@pytest.mark.parametrize(
    ("event", "is_last"),
    [
        pytest.param({"choices": [{"delta": {}}], "usage": None}, False, id="openai-piece"),
        pytest.param(
            {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}},
            True,
            id="openai-last",
        ),
        pytest.param({"type": "message_stop"}, True, id="anthropic-last"),
        pytest.param(GEMINI, True, id="gemini-last"),
        pytest.param(GEMINI | {"candidates": [{}]}, False, id="gemini-piece"),
    ],
)
def test_the_last_event_is_known(event: Any, is_last: bool) -> None:  # noqa: FBT001 - a table cell
    assert read_returned(event)[1] is is_last
