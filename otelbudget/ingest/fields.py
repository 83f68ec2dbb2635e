"""One form for what inputs spell in many ways: ids, times, kinds, status codes, attributes."""

import base64
import binascii
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from otelbudget.ingest.records import UNREADABLE_TIME

_HEX_LENGTHS = frozenset((16, 32))
_BASE64_LENGTHS = frozenset((12, 24))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ISO_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9})\d*)? ?(Z|UTC|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII,
)
_NS_PER_SECOND = 1_000_000_000
_NS_PER_US = 1_000
# What a unix time counts, by its size: the bounds are the years 1973 and 5138 in each unit.
_UNITS = ((10**11, _NS_PER_SECOND), (10**14, 1_000_000), (10**17, _NS_PER_US))
_MAX_DEPTH = 32
Object = dict[str, Any]
_MAX_DIGITS = 40  # no whole number in a trace is longer; Python refuses to read 5000
_WHOLE_NUMBER = re.compile(r"[+-]?\d+", re.ASCII)
_NAME_END = re.compile(r"[._]")
_KINDS = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
_STATUS_CODES = ("UNSET", "OK", "ERROR")


def hex_id(text: str) -> str:
    """An id as lower-case hex: "0x" taken off, base64 of 8 or 16 bytes converted.

    An id that is neither stays as it is, in lower case; one that is all zero is "".
    """
    if len(text) not in _HEX_LENGTHS:
        text = _from_base64(text) or text.removeprefix("0x").removeprefix("0X")
    return text.lower() if text.strip("0") else ""


def _from_base64(text: str) -> str | None:
    if len(text) not in _BASE64_LENGTHS or not text.endswith("="):
        return None
    try:
        return base64.b64decode(text, validate=True).hex()
    except binascii.Error:
        return None


def unix_ns(value: object) -> int:
    """A time in unix nanoseconds, exactly: 0 where there is none, `UNREADABLE_TIME` if unreadable.

    Args:
        value: Nanoseconds as a number or digits, an ISO 8601 time (UTC where it names no zone), or
            [seconds, nanoseconds].
    """
    match value:
        case None | "":
            return 0
        case datetime():
            return _datetime_ns(value)
        case str() if not value.isascii() or not value.isdigit():
            return _iso_ns(value)
        case [int() as seconds, int() as nanos]:
            return seconds * _NS_PER_SECOND + nanos
        case _:
            number = integer(value)
            return UNREADABLE_TIME if number is None else number


def unix_ns_of_any_unit(value: object) -> int:
    """As `unix_ns`, for inputs that do not say what their numbers count.

    A number is read as seconds, milli-, micro- or nanoseconds, whichever gives a time after 1973;
    the unit is plain from its size. Fractions are exact where they come as text.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return unix_ns(value)
    if isinstance(value, str) and "-" in value:
        return _iso_ns(value)
    try:
        number = Decimal(repr(value) if isinstance(value, float) else value)
    except InvalidOperation:
        return unix_ns(value)
    if not number.is_finite():
        return UNREADABLE_TIME
    return int(number * next((ns for bound, ns in _UNITS if number < bound), 1))


def ns_of_us(value: object) -> int:
    """Nanoseconds of microseconds; 0 for anything that is no number."""
    if isinstance(value, float) and math.isfinite(value):
        return int(Decimal(repr(value)) * _NS_PER_US)
    return (integer(value) or 0) * _NS_PER_US


def _datetime_ns(time: datetime) -> int:
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1) * _NS_PER_US


def _iso_ns(text: str) -> int:
    parts = _ISO_TIME.fullmatch(text.strip())
    if not parts:
        return UNREADABLE_TIME
    day, clock, fraction, zone = parts.groups()
    try:
        time = datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=_zone(zone))
    except ValueError:
        return UNREADABLE_TIME
    seconds = (time - _EPOCH) // timedelta(seconds=1)
    return seconds * _NS_PER_SECOND + int((fraction or "").ljust(9, "0"))


def _zone(text: str | None) -> timezone:
    if text is None or text in {"Z", "UTC"}:
        return UTC
    digits = text[1:].replace(":", "")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:] or 0))
    return timezone(-offset if text[0] == "-" else offset)


def span_kind(value: object) -> int:
    """The OTLP number of a span kind given as number, digits or a name such as "SpanKind.CLIENT".

    It is 0, unspecified, for anything else.
    """
    return _enum(value, _KINDS)


def status_code(value: object) -> int:
    """The OTLP number of a status code given as number, digits or a name such as "ERROR".

    It is 0, unset, for anything else.
    """
    return _enum(value, _STATUS_CODES)


def _enum(value: object, names: tuple[str, ...]) -> int:
    if type(value) is int:
        return value if 0 <= value < len(names) else 0
    number = integer(value)
    if number is None:
        name = _NAME_END.split(value.upper())[-1] if isinstance(value, str) else ""
        return names.index(name) if name in names else 0
    return number if 0 <= number < len(names) else 0


def integer(value: object) -> int | None:
    """A whole number given as a number or as digits; None for anything else."""
    match value:
        case bool():
            return None
        case int():
            return value
        case float() if value.is_integer():
            return int(value)
        case str() if len(value) <= _MAX_DIGITS and _WHOLE_NUMBER.fullmatch(value):
            return int(value)
        case _:
            return None


def string(value: object) -> str:
    """A text as it is, None as "", bytes as hex, anything else as Python writes it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.hex()
    return "" if value is None else str(value)


def pick(value: Object, keys: Iterable[str]) -> Any:
    """The first of the keys that is there and not null."""
    for key in keys:
        found = value.get(key)
        if found is not None:
            return found
    return None


def as_object(value: object) -> Object:
    """An object as it is, or from its JSON text; empty for anything else."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        value = _decoded(value)
    return value if isinstance(value, dict) else {}


def as_objects(value: object) -> Sequence[Object]:
    """The objects of a list, or of its JSON text; none for anything else."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = _decoded(value)
    if not isinstance(value, list | tuple):
        return ()
    return [item for item in value if isinstance(item, dict)]


def _decoded(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None


def dotted(value: Mapping[str, Any]) -> Object:
    """Nested objects as one, their keys joined by dots; nulls are left out.

    A key that is dotted already wins over the same one from within an object.
    """
    made = {
        key: inner for key, inner in value.items() if inner is not None and type(inner) is not dict
    }
    if len(made) == len(value):
        return made
    for key, inner in value.items():
        if isinstance(inner, dict):
            for path, leaf in _leaves(inner, key, _MAX_DEPTH) if inner else ((key, inner),):
                made.setdefault(path, leaf)
    return made


def _leaves(value: Mapping[str, Any], prefix: str, depth: int) -> Iterable[tuple[str, Any]]:
    for key, inner in value.items():
        path = f"{prefix}.{key}"
        if isinstance(inner, dict) and inner and depth:
            yield from _leaves(inner, path, depth - 1)
        elif inner is not None:
            yield path, inner
