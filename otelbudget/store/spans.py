"""One row per span: the columns of the `spans` table and the one function that fills them.

The exporter and every importer write through `span_row`, so a span looks the same whichever way
it came.
"""

import math
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from otelbudget.genai import dialects, semconv

MAX_TEXT_BYTES = 256
# NamedTuple's own constructor takes five times as long for so many fields.
_new_tuple = tuple.__new__
_MAX_MESSAGES = 256
_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_encode = msgspec.json.Encoder(order="deterministic").encode


class SpanRow(NamedTuple):
    """One span as a row of the `spans` table; the fields are its columns, in order.

    Attributes:
        trace_id: 32 lower-case hex digits (or the emitter's own id where it is no OTel id).
        span_id: 16 lower-case hex digits; unique within the trace only.
        parent_span_id: Span id of the parent, None for a root.
        trace_state: W3C trace state, None when empty.
        flags: OTLP span flags, None when not given.
        name: Span name.
        kind: 0 unspecified, 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
        start_time_unix_nano: Start, None where the input gives none.
        end_time_unix_nano: End, None while the span is open or where the input gives none.
        status_code: 0 unset, 1 ok, 2 error.
        status_message: Status description, None when empty.
        attributes: JSON object of the span's attributes.
        dropped_attributes_count: Attributes the emitter dropped.
        events: JSON array of {"name", "time_unix_nano", "attributes", "dropped_attributes_count"}.
        dropped_events_count: Events the emitter dropped.
        links: JSON array of {"trace_id", "span_id", "trace_state", "attributes",
            "dropped_attributes_count", "flags"}.
        dropped_links_count: Links the emitter dropped.
        scope_name: Name of the instrumentation scope, "" where the format has none.
        scope_version: Version of the scope, None when empty.
        scope_attributes: JSON object, None when empty.
        scope_dropped_attributes_count: Scope attributes the emitter dropped.
        scope_schema_url: Schema URL of the scope, None when empty.
        service_name: `service.name` of the resource, None when it has none.
        resource_attributes: JSON object of the resource's attributes.
        resource_dropped_attributes_count: Resource attributes the emitter dropped.
        resource_schema_url: Schema URL of the resource, None when empty.
    """

    trace_id: str
    span_id: str
    parent_span_id: str | None
    trace_state: str | None
    flags: int | None
    name: str
    kind: int
    start_time_unix_nano: int | None
    end_time_unix_nano: int | None
    status_code: int
    status_message: str | None
    attributes: str
    dropped_attributes_count: int
    events: str | None
    dropped_events_count: int
    links: str | None
    dropped_links_count: int
    scope_name: str
    scope_version: str | None
    scope_attributes: str | None
    scope_dropped_attributes_count: int
    scope_schema_url: str | None
    service_name: str | None
    resource_attributes: str
    resource_dropped_attributes_count: int
    resource_schema_url: str | None


class Resource(NamedTuple):
    """The resource columns of a row, made once for all spans of a resource.

    Attributes:
        service_name: `service.name`, None when it has none.
        attributes: JSON object.
        dropped_attributes_count: Resource attributes the emitter dropped.
        schema_url: Schema URL, None when empty.
    """

    service_name: str | None = None
    attributes: str = "{}"
    dropped_attributes_count: int = 0
    schema_url: str | None = None


class Scope(NamedTuple):
    """The instrumentation scope columns of a row, made once for all spans of a scope.

    Attributes:
        name: Name, "" where the format has none.
        version: Version, None when empty.
        attributes: JSON object, None when empty.
        dropped_attributes_count: Scope attributes the emitter dropped.
        schema_url: Schema URL, None when empty.
    """

    name: str = ""
    version: str | None = None
    attributes: str | None = None
    dropped_attributes_count: int = 0
    schema_url: str | None = None


NO_RESOURCE = Resource()
NO_SCOPE = Scope()


class Content:
    """What is stored of message content and of other long texts.

    By default neither is kept: a known content attribute, and any other value whose text is longer
    than 256 bytes, becomes {"bytes": size, "hash": keyed hash}; a list of input messages has such
    "parts" besides, one for each of the first 256. Equal texts have equal hashes within one store,
    and the key never leaves it.

    Args:
        key: Secret of the store, 16 to 64 bytes.
        keep: Keep everything as it came.
    """

    __slots__ = ("_keep", "_key", "_known")

    def __init__(self, key: bytes, *, keep: bool = False) -> None:
        self._key = key
        self._keep = keep
        self._known: dict[str, bool] = {}

    def attributes(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """The attributes as they are stored: JSON values, content replaced unless kept."""
        stored = {}
        known = self._known
        for key, value in attributes.items():
            kind = type(value)
            if kind is str and len(value) <= MAX_TEXT_BYTES and value.isascii():
                is_content = known.get(key)
                if is_content is None:
                    is_content = self._is_content(key)
                stored[key] = self._value(key, value) if is_content else value
            elif kind is int and _MIN_INTEGER <= value <= _MAX_INTEGER:
                stored[key] = value
            else:
                stored[key] = self._value(key, value)
        return stored

    def _value(self, key: str, value: Any) -> Any:
        value = _text(value) if type(value) is str else json_value(value)
        if self._keep or value is None or isinstance(value, (int, float)):
            return value
        text = value.encode() if isinstance(value, str) else _encode(value)
        if not self._is_content(key) and (len(text) <= MAX_TEXT_BYTES or _is_read(key)):
            return value
        stored = self._hashed(text)
        parts = _messages(text) if key == semconv.INPUT_MESSAGES else ()
        return {**stored, "parts": list(map(self._hashed, parts))} if parts else stored

    def _hashed(self, text: bytes | msgspec.Raw) -> dict[str, Any]:
        digest = blake2b(text, digest_size=16, key=self._key).hexdigest()
        return {"bytes": len(memoryview(text)), "hash": digest}

    def _is_content(self, key: str) -> bool:
        known = self._known.get(key)
        if known is None:
            known = not self._keep and key.startswith(semconv.CONTENT_PREFIXES)
            if len(self._known) < _MAX_KNOWN_KEYS:
                self._known[key] = known
        return known


def _messages(text: bytes) -> Sequence[msgspec.Raw]:
    """The first messages of a list of several, so that requests that begin alike can be told."""
    try:
        return _list(text)[:_MAX_MESSAGES] if text.startswith(b"[") else ()
    except msgspec.DecodeError:
        return ()


def _is_read(key: str) -> bool:
    """Whether what an attribute says is needed, however long it is."""
    return key in dialects.READ_KEYS or key.startswith(semconv.SCOPE_PREFIXES)


_MAX_KNOWN_KEYS = 4096
_MIN_INTEGER, _MAX_INTEGER = -(2**63), 2**64 - 1
_MAX_TIME_NS = 2**63 - 1
_MAX_DECIMAL_BITS = 4096


def json_value(value: Any) -> Any:
    """An attribute value as JSON can hold it.

    Non-finite floats become the strings "NaN", "Infinity" and "-Infinity" as in proto3 JSON, bytes
    become {"bytesValue": base64}, and characters that are no text are replaced.
    """
    match value:
        case None | bool():
            return value
        case int() | float():
            return _number(value)
        case list() | tuple():
            return [json_value(inner) for inner in value]
        case bytes() | bytearray():
            return {"bytesValue": msgspec.to_builtins(bytes(value))}
        case Mapping():
            return {_text(key): json_value(inner) for key, inner in value.items()}
        case _:
            return _text(value)


_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def _number(value: float) -> int | float | str:
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else _NOT_FINITE[str(float(value))]
    if _MIN_INTEGER <= value <= _MAX_INTEGER:
        return int(value)
    # Python refuses to write out integers of thousands of digits in decimal.
    return str(int(value)) if value.bit_length() <= _MAX_DECIMAL_BITS else hex(value)


def _text(value: Any) -> str:
    """A value as plain text; what is no character, such as half a surrogate pair, becomes "?"."""
    if type(value) is str and value.isascii():
        return value
    text = value if isinstance(value, str) else str(value)
    return text.encode(errors="replace").decode()


def _time(value: int | None) -> int | None:
    """A time that a store can hold; one outside 1970 to 2262 is unknown."""
    return value if value is None or 0 <= value <= _MAX_TIME_NS else None


def to_json(value: Any) -> str:
    """JSON text of a mapping or list whose values `json_value` made."""
    try:
        return _encode(value).decode()
    except UnicodeEncodeError:  # a key that is no text
        return _encode(json_value(value)).decode()


def resource(
    attributes: Mapping[str, Any],
    content: Content,
    *,
    dropped_attributes_count: int = 0,
    schema_url: str | None = None,
) -> Resource:
    """The resource columns from a resource's attributes."""
    service_name = attributes.get(semconv.SERVICE_NAME)
    return Resource(
        None if service_name is None else _text(service_name),
        to_json(content.attributes(attributes)),
        dropped_attributes_count,
        schema_url or None,
    )


def scope(
    name: str,
    version: str | None,
    attributes: Mapping[str, Any],
    content: Content,
    *,
    dropped_attributes_count: int = 0,
    schema_url: str | None = None,
) -> Scope:
    """The scope columns from an instrumentation scope."""
    stored = to_json(content.attributes(attributes)) if attributes else None
    version = _text(version) if version else None
    return Scope(_text(name), version, stored, dropped_attributes_count, schema_url or None)


def span_row(  # noqa: PLR0913, D417 - one argument for each field of an OTLP span
    content: Content,
    resource: Resource,
    scope: Scope,
    *,
    trace_id: str,
    span_id: str,
    parent_span_id: str | None,
    name: str,
    kind: int,
    start_time_unix_nano: int | None,
    end_time_unix_nano: int | None,
    attributes: Mapping[str, Any],
    status_code: int = 0,
    status_message: str | None = None,
    trace_state: str | None = None,
    flags: int | None = None,
    events: Sequence[Mapping[str, Any]] = (),
    links: Sequence[Mapping[str, Any]] = (),
    dropped_attributes_count: int = 0,
    dropped_events_count: int = 0,
    dropped_links_count: int = 0,
) -> SpanRow:
    """One span as a row; `SpanRow` says what each field means.

    Args:
        content: What is stored of long texts and message content.
        resource: From `resource`.
        scope: From `scope`.
        attributes: Decoded values: str, bool, int, float, bytes, None, lists and mappings of them.
        events: Mappings with "name", "time_unix_nano", "attributes" and, where not 0,
            "dropped_attributes_count".
        links: Mappings with "trace_id", "span_id", "attributes" and, where given, "trace_state",
            "flags" and "dropped_attributes_count".
    """
    fields = (
        trace_id,
        span_id,
        parent_span_id or None,
        trace_state or None,
        flags,
        _text(name),
        kind,
        _time(start_time_unix_nano),
        _time(end_time_unix_nano),
        status_code,
        _text(status_message) if status_message else None,
        to_json(content.attributes(attributes)),
        dropped_attributes_count,
        _parts(events, content),
        dropped_events_count,
        _parts(links, content),
        dropped_links_count,
        *scope,
        *resource,
    )
    return _new_tuple(SpanRow, fields)


def _parts(parts: Sequence[Mapping[str, Any]], content: Content) -> str | None:
    if not parts:
        return None
    stored = [
        {
            key: content.attributes(value) if key == "attributes" else json_value(value)
            for key, value in part.items()
        }
        for part in parts
    ]
    return to_json(stored)
