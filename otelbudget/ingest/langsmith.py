"""LangSmith runs, as its API and its bulk export give them out.

Source: docs.langchain.com, run data format, and the RunSchema of its API, read 2026-11. A run of
another type repeats the counts of the model calls below it.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from otelbudget.genai import dialects, semconv
from otelbudget.ingest.fields import Object, as_object, pick, string, unix_ns_of_any_unit
from otelbudget.ingest.records import ResourceSpans, ScopeSpans, Span, Status

_OPERATIONS = {
    "llm": "chat",
    "embedding": semconv.EMBEDDINGS_OPERATION,
    "tool": semconv.EXECUTE_TOOL_OPERATION,
}
_MARKS = frozenset(("dotted_order", "parent_run_id", "trace_id", "parent_run_ids"))
_USAGE = {
    "input_tokens": "prompt_tokens",
    "output_tokens": "completion_tokens",
    "total_tokens": "total_tokens",
    "input_token_details": "prompt_token_details",
    "output_token_details": "completion_token_details",
}
_METADATA = "langsmith.metadata."
_ERROR = 2


def is_run(value: Object) -> bool:
    """Whether an object is a run."""
    return isinstance(value.get("run_type"), str) and not _MARKS.isdisjoint(value)


def records(value: Object) -> list[ResourceSpans]:
    """The record of one run."""
    error = value.get("error")
    span = Span(
        trace_id=_hex(value.get("trace_id") or value.get("id")),
        span_id=_hex(value.get("id")),
        name=string(value.get("name")),
        start_time_unix_nano=unix_ns_of_any_unit(value.get("start_time")),
        end_time_unix_nano=unix_ns_of_any_unit(value.get("end_time")),
        parent_span_id=_hex(value.get("parent_run_id")),
        attributes=dict(_attributes(value)),
        status=Status(_ERROR if error else 0, string(error)),
    )
    return [ResourceSpans([ScopeSpans([span])])]


def _hex(uuid: object) -> str:
    return string(uuid).replace("-", "")


def _attributes(value: Object) -> Iterator[tuple[str, Any]]:
    extra = as_object(value.get("extra"))
    metadata = as_object(extra.get("metadata")) or as_object(value.get("metadata"))
    parameters = as_object(extra.get("invocation_params"))
    run_type = string(value.get("run_type"))
    if operation := _OPERATIONS.get(run_type):
        yield semconv.OPERATION_NAME, operation
    if run_type == "tool":
        yield semconv.TOOL_NAME, string(value.get("name"))
    model = metadata.get("ls_model_name") or pick(parameters, ("model", "model_name"))
    if model:
        yield semconv.REQUEST_MODEL, model
    if provider := metadata.get("ls_provider"):
        yield semconv.PROVIDER_NAME, provider
    if usage := _usage(value):
        yield _named("usage_document"), msgspec.json.encode(usage).decode()
    cost = string(value.get("total_cost"))
    if cost.strip("0."):
        yield dialects.FIELDS["reported_cost"][0], cost
    for key, inner in metadata.items():
        yield _METADATA + key, inner


def _named(field: str) -> str:
    """The attribute in which LangSmith's own exporter writes a field."""
    return next(key for key in dialects.FIELDS[field] if key.startswith("langsmith."))


def _usage(value: Object) -> Object:
    """The counts of the run, else those that its outputs hold."""
    counts = {name: count for name, key in _USAGE.items() if (count := value.get(key))}
    return counts or as_object(as_object(value.get("outputs")).get("usage_metadata"))
