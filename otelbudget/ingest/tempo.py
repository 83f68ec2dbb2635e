"""Results of a Tempo search: traces with the spans that matched, and of these what was selected.

Source: Grafana Tempo HTTP API, /api/search. Ids are hex without leading zeros.
"""

from otelbudget.genai import semconv
from otelbudget.ingest import spellings
from otelbudget.ingest.fields import Object, as_object, as_objects, integer, string, unix_ns
from otelbudget.ingest.records import Resource, ResourceSpans, ScopeSpans, Span
from otelbudget.ingest.report import Reading

_MARKS = frozenset(("rootServiceName", "rootTraceName", "spanSet", "spanSets"))
_TRACE_ID_DIGITS = 32
_SPAN_ID_DIGITS = 16


def is_search(value: Object) -> bool:
    """Whether an object is what Tempo's search answers."""
    traces = as_objects(value.get("traces"))
    return any("traceID" in trace and not _MARKS.isdisjoint(trace) for trace in traces[:1])


def records(value: Object, reading: Reading) -> list[ResourceSpans]:
    """The records of the spans that matched; the warning says what they lack."""
    found = [
        _record(trace, span)
        for trace in as_objects(value.get("traces"))
        for span_set in (*as_objects(trace.get("spanSets")), as_object(trace.get("spanSet")))
        for span in as_objects(span_set.get("spans"))
    ]
    remedy = "fetch each trace whole, with /api/traces/TRACE_ID"
    if not found:
        reading.unreadable("search_result", f"is a Tempo search result without spans; {remedy}")
        return []
    reading.warn(
        "search_result",
        "is a Tempo search result: of each span only what the search selected, without its "
        f"parent, so that calls may be missing or counted twice; {remedy}",
        len(found),
    )
    # A span that matched is in "spanSet" and, in newer versions, in "spanSets" again.
    return list({_ids(group): group for group in found}.values())


def _ids(group: ResourceSpans) -> tuple[str, str]:
    span = group.scope_spans[0].spans[0]
    return span.trace_id, span.span_id


def _record(trace: Object, value: Object) -> ResourceSpans:
    start = unix_ns(value.get("startTimeUnixNano"))
    span = Span(
        trace_id=string(trace.get("traceID")).rjust(_TRACE_ID_DIGITS, "0"),
        span_id=string(value.get("spanID")).rjust(_SPAN_ID_DIGITS, "0"),
        name=string(value.get("name")),
        start_time_unix_nano=start,
        end_time_unix_nano=start + (integer(value.get("durationNanos")) or 0),
        attributes=spellings.attributes(value.get("attributes")),
    )
    name = trace.get("rootServiceName")
    resource = Resource({semconv.SERVICE_NAME: string(name)} if name else {})
    return ResourceSpans([ScopeSpans([span])], resource)
