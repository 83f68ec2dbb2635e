"""What OpenTelemetry puts into tags for formats that have no fields of their own for it.

Source: OpenTelemetry specification, common/mapping-to-non-otlp.md and
trace/sdk_exporters/zipkin.md, read 2026-11.
"""

from collections.abc import Mapping
from typing import Any

from otelbudget.ingest.fields import integer, span_kind, status_code, string
from otelbudget.ingest.records import Status

_KIND = "span.kind"
_STATUS_CODE = "otel.status_code"
_STATUS_MESSAGE = "otel.status_description"
_ERROR = "error"
_TRACE_STATE = "w3c.tracestate"
_ERROR_CODE = 2
_NO_ERROR = (None, False, "false")
_NO_MESSAGE = (*_NO_ERROR, True, "true")


def kind(tags: Mapping[str, Any]) -> int:
    """The span kind, 0 where no tag tells it."""
    return span_kind(tags.get(_KIND))


def trace_state(tags: Mapping[str, Any]) -> str:
    """The W3C trace state, "" where no tag tells it."""
    return string(tags.get(_TRACE_STATE))


def status(tags: Mapping[str, Any]) -> Status:
    """How the span ended: as its status tag says, else an error where it has an error tag."""
    error = tags.get(_ERROR)
    message = string(tags.get(_STATUS_MESSAGE) or (None if error in _NO_MESSAGE else error))
    if _STATUS_CODE in tags:
        return Status(status_code(tags[_STATUS_CODE]), message)
    return Status(0 if error in _NO_ERROR else _ERROR_CODE, message)


def dropped(tags: Mapping[str, Any], what: str) -> int:
    """How many "attributes", "events" or "links" the emitter dropped."""
    return integer(tags.get(f"otel.dropped_{what}_count")) or 0
