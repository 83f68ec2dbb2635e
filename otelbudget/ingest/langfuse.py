"""Langfuse observations: the API's and the user interface's JSON, blob storage exports.

Source: langfuse.com, blob storage export field reference; langfuse/langfuse traces in
worker/src/__tests__/chatml/framework-traces; read 2026-11. They become the attributes that
Langfuse's own SDK writes; `usage_details` holds disjoint buckets (see `dialects.BUCKETS`).
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from otelbudget.genai import dialects, semconv
from otelbudget.ingest import spellings
from otelbudget.ingest.fields import (
    Object,
    as_object,
    as_objects,
    dotted,
    pick,
    string,
    unix_ns_of_any_unit,
)
from otelbudget.ingest.records import (
    InstrumentationScope,
    Resource,
    ResourceSpans,
    ScopeSpans,
    Span,
    Status,
)
from otelbudget.ingest.report import Reading

_TYPES = frozenset(
    (
        "span",
        "generation",
        "event",
        "agent",
        "tool",
        "chain",
        "retriever",
        "evaluator",
        "embedding",
        "guardrail",
    )
)
_MARKS = frozenset(
    (
        "parentObservationId",
        "parent_observation_id",
        "projectId",
        "project_id",
        "level",
        "usageDetails",
        "usage_details",
    )
)
_TRACE_ID = ("traceId", "trace_id")
_START = ("startTime", "start_time")
_END = ("endTime", "end_time")
_PARENT = ("parentObservationId", "parent_observation_id")
_STATUS_MESSAGE = ("statusMessage", "status_message")
_USAGE = ("usageDetails", "usage_details", "usage")
_COST = ("costDetails", "cost_details")
_TOTAL_COST = ("totalCost", "calculatedTotalCost", "total_cost", "calculated_total_cost")
_MODEL = ("providedModelName", "provided_model_name", "model")
_LEGACY_COUNTS = {
    "input": ("inputUsage", "promptTokens", "prompt_tokens"),
    "output": ("outputUsage", "completionTokens", "completion_tokens"),
    "total": ("totalUsage", "totalTokens", "total_tokens"),
}
_OLD_KEYS = {"promptTokens": "input", "completionTokens": "output", "totalTokens": "total"}
_NO_COUNTS = frozenset(("unit", "inputCost", "outputCost", "totalCost"))
_TOKENS = (None, "", "TOKENS")
_OF_TRACES = frozenset(("bookmarked", "public", "tags", "timestamp"))
_METADATA = "langfuse.observation.metadata."
_OF_OTEL = ("attributes", "resourceAttributes", "scope")
_NAMED_BY_THE_SPAN = {"tool": semconv.TOOL_NAME, "agent": semconv.AGENT_NAME}
_ERROR = 2


def _named(field: str) -> str:
    """The attribute in which Langfuse's SDK writes a field."""
    return next(key for key in dialects.FIELDS[field] if key.startswith("langfuse."))


_NAMES = {
    _named("request_model"): _MODEL,
    _named("user"): ("userId", "user_id"),
    _named("conversation"): ("sessionId", "session_id"),
    "langfuse.trace.name": ("traceName", "trace_name"),
    "langfuse.environment": ("environment",),
    "langfuse.release": ("release",),
    "langfuse.version": ("version",),
}
_OF_THE_TRACE = {
    "userId": ("userId", "user_id"),
    "sessionId": ("sessionId", "session_id"),
    "traceName": ("name",),
    "release": ("release",),
    "environment": ("environment",),
}


def is_export(value: Object) -> bool:
    """Whether an object is an observation, or a trace that holds its observations."""
    return _is_observation(value) or any(map(_is_observation, _observations(value)[:1]))


def is_bare_trace(value: Object) -> bool:
    """Whether an object is a trace of Langfuse without its observations."""
    return "id" in value and value.keys() >= _OF_TRACES


def records(value: Object, reading: Reading) -> list[ResourceSpans]:
    """The records of an observation, or of those of a trace."""
    if _is_observation(value):
        return [_record(value, reading)]
    trace = as_object(value.get("trace")) or value
    shared = {key: found for key, keys in _OF_THE_TRACE.items() if (found := pick(trace, keys))}
    shared["traceId"] = trace.get("id")
    return [
        _record(shared | {key: own for key, own in one.items() if own is not None}, reading)
        for one in _observations(value)
    ]


def _is_observation(value: Object) -> bool:
    return (
        string(value.get("type")).lower() in _TYPES
        and "id" in value
        and pick(value, _START) is not None
        and not _MARKS.isdisjoint(value)
    )


def _observations(value: Object) -> list[Object]:
    """What a trace holds; beside the trace they are more complete than within it."""
    return list(
        as_objects(value.get("observations"))
        or as_objects(as_object(value.get("trace")).get("observations"))
    )


def _record(value: Object, reading: Reading) -> ResourceSpans:
    metadata = as_object(value.get("metadata"))
    of_otel = {key: as_object(metadata.get(key)) for key in _OF_OTEL}
    start, end = (unix_ns_of_any_unit(pick(value, keys)) for keys in (_START, _END))
    name = string(value.get("name"))
    is_event = string(value.get("type")).lower() == "event"
    is_error = string(value.get("level")).upper() == "ERROR"
    span = Span(
        trace_id=string(pick(value, _TRACE_ID)),
        span_id=string(value.get("id")),
        name=name,
        start_time_unix_nano=start,
        end_time_unix_nano=start if is_event and not end else end,
        parent_span_id=string(pick(value, _PARENT)),
        attributes=of_otel["attributes"] | dict(_attributes(value, metadata, reading)),
        status=Status(_ERROR if is_error else 0, string(pick(value, _STATUS_MESSAGE))),
    )
    scope = InstrumentationScope(
        string(of_otel["scope"].get("name")),
        string(of_otel["scope"].get("version")),
        spellings.attributes(of_otel["scope"].get("attributes")),
    )
    return ResourceSpans([ScopeSpans([span], scope)], Resource(of_otel["resourceAttributes"]))


def _attributes(value: Object, metadata: Object, reading: Reading) -> Iterator[tuple[str, Any]]:
    kind = string(value.get("type")).lower()
    yield _named("operation"), kind
    for key, keys in _NAMES.items():
        if found := pick(value, keys):
            yield key, found
    if kind in _NAMED_BY_THE_SPAN:
        operation = dialects.OPERATION_ALIASES[kind]
        yield _NAMED_BY_THE_SPAN[kind], string(value.get("name")).removeprefix(f"{operation} ")
    if usage := _usage(value, reading):
        yield _named("usage_document"), _text(usage)
    if cost := _cost(value):
        yield _named("cost_document"), _text(cost)
    for key, inner in dotted(metadata).items():
        if key.partition(".")[0] not in _OF_OTEL:
            yield _METADATA + key, inner


def _usage(value: Object, reading: Reading) -> Object:
    """The buckets of tokens; of what came before them, `usage` and counts of their own."""
    usage = next((found for key in _USAGE if (found := as_object(value.get(key)))), {})
    if usage.get("unit") not in _TOKENS:
        reading.warn("other_units", f"counts {usage['unit']}, which are no tokens: not read")
        return {}
    counts = {
        _OLD_KEYS.get(key, key): count
        for key, count in usage.items()
        if key not in _NO_COUNTS and count
    }
    if counts:
        return counts
    return {field: count for field, keys in _LEGACY_COUNTS.items() if (count := pick(value, keys))}


def _cost(value: Object) -> Object:
    if cost := next((found for key in _COST if (found := as_object(value.get(key)))), None):
        return cost
    total = string(pick(value, _TOTAL_COST))
    return {"total": total} if total.strip("0.") else {}


def _text(value: Object) -> str:
    return msgspec.json.encode(value).decode()
