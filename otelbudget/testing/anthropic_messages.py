"""Anthropic's messages as they look on the wire.

Source: https://docs.anthropic.com/en/api/messages (2026-11), and anthropic 2.12.0's types.
"""

import json
from collections.abc import Iterator
from typing import Any

from otelbudget.testing import sse
from otelbudget.testing.replies import Call, Reply

_ERRORS = {
    400: ("invalid_request_error", "The request was not valid."),
    401: ("authentication_error", "invalid x-api-key"),
    403: ("permission_error", "Your API key does not have permission to use this resource."),
    404: ("not_found_error", "The requested resource could not be found."),
    413: ("request_too_large", "Request exceeds the maximum allowed number of bytes."),
    429: ("rate_limit_error", "This request would exceed your rate limit."),
    529: ("overloaded_error", "Overloaded"),
}
_SERVER_ERROR = ("api_error", "Internal server error")


def error(status: int, message: str | None, key: str) -> dict[str, Any]:
    """The body of an Anthropic error."""
    kind, sentence = _ERRORS.get(status, _SERVER_ERROR)
    return {
        "type": "error",
        "error": {"type": kind, "message": message or sentence},
        "request_id": f"req_{key}",
    }


def message(call: Call) -> dict[str, Any]:
    """The body of a message."""
    reply = call.reply
    body = _message(call, _blocks(call), "tool_use" if reply.tool_calls else "end_turn")
    return body | {"usage": usage(reply)} if reply.with_usage else body


def message_events(call: Call) -> Iterator[bytes]:
    """The events of a streamed message: input usage in the first, output usage near the end."""
    for kind, fields in events(call):
        yield sse.event({"type": kind, **fields}, kind)


def events(call: Call) -> Iterator[tuple[str, dict[str, Any]]]:
    """The types of the events of a streamed message, each with its other fields."""
    reply = call.reply
    first = _message(call, [], None)
    if reply.with_usage:
        # The first event counts the output so far, as Anthropic does; the last one is the total.
        first["usage"] = _input_usage(reply) | {"output_tokens": min(1, reply.output_tokens)}
    yield "message_start", {"message": first}
    for index, block in enumerate(_blocks(call)):
        yield from _block_events(reply, index, block)
    delta = {"stop_reason": "tool_use" if reply.tool_calls else "end_turn", "stop_sequence": None}
    # Counts of the last event are those of the whole message, not of what came since the first.
    totals = _input_counts(reply) | _output_usage(reply)
    counts = {"usage": totals} if reply.with_usage else {}
    yield "message_delta", {"delta": delta, **counts}
    yield "message_stop", {}


def usage(reply: Reply) -> dict[str, Any]:
    """The usage object of a message, whose input leaves caches out as Anthropic counts it."""
    return _input_usage(reply) | _output_usage(reply)


def _input_usage(reply: Reply) -> dict[str, Any]:
    written, for_an_hour = reply.cache_write_input_tokens, reply.cache_write_1h_input_tokens
    return _input_counts(reply) | {
        "cache_creation": {
            "ephemeral_5m_input_tokens": written - for_an_hour,
            "ephemeral_1h_input_tokens": for_an_hour,
        },
        "service_tier": reply.service_tier or "standard",
    }


def _input_counts(reply: Reply) -> dict[str, Any]:
    read, written = reply.cache_read_input_tokens, reply.cache_write_input_tokens
    return {
        "input_tokens": reply.input_tokens - read - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
    }


def _output_usage(reply: Reply) -> dict[str, Any]:
    counts: dict[str, Any] = {"output_tokens": reply.output_tokens}
    if reply.reasoning_output_tokens:
        counts["output_tokens_details"] = {"thinking_tokens": reply.reasoning_output_tokens}
    if reply.web_searches:
        counts["server_tool_use"] = {
            "web_search_requests": reply.web_searches,
            "web_fetch_requests": 0,
        }
    return counts


def _message(call: Call, content: list[dict[str, Any]], stop: str | None) -> dict[str, Any]:
    return {
        "id": f"msg_{call.key}",
        "type": "message",
        "role": "assistant",
        "model": call.model,
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
    }


def _blocks(call: Call) -> list[dict[str, Any]]:
    text = [{"type": "text", "text": call.reply.text}] if call.reply.text else []
    return text + [
        {
            "type": "tool_use",
            "id": f"toolu_{call.key}{index}",
            "name": tool.name,
            "input": dict(tool.arguments),
        }
        for index, tool in enumerate(call.reply.tool_calls)
    ]


def _block_events(
    reply: Reply, index: int, block: dict[str, Any]
) -> Iterator[tuple[str, dict[str, Any]]]:
    is_text = block["type"] == "text"
    empty: dict[str, Any] = {"text": ""} if is_text else {"input": {}}
    yield "content_block_start", {"index": index, "content_block": block | empty}
    if is_text:
        deltas = [{"type": "text_delta", "text": piece} for piece in reply.text_pieces()]
    else:
        deltas = [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
    for delta in deltas:
        yield "content_block_delta", {"index": index, "delta": delta}
    yield "content_block_stop", {"index": index}
