"""Spans of the OpenAI Agents SDK's own tracing, as its processors export them.

Source: openai-agents 0.24, `agents/tracing/span_data.py` and `spans.py`. A
"response" span names the response, and in most versions not its tokens.
"""

from collections.abc import Iterator
from typing import Any

from otelbudget.genai import semconv
from otelbudget.ingest.fields import Object, as_object, pick, string, unix_ns
from otelbudget.ingest.records import ResourceSpans, ScopeSpans, Span, Status

_OPERATIONS = {
    "generation": "chat",
    "response": "chat",
    "function": semconv.EXECUTE_TOOL_OPERATION,
    "agent": "invoke_agent",
}
_NAMES = {"agent": semconv.AGENT_NAME, "function": semconv.TOOL_NAME}
_COUNTS = {
    semconv.INPUT_TOKENS: ("input_tokens", "prompt_tokens"),
    semconv.OUTPUT_TOKENS: ("output_tokens", "completion_tokens"),
}
_DETAILS = {
    semconv.CACHE_READ_INPUT_TOKENS: (
        ("input_tokens_details", "prompt_tokens_details"),
        "cached_tokens",
    ),
    semconv.REASONING_OUTPUT_TOKENS: (
        ("output_tokens_details", "completion_tokens_details"),
        "reasoning_tokens",
    ),
}
_FIELDS = {semconv.REQUEST_MODEL: "model", semconv.RESPONSE_ID: "response_id"}
_OBJECTS = ("trace.span", "trace")
_ERROR = 2


def is_export(value: Object) -> bool:
    """Whether an object is a span or a trace; a trace holds no more than a name."""
    return value.get("object") in _OBJECTS and "id" in value


def records(value: Object) -> list[ResourceSpans]:
    """The record of a span; none of a trace, which is no span."""
    if value["object"] == "trace":
        return []
    found, error = as_object(value.get("span_data")), as_object(value.get("error"))
    span = Span(
        trace_id=string(value.get("trace_id")).removeprefix("trace_"),
        span_id=string(value.get("id")).removeprefix("span_"),
        name=string(found.get("name") or found.get("type")),
        start_time_unix_nano=unix_ns(value.get("started_at")),
        end_time_unix_nano=unix_ns(value.get("ended_at")),
        parent_span_id=string(value.get("parent_id")).removeprefix("span_"),
        attributes=dict(_attributes(found)),
        status=Status(_ERROR if error else 0, string(error.get("message"))),
    )
    return [ResourceSpans([ScopeSpans([span])])]


def _attributes(found: Object) -> Iterator[tuple[str, Any]]:
    kind, usage = string(found.get("type")), as_object(found.get("usage"))
    if kind in _OPERATIONS:
        yield semconv.OPERATION_NAME, _OPERATIONS[kind]
    if kind in _NAMES:
        yield _NAMES[kind], string(found.get("name"))
    for name, key in _FIELDS.items():
        if value := found.get(key):
            yield name, value
    yield from _counts(usage)


def _counts(usage: Object) -> Iterator[tuple[str, Any]]:
    for name, keys in _COUNTS.items():
        if (count := pick(usage, keys)) is not None:
            yield name, count
    for name, (keys, key) in _DETAILS.items():
        if count := as_object(pick(usage, keys)).get(key):
            yield name, count
