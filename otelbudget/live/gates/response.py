"""What a provider's response says a call used: bodies, SDK objects and stream events alike."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec.structs import astuple, replace

from otelbudget.genai.usage import ModelCall, TokenUsage

_FAST = "fast"


class Unread:
    """A body or stream event that its gate knows how to read.

    Args:
        body: As the SDK has it.
        read: Reads a body: the call it tells of, if any, and whether it is the last event that can
            tell of usage.

    Attributes:
        body: As the SDK has it.
        is_last: Whether it is the last event that can tell of usage; known once it is read.
    """

    __slots__ = ("_read", "body", "is_last")

    def __init__(self, body: Any, read: Callable[[Any], tuple[ModelCall | None, bool]]) -> None:
        self.body = body
        self.is_last = False
        self._read = read

    def read(self) -> ModelCall | None:
        """The call that the body tells of, None where it tells of none."""
        call, self.is_last = self._read(self.body)
        return call


def read_response(body: object) -> ModelCall | None:
    """The call that a response tells of.

    Args:
        body: A chat completion, response, embedding or message of the OpenAI or Anthropic API, or
            an event of their streams; as an object of the SDK or as decoded JSON. Or whatever a
            gate knows how to read.

    Returns:
        The response's id, model and, where it reports any, usage; None for what is no response.
    """
    if isinstance(body, Unread):
        return body.read()
    response = _envelope(body)
    if response is None:
        return None
    return ModelCall(
        response_id=_text(_get(response, "id")),
        response_model=_text(_get(response, "model")),
        usage=_usage(response),
        service_tier=_tier(response),
    )


def is_piece(event: object) -> bool:
    """Whether a stream event is a piece of an answer that tells nothing of its call.

    Most events are; they pass here for a fraction of what reading them costs.
    """
    fields = event if isinstance(event, dict) else getattr(event, "__dict__", None)
    if fields is None:
        return False
    kind = fields.get("type")
    if isinstance(kind, str):
        return kind.endswith("delta") and kind != "message_delta"
    return fields.get("usage") is None and bool(fields.get("choices"))


def merged(seen: ModelCall, read: ModelCall) -> ModelCall:
    """What the events of a stream tell together: counts are running totals, so the largest counts."""
    usage = seen.usage or read.usage
    if seen.usage is not None and read.usage is not None:
        pairs = zip(astuple(seen.usage), astuple(read.usage), strict=True)
        usage = TokenUsage(*map(max, pairs))
    return ModelCall(
        response_id=seen.response_id or read.response_id,
        response_model=seen.response_model or read.response_model,
        usage=usage,
        service_tier=read.service_tier or seen.service_tier,
    )


def is_last_event(event: object) -> bool:
    """Whether a stream event is the one after which no usage can come."""
    if isinstance(event, Unread):
        return event.is_last
    kind = _get(event, "type")
    if kind is not None:
        return kind in (
            "response.completed",
            "response.incomplete",
            "response.failed",
            "message_stop",
        )
    return _get(event, "choices") == [] and _get(event, "usage") is not None


def _envelope(body: object) -> object | None:
    """The response itself where an event wraps it."""
    for name in ("response", "message"):
        inner: object = _get(body, name)
        if inner is not None and not isinstance(inner, str) and _get(inner, "model") is not None:
            return inner
    return body


def _usage(response: object) -> TokenUsage | None:
    usage: object = _get(response, "usage")
    told = None if usage is None else _tokens(usage)
    if told is None:
        return None
    for compaction in _compactions(usage):
        told = _sum(told, compaction)
    searches = _web_searches(response, usage)
    return replace(told, web_searches=searches) if searches else told


def _tokens(usage: object) -> TokenUsage | None:
    input_tokens = _count(usage, "prompt_tokens", "input_tokens")
    output_tokens = _count(usage, "completion_tokens", "output_tokens")
    if input_tokens is None and output_tokens is None:
        return None
    details = _first(usage, "prompt_tokens_details", "input_tokens_details")
    output_details = _first(usage, "completion_tokens_details", "output_tokens_details")
    # Of the two APIs, only OpenAI's input contains the cached tokens. Gateways that speak it repeat
    # Anthropic's counts beside.
    contains_cached = _count(usage, "prompt_tokens") is not None
    read = _count(usage, "cache_read_input_tokens") or 0
    written = _count(usage, "cache_creation_input_tokens") or 0
    told_read, told_written = (
        _count(details, "cached_tokens"),
        _count(details, "cache_write_tokens"),
    )
    return TokenUsage(
        (input_tokens or 0) + (0 if contains_cached else read + written),
        output_tokens or 0,
        (told_read or read) if contains_cached else (told_read or 0) + read,
        (told_written or written) if contains_cached else (told_written or 0) + written,
        _count(output_details, "reasoning_tokens", "thinking_tokens") or 0,
        _count(_get(usage, "cache_creation"), "ephemeral_1h_input_tokens") or 0,
        audio_input_tokens=_count(details, "audio_tokens") or 0,
        audio_output_tokens=_count(output_details, "audio_tokens") or 0,
    )


def _compactions(usage: object) -> Iterator[TokenUsage]:
    """What Anthropic's summaries of a long context used, which its totals leave out."""
    iterations = _get(usage, "iterations")
    for each in iterations if isinstance(iterations, list) else ():
        tokens = _tokens(each) if _get(each, "type") == "compaction" else None
        if tokens is not None:
            yield tokens


def _sum(one: TokenUsage, other: TokenUsage) -> TokenUsage:
    return TokenUsage(*map(sum, zip(astuple(one), astuple(other), strict=True)))


def _web_searches(response: object, usage: object) -> int:
    """Searches that the provider made: counted by Anthropic, listed by OpenAI."""
    counted = _count(_get(usage, "server_tool_use"), "web_search_requests")
    if counted is not None:
        return counted
    output = _get(response, "output")
    if not isinstance(output, list):
        return 0
    return sum(_get(item, "type") == "web_search_call" for item in output)


def _tier(response: object) -> str | None:
    """The tier of service; Anthropic's fast mode is one that it tells apart from the others."""
    usage = _get(response, "usage")
    if _get(usage, "speed") == _FAST:
        return _FAST
    tier = _text(_get(response, "service_tier")) or _text(_get(usage, "service_tier"))
    return None if tier is None else tier.lower()


def _get(holder: object, name: str) -> Any:
    if type(holder) is dict or isinstance(holder, Mapping):  # asking for the class costs a tenth
        return holder.get(name)
    extra = getattr(holder, "__pydantic_extra__", None)
    if type(extra) is dict and name not in holder.__dict__:
        return extra.get(name)  # where a model of pydantic looks last, after five microseconds
    return getattr(holder, name, None)


def _first(holder: object, *names: str) -> object | None:
    return next((found for name in names if (found := _get(holder, name)) is not None), None)


def _count(holder: object, *names: str) -> int | None:
    for name in names:
        value = _get(holder, name) if holder is not None else None
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
    return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
