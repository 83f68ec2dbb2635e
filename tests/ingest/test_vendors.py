"""What only one vendor's format does, as its documentation or its source shows it."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelbudget.ingest import ReadReport, fields, shapes
from otelbudget.ingest.records import UNREADABLE_TIME
from otelbudget.ingest.report import Reading
from otelbudget.ingest.rows import span_rows
from otelbudget.store.spans import Content, SpanRow

Json = dict[str, Any]
TRACE = "5b8efff798038103d269b633813fc60c"
SPAN = "eee19b7ec3c1b174"
PARENT = "eee19b7ec3c1b173"
SECOND = 10**9
START = 1_640_000_000 * SECOND


def line(value: object) -> bytes:
    return json.dumps(value).encode() + b"\n"


def only(read: Any, *codes: str) -> SpanRow:
    assert set(read.codes()) == set(codes)
    assert len(read.rows) == 1
    row: SpanRow = read.rows[0]
    return row


def attributes(row: SpanRow) -> Json:
    found: Json = json.loads(row.attributes)
    return found


ZIPKIN = {
    "traceId": "d269b633813fc60c",
    "id": SPAN,
    "parentId": PARENT,
    "name": "chat gpt-4o",
    "timestamp": 1_640_000_000_000_001,
    "duration": 1_000_000,
    "kind": "CLIENT",
    "localEndpoint": {"serviceName": "svc", "ipv4": "10.0.0.1"},
    "remoteEndpoint": {"serviceName": "openai"},
    "tags": {"gen_ai.usage.input_tokens": "7", "otel.scope.name": "lib"},
}


def test_a_zipkin_span_of_64_bit_trace_ids(read_bytes: Any) -> None:
    row = only(read_bytes(line(ZIPKIN)))

    assert (row.trace_id, row.span_id, row.parent_span_id) == ("d269b633813fc60c", SPAN, PARENT)
    assert row.start_time_unix_nano == START + 1_000
    assert row.end_time_unix_nano == START + 1_000 + SECOND
    assert (row.kind, row.service_name, row.scope_name) == (3, "svc", "lib")
    assert attributes(row)["peer.service"] == "openai"


@pytest.mark.parametrize(
    ("tags", "code", "message"),
    [
        pytest.param({}, 0, None, id="none"),
        pytest.param({"error": "rate limited"}, 2, "rate limited", id="error says why"),
        pytest.param({"error": ""}, 2, None, id="error of no words"),
        pytest.param({"error": "false"}, 0, None, id="error that is none"),
        pytest.param({"otel.status_code": "OK"}, 1, None, id="ok"),
        pytest.param({"otel.status_code": "ERROR", "error": "boom"}, 2, "boom", id="both"),
    ],
)
def test_zipkin_tells_the_status_by_tags(
    tags: Json, code: int, message: str | None, read_bytes: Any
) -> None:
    row = only(read_bytes(line([ZIPKIN | {"tags": tags}])))

    assert (row.status_code, row.status_message) == (code, message)


@pytest.mark.parametrize(
    ("value", "name", "found"),
    [
        pytest.param("retry", "retry", {}, id="plain"),
        pytest.param('"retry": {"n": 1}', "retry", {"n": 1}, id="specification"),
        pytest.param('retry|{"n":1}|0', "retry", {"n": 1}, id="collector"),
        pytest.param('"retry": {broken}', '"retry": {broken}', {}, id="no JSON"),
    ],
)
def test_zipkin_annotations_are_events(value: str, name: str, found: Json, read_bytes: Any) -> None:
    annotations = [{"timestamp": 1_640_000_000_000_000, "value": value}]

    row = only(read_bytes(line(ZIPKIN | {"annotations": annotations})))

    (event,) = json.loads(row.events or "[]")
    assert (event["name"], event["attributes"]) == (name, found)
    assert event["time_unix_nano"] == START


def test_a_zipkin_span_without_duration_is_open(read_bytes: Any) -> None:
    span = {key: value for key, value in ZIPKIN.items() if key != "duration"}

    row = only(read_bytes(line(span)))

    assert (row.start_time_unix_nano, row.end_time_unix_nano) == (START + 1_000, None)


def test_the_collector_writes_links_into_zipkin_tags(read_bytes: Any) -> None:
    tags = {"otlp.link.0": f'{TRACE}|{SPAN}|a=b|{{"k":"v|w"}}|0'}

    row = only(read_bytes(line(ZIPKIN | {"tags": tags})))

    assert json.loads(row.links or "[]") == [
        {"trace_id": TRACE, "span_id": SPAN, "trace_state": "a=b", "attributes": {"k": "v|w"}}
    ]


def test_a_trace_of_zipkins_api_is_a_list_of_lists(read_bytes: Any) -> None:
    read = read_bytes(line([[ZIPKIN], [ZIPKIN | {"id": PARENT}]]))

    assert [row.span_id for row in read.rows] == [SPAN, PARENT]
    assert read.report.formats == {"zipkin": 1}


CLICKHOUSE = {
    "Timestamp": "2021-12-20 11:33:20.000000007",
    "TraceId": TRACE,
    "SpanId": SPAN,
    "ParentSpanId": "",
    "SpanName": "chat",
    "SpanKind": "SPAN_KIND_CLIENT",
    "ServiceName": "svc",
    "ScopeName": "lib",
    "SpanAttributes": {"gen_ai.usage.input_tokens": "7"},
    "Duration": "1000000000",
    "StatusCode": "STATUS_CODE_ERROR",
    "StatusMessage": "boom",
}


def test_a_clickhouse_row(read_bytes: Any) -> None:
    row = only(read_bytes(line(CLICKHOUSE)))

    assert (row.start_time_unix_nano, row.end_time_unix_nano) == (START + 7, START + 7 + SECOND)
    assert (row.kind, row.status_code, row.status_message) == (3, 2, "boom")
    assert (row.parent_span_id, row.scope_name, row.service_name) == (None, "lib", "svc")


@pytest.mark.parametrize(
    "given",
    [
        "2021-12-20 11:33:20.000000000",
        "2021-12-20T11:33:20Z",
        "1640000000.000000000",
        "1640000000",
        1_640_000_000,
        1_640_000_000_000,
        1_640_000_000_000_000,
        START,
        str(START),
        datetime(2021, 12, 20, 11, 33, 20, tzinfo=UTC),
        datetime(2021, 12, 20, 11, 33, 20),  # noqa: DTZ001 - as a Parquet file without zone gives it
    ],
    ids=repr,
)
def test_a_time_whose_unit_is_not_said_is_plain_from_its_size(given: object) -> None:
    assert fields.unix_ns_of_any_unit(given) == START


@pytest.mark.parametrize("given", ["soon", "NaN", float("inf"), True, [1]], ids=repr)
def test_what_is_no_time_is_unreadable_in_any_unit(given: object) -> None:
    assert fields.unix_ns_of_any_unit(given) == UNREADABLE_TIME


@pytest.mark.parametrize(
    "columns",
    [
        pytest.param(
            {
                "Events.Timestamp": ["2021-12-20 11:33:20.000000000"],
                "Events.Name": ["retry"],
                "Events.Attributes": [{"n": "1"}],
            },
            id="a list for each field",
        ),
        pytest.param(
            {"Events": [{"Timestamp": START, "Name": "retry", "Attributes": {"n": "1"}}]},
            id="objects",
        ),
        pytest.param(
            {"Events": {"Timestamp": [START], "Name": ["retry"], "Attributes": [{"n": "1"}]}},
            id="one object of lists",
        ),
    ],
)
def test_clickhouse_nests_events_in_three_ways(columns: Json, read_bytes: Any) -> None:
    row = only(read_bytes(line(CLICKHOUSE | columns)))

    assert json.loads(row.events or "[]") == [
        {"name": "retry", "time_unix_nano": START, "attributes": {"n": "1"}}
    ]


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"gen_ai": {"usage": {"input_tokens": "7"}}, "a": {"b": None}}, id="nested"),
        pytest.param({"gen_ai%2Eusage%2Einput_tokens": "7"}, id="escaped dots"),
        pytest.param('{"gen_ai.usage.input_tokens":"7"}', id="JSON text"),
        pytest.param([["gen_ai.usage.input_tokens", "7"]], id="pairs"),
    ],
)
def test_clickhouse_spells_attributes_in_many_ways(given: object, read_bytes: Any) -> None:
    row = only(read_bytes(line(CLICKHOUSE | {"SpanAttributes": given})))

    assert attributes(row) == {"gen_ai.usage.input_tokens": "7"}


def test_log_records_and_metrics_of_clickhouse_are_counted(read_bytes: Any) -> None:
    log = {"TraceId": TRACE, "SpanId": SPAN, "Body": "x", "LogAttributes": {}}

    read = read_bytes(line(log) + line({"MetricName": "m", "Value": 1}) + line(CLICKHOUSE))

    assert (len(read.rows), read.report.skipped_records) == (1, 2)
    assert read.report.formats == {"clickhouse": 1}


def test_a_row_of_a_table_may_hold_what_json_cannot() -> None:
    """Rows of Parquet files: times, bytes, maps."""
    row = CLICKHOUSE | {
        "TraceId": bytes.fromhex(TRACE),
        "Timestamp": datetime(2021, 12, 20, 11, 33, 20, 5, tzinfo=UTC),
        "Duration": SECOND,
    }
    reading = Reading("file", ReadReport())

    (group,) = shapes.groups(row, reading)
    (made,) = span_rows(group, Content(b"test key of 16 B"), reading)

    assert made.trace_id == TRACE
    assert made.start_time_unix_nano == START + 5_000
    assert made.end_time_unix_nano == START + 5_000 + SECOND


PHOENIX = {
    "name": "ChatCompletion",
    "context": {"trace_id": TRACE, "span_id": SPAN},
    "span_kind": "LLM",
    "parent_id": PARENT,
    "start_time": "2021-12-20T11:33:20.000000+00:00",
    "end_time": "2021-12-20T11:33:21.000000+00:00",
    "status_code": "ERROR",
    "status_message": "boom",
    "attributes": {"llm": {"token_count": {"prompt": 7}}, "llm.model_name": "gpt-4o"},
    "events": [
        {"name": "exception", "timestamp": "2021-12-20T11:33:20Z", "message": "boom"},
    ],
}
READ_PHOENIX = {
    "llm.model_name": "gpt-4o",
    "llm.token_count.prompt": 7,
    "openinference.span.kind": "LLM",
}


def test_a_span_of_phoenix(read_bytes: Any) -> None:
    row = only(read_bytes(line({"data": [PHOENIX], "next_cursor": None})))

    assert (row.trace_id, row.span_id, row.parent_span_id) == (TRACE, SPAN, PARENT)
    assert (row.start_time_unix_nano, row.end_time_unix_nano) == (START, START + SECOND)
    assert (row.status_code, row.status_message) == (2, "boom")
    assert attributes(row) == READ_PHOENIX
    assert json.loads(row.events or "[]")[0]["attributes"] == {"message": "boom"}


COLUMNS = {
    "name": "ChatCompletion",
    "span_kind": "LLM",
    "parent_id": None,
    "start_time": 1_640_000_000_000,
    "end_time": 1_640_000_001_000,
    "status_code": "OK",
    "context.trace_id": TRACE,
    "attributes.llm.token_count.prompt": 7.0,
    "attributes.llm.model_name": "gpt-4o",
    "attributes.input.value": None,
}


@pytest.mark.parametrize(
    "table",
    [
        pytest.param([COLUMNS | {"context.span_id": SPAN}], id="records"),
        pytest.param({SPAN: COLUMNS}, id="index"),
        pytest.param({name: {SPAN: value} for name, value in COLUMNS.items()}, id="columns"),
        pytest.param(
            {"columns": list(COLUMNS), "index": [SPAN], "data": [list(COLUMNS.values())]},
            id="split",
        ),
        pytest.param(
            {"schema": {"fields": []}, "data": [COLUMNS | {"context.span_id": SPAN}]}, id="table"
        ),
    ],
)
def test_pandas_writes_a_dataframe_of_phoenix_in_five_ways(table: object, read_bytes: Any) -> None:
    read = read_bytes(line(table))

    row = only(read)
    assert read.report.formats == {"phoenix": 1}
    assert (row.trace_id, row.span_id, row.parent_span_id) == (TRACE, SPAN, None)
    assert (row.start_time_unix_nano, row.end_time_unix_nano) == (START, START + SECOND)
    assert attributes(row) == READ_PHOENIX


def test_what_phoenix_answers_by_graphql(read_bytes: Any) -> None:
    node = {
        "name": "ChatCompletion",
        "spanKind": "llm",
        "context": {"traceId": TRACE, "spanId": SPAN},
        "parentId": None,
        "startTime": "2021-12-20T11:33:20Z",
        "endTime": "2021-12-20T11:33:21Z",
        "statusCode": "OK",
        "attributes": '{"llm": {"model_name": "gpt-4o"}}',
        "tokenCountPrompt": 7,
    }

    row = only(read_bytes(line({"data": {"node": {"spans": {"edges": [{"node": node}]}}}})))

    assert (row.span_id, row.status_code) == (SPAN, 1)
    assert attributes(row) == READ_PHOENIX


LANGFUSE = {
    "id": SPAN,
    "trace_id": TRACE,
    "type": "GENERATION",
    "parent_observation_id": PARENT,
    "start_time": "2021-12-20 11:33:20.000000",
    "end_time": "2021-12-20 11:33:21.000000",
    "name": "answer",
    "metadata": {"tenant": "acme"},
    "level": "ERROR",
    "status_message": "boom",
    "provided_model_name": "gpt-4o",
    "usage_details": {"input": 5, "input_cached_tokens": 2, "output": 3, "total": 10},
    "cost_details": {"total": 0.01},
    "user_id": "u",
    "session_id": "s",
}
READ_LANGFUSE = {
    "langfuse.observation.type": "generation",
    "langfuse.observation.model.name": "gpt-4o",
    "langfuse.observation.usage_details": (
        '{"input":5,"input_cached_tokens":2,"output":3,"total":10}'
    ),
    "langfuse.observation.cost_details": '{"total":0.01}',
    "langfuse.observation.metadata.tenant": "acme",
    "langfuse.user.id": "u",
    "langfuse.session.id": "s",
}


def test_an_observation_of_a_langfuse_export(read_bytes: Any) -> None:
    read = read_bytes(line(LANGFUSE))

    row = only(read)
    assert read.report.formats == {"langfuse": 1}
    assert (row.trace_id, row.span_id, row.parent_span_id) == (TRACE, SPAN, PARENT)
    assert (row.start_time_unix_nano, row.end_time_unix_nano) == (START, START + SECOND)
    assert (row.status_code, row.status_message) == (2, "boom")
    assert attributes(row) == READ_LANGFUSE


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        pytest.param(
            {"usage": {"input": 5, "output": 3, "total": 8, "unit": "TOKENS"}},
            {"input": 5, "output": 3, "total": 8},
            id="before usage_details",
        ),
        pytest.param(
            {"usage": {"promptTokens": 5, "completionTokens": 3}},
            {"input": 5, "output": 3},
            id="in OpenAI's words",
        ),
        pytest.param(
            {"usageDetails": {}, "promptTokens": 5, "completionTokens": 3, "totalTokens": 0},
            {"input": 5, "output": 3},
            id="counts of the first API",
        ),
        pytest.param({"usageDetails": '{"input":"5"}'}, {"input": "5"}, id="JSON text, of a CSV"),
        pytest.param({"usageDetails": {"input": 0}, "totalCost": 0}, None, id="none"),
    ],
)
def test_langfuse_counts_tokens_in_many_ways(
    usage: Json, read: Json | None, read_bytes: Any
) -> None:
    api = {
        "id": SPAN,
        "traceId": TRACE,
        "type": "GENERATION",
        "startTime": "2021-12-20T11:33:20Z",
        "parentObservationId": None,
    }

    found = attributes(only(read_bytes(line(api | usage))))

    document = found.get("langfuse.observation.usage_details")
    assert (json.loads(document) if document else None) == read
    assert "langfuse.observation.cost_details" not in found


def test_langfuse_counts_of_characters_are_no_tokens(read_bytes: Any) -> None:
    usage = {"input": 900, "output": 3, "unit": "CHARACTERS"}
    observation = {key: value for key, value in LANGFUSE.items() if key != "usage_details"}

    read = read_bytes(line(observation | {"usage": usage}))

    assert "langfuse.observation.usage_details" not in attributes(only(read, "other_units"))


def test_a_trace_of_langfuse_lends_its_observations_user_and_session(read_bytes: Any) -> None:
    own = {
        "id": SPAN,
        "type": "TOOL",
        "startTime": "2021-12-20T11:33:20Z",
        "name": "search",
        "level": "DEFAULT",
    }
    trace = {"id": TRACE, "userId": "u", "sessionId": "s", "name": "chat", "observations": [own]}

    row = only(read_bytes(line({"trace": trace, "observations": [own | {"userId": None}]})))

    assert row.trace_id == TRACE
    assert attributes(row) == {
        "langfuse.observation.type": "tool",
        "gen_ai.tool.name": "search",
        "langfuse.user.id": "u",
        "langfuse.session.id": "s",
        "langfuse.trace.name": "chat",
    }


def test_langfuse_keeps_what_came_by_opentelemetry_in_the_metadata(read_bytes: Any) -> None:
    metadata = {
        "attributes": {"gen_ai.operation.name": "chat"},
        "resourceAttributes": '{"service.name":"svc"}',
        "scope": {"name": "lib", "version": "1"},
    }

    row = only(read_bytes(line(LANGFUSE | {"metadata": metadata})))

    assert (row.service_name, row.scope_name, row.scope_version) == ("svc", "lib", "1")
    assert attributes(row)["gen_ai.operation.name"] == "chat"


def test_an_event_of_langfuse_takes_no_time(read_bytes: Any) -> None:
    row = only(read_bytes(line(LANGFUSE | {"type": "EVENT", "end_time": None})))

    assert row.end_time_unix_nano == row.start_time_unix_nano == START


def test_a_trace_of_langfuse_without_observations_is_refused(read_bytes: Any) -> None:
    trace = {"id": TRACE, "timestamp": "x", "bookmarked": False, "public": False, "tags": []}

    read = read_bytes(line(trace) + line(LANGFUSE))

    only(read, "no_observations")
    assert read.report.unreadable == 1


def test_a_trace_of_mlflow_holds_its_spans_below_data(read_bytes: Any) -> None:
    span = {
        "name": "chat",
        "context": {"trace_id": TRACE, "span_id": SPAN},
        "parent_id": None,
        "start_time": START,
        "end_time": START + SECOND,
        "status_code": "ERROR",
        "status_message": "boom",
        "attributes": {"mlflow.chat.tokenUsage": '{"input_tokens": 7}'},
    }

    row = only(read_bytes(line({"info": {"request_id": "r"}, "data": {"spans": [span]}})))

    assert (row.span_id, row.end_time_unix_nano) == (SPAN, START + SECOND)
    assert (row.status_code, row.status_message) == (2, "boom")


def test_node_prints_microseconds_with_fractions(read_bytes: Any) -> None:
    span = {
        "traceId": TRACE,
        "id": SPAN,
        "name": "chat",
        "kind": 2,
        "timestamp": 1_640_000_000_000_001.5,
        "duration": 0.25,
        "attributes": {},
        "status": {"code": 0},
    }

    row = only(read_bytes(json.dumps(span, indent=2).encode()))

    assert (row.span_id, row.kind) == (SPAN, 3)
    assert row.start_time_unix_nano == START + 1_500
    assert row.end_time_unix_nano == START + 1_750


@pytest.mark.parametrize(
    "record",
    [
        pytest.param({"id": "1", "traceId": TRACE, "duration": 5, "model": "m"}, id="gateway log"),
        pytest.param({"id": "1", "type": "tool", "start_time": START}, id="event of some tool"),
        pytest.param({"id": "1", "traceId": TRACE, "value": 1, "timestamp": "x"}, id="score"),
        pytest.param({"a": {"b": 1}, "c": {"d": 2}}, id="objects in an object"),
        pytest.param({"a": [1], "b": [2]}, id="lists in an object"),
    ],
)
def test_what_only_looks_like_a_span_is_not_read(record: Json, read_bytes: Any) -> None:
    read = read_bytes(line(record) + line(ZIPKIN))

    only(read, "unknown_shape")
    assert read.report.unreadable == 1


def test_a_run_of_langsmith(read_bytes: Any) -> None:
    run = {
        "id": "11111111-1111-4111-8111-111111111111",
        "trace_id": "22222222-2222-4222-8222-222222222222",
        "parent_run_id": "22222222-2222-4222-8222-222222222222",
        "dotted_order": "x",
        "name": "ChatOpenAI",
        "run_type": "llm",
        "start_time": "2021-12-20T11:33:20.000000",
        "end_time": "2021-12-20T11:33:21.000000",
        "extra": {"metadata": {"ls_model_name": "gpt-4o", "ls_provider": "openai"}},
        "prompt_tokens": 7,
        "completion_tokens": 3,
        "total_tokens": 10,
        "prompt_token_details": {"cache_read": 2},
        "total_cost": "0.01",
        "error": "boom",
    }

    read = read_bytes(line(run))

    row = only(read)
    assert read.report.formats == {"langsmith": 1}
    assert row.trace_id == row.parent_span_id == "22222222222242228222222222222222"
    assert (row.start_time_unix_nano, row.end_time_unix_nano) == (START, START + SECOND)
    assert (row.status_code, row.status_message) == (2, "boom")
    assert attributes(row) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.provider.name": "openai",
        "langsmith.usage_metadata": (
            '{"input_tokens":7,"output_tokens":3,"total_tokens":10,'
            '"input_token_details":{"cache_read":2}}'
        ),
        "gen_ai.usage.cost.amount": "0.01",
        "langsmith.metadata.ls_model_name": "gpt-4o",
        "langsmith.metadata.ls_provider": "openai",
    }


def test_spans_of_the_openai_agents_sdk(read_bytes: Any) -> None:
    trace = {"object": "trace", "id": f"trace_{TRACE}", "workflow_name": "w"}
    usage = {"input_tokens": 7, "output_tokens": 3, "input_tokens_details": {"cached_tokens": 2}}
    span = {
        "object": "trace.span",
        "id": "span_0123456789abcdef01234567",
        "trace_id": f"trace_{TRACE}",
        "parent_id": "span_aaaaaaaaaaaaaaaaaaaaaaaa",
        "started_at": "2021-12-20T11:33:20.000000+00:00",
        "ended_at": "2021-12-20T11:33:21.000000+00:00",
        "span_data": {"type": "generation", "model": "gpt-4o", "usage": usage},
        "error": {"message": "boom", "data": None},
    }

    read = read_bytes(line(trace) + line({"data": [span]}))

    row = only(read)
    assert read.report.formats == {"openai-agents": 1}
    assert (row.trace_id, row.span_id) == (TRACE, "0123456789abcdef01234567")
    assert (row.parent_span_id, row.name) == ("a" * 24, "generation")
    assert (row.start_time_unix_nano, row.status_message) == (START, "boom")
    assert attributes(row) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 3,
        "gen_ai.usage.cache_read.input_tokens": 2,
    }


def test_datadog_ids_are_decimal_and_half_of_the_trace_id_is_a_tag(read_bytes: Any) -> None:
    span = {
        "trace_id": 0xD269B633813FC60C,
        "span_id": 0xEEE19B7EC3C1B174,
        "parent_id": 0xB173,
        "name": "openai.request",
        "resource": "createChatCompletion",
        "service": "svc",
        "start": START,
        "duration": SECOND,
        "error": 1,
        "meta": {"_dd.p.tid": "5b8efff798038103", "error.message": "boom"},
        "metrics": {"openai.response.usage.total_tokens": 10},
    }

    read = read_bytes(line([[span]]))

    row = only(read)
    assert read.report.formats == {"datadog": 1}
    assert (row.trace_id, row.span_id) == (TRACE, SPAN)
    assert row.parent_span_id == "000000000000b173"
    assert (row.end_time_unix_nano, row.status_message) == (START + SECOND, "boom")


SEARCH = {
    "traceID": TRACE.replace("5b", "0b")[1:],
    "rootServiceName": "svc",
    "rootTraceName": "agent",
    "startTimeUnixNano": str(START),
    "durationMs": 1000,
}
MATCHED = {
    "spanID": "1b174",
    "startTimeUnixNano": str(START),
    "durationNanos": str(SECOND),
    "attributes": [{"key": "gen_ai.usage.input_tokens", "value": {"intValue": "7"}}],
}


def test_a_search_of_tempo_holds_no_whole_spans(read_bytes: Any) -> None:
    spans = {"spans": [MATCHED], "matched": 1}
    trace = SEARCH | {"spanSet": spans, "spanSets": [spans]}

    read = read_bytes(line({"traces": [trace], "metrics": {}}))

    row = only(read, "search_result")
    assert (row.trace_id, row.span_id) == (TRACE.replace("5b", "0b"), "000000000001b174")
    assert (row.end_time_unix_nano, row.service_name) == (START + SECOND, "svc")
    assert attributes(row) == {"gen_ai.usage.input_tokens": 7}
    assert "fetch each trace whole, with /api/traces/TRACE_ID" in read.report.warnings[0].example


def test_a_search_of_tempo_without_spans_gives_none(read_bytes: Any) -> None:
    read = read_bytes(line({"traces": [SEARCH]}))

    assert (read.rows, read.report.unreadable) == ([], 1)
    assert "Tempo search result without spans" in read.report.warnings[0].example


def test_what_is_no_known_format_is_named_by_its_keys(read_bytes: Any) -> None:
    text = line({"Traces": [], "LimitExceeded": False}) + line(ZIPKIN)

    read = read_bytes(text)

    only(read, "unknown_shape")
    assert "'Traces', 'LimitExceeded'; known are OTLP, Jaeger" in read.report.warnings[0].example


def test_a_span_whose_attributes_are_under_another_name_is_reported(read_bytes: Any) -> None:
    span = {"trace_id": TRACE, "span_id": SPAN, "name": "x", "start_time": START, "meta": {"a": 1}}

    read = read_bytes(line(span))

    only(read, "unread_keys")
    assert "what is in 'meta' is not read" in read.report.warnings[0].example


KEYS = sorted(
    set().union(
        *(
            sample.keys()
            for sample in (
                ZIPKIN,
                CLICKHOUSE,
                PHOENIX,
                COLUMNS,
                LANGFUSE,
                SEARCH,
                MATCHED,
                {"Events": 0, "Events.Name": 0, "Links": 0, "ResourceAttributes": 0},
                {"run_type": 0, "extra": 0, "outputs": 0, "prompt_tokens": 0, "total_cost": 0},
                {"object": 0, "span_data": 0, "usage": 0, "started_at": 0, "observations": 0},
                {"meta": 0, "metrics": 0, "resource": 0, "service": 0, "error": 0, "duration": 0},
                {"SpanContext": 0, "Name": 0, "Attributes": 0, "Resource": 0, "Status": 0},
                {"traces": 0, "spanSet": 0, "spans": 0, "data": 0, "columns": 0, "index": 0},
                {"resourceSpans": 0, "scopeSpans": 0, "scope": 0, "spanContext": 0, "result": 0},
                {"annotations": 0, "attributes": 0, "links": 0, "status": 0, "trace": 0},
            )
        )
    )
)
LEAF = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from(
        ["", "x", "ERROR", "tool", "trace", TRACE, SPAN, "2021-12-20", "[1]", '{"a":1}']
    ),
    st.datetimes(),
    st.binary(max_size=3),
)
ANYTHING = st.recursive(
    LEAF,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=8)
    ),
    max_leaves=30,
)
SAMPLES = (ZIPKIN, CLICKHOUSE, PHOENIX, COLUMNS, LANGFUSE, {"traces": [SEARCH]})


@given(
    base=st.sampled_from(SAMPLES),
    changes=st.dictionaries(st.sampled_from(KEYS), ANYTHING, min_size=1, max_size=6),
)
@settings(max_examples=100, deadline=None)
def test_nothing_in_the_place_of_anything_is_a_crash(base: Json, changes: Json) -> None:
    """Whatever a field holds, a record becomes rows or is counted as unreadable or skipped."""
    report = ReadReport()
    reading = Reading("file", report)

    rows = [
        row
        for value in (base | changes, changes)
        for group in shapes.groups(value, reading)
        for row in span_rows(group, Content(b"test key of 16 B"), reading)
    ]

    assert all(row.trace_id and row.span_id for row in rows)


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="%.{["), max_size=20)


@given(found=st.dictionaries(TEXT.filter(bool), TEXT.filter(bool), max_size=5))
@settings(max_examples=50, deadline=None)
def test_texts_arrive_as_they_were_in_every_format(found: Json) -> None:
    """But those that formats without fields of their own keep among the attributes."""
    spans = (
        ZIPKIN | {"tags": found, "remoteEndpoint": {}},
        CLICKHOUSE | {"SpanAttributes": found},
        CLICKHOUSE | {"SpanAttributes": json.dumps(found)},
        PHOENIX | {"attributes": found, "span_kind": "UNKNOWN"},
        {
            "trace_id": TRACE,
            "span_id": SPAN,
            "name": "x",
            "attributes": list(map(list, found.items())),
        },
    )
    reading = Reading("file", ReadReport())

    rows = [
        row
        for span in spans
        for group in shapes.groups(span, reading)
        for row in span_rows(group, Content(b"test key of 16 B", keep=True), reading)
    ]

    assert [attributes(row) for row in rows] == [found] * len(spans)


COUNTED = {"gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": 7}
SIGNOZ = {
    "timestamp": "2021-12-20 11:33:20.000000000",
    "trace_id": TRACE,
    "span_id": SPAN,
    "parent_span_id": PARENT,
    "name": "chat",
    "kind": 3,
    "duration_nano": SECOND,
    "has_error": True,
    "status_message": "boom",
    "attributes_string": {"gen_ai.request.model": "gpt-4o"},
    "attributes_number": {"gen_ai.usage.input_tokens": 7.0},
    "resources_string": {"service.name": "svc"},
}
DATA_PREPPER = {
    "traceId": TRACE,
    "spanId": SPAN,
    "parentSpanId": PARENT,
    "name": "chat",
    "kind": "SPAN_KIND_CLIENT",
    "startTime": "2021-12-20T11:33:20.000000000Z",
    "durationInNanos": SECOND,
    "span.attributes.gen_ai@request@model": "gpt-4o",
    "span.attributes.gen_ai@usage@input_tokens": 7,
    "resource.attributes.service@name": "svc",
    "status.code": 2,
    "status.message": "boom",
}


@pytest.mark.parametrize(
    ("value", "format_name"),
    [
        pytest.param(SIGNOZ, "signoz", id="row of SigNoz"),
        pytest.param(
            {
                "traceId": TRACE,
                "spanId": SPAN,
                "name": "chat",
                "kind": 3,
                "timestamp": START // 10**6,
                "durationNano": SECOND,
                "hasError": True,
                "statusMessage": "boom",
                "serviceName": "svc",
                "references": [{"traceId": TRACE, "spanId": PARENT, "refType": "CHILD_OF"}],
                "tagMap": COUNTED,
            },
            "signoz",
            id="API of SigNoz",
        ),
        pytest.param(DATA_PREPPER, "data-prepper", id="Data Prepper"),
        pytest.param({"hits": {"hits": [{"_source": DATA_PREPPER}]}}, "data-prepper", id="hits"),
    ],
)
def test_attributes_that_are_spread_over_columns_are_read(
    value: Json, format_name: str, read_bytes: Any
) -> None:
    read = read_bytes(line(value))

    row = only(read)
    assert read.report.formats == {format_name: 1}
    assert (row.trace_id, row.span_id, row.parent_span_id) == (TRACE, SPAN, PARENT)
    assert (row.start_time_unix_nano, row.end_time_unix_nano) == (START, START + SECOND)
    assert (row.kind, row.service_name) == (3, "svc")
    assert (row.status_code, row.status_message) == (2, "boom")
    assert attributes(row) == COUNTED


def test_a_log_record_of_signoz_is_no_span(read_bytes: Any) -> None:
    record = {"body": "x", "trace_id": TRACE, "span_id": SPAN, "attributes_string": {"a": "b"}}

    read = read_bytes(line(record) + line(SIGNOZ))

    only(read, "log_records")
    assert read.report.skipped_records == 1


STORED = {
    "traceID": TRACE,
    "spanID": SPAN,
    "operationName": "chat",
    "references": [{"refType": "CHILD_OF", "traceID": TRACE, "spanID": PARENT}],
    "startTime": START // 1000,
    "duration": 1_500_000,
    "tags": [
        {"key": "gen_ai.request.model", "type": "string", "value": "gpt-4o"},
        {"key": "gen_ai.usage.input_tokens", "type": "int64", "value": "7"},
    ],
    "process": {"serviceName": "svc"},
}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="as stored"),
        pytest.param(
            {
                "tags": [],
                "tag": {"gen_ai@request@model": "gpt-4o", "gen_ai@usage@input_tokens": 7},
            },
            id="tags as fields",
        ),
        pytest.param(
            {
                "references": [{"traceId": TRACE, "spanId": PARENT}],
                "startTime": "2021-12-20T11:33:20Z",
                "duration": "1.5s",
                "tags": [
                    {"key": "gen_ai.request.model", "vStr": "gpt-4o"},
                    {"key": "gen_ai.usage.input_tokens", "vType": "INT64", "vInt64": "7"},
                ],
            },
            id="streamed",
        ),
    ],
)
def test_a_jaeger_span_by_itself(changes: Json, read_bytes: Any) -> None:
    row = only(read_bytes(line(STORED | changes)))

    assert (row.trace_id, row.span_id, row.parent_span_id) == (TRACE, SPAN, PARENT)
    assert row.start_time_unix_nano == START
    assert row.end_time_unix_nano == START + SECOND + SECOND // 2
    assert (row.service_name, attributes(row)) == ("svc", COUNTED)


def test_spans_below_a_span_are_its_children(read_bytes: Any) -> None:
    leaf = {"span_id": "c3", "name": "leaf", "start_time": START}
    inner = {"span_id": "b2", "name": "inner", "start_time": START, "children": [leaf]}
    other = {"span_id": "d4", "parent_id": "zz", "name": "other", "start_time": START}
    root = {"trace_id": "a1", "span_id": "a1", "name": "root", "start_time": START}

    read = read_bytes(line(root | {"children": [inner, other]}))

    assert [(row.trace_id, row.span_id, row.parent_span_id) for row in read.rows] == [
        ("a1", "a1", None),
        ("a1", "b2", "a1"),
        ("a1", "c3", "b2"),
        ("a1", "d4", "zz"),
    ]
    assert read.codes() == {}


@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        pytest.param(
            {"traceId": TRACE, "id": SPAN, "binaryAnnotations": [], "annotations": []},
            "ask Zipkin for /api/v2/traces",
            id="Zipkin v1",
        ),
        pytest.param({"log": "{}\n", "stream": "stdout"}, "jq -r .log", id="Docker's log"),
    ],
)
def test_what_is_known_and_not_read_says_what_to_do(
    value: Json, remedy: str, read_bytes: Any
) -> None:
    read = read_bytes(line(value) + line(ZIPKIN))

    only(read, "unknown_shape")
    assert remedy in read.report.warnings[0].example
