"""What one model call used: tokens by class, who was asked, and how the counts were read."""

import sys
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from otelbudget.genai import semconv


class TokenUsage(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one model call, and what else it is billed for.

    Attributes:
        input_tokens: All input, including cache reads and cache writes.
        output_tokens: All output, including reasoning.
        cache_read_input_tokens: Part of the input that was read from the provider's cache.
        cache_write_input_tokens: Part of the input that was written to the provider's cache.
        reasoning_output_tokens: Part of the output that was reasoning.
        cache_write_1h_input_tokens: Part of the cache writes that is kept for an hour.
        audio_input_tokens: Part of the input that was audio.
        audio_output_tokens: Part of the output that was audio.
        image_input_tokens: Part of the input that was images.
        image_output_tokens: Part of the output that was images.
        audio_cache_read_input_tokens: Part of the audio input that was read from the cache.
        image_cache_read_input_tokens: Part of the image input that was read from the cache.
        web_searches: Searches that the provider made for the call and bills each.
    """

    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int = 0
    cache_write_input_tokens: int = 0
    reasoning_output_tokens: int = 0
    cache_write_1h_input_tokens: int = 0
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0
    image_input_tokens: int = 0
    image_output_tokens: int = 0
    audio_cache_read_input_tokens: int = 0
    image_cache_read_input_tokens: int = 0
    web_searches: int = 0

    @property
    def total_tokens(self) -> int:
        """Input and output together; what a limit on `tokens` counts."""
        return self.input_tokens + self.output_tokens


class CacheRule(StrEnum):
    """What decided whether a reported input count contains the cached tokens.

    Attributes:
        NONE: Nothing was cached, so there was nothing to decide.
        PROOF: Reported input is smaller than the cached part, so it cannot contain it.
        SCOPE: The instrumentation is known to leave cached tokens out.
        TOTAL: The reported total equals one of the two sums.
        CONVENTION: The conventions say that input contains the cached tokens.
    """

    NONE = "none"
    PROOF = "proof"
    SCOPE = "scope"
    TOTAL = "total"
    CONVENTION = "convention"


class ModelCall(msgspec.Struct, frozen=True, gc=False):
    """One call of a model, wherever it was seen: on a span, in a response, or in an export.

    Attributes:
        provider: Provider as named by the span, None where it names none or only a framework.
        request_model: Model that was asked for, None where not named.
        response_model: Model that answered, None where not named.
        response_id: The provider's id of the response, None where not given.
        operation: Operation in the words of the conventions, such as "chat"; "" where unknown.
        agent: Name of the agent that made the call, None where not named.
        start_time_unix_nano: Start, None where unknown.
        end_time_unix_nano: End, None where unknown.
        usage: Tokens, None where none are reported. Unknown is never zero.
        cache_rule: How the cached tokens were told apart from the input.
        reported_cost_usd: What the emitter itself says the call cost, in USD as text, or None.
        service_tier: Tier of service that answered, such as "flex", "priority" or "batch", in lower
            case; None where not named.
        conversation: Id of the conversation or session, None where not given.
        user: Id of the user, None where not given.
        faults: Attributes whose value is no count of tokens and was ignored.
    """

    provider: str | None = None
    request_model: str | None = None
    response_model: str | None = None
    response_id: str | None = None
    operation: str = ""
    agent: str | None = None
    start_time_unix_nano: int | None = None
    end_time_unix_nano: int | None = None
    usage: TokenUsage | None = None
    cache_rule: CacheRule = CacheRule.NONE
    reported_cost_usd: str | None = None
    service_tier: str | None = None
    conversation: str | None = None
    user: str | None = None
    faults: tuple[str, ...] = ()

    @property
    def model(self) -> str | None:
        """The model that is priced: the one that answered, else the one that was asked for."""
        return self.response_model or self.request_model

    @property
    def is_model_operation(self) -> bool:
        """Whether the operation asks a model, as opposed to running an agent or a tool."""
        return self.operation in semconv.MODEL_CALL_OPERATIONS


_NAMES = (
    "operation",
    "provider",
    "request_model",
    "response_model",
    "response_id",
    "agent",
)
_COUNTS = ("input", "output", "cache_read", "cache_write", "reasoning", "total")
_FIELDS = (*_NAMES, *_COUNTS, "reported_cost")
_FIRST_COUNT, _REPORTED_COST = len(_NAMES), len(_FIELDS) - 1
# Attribute: position of its field in _FIELDS, and its rank among that field's attributes.
_KEYS: dict[str, tuple[int, int]] = {
    key: (position, rank)
    for position, field in enumerate(_FIELDS)
    for rank, key in enumerate(semconv.FIELDS[field])
}
_NO_VALUES: list[Any] = [None] * len(_FIELDS)
_NO_RANKS = [99] * len(_FIELDS)


def read_call(
    attributes: Mapping[str, Any],
    *,
    scope_name: str = "",
    start_time_unix_nano: int | None = None,
    end_time_unix_nano: int | None = None,
) -> ModelCall | None:
    """The model call that a span's attributes tell of.

    Args:
        attributes: The span's attributes, in any dialect of `semconv.FIELDS`.
        scope_name: Name of the instrumentation scope; some scopes count caches their own way.
        start_time_unix_nano: Start of the span.
        end_time_unix_nano: End of the span.

    Returns:
        The call, with `usage` None where no count above zero is reported; None where the span
        neither reports usage nor says that it asks a model.
    """
    values = _find(attributes)
    if values is None:
        return None
    operation, provider, request_model, response_model, response_id, agent = values[:_FIRST_COUNT]
    faults: list[str] = []
    counts = [
        value
        if type(value) is int and 0 <= value <= _MAX_TOKENS
        else _count(value, position, faults)
        for position, value in enumerate(values[_FIRST_COUNT:_REPORTED_COST])
    ]
    operation = semconv.OPERATION_ALIASES.get(operation, operation) or ""
    usage, rule = _usage(counts, scope_name)
    if usage is None and operation not in semconv.MODEL_CALL_OPERATIONS:
        return None
    return ModelCall(
        None if provider in semconv.FRAMEWORK_PROVIDERS else provider,
        request_model,
        response_model,
        response_id,
        operation,
        agent,
        start_time_unix_nano,
        end_time_unix_nano,
        usage,
        rule,
        _reported_cost(values[_REPORTED_COST]),
        faults=tuple(faults),
    )


def _find(attributes: Mapping[str, Any]) -> list[Any] | None:
    """The best-ranked value of each of `_FIELDS`, None where the attributes name none of them."""
    values: list[Any] | None = None
    ranks: list[int] = []
    for key, value in attributes.items():
        hit = _KEYS.get(key)
        if hit is None:
            continue
        if values is None:
            values, ranks = _NO_VALUES.copy(), _NO_RANKS.copy()
        position, rank = hit
        if rank < ranks[position] and (position >= _FIRST_COUNT or _is_name(value)):
            values[position] = value
            ranks[position] = rank
    return values


def _is_name(value: object) -> bool:
    """Whether a value names something; "unknown" names nothing."""
    return isinstance(value, str) and value.lower() not in semconv.UNNAMED


def _count(value: Any, position: int, faults: list[str]) -> int:
    """A token count; 0 where there is none, and a fault where the value is no count."""
    if value is None:
        return 0
    number = _number(value) if isinstance(value, str) else value
    if isinstance(number, int | float) and not isinstance(number, bool):
        # The bounds come first: NaN fails both, and int() of infinity would raise.
        is_count = 0 <= number <= _MAX_TOKENS and number == int(number)
        if is_count:
            return int(number)
    faults.append(_COUNTS[position])
    return 0


_MAX_TOKENS = 10**12


def _number(text: str) -> int | float | None:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return None


def _reported_cost(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    number = _number(value) if isinstance(value, str) else value
    if number is None or not 0 <= number <= sys.float_info.max:
        return None
    return str(value)


def _usage(counts: list[int], scope_name: str) -> tuple[TokenUsage | None, CacheRule]:
    input_tokens, output_tokens, cache_read, cache_write, reasoning, total = counts
    if not input_tokens and not output_tokens:
        return None, CacheRule.NONE
    cached = cache_read + cache_write
    rule = CacheRule.NONE
    if cached:
        rule, contains_cached = _cache_rule(input_tokens, output_tokens, cached, total, scope_name)
        if not contains_cached:
            input_tokens += cached
    return TokenUsage(input_tokens, output_tokens, cache_read, cache_write, reasoning), rule


def _cache_rule(
    input_tokens: int, output_tokens: int, cached: int, total: int, scope_name: str
) -> tuple[CacheRule, bool]:
    """Which rule decides, and whether the reported input contains the cached tokens."""
    if input_tokens < cached:
        return CacheRule.PROOF, False
    if semconv.is_scope(scope_name, semconv.CACHE_EXCLUSIVE_SCOPES):
        return CacheRule.SCOPE, False
    if total == input_tokens + output_tokens:
        return CacheRule.TOTAL, True
    if total == input_tokens + output_tokens + cached:
        return CacheRule.TOTAL, False
    return CacheRule.CONVENTION, True
