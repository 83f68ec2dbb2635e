"""Tells what a decoded JSON value is, and hands it to the reader of that shape."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from otelbudget.ingest import jaeger, spellings
from otelbudget.ingest.records import ResourceSpans
from otelbudget.ingest.report import Reading

Object = dict[str, Any]

OTLP_JSON = "otlp-json"
TEMPO_JSON = "tempo-json"
JAEGER_JSON = "jaeger-json"
SPAN_DICTS = "span-dicts"
CLOUDWATCH = "cloudwatch"

_CLOUDWATCH_RECORD = "raw_otel_json"
_LISTS_OF_SPANS = ("data", "spans")
_OTHER_SIGNALS = {
    "resourceLogs": ("scopeLogs", "logRecords"),
    "resource_logs": ("scope_logs", "log_records"),
    "resourceMetrics": ("scopeMetrics", "metrics"),
    "resource_metrics": ("scope_metrics", "metrics"),
}
_LOG_KEYS = frozenset(
    (
        "body",
        "severityText",
        "severityNumber",
        "severity_text",
        "severity_number",
        "observedTimeUnixNano",
        "observed_timestamp",
    )
)


def groups(value: object, reading: Reading) -> Iterator[ResourceSpans]:
    """The records in a decoded JSON value of any known shape.

    Args:
        value: What JSON decodes to.
        reading: Told the format, what was skipped and what is of no known shape.
    """
    if isinstance(value, list):
        for item in value:
            yield from groups(item, reading)
    elif isinstance(value, dict):
        for recognise in _SHAPES:
            found = recognise(value, reading)
            if found is not None:
                yield from found
                return
        reading.unreadable(
            "unknown_shape", f"is JSON, but no trace format that is known: {_keys(value)}"
        )
    else:
        reading.unreadable("unknown_shape", f"is JSON, but a {type(value).__name__} and no span")


def _keys(value: Object) -> str:
    if not value:
        return "an empty object"
    names = ", ".join(repr(key) for key in list(value)[:3])
    return f"an object with {names}" + (" and more" if len(value) > 3 else "")  # noqa: PLR2004 - as many as shown


def _otlp(value: Object, reading: Reading) -> Iterable[ResourceSpans] | None:
    if any(isinstance(value.get(key), list) for key in ("resourceSpans", "resource_spans")):
        reading.found(OTLP_JSON)
        return spellings.resource_spans(value)
    if any(isinstance(value.get(key), list) for key in spellings.SCOPE_SPANS):
        reading.found(OTLP_JSON)
        return [spellings.one_resource(value)]
    return None


def _tempo(value: Object, reading: Reading) -> Iterable[ResourceSpans] | None:
    inner = value.get("trace", value)
    if isinstance(inner, dict) and (
        isinstance(inner.get("batches"), list)
        or (inner is not value and isinstance(inner.get("resourceSpans"), list))
    ):
        reading.found(TEMPO_JSON)
        return spellings.resource_spans(inner)
    return None


def _jaeger(value: Object, reading: Reading) -> Iterable[ResourceSpans] | None:
    if not jaeger.is_trace(value):
        return None
    reading.found(JAEGER_JSON)
    return jaeger.trace(value)


def _cloudwatch(value: Object, reading: Reading) -> Iterable[ResourceSpans] | None:
    """Spans among CloudWatch records; whatever else a record holds is a log record."""
    if _CLOUDWATCH_RECORD not in value:
        return None
    record = value[_CLOUDWATCH_RECORD]
    reading.found(CLOUDWATCH)
    if isinstance(record, str):
        try:
            record = msgspec.json.decode(record)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            reading.unreadable("unreadable_record", f"has a {_CLOUDWATCH_RECORD} that is no JSON")
            return ()
    if isinstance(record, dict) and spellings.is_span(record):
        return [spellings.single_span(record)]
    reading.skip(1)
    return ()


def _other_signal(value: Object, reading: Reading) -> Iterable[ResourceSpans] | None:
    for key, path in _OTHER_SIGNALS.items():
        if isinstance(value.get(key), list):
            reading.found(OTLP_JSON)
            reading.skip(sum(1 for _ in _leaves(value[key], path)))
            return ()
    return None


def _leaves(value: object, path: tuple[str, ...]) -> Iterator[object]:
    for item in value if isinstance(value, list) else ():
        if path:
            yield from _leaves(item.get(path[0]) if isinstance(item, dict) else None, path[1:])
        else:
            yield item


def _wrapper(value: Object, reading: Reading) -> Iterable[ResourceSpans] | None:
    """An object around a list of spans or of traces, such as {"spans": […]}."""
    for key in _LISTS_OF_SPANS:
        if isinstance(value.get(key), list):
            if not value[key]:
                reading.found(SPAN_DICTS if key == "spans" else JAEGER_JSON)
            return groups(value[key], reading)
    return None


def _span(value: Object, reading: Reading) -> Iterable[ResourceSpans] | None:
    if not spellings.is_span(value):
        return None
    reading.found(SPAN_DICTS)
    return [spellings.single_span(value)]


def _log(value: Object, reading: Reading) -> Iterable[ResourceSpans] | None:
    if _LOG_KEYS.isdisjoint(value):
        return None
    reading.found(OTLP_JSON)
    reading.skip(1)
    return ()


def _spans_by_key(value: Object, reading: Reading) -> Iterable[ResourceSpans] | None:
    """Lists of spans under keys of the user's choice, such as {"chat": [span, …], …}."""
    lists = list(value.values())
    if not lists or not all(
        isinstance(one, list)
        and one
        and all(isinstance(item, dict) and spellings.is_span(item) for item in one)
        for one in lists
    ):
        return None
    return groups([item for one in lists for item in one], reading)


_SHAPES: tuple[Callable[[Object, Reading], Iterable[ResourceSpans] | None], ...] = (
    _otlp,
    _tempo,
    _jaeger,
    _cloudwatch,
    _other_signal,
    _wrapper,
    _span,
    _log,
    _spans_by_key,
)
