"""Tells what a decoded JSON value is, and hands it to the reader of that shape."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import msgspec

from otelbudget.ingest import (
    clickhouse,
    consoles,
    data_prepper,
    datadog,
    jaeger,
    langfuse,
    langsmith,
    openai_agents,
    phoenix,
    signoz,
    spellings,
    tables,
    tempo,
    trees,
    zipkin,
)
from otelbudget.ingest.fields import Object, as_objects
from otelbudget.ingest.records import ResourceSpans
from otelbudget.ingest.report import Reading

OTLP_JSON = "otlp-json"
TEMPO_JSON = "tempo-json"
JAEGER_JSON = "jaeger-json"
SPAN_DICTS = "span-dicts"
SPAN_ROWS = "span-rows"
CLOUDWATCH = "cloudwatch"
CLICKHOUSE = "clickhouse"

_KNOWN = (
    "OTLP, Jaeger, Tempo, Zipkin, SDK console dumps, CloudWatch, ClickHouse, Phoenix, Langfuse, "
    "LangSmith, OpenAI Agents, Datadog, SigNoz and Data Prepper spans"
)
_MAX_NAMED_KEYS = 6
_CLOUDWATCH_RECORD = "raw_otel_json"
_HIT = "_source"
_LISTS_OF_SPANS = ("data", "spans")
_OTHER_SIGNALS = {
    "resourceLogs": ("scopeLogs", "logRecords"),
    "resource_logs": ("scope_logs", "log_records"),
    "resourceMetrics": ("scopeMetrics", "metrics"),
    "resource_metrics": ("scope_metrics", "metrics"),
}
_OF_OUR_ROWS = frozenset(("scope_name", "resource_attributes", "start_time_unix_nano"))
_FOREIGN_KEYS = frozenset(
    ("meta", "metrics", "tags", "annotations", "metadata", "extra", "data", "span_data")
)
_OF_MLFLOW = "mlflow.spanType"
_FOREIGN_PREFIXES = ("attributes_", "attributes.", "span.attributes.", "gen_ai", "llm.", "ai.")
_REFUSALS: tuple[tuple[Callable[[Object], bool], str], ...] = (
    (
        lambda value: isinstance(value.get("binaryAnnotations"), list),
        "is a span of Zipkin's version 1; ask Zipkin for /api/v2/traces",
    ),
    (
        lambda value: isinstance(value.get("log"), str) and "stream" in value,
        "is a line of Docker's log; take the text out of 'log' first, as with jq -r .log",
    ),
)
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


def groups(value: object, reading: Reading, container: str = "JSON") -> Iterator[ResourceSpans]:
    """The records in a decoded JSON value of any known shape.

    Args:
        value: What JSON decodes to.
        reading: Told the format, what was skipped and what is of no known shape.
        container: What the value was found in, for what is of no known shape.
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
            "unknown_shape",
            f"is {container}, but no trace format that is known: {_keys(value)}; known are {_KNOWN}",
        )
    else:
        reading.unreadable("unknown_shape", f"is JSON, but a {type(value).__name__} and no span")


def _keys(value: Object) -> str:
    if not value:
        return "an empty object"
    names = ", ".join(repr(key) for key in list(value)[:_MAX_NAMED_KEYS])
    return f"an object with {names}" + (" and more" if len(value) > _MAX_NAMED_KEYS else "")


class _Format(NamedTuple):
    """A format that one look at an object recognises."""

    name: str
    recognises: Callable[[Object], bool]
    records: Callable[[Object, Reading], list[ResourceSpans]]


def _plain(
    records: Callable[[Object], list[ResourceSpans]],
) -> Callable[[Object, Reading], list[ResourceSpans]]:
    """A reader that has nothing to report."""
    return lambda value, _: records(value)


def _dump(spelled: Callable[[Object], Object]) -> Callable[[Object], list[ResourceSpans]]:
    return lambda value: [spellings.single_span(spelled(value))]


_FORMATS = (
    _Format(JAEGER_JSON, jaeger.is_trace, _plain(jaeger.records)),
    _Format(JAEGER_JSON, jaeger.is_span, _plain(jaeger.span_records)),
    _Format(CLICKHOUSE, clickhouse.is_span, _plain(clickhouse.records)),
    _Format("phoenix", phoenix.is_span, _plain(phoenix.records)),
    _Format("langsmith", langsmith.is_run, _plain(langsmith.records)),
    _Format("langfuse", langfuse.is_export, langfuse.records),
    _Format("openai-agents", openai_agents.is_export, _plain(openai_agents.records)),
    _Format("zipkin", zipkin.is_span, _plain(zipkin.records)),
    _Format("datadog", datadog.is_span, _plain(datadog.records)),
    _Format("tempo-search", tempo.is_search, tempo.records),
    _Format("signoz", signoz.is_span, _plain(_dump(signoz.spelled))),
    _Format("data-prepper", data_prepper.is_span, _plain(_dump(data_prepper.spelled))),
    _Format(SPAN_DICTS, consoles.is_go, _plain(_dump(consoles.of_go))),
    _Format(SPAN_DICTS, consoles.is_node, _plain(_dump(consoles.of_node))),
)


def _by_format(value: Object, reading: Reading) -> Iterable[ResourceSpans] | None:
    for known in _FORMATS:
        if known.recognises(value):
            reading.found(known.name)
            return known.records(value, reading)
    return None


def _otlp(value: Object, reading: Reading) -> Iterable[ResourceSpans] | None:
    """OTLP, whole or from its ResourceSpans or ScopeSpans on, or as Jaeger's API wraps it."""
    inner = value.get("result")
    whole = inner if isinstance(inner, dict) else value
    if any(isinstance(whole.get(key), list) for key in ("resourceSpans", "resource_spans")):
        reading.found(OTLP_JSON)
        return spellings.resource_spans(whole)
    if any(isinstance(value.get(key), list) for key in spellings.SCOPE_SPANS):
        reading.found(OTLP_JSON)
        return [spellings.one_resource(value)]
    if spellings.is_scope_spans(value):
        reading.found(OTLP_JSON)
        return [spellings.one_resource({"scopeSpans": [value]})]
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


def _table(value: Object, reading: Reading) -> Iterable[ResourceSpans] | None:
    rows = tables.rows(value, _is_row)
    return None if rows is None else groups(rows, reading)


def _is_row(value: Object) -> bool:
    """Whether an object is a span of a format whose spans tables hold."""
    return any(known.recognises(value) for known in _FORMATS) or spellings.is_span(value)


def _wrapper(value: Object, reading: Reading) -> Iterable[ResourceSpans] | None:
    """An object around a list of spans or of traces, such as {"spans": […]}.

    MLflow's traces have theirs in {"data": {"spans": […]}}, hits of Elasticsearch in `_source`.
    """
    inner = value.get("data")
    if isinstance(inner, dict) and isinstance(inner.get("spans"), list):
        return groups(inner["spans"], reading)
    hits = value.get("hits")
    if isinstance(hits, dict) and isinstance(hits.get("hits"), list):
        return groups(hits["hits"], reading)
    if isinstance(value.get(_HIT), dict):
        return groups(value[_HIT], reading)
    for key in _LISTS_OF_SPANS:
        if isinstance(value.get(key), list):
            if not value[key]:
                reading.found(_format_of_none(value, key))
            return groups(value[key], reading)
    return _graphql(value, reading)


def _format_of_none(value: Object, key: str) -> str:
    if key == "spans":
        return SPAN_DICTS
    return CLICKHOUSE if as_objects(value.get("meta")) else JAEGER_JSON


def _graphql(value: Object, reading: Reading) -> Iterable[ResourceSpans] | None:
    """What Phoenix's GraphQL API answers: spans anywhere below "data"."""
    found = list(_below(value["data"])) if isinstance(value.get("data"), dict) else []
    return groups(found, reading) if found else None


def _below(value: object) -> Iterator[Object]:
    if isinstance(value, dict) and phoenix.is_span(value):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _below(inner)


def _span(value: Object, reading: Reading) -> Iterable[ResourceSpans] | None:
    if not spellings.is_span(value):
        return None
    reading.found(SPAN_ROWS if value.keys() >= _OF_OUR_ROWS else SPAN_DICTS)
    unread = {
        key
        for key, inner in value.items()
        if (key == "children" or "attributes" not in value)
        and inner
        and (
            key in _FOREIGN_KEYS
            or key.startswith(_FOREIGN_PREFIXES)
            or (isinstance(inner, dict | list) and key not in spellings.READ_KEYS)
        )
    }
    if unread:
        names = ", ".join(map(repr, sorted(unread)[:_MAX_NAMED_KEYS]))
        reading.warn(
            "unread_keys", f"span of a form that is not known: what is in {names} is not read"
        )
    attributes = value.get("attributes")
    if isinstance(attributes, dict) and _OF_MLFLOW in attributes:
        value = value | {"attributes": {key: _unquoted(one) for key, one in attributes.items()}}
    return [spellings.single_span(value)]


def _unquoted(value: object) -> object:
    """A text out of its JSON, in which MLflow writes every attribute; all else as it is."""
    if not isinstance(value, str) or not value.startswith('"'):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeError):
        return value


def _log(value: Object, reading: Reading) -> Iterable[ResourceSpans] | None:
    if clickhouse.is_other(value):
        reading.found(CLICKHOUSE)
        reading.skip(1)
        return ()
    if langfuse.is_bare_trace(value):
        reading.unreadable(
            "no_observations",
            "is a Langfuse trace without its observations; export the observations instead",
        )
        return ()
    if _LOG_KEYS.isdisjoint(value):
        return None
    reading.found(OTLP_JSON)
    reading.skip(1)
    return ()


def _tree(value: Object, reading: Reading) -> Iterable[ResourceSpans] | None:
    return groups(list(trees.spans(value)), reading) if trees.is_tree(value) else None


def _refused(value: Object, reading: Reading) -> Iterable[ResourceSpans] | None:
    """What is known and not read, with what to do instead."""
    for applies, reason in _REFUSALS:
        if applies(value):
            reading.unreadable("unknown_shape", reason)
            return ()
    return None


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
    _refused,
    _tree,
    _by_format,
    _cloudwatch,
    _other_signal,
    _table,
    _wrapper,
    _span,
    _log,
    _spans_by_key,
)
