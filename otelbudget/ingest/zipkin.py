"""Zipkin v2 spans: microseconds, text tags, annotations.

Source: openzipkin/zipkin-api zipkin2-api.yaml; OpenTelemetry trace/sdk_exporters/zipkin.md; the
Collector's pkg/translator/zipkin for events and links, read 2026-11.
"""

import re
from collections.abc import Mapping
from typing import Any

from otelbudget.genai import semconv
from otelbudget.ingest import tags
from otelbudget.ingest.fields import (
    Object,
    as_object,
    as_objects,
    integer,
    ns_of_us,
    span_kind,
    string,
)
from otelbudget.ingest.records import Event, Link, Resource, ResourceSpans, ScopeSpans, Span

_MARKS = {"localEndpoint": dict, "tags": dict, "annotations": list}
_KINDS = frozenset(("CLIENT", "SERVER", "PRODUCER", "CONSUMER"))
_SPECIFIED_EVENT = re.compile(r'"?([^"{|]*)"?\s*:\s*(\{.*\})', re.DOTALL)
_COLLECTOR_EVENT = re.compile(r"(.*?)\|(\{.*\})\|(\d+)", re.DOTALL)
_COLLECTOR_LINK = re.compile(r"([0-9a-f]+)\|([0-9a-f]+)\|([^|]*)\|(.*)\|(\d+)", re.DOTALL)
_LINK_TAG = "otlp.link."


def is_span(value: Object) -> bool:
    """Whether an object is a Zipkin v2 span; Node's console writes alike, but with attributes."""
    if "traceId" not in value or "id" not in value or "attributes" in value:
        return False
    is_marked = any(isinstance(value.get(key), kind) for key, kind in _MARKS.items())
    is_timed = isinstance(value.get("timestamp", 0), int)
    return is_timed and (is_marked or value.get("kind") in _KINDS)


def records(value: Object) -> list[ResourceSpans]:
    """The record of one span; its scope is in the tag `otel.scope.name`, which `rows` reads.

    The two halves of a span that client and server share have one id, so they count once.
    """
    found = dict(as_object(value.get("tags")))
    links = [found.pop(key) for key in sorted(found) if key.startswith(_LINK_TAG)]
    start, duration = ns_of_us(value.get("timestamp")), ns_of_us(value.get("duration"))
    if peer := as_object(value.get("remoteEndpoint")).get("serviceName"):
        found.setdefault("peer.service", peer)
    span = Span(
        trace_id=string(value.get("traceId")),
        span_id=string(value.get("id")),
        name=string(value.get("name")),
        start_time_unix_nano=start,
        end_time_unix_nano=start + duration if start and duration else 0,
        parent_span_id=string(value.get("parentId")),
        trace_state=tags.trace_state(found),
        kind=span_kind(value.get("kind")) or tags.kind(found),
        attributes=found,
        dropped_attributes_count=tags.dropped(found, "attributes"),
        events=[_event(annotation) for annotation in as_objects(value.get("annotations"))],
        dropped_events_count=tags.dropped(found, "events"),
        links=[link for text in links if (link := _link(string(text)))],
        dropped_links_count=tags.dropped(found, "links"),
        status=tags.status(found),
    )
    return [ResourceSpans([ScopeSpans([span])], _resource(value))]


def _resource(value: Object) -> Resource:
    name = as_object(value.get("localEndpoint")).get("serviceName")
    attributes: Mapping[str, Any] = {semconv.SERVICE_NAME: string(name)} if name else {}
    return Resource(dict(attributes))


def _event(annotation: Object) -> Event:
    """An event; its attributes are in the annotation's text, in one of two ways."""
    text, time = string(annotation.get("value")), ns_of_us(annotation.get("timestamp"))
    if found := _COLLECTOR_EVENT.fullmatch(text):
        name, attributes, dropped = found.groups()
        return Event(name, time, as_object(attributes), integer(dropped) or 0)
    if (found := _SPECIFIED_EVENT.fullmatch(text)) and (attributes := as_object(found[2])):
        return Event(found[1], time, attributes)
    return Event(text, time)


def _link(text: str) -> Link | None:
    found = _COLLECTOR_LINK.fullmatch(text)
    if not found:
        return None
    trace_id, span_id, trace_state, attributes, dropped = found.groups()
    return Link(trace_id, span_id, trace_state, as_object(attributes), integer(dropped) or 0)
