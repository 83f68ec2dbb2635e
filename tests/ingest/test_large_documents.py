"""A document that is split while it is read gives what it gives when it is read as a whole."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otelbudget.errors import TraceReadError
from otelbudget.ingest import ReadReport, compression, read_traces, reader, splitting, window
from otelbudget.store.spans import Content, SpanRow

Json = dict[str, Any]
MANY = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class Streamed(NamedTuple):
    """What is kept of a file, and how it came.

    Attributes:
        rows: The rows that were not taken back.
        given: Rows given, taken back or not.
        report: What was said about them.
    """

    rows: list[SpanRow]
    given: int
    report: ReadReport


Stream = Callable[..., Streamed]


@pytest.fixture
def stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stream:
    """Reads one file as if a few hundred bytes were too much to hold."""
    path = tmp_path / "export"

    def read(text: bytes, *, is_small: bool = True, held: bool = False) -> Streamed:
        path.write_bytes(text)
        with monkeypatch.context() as patch:
            if is_small:
                patch.setattr(window, "WHOLE_BYTES", 300)
                patch.setattr(window, "_LINE_BYTES", 300)
                patch.setattr(splitting, "PART_BYTES", 200)
                patch.setattr(splitting, "_MEMORY_BYTES", 500)
                patch.setattr(compression, "CHUNK_BYTES", 600)
                patch.setattr(reader, "BATCH_ROWS", 7)
            return _read(path, held=held)

    return read


def _read(path: Path, *, held: bool) -> Streamed:
    rows: list[SpanRow] = []
    given = 0
    report = ReadReport()

    def take_back(count: int) -> None:
        assert count <= len(rows)
        del rows[-count:]

    content = Content(b"k" * 16, keep=True)
    batches = read_traces([str(path)], content, report, take_back=None if held else take_back)
    try:
        for batch in batches:
            rows += batch
            given += len(batch)
    except TraceReadError:
        assert rows == []

    assert report.spans == len(rows)
    return Streamed(rows, given, report)


def spans(count: int, name: str = "x") -> list[Json]:
    return [
        {
            "traceId": "a" * 32,
            "spanId": f"{number:016x}",
            "name": name,
            "startTimeUnixNano": "1640000000000000001",
            "attributes": [{"key": "k", "value": {"stringValue": '}]{"[,\\' * (number % 5)}}],
        }
        for number in range(1, count + 1)
    ]


RESOURCE = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
SCOPE = {"name": "lib", "version": "1"}
SCOPE_FIRST = {"scope": SCOPE, "schemaUrl": "https://scope", "spans": spans(30)}
SCOPE_LAST = {"spans": spans(30, "y"), "schemaUrl": "https://scope", "scope": SCOPE}
RESOURCE_FIRST = {"resource": RESOURCE, "scopeSpans": [SCOPE_FIRST, SCOPE_LAST]}
RESOURCE_LAST = {"scopeSpans": [SCOPE_LAST, SCOPE_FIRST], "schemaUrl": "u", "resource": RESOURCE}
SMALL = {"resource": RESOURCE, "scopeSpans": [{"spans": spans(1, "z")}]}
FLAT = [{**span, "trace_id": span["traceId"]} for span in spans(40)]
JAEGER = {
    "traceID": "1",
    "spans": [
        {"spanID": "2", "operationName": "j", "processID": "p", "startTime": 1640000000000000}
    ],
    "processes": {"p": {"serviceName": "s"}},
}

DOCUMENTS = [
    pytest.param({"resourceSpans": [RESOURCE_FIRST, SMALL, RESOURCE_LAST]}, 121, id="OTLP"),
    pytest.param({"resourceSpans": [SMALL] * 50}, 50, id="many resources"),
    pytest.param({"a": [1, {"b": 2}], "batches": [RESOURCE_LAST], "c": None}, 60, id="batches"),
    pytest.param([{"resourceSpans": [RESOURCE_FIRST]}, {"resourceSpans": []}], 60, id="array"),
    pytest.param(RESOURCE_FIRST, 60, id="one resource"),
    pytest.param(RESOURCE_LAST, 60, id="one resource, told last"),
    pytest.param({"trace": {"resourceSpans": [RESOURCE_FIRST]}}, 60, id="wrapped"),
    pytest.param(FLAT, 40, id="spans"),
    pytest.param({"spans": FLAT}, 40, id="wrapped spans"),
    pytest.param({"data": [JAEGER] * 9, "total": 0}, 9, id="Jaeger"),
]


@pytest.mark.parametrize(("document", "count"), DOCUMENTS)
@pytest.mark.parametrize("indent", [None, 1])
def test_a_split_document_gives_the_same_rows(
    document: Any, count: int, indent: int | None, stream: Stream
) -> None:
    text = json.dumps(document, indent=indent).encode()

    split, whole = stream(text), stream(text, is_small=False)

    assert split.rows == whole.rows
    assert len(split.rows) == count
    assert split.report == whole.report


@pytest.mark.parametrize("document", [one.values[0] for one in DOCUMENTS])
def test_a_document_cut_off_gives_nothing(document: Any, stream: Stream) -> None:
    text = json.dumps(document).encode()
    for size in range(1_200, len(text), 997):
        read = stream(text[:size])

        assert read.rows == []
        assert read.report.formats == {}
        assert [one.code for one in read.report.warnings] == ["truncated_document"]


def test_rows_given_before_the_damage_was_seen_are_taken_back(stream: Stream) -> None:
    text = json.dumps({"resourceSpans": [SMALL] * 50}).encode()[:-9]

    streamed, held = stream(text), stream(text, held=True)

    assert streamed.given > 30
    assert held.given == 0
    assert held.report == streamed.report


def test_lines_around_a_large_document_that_is_damaged_are_kept(stream: Stream) -> None:
    line = json.dumps({"resourceSpans": [SMALL]}).encode() + b"\n"
    large = json.dumps({"resourceSpans": [SMALL] * 50}).encode()
    bad = large.replace(b'"spanId"', b'"spanId" 1', 30)

    read = stream(line + bad + b"\n" + line + large[:-2] + b"\n" + line + large + b"\n" + line)

    assert len(read.rows) == 1 + 1 + 1 + 50 + 1
    assert read.report.unreadable == 2
    assert read.report.warnings[0].example.partition("export")[2].startswith(":2: ")


def test_a_number_that_is_none_spoils_the_document_it_is_in(stream: Stream) -> None:
    text = json.dumps({"resourceSpans": [SMALL] * 50}).encode()
    bad = text[:-300] + text[-300:].replace(
        b'"startTimeUnixNano": "1640000000000000001"', b'"startTimeUnixNano": 1.1.1'
    )

    read = stream(bad)

    assert read.rows == []
    assert read.report.unreadable == 1


@pytest.mark.parametrize("value", [b"NaN", b"-Infinity", b'"\\ud83d"', b"1e999"])
def test_what_python_writes_as_json_is_read_in_a_large_document_too(
    value: bytes, stream: Stream
) -> None:
    text = json.dumps({"resourceSpans": [RESOURCE_LAST]}).encode()

    read = stream(text.replace(b'"startTimeUnixNano"', b'"x": ' + value + b', "startTimeUnixNano"'))

    assert len(read.rows) == 60


@given(data=st.data(), document=st.sampled_from([one.values[0] for one in DOCUMENTS]))
@MANY
def test_a_damaged_document_gives_all_or_nothing_of_what_was_written(
    data: st.DataObject, document: Any, stream: Stream
) -> None:
    text = bytearray(json.dumps(document).encode())
    place = data.draw(st.integers(600, len(text) - 1))
    text[place] = data.draw(st.sampled_from(b'{}[]",:\\x1'))

    read = stream(bytes(text))

    assert all(row.name is not None for row in read.rows)
