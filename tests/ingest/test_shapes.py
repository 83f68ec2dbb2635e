"""Each shape a trace comes in, in its smallest form, and the row that it must give."""

import json
from typing import Any

import pytest

from otelbudget.store.spans import SpanRow

TRACE = "5b8efff798038103d269b633813fc60c"
SPAN = "eee19b7ec3c1b174"
PARENT = "eee19b7ec3c1b173"
START = 1_640_000_000_123_456_789
END = 1_640_000_001_000_000_000
ROW = SpanRow(
    trace_id=TRACE,
    span_id=SPAN,
    parent_span_id=PARENT,
    trace_state=None,
    flags=None,
    name="chat",
    kind=3,
    start_time_unix_nano=START,
    end_time_unix_nano=END,
    status_code=2,
    status_message="boom",
    attributes='{"model":"gpt-4o","tokens":7}',
    dropped_attributes_count=0,
    events=None,
    dropped_events_count=0,
    links=None,
    dropped_links_count=0,
    scope_name="lib",
    scope_version="1.0",
    scope_attributes=None,
    scope_dropped_attributes_count=0,
    scope_schema_url=None,
    service_name="svc",
    resource_attributes='{"service.name":"svc"}',
    resource_dropped_attributes_count=0,
    resource_schema_url=None,
)

OTLP_SPAN = {
    "traceId": TRACE,
    "spanId": SPAN,
    "parentSpanId": PARENT,
    "name": "chat",
    "kind": 3,
    "startTimeUnixNano": str(START),
    "endTimeUnixNano": str(END),
    "attributes": [
        {"key": "model", "value": {"stringValue": "gpt-4o"}},
        {"key": "tokens", "value": {"intValue": "7"}},
    ],
    "status": {"code": 2, "message": "boom"},
}
SCOPE = {"name": "lib", "version": "1.0"}
RESOURCE = {"attributes": [{"key": "service.name", "value": {"stringValue": "svc"}}]}
RESOURCE_SPANS = {"resource": RESOURCE, "scopeSpans": [{"scope": SCOPE, "spans": [OTLP_SPAN]}]}
FLAT = {
    "trace_id": TRACE,
    "span_id": SPAN,
    "parent_span_id": PARENT,
    "name": "chat",
    "kind": "CLIENT",
    "start_time": START,
    "end_time": END,
    "attributes": {"model": "gpt-4o", "tokens": 7},
    "status": {"code": "ERROR", "description": "boom"},
    "scope": SCOPE,
    "resource": {"attributes": {"service.name": "svc"}},
}
SDK_JSON = {
    "name": "chat",
    "context": {"trace_id": "0x" + TRACE, "span_id": "0x" + SPAN, "trace_state": "[]"},
    "kind": "SpanKind.CLIENT",
    "parent_id": "0x" + PARENT,
    "start_time": "2021-12-20T11:33:20.123456789Z",
    "end_time": "2021-12-20T11:33:21.000000Z",
    "status": {"status_code": "ERROR", "description": "boom"},
    "attributes": {"model": "gpt-4o", "tokens": 7},
    "events": [],
    "links": [],
    "resource": {"attributes": {"service.name": "svc"}, "schema_url": ""},
    "instrumentation_info": SCOPE,
}
JAVASCRIPT = {
    "name": "chat",
    "spanContext": {"traceId": TRACE, "spanId": SPAN},
    "parentSpanContext": {"traceId": TRACE, "spanId": PARENT},
    "kind": 2,
    "startTime": [START // 10**9, START % 10**9],
    "endTime": [END // 10**9, 0],
    "attributes": {"model": "gpt-4o", "tokens": 7},
    "status": {"code": 2, "message": "boom"},
    "instrumentationScope": SCOPE,
    "resource": {"attributes": {"service.name": "svc"}},
}
ADOT = FLAT | {
    "startTimeUnixNano": START,
    "endTimeUnixNano": END,
    "status": {"code": "ERROR", "message": "boom"},
}
DATA_PREPPER = {
    "traceId": TRACE.upper(),
    "spanId": SPAN.upper(),
    "parentSpanId": PARENT,
    "name": "chat",
    "kind": "SPAN_KIND_CLIENT",
    "startTime": "2021-12-20T11:33:20.123456789Z",
    "durationInNanos": END - START,
    "attributes": {"model": "gpt-4o", "tokens": 7},
    "status": {"code": 2, "message": "boom"},
    "serviceName": "svc",
    "instrumentationScope": SCOPE,
}
LOG = {"traceId": TRACE, "spanId": SPAN, "body": "hello", "severityText": "INFO"}


def line(value: object) -> bytes:
    return json.dumps(value).encode() + b"\n"


@pytest.mark.parametrize(
    ("text", "format_name"),
    [
        pytest.param(line({"resourceSpans": [RESOURCE_SPANS]}), "otlp-json", id="one export"),
        pytest.param(line([{"resourceSpans": [RESOURCE_SPANS]}]), "otlp-json", id="array"),
        pytest.param(line(RESOURCE_SPANS), "otlp-json", id="bare ResourceSpans"),
        pytest.param(line([RESOURCE_SPANS]), "otlp-json", id="array of ResourceSpans"),
        pytest.param(line({"batches": [RESOURCE_SPANS]}), "tempo-json", id="Tempo"),
        pytest.param(
            line({"trace": {"resourceSpans": [RESOURCE_SPANS]}}), "tempo-json", id="Tempo v2"
        ),
        pytest.param(
            line(
                {
                    "resourceSpans": [
                        {
                            "resource": RESOURCE,
                            "instrumentationLibrarySpans": [
                                {"instrumentationLibrary": SCOPE, "spans": [OTLP_SPAN]}
                            ],
                        }
                    ]
                }
            ),
            "otlp-json",
            id="instrumentation library",
        ),
        pytest.param(line([FLAT]), "span-dicts", id="list of spans"),
        pytest.param(line(FLAT), "span-dicts", id="line of a span"),
        pytest.param(line({"session_id": "s", "spans": [FLAT]}), "span-dicts", id="wrapper"),
        pytest.param(line({"chat": [FLAT]}), "span-dicts", id="lists under keys"),
        pytest.param(json.dumps(SDK_JSON, indent=4).encode(), "span-dicts", id="console exporter"),
        pytest.param(line([JAVASCRIPT]), "span-dicts", id="JavaScript SDK"),
        pytest.param(line(DATA_PREPPER), "span-dicts", id="Data Prepper"),
        pytest.param(line([{"raw_otel_json": ADOT}]), "cloudwatch", id="CloudWatch"),
        pytest.param(
            line([{"raw_otel_json": json.dumps(ADOT)}]), "cloudwatch", id="CloudWatch, as a string"
        ),
    ],
)
def test_a_span_gives_the_same_row_in_every_shape(
    text: bytes, format_name: str, read_bytes: Any
) -> None:
    read = read_bytes(text)

    assert read.rows == [ROW]
    assert read.report.formats == {format_name: 1}
    assert read.report.warnings == []


JAEGER_SPAN = {
    "traceID": TRACE,
    "spanID": SPAN,
    "operationName": "chat",
    "references": [{"refType": "CHILD_OF", "traceID": TRACE, "spanID": PARENT}],
    "startTime": 1_640_000_000_123_456,
    "duration": 1_000,
    "tags": [
        {"key": "otel.scope.name", "type": "string", "value": "lib"},
        {"key": "otel.scope.version", "type": "string", "value": "1.0"},
        {"key": "span.kind", "type": "string", "value": "client"},
        {"key": "otel.status_code", "type": "string", "value": "ERROR"},
        {"key": "otel.status_description", "type": "string", "value": "boom"},
        {"key": "tokens", "type": "int64", "value": "7"},
    ],
    "logs": [
        {
            "timestamp": 1_640_000_000_123_457,
            "fields": [{"key": "event", "type": "string", "value": "retry"}],
        }
    ],
    "processID": "p1",
}
PROCESSES = {"p1": {"serviceName": "svc", "tags": [{"key": "host", "value": "h"}]}}


def jaeger(**changes: object) -> bytes:
    trace = {"traceID": TRACE, "spans": [JAEGER_SPAN | changes], "processes": PROCESSES}
    return line({"data": [trace]})


def test_jaeger_tags_become_the_fields_that_they_stand_for(read_bytes: Any) -> None:
    read = read_bytes(jaeger())

    assert read.report.formats == {"jaeger-json": 1}
    assert read.rows == [
        ROW._replace(
            start_time_unix_nano=1_640_000_000_123_456_000,
            end_time_unix_nano=1_640_000_000_124_456_000,
            attributes=(
                '{"otel.scope.name":"lib","otel.scope.version":"1.0",'
                '"otel.status_code":"ERROR","otel.status_description":"boom",'
                '"span.kind":"client","tokens":7}'
            ),
            events='[{"attributes":{},"name":"retry","time_unix_nano":1640000000123457000}]',
            resource_attributes='{"host":"h","service.name":"svc"}',
        )
    ]


@pytest.mark.parametrize(
    ("references", "parent", "links"),
    [
        pytest.param([], None, None, id="root"),
        pytest.param([{"refType": "FOLLOWS_FROM", "spanID": "A1"}], "a1", None, id="follows"),
        pytest.param(
            [
                {"refType": "FOLLOWS_FROM", "traceID": TRACE, "spanID": "a1"},
                {"refType": "CHILD_OF", "traceID": TRACE, "spanID": "b2"},
            ],
            "b2",
            f'[{{"attributes":{{}},"span_id":"a1","trace_id":"{TRACE}"}}]',
            id="child wins, the other is a link",
        ),
        pytest.param(
            [{"refType": "CHILD_OF", "traceID": "cc", "spanID": "a1"}],
            None,
            '[{"attributes":{},"span_id":"a1","trace_id":"cc"}]',
            id="of another trace",
        ),
    ],
)
def test_jaeger_references(
    references: object, parent: str | None, links: str | None, read_bytes: Any
) -> None:
    (row,) = read_bytes(jaeger(references=references)).rows

    assert (row.parent_span_id, row.links) == (parent, links)


def test_a_jaeger_error_tag_is_an_error_status(read_bytes: Any) -> None:
    tags = [{"key": "error", "type": "bool", "value": True}]

    (row,) = read_bytes(jaeger(tags=tags)).rows

    assert (row.status_code, row.scope_name) == (2, "")


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        pytest.param({"stringValue": ""}, '""', id="empty string"),
        pytest.param({"intValue": 7}, "7", id="int as number"),
        pytest.param({"intValue": "-7"}, "-7", id="int as text"),
        pytest.param({"intValue": "9223372036854775807"}, "9223372036854775807", id="largest int"),
        pytest.param({"intValue": "7e"}, '"7e"', id="no int"),
        pytest.param({"doubleValue": 0.5}, "0.5", id="double"),
        pytest.param({"doubleValue": "0.5"}, "0.5", id="double as text"),
        pytest.param({"doubleValue": "NaN"}, '"NaN"', id="NaN"),
        pytest.param({"doubleValue": "-Infinity"}, '"-Infinity"', id="infinite"),
        pytest.param({"boolValue": False}, "false", id="bool"),
        pytest.param(
            {"arrayValue": {"values": [{"stringValue": "a"}, {"intValue": "1"}]}},
            '["a",1]',
            id="array",
        ),
        pytest.param({"arrayValue": {}}, "[]", id="empty array"),
        pytest.param(
            {"kvlistValue": {"values": [{"key": "k", "value": {"boolValue": True}}]}},
            '{"k":true}',
            id="map",
        ),
        pytest.param({"bytesValue": "aGk="}, '{"bytesValue":"aGk="}', id="bytes"),
        pytest.param({}, "null", id="no value"),
    ],
)
@pytest.mark.parametrize("links", [None, []], ids=["general", "typed"])
def test_attribute_values(value: object, stored: str, links: object, read_bytes: Any) -> None:
    span = OTLP_SPAN | {"attributes": [{"key": "a", "value": value}], "links": links}

    (row,) = read_bytes(line({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]})).rows

    assert row.attributes == f'{{"a":{stored}}}'
    assert row.kind == 3


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        pytest.param(TRACE.upper(), TRACE, id="upper case"),
        pytest.param("0x" + TRACE, TRACE, id="0x"),
        pytest.param("W47/95gDgQPSabYzgT/GDA==", TRACE, id="base64"),
        pytest.param("0xA1", "a1".rjust(32, "0"), id="0x without leading zeros"),
        pytest.param("W47/95gDgQPSabYzgT/GDA", TRACE, id="base64 without padding"),
        pytest.param("W47_95gDgQPSabYzgT_GDA==", TRACE, id="base64 for URLs"),
        pytest.param("5B8EFFF7-9803-8103-D269-B633813FC60C", TRACE, id="UUID"),
        pytest.param("LLM-Trace-0", "llm-trace-0", id="the emitter's own"),
        pytest.param("trace000004", "trace000004", id="the emitter's own, of 11 letters"),
        pytest.param("abcdefghijk=", "69b71d79f8218a39", id="base64 of 8 bytes"),
        pytest.param("not base64==", "not base64==", id="no base64"),
    ],
)
def test_trace_ids(given: str, kept: str, read_bytes: Any) -> None:
    (row,) = read_bytes(line(FLAT | {"trace_id": given})).rows

    assert row.trace_id == kept


@pytest.mark.parametrize("parent", ["", "0000000000000000", "AAAAAAAAAAA=", None])
def test_an_empty_parent_is_none(parent: str | None, read_bytes: Any) -> None:
    (row,) = read_bytes(line(FLAT | {"parent_span_id": parent})).rows

    assert row.parent_span_id is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param("2021-12-20T11:33:20Z", 1_640_000_000_000_000_000, id="seconds"),
        pytest.param("2021-12-20T11:33:20.1Z", 1_640_000_000_100_000_000, id="tenths"),
        pytest.param("2021-12-20 11:33:20.000000001", 1_640_000_000_000_000_001, id="no zone"),
        pytest.param("2021-12-20T13:33:20+02:00", 1_640_000_000_000_000_000, id="zone"),
        pytest.param("2021-12-20T06:03:20-0530", 1_640_000_000_000_000_000, id="zone, west"),
        pytest.param("2021-12-20 13:33:20+02", 1_640_000_000_000_000_000, id="zone, hours"),
        pytest.param("1640000000000000001", 1_640_000_000_000_000_001, id="digits"),
        pytest.param([1_640_000_000, 5], 1_640_000_000_000_000_005, id="hrtime"),
    ],
)
def test_times_are_read_exactly(given: object, expected: int, read_bytes: Any) -> None:
    read = read_bytes(line(FLAT | {"start_time": given}))

    assert read.rows[0].start_time_unix_nano == expected
    assert read.codes() == {}


@pytest.mark.parametrize("given", ["2021-13-20T11:33:20Z", "soon", 1.5, True, 2**63, -1, [1]])
def test_a_time_that_cannot_be_read_is_none_and_reported(given: object, read_bytes: Any) -> None:
    read = read_bytes(line(FLAT | {"start_time": given}))

    assert read.rows[0].start_time_unix_nano is None
    assert read.codes() == {"unreadable_time": 1}


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(1_640_000_000.5, id="seconds"),
        pytest.param(1_640_000_000_500, id="milliseconds"),
        pytest.param("1640000000500", id="text"),
        pytest.param(1_640_000_000_500_000, id="microseconds"),
    ],
)
def test_a_time_whose_key_names_no_unit_is_read_by_its_size(given: object, read_bytes: Any) -> None:
    read = read_bytes(line(FLAT | {"start_time": given}))

    assert read.rows[0].start_time_unix_nano == 1_640_000_000_500_000_000
    assert "implausible_time" not in read.codes()


@pytest.mark.parametrize(
    ("given", "expected", "said"),
    [
        pytest.param(
            1_640_000_000_500, 1_640_000_000_500_000_000, "no nanoseconds", id="milliseconds"
        ),
        pytest.param(5, None, "it is left out", id="a counter"),
    ],
)
def test_a_time_in_nanoseconds_before_2000_is_reported(
    given: int, expected: int | None, said: str, read_bytes: Any
) -> None:
    span = {"traceId": "a1", "spanId": "b2", "name": "x", "startTimeUnixNano": given}

    read = read_bytes(line({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}))

    assert read.rows[0].start_time_unix_nano == expected
    assert read.codes() == {"implausible_time": 1}
    assert said in read.report.warnings[0].example


def test_an_open_span_has_no_end(read_bytes: Any) -> None:
    read = read_bytes(line(FLAT | {"end_time": None}))

    assert read.rows[0].end_time_unix_nano is None
    assert read.codes() == {}


def test_an_end_before_the_start_stays_and_is_reported(read_bytes: Any) -> None:
    read = read_bytes(line(FLAT | {"end_time": START - 1}))

    assert read.rows[0].end_time_unix_nano == START - 1
    assert read.codes() == {"clock_skew": 1}


def test_spans_without_ids_get_the_same_ones_again(read_bytes: Any) -> None:
    nameless = {"spanName": "chat", "scopeName": "lib", "attributes": {"tokens": 7}}
    text = line(nameless) + line(nameless)

    first, second = read_bytes(text), read_bytes(text)

    assert first.rows == second.rows
    assert len({(row.trace_id, row.span_id) for row in first.rows}) == 2
    assert {(len(row.trace_id), len(row.span_id)) for row in first.rows} == {(32, 16)}
    assert first.rows[0].start_time_unix_nano is None
    assert first.codes() == {"made_up_ids": 2}


def test_log_records_and_metrics_are_skipped_and_counted(read_bytes: Any) -> None:
    logs = {"resourceLogs": [{"scopeLogs": [{"logRecords": [LOG, LOG]}]}]}
    metrics = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "m"}]}]}]}
    cloudwatch = {"raw_otel_json": LOG}

    read = read_bytes(line(logs) + line(metrics) + line(cloudwatch) + line(LOG) + line(FLAT))

    assert len(read.rows) == 1
    assert (read.report.skipped_records, read.report.unreadable) == (5, 0)
    assert read.codes() == {"log_records": 5}


def test_events_and_links_of_sdk_spans(read_bytes: Any) -> None:
    events = [{"name": "e", "timestamp": "2021-12-20T11:33:20Z", "attributes": {"a": 1}}]
    links = [{"context": {"trace_id": "0x" + TRACE, "span_id": "0x" + SPAN}, "attributes": {}}]

    (row,) = read_bytes(line(SDK_JSON | {"events": events, "links": links})).rows

    assert row.events == (
        '[{"attributes":{"a":1},"name":"e","time_unix_nano":1640000000000000000}]'
    )
    assert row.links == f'[{{"attributes":{{}},"span_id":"{SPAN}","trace_id":"{TRACE}"}}]'


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"kind": 99}, {"kind": 0}, id="kind"),
        pytest.param(
            {"status": {"code": -1}}, {"status_code": 0, "status_message": None}, id="status"
        ),
        pytest.param({"flags": 2**40}, {"flags": None}, id="flags"),
        pytest.param(
            {"droppedAttributesCount": 2**70},
            {"dropped_attributes_count": 2**32 - 1},
            id="dropped attributes",
        ),
        pytest.param({"droppedLinksCount": -5}, {"dropped_links_count": 0}, id="dropped links"),
    ],
)
def test_numbers_out_of_range_do_not_reach_the_store(
    changes: dict[str, object], expected: dict[str, object], read_bytes: Any
) -> None:
    resource_spans = {"scopeSpans": [{"spans": [OTLP_SPAN | changes]}]}

    (row,) = read_bytes(line({"resourceSpans": [resource_spans]})).rows

    assert {name: getattr(row, name) for name in expected} == expected
