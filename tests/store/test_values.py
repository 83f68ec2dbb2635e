"""Any value an application can put on a span is stored, as text that JSON can hold."""

import enum
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otelbudget.genai import semconv
from otelbudget.store.exporter import DuckDBSpanExporter
from otelbudget.store.spans import SpanRow, json_value, to_json
from otelbudget.store.store import Store

MakeRow = Callable[..., SpanRow]
MakeSpan = Callable[..., ReadableSpan]

HOSTILE = "'); drop table spans; --\" \0 \ud800 $files %s {0} \u202e"
CONTENT_KEY = "gen_ai.input.messages"


class Model(str, enum.Enum):  # noqa: UP042 - what applications have
    """An enum that is text."""

    MINI = "gpt-mini"


class Text(str):
    """Text of a class of its own."""

    __slots__ = ()


class Number(int):
    """An integer of a class of its own."""


class Ratio(float):
    """A float of a class of its own, as numpy has."""


def rows(path: Path) -> list[SpanRow]:
    store = Store()
    store.copy_from(path)
    found = [SpanRow(*row) for row in store.rows("select * from spans")]
    store.close()
    return found


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        pytest.param(float("nan"), "NaN", id="nan"),
        pytest.param(float("inf"), "Infinity", id="infinity"),
        pytest.param(float("-inf"), "-Infinity", id="minus infinity"),
        pytest.param(2**64 - 1, 2**64 - 1, id="uint64"),
        pytest.param(2**64, "18446744073709551616", id="above uint64"),
        pytest.param(-(2**63) - 1, "-9223372036854775809", id="below int64"),
        pytest.param(1 << 40_000, hex(1 << 40_000), id="too long for decimal"),
        pytest.param(b"\xff\x00", {"bytesValue": "/wA="}, id="bytes"),
        pytest.param("a\ud800b", "a?b", id="half a surrogate pair"),
        pytest.param("a\0b", "a\0b", id="nul"),
        pytest.param(Model.MINI, "gpt-mini", id="text of an enum"),
        pytest.param(Text("t"), "t", id="subclass of str"),
        pytest.param(Number(3), 3, id="subclass of int"),
        pytest.param(Ratio(0.5), 0.5, id="subclass of float"),
        pytest.param(True, True, id="bool"),
        pytest.param(None, None, id="none"),
        pytest.param([1, ("\ud800", {2: b""})], [1, ["?", {"2": {"bytesValue": ""}}]], id="nested"),
    ],
)
def test_values_are_stored_as_json(value: object, stored: object, make_row: MakeRow) -> None:
    row = make_row(keep=True, key=value)

    assert json.loads(row.attributes) == {"key": stored}


TEXT = st.text(st.sampled_from("a\0é\ud800\udc00\u202e\U0001f600"), max_size=4)
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.binary(max_size=4) | TEXT
NESTED = st.lists(PLAIN, max_size=3) | st.dictionaries(TEXT, PLAIN, max_size=3)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(TEXT, PLAIN | NESTED, max_size=4))
def test_any_attributes_become_json(attributes: dict[str, Any]) -> None:
    text = to_json({key: json_value(value) for key, value in attributes.items()})

    assert isinstance(json.loads(text), dict)
    assert text.encode()


def test_hostile_text_arrives_everywhere_and_is_never_sql(
    exporter: SpanExporter, store_path: Path, make_span: MakeSpan
) -> None:
    span = make_span(HOSTILE, {HOSTILE: HOSTILE, "list": [HOSTILE]})

    assert exporter.export([span]) is SpanExportResult.SUCCESS
    [row] = rows(store_path)
    plain = HOSTILE.replace("\ud800", "?")
    assert row.name == plain
    assert json.loads(row.attributes) == {plain: plain, "list": [plain]}


def test_hostile_values_are_not_in_the_text_of_statements(
    monkeypatch: pytest.MonkeyPatch, store_path: Path, make_span: MakeSpan
) -> None:
    statements: list[str] = []
    exporter = DuckDBSpanExporter(store_path, content="keep")
    connection = exporter._connected()  # noqa: SLF001 - what reaches DuckDB is the subject

    class Recorded:
        def __getattr__(self, name: str) -> Any:
            return getattr(connection, name)

        def execute(self, statement: str, parameters: object = None) -> object:
            statements.append(statement)
            return connection.execute(statement, parameters)

    monkeypatch.setattr(exporter, "_connection", Recorded())
    result = exporter.export([make_span(HOSTILE, {HOSTILE: HOSTILE})])

    assert result is SpanExportResult.SUCCESS
    assert statements
    assert not any("drop table" in statement for statement in statements)


def test_content_is_dropped_and_equal_texts_have_equal_hashes(
    exporter: SpanExporter, store_path: Path, make_span: MakeSpan
) -> None:
    exporter.export([make_span("a", {CONTENT_KEY: "secret", "note": "n" * 257, "short": "s"})])
    exporter.export([make_span("b", {CONTENT_KEY: "secret"})])
    first, second = (json.loads(row.attributes) for row in rows(store_path))

    assert first[CONTENT_KEY]["bytes"] == len("secret")
    assert first[CONTENT_KEY] == second[CONTENT_KEY]
    assert first["note"].keys() == {"bytes", "hash"}
    assert first["short"] == "s"
    assert b"secret" not in store_path.read_bytes()


def test_equal_texts_of_two_stores_have_different_hashes(
    tmp_path: Path, make_span: MakeSpan
) -> None:
    stored = []
    for name in ("a.duckdb", "b.duckdb"):
        exporter = DuckDBSpanExporter(tmp_path / name)
        exporter.export([make_span("a", {CONTENT_KEY: "secret"})])
        exporter.shutdown()
        stored.append(rows(tmp_path / name)[0].attributes)

    assert stored[0] != stored[1]


def test_content_is_kept_on_request(store_path: Path, make_span: MakeSpan) -> None:
    exporter = DuckDBSpanExporter(store_path, content="keep")
    text = "x" * 5_000_000
    exporter.export([make_span("a", {CONTENT_KEY: text})])
    exporter.shutdown()

    assert json.loads(rows(store_path)[0].attributes) == {CONTENT_KEY: text}


def test_what_the_auditor_reads_is_never_hashed_for_its_length(make_row: MakeRow) -> None:
    row = make_row(**{semconv.SERVICE_NAME: "s", "gen_ai.request.model": "m" * 300})

    assert json.loads(row.attributes)["gen_ai.request.model"] == "m" * 300


@pytest.mark.parametrize("time", [-1, 2**63, float("nan")], ids=str)
def test_a_time_the_store_cannot_hold_is_unknown(
    time: Any, exporter: SpanExporter, store_path: Path, make_span: MakeSpan
) -> None:
    span = make_span()
    span._start_time = time  # noqa: SLF001 - as start_span(start_time=…) of an application sets it

    assert exporter.export([span]) is SpanExportResult.SUCCESS
    assert rows(store_path)[0].start_time_unix_nano is None


def test_a_span_that_cannot_be_read_does_not_cost_the_others(
    exporter: SpanExporter,
    store_path: Path,
    make_span: MakeSpan,
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken: Sequence[ReadableSpan] = [ReadableSpan("no context")]

    for _ in range(3):
        assert exporter.export([*broken, make_span("good")]) is SpanExportResult.FAILURE
    assert [row.name for row in rows(store_path)] == ["good"] * 3
    assert len(caplog.records) == 1
