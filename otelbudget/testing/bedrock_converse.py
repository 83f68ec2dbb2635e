"""Bedrock's conversations as they look on the wire.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html (2026-11),
and botocore 1.44.5's model of bedrock-runtime.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from otelbudget.testing import event_stream
from otelbudget.testing.replies import Call, Reply

_ERRORS = {
    400: ("ValidationException", "The request was not valid."),
    401: ("UnrecognizedClientException", "The security token included is invalid."),
    403: ("AccessDeniedException", "You don't have access to the model."),
    404: ("ResourceNotFoundException", "The model was not found."),
    408: ("ModelTimeoutException", "The model took too long."),
    424: ("ModelErrorException", "The model failed to process the request."),
    429: ("ThrottlingException", "Too many requests, please wait before trying again."),
    503: ("ServiceUnavailableException", "The service is not available."),
}
_SERVER_ERROR = ("InternalServerException", "The server had an error.")


def error(status: int, message: str | None, _key: str) -> dict[str, Any]:
    """The body of an error of Bedrock."""
    kind, sentence = _ERRORS.get(status, _SERVER_ERROR)
    return {"__type": kind, "message": message or sentence}


def answer_headers(call: Call, *, is_streamed: bool) -> dict[str, str]:
    """Headers of an answer of Bedrock."""
    headers = {"x-amzn-RequestId": call.key}
    return headers | {"Content-Type": event_stream.CONTENT_TYPE} if is_streamed else headers


def converse(call: Call) -> dict[str, Any]:
    """The body of a conversation's next message, which names neither its id nor its model."""
    reply = call.reply
    return {
        "output": {"message": {"role": "assistant", "content": _blocks(call)}},
        "stopReason": _stop_reason(reply),
        **_metadata(reply),
    }


def converse_events(call: Call) -> Iterator[bytes]:
    """The events of a streamed message; the last one carries usage."""
    for kind, payload in _events(call):
        yield event_stream.event(kind, payload)


def usage(reply: Reply) -> dict[str, Any]:
    """The usage object of a conversation, whose input leaves caches out as Bedrock counts it."""
    read, written = reply.cache_read_input_tokens, reply.cache_write_input_tokens
    counts: dict[str, Any] = {
        "inputTokens": reply.input_tokens - read - written,
        "outputTokens": reply.output_tokens,
        "totalTokens": reply.input_tokens + reply.output_tokens,
        "cacheReadInputTokens": read,
        "cacheWriteInputTokens": written,
    }
    for_an_hour = reply.cache_write_1h_input_tokens
    if for_an_hour:
        counts["cacheDetails"] = [
            {"ttl": "5m", "inputTokens": written - for_an_hour},
            {"ttl": "1h", "inputTokens": for_an_hour},
        ]
    return counts


def _metadata(reply: Reply) -> dict[str, Any]:
    metadata: dict[str, Any] = {"metrics": {"latencyMs": 1}}
    if reply.with_usage:
        metadata["usage"] = usage(reply)
    if reply.service_tier:
        metadata["serviceTier"] = {"type": reply.service_tier}
    return metadata


def _blocks(call: Call) -> list[dict[str, Any]]:
    text = [{"text": call.reply.text}] if call.reply.text else []
    return text + [
        {
            "toolUse": {
                "toolUseId": f"tooluse_{call.key}{index}",
                "name": tool.name,
                "input": dict(tool.arguments),
            }
        }
        for index, tool in enumerate(call.reply.tool_calls)
    ]


def _events(call: Call) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "messageStart", {"role": "assistant"}
    for index, block in enumerate(_blocks(call)):
        place = {"contentBlockIndex": index}
        deltas: list[dict[str, Any]]
        if "text" in block:
            deltas = [{"text": piece} for piece in call.reply.text_pieces()]
        else:
            tool = block["toolUse"]
            deltas = [{"toolUse": {"input": json.dumps(tool["input"])}}]
            start = {"toolUse": {"toolUseId": tool["toolUseId"], "name": tool["name"]}}
            yield "contentBlockStart", {"start": start, **place}
        for delta in deltas:
            yield "contentBlockDelta", {"delta": delta, **place}
        yield "contentBlockStop", place
    yield "messageStop", {"stopReason": _stop_reason(call.reply)}
    yield "metadata", _metadata(call.reply)


def _stop_reason(reply: Reply) -> str:
    return "tool_use" if reply.tool_calls else "end_turn"
