"""Recorded runs as OTLP JSON, one object per line and trace.

Source: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding (1.9.0): camelCase keys,
hex ids, 64-bit integers as strings, enums as numbers.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import app
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanKind
from opentelemetry.util.types import AttributeValue

_KINDS = {
    SpanKind.INTERNAL: 1,
    SpanKind.SERVER: 2,
    SpanKind.CLIENT: 3,
    SpanKind.PRODUCER: 4,
    SpanKind.CONSUMER: 5,
}
_HAS_IS_REMOTE = 0x100
_HOSTS = {
    "openai": ("https", "api.openai.com", None),
    "anthropic": ("https", "api.anthropic.com", None),
    "ollama": ("http", "localhost", 11_434),
}
_FIRST_CHUNK_SHARE_PER_MILLE = 250


def line(recorded: app.RecordedRun) -> str:
    """One trace as one line, without its line end."""
    scopes: dict[InstrumentationScope, list[dict[str, Any]]] = {}
    for one in recorded.spans:
        scope = one.span.instrumentation_scope
        if scope is None:
            raise ValueError(f"span {one.span.name} has no scope")
        scopes.setdefault(scope, []).append(_span(one))
    resource = recorded.spans[0].span.resource
    resource_spans = {
        "resource": {"attributes": _attributes(resource.attributes)},
        "scopeSpans": [_scope_spans(scope, spans) for scope, spans in scopes.items()],
    }
    return json.dumps({"resourceSpans": [resource_spans]}, separators=(",", ":"))


def _scope_spans(scope: InstrumentationScope, spans: list[dict[str, Any]]) -> dict[str, Any]:
    group: dict[str, Any] = {
        "scope": {"name": scope.name, "version": scope.version or ""},
        "spans": spans,
    }
    return group | {"schemaUrl": scope.schema_url} if scope.schema_url else group


def _span(one: app.RecordedSpan) -> dict[str, Any]:
    span, context = one.span, one.span.get_span_context()
    if context is None or span.events or span.links:
        raise ValueError(f"span {span.name} has parts that this program does not write")
    encoded: dict[str, Any] = {
        "traceId": format(context.trace_id, "032x"),
        "spanId": format(context.span_id, "016x"),
    }
    if span.parent:
        encoded["parentSpanId"] = format(span.parent.span_id, "016x")
    return encoded | {
        "flags": _HAS_IS_REMOTE,
        "name": span.name,
        "kind": _KINDS[span.kind],
        "startTimeUnixNano": str(one.start_ns),
        "endTimeUnixNano": str(one.end_ns),
        "attributes": _attributes(_as_in_production(one)),
        "status": _status(span),
    }


def _status(span: ReadableSpan) -> dict[str, Any]:
    code = {"code": span.status.status_code.value} if span.status.status_code.value else {}
    return code | {"message": span.status.description} if span.status.description else code


def _as_in_production(one: app.RecordedSpan) -> dict[str, AttributeValue]:
    """Attributes with what depends on this machine replaced: address, port, measured time."""
    attributes = dict(one.span.attributes or {})
    if "server.address" in attributes:
        scheme, host, port = _HOSTS[str(attributes["gen_ai.provider.name"])]
        attributes |= {"server.address": host, "server.port": port or 0}
        if port is None:
            del attributes["server.port"]
        if "url.full" in attributes:
            path = attributes["url.path"]
            attributes |= {"url.scheme": scheme, "url.full": f"{scheme}://{host}{path}"}
    if "gen_ai.response.time_to_first_chunk" in attributes:
        milliseconds = (one.end_ns - one.start_ns) // 1_000_000
        first_chunk = milliseconds * _FIRST_CHUNK_SHARE_PER_MILLE // 1_000
        attributes["gen_ai.response.time_to_first_chunk"] = first_chunk / 1_000
    return attributes


def _attributes(attributes: Mapping[str, AttributeValue]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in attributes.items()]


def _value(value: AttributeValue) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case str():
            return {"stringValue": value}
        case Sequence():
            return {"arrayValue": {"values": [_value(part) for part in value]}}
    raise ValueError(f"{value!r} is no attribute value")
