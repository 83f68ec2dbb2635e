"""Spans as Arize Phoenix gives them out: its REST API, its GraphQL API, rows of its dataframes.

Source: arize-phoenix-client 3.5.0 (`Span` of the API, helpers/spans), Arize-ai/phoenix
trace/trace_dataset.py (columns), read 2026-11. Phoenix keeps neither scope nor resource.
"""

from otelbudget.genai import dialects, semconv
from otelbudget.ingest.fields import (
    Object,
    as_object,
    as_objects,
    dotted,
    pick,
    status_code,
    string,
    unix_ns_of_any_unit,
)
from otelbudget.ingest.records import Event, ResourceSpans, ScopeSpans, Span, Status

_SPAN_KIND = ("span_kind", "spanKind")
_COLUMN_PREFIX = "attributes."
_TOKENS = {"input": "tokenCountPrompt", "output": "tokenCountCompletion"}
INDEX = "context.span_id"


def is_span(value: Object) -> bool:
    """Whether an object is a span of Phoenix, or a row of a dataframe of its spans."""
    if "context.trace_id" in value:
        return not isinstance(value["context.trace_id"], dict | list)
    return isinstance(pick(value, _SPAN_KIND), str) and isinstance(value.get("context"), dict)


def records(value: Object) -> list[ResourceSpans]:
    """The record of one span."""
    context = as_object(value.get("context"))
    status = Status(
        status_code(pick(value, ("status_code", "statusCode"))),
        string(pick(value, ("status_message", "statusMessage"))),
    )
    span = Span(
        trace_id=string(
            value.get("context.trace_id") or pick(context, ("trace_id", "traceId")),
        ),
        span_id=string(value.get(INDEX) or pick(context, ("span_id", "spanId"))),
        name=string(value.get("name")),
        start_time_unix_nano=unix_ns_of_any_unit(pick(value, ("start_time", "startTime"))),
        end_time_unix_nano=unix_ns_of_any_unit(pick(value, ("end_time", "endTime"))),
        parent_span_id=string(pick(value, ("parent_id", "parentId"))),
        attributes=_attributes(value),
        events=[_event(event) for event in as_objects(value.get("events"))],
        status=status,
    )
    return [ResourceSpans([ScopeSpans([span])])]


def _attributes(value: Object) -> Object:
    """The attributes, flat: nested objects, JSON text, a column for each, or all of these."""
    columns = {
        key.removeprefix(_COLUMN_PREFIX): inner
        for key, inner in value.items()
        if key.startswith(_COLUMN_PREFIX)
    }
    found = dotted(as_object(value.get("attributes")) | columns)
    for field, key in _TOKENS.items():
        if value.get(key) is not None:
            found.setdefault(_openinference(field), value[key])
    kind = string(pick(value, _SPAN_KIND))
    if kind.upper() not in dialects.UNNAMED:
        found.setdefault(semconv.SPAN_KIND_OPENINFERENCE, kind.upper())
    return found


def _openinference(field: str) -> str:
    """The attribute in which OpenInference tells a token count."""
    return next(key for key in dialects.FIELDS[field] if "token_count" in key)


def _event(value: Object) -> Event:
    attributes = as_object(value.get("attributes"))
    if message := value.get("message"):
        attributes = attributes | {"message": message}
    return Event(string(value.get("name")), unix_ns_of_any_unit(value.get("timestamp")), attributes)
