"""Spans of Datadog's tracers: decimal ids, text in `meta`, numbers in `metrics`.

Source: Datadog trace agent API v0.4 (`DataDog/datadog-agent` pkg/proto/datadog/trace/span.proto),
read 2026-11.
"""

from otelbudget.genai import semconv
from otelbudget.ingest import tags
from otelbudget.ingest.fields import Object, as_object, integer, string
from otelbudget.ingest.records import Resource, ResourceSpans, ScopeSpans, Span, Status

_UPPER_TRACE_ID = "_dd.p.tid"
_ERROR = 2


def is_span(value: Object) -> bool:
    """Whether an object is a span of Datadog's tracers."""
    return (
        isinstance(value.get("trace_id"), int)
        and isinstance(value.get("span_id"), int)
        and "resource" in value
        and isinstance(value.get("meta"), dict)
    )


def records(value: Object) -> list[ResourceSpans]:
    """The record of one span; times are nanoseconds."""
    found = as_object(value.get("metrics")) | as_object(value.get("meta"))
    start = integer(value.get("start")) or 0
    parent = integer(value.get("parent_id")) or 0
    message = tags.status(found).message or string(found.get("error.message"))
    span = Span(
        trace_id=string(found.get(_UPPER_TRACE_ID)) + f"{value['trace_id']:016x}",
        span_id=f"{value['span_id']:016x}",
        name=string(value.get("resource") or value.get("name")),
        start_time_unix_nano=start,
        end_time_unix_nano=start + (integer(value.get("duration")) or 0),
        parent_span_id=f"{parent:016x}" if parent else "",
        kind=tags.kind(found),
        attributes=found,
        status=Status(_ERROR if value.get("error") else 0, message),
    )
    name = value.get("service")
    resource = Resource({semconv.SERVICE_NAME: string(name)} if name else {})
    return [ResourceSpans([ScopeSpans([span])], resource)]
