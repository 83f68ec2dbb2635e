"""Every field of an OTLP span has a column, and its value arrives there."""

import json
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import (
    ResourceSpans,
    ScopeSpans,
    Span,
    Status,
    TracesData,
)

from otelbudget.store.spans import SpanRow

ATTRIBUTE = KeyValue(key="k")
ATTRIBUTE.value.string_value = "v"
NO_PLACE = {
    "Resource.entity_refs": "in development; it names keys of the attributes, which are kept"
}
VALUES: dict[str, Any] = {
    "Span.trace_id": bytes.fromhex("5b8efff798038103d269b633813fc60c"),
    "Span.span_id": bytes.fromhex("eee19b7ec3c1b174"),
    "Span.trace_state": "a=b",
    "Span.parent_span_id": bytes.fromhex("eee19b7ec3c1b173"),
    "Span.flags": 257,
    "Span.name": "chat",
    "Span.kind": Span.SPAN_KIND_CLIENT,
    "Span.start_time_unix_nano": 1_640_000_000_000_000_001,
    "Span.end_time_unix_nano": 1_640_000_000_000_000_002,
    "Span.attributes": [ATTRIBUTE],
    "Span.dropped_attributes_count": 1,
    "Span.events": [
        Span.Event(
            time_unix_nano=1_640_000_000_000_000_003,
            name="retry",
            attributes=[ATTRIBUTE],
            dropped_attributes_count=4,
        )
    ],
    "Span.dropped_events_count": 2,
    "Span.links": [
        Span.Link(
            trace_id=bytes.fromhex("0000000000000000000000000000000a"),
            span_id=bytes.fromhex("000000000000000b"),
            trace_state="c=d",
            attributes=[ATTRIBUTE],
            dropped_attributes_count=5,
            flags=6,
        )
    ],
    "Span.dropped_links_count": 3,
    "Span.status": Status(code=Status.STATUS_CODE_ERROR, message="boom"),
    "InstrumentationScope.name": "lib",
    "InstrumentationScope.version": "1.0",
    "InstrumentationScope.attributes": [ATTRIBUTE],
    "InstrumentationScope.dropped_attributes_count": 7,
    "Resource.attributes": [ATTRIBUTE],
    "Resource.dropped_attributes_count": 8,
    "ScopeSpans.schema_url": "https://scope",
    "ResourceSpans.schema_url": "https://resource",
}
CONTAINERS = {
    "ResourceSpans.resource",
    "ResourceSpans.scope_spans",
    "ScopeSpans.scope",
    "ScopeSpans.spans",
}
ROW = SpanRow(
    trace_id="5b8efff798038103d269b633813fc60c",
    span_id="eee19b7ec3c1b174",
    parent_span_id="eee19b7ec3c1b173",
    trace_state="a=b",
    flags=257,
    name="chat",
    kind=3,
    start_time_unix_nano=1_640_000_000_000_000_001,
    end_time_unix_nano=1_640_000_000_000_000_002,
    status_code=2,
    status_message="boom",
    attributes='{"k":"v"}',
    dropped_attributes_count=1,
    events=(
        '[{"attributes":{"k":"v"},"dropped_attributes_count":4,"name":"retry",'
        '"time_unix_nano":1640000000000000003}]'
    ),
    dropped_events_count=2,
    links=(
        '[{"attributes":{"k":"v"},"dropped_attributes_count":5,"flags":6,'
        '"span_id":"000000000000000b","trace_id":"0000000000000000000000000000000a",'
        '"trace_state":"c=d"}]'
    ),
    dropped_links_count=3,
    scope_name="lib",
    scope_version="1.0",
    scope_attributes='{"k":"v"}',
    scope_dropped_attributes_count=7,
    scope_schema_url="https://scope",
    service_name=None,
    resource_attributes='{"k":"v"}',
    resource_dropped_attributes_count=8,
    resource_schema_url="https://resource",
)


def fields(message: Descriptor) -> set[str]:
    return {f"{message.name}.{field.name}" for field in message.fields}


def filled(message: type[Any]) -> Any:
    name = message.DESCRIPTOR.name
    return message(
        **{
            field.name: VALUES[f"{name}.{field.name}"]
            for field in message.DESCRIPTOR.fields
            if f"{name}.{field.name}" in VALUES
        }
    )


def test_every_field_of_otlp_is_filled_in_this_test() -> None:
    """Fails when opentelemetry.proto gains a field, so that it gets a place or a reason."""
    messages = (Span, InstrumentationScope, Resource, ScopeSpans, ResourceSpans)

    known = set().union(*(fields(message.DESCRIPTOR) for message in messages))

    assert known == VALUES.keys() | CONTAINERS | NO_PLACE.keys()


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (VALUES["Span.events"][0], Span.Event),
        (VALUES["Span.links"][0], Span.Link),
        (VALUES["Span.status"], Status),
    ],
    ids=["event", "link", "status"],
)
def test_every_field_of_the_parts_is_filled_in_this_test(part: Any, message: type[Any]) -> None:
    filled_fields = {field.name for field, _ in part.ListFields()}

    assert filled_fields == {field.name for field in message.DESCRIPTOR.fields}


@pytest.mark.parametrize("is_snake_case", [False, True], ids=["camel case", "snake case"])
@pytest.mark.parametrize("are_enums_numbers", [False, True], ids=["enum names", "enum numbers"])
def test_every_field_arrives_in_its_column(
    *, is_snake_case: bool, are_enums_numbers: bool, read_bytes: Any
) -> None:
    part = filled(ScopeSpans)
    part.scope.CopyFrom(filled(InstrumentationScope))
    part.spans.append(filled(Span))
    group = filled(ResourceSpans)
    group.resource.CopyFrom(filled(Resource))
    group.scope_spans.append(part)

    export = MessageToDict(
        TracesData(resource_spans=[group]),
        preserving_proto_field_name=is_snake_case,
        use_integers_for_enums=are_enums_numbers,
    )

    assert read_bytes(json.dumps(export).encode()).rows == [ROW]
