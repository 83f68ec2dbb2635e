"""What calls can be grouped by: what model calls carry, when they began, and where they belong."""

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from functools import partial
from string import Template
from typing import NamedTuple

from otelbudget.audit.places import pointer, quoted
from otelbudget.budgets.scopes import NONE
from otelbudget.budgets.windows import DEFAULT_TIMEZONE, CalendarUnit, CalendarWindow
from otelbudget.genai import dialects, semconv
from otelbudget.store import sql
from otelbudget.store.store import Store

_load = partial(sql.load, "otelbudget.audit")

_COLUMNS = {
    "model": "call.model",
    "provider": "call.provider",
    "agent": "call.agent",
    "service": "call.service",
    "workflow": "call.workflow",
    "trace": "call.trace_id",
    "operation": "call.operation",
    "conversation": "call.conversation",
    "user": 'call."user"',
    "service_tier": "call.service_tier",
}
_TENANT, _TOOL, _SPAN, _TIER, _RUN = "tenant", "tool", "span", "tier", "run"
_ALIASES = {_TENANT: semconv.TENANT_ID}
TIMES = tuple(map(str, CalendarUnit))
KEYS = (*_COLUMNS, _TOOL, _SPAN, _TENANT, _RUN, _TIER, *TIMES)
"""The keys that have a meaning of their own; any other is the name of an attribute."""

_MOST_KEYS = 8
_SLOT_NS = 900 * 10**9  # clocks of all zones differ by quarters of an hour


class UnknownKeyError(ValueError):
    """A key to group by that means nothing."""


class Keys(NamedTuple):
    """Keys to group by.

    Attributes:
        names: The keys, in order.
        timezone: Whose calendar hours, days, weeks and months are.
    """

    names: tuple[str, ...]
    timezone: str = DEFAULT_TIMEZONE

    def prepare(self, store: Store) -> "GroupedCalls":
        """Look up what the calls of a store have for them; a store on which calls were counted.

        Raises:
            BudgetConfigError: There is no such time zone.
        """
        return _prepare(store, self)


class GroupedCalls(NamedTuple):
    """The calls of a store with the values of some keys.

    Attributes:
        statement: Sums them: a value for each key, the fields of `Totals`, how many groups there are;
            its input `most` is how many groups it gives, None for all.
        without_values: Keys of which no call has a value.
    """

    statement: str
    without_values: tuple[str, ...]


def parse_keys(text: str) -> tuple[str, ...]:
    """Keys that are joined by commas.

    Raises:
        UnknownKeyError: One is empty or close to a key, or there are more than 8.
    """
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    if len(names) > _MOST_KEYS:
        raise UnknownKeyError(f"{len(names)} keys are too many; group by at most {_MOST_KEYS}")
    for name in names:
        if not name or '"' in name or (_near(name) and _is_word(name)):
            raise UnknownKeyError(_unknown(name))
    return names


def check_told(keys_without_values: Iterable[str]) -> None:
    """Refuse plain words that are no keys, and that no span carries.

    Raises:
        UnknownKeyError: One is there.
    """
    for name in keys_without_values:
        if _is_word(name):
            raise UnknownKeyError(_unknown(name))


def _is_word(name: str) -> bool:
    """Whether a name is more likely a misspelt key than an attribute."""
    return name.isalpha() and name not in KEYS


def _unknown(name: str) -> str:
    near = _near(name)
    guess = f"did you mean {near[0]!r}? Choose" if near else "choose"
    return (
        f"{name!r} is no key; {guess} from {', '.join(KEYS)}, or any attribute such as "
        f"{semconv.TENANT_ID}"
    )


def _near(name: str) -> list[str]:
    return get_close_matches(name, KEYS, n=1, cutoff=0.75)


def _prepare(store: Store, keys: Keys) -> GroupedCalls:
    store.execute(_load("create_key_values"))
    store.execute(_load("create_key_slots"))
    for number, name in enumerate(keys.names):
        if name in TIMES:
            store.fill("key_slots", list(_slots(store, number, CalendarUnit(name), keys.timezone)))
        elif name not in _COLUMNS:
            _insert_values(store, number, name)
    empty = tuple(
        keys.names[number]
        for (number,) in store.rows(_load("keys_without_values"))
        if keys.names[number] != _RUN
    )
    return GroupedCalls(_statement(keys.names), empty)


def _slots(
    store: Store, number: int, unit: CalendarUnit, timezone: str
) -> Iterable[tuple[int, int, str]]:
    window = CalendarWindow(unit, timezone)
    yield number, -1, NONE  # DuckDB 2.0.0 fails where a table that is joined is empty
    for (slot,) in store.rows(_load("slots_in_use")):
        start, _ = window.bounds(slot * _SLOT_NS)
        yield number, slot, date_of(window, start)


def date_of(window: CalendarWindow, start_ns: int) -> str:
    """The value of a window as a key, such as "2026-01-05" for a day and for the week it begins."""
    return _BEFORE_DATE.sub("", window.label(start_ns))


_BEFORE_DATE = re.compile(r"^[^0-9]+")


def _insert_values(store: Store, number: int, name: str) -> None:
    match name:
        case "span":
            store.execute(_load("insert_span_names"), {"key_number": number})
        case "tier":
            store.execute(_load("insert_tier_values"), {"key_number": number})
        case "tool":
            store.execute(_load("create_tool_tellers"), _telling_tools(store))
            _insert_told(store, number, None, None)
        case "run":
            _insert_attribute(store, number, semconv.RUN_ID, semconv.RUN_ID, None)
        case _:
            key = _ALIASES.get(name, name)
            _insert_attribute(store, number, semconv.SCOPE_PREFIX + key, key, key)


def _telling_tools(store: Store) -> dict[str, object]:
    """What spans of tools tell, of those attributes that any span carries."""
    aliases = dialects.OPERATION_ALIASES.items()
    tool = semconv.EXECUTE_TOOL_OPERATION
    marks = list(map(quoted, (tool, *(alias for alias, meant in aliases if meant == tool))))
    in_use = {name for (name,) in store.rows(_load("attribute_names"))}
    operations, names = (
        [pointer(key) for key in keys if key in in_use]
        for keys in (dialects.FIELDS["operation"], dialects.TOOL_NAMES)
    )
    return {
        "marks": marks,
        "any_mark": "|".join(map(re.escape, marks)),
        "operations": operations,
        "names": names,
        "unnamed": sorted(dialects.UNNAMED),
    }


def _insert_attribute(
    store: Store, number: int, written: str, own: str, resource: str | None
) -> None:
    store.execute(
        _load("create_attribute_tellers"),
        {
            "written_name": quoted(written),
            "own_name": quoted(own),
            "written": pointer(written),
            "own": pointer(own),
        },
    )
    _insert_told(store, number, (written, own), resource)


def _insert_told(
    store: Store, number: int, told: tuple[str, str] | None, resource: str | None
) -> None:
    written, own = map(pointer, told) if told else (None, None)
    store.execute(
        _load("insert_told_values"),
        {
            "key_number": number,
            "written": written,
            "own": own,
            "resource_name": None if resource is None else quoted(resource),
            "resource": None if resource is None else pointer(resource),
        },
    )


def _statement(names: Sequence[str]) -> str:
    values, joins = [], []
    for number, name in enumerate(names):
        table = f"key_{number}"
        values.append(_value(name, table))
        if name in TIMES:
            joins.append(
                f"left join key_slots as {table} on {table}.key_number = {number} "
                f"and {table}.slot = call.start_time_unix_nano // {_SLOT_NS}"
            )
        elif name not in _COLUMNS:
            joins.append(
                f"left join key_values as {table} on {table}.key_number = {number} "
                f"and {table}.call_row = call.call_row"
            )
    places = ", ".join(str(place) for place in range(1, len(values) + 1))
    return Template(_load("spend_by_key")).substitute(
        values="".join(f"{value},\n" for value in values),
        traces="1" if "trace" in names else "count(distinct call.trace_id)",
        joins="\n".join(joins),
        groups=", ".join(values) or "()",
        order=f", {places}" if places else "",
    )


def _value(name: str, table: str) -> str:
    column = _COLUMNS.get(name, f"{table}.value")
    return f"coalesce({column}, {'call.trace_id' if name == _RUN else _NONE_SQL})"


_NONE_SQL = f"'{NONE}'"
