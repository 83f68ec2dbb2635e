"""What a fake provider is asked and what it answers, free of any wire format."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import unquote

_MODEL_IN_PATH = re.compile(r"/(?:deployments|models?)/([^/:?]+)")
_STREAMED_PATH = re.compile(r":streamGenerateContent$|/model/[^/]+/[a-z-]+-stream$")


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request as it arrived.

    Attributes:
        path: Path with its query, such as "/v1/chat/completions".
        headers: Headers by lower-case name.
        body: The JSON object sent; empty where the body was none.
    """

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]

    @property
    def model(self) -> str:
        """Model the request names, "" where it names none.

        OpenAI and Anthropic name it in the body; Azure, Google and Bedrock in the path.
        """
        named = self.body.get("model")
        if isinstance(named, str):
            return named
        found = _MODEL_IN_PATH.search(self.path)
        return unquote(found[1]) if found else ""

    @property
    def is_streamed(self) -> bool:
        """Whether the answer is asked for as a stream of events."""
        path = self.path.partition("?")[0]
        return self.body.get("stream") is True or _STREAMED_PATH.search(path) is not None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool that the model asks for.

    Attributes:
        name: Name of the tool.
        arguments: Arguments as a JSON object.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call as they are billed.

    Attributes:
        input_tokens: All input tokens, cache reads and writes included.
        output_tokens: All output tokens, reasoning included.
        cache_read_input_tokens: Part of `input_tokens` read from a cache.
        cache_write_input_tokens: Part of `input_tokens` written to a cache.
        reasoning_output_tokens: Part of `output_tokens` spent on reasoning.
        cache_write_1h_input_tokens: Part of `cache_write_input_tokens` kept for an hour.
        audio_input_tokens: Part of `input_tokens` that was audio.
        audio_output_tokens: Part of `output_tokens` that was audio.
        web_searches: Searches the provider made for the call.
        image_input_tokens: Part of `input_tokens` that was images.
        image_output_tokens: Part of `output_tokens` that was images.
    """

    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int = 0
    cache_write_input_tokens: int = 0
    reasoning_output_tokens: int = 0
    cache_write_1h_input_tokens: int = 0
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0
    web_searches: int = 0
    image_input_tokens: int = 0
    image_output_tokens: int = 0


_PARTS = {
    "reasoning_output_tokens": "output_tokens",
    "cache_write_1h_input_tokens": "cache_write_input_tokens",
    "audio_input_tokens": "input_tokens",
    "audio_output_tokens": "output_tokens",
    "image_input_tokens": "input_tokens",
    "image_output_tokens": "output_tokens",
}
"""Counts that are part of another one."""


class Billed(NamedTuple):
    """One call that a provider would bill.

    Attributes:
        model: Model that answered.
        usage: Tokens of the call.
    """

    model: str
    usage: Usage


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer of a fake provider.

    Token counts follow the OpenTelemetry rule: input includes caches, output includes reasoning.
    Anthropic and Bedrock count input without caches, Gemini counts output without thoughts; these are
    subtracted on those wires.

    Attributes:
        input_tokens: All input tokens, cache reads and writes included.
        output_tokens: All output tokens, reasoning included. Embeddings ignore it.
        cache_read_input_tokens: Part of `input_tokens` read from a cache.
        cache_write_input_tokens: Part of `input_tokens` written to a cache.
        reasoning_output_tokens: Part of `output_tokens` spent on reasoning.
        cache_write_1h_input_tokens: Part of `cache_write_input_tokens` kept for an hour; only
            Anthropic's format has a place for it.
        audio_input_tokens: Part of `input_tokens` that was audio; only chat completions and Gemini
            have it.
        audio_output_tokens: Part of `output_tokens` that was audio; as above.
        image_input_tokens: Part of `input_tokens` that was images; only Gemini has it.
        image_output_tokens: Part of `output_tokens` that was images; only Gemini has it.
        tool_use_input_tokens: Part of `input_tokens` that tools of the provider brought; only
            Gemini has it.
        web_searches: Searches the provider makes for the call; messages, responses and Gemini tell
            of them.
        service_tier: Tier of service that answers, such as "flex" or "priority"; None for the
            provider's usual one.
        text: What the model says.
        tool_calls: Tools the model asks for.
        model: Model named by the answer; None repeats the request's.
        key: Unique part of the answer's ids, as in "chatcmpl-KEY"; None for one made from the
            provider's seed and the order of arrival.
        status: HTTP status; 400 and above answers with an error, which is not billed.
        error_message: Sentence of an error; None for the one the provider would use.
        headers: Headers added to the answer, such as {"x-should-retry": "false"}.
        latency_seconds: Seconds from the request to the first byte of the answer.
        chunk_latency_seconds: Seconds before each later event of a streamed answer.
        text_chunks: Number of events the text of a streamed answer is cut into, at least 1.
        with_usage: False leaves usage out, as some compatible servers do; it is billed anyway.
        drop_connection: True closes the connection without an answer; that is not billed.
        break_after_events: Number of events after which a streamed answer breaks off without an
            end; None sends them all. A stream that breaks is billed in full.
    """

    input_tokens: int = 10
    output_tokens: int = 5
    cache_read_input_tokens: int = 0
    cache_write_input_tokens: int = 0
    reasoning_output_tokens: int = 0
    cache_write_1h_input_tokens: int = field(default=0, kw_only=True)
    audio_input_tokens: int = field(default=0, kw_only=True)
    audio_output_tokens: int = field(default=0, kw_only=True)
    image_input_tokens: int = field(default=0, kw_only=True)
    image_output_tokens: int = field(default=0, kw_only=True)
    tool_use_input_tokens: int = field(default=0, kw_only=True)
    web_searches: int = field(default=0, kw_only=True)
    service_tier: str | None = field(default=None, kw_only=True)
    text: str = "This is a reply from the fake provider."
    tool_calls: tuple[ToolCall, ...] = ()
    model: str | None = None
    key: str | None = None
    status: int = 200
    error_message: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    latency_seconds: float = 0.0
    chunk_latency_seconds: float = 0.0
    text_chunks: int = 3
    with_usage: bool = True
    drop_connection: bool = False
    break_after_events: int | None = None

    def __post_init__(self) -> None:
        """Refuse counts that no provider could send.

        Raises:
            ValueError: A count is negative, or a part is larger than its whole.
        """
        usage = self.usage
        cached = usage.cache_read_input_tokens + usage.cache_write_input_tokens
        if min(usage.cache_read_input_tokens, usage.cache_write_input_tokens) < 0:
            raise ValueError("cache tokens are counts of 0 or more")
        if cached > usage.input_tokens:
            raise ValueError("input_tokens includes cache reads and writes, so it cannot be less")
        for part, whole in _PARTS.items():
            if not 0 <= getattr(usage, part) <= getattr(usage, whole):
                what = part.removesuffix("_tokens").replace("_", " ")
                raise ValueError(f"{whole} includes {what}, so it cannot be less")
        if self.text_chunks < 1:
            raise ValueError("text_chunks is at least 1")
        if not 0 <= self.tool_use_input_tokens <= self.input_tokens:
            raise ValueError("input_tokens includes tool use input, so it cannot be less")
        if self.web_searches < 0:
            raise ValueError("web_searches is a count of 0 or more")

    @property
    def usage(self) -> Usage:
        """The tokens of this answer."""
        return Usage(
            self.input_tokens,
            self.output_tokens,
            self.cache_read_input_tokens,
            self.cache_write_input_tokens,
            self.reasoning_output_tokens,
            self.cache_write_1h_input_tokens,
            self.audio_input_tokens,
            self.audio_output_tokens,
            self.web_searches,
            self.image_input_tokens,
            self.image_output_tokens,
        )

    @property
    def is_billed(self) -> bool:
        """Whether a provider that gave this answer would bill the call."""
        return self.status < 400 and not self.drop_connection  # noqa: PLR2004  (HTTP errors)

    def text_pieces(self) -> list[str]:
        """The text cut into at most `text_chunks` pieces of nearly equal length, none empty."""
        size = -(-len(self.text) // self.text_chunks) or 1
        return [self.text[at : at + size] for at in range(0, len(self.text), size)]


@dataclass(frozen=True, slots=True)
class Call:
    """A request with the answer chosen for it, as a wire format needs it.

    Attributes:
        request: The request.
        reply: The answer.
        key: Unique part of the answer's ids.
    """

    request: Request
    reply: Reply
    key: str

    @property
    def model(self) -> str:
        """Model that answers."""
        return self.reply.model or self.request.model
