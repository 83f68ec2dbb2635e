"""The dialect table as SQL: what `otelbudget.genai.reading` reads, read by DuckDB many times faster.

Whatever is not quite regular (a count that is no plain integer, a JSON document, audio) is left to
the library; a test holds both to the same answers.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from string import Template

from otelbudget.genai import dialects, semconv
from otelbudget.genai.reading import COUNTS, NAMES
from otelbudget.store import sql

_load = partial(sql.load, "otelbudget.audit")
_COUNTS = (*COUNTS, "cache_write_1h")
_COST = "reported_cost"
_LEFT_TO_THE_LIBRARY = tuple(
    field for field in dialects.FIELDS if field not in (*NAMES, *_COUNTS, _COST)
)


def create_read_spans(attributes: Iterable[str], *, priced_at: int) -> str:
    """The statement that makes the table `read_spans`.

    Args:
        attributes: Names of the attributes that the spans carry; no others are looked for.
        priced_at: When a call without times is taken to be, in unix ns.
    """
    return _Reading(frozenset(attributes)).statement(priced_at)


class _Reading:
    """The dialect table as SQL, without the attributes that no span carries."""

    def __init__(self, in_use: frozenset[str]) -> None:
        self._fields = {
            field: [key for key in keys if key in in_use] for field, keys in dialects.FIELDS.items()
        }
        self._in_use = in_use

    def statement(self, priced_at: int) -> str:
        return Template(_load("create_read_spans")).substitute(
            structure=self._structure(),
            priced_at=priced_at,
            candidates=_any(
                f"contains(span.attributes, '{part}')" for part in dialects.PARTS_OF_ATTRIBUTES
            ),
            platform_services=_texts(dialects.PLATFORM_SERVICES),
            is_platform_scope=_is_scope(dialects.PLATFORM_SCOPES),
            is_borrowed=_any(
                f"({raw} is not null and not {_is_scope(dialects.BORROWED[key])})"
                for key, raw in self._present(dialects.BORROWED)
            ),
            call_event=semconv.CALL_EVENT,
            is_denied=_any(
                f"{raw} is not distinct from {_text(semconv.Decision.DENIED)}"
                for _, raw in self._present((semconv.DECISION,))
            ),
            call_id=next((raw for _, raw in self._present((semconv.CALL_ID,))), "null::varchar"),
            names=", ".join(f'{self._best_name(field)} as "{field}"' for field in NAMES),
            counts=", ".join(f"{self._best_count(field)} as {field}" for field in _COUNTS),
            reported_cost=self._best_cost(),
            irregular=_any(self._irregularities()),
            is_usual=_is_one_of("operation", set(dialects.OPERATION_ALIASES.values())),
            aliases=_cases(dialects.OPERATION_ALIASES),
            excludes_cached=_excludes_cached(),
            model_operations=_texts(sorted(semconv.MODEL_CALL_OPERATIONS)),
        )

    def _structure(self) -> str:
        """The attributes to decode, as text."""
        others = (semconv.DECISION, semconv.CALL_ID, *dialects.BORROWED)
        keys = [key for key, _ in self._present(others)]
        keys += (key for present in self._fields.values() for key in present)
        kinds = dict.fromkeys(keys or [semconv.DECISION], "VARCHAR")
        return json.dumps(kinds).replace("'", "''")

    def _present(self, keys: Iterable[str]) -> Iterator[tuple[str, str]]:
        return ((key, _raw(key)) for key in keys if key in self._in_use)

    def _best_name(self, field: str) -> str:
        longest = max(map(len, dialects.UNNAMED))
        also = ""
        if field == "provider":
            also = f"when {_is_one_of('lower({raw})', semconv.FRAMEWORK_PROVIDERS)} then null "
        names = (
            f"case {also.format(raw=raw)}when length({raw}) > {longest} then {raw} "
            f"when not {_is_one_of(raw, dialects.UNNAMED)} then {raw} end"
            for raw in map(_raw, self._fields[field])
        )
        best = _first(names, "null::varchar")
        return f"lower({best})" if field == "service_tier" else best

    def _best_count(self, field: str) -> str:
        keys = map(_raw, self._fields[field])
        return _first((f"nullif(try_cast({raw} as bigint), 0)" for raw in keys), "0::bigint")

    def _best_cost(self) -> str:
        costs = (
            f"case when try_cast({text} as double) > 0 then {text} end"
            if key == semconv.ZERO_COST_IS_UNKNOWN
            else text
            for key in self._fields[_COST]
            for text in (_raw(key),)
        )
        return _first(costs, "null::varchar")

    def _irregularities(self) -> Iterator[str]:
        """Conditions under which a span is left to the library; null is no."""
        for raw in self._raws(NAMES):
            # An object or a list names nothing; nor need any other text look like one.
            yield f"{raw} >= '{{' or starts_with({raw}, '[')"
        for raw in self._raws(_COUNTS):
            yield f"not regexp_full_match({raw}, '{_COUNT_PATTERN}')"
        for raw in self._raws((_COST,)):
            yield f"not regexp_full_match({raw}, '{_COST_PATTERN}')"
        for raw in self._raws(_LEFT_TO_THE_LIBRARY):
            yield f"{raw} <> '0'"
        for _, raw in self._present(dialects.ONLY_WITH):
            yield f"{raw} is not null"
        for _, raw in self._present(dialects.SCOPE_BY_ATTRIBUTE):
            yield f"(scope_name = '' and {raw} is not null)"

    def _raws(self, fields: Iterable[str]) -> Iterator[str]:
        return (_raw(key) for field in fields for key in self._fields[field])


_COUNT_PATTERN = "[0-9]{1,12}"
_COST_PATTERN = "[0-9]+([.][0-9]+)?([eE][+-]?[0-9]{1,2})?"


def _raw(key: str) -> str:
    return f'found."{key}"'


def _first(values: Iterable[str], otherwise: str) -> str:
    return f"coalesce({', '.join((*values, otherwise))})"


def _excludes_cached() -> str:
    return _any(
        _is_scope((scope,))
        + (f" and provider in ({_texts(sorted(providers))})" if providers else "")
        for scope, providers in dialects.CACHE_EXCLUSIVE_SCOPES.items()
    )


def _is_scope(prefixes: Iterable[str]) -> str:
    return _any(
        f"scope_name = {_text(prefix)} or starts_with(scope_name, {_text(prefix + '.')})"
        for prefix in prefixes
    )


def _cases(values: Mapping[str, str]) -> str:
    return " ".join(f"when {_text(old)} then {_text(new)}" for old, new in values.items())


def _any(conditions: Iterable[str]) -> str:
    return f"({' or '.join(conditions) or 'false'})"


def _texts(values: Iterable[str]) -> str:
    return ", ".join(map(_text, values))


def _is_one_of(text: str, values: Iterable[str]) -> str:
    """Whether a text is one of several, by a pattern: DuckDB would join a list of them."""
    pattern = "|".join(map(re.escape, sorted(values)))
    return f"regexp_full_match({text}, {_text(pattern)})"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
