"""OpenAI's responses as they look on the wire.

Source: https://platform.openai.com/docs/api-reference/responses (2026-11), and openai 3.54.0's types.
"""

import json
from collections.abc import Iterator
from typing import Any

from otelbudget.testing import sse
from otelbudget.testing.openai_chat import CREATED_UNIX_SECONDS
from otelbudget.testing.replies import Call, Reply


def response(call: Call) -> dict[str, Any]:
    """The body of a finished response."""
    return _response(call, "completed", _items(call))


def response_events(call: Call) -> Iterator[bytes]:
    """The events of a streamed response, numbered from 0; the last one carries usage."""
    for number, (kind, fields) in enumerate(_events(call)):
        yield sse.event({"type": kind, "sequence_number": number, **fields}, kind)


def usage(reply: Reply) -> dict[str, Any]:
    """The usage object of a response."""
    return {
        "input_tokens": reply.input_tokens,
        "input_tokens_details": {
            "cached_tokens": reply.cache_read_input_tokens,
            "cache_write_tokens": reply.cache_write_input_tokens,
        },
        "output_tokens": reply.output_tokens,
        "output_tokens_details": {"reasoning_tokens": reply.reasoning_output_tokens},
        "total_tokens": reply.input_tokens + reply.output_tokens,
    }


def _response(call: Call, status: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    body = call.request.body
    with_usage = call.reply.with_usage and status == "completed"
    return {
        "id": f"resp_{call.key}",
        "object": "response",
        "created_at": CREATED_UNIX_SECONDS,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "metadata": {},
        "model": call.model,
        "output": items,
        "parallel_tool_calls": True,
        "previous_response_id": body.get("previous_response_id"),
        "service_tier": call.reply.service_tier or "default",
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": usage(call.reply) if with_usage else None,
    }


def _items(call: Call) -> list[dict[str, Any]]:
    items = [_web_search(call, index, "completed") for index in range(call.reply.web_searches)]
    if call.reply.text:
        items.append(_message(call, "completed", [_part(call.reply.text)]))
    return items + [
        _function_call(call, index, "completed", json.dumps(dict(tool.arguments)))
        for index, tool in enumerate(call.reply.tool_calls)
    ]


def _events(call: Call) -> Iterator[tuple[str, dict[str, Any]]]:
    started = _response(call, "in_progress", [])
    yield "response.created", {"response": started}
    yield "response.in_progress", {"response": started}
    first = call.reply.web_searches
    for index in range(first):
        yield from _web_search_events(call, index)
    if call.reply.text:
        yield from _message_events(call, first)
        first += 1
    for index in range(len(call.reply.tool_calls)):
        yield from _function_call_events(call, index, first + index)
    yield "response.completed", {"response": response(call)}


def _web_search_events(call: Call, index: int) -> Iterator[tuple[str, dict[str, Any]]]:
    item = _web_search(call, index, "completed")
    place = {"output_index": index, "item_id": item["id"]}
    started = _web_search(call, index, "in_progress")
    yield "response.output_item.added", {"output_index": index, "item": started}
    for step in ("in_progress", "searching", "completed"):
        yield f"response.web_search_call.{step}", place
    yield "response.output_item.done", {"output_index": index, "item": item}


def _message_events(call: Call, output_index: int) -> Iterator[tuple[str, dict[str, Any]]]:
    item = _message(call, "completed", [_part(call.reply.text)])
    place: dict[str, Any] = {"output_index": output_index, "item_id": item["id"]}
    part = {**place, "content_index": 0}
    yield (
        "response.output_item.added",
        {"output_index": output_index, "item": _message(call, "in_progress", [])},
    )
    yield "response.content_part.added", {**part, "part": _part("")}
    for piece in call.reply.text_pieces():
        yield "response.output_text.delta", {**part, "delta": piece, "logprobs": []}
    yield "response.output_text.done", {**part, "text": call.reply.text, "logprobs": []}
    yield "response.content_part.done", {**part, "part": _part(call.reply.text)}
    yield "response.output_item.done", {"output_index": output_index, "item": item}


def _function_call_events(
    call: Call, index: int, output_index: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    arguments = json.dumps(dict(call.reply.tool_calls[index].arguments))
    item = _function_call(call, index, "completed", arguments)
    place = {"output_index": output_index, "item_id": item["id"]}
    started = _function_call(call, index, "in_progress", "")
    yield "response.output_item.added", {"output_index": output_index, "item": started}
    yield "response.function_call_arguments.delta", {**place, "delta": arguments}
    yield (
        "response.function_call_arguments.done",
        {**place, "name": item["name"], "arguments": arguments},
    )
    yield "response.output_item.done", {"output_index": output_index, "item": item}


def _message(call: Call, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "type": "message",
        "id": f"msg_{call.key}",
        "status": status,
        "role": "assistant",
        "content": content,
    }


def _web_search(call: Call, index: int, status: str) -> dict[str, Any]:
    return {
        "type": "web_search_call",
        "id": f"ws_{call.key}{index}",
        "status": status,
        "action": {"type": "search", "query": "otelbudget", "queries": ["otelbudget"]},
    }


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _function_call(call: Call, index: int, status: str, arguments: str) -> dict[str, Any]:
    return {
        "type": "function_call",
        "id": f"fc_{call.key}{index}",
        "call_id": f"call_{call.key}{index}",
        "name": call.reply.tool_calls[index].name,
        "arguments": arguments,
        "status": status,
    }
