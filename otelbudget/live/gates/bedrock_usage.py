"""What Bedrock's answers say a call used: conversations, and models invoked in their own format.

Source: botocore 1.44.5's model of bedrock-runtime, and
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html, 2026-11.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from otelbudget.genai.usage import ModelCall, TokenUsage
from otelbudget.live.gates.response import is_last_event, read_response

_HEADER = "x-amzn-bedrock-{}-token-count"
_METRICS = "amazon-bedrock-invocationMetrics"
_METRICS_BYTES = _METRICS.encode()


def read_conversation(answer: Mapping[str, Any]) -> tuple[ModelCall | None, bool]:
    """The call that a conversation's next message, or the last event of its stream, tells of."""
    router = _mapping(_mapping(answer.get("trace")).get("promptRouter"))
    tier = _mapping(answer.get("serviceTier")).get("type")
    call = ModelCall(
        response_model=router.get("invokedModelId"),
        usage=_usage(_mapping(answer.get("usage"))),
        service_tier=tier,
    )
    return call, True


def read_conversation_event(message: Any) -> tuple[ModelCall | None, bool]:
    """The call that a raw event of a streamed conversation tells of; only the last one does."""
    if message.headers.get(":event-type") != "metadata":
        return None, False
    return read_conversation(msgspec.json.decode(message.payload))


def read_invocation(
    content: bytes, headers: Mapping[str, str], *, names_model: bool
) -> tuple[ModelCall | None, bool]:
    """The call that an invoked model's answer tells of: by its body, else by Bedrock's counts.

    Args:
        content: The body.
        headers: By lower-case name.
        names_model: Whether the model is told by the body and not by the request.
    """
    counts = (_count(headers, _HEADER.format(name)) for name in _HEADER_COUNTS)
    told = ModelCall(
        usage=_counted(*counts), service_tier=headers.get("x-amzn-bedrock-service-tier")
    )
    try:
        body = msgspec.json.decode(content)
    except msgspec.DecodeError:  # a model that answers with an image, say
        return told, True
    read = _read_body(body, names_model=names_model)
    if read is None:
        return told, True
    usage, tier = read.usage or told.usage, read.service_tier or told.service_tier
    return msgspec.structs.replace(read, usage=usage, service_tier=tier), True


class _Chunk(msgspec.Struct):
    piece: bytes = msgspec.field(default=b"", name="bytes")


_chunk_decoder = msgspec.json.Decoder(_Chunk)


class InvocationEvents:
    """Reads the raw events of the stream of an invoked model.

    Args:
        names_model: Whether the model is told by the events and not by the request.
    """

    def __init__(self, *, names_model: bool) -> None:
        self._names_model = names_model
        self._has_usage = False

    def read(self, message: Any) -> tuple[ModelCall | None, bool]:
        """The call that an event tells of: by the model's own counts, else by Bedrock's."""
        if message.headers.get(":event-type") != "chunk":
            return None, False
        encoded = _chunk_decoder.decode(message.payload).piece
        if b"usage" not in encoded and _METRICS_BYTES not in encoded:
            return None, False
        piece = msgspec.json.decode(encoded)
        call = _read_body(piece, names_model=self._names_model)
        metrics = piece.get(_METRICS) if isinstance(piece, dict) else None
        self._has_usage |= call is not None and call.usage is not None
        if metrics is not None and not self._has_usage:
            names = ("inputTokenCount", "outputTokenCount")
            caches = ("cacheReadInputTokenCount", "cacheWriteInputTokenCount")
            usage = _counted(*(_count(metrics, name) for name in names + caches))
            call = msgspec.structs.replace(call or ModelCall(), usage=usage)
        return call, metrics is not None or is_last_event(piece)


_HEADER_COUNTS = ("input", "output", "cache-read-input", "cache-write-input")


def _read_body(body: object, *, names_model: bool) -> ModelCall | None:
    """The call that a body in the format of Anthropic, OpenAI or Amazon Nova tells of."""
    if not isinstance(body, dict):
        return None
    call = read_response(body) or ModelCall()
    if call.usage is None:
        usage = _usage(_mapping(body.get("usage")))
        call = msgspec.structs.replace(call, usage=usage)
    # The maker's name of a model says nothing of the region, which its price at Bedrock depends on.
    return call if names_model else msgspec.structs.replace(call, response_model=None)


def _usage(told: Mapping[str, Any]) -> TokenUsage | None:
    usage = _counted(
        _count(told, "inputTokens"),
        _count(told, "outputTokens"),
        _count(told, "cacheReadInputTokens", "cacheReadInputTokenCount"),
        _count(told, "cacheWriteInputTokens", "cacheWriteInputTokenCount"),
    )
    details = told.get("cacheDetails")
    if usage is None or not isinstance(details, list):
        return usage
    for_an_hour = sum(
        _count(part, "inputTokens") or 0
        for part in details
        if isinstance(part, Mapping) and part.get("ttl") == "1h"
    )
    return msgspec.structs.replace(usage, cache_write_1h_input_tokens=for_an_hour)


def _counted(
    plain_input: int | None, output: int | None, read: int | None, written: int | None
) -> TokenUsage | None:
    """Usage from counts as Bedrock has them: its input leaves caches out."""
    if plain_input is None and output is None:
        return None
    all_input = (plain_input or 0) + (read or 0) + (written or 0)
    return TokenUsage(all_input, output or 0, read or 0, written or 0)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _count(counts: Mapping[str, Any], *names: str) -> int | None:
    for name in names:
        value = counts.get(name)
        if isinstance(value, str) and value.isdecimal():
            return int(value)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
    return None
