"""A span spelled as any tool spells it: OTLP with other keys, SDK dumps, JavaScript spans.

Each function takes one decoded JSON object and makes the OTLP record of it.
"""

from collections.abc import Callable, Mapping
from typing import Any

from otelbudget.genai import semconv
from otelbudget.ingest.fields import (
    Object,
    as_object,
    as_objects,
    integer,
    pick,
    span_kind,
    status_code,
    string,
    unix_ns,
    unix_ns_by_size,
)
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

_CONTEXT = ("context", "spanContext", "_spanContext", "span_context")
_OF_JAVASCRIPT = ("spanContext", "_spanContext")
_TRACE_ID = ("traceId", "trace_id", "traceID")
_SPAN_ID = ("spanId", "span_id", "spanID")
_PARENT = ("parentSpanId", "parent_span_id", "parentSpanContext", "parent_id", "parentId", "parent")
_NAME = ("name", "spanName", "span_name", "operationName")
_START_NS = ("startTimeUnixNano", "start_time_unix_nano", "start_time_ns")
_START = (
    *_START_NS,
    "start_time",
    "startTime",
    "start_timestamp",
    "start",
)
_END_NS = ("endTimeUnixNano", "end_time_unix_nano", "end_time_ns")
_END = (
    *_END_NS,
    "end_time",
    "endTime",
    "end_timestamp",
    "end",
)
_DURATION_NS = ("durationInNanos", "durationNano", "duration_nano", "duration_ns")
_EVENTS = ("events", "span_events")
_EVENT_NAME = ("name", "event_name", "eventName")
_EVENT_TIME_NS = ("timeUnixNano", "time_unix_nano")
_EVENT_TIME = (*_EVENT_TIME_NS, "timestamp", "time")
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
_SCOPE_NAME = ("scopeName", "scope_name", "otel_scope_name")
_SCOPE_VERSION = ("scopeVersion", "scope_version")
_RESOURCE_ATTRIBUTES = ("attributes", "_rawAttributes", "_attributes")
_SERVICE_NAME = ("serviceName", "service_name")
_SCHEMA_URL = ("schemaUrl", "schema_url")
_RESOURCE_SPANS = ("resourceSpans", "resource_spans", "batches")
_DROPPED = {
    what: (f"dropped{what.capitalize()}Count", f"dropped_{what}_count", f"dropped_{what}")
    for what in ("attributes", "events", "links")
}
_PAIR = 2
SCOPE_SPANS = (
    "scopeSpans",
    "scope_spans",
    "instrumentationLibrarySpans",
    "instrumentation_library_spans",
)

READ_KEYS = frozenset(
    (
        *_CONTEXT,
        *_TRACE_ID,
        *_SPAN_ID,
        *_PARENT,
        *_NAME,
        *_START,
        *_END,
        *_EVENTS,
        *_SCOPE,
        "attributes",
        "links",
        "status",
        "resource",
        "resource_attributes",
        "scope_attributes",
    )
)


def is_span(value: Object) -> bool:
    """Whether an object can be read as one span: it has a name, and an id, a time or attributes."""
    is_identified = pick(value, _SPAN_ID) is not None or any(
        isinstance(value.get(key), dict) for key in _CONTEXT
    )
    is_timed = pick(value, _START) is not None
    if not isinstance(pick(value, _NAME), str):
        return is_identified and is_timed
    return is_identified or is_timed or "attributes" in value


def child_of(parent: Object, value: Object) -> Object:
    """A span below another one, with the ids that it leaves to be told by its place."""
    context = as_object(pick(parent, _CONTEXT))
    made = value
    if not pick(value, _PARENT):
        made = made | {_PARENT[0]: pick(parent, _SPAN_ID) or pick(context, _SPAN_ID)}
    if not (pick(value, _TRACE_ID) or pick(as_object(pick(value, _CONTEXT)), _TRACE_ID)):
        made = made | {_TRACE_ID[0]: pick(parent, _TRACE_ID) or pick(context, _TRACE_ID)}
    return made


def is_scope_spans(value: Object) -> bool:
    """Whether an object is an OTLP ScopeSpans message: spans beside their scope."""
    spans = as_objects(value.get("spans"))
    has_scope = any(isinstance(value.get(key), dict) for key in _SCOPE)
    return has_scope and any(map(is_span, spans[:1]))


def resource_spans(value: Object) -> list[ResourceSpans]:
    """The records of an OTLP export."""
    return [one_resource(group) for group in as_objects(pick(value, _RESOURCE_SPANS))]


def one_resource(value: Object) -> ResourceSpans:
    """The record of an OTLP ResourceSpans message."""
    return ResourceSpans(
        resource=_resource(value),
        scope_spans=[
            ScopeSpans(
                scope=_scope(part),
                schema_url=string(pick(part, _SCHEMA_URL)),
                spans=[span(record) for record in as_objects(part.get("spans"))],
            )
            for key in SCOPE_SPANS
            for part in as_objects(value.get(key))
        ],
        schema_url=string(pick(value, _SCHEMA_URL)),
    )


def single_span(value: Object) -> ResourceSpans:
    """The record of a span that carries its own resource and scope."""
    scope = pick(value, _SCOPE)
    resource = value.get("resource")
    part = ScopeSpans(
        scope=_scope(value),
        schema_url=string(pick(as_object(scope), _SCHEMA_URL) or value.get("scope_schema_url")),
        spans=[span(value)],
    )
    return ResourceSpans(
        resource=_resource(value),
        scope_spans=[part],
        schema_url=string(
            pick(as_object(resource), _SCHEMA_URL) or value.get("resource_schema_url")
        ),
    )


def span(value: Object) -> Span:
    """The record of one span."""
    context = as_object(pick(value, _CONTEXT))
    start = _time(value, _START_NS, _START)
    return Span(
        trace_id=string(pick(value, _TRACE_ID) or pick(context, _TRACE_ID)),
        span_id=string(pick(value, _SPAN_ID) or pick(context, _SPAN_ID)),
        parent_span_id=_parent(pick(value, _PARENT)),
        trace_state=_trace_state(pick(value, _TRACE_STATE) or pick(context, _TRACE_STATE)),
        flags=_flags(value),
        name=string(pick(value, _NAME)),
        kind=_kind(value),
        start_time_unix_nano=start,
        end_time_unix_nano=_time(value, _END_NS, _END) or _end_by_duration(start, value),
        attributes=attributes(value.get("attributes")),
        dropped_attributes_count=_count(value, "attributes"),
        events=[_event(event) for event in as_objects(pick(value, _EVENTS))],
        dropped_events_count=_count(value, "events"),
        links=[_link(link) for link in as_objects(value.get("links"))],
        dropped_links_count=_count(value, "links"),
        status=_status(value),
    )


def _time(value: Object, in_nanoseconds: tuple[str, ...], keys: tuple[str, ...]) -> int:
    """The time under one of the keys, in nanoseconds where its key says so, else by its size."""
    found = pick(value, in_nanoseconds)
    return unix_ns_by_size(pick(value, keys)) if found is None else unix_ns(found)


def attributes(value: object) -> dict[str, Any]:
    """Attributes given as an object, its JSON text, OTLP KeyValue objects, or pairs."""
    if isinstance(value, dict):
        return value
    if isinstance(value, str):
        return as_object(value)
    if isinstance(value, list) and value and isinstance(value[0], list):
        return {string(pair[0]): pair[1] for pair in value if len(pair) == _PAIR}
    return {string(item.get("key")): _any_value(item.get("value")) for item in as_objects(value)}


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
    items = as_object(value).get("values")
    return [_any_value(item) for item in items] if isinstance(items, list) else []


def _map(value: object) -> dict[str, Any]:
    return attributes(as_object(value).get("values"))


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
        name=string(pick(value, _EVENT_NAME)),
        time_unix_nano=_time(value, _EVENT_TIME_NS, _EVENT_TIME),
        attributes=attributes(value.get("attributes")),
        dropped_attributes_count=_count(value, "attributes"),
    )


def _link(value: Object) -> Link:
    context = as_object(pick(value, _CONTEXT))
    return Link(
        trace_id=string(pick(value, _TRACE_ID) or pick(context, _TRACE_ID)),
        span_id=string(pick(value, _SPAN_ID) or pick(context, _SPAN_ID)),
        trace_state=_trace_state(pick(value, _TRACE_STATE) or pick(context, _TRACE_STATE)),
        attributes=attributes(value.get("attributes")),
        dropped_attributes_count=_count(value, "attributes"),
        flags=_flags(value),
    )


def _status(value: Object) -> Status:
    """The status of a span, in an object of its own or beside the span's other fields."""
    status = value.get("status")
    if isinstance(status, dict):
        message = string(pick(status, _STATUS_MESSAGE))
        return Status(status_code(pick(status, _STATUS_CODE)), message)
    code = pick(value, ("status", *_STATUS_CODE[1:]))
    return Status(status_code(code), string(value.get("status_message")))


def _resource(value: Object) -> Resource:
    record = as_object(value.get("resource"))
    given = pick(record, _RESOURCE_ATTRIBUTES)
    if given is None:
        given = record if semconv.SERVICE_NAME in record else value.get("resource_attributes")
    found = attributes(given)
    service_name = pick(value, _SERVICE_NAME)
    if service_name is not None:
        found.setdefault(semconv.SERVICE_NAME, string(service_name))
    dropped = _count(record, "attributes") or value.get("resource_dropped_attributes_count")
    return Resource(found, integer(dropped) or 0)


def _scope(value: Object) -> InstrumentationScope:
    record = as_object(pick(value, _SCOPE))
    dropped = _count(record, "attributes") or value.get("scope_dropped_attributes_count")
    return InstrumentationScope(
        name=string(record.get("name") or pick(value, _SCOPE_NAME)),
        version=string(record.get("version") or pick(value, _SCOPE_VERSION)),
        attributes=attributes(pick(record, ("attributes",)) or value.get("scope_attributes")),
        dropped_attributes_count=integer(dropped) or 0,
    )


def _kind(value: Object) -> int:
    """The kind; the JavaScript SDK counts from INTERNAL = 0, OTLP from INTERNAL = 1."""
    kind = value.get("kind")
    if type(kind) is int and any(key in value for key in _OF_JAVASCRIPT):
        kind += 1
    return span_kind(kind)


def _parent(value: object) -> str:
    return string(pick(value, _SPAN_ID) if isinstance(value, dict) else value)


def _trace_state(value: object) -> str:
    """The trace state; the Python SDK writes an empty one as "[]"."""
    return value if isinstance(value, str) and value != "[]" else ""


def _flags(value: Object) -> int | None:
    return integer(value.get("flags"))


def _end_by_duration(start: int, value: Object) -> int:
    duration = integer(pick(value, _DURATION_NS)) or 0
    return start + duration if start > 0 and duration > 0 else 0


def _count(value: Object, what: str) -> int:
    return integer(pick(value, _DROPPED[what])) or 0
