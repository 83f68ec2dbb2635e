"""From OTLP records to rows of the `spans` table."""

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any

from otelbudget.ingest.fields import hex_id, span_kind, status_code, unix_ns_by_size
from otelbudget.ingest.records import (
    AnyValue,
    Attributes,
    Event,
    InstrumentationScope,
    Link,
    ResourceSpans,
    Span,
)
from otelbudget.ingest.report import Reading
from otelbudget.store.spans import Content, Resource, Scope, SpanRow, resource, scope, span_row

_SCOPE_NAME_KEYS = ("otel.scope.name", "otel.library.name")
_SCOPE_VERSION_KEYS = ("otel.scope.version", "otel.library.version")
_MAX_TIME_NS = 2**63 - 2  # a call takes one nanosecond at least
_OLDEST_NS = 946_684_800 * 10**9  # the year 2000, before which nothing was traced
_NEWEST_NS = 4_102_444_800 * 10**9  # the year 2100, for what is told by its size only
_MAX_UINT32 = 2**32 - 1
_TRACE_ID_DIGITS = 32
_TRACE_ID_BYTES = 16
_SPAN_ID_BYTES = 8


def span_rows(group: ResourceSpans, content: Content, reading: Reading) -> Iterator[SpanRow]:
    """The rows of the spans of one resource, in their order.

    Args:
        group: Records of any reader.
        content: What is stored of long texts and message content.
        reading: Told what is odd about the spans.
    """
    made_resource = resource(
        plain(group.resource.attributes),
        content,
        dropped_attributes_count=_count(group.resource.dropped_attributes_count),
        schema_url=group.schema_url,
    )
    for part in group.scope_spans:
        made_scope = _scope(part.scope, part.schema_url, content)
        for span in part.spans:
            try:
                yield _row(span, made_resource, made_scope, content, reading)
            except RecursionError:
                reading.unreadable("unreadable_span", f"span {span.name!r} is nested too deeply")


def _scope(record: InstrumentationScope, schema_url: str, content: Content) -> Scope:
    return scope(
        record.name,
        record.version,
        plain(record.attributes),
        content,
        dropped_attributes_count=_count(record.dropped_attributes_count),
        schema_url=schema_url,
    )


def _row(
    span: Span, made_resource: Resource, made_scope: Scope, content: Content, reading: Reading
) -> SpanRow:
    attributes = plain(span.attributes)
    if not made_scope.name:
        made_scope = _scope_from_attributes(made_scope, attributes)
    start, end = _times(span, reading)
    trace_id, span_id = hex_id(span.trace_id, _TRACE_ID_DIGITS), hex_id(span.span_id)
    if not trace_id or not span_id:
        trace_id, span_id = _make_up_ids(trace_id, span_id, span, reading)
    reading.spans += 1
    return span_row(
        content,
        made_resource,
        made_scope,
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=hex_id(span.parent_span_id) if span.parent_span_id else None,
        name=span.name,
        kind=span_kind(span.kind),
        start_time_unix_nano=start,
        end_time_unix_nano=end,
        attributes=attributes,
        status_code=status_code(span.status.code),
        status_message=span.status.message,
        trace_state=span.trace_state,
        flags=_flags(span.flags),
        events=[_event(event) for event in span.events] if span.events else (),
        links=[_link(link) for link in span.links] if span.links else (),
        dropped_attributes_count=_count(span.dropped_attributes_count),
        dropped_events_count=_count(span.dropped_events_count),
        dropped_links_count=_count(span.dropped_links_count),
    )


def _times(span: Span, reading: Reading) -> tuple[int | None, int | None]:
    """Start and end, None where absent; an end before the start stays and is reported."""
    start, end = span.start_time_unix_nano, span.end_time_unix_nano
    if _OLDEST_NS <= start <= end <= _MAX_TIME_NS:
        return start, end
    made_start, made_end = _time(start), _time(end)
    if not (0 <= start <= _MAX_TIME_NS and 0 <= end <= _MAX_TIME_NS):
        reading.warn("unreadable_time", f"span {span.name!r} has a time that cannot be read")
    elif (made_start or 0, made_end or 0) != (start, end):
        is_rescaled = (made_start is not None or not start) and (made_end is not None or not end)
        taken = "its size says that it is no nanoseconds" if is_rescaled else "it is left out"
        reading.warn(
            "implausible_time",
            f"span {span.name!r} has a time of {min(filter(None, (start, end)))} nanoseconds, "
            f"before the year 2000; {taken}; write nanoseconds",
        )
    if made_start and made_end and made_end < made_start:
        reading.warn("clock_skew", f"span {span.name!r} ends before it starts")
    return made_start, made_end


def _time(nanos: int) -> int | None:
    """A time as it is, None where there is none; one before 2000 in the unit its size tells."""
    if 0 < nanos < _OLDEST_NS:
        nanos = unix_ns_by_size(nanos)
        return nanos if _OLDEST_NS <= nanos <= _NEWEST_NS else None
    return nanos if 0 < nanos <= _MAX_TIME_NS else None


def _make_up_ids(trace_id: str, span_id: str, span: Span, reading: Reading) -> tuple[str, str]:
    """Ids for a span without: the same ones whenever the same file is read again."""
    reading.warn("made_up_ids", f"span {span.name!r} has no id; made one from the file's content")
    file_name = reading.path.replace("\\", "/").rpartition("/")[2]
    seed = f"{file_name}\0{reading.spans}\0{span!r}".encode(errors="replace")
    return (
        trace_id or blake2b(seed, digest_size=_TRACE_ID_BYTES, person=b"trace").hexdigest(),
        span_id or blake2b(seed, digest_size=_SPAN_ID_BYTES, person=b"span").hexdigest(),
    )


def _scope_from_attributes(made_scope: Scope, attributes: Mapping[str, Any]) -> Scope:
    name = _first(attributes, _SCOPE_NAME_KEYS)
    if name is None:
        return made_scope
    version = made_scope.version or _first(attributes, _SCOPE_VERSION_KEYS)
    return made_scope._replace(name=name, version=version)


def _first(attributes: Mapping[str, Any], keys: tuple[str, ...]) -> str | None:
    return next((str(attributes[key]) for key in keys if attributes.get(key)), None)


def _event(event: Event) -> dict[str, Any]:
    made = {
        "name": event.name,
        "time_unix_nano": _time(event.time_unix_nano),
        "attributes": plain(event.attributes),
    }
    if event.dropped_attributes_count:
        made["dropped_attributes_count"] = _count(event.dropped_attributes_count)
    return made


def _link(link: Link) -> dict[str, Any]:
    made: dict[str, Any] = {
        "trace_id": hex_id(link.trace_id, _TRACE_ID_DIGITS),
        "span_id": hex_id(link.span_id),
        "attributes": plain(link.attributes),
    }
    if link.trace_state:
        made["trace_state"] = link.trace_state
    if link.flags is not None:
        made["flags"] = _flags(link.flags)
    if link.dropped_attributes_count:
        made["dropped_attributes_count"] = _count(link.dropped_attributes_count)
    return made


def _count(value: int) -> int:
    return min(max(value, 0), _MAX_UINT32) if value else 0


def _flags(value: int | None) -> int | None:
    return value if value is not None and 0 <= value <= _MAX_UINT32 else None


def plain(attributes: Attributes) -> dict[str, Any]:
    """Attributes as a dict of plain values."""
    if isinstance(attributes, dict):
        return attributes
    made: dict[str, Any] = {}
    for attribute in attributes:
        value = attribute.value
        if value.string_value is not None:
            made[attribute.key] = value.string_value
        elif value.int_value is not None:
            made[attribute.key] = value.int_value
        else:
            made[attribute.key] = _plain_value(value)
    return made


def _plain_value(value: AnyValue) -> Any:
    for scalar in (value.string_value, value.int_value, value.bool_value, value.double_value):
        if scalar is not None:
            return scalar
    if value.array_value is not None:
        return [_plain_value(inner) for inner in value.array_value.values]
    if value.kvlist_value is not None:
        return plain(value.kvlist_value.values)
    if value.bytes_value is not None:
        return {"bytesValue": value.bytes_value}
    return None
