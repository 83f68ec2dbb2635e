"""What a request to a model says before it leaves: who is asked, and for how much at most."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from otelbudget.genai import semconv

_TOKENS_FOR_TOOLS = 800
_TOKENS_PER_MEDIUM = 2_000
_MAX_DEPTH = 32

# Where the APIs keep the cap on output, at the top of a request or in the objects below.
# Source: API references of OpenAI, Anthropic, Google and Amazon Bedrock, 2026-11.
_CAPS = (
    "max_completion_tokens",
    "max_output_tokens",
    "max_tokens",
    "maxOutputTokens",
    "maxTokens",
    "maxTokenCount",
    "max_tokens_to_sample",
    "max_new_tokens",
    "max_gen_len",
)
_HOLDERS = ("generationConfig", "inferenceConfig", "textGenerationConfig", "config")
_CHOICES = ("n", "best_of", "candidateCount")

# What makes a request cost something that its text and its cap do not bound.
_KEPT_CONTEXT = (
    "previous_response_id",
    "previous_interaction_id",
    "conversation",
    "cachedContent",
    "container",
    "agent",
)
_PLAIN_TOOLS = frozenset({"function", "custom", None})
_SERVER_TOOLS = frozenset(
    {
        "codeExecution",
        "fileSearch",
        "googleMaps",
        "googleSearch",
        "googleSearchRetrieval",
        "urlContext",
    }
)
_SERVER_SIDE = ("web_search_options", "mcp_servers", "context_management", "fallbacks")
_UNSET = frozenset({"Omit", "NotGiven"})
_MEDIA_TYPES = frozenset(
    {
        "audio",
        "document",
        "file",
        "image",
        "image_url",
        "input_audio",
        "input_file",
        "input_image",
        "video",
    }
)
_MEDIA_KEYS = frozenset({"inlineData", "fileData", "image", "document", "video", "audio"})
_MEDIA_HINTS = (b'"image', b'"audio', b'"input_', b'"file', b'"inlineData', b'"document', b'"video')


class Request(msgspec.Struct, frozen=True):
    """A request to a model, as a gate sees it.

    Attributes:
        provider: Provider by the client's address, in the words of the conventions.
        model: Model that is asked for, None where the request names none.
        operation: Operation in the words of the conventions.
        body: What is sent: a mapping of JSON values, or its bytes.
        attempts: How often the SDK sends it at most, where it does not tell of each attempt.
        handle: What the SDK keeps the request in, by which an inner gate knows the same request.
        is_outer: Another SDK, with a gate of its own, will make the request.
        is_tracked: The application says that a function of its own makes it.
        agent: Name of the agent that makes it, where the application says so.
        name: What the application calls what it does, where it says so.
    """

    provider: str
    model: str | None
    operation: str
    body: object = None
    attempts: int = 1
    handle: object = None
    is_outer: bool = False
    is_tracked: bool = False
    agent: str | None = None
    name: str | None = None

    def is_same_as(self, inner: "Request") -> bool:
        """Whether a request inside the gate of this one is this very request."""
        if self.is_outer:
            return inner.model is None or (self.model or "").endswith(inner.model)
        return self.handle is not None and self.handle is inner.handle

    def without_body(self) -> "Request":
        """The request without what is sent, to be kept."""
        return msgspec.structs.replace(self, body=None, handle=None)


def request_of_span(attributes: Mapping[str, Any]) -> Request:
    """The request that a span of a model call says it will make, as far as it says so."""
    provider, model = attributes.get(semconv.PROVIDER_NAME), attributes.get(semconv.REQUEST_MODEL)
    cap = attributes.get(semconv.REQUEST_MAX_TOKENS)
    return Request(
        provider if isinstance(provider, str) else "",
        model if isinstance(model, str) else None,
        str(attributes.get(semconv.OPERATION_NAME)),
        {_CAPS[0]: cap},
    )


class Size(msgspec.Struct, frozen=True):
    """How large a request and its answer can be.

    Attributes:
        input_tokens: Input tokens at most: one for each byte of text, because the byte is what
            tokenizers fall back to.
        output_tokens: Output tokens at most, over all choices; None where the request caps none.
        choices: How many answers are asked for.
        service_tier: Tier of service that is asked for.
        is_cached_for_an_hour: Input may be written to a cache that is kept for an hour.
        unbounded: Why more than this may be billed: "media", "server tools", "kept context".
    """

    input_tokens: int
    output_tokens: int | None
    choices: int = 1
    service_tier: str | None = None
    is_cached_for_an_hour: bool = False
    unbounded: tuple[str, ...] = ()


def size_of(request: Request) -> Size:
    """How large a request and its answer can be; never raises."""
    try:
        return _size(request)
    except Exception:  # noqa: BLE001 - whatever a caller sends, the SDK says what is wrong with it
        return Size(0, None, unbounded=("unreadable",))


def _size(request: Request) -> Size:
    encoded, body = _encoded(request.body), request.body
    has_media = any(hint in encoded for hint in _MEDIA_HINTS)
    is_plain = isinstance(body, Mapping) and not has_media
    fields: Any = body if is_plain else msgspec.json.decode(encoded)
    media = list(_media(fields)) if has_media else []
    tools = _TOKENS_FOR_TOOLS if fields.get("tools") or fields.get("toolConfig") else 0
    cap, choices = _first_count(fields, _CAPS), _choices(fields)
    if request.operation == semconv.EMBEDDINGS_OPERATION:
        cap = 0
    tier = "fast" if fields.get("speed") == "fast" else fields.get("service_tier")
    return Size(
        len(encoded) + tools + _TOKENS_PER_MEDIUM * len(media) - sum(media),
        None if cap is None else cap * choices,
        choices,
        tier if isinstance(tier, str) else None,
        b'"1h"' in encoded,
        tuple(_unbounded(fields, has_media=bool(media))),
    )


def _unbounded(fields: Mapping[str, Any], *, has_media: bool) -> Iterator[str]:
    """Why a request may cost more than its text and its cap say."""
    if has_media or fields.get("modalities") not in (None, ["text"]):
        yield "media"
    is_server_side = any(fields.get(key) is not None for key in _SERVER_SIDE)
    if is_server_side or any(map(_is_server_tool, fields.get("tools") or ())):
        yield "server tools"
    if any(fields.get(key) for key in _KEPT_CONTEXT) or isinstance(fields.get("prompt"), Mapping):
        yield "kept context"


def _is_server_tool(tool: object) -> bool:
    """Whether the provider runs a tool itself, and may put what it brings into the input."""
    return isinstance(tool, Mapping) and (
        tool.get("type") not in _PLAIN_TOOLS or not _SERVER_TOOLS.isdisjoint(tool)
    )


def _choices(fields: Mapping[str, Any]) -> int:
    """How many answers may be billed: those asked for, or tried out, for each of several prompts."""
    counts = [_first_count(fields, (name,)) or 1 for name in _CHOICES]
    prompt = fields.get("prompt")
    is_many = isinstance(prompt, list) and all(isinstance(each, str | list) for each in prompt)
    return max(counts) * (len(prompt) if is_many and prompt else 1)


def _first_count(fields: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    """The first of some counts, at the top of a request or in the objects that hold them."""
    holders = [fields, *(fields.get(name) for name in _HOLDERS)]
    for holder in holders:
        for name in names:
            count = holder.get(name) if isinstance(holder, Mapping) else None
            if isinstance(count, int) and not isinstance(count, bool) and count >= 0:
                return count
    return None


def _media(value: object, depth: int = 0) -> Iterator[int]:
    """The encoded length of each picture, sound or file in a request."""
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, Mapping):
        if value.get("type") in _MEDIA_TYPES or not _MEDIA_KEYS.isdisjoint(value):
            yield len(msgspec.json.encode(value))
            return
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _media(inner, depth + 1)


def _encoded(body: object) -> bytes:
    """A body as it is sent, about; without what the SDKs leave out when they send it."""
    if isinstance(body, bytes):
        return body
    if isinstance(body, Mapping):
        body = {key: value for key, value in body.items() if type(value).__name__ not in _UNSET}
    return msgspec.json.encode(body, enc_hook=_plain)


def _plain(value: Any) -> object:
    """A value of a class that JSON does not know, as JSON."""
    dump = getattr(value, "model_dump", None)
    return dump(mode="json") if callable(dump) else str(value)
