"""From a span's attributes, in any dialect, to the model call that they tell of."""

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from otelbudget.genai import dialects, semconv
from otelbudget.genai.usage import CacheRule, ModelCall, TokenUsage

NAMES = (
    "operation",
    "provider",
    "request_model",
    "response_model",
    "response_id",
    "agent",
    "service_tier",
    "conversation",
    "user",
)
"""Fields of `dialects.FIELDS` that hold a name."""

COUNTS = ("input", "output", "cache_read", "cache_write", "reasoning", "total")
"""Fields that hold a token count and are common; the rare ones follow."""

_RARE_COUNTS = (
    "uncached",
    "cache_write_1h",
    "audio_input",
    "audio_output",
    "image_input",
    "image_output",
    "audio_cache_read",
    "image_cache_read",
    "web_searches",
    "extra_input",
    "extra_output",
)
_OTHERS = ("reported_cost", "currency", *dialects.DOCUMENTS)
_FIELDS = (*NAMES, *COUNTS, *_RARE_COUNTS, *_OTHERS)
_POSITIONS = {field: position for position, field in enumerate(_FIELDS)}
_FIRST_COUNT = len(NAMES)
_FIRST_RARE = _FIRST_COUNT + len(COUNTS)
_FIRST_OTHER = _FIRST_RARE + len(_RARE_COUNTS)
_PROVIDER, _UNCACHED = _POSITIONS["provider"], _POSITIONS["uncached"]
_CACHE_READ, _CACHE_WRITE = _POSITIONS["cache_read"], _POSITIONS["cache_write"]
_REPORTED_COST, _CURRENCY = _POSITIONS["reported_cost"], _POSITIONS["currency"]
MAX_TOKENS = 10**12
_UNNAMED_LENGTH = max(map(len, (*dialects.UNNAMED, *semconv.FRAMEWORK_PROVIDERS)))
_NO_VALUES: list[Any] = [None] * _FIRST_COUNT + [0] * (_FIRST_OTHER - _FIRST_COUNT)
_NO_VALUES += [None] * len(_OTHERS)
_NOTHING_RARE = _NO_VALUES[_FIRST_RARE:]
_BARE, _NO_RANK = 50, 99  # ranks of names that anyone may use, and of none at all
_NO_RANKS = [_NO_RANK] * len(_FIELDS)


def read_call(
    attributes: Mapping[str, Any],
    *,
    scope_name: str = "",
    start_time_unix_nano: int | None = None,
    end_time_unix_nano: int | None = None,
) -> ModelCall | None:
    """The model call that a span's attributes tell of.

    Args:
        attributes: The span's attributes, in any dialect of `dialects.FIELDS`.
        scope_name: Name of the instrumentation scope; some scopes count caches their own way.
        start_time_unix_nano: Start of the span.
        end_time_unix_nano: End of the span.

    Returns:
        The call, with `usage` None where no count above zero is reported; None where the span
        neither reports usage nor says that it asks a model.
    """
    found = _find(attributes, scope_name)
    if found is None:
        return None
    values, faults = found
    is_plain = values[_FIRST_RARE:] == _NOTHING_RARE
    rule = CacheRule.NONE if is_plain else _read_documents(values)
    usage, rule = _usage(values, scope_name or _scope_by(attributes), rule, is_plain=is_plain)
    operation = values[0]
    operation = dialects.OPERATION_ALIASES.get(operation, operation) or ""
    if usage is None and operation not in semconv.MODEL_CALL_OPERATIONS:
        return None
    tier = values[6]
    return ModelCall(
        values[1],
        values[2],
        values[3],
        values[4],
        operation,
        values[5],
        start_time_unix_nano,
        end_time_unix_nano,
        usage,
        rule,
        None if is_plain else _reported_cost(values),
        None if tier is None else tier.lower(),
        values[7],
        values[8],
        faults,
    )


def read_agent(attributes: Mapping[str, Any]) -> str | None:
    """The agent that a span's attributes name."""
    return next(
        filter(None, (_name(attributes.get(key)) for key in dialects.FIELDS["agent"])), None
    )


def read_tool(attributes: Mapping[str, Any]) -> str | None:
    """The tool whose call a span tells of, "" where it names none; None for other spans."""
    for key in dialects.FIELDS["operation"]:
        operation = attributes.get(key)
        if isinstance(operation, str):
            if (
                dialects.OPERATION_ALIASES.get(operation, operation)
                != semconv.EXECUTE_TOOL_OPERATION
            ):
                return None
            names = (_name(attributes.get(name)) for name in dialects.TOOL_NAMES)
            return next(filter(None, names), "")
    return None


def _find(  # noqa: C901 - run for every attribute of every span
    attributes: Mapping[str, Any], scope_name: str
) -> tuple[list[Any], tuple[str, ...]] | None:
    """The best value of each of `_FIELDS` and the faults; None where no attribute is one of them."""
    values: list[Any] | None = None
    ranks: list[int] = []
    faults: list[str] = []
    known = _KEYS.get
    for key, value in attributes.items():
        hit = known(key)
        if hit is None:
            continue
        if values is None:
            values, ranks = _NO_VALUES.copy(), _NO_RANKS.copy()
        position, rank, accept = hit
        kind = type(value)
        # What nearly every attribute is comes first; `accept` knows the rest.
        if kind is str and position < _FIRST_COUNT:
            if len(value) <= _UNNAMED_LENGTH and not accept(value):
                continue
        elif kind is not int or position < _FIRST_COUNT or not 0 < value <= MAX_TOKENS:
            value = accept(value)  # noqa: PLW2901 - as it is read
            if not value:
                if value is None:
                    faults.append(key)
                continue
        if rank < ranks[position] and (rank < _BARE or _is_meant(key, attributes, scope_name)):
            values[position] = value
            ranks[position] = rank
    return None if values is None else (values, tuple(faults))


def _is_meant(key: str, attributes: Mapping[str, Any], scope_name: str) -> bool:
    """Whether an attribute is the one that is meant; some names anyone may use."""
    scopes = dialects.ONLY_WITH.get(key)
    return scopes is None or semconv.SPAN_TYPE in attributes or semconv.is_scope(scope_name, scopes)


def _scope_by(attributes: Mapping[str, Any]) -> str:
    """The scope of a span that was written without one, as far as its attributes tell."""
    for key, scope_name in dialects.SCOPE_BY_ATTRIBUTE.items():
        if key in attributes:
            return scope_name
    return ""


def _name(value: Any) -> str:
    """A name; "" where the value names nothing. A number or boolean is read as its JSON text."""
    if type(value) is not str:
        if not isinstance(value, int | float):
            return ""
        value = msgspec.json.encode(value).decode()
    return "" if value in dialects.UNNAMED else value


def _provider(value: Any) -> str:
    """A provider; "" where the value names none, or only a framework."""
    name = _name(value)
    return "" if name.lower() in semconv.FRAMEWORK_PROVIDERS else name


def _count(value: Any) -> int | None:
    """A token count, or None where the value is none: a boolean, negative, infinite, no number."""
    if type(value) is int:
        return value if 0 <= value <= MAX_TOKENS else None
    number = _number(value) if isinstance(value, str) else value
    # The bounds come first: NaN fails both, and int() of infinity would raise.
    if isinstance(number, int | float) and not isinstance(number, bool):
        is_count = 0 <= number <= MAX_TOKENS and number == int(number)
        return int(number) if is_count else None
    return None if value is not None else 0


def _number(text: str) -> int | float | None:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return None


def _cost(value: Any) -> str:
    """An amount as text, "" where the value is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return ""
    number = _number(value) if isinstance(value, str) else value
    return str(value) if number is not None and 0 <= number <= sys.float_info.max else ""


def _cost_above_zero(value: Any) -> str:
    return _cost(value) if _cost(value) and float(value) > 0 else ""


def _text(value: Any) -> Any:
    return value


_ACCEPT: dict[str, Callable[[Any], Any]] = (
    dict.fromkeys(NAMES, _name)
    | dict.fromkeys((*COUNTS, *_RARE_COUNTS), _count)
    | dict.fromkeys(_OTHERS, _text)
    | {"provider": _provider, "reported_cost": _cost}
)
# Attribute: position of its field in _FIELDS, its rank among that field's attributes, and how its
# value is read: falsy where it says nothing, None where it is a fault.
_KEYS: dict[str, tuple[int, int, Callable[[Any], Any]]] = {
    key: (_POSITIONS[field], rank + _BARE * (key in dialects.ONLY_WITH), _ACCEPT[field])
    for field in _FIELDS
    for rank, key in enumerate(dialects.FIELDS[field])
}
_KEYS[semconv.ZERO_COST_IS_UNKNOWN] = *_KEYS[semconv.ZERO_COST_IS_UNKNOWN][:2], _cost_above_zero


def _reported_cost(values: Sequence[Any]) -> str | None:
    """What the span says the call cost, in USD; another currency says nothing here."""
    value, currency = values[_REPORTED_COST], values[_CURRENCY]
    if isinstance(currency, str) and currency.upper() != "USD":
        return None
    return value or None


def _read_documents(values: list[Any]) -> CacheRule:
    """Fill up what is missing from the JSON documents among the values."""
    rule = CacheRule.NONE
    for name, fields in dialects.DOCUMENTS.items():
        text = values[_POSITIONS[name]]
        document = _decoded(text) if isinstance(text, str) else text
        if not isinstance(document, Mapping):
            continue
        had_caches = values[_CACHE_READ] or values[_CACHE_WRITE]
        for field, paths in fields.items():
            position = _POSITIONS[field]
            if not values[position]:
                found = (_ACCEPT[field](each) for path in paths for each in _at(document, path))
                values[position] = next(filter(None, found), values[position])
        if name == "usage_document" and any(key in document for key in dialects.BUCKETS):
            rule = CacheRule.BUCKETS
            _add_buckets(values, document)
        elif not had_caches and not dialects.CACHE_EXCLUSIVE_DOCUMENTS.isdisjoint(document):
            rule = _add_caches(values)
    return rule


def _add_caches(values: list[Any]) -> CacheRule:
    """Add cached tokens that only the provider's own words tell of, unless arithmetic decides."""
    cached = values[_CACHE_READ] + values[_CACHE_WRITE]
    if not cached or values[_FIRST_COUNT] < cached or values[_UNCACHED]:
        return CacheRule.NONE
    values[_FIRST_COUNT] += cached
    return CacheRule.SCOPE


def _decoded(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None


def _at(document: Mapping[str, Any], path: str) -> list[Any]:
    """What is at a path such as "*.usage.tokens"; `*` is every key."""
    found: list[Any] = [document]
    for part in path.split("."):
        inside = [each for each in found if isinstance(each, Mapping)]
        found = (
            [value for each in inside for value in each.values()]
            if part == "*"
            else [each[part] for each in inside if part in each]
        )
    return found


def _add_buckets(values: list[Any], document: Mapping[str, Any]) -> None:
    """Add up what is listed beside input and output, each token once."""
    for field, whole in dialects.BUCKETS.items():
        if field in document:
            buckets = (
                _count(count) or 0 for key, count in document.items() if field in key != whole
            )
            values[_POSITIONS[field]] = sum(buckets)


def _usage(
    values: Sequence[Any], scope_name: str, rule: CacheRule, *, is_plain: bool
) -> tuple[TokenUsage | None, CacheRule]:
    """Tokens, and what told the cached ones apart; `rule` where that is decided already."""
    input_tokens, output_tokens, cache_read, cache_write, reasoning, total, uncached = values[
        _FIRST_COUNT : _FIRST_RARE + 1
    ]
    if not input_tokens and not output_tokens:
        return None, CacheRule.NONE
    cached = cache_read + cache_write
    if not cached:
        rule = CacheRule.NONE
    elif rule is CacheRule.NONE:
        counts = input_tokens, output_tokens, cached, total, uncached
        rule, contains_cached = _cache_rule(counts, scope_name, values[_PROVIDER])
        if not contains_cached:
            input_tokens += cached
    if reasoning and _is_beside(values):
        output_tokens += reasoning
    if is_plain:
        return TokenUsage(input_tokens, output_tokens, cache_read, cache_write, reasoning), rule
    *parts, extra_input, extra_output = values[_FIRST_RARE + 1 : _FIRST_OTHER]
    return TokenUsage(
        input_tokens + extra_input,
        output_tokens + extra_output,
        cache_read,
        cache_write,
        reasoning,
        *parts,
    ), rule


def _is_beside(values: Sequence[Any]) -> bool:
    """Whether reported output leaves reasoning out, which it should contain."""
    input_tokens, output_tokens, _, _, reasoning, total = values[_FIRST_COUNT:_FIRST_RARE]
    return bool(reasoning > output_tokens or total == input_tokens + output_tokens + reasoning)


def _cache_rule(
    counts: tuple[int, int, int, int, int], scope_name: str, provider: str | None
) -> tuple[CacheRule, bool]:
    """Which rule decides, and whether the reported input contains the cached tokens.

    Args:
        counts: Input, output, cached, total, and input that was not cached, as reported.
        scope_name: Name of the instrumentation scope.
        provider: Provider as the span names it.
    """
    input_tokens, output_tokens, cached, total, uncached = counts
    if input_tokens < cached:
        return CacheRule.PROOF, False
    if uncached and uncached in {input_tokens, input_tokens - cached}:
        return CacheRule.PROOF, uncached != input_tokens
    if _excludes_cached(scope_name, provider):
        return CacheRule.SCOPE, False
    if total == input_tokens + output_tokens:
        return CacheRule.TOTAL, True
    if total == input_tokens + output_tokens + cached:
        return CacheRule.TOTAL, False
    return CacheRule.CONVENTION, True


def _excludes_cached(scope_name: str, provider: str | None) -> bool:
    providers = _exclusive_providers(scope_name)
    return providers is not None and (not providers or provider in providers)


@lru_cache(maxsize=1024)
def _exclusive_providers(scope_name: str) -> frozenset[str] | None:
    """For which providers a scope leaves cached tokens out: none named, for all; None: for none."""
    for scope, providers in dialects.CACHE_EXCLUSIVE_SCOPES.items():
        if semconv.is_scope(scope_name, (scope,)):
            return providers
    return None
