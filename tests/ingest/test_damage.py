"""Damaged input: what is whole is read, the rest is named, and nothing else is ever raised."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from backports import zstd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otelbudget.errors import TraceReadError
from otelbudget.ingest import ReadReport, read_traces
from otelbudget.store.spans import Content

MANY = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def export(name: str) -> dict[str, Any]:
    span = {
        "traceId": "5b8efff798038103d269b633813fc60c",
        "spanId": "eee19b7ec3c1b174",
        "name": name,
        "startTimeUnixNano": "1640000000000000001",
        "endTimeUnixNano": "1640000000000000002",
        "attributes": [{"key": "k", "value": {"stringValue": "vä\n\\"}}],
    }
    return {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}


def line(name: str) -> bytes:
    return json.dumps(export(name), ensure_ascii=False).encode() + b"\n"


def pretty(name: str) -> bytes:
    return json.dumps(export(name), indent=2).encode() + b"\n"


A, B, C = line("a"), line("b"), line("c")


@pytest.mark.parametrize(
    ("text", "names", "codes"),
    [
        pytest.param(A + b"nonsense\n" + B, "ab", {"unreadable_line": 1}, id="no JSON"),
        pytest.param(A + b'{"a": }\n' + B, "ab", {"unreadable_line": 1}, id="bad JSON"),
        pytest.param(A + B[:40] + b"\n" + C, "ac", {"unreadable_line": 1}, id="cut line"),
        pytest.param(A + b"{\n{\n{\n" + C, "ac", {"unreadable_line": 3}, id="three bad lines"),
        pytest.param(B[:-30], "", None, id="only a cut document"),
        pytest.param(A + B[:-30], "a", {"truncated_line": 1}, id="cut last line"),
        pytest.param(A + b"\0" * 4096, "a", {"unreadable_line": 1}, id="zeros at the end"),
        pytest.param(A + b"\0" * 512 + b"\n" + B, "ab", {"unreadable_line": 1}, id="zeros"),
        pytest.param(A[70:] + B, "b", {"unreadable_line": 1}, id="first line lost its beginning"),
        pytest.param(
            pretty("a") + pretty("b")[:-9], "a", {"truncated_line": 1}, id="cut last object"
        ),
        pytest.param(
            pretty("a") + pretty("b").replace(b":", b"", 1) + pretty("c"),
            "ac",
            {"unreadable_line": 1},
            id="bad object between others",
        ),
        pytest.param(
            A.replace(b'"k"', b'"\xff"') + B, "ab", {"invalid_utf8": 1}, id="invalid UTF-8"
        ),
        pytest.param(A.replace("ä".encode(), b"\\ud83d") + B, "ab", {}, id="half a surrogate pair"),
        pytest.param(
            pretty("a").replace(b'"1640000000000000002"', b'1640000000000000002, "x": NaN')
            + pretty("b"),
            "ab",
            {},
            id="NaN",
        ),
        pytest.param(A + b"\xef\xbb\xbf" + B, "ab", {}, id="mark before a later line"),
        pytest.param(b"\x1e" + A + b"\x1e" + B, "ab", {}, id="RFC 7464"),
        pytest.param(A + b"\xef\xbb", "a", {"unreadable_line": 1}, id="half a mark"),
        pytest.param(A + b'{"a":1}\n' + B, "ab", {"unknown_shape": 1}, id="another object"),
        pytest.param(A + b"[1, null]\n" + B, "ab", {"unknown_shape": 2}, id="no objects"),
        pytest.param(
            A + b'{"raw_otel_json": "{"}\n', "a", {"unreadable_record": 1}, id="bad record"
        ),
        pytest.param(A + b"[" * 5000 + b"\n" + B, "ab", {"unreadable_line": 1}, id="deep nesting"),
        pytest.param(
            A + b'{"name":"x","attributes":' + b'{"a":' * 5000 + b"1" + b"}" * 5001 + b"\n" + B,
            "ab",
            {"unreadable_line": 1},
            id="deep attributes",
        ),
        pytest.param(gzip.compress(A * 900)[:-9], "a" * 900, {"truncated_gzip": 1}, id="cut gzip"),
        pytest.param(gzip.compress(A) + b"\0" * 99, "a", {}, id="padded gzip"),
        pytest.param(gzip.compress(A) + b"junk", "a", {"damaged_gzip": 1}, id="gzip and junk"),
    ],
)
def test_what_is_whole_is_read_and_the_rest_is_counted(
    text: bytes, names: str, codes: dict[str, int] | None, read_bytes: Any
) -> None:
    if codes is None:
        with pytest.raises(TraceReadError):
            read_bytes(text)
        return

    read = read_bytes(text)

    assert "".join(row.name for row in read.rows) == names
    assert read.codes() == codes
    faults = {code: count for code, count in codes.items() if code != "invalid_utf8"}
    assert read.report.unreadable == sum(faults.values())


def test_a_warning_names_file_and_line(read_bytes: Any) -> None:
    (warning,) = read_bytes(A + B + b"nonsense\n").report.warnings

    assert warning.example.endswith("/export:3: is no JSON object or array")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b" \r\n", "is empty", id="blank"),
        pytest.param(b"<!DOCTYPE html><html>", "is HTML or XML, not traces", id="HTML"),
        pytest.param(b"hello\n", "is text, but no JSON", id="text"),
        pytest.param(b"data: " + A, "keep what stands behind each 'data:' only", id="SSE"),
        pytest.param(b"2025 stdout F " + A, "cut what stands before each '{'", id="log"),
        pytest.param(b"Nov 22 export\nINFO: " + A, "cut what stands before each '{'", id="Java"),
        pytest.param(b"TraceId,SpanId\na1,b2\n", "is a table of text, such as CSV", id="CSV"),
        pytest.param(b"Activity.TraceId:  a1\n", "what .NET's console exporter", id=".NET"),
        pytest.param(b"Spans\nResource\n", "what Rust's stdout exporter", id="Rust"),
        pytest.param('{"a":1}'.encode("utf-32"), "is UTF-32 text", id="UTF-32"),
        pytest.param(b"[]", "holds no spans", id="empty array"),
        pytest.param(b"{}", "no trace format that is known: an empty object", id="empty object"),
        pytest.param(b'{"gen_ai.system": "x"}', "an object with 'gen_ai.system'", id="attributes"),
        pytest.param(b"\x00\x01\x02\x03", "is binary data", id="noise"),
        pytest.param(b"\x28\xb5\x2f\xfd\x00", "its zstd data has no end", id="zstd"),
        pytest.param(zstd.compress(A)[:8] + b"\xff" * 99, "cannot be decompressed", id="bad zstd"),
        pytest.param(
            b"\x0a\x80\x01\x0a\x10\x00", "at byte 3: is cut off: the part", id="cut protobuf"
        ),
        pytest.param(
            b"\0\0\1\0\x0a\xfd\1\x0a\0", "at byte 7: is cut off: the part", id="cut message"
        ),
        pytest.param(b"\0\0\0\x09{}", "cut off: the message that begins here has 2 of 9", id="cut"),
        pytest.param(b"PAR1\x15\x04", "cannot be read as Parquet", id="cut Parquet"),
        pytest.param(b"PK\x03\x04" + b"\0" * 40, "is a zip archive; unpack it first", id="zip"),
        pytest.param('[{"a":1}]'.encode("utf-16-le"), "is UTF-16 text", id="UTF-16 without mark"),
        pytest.param('[{"a":1}]'.encode("utf-16-be"), "is UTF-16 text", id="UTF-16 big endian"),
        pytest.param(b"{\n  resource: {\n", "what Node's console printed", id="Node console"),
        pytest.param(b"12345678DUCK\x40\0", "is a DuckDB file", id="store"),
        pytest.param('{"a":1}'.encode("utf-16"), "is UTF-16 text", id="UTF-16"),
        pytest.param(gzip.compress(b""), "is empty", id="empty gzip"),
        pytest.param(gzip.compress(gzip.compress(A)), "compressed twice", id="gzip in gzip"),
        pytest.param(gzip.compress(A)[:12], "cut off midway", id="beginning of a gzip"),
        pytest.param(b"\x1f\x8b" + b"\7" * 50, "cannot be decompressed", id="bad gzip"),
        pytest.param(pretty("a")[:-20], ":1: is cut off midway", id="cut document"),
        pytest.param(b"[" + A.strip() + b",\n" + B[:-9], "is cut off midway", id="cut array"),
        pytest.param(b"[\n" + A.strip() + b",\n" + B, "is cut off midway", id="cut array of lines"),
    ],
)
def test_where_nothing_can_be_read_one_sentence_says_why(
    text: bytes, reason: str, read_bytes: Any
) -> None:
    with pytest.raises(TraceReadError) as raised:
        read_bytes(text)

    assert reason in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "code", "reason"),
    [
        pytest.param(
            b'{"name": "' + b"x" * (1 << 22),
            "too_large",
            ":1: holds a JSON value above 1,000,000 bytes; split it, or raise the limit with "
            "--max-bytes",
            id="endless line",
        ),
        pytest.param(
            gzip.compress(b'{"resourceSpans": [' + b" " * (1 << 23)),
            "decompression_bomb",
            "decompress it first, or raise the limit with --max-bytes",
            id="gzip bomb",
        ),
        pytest.param(
            zstd.compress(b'{"name": "' + b"x" * (1 << 23)),
            "decompression_bomb",
            "decompress it first, or raise the limit with --max-bytes",
            id="zstd bomb",
        ),
        pytest.param(
            b"\x1f\xff\xff\xff" + A,
            "too_large",
            "names a message of 536,870,911 bytes, above 1,000,000",
            id="length of a message",
        ),
        pytest.param(
            b"\0\0\x02\x90" + zstd.compress(b" " * (1 << 22)).ljust(0x290, b"\0"),
            "decompression_bomb",
            "decompress it first, or raise the limit with --max-bytes",
            id="message that expands",
        ),
        pytest.param(
            b"\x0a\xff\xff\xff\x7f\x0a\x10\x01",
            "too_large",
            "at byte 5: names a part of 268,435,455 bytes, above 1,000,000",
            id="length in protobuf",
        ),
    ],
)
def test_what_is_larger_than_allowed_is_refused(
    text: bytes, code: str, reason: str, tmp_path: Path
) -> None:
    path, report = tmp_path / "export", ReadReport()
    path.write_bytes(text)

    with pytest.raises(TraceReadError) as raised:
        list(read_traces([str(path)], Content(b"k" * 16), report, max_bytes=1_000_000))

    assert reason in str(raised.value)
    assert report.warnings[0].code == code


def test_spans_before_the_place_that_expands_too_far_are_kept(tmp_path: Path) -> None:
    path, report = tmp_path / "export", ReadReport()
    path.write_bytes(gzip.compress(A * 100 + b" " * (1 << 23)))

    batches = list(read_traces([str(path)], Content(b"k" * 16), report, max_bytes=1_000_000))

    assert sum(map(len, batches)) == report.spans == 100
    assert [warning.code for warning in report.warnings] == ["decompression_bomb"]


WHOLE = [
    A * 3 + B,
    b"[" + A.strip() + b"," + B.strip() + b"]",
    pretty("a") + pretty("b"),
    gzip.compress(A * 20 + B),
    zstd.compress(A * 20 + B),
]


@given(text=st.sampled_from(WHOLE), data=st.data())
@MANY
def test_truncation_never_raises_anything_else(
    text: bytes, data: st.DataObject, read_bytes: Any
) -> None:
    cut = data.draw(st.integers(0, len(text)))

    rows = rows_or_refusal(read_bytes, text[:cut])

    assert len(rows) <= 21


@given(text=st.sampled_from(WHOLE), data=st.data())
@MANY
def test_damaged_bytes_never_raise_anything_else(
    text: bytes, data: st.DataObject, read_bytes: Any
) -> None:
    damaged = bytearray(text)
    places = st.integers(0, len(text) - 1)
    for place, byte in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=5)):
        damaged[place] = byte

    rows = rows_or_refusal(read_bytes, bytes(damaged))

    for row in rows:
        assert row.name.encode() is not None


@given(text=st.binary(max_size=200), head=st.sampled_from([b"", b"{", b"[", b"\x1f\x8b", A]))
@MANY
def test_noise_never_raises_anything_else(text: bytes, head: bytes, read_bytes: Any) -> None:
    rows = rows_or_refusal(read_bytes, head + text)

    assert len(rows) <= 2


def rows_or_refusal(read_bytes: Any, text: bytes) -> list[Any]:
    try:
        rows: list[Any] = read_bytes(text).rows
    except TraceReadError:
        return []
    return rows


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "resourceSpans",
                        "batches",
                        "scopeSpans",
                        "spans",
                        "data",
                        "trace",
                        "traceID",
                        "spanID",
                        "processes",
                        "references",
                        "tags",
                        "logs",
                        "fields",
                        "raw_otel_json",
                        "name",
                        "context",
                        "span_id",
                        "start_time",
                        "status",
                        "code",
                        "kind",
                        "attributes",
                        "events",
                        "links",
                        "resource",
                        "scope",
                        "key",
                        "value",
                        "intValue",
                        "arrayValue",
                        "values",
                    ]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=25,
    )
)
@settings(MANY)
def test_wrong_types_anywhere_never_raise_anything_else(value: Any, read_bytes: Any) -> None:
    rows = rows_or_refusal(read_bytes, json.dumps([value]).encode())

    for row in rows:
        assert isinstance(row.name, str)
        assert isinstance(row.trace_id, str)
        assert row.kind in range(6)
