"""The same spans written in another way are the same rows."""

import base64
import gzip
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SHARED = settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

Json = dict[str, Any]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
INT64 = st.integers(-(2**63), 2**63 - 1)
SCALAR = st.one_of(
    TEXT.map(lambda text: {"stringValue": text}),
    INT64.map(lambda number: {"intValue": str(number)}),
    st.floats(allow_nan=False, allow_infinity=False).map(lambda number: {"doubleValue": number}),
    st.sampled_from(["NaN", "Infinity", "-Infinity"]).map(lambda name: {"doubleValue": name}),
    st.booleans().map(lambda flag: {"boolValue": flag}),
    st.binary(max_size=6).map(lambda raw: {"bytesValue": base64.b64encode(raw).decode()}),
)


def key_values(values: st.SearchStrategy[Json]) -> st.SearchStrategy[list[Json]]:
    pair = st.tuples(TEXT, values).map(lambda pair: {"key": pair[0], "value": pair[1]})
    return st.lists(pair, max_size=4, unique_by=lambda one: one["key"])


VALUE = st.recursive(
    SCALAR,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: {"arrayValue": {"values": items}}),
        key_values(inner).map(lambda items: {"kvlistValue": {"values": items}}),
    ),
    max_leaves=6,
)
ATTRIBUTES = key_values(VALUE)
TRACE_ID = st.binary(min_size=16, max_size=16).filter(any).map(bytes.hex)
SPAN_ID = st.binary(min_size=8, max_size=8).filter(any).map(bytes.hex)
TIME = st.integers(1, 2**63 - 1).map(str)
EVENT = st.fixed_dictionaries({"name": TEXT, "timeUnixNano": TIME, "attributes": ATTRIBUTES})
LINK = st.fixed_dictionaries(
    {"traceId": TRACE_ID, "spanId": SPAN_ID, "attributes": ATTRIBUTES},
    optional={"traceState": TEXT, "flags": st.integers(0, 2**32 - 1)},
)
SPAN = st.fixed_dictionaries(
    {
        "traceId": TRACE_ID,
        "spanId": SPAN_ID,
        "name": TEXT,
        "startTimeUnixNano": TIME,
        "endTimeUnixNano": TIME,
        "kind": st.integers(0, 5),
    },
    optional={
        "parentSpanId": SPAN_ID,
        "traceState": TEXT,
        "flags": st.integers(0, 2**32 - 1),
        "attributes": ATTRIBUTES,
        "droppedAttributesCount": st.integers(0, 9),
        "events": st.lists(EVENT, max_size=2),
        "droppedEventsCount": st.integers(0, 9),
        "links": st.lists(LINK, max_size=2),
        "droppedLinksCount": st.integers(0, 9),
        "status": st.fixed_dictionaries({}, optional={"code": st.integers(0, 2), "message": TEXT}),
    },
)
SCOPE = st.fixed_dictionaries(
    {}, optional={"name": TEXT, "version": TEXT, "attributes": ATTRIBUTES}
)
SCOPE_SPANS = st.fixed_dictionaries(
    {"spans": st.lists(SPAN, max_size=3)}, optional={"scope": SCOPE, "schemaUrl": TEXT}
)
EXPORT = st.fixed_dictionaries(
    {
        "resourceSpans": st.lists(
            st.fixed_dictionaries(
                {"scopeSpans": st.lists(SCOPE_SPANS, max_size=2)},
                optional={
                    "resource": st.fixed_dictionaries({}, optional={"attributes": ATTRIBUTES}),
                    "schemaUrl": TEXT,
                },
            ),
            max_size=2,
        )
    }
)
KINDS = ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"]
CODES = ["UNSET", "OK", "ERROR"]


def lines(exports: list[Json]) -> bytes:
    return b"".join(json.dumps(export).encode() + b"\n" for export in exports)


def rewritten(value: Any, change: Callable[[str, Any], tuple[str, Any]]) -> Any:
    """The value with each key and what is below it changed."""
    if isinstance(value, dict):
        return dict(change(key, rewritten(inner, change)) for key, inner in value.items())
    return [rewritten(inner, change) for inner in value] if isinstance(value, list) else value


def snake_key(key: str, value: Any) -> tuple[str, Any]:
    return re.sub(r"([A-Z])", lambda found: "_" + found[1].lower(), key), value


def base64_id(key: str, value: Any) -> tuple[str, Any]:
    is_id = key in {"traceId", "spanId", "parentSpanId"}
    return key, base64.b64encode(bytes.fromhex(value)).decode() if is_id else value


def hostile_id(key: str, value: Any) -> tuple[str, Any]:
    is_id = key in {"traceId", "spanId", "parentSpanId"}
    return key, "0x" + value.upper() if is_id else value


def enum_name(key: str, value: Any) -> tuple[str, Any]:
    if key == "kind":
        return key, "SPAN_KIND_" + KINDS[value]
    return key, "STATUS_CODE_" + CODES[value] if key == "code" else value


def number(key: str, value: Any) -> tuple[str, Any]:
    is_number = key.endswith("UnixNano") or key == "intValue"
    return key, int(value) if is_number else value


def changed(change: Callable[[str, Any], tuple[str, Any]]) -> Callable[[list[Json]], bytes]:
    return lambda exports: lines([rewritten(export, change) for export in exports])


WRITERS: dict[str, Callable[[list[Json]], bytes]] = {
    "no newline at the end": lambda exports: lines(exports).rstrip(b"\n"),
    "CRLF": lambda exports: lines(exports).replace(b"\n", b"\r\n"),
    "blank lines": lambda exports: b"\n\n" + lines(exports).replace(b"\n", b"\n \n"),
    "byte order mark": lambda exports: b"\xef\xbb\xbf" + lines(exports),
    "array": lambda exports: json.dumps(exports).encode(),
    "pretty array": lambda exports: json.dumps(exports, indent=2).encode(),
    "concatenated": lambda exports: lines(exports).replace(b"\n", b""),
    "pretty, concatenated": lambda exports: b"".join(
        json.dumps(export, indent=4).encode() for export in exports
    ),
    "UTF-8": lambda exports: b"\n".join(
        json.dumps(export, ensure_ascii=False).encode() for export in exports
    ),
    "one document": lambda exports: lines(
        [{"resourceSpans": [group for export in exports for group in export["resourceSpans"]]}]
    ),
    "batches": lambda exports: lines([{"batches": export["resourceSpans"]} for export in exports]),
    "result": lambda exports: lines([{"result": export} for export in exports]),
    "trace": lambda exports: lines([{"trace": export} for export in exports]),
    "snake case": changed(snake_key),
    "base64": changed(base64_id),
    "0x, upper case": changed(hostile_id),
    "enum names": changed(enum_name),
    "numbers": changed(number),
    "gzip": lambda exports: gzip.compress(lines(exports)),
    "gzip in two members": lambda exports: b"".join(
        gzip.compress(lines([export])) for export in exports
    ),
}


@pytest.mark.parametrize(
    "writer", [pytest.param(write, id=name) for name, write in WRITERS.items()]
)
@given(exports=st.lists(EXPORT, min_size=1, max_size=3))
@SHARED
def test_the_same_spans_written_in_another_way_give_equal_rows(
    writer: Callable[[list[Json]], bytes], exports: list[Json], read_bytes: Any
) -> None:
    plain = read_bytes(lines(exports))

    other = read_bytes(writer(exports))

    assert other.rows == plain.rows
    assert other.report.unreadable == 0


@given(export=EXPORT)
@SHARED
def test_hostile_strings_survive(export: Json, read_bytes: Any) -> None:
    spans = [
        span
        for group in export["resourceSpans"]
        for part in group["scopeSpans"]
        for span in part["spans"]
    ]

    rows = read_bytes(lines([export])).rows

    assert [row.name for row in rows] == [span["name"] for span in spans]
    for row, span in zip(rows, spans, strict=True):
        given_keys = {pair["key"] for pair in span.get("attributes", [])}

        assert set(json.loads(row.attributes)) == given_keys
