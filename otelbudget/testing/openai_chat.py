"""OpenAI's chat completions and embeddings as they look on the wire.

Source: https://platform.openai.com/docs/api-reference/chat (2026-11), and openai 3.54.0's types.
"""

import base64
import json
import struct
from collections.abc import Iterator
from typing import Any

from otelbudget.testing import sse
from otelbudget.testing.replies import Call, Reply

CREATED_UNIX_SECONDS = 1_793_577_600
"""Time every answer carries, 2026-11-02T00:00:00Z: answers do not change from run to run."""

_EMBEDDING_SIZE = 8

_ERRORS = {
    400: ("invalid_request_error", None, "Invalid value in the request."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    403: ("invalid_request_error", "unsupported_country_region_territory", "Not supported here."),
    404: ("invalid_request_error", "model_not_found", "The model does not exist."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached. Please try again in 1s."),
}
_SERVER_ERROR = (
    "server_error",
    None,
    "The server had an error while processing your request. Sorry about that!",
)


def error(status: int, message: str | None, _key: str) -> dict[str, Any]:
    """The body of an OpenAI error."""
    kind, code, sentence = _ERRORS.get(status, _SERVER_ERROR)
    return {"error": {"message": message or sentence, "type": kind, "param": None, "code": code}}


def completion(call: Call) -> dict[str, Any]:
    """The body of a chat completion."""
    reply = call.reply
    message: dict[str, Any] = {
        "role": "assistant",
        "content": reply.text or None,
        "refusal": None,
    }
    if reply.tool_calls:
        message["tool_calls"] = _tool_calls(call)
    choice = {
        "index": 0,
        "message": message,
        "finish_reason": _finish_reason(reply),
        "logprobs": None,
    }
    body = _head(call, "chat.completion") | {"choices": [choice]}
    return body | {"usage": usage(reply)} if reply.with_usage else body


def completion_events(call: Call) -> Iterator[bytes]:
    """The events of a streamed chat completion, with usage only where the request asks for it."""
    reply = call.reply
    options = call.request.body.get("stream_options") or {}
    with_usage = reply.with_usage and options.get("include_usage") is True
    head = _head(call, "chat.completion.chunk") | ({"usage": None} if with_usage else {})
    for delta, finish_reason in _deltas(call):
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
        yield sse.event(head | {"choices": [choice]})
    if with_usage:
        yield sse.event(head | {"choices": [], "usage": usage(reply)})
    yield sse.DONE


def embeddings(call: Call) -> dict[str, Any]:
    """The body of an embeddings answer: one vector per input, in base64 where asked for."""
    body = call.request.body
    match body.get("input"):
        case [first, *others] if not isinstance(first, int):
            count = 1 + len(others)
        case _:
            count = 1  # a string, or one input as tokens
    size = body.get("dimensions") or _EMBEDDING_SIZE
    vectors = [[(at + 1) / (at + part + 1) for part in range(size)] for at in range(count)]
    in_base64 = body.get("encoding_format") == "base64"
    answer: dict[str, Any] = {
        "object": "list",
        "model": call.model,
        "data": [
            {"object": "embedding", "index": at, "embedding": _base64(one) if in_base64 else one}
            for at, one in enumerate(vectors)
        ],
    }
    if call.reply.with_usage:
        tokens = call.reply.input_tokens
        answer["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
    return answer


def usage(reply: Reply) -> dict[str, Any]:
    """The usage object of a chat completion; parts that are 0 are there, as OpenAI sends them."""
    input_details = {
        "cached_tokens": reply.cache_read_input_tokens,
        "audio_tokens": reply.audio_input_tokens,
    }
    if reply.cache_write_input_tokens:
        input_details["cache_write_tokens"] = reply.cache_write_input_tokens
    return {
        "prompt_tokens": reply.input_tokens,
        "completion_tokens": reply.output_tokens,
        "total_tokens": reply.input_tokens + reply.output_tokens,
        "prompt_tokens_details": input_details,
        "completion_tokens_details": {
            "reasoning_tokens": reply.reasoning_output_tokens,
            "audio_tokens": reply.audio_output_tokens,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _head(call: Call, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{call.key}",
        "object": kind,
        "created": CREATED_UNIX_SECONDS,
        "model": call.model,
        "service_tier": call.reply.service_tier or "default",
        "system_fingerprint": "fp_otelbudget",
    }


def _deltas(call: Call) -> Iterator[tuple[dict[str, Any], str | None]]:
    yield {"role": "assistant", "content": "", "refusal": None}, None
    for piece in call.reply.text_pieces():
        yield {"content": piece}, None
    for index, tool_call in enumerate(_tool_calls(call)):
        yield {"tool_calls": [{"index": index, **tool_call}]}, None
    yield {}, _finish_reason(call.reply)


def _tool_calls(call: Call) -> list[dict[str, Any]]:
    return [
        {
            "id": f"call_{call.key}{index}",
            "type": "function",
            "function": {"name": tool.name, "arguments": json.dumps(dict(tool.arguments))},
        }
        for index, tool in enumerate(call.reply.tool_calls)
    ]


def _finish_reason(reply: Reply) -> str:
    return "tool_calls" if reply.tool_calls else "stop"


def _base64(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
