"""Jaeger's query JSON: spans with tags, processes, microseconds and references."""

import re
from decimal import Decimal
from typing import Any

from otelbudget.genai import semconv
from otelbudget.ingest import tags
from otelbudget.ingest.fields import (
    Object,
    as_object,
    as_objects,
    hex_id,
    integer,
    ns_of_us,
    pick,
    string,
    unix_ns,
)
from otelbudget.ingest.records import (
    Event,
    Link,
    Resource,
    ResourceSpans,
    ScopeSpans,
    Span,
)

_NS_PER_SECOND = 10**9
_VALUES = ("value", "vStr", "vInt64", "vFloat64", "vBool", "vBinary")
_MARKS = {"tags": list, "tag": dict, "process": dict}
_TRACE_ID = ("traceID", "traceId")
_SPAN_ID = ("spanID", "spanId")
_PARENT = ("parentSpanID", "parentSpanId")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)s", re.ASCII)
_EVENT_NAME_FIELD = "event"


def is_trace(value: Object) -> bool:
    """Whether an object is a trace as Jaeger writes it."""
    spans = value.get("spans")
    if not isinstance(spans, list):
        return False
    return isinstance(value.get("processes"), dict) or any(
        isinstance(span, dict) and ("spanID" in span or is_span(span)) for span in spans[:1]
    )


def is_span(value: Object) -> bool:
    """Whether an object is a span of Jaeger by itself, as it stores it or streams it."""
    return isinstance(value.get("operationName"), str) and any(
        isinstance(value.get(key), kind) for key, kind in _MARKS.items()
    )


def span_records(value: Object) -> list[ResourceSpans]:
    """The record of a span by itself."""
    return records({"spans": [value]})


def records(value: Object) -> list[ResourceSpans]:
    """The records of one trace, one group for each span, in their order.

    The scope is in the tag `otel.scope.name`, which `rows` reads; tags stay attributes.
    """
    processes = value.get("processes")
    made = {
        key: _resource(process)
        for key, process in (processes.items() if isinstance(processes, dict) else ())
    }
    groups = []
    for record in as_objects(value.get("spans")):
        own = record.get("process")
        process = _resource(own) if own else made.get(string(record.get("processID")), Resource())
        groups.append(ResourceSpans([ScopeSpans([_span(record, value)])], process))
    return groups


def _resource(process: object) -> Resource:
    if not isinstance(process, dict):
        return Resource()
    found = _all_tags(process)
    if name := process.get("serviceName"):
        found[semconv.SERVICE_NAME] = string(name)
    return Resource(found)


def _span(record: Object, of_trace: Object) -> Span:
    found = _all_tags(record)
    start, duration = _time(record.get("startTime")), _duration(record.get("duration"))
    trace_id = string(pick(record, _TRACE_ID) or of_trace.get("traceID"))
    parent, links = _references(record, trace_id)
    return Span(
        trace_id=trace_id,
        span_id=string(pick(record, _SPAN_ID)),
        name=string(record.get("operationName")),
        start_time_unix_nano=start,
        end_time_unix_nano=start + duration if start else 0,
        parent_span_id=parent,
        trace_state=tags.trace_state(found),
        flags=integer(record.get("flags")),
        kind=tags.kind(found),
        attributes=found,
        dropped_attributes_count=tags.dropped(found, "attributes"),
        events=[_event(log) for log in as_objects(record.get("logs"))],
        dropped_events_count=tags.dropped(found, "events"),
        links=links,
        dropped_links_count=tags.dropped(found, "links"),
        status=tags.status(found),
    )


def _references(record: Object, trace_id: str) -> tuple[str, list[Link]]:
    """The parent's span id, "" for a root, and the other references as links.

    The parent is the first CHILD_OF reference within the trace, else the first FOLLOWS_FROM one:
    what follows its cause without being its child still belongs below it.
    """
    references = as_objects(record.get("references"))
    own = [
        reference
        for reference in references
        if hex_id(string(pick(reference, _TRACE_ID) or trace_id)) == hex_id(trace_id)
    ]
    parent = next((one for one in own if one.get("refType", "CHILD_OF") == "CHILD_OF"), None)
    parent = parent or next(iter(own), None)
    links = [
        Link(string(pick(reference, _TRACE_ID) or trace_id), string(pick(reference, _SPAN_ID)))
        for reference in references
        if reference is not parent
    ]
    parent_span_id = pick(record, _PARENT) if parent is None else pick(parent, _SPAN_ID)
    return string(parent_span_id), links


def _event(log: Object) -> Event:
    fields = _tags(log.get("fields"))
    name = fields.pop(_EVENT_NAME_FIELD, "")
    return Event(string(name), _time(log.get("timestamp")), fields)


def _time(value: object) -> int:
    """Nanoseconds of a time in microseconds, or of a text that names the day."""
    return unix_ns(value) if isinstance(value, str) and "-" in value else ns_of_us(value)


def _duration(value: object) -> int:
    """Nanoseconds of microseconds, or of a text such as "1.5s"."""
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    return int(Decimal(found[1]) * _NS_PER_SECOND) if found else ns_of_us(value)


def _all_tags(value: Object) -> dict[str, Any]:
    """The tags as a list and, in some stores, as an object with "@" for dots."""
    fields = as_object(value.get("tag"))
    return {key.replace("@", "."): one for key, one in fields.items()} | _tags(value.get("tags"))


def _tags(value: object) -> dict[str, Any]:
    return {string(tag.get("key")): _tag_value(tag) for tag in as_objects(value)}


def _tag_value(tag: Object) -> Any:
    value = pick(tag, _VALUES)
    if not isinstance(value, str):
        return value
    match string(pick(tag, ("type", "vType"))).lower():
        case "int64":
            number = integer(value)
            return value if number is None else number
        case "float64":
            try:
                return float(value)
            except ValueError:
                return value
        case "bool":
            return {"true": True, "false": False}.get(value, value)
        case _:
            return value
