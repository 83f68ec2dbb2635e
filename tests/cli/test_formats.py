"""The sample traces, written in every format that is read, cost the same in each.

The writers here are small and know nothing of the readers: what they write follows the source that
is named in the reader of each format.
"""

import base64
import gzip
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import pytest

Json = dict[str, Any]
SAMPLE = Path(__file__).parents[2] / "sample_traces" / "traces.jsonl"
EVERY = 5  # of the sample's traces one in five, so that all formats take seconds
KINDS = ("Unspecified", "Internal", "Server", "Client", "Producer", "Consumer")
CODES = ("Unset", "Ok", "Error")
FACTS = (
    "traces",
    "model_calls",
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_write_input_tokens",
    "list_cost_usd",
    "unpriced_calls",
    "calls_without_usage",
    "calls_without_time",
)


class Given(NamedTuple):
    """A span of the sample with plain values."""

    trace_id: str
    span_id: str
    parent: str
    name: str
    kind: int
    start: int
    end: int
    code: int
    message: str
    attributes: Json
    scope: Json
    resource: Json


def plain(value: Json) -> Any:
    ((kind, inner),) = value.items()
    if kind == "arrayValue":
        return [plain(item) for item in inner["values"]]
    return int(inner) if kind == "intValue" else inner


def attributes(pairs: Iterable[Json]) -> Json:
    return {pair["key"]: plain(pair["value"]) for pair in pairs}


def sample() -> Iterator[Given]:
    for line in islice(SAMPLE.open(encoding="utf-8"), 0, None, EVERY):
        for group in json.loads(line)["resourceSpans"]:
            resource = attributes(group["resource"]["attributes"])
            for part in group["scopeSpans"]:
                for span in part["spans"]:
                    yield Given(
                        span["traceId"],
                        span["spanId"],
                        span.get("parentSpanId", ""),
                        span["name"],
                        span["kind"],
                        int(span["startTimeUnixNano"]),
                        int(span["endTimeUnixNano"]),
                        span["status"].get("code", 0),
                        span["status"].get("message", ""),
                        attributes(span["attributes"]),
                        part["scope"],
                        resource,
                    )


SPANS = list(sample())


def lines(values: Iterable[object]) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def iso(nanos: int, separator: str = "T", zone: str = "Z") -> str:
    time = datetime.fromtimestamp(nanos // 10**9, UTC)
    return f"{time:%Y-%m-%d}{separator}{time:%H:%M:%S}.{nanos % 10**9:09d}{zone}"


def text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def texts(values: Json) -> Json:
    return {key: text(value) for key, value in values.items()}


def nested(values: Json) -> Json:
    made: Json = {}
    for key, value in values.items():
        *path, last = key.split(".")
        place = made
        for part in path:
            place = place.setdefault(part, {})
        place[last] = value
    return made


def otlp_value(value: Any) -> Json:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case list():
            return {"arrayValue": {"values": [otlp_value(item) for item in value]}}
        case _:
            return {"stringValue": value}


def otlp_attributes(values: Json) -> list[Json]:
    return [{"key": key, "value": otlp_value(value)} for key, value in values.items()]


def otlp(span: Given) -> Json:
    return {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "parentSpanId": span.parent,
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": str(span.start),
        "endTimeUnixNano": str(span.end),
        "attributes": otlp_attributes(span.attributes),
        "status": {"code": span.code, "message": span.message},
    }


def scope_spans(span: Given) -> Json:
    return {"scope": span.scope, "spans": [otlp(span)]}


def resource_spans(span: Given) -> Json:
    return {
        "resource": {"attributes": otlp_attributes(span.resource)},
        "scopeSpans": [scope_spans(span)],
    }


def base64_ids(span: Json) -> Json:
    ids = ("traceId", "spanId", "parentSpanId")
    made = {key: base64.b64encode(bytes.fromhex(span[key])).decode() for key in ids}
    return span | made | {"kind": f"SPAN_KIND_{KINDS[span['kind']].upper()}"}


def tempo(spans: list[Given]) -> bytes:
    groups = [resource_spans(span) for span in spans]
    for group in groups:
        group["scopeSpans"][0]["spans"] = [base64_ids(group["scopeSpans"][0]["spans"][0])]
    return json.dumps({"batches": groups}).encode()


def snake_case(spans: list[Given]) -> bytes:
    """What MessageToDict gives with preserving_proto_field_name."""
    groups = [
        {
            "resource": {"attributes": []},
            "scope_spans": [
                {
                    "scope": span.scope,
                    "spans": [
                        {
                            "trace_id": base64.b64encode(bytes.fromhex(span.trace_id)).decode(),
                            "span_id": base64.b64encode(bytes.fromhex(span.span_id)).decode(),
                            "parent_span_id": base64.b64encode(bytes.fromhex(span.parent)).decode(),
                            "name": span.name,
                            "kind": f"SPAN_KIND_{KINDS[span.kind].upper()}",
                            "start_time_unix_nano": str(span.start),
                            "end_time_unix_nano": str(span.end),
                            "attributes": [
                                {
                                    "key": pair["key"],
                                    "value": {
                                        kind.replace("V", "_v"): inner
                                        for kind, inner in pair["value"].items()
                                    },
                                }
                                for pair in otlp_attributes(span.attributes)
                            ],
                            "status": {"code": f"STATUS_CODE_{CODES[span.code].upper()}"},
                        }
                    ],
                }
            ],
        }
        for span in spans
    ]
    return json.dumps({"resource_spans": groups}).encode()


def jaeger(spans: list[Given]) -> bytes:
    traces: dict[str, Json] = {}
    for span in spans:
        trace = traces.setdefault(
            span.trace_id,
            {
                "traceID": span.trace_id,
                "spans": [],
                "processes": {"p1": {"serviceName": span.resource["service.name"], "tags": []}},
            },
        )
        tags = tagged(span) | {"span.kind": KINDS[span.kind].lower()}
        parent = {"refType": "CHILD_OF", "traceID": span.trace_id, "spanID": span.parent}
        trace["spans"].append(
            {
                "traceID": span.trace_id,
                "spanID": span.span_id,
                "operationName": span.name,
                "references": [parent] if span.parent else [],
                "startTime": span.start // 1000,
                "duration": (span.end - span.start) // 1000,
                "tags": [{"key": key, "value": text(value)} for key, value in tags.items()],
                "processID": "p1",
            }
        )
    return json.dumps({"data": list(traces.values())}).encode()


def tagged(span: Given) -> Json:
    """Tags for formats without scope and status."""
    tags = span.attributes | {"otel.scope.name": span.scope["name"]}
    return tags | ({"otel.status_code": CODES[span.code].upper()} if span.code else {})


def zipkin(span: Given) -> Json:
    made = {
        "traceId": span.trace_id,
        "id": span.span_id,
        "name": span.name.lower(),
        "timestamp": span.start // 1000,
        "duration": (span.end - span.start) // 1000,
        "localEndpoint": {"serviceName": span.resource["service.name"]},
        "tags": texts(tagged(span)) | ({"error": span.message} if span.code == 2 else {}),
    }
    parent = {"parentId": span.parent} if span.parent else {}
    return made | parent | ({"kind": KINDS[span.kind].upper()} if span.kind > 1 else {})


def console(span: Given) -> Json:
    """Python's ConsoleSpanExporter, which writes no scope."""
    return {
        "name": span.name,
        "context": {
            "trace_id": f"0x{span.trace_id}",
            "span_id": f"0x{span.span_id}",
            "trace_state": "[]",
        },
        "kind": f"SpanKind.{KINDS[span.kind].upper()}",
        "parent_id": f"0x{span.parent}" if span.parent else None,
        "start_time": iso(span.start)[:-4] + "Z",
        "end_time": iso(span.end)[:-4] + "Z",
        "status": {"status_code": CODES[span.code].upper()},
        "attributes": span.attributes,
        "events": [],
        "links": [],
        "resource": {"attributes": span.resource, "schema_url": ""},
    }


def javascript(span: Given) -> Json:
    """JSON.stringify of a span of the JavaScript SDK."""
    context = {"traceId": span.trace_id, "spanId": span.span_id, "traceFlags": 1}
    return {
        "name": span.name,
        "kind": span.kind - 1,
        "_spanContext": context,
        "parentSpanContext": context | {"spanId": span.parent} if span.parent else None,
        "startTime": [span.start // 10**9, span.start % 10**9],
        "endTime": [span.end // 10**9, span.end % 10**9],
        "attributes": span.attributes,
        "status": {"code": span.code},
        "resource": {"_rawAttributes": list(map(list, span.resource.items()))},
        "instrumentationScope": span.scope,
    }


def node(span: Given) -> Json:
    """What Node's console exporter prints, written as JSON."""
    return {
        "resource": {"attributes": span.resource},
        "instrumentationScope": span.scope,
        "traceId": span.trace_id,
        "parentSpanContext": {"spanId": span.parent} if span.parent else None,
        "name": span.name,
        "id": span.span_id,
        "kind": span.kind - 1,
        "timestamp": span.start // 1000,
        "duration": (span.end - span.start) / 1000,
        "attributes": span.attributes,
        "status": {"code": span.code},
        "events": [],
        "links": [],
    }


def go(span: Given) -> Json:
    def key_values(values: Json) -> list[Json]:
        return [{"Key": key, "Value": {"Type": "", "Value": each}} for key, each in values.items()]

    return {
        "Name": span.name,
        "SpanContext": {"TraceID": span.trace_id, "SpanID": span.span_id, "TraceFlags": "01"},
        "Parent": {"TraceID": span.trace_id, "SpanID": span.parent or "0" * 16},
        "SpanKind": span.kind,
        "StartTime": iso(span.start),
        "EndTime": iso(span.end),
        "Attributes": key_values(span.attributes),
        "Events": None,
        "Links": None,
        "Status": {"Code": CODES[span.code], "Description": span.message},
        "Resource": key_values(span.resource),
        "InstrumentationScope": {"Name": span.scope["name"], "Version": "1", "SchemaURL": ""},
    }


def clickhouse(span: Given) -> Json:
    return {
        "Timestamp": iso(span.start, " ", ""),
        "TraceId": span.trace_id,
        "SpanId": span.span_id,
        "ParentSpanId": span.parent,
        "TraceState": "",
        "SpanName": span.name,
        "SpanKind": KINDS[span.kind],
        "ServiceName": span.resource["service.name"],
        "ResourceAttributes": texts(span.resource),
        "ScopeName": span.scope["name"],
        "ScopeVersion": span.scope.get("version", ""),
        "SpanAttributes": texts(span.attributes),
        "Duration": str(span.end - span.start),
        "StatusCode": CODES[span.code],
        "StatusMessage": span.message,
        "Events.Timestamp": [],
        "Events.Name": [],
        "Events.Attributes": [],
    }


def clickhouse_of_json_type(span: Given) -> Json:
    columns = {
        "ResourceAttributes": nested(span.resource),
        "SpanAttributes": nested(span.attributes),
        "Timestamp": f"{span.start // 10**9}.{span.start % 10**9:09d}",
    }
    return clickhouse(span) | columns


def clickhouse_compact(spans: list[Given]) -> bytes:
    table = [clickhouse(span) for span in spans]
    meta = [{"name": name, "type": "String"} for name in table[0]]
    return json.dumps({"meta": meta, "data": [list(row.values()) for row in table]}).encode()


def clickhouse_columns(spans: list[Given]) -> bytes:
    table = [clickhouse(span) for span in spans]
    return json.dumps({name: [row[name] for row in table] for name in table[0]}).encode()


OPENINFERENCE = {
    "gen_ai.usage.input_tokens": "llm.token_count.prompt",
    "gen_ai.usage.output_tokens": "llm.token_count.completion",
    "gen_ai.usage.cache_read.input_tokens": "llm.token_count.prompt_details.cache_read",
    "gen_ai.usage.cache_write.input_tokens": "llm.token_count.prompt_details.cache_write",
    "gen_ai.request.model": "llm.model_name",
    "gen_ai.provider.name": "llm.provider",
}
SPAN_KINDS = {"chat": "LLM", "invoke_agent": "AGENT", "execute_tool": "TOOL"}


def phoenix(span: Given) -> Json:
    named = {OPENINFERENCE.get(key, key): value for key, value in span.attributes.items()}
    operation = named.pop("gen_ai.operation.name", "")
    return {
        "id": "U3Bhbjox",
        "name": span.name,
        "context": {"trace_id": span.trace_id, "span_id": span.span_id},
        "span_kind": SPAN_KINDS.get(operation, "UNKNOWN"),
        "parent_id": span.parent or None,
        "start_time": iso(span.start, zone="+00:00"),
        "end_time": iso(span.end, zone="+00:00"),
        "status_code": CODES[span.code].upper(),
        "status_message": span.message,
        "attributes": named,
        "events": [],
    }


def phoenix_row(span: Given) -> Json:
    row = phoenix(span)
    columns = {f"attributes.{key}": value for key, value in row.pop("attributes").items()}
    context = row.pop("context")
    return row | columns | {f"context.{key}": value for key, value in context.items()}


def phoenix_columns(spans: list[Given]) -> bytes:
    """DataFrame.to_json: the index is the span id, times are milliseconds, what lacks is null."""
    table: dict[str, Json] = defaultdict(dict)
    rows = [phoenix_row(span) for span in spans]
    names = {name for row in rows for name in row} - {"context.span_id"}
    for span, row in zip(spans, rows, strict=True):
        times = {"start_time": span.start // 10**6, "end_time": span.end // 10**6}
        for name in names:
            table[name][span.span_id] = (row | times).get(name)
    return json.dumps(table).encode()


TYPES = {"chat": "GENERATION", "invoke_agent": "AGENT", "execute_tool": "TOOL"}


def buckets(values: Json) -> Json:
    if "gen_ai.usage.input_tokens" not in values:
        return {}
    read = values.get("gen_ai.usage.cache_read.input_tokens", 0)
    write = values.get("gen_ai.usage.cache_write.input_tokens", 0)
    counted = {
        "input": values["gen_ai.usage.input_tokens"] - read - write,
        "output": values["gen_ai.usage.output_tokens"],
        "input_cached_tokens": read,
        "input_cache_creation": write,
    }
    return counted | {"total": sum(counted.values())}


def langfuse(span: Given) -> Json:
    """A row of a blob storage export, of a span that came in by OpenTelemetry."""
    of_otel = {
        "attributes": {"gen_ai.provider.name": span.attributes.get("gen_ai.provider.name")},
        "resourceAttributes": span.resource,
        "scope": span.scope,
    }
    requested = span.attributes.get("gen_ai.request.model", "")
    return {
        "id": span.span_id,
        "trace_id": span.trace_id,
        "project_id": "p",
        "type": TYPES.get(span.attributes.get("gen_ai.operation.name", ""), "SPAN"),
        "parent_observation_id": span.parent,
        "start_time": iso(span.start, " ", "")[:-3],
        "end_time": iso(span.end, " ", "")[:-3],
        "name": span.name,
        "metadata": texts(of_otel),
        "level": "ERROR" if span.code == 2 else "DEFAULT",
        "status_message": span.message,
        "provided_model_name": span.attributes.get("gen_ai.response.model", requested),
        "usage_details": buckets(span.attributes),
        "cost_details": {},
        "total_cost": 0,
    }


CAMEL = {
    "trace_id": "traceId",
    "parent_observation_id": "parentObservationId",
    "start_time": "startTime",
    "end_time": "endTime",
    "status_message": "statusMessage",
    "provided_model_name": "model",
    "usage_details": "usageDetails",
    "cost_details": "costDetails",
    "total_cost": "totalCost",
}


def langfuse_traces(spans: list[Given]) -> bytes:
    """Traces with their observations, as the user interface gives them."""
    traces: dict[str, list[Json]] = defaultdict(list)
    for span in spans:
        named = {CAMEL.get(key, key): value for key, value in langfuse(span).items()}
        times = {"startTime": iso(span.start), "endTime": iso(span.end)}
        traces[span.trace_id].append(named | times)
    return lines(
        {"trace": {"id": key, "name": "t", "observations": parts}, "observations": parts}
        for key, parts in traces.items()
    )


def our_rows(span: Given) -> Json:
    return {
        "trace_id": span.trace_id,
        "span_id": span.span_id,
        "parent_span_id": span.parent or None,
        "name": span.name,
        "kind": span.kind,
        "start_time_unix_nano": span.start,
        "end_time_unix_nano": span.end,
        "status_code": span.code,
        "attributes": json.dumps(span.attributes),
        "scope_name": span.scope["name"],
        "service_name": span.resource["service.name"],
        "resource_attributes": json.dumps(span.resource),
    }


def each(write: Callable[[Given], Json]) -> Callable[[list[Given]], bytes]:
    return lambda spans: lines(map(write, spans))


def array(write: Callable[[Given], Json]) -> Callable[[list[Given]], bytes]:
    return lambda spans: json.dumps([write(span) for span in spans]).encode()


def pretty(write: Callable[[Given], Json]) -> Callable[[list[Given]], bytes]:
    return lambda spans: b"\n".join(json.dumps(write(span), indent=4).encode() for span in spans)


WRITERS = {
    "otlp, as Jaeger's API wraps it": (
        "otlp-json",
        lambda spans: lines(
            [{"result": {"resourceSpans": [resource_spans(span) for span in spans]}}]
        ),
    ),
    "otlp, bare ScopeSpans": ("otlp-json", each(scope_spans)),
    "otlp, list of ResourceSpans": ("otlp-json", array(resource_spans)),
    "otlp, MessageToDict": ("otlp-json", snake_case),
    "Tempo": ("tempo-json", tempo),
    "Jaeger": ("jaeger-json", jaeger),
    "Zipkin, array": ("zipkin", array(zipkin)),
    "Zipkin, lines": ("zipkin", each(zipkin)),
    "Python console": ("span-dicts", pretty(console)),
    "JavaScript span": ("span-dicts", array(javascript)),
    "Node console": ("span-dicts", pretty(node)),
    "Go stdout": ("span-dicts", pretty(go)),
    "ClickHouse, JSONEachRow": ("clickhouse", each(clickhouse)),
    "ClickHouse, gzip": ("clickhouse", lambda spans: gzip.compress(each(clickhouse)(spans))),
    "ClickHouse, JSON type": ("clickhouse", each(clickhouse_of_json_type)),
    "ClickHouse, JSON": (
        "clickhouse",
        lambda spans: lines([{"meta": [{"name": "x"}], "data": list(map(clickhouse, spans))}]),
    ),
    "ClickHouse, JSONCompact": ("clickhouse", clickhouse_compact),
    "ClickHouse, JSONColumns": ("clickhouse", clickhouse_columns),
    "Phoenix, REST": ("phoenix", lambda spans: lines([{"data": list(map(phoenix, spans))}])),
    "Phoenix, nested attributes": (
        "phoenix",
        array(lambda span: phoenix(span) | {"attributes": nested(phoenix(span)["attributes"])}),
    ),
    "Phoenix, dataframe rows": ("phoenix", each(phoenix_row)),
    "Phoenix, dataframe columns": ("phoenix", phoenix_columns),
    "Langfuse, blob storage": ("langfuse", each(langfuse)),
    "Langfuse, traces": ("langfuse", langfuse_traces),
    "our own rows": ("span-rows", each(our_rows)),
}


def facts(answer: Json) -> Json:
    by_model = {
        group["key"]["model"]: group["list_cost_usd"] for group in answer["groups"] if group["key"]
    }
    return {fact: answer["totals"][fact] for fact in FACTS} | by_model


@pytest.fixture(name="expected", scope="module")
def expected_fixture() -> Json:
    return {}


@pytest.mark.parametrize(
    ("format_name", "write"),
    [pytest.param(*case, id=name) for name, case in WRITERS.items()],
)
def test_every_format_gives_the_same_calls_tokens_and_cost(
    format_name: str,
    write: Callable[[list[Given]], bytes],
    expected: Json,
    tmp_path: Path,
    run: Any,
) -> None:
    if not expected:
        path = tmp_path / "otlp"
        path.write_bytes(lines({"resourceSpans": [resource_spans(span)]} for span in SPANS))
        expected |= facts(run("audit", path, "--by", "model", "--format", "json").json)
    path = tmp_path / "export"
    path.write_bytes(write(SPANS))

    answer = run("audit", path, "--by", "model", "--format", "json").json

    assert facts(answer) == expected
    assert answer["input"]["formats"] == {format_name: 1}
    assert answer["input"]["spans"] == len(SPANS)
    assert answer["input"]["warnings"] == []
