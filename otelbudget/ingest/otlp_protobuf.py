"""OTLP protobuf: export requests of traces as records; of logs and metrics as counts."""

import base64
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, TypeVar

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from otelbudget.ingest.byte_stream import ByteStream
from otelbudget.ingest.records import (
    Event,
    InstrumentationScope,
    Link,
    Resource,
    ResourceSpans,
    ScopeSpans,
    Span,
    Status,
)
from otelbudget.ingest.report import Reading

OTLP_PROTOBUF = "otlp-protobuf"
_TRACE_ID_BYTES = 16
_SPAN_ID_BYTES = 8
_LENGTH_DELIMITED = 2
_FIXED_BYTES = {1: 8, 5: 4}
_VARINT = 0
_MAX_VARINT_BYTES = 10
_FIRST, _SECOND, _THIRD = 1, 2, 3  # the fields of ResourceSpans and of ScopeSpans


class _Field(NamedTuple):
    """A field of a message that holds bytes.

    Attributes:
        number: Its number in the message.
        offset: Where in the file its bytes begin.
        value: Its bytes, as many as there are.
        is_whole: Whether they are all there.
    """

    number: int
    offset: int
    value: bytes
    is_whole: bool = True


class _WireError(Exception):
    """The bytes are no message from this offset on; the code and reason."""

    def __init__(self, offset: int, code: str, reason: str) -> None:
        super().__init__(reason)
        self.offset = offset
        self.code = code
        self.reason = reason


def records(stream: ByteStream, reading: Reading, max_bytes: int) -> Iterator[ResourceSpans]:
    """The records of an export request, one resource held at a time.

    Args:
        stream: The request; several without anything between them are one request.
        reading: Told what was skipped and what cannot be read.
        max_bytes: Size above which one resource is not read.
    """
    try:
        for field in _fields(stream, max_bytes):
            if field.number == _FIRST:
                reading.offset = field.offset
                yield from _resource_records(field, reading)
    except _WireError as error:
        reading.offset = error.offset
        reading.unreadable(error.code, error.reason)


def _resource_records(field: _Field, reading: Reading) -> Iterator[ResourceSpans]:
    message = _parsed(trace_pb2.ResourceSpans, field.value) if field.is_whole else None
    if message is None or not _has_ids(message):
        others = _other_signal(field.value) if field.is_whole else None
        if others is not None:
            reading.found(OTLP_PROTOBUF)
            reading.skip(others)
            return
    if message is None:
        message = _salvaged(field, reading)
        if not message.scope_spans:
            return
    reading.found(OTLP_PROTOBUF)
    yield _resource_spans(message)


def _has_ids(message: trace_pb2.ResourceSpans) -> bool:
    """Whether its first span has ids as spans have them, or it holds no span at all."""
    span = next((span for part in message.scope_spans for span in part.spans), None)
    return span is None or _is_identified(span)


def _is_identified(span: trace_pb2.Span) -> bool:
    return len(span.trace_id) == _TRACE_ID_BYTES and len(span.span_id) == _SPAN_ID_BYTES


def _other_signal(value: bytes) -> int | None:
    """How many log records or metrics the bytes hold; None where they are neither."""
    logs = _parsed(logs_pb2.ResourceLogs, value)
    found = [record for part in logs.scope_logs for record in part.log_records] if logs else []
    if any(
        one.time_unix_nano or one.observed_time_unix_nano or one.severity_number for one in found
    ):
        return len(found)
    metrics = _parsed(metrics_pb2.ResourceMetrics, value)
    kept = [metric for part in metrics.scope_metrics for metric in part.metrics] if metrics else []
    return len(kept) if any(metric.WhichOneof("data") for metric in kept) else None


_Made = TypeVar("_Made", bound=Message)


def _parsed(kind: type[_Made], value: bytes) -> _Made | None:
    message = kind()
    try:
        message.ParseFromString(value)
    except DecodeError:
        return None
    return message


def _salvaged(field: _Field, reading: Reading) -> trace_pb2.ResourceSpans:
    """The spans that are whole in damaged bytes of a ResourceSpans message; the others are told."""
    made = trace_pb2.ResourceSpans()
    for part in _inner(field, reading):
        if part.number == _FIRST:
            resource = _told(resource_pb2.Resource, part, reading)
            made.resource.CopyFrom(resource or resource_pb2.Resource())
        elif part.number == _SECOND:
            scope_spans = _salvaged_scope(part, reading)
            if scope_spans.spans:
                made.scope_spans.append(scope_spans)
        elif part.number == _THIRD:
            made.schema_url = part.value.decode(errors="replace")
    return made


def _salvaged_scope(field: _Field, reading: Reading) -> trace_pb2.ScopeSpans:
    made = trace_pb2.ScopeSpans()
    for part in _inner(field, reading):
        if part.number == _FIRST:
            scope = _told(common_pb2.InstrumentationScope, part, reading)
            made.scope.CopyFrom(scope or common_pb2.InstrumentationScope())
        elif part.number == _SECOND:
            span = _told(trace_pb2.Span, part, reading)
            if span is not None and _is_identified(span):
                made.spans.append(span)
        elif part.number == _THIRD:
            made.schema_url = part.value.decode(errors="replace")
    return made


def _inner(field: _Field, reading: Reading) -> Iterator[_Field]:
    """The fields in a field; what is wrong is told unless it is that the field breaks off."""
    try:
        yield from _fields(ByteStream(iter([field.value]), field.offset), len(field.value) + 1)
    except _WireError as error:
        if field.is_whole:
            reading.offset = error.offset
            reading.unreadable(error.code, error.reason)


def _told(kind: type[_Made], field: _Field, reading: Reading) -> _Made | None:
    made = _parsed(kind, field.value) if field.is_whole else None
    if made is None and field.is_whole:
        reading.offset = field.offset
        name = kind.DESCRIPTOR.name
        reading.unreadable("unreadable_message", f"is a damaged {name}, or its text is no UTF-8")
    return made


def _fields(stream: ByteStream, max_bytes: int) -> Iterator[_Field]:
    """The fields of a message that hold bytes; the last one may not be whole.

    Raises:
        _WireError: The message breaks off, or what follows is none.
    """
    while stream.peek(1):
        begin = stream.offset
        number, kind = divmod(_varint(stream), 8)
        if kind == _LENGTH_DELIMITED:
            yield from _field(number, stream, max_bytes)
        elif kind == _VARINT:
            _varint(stream)
        elif kind in _FIXED_BYTES:
            stream.read(_FIXED_BYTES[kind])
        else:
            raise _WireError(begin, "unreadable_message", "is no OTLP protobuf from here on")


def _field(number: int, stream: ByteStream, max_bytes: int) -> Iterator[_Field]:
    size = _varint(stream)
    offset = stream.offset
    if size > max_bytes:
        reason = (
            f"names a part of {size:,} bytes, above {max_bytes:,}: the file is damaged from here "
            "on, or --max-bytes is too low"
        )
        raise _WireError(offset, "too_large", reason)
    value = stream.read(size)
    yield _Field(number, offset, value, len(value) == size)
    if len(value) < size:
        reason = f"is cut off: the part that begins here has {len(value):,} of {size:,} bytes"
        raise _WireError(offset, "truncated_message", reason)


def _varint(stream: ByteStream) -> int:
    begin = stream.offset
    number = 0
    for place in range(_MAX_VARINT_BYTES):
        byte = stream.read(1)
        if not byte:
            raise _WireError(begin, "truncated_message", "is cut off: a number breaks off")
        number |= (byte[0] & 0x7F) << (7 * place)
        if byte[0] < 0x80:  # noqa: PLR2004 - the bit that says that more follows
            return number
    raise _WireError(begin, "unreadable_message", "is no OTLP protobuf from here on")


def _resource_spans(message: trace_pb2.ResourceSpans) -> ResourceSpans:
    return ResourceSpans(
        scope_spans=[_scope_spans(part) for part in message.scope_spans],
        resource=Resource(
            _attributes(message.resource.attributes), message.resource.dropped_attributes_count
        ),
        schema_url=message.schema_url,
    )


def _scope_spans(message: trace_pb2.ScopeSpans) -> ScopeSpans:
    scope = message.scope
    return ScopeSpans(
        spans=[_span(span) for span in message.spans],
        scope=InstrumentationScope(
            scope.name,
            scope.version,
            _attributes(scope.attributes),
            scope.dropped_attributes_count,
        ),
        schema_url=message.schema_url,
    )


def _span(message: trace_pb2.Span) -> Span:
    return Span(
        trace_id=message.trace_id.hex(),
        span_id=message.span_id.hex(),
        name=message.name,
        start_time_unix_nano=message.start_time_unix_nano,
        end_time_unix_nano=message.end_time_unix_nano,
        parent_span_id=message.parent_span_id.hex(),
        trace_state=message.trace_state,
        flags=message.flags or None,
        kind=message.kind,
        attributes=_attributes(message.attributes),
        dropped_attributes_count=message.dropped_attributes_count,
        events=[_event(event) for event in message.events],
        dropped_events_count=message.dropped_events_count,
        links=[_link(link) for link in message.links],
        dropped_links_count=message.dropped_links_count,
        status=Status(message.status.code, message.status.message),
    )


def _event(message: trace_pb2.Span.Event) -> Event:
    return Event(
        name=message.name,
        time_unix_nano=message.time_unix_nano,
        attributes=_attributes(message.attributes),
        dropped_attributes_count=message.dropped_attributes_count,
    )


def _link(message: trace_pb2.Span.Link) -> Link:
    return Link(
        trace_id=message.trace_id.hex(),
        span_id=message.span_id.hex(),
        trace_state=message.trace_state,
        attributes=_attributes(message.attributes),
        dropped_attributes_count=message.dropped_attributes_count,
        flags=message.flags or None,
    )


def _attributes(message: Iterable[common_pb2.KeyValue]) -> dict[str, Any]:
    return {attribute.key: _value(attribute.value) for attribute in message}


def _value(message: common_pb2.AnyValue) -> Any:
    field = message.WhichOneof("value")
    if field == "string_value":
        return message.string_value
    match field:
        case None:
            return None
        case "array_value":
            return [_value(inner) for inner in message.array_value.values]
        case "kvlist_value":
            return _attributes(message.kvlist_value.values)
        case "bytes_value":
            return {"bytesValue": base64.b64encode(message.bytes_value).decode()}
        case _:
            return getattr(message, field)
