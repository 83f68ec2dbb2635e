"""What the console exporters of the Go and JavaScript SDKs print, as spans with our usual keys.

Source: opentelemetry-go exporters/stdout/stdouttrace (SpanStub of sdk/trace/tracetest),
opentelemetry-js sdk-trace-base ConsoleSpanExporter. What Node prints is JSON only
where a program wrote it so; times in it are microseconds.
"""

from typing import Any

from otelbudget.ingest.fields import Object, as_object, as_objects, integer, ns_of_us, string

_NO_ID = "0"


def is_go(value: Object) -> bool:
    """Whether an object is a span that Go's stdouttrace exporter printed."""
    return isinstance(value.get("SpanContext"), dict) and "Name" in value


def of_go(value: Object) -> Object:
    """The span with the usual keys."""
    context, status = as_object(value["SpanContext"]), as_object(value.get("Status"))
    scope = as_object(value.get("InstrumentationScope") or value.get("InstrumentationLibrary"))
    return {
        "traceId": context.get("TraceID"),
        "spanId": context.get("SpanID"),
        "traceState": context.get("TraceState"),
        "parentSpanId": string(as_object(value.get("Parent")).get("SpanID")).strip(_NO_ID)
        and as_object(value.get("Parent")).get("SpanID"),
        "name": value.get("Name"),
        "kind": value.get("SpanKind"),
        "startTime": value.get("StartTime"),
        "endTime": value.get("EndTime"),
        "attributes": _go_attributes(value.get("Attributes")),
        "droppedAttributesCount": value.get("DroppedAttributes"),
        "events": [_go_event(event) for event in as_objects(value.get("Events"))],
        "droppedEventsCount": value.get("DroppedEvents"),
        "links": [_go_link(link) for link in as_objects(value.get("Links"))],
        "droppedLinksCount": value.get("DroppedLinks"),
        "status": {"code": status.get("Code"), "message": status.get("Description")},
        "resource": {"attributes": _go_attributes(value.get("Resource"))},
        "scope": {
            "name": scope.get("Name"),
            "version": scope.get("Version"),
            "schemaUrl": scope.get("SchemaURL"),
        },
    }


def _go_attributes(value: object) -> dict[str, Any]:
    return {
        string(item.get("Key")): as_object(item.get("Value")).get("Value")
        for item in as_objects(value)
    }


def _go_event(value: Object) -> Object:
    return {
        "name": value.get("Name"),
        "timestamp": value.get("Time"),
        "attributes": _go_attributes(value.get("Attributes")),
        "droppedAttributesCount": value.get("DroppedAttributeCount"),
    }


def _go_link(value: Object) -> Object:
    context = as_object(value.get("SpanContext"))
    return {
        "traceId": context.get("TraceID"),
        "spanId": context.get("SpanID"),
        "traceState": context.get("TraceState"),
        "attributes": _go_attributes(value.get("Attributes")),
        "droppedAttributesCount": value.get("DroppedAttributeCount"),
    }


def is_node(value: Object) -> bool:
    """Whether an object is a span that Node's console exporter printed."""
    return (
        "traceId" in value
        and "id" in value
        and "spanId" not in value
        and isinstance(value.get("attributes"), dict)
        and isinstance(value.get("timestamp"), int | float)
    )


def of_node(value: Object) -> Object:
    """The span with the usual keys; its kind counts from INTERNAL = 0."""
    start, kind = ns_of_us(value.get("timestamp")), integer(value.get("kind"))
    return value | {
        "spanId": value.get("id"),
        "startTime": start,
        "endTime": start + ns_of_us(value.get("duration")),
        "kind": 0 if kind is None else kind + 1,
    }
