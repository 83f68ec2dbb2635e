"""Rows, columns, SQL files and the fields of OTLP agree."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from google.protobuf.descriptor import Descriptor
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status
from opentelemetry.sdk.resources import Resource as SDKResource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace import Status as SDKStatus
from opentelemetry.trace.span import TraceState

import otelbudget.store
from otelbudget.store import files, sql
from otelbudget.store.spans import SpanRow
from otelbudget.store.store import Store

MakeRow = Callable[..., SpanRow]
MakeSpan = Callable[..., ReadableSpan]

ROOM = Path(otelbudget.store.__file__).parent
NESTED = {  # field: the messages or the columns it is stored as
    "Span.attributes": "attributes",
    "Span.events": "events",
    "Span.links": "links",
    "Span.status": "status_code",
    "Status.message": "status_message",
    "Status.code": "status_code",
    "InstrumentationScope.name": "scope_name",
    "InstrumentationScope.version": "scope_version",
    "InstrumentationScope.attributes": "scope_attributes",
    "InstrumentationScope.dropped_attributes_count": "scope_dropped_attributes_count",
    "ScopeSpans.scope": "scope_name",
    "ScopeSpans.spans": "span_id",
    "ScopeSpans.schema_url": "scope_schema_url",
    "Resource.attributes": "resource_attributes",
    "Resource.dropped_attributes_count": "resource_dropped_attributes_count",
    "ResourceSpans.resource": "resource_attributes",
    "ResourceSpans.scope_spans": "scope_name",
    "ResourceSpans.schema_url": "resource_schema_url",
}
NO_PLACE = {"Resource.entity_refs"}  # in development; it names keys of the attributes


def fields(*messages: Any) -> list[Any]:
    return [
        pytest.param(message.DESCRIPTOR, field.name, id=f"{message.DESCRIPTOR.name}.{field.name}")
        for message in messages
        for field in message.DESCRIPTOR.fields
    ]


@pytest.mark.parametrize(
    ("message", "field"),
    fields(Span, Status, InstrumentationScope, Resource, ScopeSpans, ResourceSpans),
)
def test_every_otlp_field_has_a_column(message: Descriptor, field: str) -> None:
    name = f"{message.name}.{field}"

    assert name in NO_PLACE or NESTED.get(name, field) in SpanRow._fields


@pytest.mark.parametrize(("message", "field"), fields(Span.Event, Span.Link))
def test_every_otlp_field_of_events_and_links_is_documented(
    message: Descriptor, field: str
) -> None:
    column = {"Event": "events", "Link": "links"}[message.name]
    documented = re.search(rf"{column}: JSON array of {{(.*?)}}", SpanRow.__doc__ or "", re.DOTALL)

    assert documented
    assert f'"{field}"' in documented[1]


def test_the_exporter_fills_every_column(exporter: SpanExporter, store_path: Path) -> None:
    """Except the dropped counts of scope and resource, which the SDK does not have."""
    context = SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(1))
    state = TraceState([("a", "b")])
    parent = SpanContext(3, 4, is_remote=True, trace_flags=TraceFlags(1), trace_state=state)
    resource = SDKResource({"service.name": "shop"}, schema_url="https://r")
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    tracer = provider.get_tracer("lib", "1.0", "https://s", {"k": "v"})
    span = tracer.start_span(
        "chat",
        context=set_span_in_context(NonRecordingSpan(parent)),
        attributes={"k": 1},
        links=[Link(context, {"k": 2})],
    )
    span.add_event("retry", {"k": 3})
    span.set_status(SDKStatus(StatusCode.ERROR, "boom"))
    span.end()
    assert isinstance(span, ReadableSpan)
    exporter.export([span])
    store = Store()
    store.copy_from(store_path)
    row = SpanRow(*store.row("select * from spans"))

    assert [name for name, value in row._asdict().items() if value is None] == []
    assert (row.flags, row.trace_state, row.parent_span_id) == (0x301, "a=b", "0" * 15 + "4")
    assert row.events is not None
    assert '"name":"retry"' in row.events
    assert row.links is not None
    assert '"flags":769' in row.links


def test_rows_and_columns_agree_in_name_and_order() -> None:
    connection = duckdb.connect()
    connection.execute(sql.load("otelbudget.store", "create_spans"))
    columns = [name for (name, *_) in connection.execute("describe spans").fetchall()]

    assert columns == list(SpanRow._fields)


def test_exporter_and_row_agree_on_columns(
    exporter: SpanExporter, store_path: Path, make_span: MakeSpan, make_row: MakeRow
) -> None:
    exporter.export([make_span()])
    connection = files.connect()
    with files.attached(connection, store_path, read_only=True, timeout_seconds=1):
        columns = [name for (name, *_) in connection.execute("describe spans").fetchall()]

    assert columns == list(make_row()._asdict())


def test_sql_files_and_their_uses_agree_both_ways() -> None:
    used = {
        name
        for module in ROOM.glob("*.py")
        for name in re.findall(r'_load\("(\w+)"\)', module.read_text("utf-8"))
    }

    assert used == {file.stem for file in (ROOM / "sql").glob("*.sql")}


@pytest.mark.parametrize("file", sorted((ROOM / "sql").glob("*.sql")), ids=lambda file: file.stem)
def test_every_sql_file_opens_with_a_comment_and_takes_values_as_parameters(file: Path) -> None:
    text = file.read_text("utf-8")

    assert text.startswith("-- ")
    assert "{" not in text.replace("columns = {", "")
    assert text.count(";") == 0
