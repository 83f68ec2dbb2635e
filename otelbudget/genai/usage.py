"""What one model call used: tokens by class, who was asked, and how the counts were read."""

import sys
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from otelbudget.genai import semconv


class TokenUsage(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one model call.

    Attributes:
        input_tokens: All input, including cache reads and cache writes.
        output_tokens: All output, including reasoning.
        cache_read_input_tokens: Part of the input that was read from the provider's cache.
        cache_write_input_tokens: Part of the input that was written to the provider's cache.
        reasoning_output_tokens: Part of the output that was reasoning.
    """

    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int = 0
    cache_write_input_tokens: int = 0
    reasoning_output_tokens: int = 0

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
    faults: tuple[str, ...] = ()

    @property
    def model(self) -> str | None:
        """The model that is priced: the one that answered, else the one that was asked for."""
        return self.response_model or self.request_model

    @property
    def is_model_operation(self) -> bool:
        """Whether the operation asks a model, as opposed to running an agent or a tool."""
        return self.operation in semconv.MODEL_CALL_OPERATIONS


_TOKEN_FIELDS = ("input", "output", "cache_read", "cache_write", "reasoning", "total")
_KEYS: dict[str, tuple[str, int]] = {
    key: (field, rank) for field, keys in semconv.FIELDS.items() for rank, key in enumerate(keys)
}
_NAMES = frozenset(
    {"operation", "provider", "request_model", "response_model", "response_id", "agent"}
)


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
    found = _find(attributes)
    if not found:
        return None
    faults: list[str] = []
    counts = {
        field: _count(found[field], field, faults) for field in _TOKEN_FIELDS if field in found
    }
    operation = _text(found.get("operation")) or ""
    operation = semconv.OPERATION_ALIASES.get(operation, operation)
    usage, rule = _usage(counts, scope_name)
    if usage is None and operation not in semconv.MODEL_CALL_OPERATIONS:
        return None
    provider = _text(found.get("provider"))
    return ModelCall(
        None if provider in semconv.FRAMEWORK_PROVIDERS else provider,
        _text(found.get("request_model")),
        _text(found.get("response_model")),
        _text(found.get("response_id")),
        operation,
        _text(found.get("agent")),
        start_time_unix_nano,
        end_time_unix_nano,
        usage,
        rule,
        _reported_cost(found.get("reported_cost")),
        tuple(faults),
    )


def _find(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The best-ranked usable value of each field."""
    found: dict[str, Any] = {}
    ranks: dict[str, int] = {}
    for key, value in attributes.items():
        hit = _KEYS.get(key)
        if hit is None:
            continue
        field, rank = hit
        if rank < ranks.get(field, 99) and not (field in _NAMES and _text(value) is None):
            found[field] = value
            ranks[field] = rank
    return found


def _text(value: Any) -> str | None:
    if isinstance(value, str) and value.lower() not in semconv.UNNAMED:
        return value
    return None


def _count(value: Any, field: str, faults: list[str]) -> int:
    """A token count; 0 and a fault where the value is none."""
    if isinstance(value, str):
        value = _number(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        faults.append(field)
        return 0
    # The bounds come first: NaN fails both, and int() of infinity would raise.
    if not 0 <= value <= _MAX_TOKENS or value != int(value):
        faults.append(field)
        return 0
    return int(value)


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


def _usage(counts: dict[str, int], scope_name: str) -> tuple[TokenUsage | None, CacheRule]:
    input_tokens = counts.get("input", 0)
    output_tokens = counts.get("output", 0)
    if not input_tokens and not output_tokens:
        return None, CacheRule.NONE
    cache_read = counts.get("cache_read", 0)
    cache_write = counts.get("cache_write", 0)
    cached = cache_read + cache_write
    rule = CacheRule.NONE
    if cached:
        rule, contains_cached = _cache_rule(
            input_tokens, output_tokens, cached, counts.get("total", 0), scope_name
        )
        if not contains_cached:
            input_tokens += cached
    usage = TokenUsage(
        input_tokens, output_tokens, cache_read, cache_write, counts.get("reasoning", 0)
    )
    return usage, rule


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
