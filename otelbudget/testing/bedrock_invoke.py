"""Models that Bedrock invokes in formats of their own, as they look on the wire.

Models of Anthropic, Amazon Nova and Amazon Titan (embeddings) answer in their makers' formats; all
others as Meta's do. Every answer has Bedrock's own counts in its headers, or at a stream's end.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html, 2026-11.
"""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from otelbudget.testing import anthropic_messages, bedrock_converse, event_stream
from otelbudget.testing.replies import Call, Reply

_EMBEDDING_SIZE = 8


def is_embedding(model: str) -> bool:
    """Whether a model makes embeddings, for which no output is billed."""
    return "embed" in model


def answer_headers(call: Call, *, is_streamed: bool) -> dict[str, str]:
    """Headers of an answer, with Bedrock's counts where it does not stream."""
    headers = bedrock_converse.answer_headers(call, is_streamed=is_streamed)
    if is_streamed or not call.reply.with_usage:
        return headers
    reply = call.reply
    counts = {
        "input": _plain_input(reply),
        "output": 0 if is_embedding(call.request.model) else reply.output_tokens,
        "cache-read-input": reply.cache_read_input_tokens,
        "cache-write-input": reply.cache_write_input_tokens,
    }
    return headers | {
        f"X-Amzn-Bedrock-{name}-Token-Count": str(count) for name, count in counts.items()
    }


def invoke(call: Call) -> dict[str, Any]:
    """The body of an answer in the model's own format."""
    model = call.request.model
    if "anthropic." in model:
        return anthropic_messages.message(_as_anthropic(call))
    if is_embedding(model):
        counted = {"inputTextTokenCount": call.reply.input_tokens} if call.reply.with_usage else {}
        return {"embedding": [1 / (at + 1) for at in range(_EMBEDDING_SIZE)], **counted}
    if "amazon.nova" in model:
        return _nova(call)
    return _generation(call.reply, call.reply.text, is_last=True)


def invoke_events(call: Call) -> Iterator[bytes]:
    """The events of a streamed answer: its pieces, the last one with Bedrock's counts."""
    pieces = list(_pieces(call))
    if call.reply.with_usage:
        pieces[-1] = {**pieces[-1], "amazon-bedrock-invocationMetrics": _metrics(call.reply)}
    for piece in pieces:
        encoded = base64.b64encode(json.dumps(piece).encode()).decode()
        yield event_stream.event("chunk", {"bytes": encoded, "p": "abcdefgh"})


def _pieces(call: Call) -> Iterator[Mapping[str, Any]]:
    if "anthropic." in call.request.model:
        for kind, fields in anthropic_messages.events(_as_anthropic(call)):
            yield {"type": kind, **fields}
        return
    texts = call.reply.text_pieces() or [""]
    if "amazon.nova" in call.request.model:
        yield from _nova_pieces(call, texts)
        return
    for at, text in enumerate(texts, start=1):
        yield _generation(call.reply, text, is_last=at == len(texts))


def _as_anthropic(call: Call) -> Call:
    """The call with the name that Anthropic gives the model, which says nothing of the region."""
    name = call.model.rpartition("anthropic.")[2].partition("-v")[0]
    return Call(call.request, replace(call.reply, model=name), f"bdrk_{call.key}")


def _nova(call: Call) -> dict[str, Any]:
    body = bedrock_converse.converse(call)
    counts = body.pop("usage", None)
    if counts is not None:
        body["usage"] = {
            "inputTokens": counts["inputTokens"],
            "outputTokens": counts["outputTokens"],
            "cacheReadInputTokenCount": counts["cacheReadInputTokens"],
            "cacheWriteInputTokenCount": counts["cacheWriteInputTokens"],
        }
    return body


def _nova_pieces(call: Call, texts: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    yield {"messageStart": {"role": "assistant"}}
    for text in texts:
        yield {"contentBlockDelta": {"delta": {"text": text}, "contentBlockIndex": 0}}
    yield {"contentBlockStop": {"contentBlockIndex": 0}}
    yield {"messageStop": {"stopReason": "end_turn"}}
    counts = {"usage": _nova(call)["usage"]} if call.reply.with_usage else {}
    yield {"metadata": {**counts, "metrics": {}, "trace": {}}}


def _generation(reply: Reply, text: str, *, is_last: bool) -> dict[str, Any]:
    body: dict[str, Any] = {"generation": text, "stop_reason": "stop" if is_last else None}
    if reply.with_usage and is_last:
        body["prompt_token_count"] = reply.input_tokens
        body["generation_token_count"] = reply.output_tokens
    return body


def _metrics(reply: Reply) -> dict[str, int]:
    return {
        "inputTokenCount": _plain_input(reply),
        "outputTokenCount": reply.output_tokens,
        "invocationLatency": 2,
        "firstByteLatency": 1,
        "cacheReadInputTokenCount": reply.cache_read_input_tokens,
        "cacheWriteInputTokenCount": reply.cache_write_input_tokens,
    }


def _plain_input(reply: Reply) -> int:
    return reply.input_tokens - reply.cache_read_input_tokens - reply.cache_write_input_tokens
