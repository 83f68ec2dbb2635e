"""A span spelled as any tool spells it: OTLP with other keys, SDK dumps, JavaScript spans.

Each function takes one decoded JSON object and makes the OTLP record of it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from otelbudget.genai import semconv
from otelbudget.ingest.fields import integer, span_kind, status_code, string, unix_ns
from otelbudget.ingest.records import (
    Event,
    InstrumentationScope,
    Link,
    Resource,
    ResourceSpans,
    ScopeSpans,
    Span,
    Status,
)

Object = dict[str, Any]

_CONTEXT = ("context", "spanContext", "span_context")
_TRACE_ID = ("traceId", "trace_id", "traceID")
_SPAN_ID = ("spanId", "span_id", "spanID")
_PARENT = ("parentSpanId", "parent_span_id", "parentSpanContext", "parent_id", "parentId", "parent")
_NAME = ("name", "spanName", "span_name", "operationName")
_START = ("startTimeUnixNano", "start_time_unix_nano", "start_time", "startTime", "start")
_END = ("endTimeUnixNano", "end_time_unix_nano", "end_time", "endTime", "end")
_DURATION_NS = ("durationInNanos", "durationNano", "duration_nano", "duration_ns")
_EVENTS = ("events", "span_events")
_EVENT_NAME = ("name", "event_name", "eventName")
_EVENT_TIME = ("timeUnixNano", "time_unix_nano", "timestamp", "time")
_STATUS_CODE = ("code", "status_code", "statusCode")
_STATUS_MESSAGE = ("message", "description")
_TRACE_STATE = ("traceState", "trace_state")
_SCOPE = (
    "scope",
    "instrumentationScope",
    "instrumentation_scope",
    "instrumentationLibrary",
    "instrumentation_library",
    "instrumentation_info",
)
_SCOPE_NAME = ("scopeName", "scope_name")
_SERVICE_NAME = ("serviceName", "service_name")
_SCHEMA_URL = ("schemaUrl", "schema_url")
_RESOURCE_SPANS = ("resourceSpans", "resource_spans", "batches")
SCOPE_SPANS = (
    "scopeSpans",
    "scope_spans",
    "instrumentationLibrarySpans",
    "instrumentation_library_spans",
)


def is_span(value: Object) -> bool:
    """Whether an object can be read as one span: it has a name, and an id, a time or attributes."""
    is_identified = _pick(value, _SPAN_ID) is not None or any(
        isinstance(value.get(key), dict) for key in _CONTEXT
    )
    is_timed = _pick(value, _START) is not None
    if not isinstance(_pick(value, _NAME), str):
        return is_identified and is_timed
    return is_identified or is_timed or "attributes" in value


def resource_spans(value: Object) -> list[ResourceSpans]:
    """The records of an OTLP export."""
    return [one_resource(group) for group in _objects(_pick(value, _RESOURCE_SPANS))]


def one_resource(value: Object) -> ResourceSpans:
    """The record of an OTLP ResourceSpans message."""
    return ResourceSpans(
        resource=_resource(value),
        scope_spans=[
            ScopeSpans(
                scope=_scope(part),
                schema_url=string(_pick(part, _SCHEMA_URL)),
                spans=[span(record) for record in _objects(part.get("spans"))],
            )
            for key in SCOPE_SPANS
            for part in _objects(value.get(key))
        ],
        schema_url=string(_pick(value, _SCHEMA_URL)),
    )


def single_span(value: Object) -> ResourceSpans:
    """The record of a span that carries its own resource and scope."""
    scope = _pick(value, _SCOPE)
    resource = value.get("resource")
    part = ScopeSpans(
        scope=_scope(value),
        schema_url=string(_pick(_object(scope), _SCHEMA_URL)),
        spans=[span(value)],
    )
    return ResourceSpans(
        resource=_resource(value),
        scope_spans=[part],
        schema_url=string(_pick(_object(resource), _SCHEMA_URL)),
    )


def span(value: Object) -> Span:
    """The record of one span."""
    context = _object(_pick(value, _CONTEXT))
    status = value.get("status")
    start = unix_ns(_pick(value, _START))
    return Span(
        trace_id=string(_pick(value, _TRACE_ID) or _pick(context, _TRACE_ID)),
        span_id=string(_pick(value, _SPAN_ID) or _pick(context, _SPAN_ID)),
        parent_span_id=_parent(_pick(value, _PARENT)),
        trace_state=_trace_state(_pick(value, _TRACE_STATE) or _pick(context, _TRACE_STATE)),
        flags=_flags(value),
        name=string(_pick(value, _NAME)),
        kind=_kind(value),
        start_time_unix_nano=start,
        end_time_unix_nano=unix_ns(_pick(value, _END)) or _end_by_duration(start, value),
        attributes=attributes(value.get("attributes")),
        dropped_attributes_count=_count(value, "attributes"),
        events=[_event(event) for event in _objects(_pick(value, _EVENTS))],
        dropped_events_count=_count(value, "events"),
        links=[_link(link) for link in _objects(value.get("links"))],
        dropped_links_count=_count(value, "links"),
        status=_status(status),
    )


def attributes(value: object) -> dict[str, Any]:
    """Attributes given as an object, or as a list of OTLP KeyValue objects."""
    if isinstance(value, dict):
        return value
    return {string(item.get("key")): _any_value(item.get("value")) for item in _objects(value)}


def _any_value(value: object) -> Any:
    """The plain value of an OTLP AnyValue object; anything else is a plain value already."""
    if not isinstance(value, dict):
        return value
    for key, inner in value.items():
        if inner is not None and (read := _VALUES.get(key)):
            return read(inner)
    return None


def _itself(value: object) -> object:
    return value


def _integer(value: object) -> object:
    number = integer(value)
    return value if number is None else number


def _double(value: object) -> object:
    try:
        return float(value) if isinstance(value, str | int | float) else value
    except (ValueError, OverflowError):
        return value


def _array(value: object) -> list[Any]:
    items = _object(value).get("values")
    return [_any_value(item) for item in items] if isinstance(items, list) else []


def _map(value: object) -> dict[str, Any]:
    return attributes(_object(value).get("values"))


def _bytes(value: object) -> dict[str, Any]:
    return {"bytesValue": value}


_VALUES: Mapping[str, Callable[[object], Any]] = {
    "stringValue": _itself,
    "string_value": _itself,
    "boolValue": _itself,
    "bool_value": _itself,
    "intValue": _integer,
    "int_value": _integer,
    "doubleValue": _double,
    "double_value": _double,
    "arrayValue": _array,
    "array_value": _array,
    "kvlistValue": _map,
    "kvlist_value": _map,
    "bytesValue": _bytes,
    "bytes_value": _bytes,
}


def _event(value: Object) -> Event:
    return Event(
        name=string(_pick(value, _EVENT_NAME)),
        time_unix_nano=unix_ns(_pick(value, _EVENT_TIME)),
        attributes=attributes(value.get("attributes")),
        dropped_attributes_count=_count(value, "attributes"),
    )


def _link(value: Object) -> Link:
    context = _object(_pick(value, _CONTEXT))
    return Link(
        trace_id=string(_pick(value, _TRACE_ID) or _pick(context, _TRACE_ID)),
        span_id=string(_pick(value, _SPAN_ID) or _pick(context, _SPAN_ID)),
        trace_state=_trace_state(_pick(value, _TRACE_STATE) or _pick(context, _TRACE_STATE)),
        attributes=attributes(value.get("attributes")),
        dropped_attributes_count=_count(value, "attributes"),
        flags=_flags(value),
    )


def _status(value: object) -> Status:
    if isinstance(value, dict):
        message = string(_pick(value, _STATUS_MESSAGE))
        return Status(status_code(_pick(value, _STATUS_CODE)), message)
    return Status(status_code(value))


def _resource(value: Object) -> Resource:
    record = _object(value.get("resource"))
    found = attributes(record.get("attributes"))
    service_name = _pick(value, _SERVICE_NAME)
    if service_name is not None:
        found.setdefault(semconv.SERVICE_NAME, string(service_name))
    return Resource(found, _count(record, "attributes"))


def _scope(value: Object) -> InstrumentationScope:
    record = _object(_pick(value, _SCOPE))
    return InstrumentationScope(
        name=string(record.get("name") or _pick(value, _SCOPE_NAME)),
        version=string(record.get("version")),
        attributes=attributes(record.get("attributes")),
        dropped_attributes_count=_count(record, "attributes"),
    )


def _kind(value: Object) -> int:
    """The kind; the JavaScript SDK counts from INTERNAL = 0, OTLP from INTERNAL = 1."""
    kind = value.get("kind")
    return span_kind(kind + 1 if "spanContext" in value and type(kind) is int else kind)


def _parent(value: object) -> str:
    return string(_pick(value, _SPAN_ID) if isinstance(value, dict) else value)


def _trace_state(value: object) -> str:
    """The trace state; the Python SDK writes an empty one as "[]"."""
    return value if isinstance(value, str) and value != "[]" else ""


def _flags(value: Object) -> int | None:
    return integer(value.get("flags"))


def _end_by_duration(start: int, value: Object) -> int:
    duration = integer(_pick(value, _DURATION_NS)) or 0
    return start + duration if start > 0 and duration > 0 else 0


def _count(value: Object, what: str) -> int:
    keys = (f"dropped{what.capitalize()}Count", f"dropped_{what}_count", f"dropped_{what}")
    return integer(_pick(value, keys)) or 0


def _pick(value: Object, keys: Iterable[str]) -> Any:
    """The first of the keys that is there and not null."""
    for key in keys:
        found = value.get(key)
        if found is not None:
            return found
    return None


def _object(value: object) -> Object:
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> Sequence[Object]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else ()
