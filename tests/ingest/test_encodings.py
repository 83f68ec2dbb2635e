"""The same spans in any encoding are the same rows; damaged bytes never raise anything else."""

import base64
import gzip
import json
import random
import struct
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from backports import zstd
from google.protobuf import json_format
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
from opentelemetry.proto.metrics.v1.metrics_pb2 import MetricsData
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from otelbudget.errors import TraceReadError
from otelbudget.ingest import ReadReport, read_traces
from otelbudget.store.spans import Content, SpanRow
from otelbudget.store.store import Store

SAMPLE = Path(__file__).parents[2] / "sample_traces" / "traces.jsonl"
IDS = {"traceId", "spanId", "parentSpanId"}
CASES_OF_EACH = 25


def proto_json(value: Any, key: str = "") -> Any:
    """OTLP JSON with ids in base64, as protobuf reads them."""
    match value:
        case dict():
            return {name: proto_json(inner, name) for name, inner in value.items()}
        case list():
            return [proto_json(inner) for inner in value]
        case str() if key in IDS:
            return base64.b64encode(bytes.fromhex(value)).decode()
        case _:
            return value


def prefixed(messages: Iterable[bytes]) -> bytes:
    return b"".join(struct.pack(">I", len(message)) + message for message in messages)


LINES = SAMPLE.read_bytes().splitlines()[:60]
MESSAGES = [
    json_format.ParseDict(proto_json(json.loads(line)), TracesData()).SerializeToString()
    for line in LINES
]
TEXT = b"\n".join(LINES)
DOCUMENT = b'{"resourceSpans":[' + b",".join(line[18:-2] for line in LINES) + b"]}"
LOGS = json_format.ParseDict(
    {
        "resourceLogs": [
            {
                "scopeLogs": [
                    {
                        "logRecords": [
                            {
                                "timeUnixNano": "5",
                                "body": {"stringValue": "hi"},
                                "traceId": base64.b64encode(b"\1" * 16).decode(),
                            },
                            {"severityNumber": 9},
                        ]
                    }
                ]
            }
        ]
    },
    LogsData(),
).SerializeToString()
METRICS = json_format.ParseDict(
    {
        "resourceMetrics": [
            {
                "scopeMetrics": [
                    {"metrics": [{"name": "m", "sum": {"dataPoints": [{"asInt": "5"}]}}]}
                ]
            }
        ]
    },
    MetricsData(),
).SerializeToString()

ENCODINGS = {
    "lines": TEXT,
    "lines with a mark and CRLF": b"\xef\xbb\xbf" + b"\r\n".join(LINES),
    "concatenated": b"".join(LINES),
    "indented": b"\n".join(json.dumps(json.loads(line), indent=2).encode() for line in LINES),
    "array": b"[" + b",".join(LINES) + b"]",
    "one document": DOCUMENT,
    "gzip": gzip.compress(TEXT),
    "gzip members": b"".join(gzip.compress(line + b"\n") for line in LINES),
    "zstd": zstd.compress(TEXT),
    "zstd frames": b"\x50\x2a\x4d\x18\1\0\0\0x" + b"".join(map(zstd.compress, LINES)),
    "protobuf": b"".join(MESSAGES),
    "protobuf with lengths": prefixed(MESSAGES),
    "protobuf with lengths, each zstd": prefixed(map(zstd.compress, MESSAGES)),
    "protobuf with lengths, in zstd": zstd.compress(prefixed(MESSAGES)),
    "protobuf in gzip": gzip.compress(b"".join(MESSAGES)),
    "JSON with lengths": prefixed(LINES),
    "JSON with lengths, each zstd": prefixed(map(zstd.compress, LINES)),
    "JSON with lengths, in zstd": zstd.compress(prefixed(LINES)),
}
FORMATS = {
    name: "otlp-protobuf" if name.startswith("protobuf") else "otlp-json" for name in ENCODINGS
}


def canonical(rows: Iterable[SpanRow]) -> Counter[str]:
    """The rows without their order, and without the order of keys in them."""
    return Counter(
        json.dumps([_plain(value) for value in row], sort_keys=True, default=str) for row in rows
    )


def _plain(value: object) -> object:
    return json.loads(value) if isinstance(value, str) and value[:1] in {"{", "["} else value


@pytest.fixture(scope="module")
def parquet(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The sample's `spans` table as a Parquet file."""
    folder = tmp_path_factory.mktemp("parquet")
    (folder / "lines").write_bytes(TEXT)
    store = Store()
    for batch in read_traces([str(folder / "lines")], Content(b"k" * 16, keep=True), ReadReport()):
        store.append(batch)
    target = str(folder / "spans[1].parquet")
    store.execute(f"copy spans to '{target}' (format parquet)")
    return Path(target).read_bytes()


@pytest.mark.parametrize("name", ENCODINGS)
def test_every_encoding_gives_the_same_rows(name: str, read_bytes: Any) -> None:
    read = read_bytes(ENCODINGS[name])

    assert canonical(read.rows) == canonical(read_bytes(TEXT).rows)
    assert read.report.formats == {FORMATS[name]: 1}
    assert read.codes() == {}
    assert read.report.spans == len(read.rows) > 300


@pytest.mark.parametrize("name", ["plain", "in gzip"])
def test_a_spans_table_in_parquet_gives_the_same_rows(
    name: str, parquet: bytes, read_bytes: Any
) -> None:
    read = read_bytes(parquet if name == "plain" else gzip.compress(parquet))

    assert canonical(read.rows) == canonical(read_bytes(TEXT).rows)
    assert read.codes() == {}


def test_a_parquet_file_is_read_under_any_name(
    parquet: bytes, tmp_path: Path, read_files: Any
) -> None:
    (tmp_path / "a[1]*.json").write_bytes(parquet)

    assert len(read_files(tmp_path).rows) > 300


def test_of_messages_the_last_of_which_is_cut_the_whole_spans_are_kept(read_bytes: Any) -> None:
    whole = len(read_bytes(TEXT).rows)
    last = len(read_bytes(LINES[-1]).rows)

    read = read_bytes(prefixed(MESSAGES)[:-300])

    assert whole - last < len(read.rows) < whole
    assert read.codes() == {"truncated_message": 1}
    assert ": at byte " in read.report.warnings[0].example


def test_of_json_messages_the_last_of_which_is_cut_the_others_are_kept(read_bytes: Any) -> None:
    read = read_bytes(prefixed(LINES[:3])[:-3])

    assert canonical(read.rows) == canonical(read_bytes(b"\n".join(LINES[:2])).rows)
    assert read.codes() == {"truncated_message": 1}


def test_a_message_that_cannot_be_read_is_named_and_the_next_one_read(read_bytes: Any) -> None:
    junk = b"\x0a\x05\xff\xff\xff\xff\xff"

    read = read_bytes(prefixed([MESSAGES[0], junk, b"", zstd.compress(LINES[0])[:-9], LINES[1]]))

    expected = read_bytes(b"\n".join(LINES[:2])).rows
    assert canonical(read.rows) == canonical(expected)
    assert read.codes() == {"unreadable_message": 1, "truncated_zstd": 1}
    assert f": at byte {4 + len(MESSAGES[0]) + 4}: " in read.report.warnings[0].example


def test_a_span_with_text_that_is_none_costs_only_itself(read_bytes: Any) -> None:
    traces = TracesData.FromString(b"".join(MESSAGES[:9]))
    traces.resource_spans[0].scope_spans[0].spans[0].name = "to be damaged"
    count = sum(len(s.spans) for r in traces.resource_spans for s in r.scope_spans)
    bad = traces.SerializeToString().replace(b"to be damaged", b"to be \xffamaged")

    read = read_bytes(bad)

    assert len(read.rows) == count - 1
    assert read.codes() == {"unreadable_message": 1}
    assert read.report.unreadable == 1


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(prefixed([LOGS, MESSAGES[0], METRICS]), id="messages"),
        pytest.param(LOGS + METRICS + MESSAGES[0], id="one after another"),
        pytest.param(zstd.compress(prefixed([METRICS, MESSAGES[0], LOGS])), id="zstd"),
    ],
)
def test_logs_and_metrics_among_spans_are_skipped_and_counted(text: bytes, read_bytes: Any) -> None:
    read = read_bytes(text)

    assert canonical(read.rows) == canonical(read_bytes(LINES[0]).rows)
    assert read.report.skipped_records == 2 + 1
    assert read.report.unreadable == 0


def test_a_file_of_logs_holds_no_spans(read_bytes: Any) -> None:
    read = read_bytes(LOGS)

    assert read.rows == []
    assert read.report.formats == {"otlp-protobuf": 1}
    assert read.report.skipped_records == 2


def test_a_folder_may_mix_encodings(tmp_path: Path, read_files: Any) -> None:
    for number, text in enumerate(ENCODINGS.values()):
        (tmp_path / f"{number}.txt").write_bytes(text)

    read = read_files(tmp_path)

    assert len(read.rows) == len(ENCODINGS) * len(read_files(tmp_path / "0.txt").rows)
    assert read.report.files == len(ENCODINGS)


def mutated(text: bytes, chance: random.Random) -> bytes:
    """The text with one to three faults of the kinds that disks, networks and people make."""
    for _ in range(chance.randint(1, 3)):
        place, other = sorted(chance.choices(range(len(text) + 1), k=2))
        text = (
            chance.choice(
                [
                    text[:place],
                    text[place:],
                    text[:place] + text[other:],
                    text[:other] + text[place:],
                    text[:place] + chance.randbytes(chance.randint(1, 9)) + text[place:],
                    text[:place] + chance.choice(list(ENCODINGS.values()))[:5_000] + text[place:],
                    text[:place] + bytes([chance.randrange(256)]) + text[place + 1 :],
                    text[:4] + text,
                    b"\xff\xff\xff\xff" + text,
                    text + text,
                ]
            )
            or b"{"
        )
    return text


SHORT = {
    "lines": b"\n".join(LINES[:4]),
    "array": b"[" + b",".join(LINES[:4]) + b"]",
    "indented": json.dumps(json.loads(LINES[0]), indent=2).encode() * 2,
    "gzip": gzip.compress(b"\n".join(LINES[:4])),
    "zstd": zstd.compress(b"\n".join(LINES[:4])),
    "protobuf": b"".join(MESSAGES[:4]),
    "protobuf with lengths": prefixed(MESSAGES[:4]),
    "protobuf with lengths, each zstd": prefixed(map(zstd.compress, MESSAGES[:4])),
    "JSON with lengths": prefixed(LINES[:4]),
    "logs": prefixed([LOGS, METRICS]),
}


@pytest.mark.parametrize("seed", range(CASES_OF_EACH))
@pytest.mark.parametrize("name", [*SHORT, "parquet"])
def test_damage_of_any_kind_never_raises_anything_else(
    name: str, seed: int, parquet: bytes, tmp_path: Path
) -> None:
    chance = random.Random(f"{name} {seed}")  # noqa: S311 - the same cases in every run
    path, report = tmp_path / "export", ReadReport()
    path.write_bytes(mutated(SHORT.get(name, parquet), chance))
    rows: list[SpanRow] = []

    def take_back(count: int) -> None:
        assert 0 < count <= len(rows)
        del rows[-count:]

    try:
        for batch in read_traces([str(path)], Content(b"k" * 16), report, take_back=take_back):
            rows += batch
    except TraceReadError as error:
        sentence = str(error)
        is_clear = not rows and "\n" not in sentence
    else:
        is_clear = True

    assert is_clear
    assert report.spans == len(rows)
    assert report.files == 1
    assert report.unreadable <= sum(warning.count for warning in report.warnings)
