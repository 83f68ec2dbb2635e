"""The keys of a budgets file, and the arguments of `Budget` they set."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from otelbudget.budgets.values import integer, shortened, text_of
from otelbudget.errors import BudgetConfigError

TOP_KEYS = ("version", "unknown_model", "prices", "budgets")

_FLAGS = {
    spelled: is_on
    for word, is_on in {"yes": True, "on": True, "no": False, "off": False}.items()
    for spelled in (word, word.title(), word.upper())
}


def _as_it_is(value: object) -> object:
    return value


def _integers(value: object) -> object:
    """The ints that the texts of a mapping mean."""
    if not isinstance(value, Mapping):
        return value
    return {name: integer(count) for name, count in value.items()}


def _mode(value: object) -> object:
    """YAML 1.1 reads `off` as false; as a mode it is the word."""
    return "off" if value is False or value in ("Off", "OFF") else value


def _flag(value: object) -> object:
    """YAML 1.1 has more words than true and false; the exact loader leaves them as text."""
    return _FLAGS.get(value, value) if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class _Key:
    """The argument of `Budget` that a key sets, and how what is written becomes its value."""

    argument: str
    convert: Callable[[object], object] = _as_it_is


BUDGET_KEYS: Mapping[str, _Key] = {
    "per": _Key("per"),
    "mode": _Key("mode", _mode),
    "where": _Key("where"),
    "window": _Key("window"),
    "timezone": _Key("timezone"),
    "max_cost_usd": _Key("cost_usd"),
    "max_tokens": _Key("tokens", integer),
    "max_input_tokens": _Key("input_tokens", integer),
    "max_output_tokens": _Key("output_tokens", integer),
    "max_cache_read_input_tokens": _Key("cache_read_input_tokens", integer),
    "max_cache_write_input_tokens": _Key("cache_write_input_tokens", integer),
    "max_reasoning_output_tokens": _Key("reasoning_output_tokens", integer),
    "max_calls": _Key("calls", integer),
    "max_steps": _Key("calls", integer),
    "max_tool_calls": _Key("tool_calls", integer),
    "max_nested_tool_calls": _Key("tool_calls", integer),
    "max_tool_calls_by_name": _Key("tool_calls_by_name", _integers),
    "max_seconds": _Key("seconds"),
    "warn_at": _Key("warn_at"),
    "shares": _Key("shares"),
    "reserve": _Key("reserve", _flag),
    "grace": _Key("grace", integer),
    "cancel_in_flight": _Key("cancel_in_flight", _flag),
    "on_store_error": _Key("on_store_error"),
}


def budget_arguments(name: str, keys: object, path: str | None) -> dict[str, Any]:
    """The arguments of `Budget` that a budget of a file sets.

    Raises:
        BudgetConfigError: A key is not known, has no value or says what another says.
    """
    place = _place(name)
    given = mapping(keys, path, place, such_as="max_calls: 20")
    known_keys(given, tuple(BUDGET_KEYS), path, place + ".")
    arguments: dict[str, Any] = {"name": name, "per": None}
    set_by: dict[str, str] = {}
    for key, value in given.items():
        argument = BUDGET_KEYS[key].argument
        if argument in set_by:
            raise BudgetConfigError(
                f"sets the same limit as {set_by[argument]}; keep one",
                path=path,
                key=f"{place}.{key}",
            )
        if value is None and key != "per":
            raise BudgetConfigError(
                "has no value; write one or leave the key out", path=path, key=f"{place}.{key}"
            )
        set_by[argument] = key
        arguments[argument] = BUDGET_KEYS[key].convert(value)
    return arguments


def in_file(
    error: BudgetConfigError, name: str, keys: object, path: str | None
) -> BudgetConfigError:
    """An error that names an argument of `Budget`, as one that names the key of the file."""
    argument, dot, inner = (error.key or "").partition(".")
    names = [key for key, known in BUDGET_KEYS.items() if known.argument == argument]
    key = next((key for key in names if isinstance(keys, Mapping) and key in keys), argument)
    if key in ("", "name"):
        return BudgetConfigError(error.reason, path=path, key=_place(name))
    return BudgetConfigError(error.reason, path=path, key=f"{_place(name)}.{key}{dot}{inner}")


def _place(name: str) -> str:
    return f"budgets.{shortened(name)}"


def mapping(value: object, path: str | None, key: str | None, *, such_as: str) -> Mapping[str, Any]:
    """A mapping that is not empty, its keys as text."""
    if not isinstance(value, Mapping) or not value:
        raise BudgetConfigError(
            f"must hold keys with values, such as {such_as}", path=path, key=key
        )
    named = {text_of(name): inner for name, inner in value.items()}
    if None in named:
        raise BudgetConfigError(
            "holds a key that is no text; write the key in quotes", path=path, key=key
        )
    return {str(name): inner for name, inner in named.items()}


def known_keys(
    given: Mapping[str, Any], known: Sequence[str], path: str | None, prefix: str
) -> None:
    """Refuse a key that is not known, and say which is near."""
    for key in given:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            guess = f"; did you mean {near[0]}?" if near else ""
            raise BudgetConfigError(
                f"is not a key this version knows; allowed are {', '.join(known)}{guess}",
                path=path,
                key=prefix + shortened(key),
            )
