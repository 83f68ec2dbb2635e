"""Checks of the single values of a budget: what the user wrote, in the units we count in."""

import re
from collections.abc import Callable, Mapping
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from enum import StrEnum
from reprlib import Repr
from types import MappingProxyType
from typing import Any, TypeVar

from otelbudget.budgets.kinds import LimitKind
from otelbudget.errors import BudgetConfigError, display_usd
from otelbudget.pricing.billing import usd

MAX_LIMIT = 2**63 - 1
MOST_USD = MAX_LIMIT // 10**12
MOST_SECONDS = MAX_LIMIT // 10**9


_MOST_KEYS = 8
_MOST_NAME = 100
_MOST_TEXT = 200
_USD_DECIMALS = 12
_SECOND_DECIMALS = 9
_RATIO_DECIMALS = 12
_NUMBER = re.compile(r"[+-]?([0-9][0-9_]*(\.[0-9_]*)?|\.[0-9][0-9_]*)([eE][+-]?[0-9]{1,9})?")
_NO_KEY = re.compile(r'["\x00-\x1f\x7f-\x9f]')

# Numbers that do not fit in forty digits are errors, not rounded.
_EXACT = Context(prec=40, traps=[Inexact, InvalidOperation, Overflow])

_NOTHING: Mapping[str, Any] = MappingProxyType({})

_Choice = TypeVar("_Choice", bound=StrEnum)

_short = Repr()
_short.maxlevel = 2
_short.maxstring = _short.maxother = _short.maxlong = 60


def shown(value: object) -> str:
    """A value for a sentence: cut where it is long."""
    return repr(str(value)) if isinstance(value, StrEnum) else _short.repr(value)


def shortened(text: str) -> str:
    """Text for a sentence: cut where it is long."""
    return text if len(text) <= _MOST_NAME else shown(text)


def number(value: object) -> Decimal | None:
    """An exact number, maybe written as text such as 0.25, 1e6 or 20_000; None for all else."""
    if isinstance(value, str):
        return Decimal(value) if _NUMBER.fullmatch(value) else None
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    exact = Decimal(value)
    return exact if exact.is_finite() else None


def integer(value: object) -> object:
    """The int that text means, such as 5, 1e6 or 20_000; all else as it is."""
    exact = number(value)
    if not isinstance(value, str) or exact is None or not -MAX_LIMIT <= exact <= MAX_LIMIT:
        return value
    return int(exact) if exact == exact.to_integral_value() else value


def money(value: object, key: str) -> int:
    """US dollars as pico-USD."""
    if isinstance(value, bool | float) or not isinstance(value, str | int | Decimal):
        raise BudgetConfigError(
            f"is {shown(value)}; write US dollars as text, such as '0.25', so that they are exact",
            key=key,
        )
    amount_pusd = _units(value, _USD_DECIMALS, MOST_USD)
    if amount_pusd is None:
        raise BudgetConfigError(
            f"is {shown(value)}, allowed are 0 to {MOST_USD} US dollars with at most twelve "
            "decimals",
            key=key,
        )
    return amount_pusd


def nanoseconds(value: object, key: str) -> int:
    """Seconds as nanoseconds."""
    duration_ns = _units(value, _SECOND_DECIMALS, MOST_SECONDS)
    if duration_ns is None:
        raise BudgetConfigError(
            f"is {shown(value)}, allowed are 0 to {MOST_SECONDS} seconds with at most nine "
            "decimals, such as 60 or '0.5'",
            key=key,
        )
    return duration_ns


def whole(value: object, key: str) -> int:
    """A count."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_LIMIT:
        raise BudgetConfigError(
            f"is {shown(value)}, allowed are whole numbers from 0 to {MAX_LIMIT}", key=key
        )
    return value


def flag(value: object, key: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise BudgetConfigError(f"is {shown(value)}, allowed are true and false", key=key)
    return value


def budget_name(value: object, key: str) -> str:
    """Name of a budget."""
    if not isinstance(value, str) or not 1 <= len(value) <= _MOST_NAME:
        raise BudgetConfigError(f"is {shown(value)}, allowed are 1 to 100 characters", key=key)
    return value


def choice(enum: type[_Choice], value: object, key: str) -> _Choice:
    """A member of an enum by its value."""
    try:
        return enum(str(value))
    except ValueError as error:
        raise BudgetConfigError(
            f"is {shown(value)}, allowed are {', '.join(enum)}", key=key
        ) from error


def per_keys(value: object, key: str) -> tuple[str, ...] | None:
    """What a budget is counted by; None: it is a tier."""
    if value is None:
        return None
    listed = value if isinstance(value, list | tuple) else [value]
    keys = tuple(name for name in listed if isinstance(name, str) and _is_key(name))
    if not 1 <= len(listed) <= _MOST_KEYS or len(keys) < len(listed):
        raise BudgetConfigError(
            f"is {shown(value)}, allowed are trace, run, process, any key such as tenant.id, or a "
            "list of up to 8 of them; a budget without it is a tier",
            key=key,
        )
    for name in keys:
        if keys.count(name) > 1:
            raise BudgetConfigError(f"names {shown(name)} twice; keep one", key=key)
    return keys


def limits_by_kind(given: Mapping[LimitKind, object]) -> Mapping[LimitKind, int]:
    """The limits that are given, in the units we count in; None is no limit."""
    return MappingProxyType(
        {
            kind: _CHECKS.get(kind, whole)(value, str(kind))
            for kind, value in given.items()
            if value is not None
        }
    )


def written_limit(kind: LimitKind, limit: int) -> str | int:
    """A limit as a budgets file has it: money and time as text, so that they are exact."""
    match kind:
        case LimitKind.COST_USD:
            return display_usd(usd(limit))
        case LimitKind.SECONDS:
            seconds, rest = divmod(limit, 10**_SECOND_DECIMALS)
            return f"{seconds}.{rest:09d}".rstrip("0").rstrip(".")
        case _:
            return limit


def utilizations(value: object, key: str) -> tuple[Decimal, ...]:
    """Ratios of a limit at which a warning is due, ascending."""
    listed = value if isinstance(value, list | tuple) else [None]
    ratios = {number(str(ratio)) for ratio in listed}
    found = [ratio for ratio in ratios if ratio is not None and 0 < ratio <= 1]
    if len(found) < len(ratios):
        raise BudgetConfigError(
            f"is {shown(value)}, allowed is a list of ratios above 0 and up to 1, such as "
            "[0.5, 0.8]",
            key=key,
        )
    return tuple(sorted(found))


def counts_by_name(value: object, key: str) -> Mapping[str, int]:
    """Limits on the calls of single tools."""
    if value is None:
        return _NOTHING
    entries = _entries(value, key, such_as="web_search: 3")
    return MappingProxyType({name: whole(count, f"{key}.{name}") for name, count in entries})


def conditions(value: object, key: str) -> Mapping[str, tuple[str, ...]]:
    """The values that each key of `where` may have, as text."""
    if value is None:
        return _NOTHING
    entries = _entries(value, key, such_as="service.name: checkout")
    return MappingProxyType({name: _texts(allowed, f"{key}.{name}") for name, allowed in entries})


def shares_by_key(value: object, key: str) -> Mapping[str, Mapping[str, Decimal]]:
    """The part of each limit that each value of a key may use."""
    if value is None:
        return _NOTHING
    entries = _entries(value, key, such_as="otelbudget.priority: {batch: 0.7}")
    return MappingProxyType({name: _shares(ratios, f"{key}.{name}") for name, ratios in entries})


def text_of(value: object) -> str | None:
    """A scalar as text; None for anything else."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float | Decimal) else None


_CHECKS: Mapping[LimitKind, Callable[[object, str], int]] = {
    LimitKind.COST_USD: money,
    LimitKind.SECONDS: nanoseconds,
}


def _entries(value: object, key: str, *, such_as: str) -> list[tuple[str, object]]:
    """The entries of a mapping by keys that a span can have."""
    if not isinstance(value, Mapping) or not value:
        raise BudgetConfigError(f"must hold keys with values, such as {such_as}", key=key)
    entries = [(text_of(name), inner) for name, inner in value.items()]
    for name, _ in entries:
        if name is None or not _is_key(name):
            raise BudgetConfigError(
                f"holds the key {shown(name)}, allowed are keys of 1 to 200 characters without "
                "double quotes and control characters",
                key=key,
            )
    return [(str(name), inner) for name, inner in entries]


def _is_key(name: str) -> bool:
    """Whether text can be the key of a scope: it stands between double quotes in some outputs."""
    return 1 <= len(name) <= _MOST_TEXT and not _NO_KEY.search(name)


def _texts(value: object, key: str) -> tuple[str, ...]:
    listed = value if isinstance(value, list | tuple) else [value]
    texts = [text for each in listed if (text := _scope_value(each)) is not None]
    if not texts or len(texts) < len(listed):
        raise BudgetConfigError(
            f"is {shown(value)}, allowed are a value of at most {_MOST_TEXT} characters or a list of "
            "them",
            key=key,
        )
    return tuple(dict.fromkeys(texts))


def _scope_value(value: object) -> str | None:
    """A value as the text that a scope has; None where no scope can have it."""
    text = text_of(value)
    return None if text is None or len(text) > _MOST_TEXT else text


def _shares(value: object, key: str) -> Mapping[str, Decimal]:
    if not isinstance(value, Mapping) or not value:
        raise BudgetConfigError("must hold values with their shares, such as batch: 0.7", key=key)
    shares: dict[str, Decimal] = {}
    for each, ratio in value.items():
        name = _scope_value(each)
        if name is None:
            raise BudgetConfigError(
                f"holds the value {shown(each)}, allowed are values of at most {_MOST_TEXT} "
                "characters",
                key=key,
            )
        parts = _units(ratio, _RATIO_DECIMALS, 1)
        if not parts:
            raise BudgetConfigError(
                f"is {shown(ratio)}, allowed are ratios above 0 and up to 1 with at most twelve "
                "decimals, such as '0.3'",
                key=f"{key}.{name}",
            )
        shares[name] = Decimal(parts).scaleb(-_RATIO_DECIMALS).normalize()
    total = sum(shares.values(), Decimal(0))
    if total > 1:
        raise BudgetConfigError(
            f"adds up to {total}, allowed is at most 1; leave a value out, it may then use all of "
            "the budget, or write a second budget",
            key=key,
        )
    return MappingProxyType(shares)


def _units(value: object, decimals: int, most: int) -> int | None:
    """A number from 0 in units of its last decimal; None where it is none, or too fine."""
    exact = number(value)
    if exact is None or not 0 <= exact <= most:
        return None
    try:
        units = exact.scaleb(decimals, _EXACT)
    except ArithmeticError:
        return None
    return int(units) if units == units.to_integral_value(context=_EXACT) else None
