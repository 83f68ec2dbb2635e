"""Gemini's interactions as they look on the wire.

Source: https://ai.google.dev/api/interactions-api (2026-11), and google-genai 3.4.0's types.
"""

from collections.abc import Iterator
from typing import Any

from otelbudget.testing import sse
from otelbudget.testing.replies import Call, Reply

_CREATED = "2026-11-02T00:00:00Z"


def interaction(call: Call) -> dict[str, Any]:
    """The body of a finished interaction."""
    return _interaction(call, "completed", _steps(call))


def interaction_events(call: Call) -> Iterator[bytes]:
    """The events of a streamed interaction; the one that completes it carries usage."""
    for kind, fields in _events(call):
        yield sse.event({"event_type": kind, **fields}, kind)
    yield sse.event_of_text("[DONE]", "done")


def usage(reply: Reply) -> dict[str, Any]:
    """The usage object of an interaction: caches within the input, thoughts and tools beside."""
    counts: dict[str, Any] = {
        "total_input_tokens": reply.input_tokens - reply.tool_use_input_tokens,
        "total_cached_tokens": reply.cache_read_input_tokens,
        "total_output_tokens": reply.output_tokens - reply.reasoning_output_tokens,
        "total_thought_tokens": reply.reasoning_output_tokens,
        "total_tool_use_tokens": reply.tool_use_input_tokens,
        "total_tokens": reply.input_tokens + reply.output_tokens,
        "input_tokens_by_modality": _modalities(reply.audio_input_tokens, reply.image_input_tokens),
        "output_tokens_by_modality": _modalities(
            reply.audio_output_tokens, reply.image_output_tokens
        ),
    }
    if reply.web_searches:
        counts["grounding_tool_count"] = [{"type": "google_search", "count": reply.web_searches}]
    return counts


def _modalities(audio: int, image: int) -> list[dict[str, Any]]:
    counts = {"audio": audio, "image": image}
    return [{"modality": modality, "tokens": count} for modality, count in counts.items() if count]


def _interaction(call: Call, status: str, steps: list[dict[str, Any]]) -> dict[str, Any]:
    body: dict[str, Any] = {
        "id": f"interactions/{call.key}",
        "object": "interaction",
        "model": call.model,
        "status": status,
        "created": _CREATED,
        "updated": _CREATED,
        "steps": steps,
    }
    if call.reply.service_tier:
        body["service_tier"] = call.reply.service_tier
    if call.reply.with_usage and status == "completed":
        body["usage"] = usage(call.reply)
    return body


def _steps(call: Call) -> list[dict[str, Any]]:
    text = [{"type": "model_output", "content": [{"type": "text", "text": call.reply.text}]}]
    return (text if call.reply.text else []) + [
        {
            "type": "function_call",
            "id": f"call_{call.key}{index}",
            "name": tool.name,
            "arguments": dict(tool.arguments),
        }
        for index, tool in enumerate(call.reply.tool_calls)
    ]


def _events(call: Call) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "interaction.created", {"interaction": _interaction(call, "in_progress", [])}
    for index, step in enumerate(_steps(call)):
        if step["type"] == "model_output":
            yield "step.start", {"index": index, "step": {"type": "model_output"}}
            for piece in call.reply.text_pieces():
                yield "step.delta", {"index": index, "delta": {"type": "text", "text": piece}}
        else:
            yield "step.start", {"index": index, "step": step}
        yield "step.stop", {"index": index}
    yield "interaction.completed", {"interaction": _interaction(call, "completed", [])}
