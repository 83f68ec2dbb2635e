"""OTLP trace messages as typed records: every reader makes these, and rows are made of these only.

The field names are those of opentelemetry.proto. Ids, kinds and times are as the input gives them,
`rows` brings them into one form. Fields whose absence is rare in OTLP JSON are required, so that
the typed decoder refuses another spelling of them instead of passing over it.
"""

from typing import Any

import msgspec

UNREADABLE_TIME = -1


class AnyValue(msgspec.Struct, gc=False, frozen=True, rename="camel"):
    """An attribute value; at most one field is set."""

    string_value: str | None = None
    int_value: int | None = None
    double_value: float | None = None
    bool_value: bool | None = None
    array_value: "ArrayValue | None" = None
    kvlist_value: "KeyValueList | None" = None
    bytes_value: str | None = None


NO_VALUE = AnyValue()


class KeyValue(msgspec.Struct, gc=False):
    """An attribute."""

    key: str
    value: AnyValue = NO_VALUE


class ArrayValue(msgspec.Struct, gc=False):
    """A list of values."""

    values: list[AnyValue] = []


class KeyValueList(msgspec.Struct, gc=False):
    """A nested map."""

    values: list[KeyValue] = []


Attributes = list[KeyValue] | dict[str, Any]


class Status(msgspec.Struct, gc=False, frozen=True):
    """How a span ended: code 0 unset, 1 ok, 2 error, or a name such as "STATUS_CODE_OK"."""

    code: int | str = 0
    message: str = ""


NO_STATUS = Status()


class Event(msgspec.Struct, gc=False, rename="camel"):
    """A moment within a span."""

    name: str = ""
    time_unix_nano: int = 0
    attributes: Attributes = []
    dropped_attributes_count: int = 0


class Link(msgspec.Struct, gc=False, rename="camel"):
    """A reference to another span."""

    trace_id: str = ""
    span_id: str = ""
    trace_state: str = ""
    attributes: Attributes = []
    dropped_attributes_count: int = 0
    flags: int | None = None


class Span(msgspec.Struct, gc=False, rename="camel"):
    """A span; times are unix nanoseconds, 0 where absent, `UNREADABLE_TIME` where unreadable."""

    trace_id: str
    span_id: str
    name: str
    start_time_unix_nano: int
    end_time_unix_nano: int = 0
    parent_span_id: str = ""
    trace_state: str = ""
    flags: int | None = None
    kind: int | str = 0
    attributes: Attributes = []
    dropped_attributes_count: int = 0
    events: list[Event] = []
    dropped_events_count: int = 0
    links: list[Link] = []
    dropped_links_count: int = 0
    status: Status = NO_STATUS


class InstrumentationScope(msgspec.Struct, gc=False, frozen=True, rename="camel"):
    """What made the spans."""

    name: str = ""
    version: str = ""
    attributes: Attributes = []
    dropped_attributes_count: int = 0


NO_SCOPE = InstrumentationScope()


class ScopeSpans(msgspec.Struct, gc=False, rename="camel"):
    """The spans of one scope."""

    spans: list[Span]
    scope: InstrumentationScope = NO_SCOPE
    schema_url: str = ""


class Resource(msgspec.Struct, gc=False, frozen=True, rename="camel"):
    """Where the spans come from."""

    attributes: Attributes = []
    dropped_attributes_count: int = 0


NO_RESOURCE = Resource()


class ResourceSpans(msgspec.Struct, gc=False, rename="camel"):
    """The spans of one resource."""

    scope_spans: list[ScopeSpans]
    resource: Resource = NO_RESOURCE
    schema_url: str = ""


class TracesData(msgspec.Struct, gc=False, rename="camel"):
    """One export."""

    resource_spans: list[ResourceSpans]


decode_traces = msgspec.json.Decoder(TracesData, strict=False).decode
