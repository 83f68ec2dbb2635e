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
_BASE64_ID = re.compile(r"([\w+/-]{11}|[\w+/-]{22})={0,2}", re.ASCII)
_BARE_BASE64 = re.compile(r"(?=.*[A-Z])[A-Za-z0-9+/]+")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ISO_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9})\d*)? ?(Z|UTC|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII,
)
_NS_PER_SECOND = 1_000_000_000
_NS_PER_US = 1_000
# What a unix time counts, by its size: the bounds are the years 1973 and 5138 in each unit.
_UNITS = ((10**11, _NS_PER_SECOND), (10**14, 1_000_000), (10**17, _NS_PER_US))
_MAX_TIME = 10**20
_OLDEST_SECONDS = 946_684_800  # the year 2000, before which nothing was traced
_MAX_DEPTH = 32
Object = dict[str, Any]
_MAX_DIGITS = 40  # no whole number in a trace is longer; Python refuses to read 5000
_WHOLE_NUMBER = re.compile(r"[+-]?\d+", re.ASCII)
_NAME_END = re.compile(r"[._]")
_KINDS = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
_STATUS_CODES = ("UNSET", "OK", "ERROR")


def hex_id(text: str, digits: int = 16) -> str:
    """An id as lower-case hex: base64 of 8 or 16 bytes converted, the dashes of a UUID dropped.

    An id that is neither stays as it is, in lower case; one that is all zero is "".

    Args:
        text: The id.
        digits: How many an id of its kind has, for one with "0x" and without leading zeros.
    """
    if len(text) not in _HEX_LENGTHS or text[1] in "xX":
        text = _from_base64(text) or _unmarked(text, digits)
    return text.lower() if text.strip("0") else ""


def _unmarked(text: str, digits: int) -> str:
    if text[:2] in {"0x", "0X"}:
        return text[2:].rjust(digits, "0")
    return text.replace("-", "") if _UUID.fullmatch(text) else text


def _from_base64(text: str) -> str | None:
    """The bytes of an id as hex; without padding only of what looks like no one's own name."""
    found = _BASE64_ID.fullmatch(text)
    if not found or not (text.endswith("=") or _BARE_BASE64.fullmatch(text)):
        return None
    given = found[1].replace("-", "+").replace("_", "/")
    try:
        decoded = base64.b64decode(given + "=" * (-len(given) % 4), validate=True)
    except binascii.Error:
        return None
    is_whole = base64.b64encode(decoded).decode().rstrip("=") == given
    return decoded.hex() if is_whole else None


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
    if not number.is_finite() or abs(number) > _MAX_TIME:
        return UNREADABLE_TIME
    return int(number * next((ns for bound, ns in _UNITS if number < bound), 1))


def unix_ns_by_size(value: object) -> int:
    """As `unix_ns_of_any_unit`, but what would be before the year 2000 counts nanoseconds."""
    try:
        is_recent = isinstance(value, int | float | str) and float(value) >= _OLDEST_SECONDS
    except (ValueError, OverflowError):
        is_recent = False
    return unix_ns_of_any_unit(value) if is_recent else unix_ns(value)


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
        case {"low": int(low), "high": int(high)}:  # two halves of 64 bits, of JavaScript
            return (high << 32) + (low & 0xFFFFFFFF)
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
