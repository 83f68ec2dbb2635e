"""Gemini's answers and embeddings as they look on the wire, from Google AI and from Vertex AI.

Source: https://ai.google.dev/api/generate-content (2026-11), and google-genai 3.4.0's types.
"""

from collections.abc import Iterator
from typing import Any

from otelbudget.testing import sse
from otelbudget.testing.replies import Call, Reply

_EMBEDDING_SIZE = 8

_ERRORS = {
    400: ("INVALID_ARGUMENT", "The request was not valid."),
    401: ("UNAUTHENTICATED", "Request had invalid authentication credentials."),
    403: ("PERMISSION_DENIED", "Permission denied."),
    404: ("NOT_FOUND", "The model is not found."),
    429: ("RESOURCE_EXHAUSTED", "You exceeded your current quota."),
    503: ("UNAVAILABLE", "The model is overloaded. Please try again later."),
}
_SERVER_ERROR = ("INTERNAL", "An internal error has occurred.")


def error(status: int, message: str | None, _key: str) -> dict[str, Any]:
    """The body of a Google error."""
    name, sentence = _ERRORS.get(status, _SERVER_ERROR)
    return {"error": {"code": status, "message": message or sentence, "status": name}}


def content(call: Call) -> dict[str, Any]:
    """The body of generated content."""
    text = [{"text": call.reply.text}] if call.reply.text else []
    return _chunk(call, text + _tool_calls(call), is_last=True)


def content_events(call: Call) -> Iterator[bytes]:
    """The events of streamed content: each has usage so far, the last one that of the whole."""
    chunks: list[list[dict[str, Any]]] = [[{"text": one}] for one in call.reply.text_pieces()]
    if call.reply.tool_calls or not chunks:
        chunks.append(_tool_calls(call))
    for at, parts in enumerate(chunks, start=1):
        yield sse.event(_chunk(call, parts, is_last=at == len(chunks)))


def embeddings(call: Call) -> dict[str, Any]:
    """The body of an embeddings answer: one vector per request."""
    count = len(call.request.body.get("requests") or [None])
    vectors = [{"values": _vector(at)} for at in range(count)]
    return {"embeddings": vectors} | _embedding_usage(call.reply)


def embedding(call: Call) -> dict[str, Any]:
    """The body of an answer with one embedding."""
    return {"embedding": {"values": _vector(0)}} | _embedding_usage(call.reply)


def predictions(call: Call) -> dict[str, Any]:
    """The body of an embeddings answer of Vertex AI, which counts the tokens of each text."""
    count = len(call.request.body.get("instances") or [None])
    tokens, rest = divmod(call.reply.input_tokens, count)
    vectors: list[dict[str, Any]] = [{"values": _vector(at)} for at in range(count)]
    if call.reply.with_usage:
        for at, vector in enumerate(vectors):
            own = tokens + (rest if at == 0 else 0)
            vector["statistics"] = {"token_count": own, "truncated": False}
    return {"predictions": [{"embeddings": vector} for vector in vectors]}


def usage(reply: Reply) -> dict[str, Any]:
    """Usage as Google counts it: caches within the prompt, thoughts and tools beside it."""
    counts: dict[str, Any] = {
        "promptTokenCount": reply.input_tokens - reply.tool_use_input_tokens,
        "candidatesTokenCount": reply.output_tokens - reply.reasoning_output_tokens,
        "totalTokenCount": reply.input_tokens + reply.output_tokens,
        "promptTokensDetails": _modalities(
            reply.input_tokens - reply.tool_use_input_tokens,
            reply.audio_input_tokens,
            reply.image_input_tokens,
        ),
        "candidatesTokensDetails": _modalities(
            reply.output_tokens - reply.reasoning_output_tokens,
            reply.audio_output_tokens,
            reply.image_output_tokens,
        ),
    }
    if reply.cache_read_input_tokens:
        counts["cachedContentTokenCount"] = reply.cache_read_input_tokens
        counts["cacheTokensDetails"] = _modalities(reply.cache_read_input_tokens, 0, 0)
    if reply.reasoning_output_tokens:
        counts["thoughtsTokenCount"] = reply.reasoning_output_tokens
    if reply.tool_use_input_tokens:
        counts["toolUsePromptTokenCount"] = reply.tool_use_input_tokens
    if reply.service_tier:
        counts["trafficType"] = f"ON_DEMAND_{reply.service_tier.upper()}"
    return counts


def _modalities(all_tokens: int, audio: int, image: int) -> list[dict[str, Any]]:
    counts = {"TEXT": all_tokens - audio - image, "AUDIO": audio, "IMAGE": image}
    return [
        {"modality": modality, "tokenCount": count} for modality, count in counts.items() if count
    ]


def _usage_so_far(reply: Reply) -> dict[str, Any]:
    so_far = usage(reply)
    so_far.pop("candidatesTokensDetails")
    so_far.pop("thoughtsTokenCount", None)
    begun = min(1, so_far["candidatesTokenCount"])
    return so_far | {
        "candidatesTokenCount": begun,
        "totalTokenCount": reply.input_tokens + begun,
    }


def _chunk(call: Call, parts: list[dict[str, Any]], *, is_last: bool) -> dict[str, Any]:
    reply = call.reply
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    if is_last:
        candidate["finishReason"] = "STOP"
        if reply.web_searches:
            queries = [f"query {number}" for number in range(1, reply.web_searches + 1)]
            candidate["groundingMetadata"] = {"webSearchQueries": queries}
    body: dict[str, Any] = {
        "candidates": [candidate],
        "modelVersion": call.model,
        "responseId": call.key,
    }
    if reply.with_usage:
        body["usageMetadata"] = usage(reply) if is_last else _usage_so_far(reply)
    return body


def _tool_calls(call: Call) -> list[dict[str, Any]]:
    return [
        {
            "functionCall": {
                "id": f"call_{call.key}{index}",
                "name": tool.name,
                "args": dict(tool.arguments),
            }
        }
        for index, tool in enumerate(call.reply.tool_calls)
    ]


def _embedding_usage(reply: Reply) -> dict[str, Any]:
    if not reply.with_usage:
        return {}
    counted = _modalities(reply.input_tokens, 0, 0)
    usage = {"promptTokenCount": reply.input_tokens, "promptTokenDetails": counted}
    return {"usageMetadata": usage}


def _vector(at: int) -> list[float]:
    return [(at + 1) / (at + part + 1) for part in range(_EMBEDDING_SIZE)]
