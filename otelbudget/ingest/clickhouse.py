"""Rows of the ClickHouse exporter's `otel_traces` table.

Source: open-telemetry/opentelemetry-collector-contrib exporter/clickhouseexporter
internal/sqltemplates/traces_table.sql and traces_json_table.sql, read 2026-11. In the first, maps
hold text only, so every number is text; in the second, keys with dots are nested objects, or have
%2E for each dot where `json_type_escape_dots_in_keys` is on.
"""

from collections.abc import Sequence
from itertools import zip_longest

from otelbudget.genai import semconv
from otelbudget.ingest import spellings
from otelbudget.ingest.fields import (
    Object,
    as_objects,
    dotted,
    integer,
    span_kind,
    status_code,
    string,
    unix_ns_of_any_unit,
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

_SPAN_COLUMNS = frozenset(("SpanName", "SpanAttributes", "ParentSpanId", "SpanKind"))
_OTHER_COLUMNS = frozenset(("LogAttributes", "SeverityText", "MetricName"))
_ESCAPED_DOT = "%2E"


def is_span(value: Object) -> bool:
    """Whether an object is a row of `otel_traces`, or some of its columns."""
    span_id = value.get("SpanId")
    is_table = span_id is None or isinstance(span_id, dict | list)
    return not is_table and not _SPAN_COLUMNS.isdisjoint(value)


def is_other(value: Object) -> bool:
    """Whether an object is a row of the exporter's tables of log records or metrics."""
    return not _OTHER_COLUMNS.isdisjoint(value) and not _SPAN_COLUMNS & value.keys()


def records(value: Object) -> list[ResourceSpans]:
    """The record of one row."""
    start = unix_ns_of_any_unit(value.get("Timestamp"))
    duration = integer(value.get("Duration")) or 0
    span = Span(
        trace_id=string(value.get("TraceId")),
        span_id=string(value.get("SpanId")),
        name=string(value.get("SpanName")),
        start_time_unix_nano=start,
        end_time_unix_nano=start + duration if start > 0 and "Duration" in value else 0,
        parent_span_id=string(value.get("ParentSpanId")),
        trace_state=string(value.get("TraceState")),
        kind=span_kind(value.get("SpanKind")),
        attributes=_attributes(value.get("SpanAttributes")),
        events=[_event(event) for event in _nested(value, "Events")],
        links=[_link(link) for link in _nested(value, "Links")],
        status=Status(status_code(value.get("StatusCode")), string(value.get("StatusMessage"))),
    )
    scope = InstrumentationScope(
        string(value.get("ScopeName")),
        string(value.get("ScopeVersion")),
        _attributes(value.get("ScopeAttributes")),
    )
    resource = _attributes(value.get("ResourceAttributes"))
    if name := value.get("ServiceName"):
        resource.setdefault(semconv.SERVICE_NAME, string(name))
    return [ResourceSpans([ScopeSpans([span], scope)], Resource(resource))]


def _attributes(value: object) -> Object:
    found = dotted(spellings.attributes(value))
    if any(_ESCAPED_DOT in key for key in found):
        return {key.replace(_ESCAPED_DOT, "."): inner for key, inner in found.items()}
    return found


def _nested(value: Object, name: str) -> Sequence[Object]:
    """The parts of a Nested column: a list of objects, or a list for each of their fields."""
    whole = value.get(name)
    if isinstance(whole, dict):
        fields = whole
    elif whole:
        return as_objects(whole)
    else:
        prefix = f"{name}."
        fields = {
            key.removeprefix(prefix): part
            for key, part in value.items()
            if key.startswith(prefix) and part
        }
    lists = {key: part for key, part in fields.items() if isinstance(part, list)}
    return [dict(zip(lists, row, strict=True)) for row in zip_longest(*lists.values())]


def _event(value: Object) -> Event:
    return Event(
        string(value.get("Name")),
        unix_ns_of_any_unit(value.get("Timestamp")),
        _attributes(value.get("Attributes")),
    )


def _link(value: Object) -> Link:
    return Link(
        string(value.get("TraceId")),
        string(value.get("SpanId")),
        string(value.get("TraceState")),
        _attributes(value.get("Attributes")),
    )
