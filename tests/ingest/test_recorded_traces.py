"""Real third-party traces: as many spans in each file as two independent readers found."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from otelbudget.errors import TraceReadError

TRACES = Path(
    os.environ.get(
        "OTELBUDGET_TRACES", Path(__file__).parents[2].joinpath("..", "shared", "traces")
    )
)
pytestmark = pytest.mark.skipif(
    not TRACES.is_dir(), reason=f"the recorded traces are not at {TRACES}"
)


def expected_spans() -> list[Any]:
    cases = []
    for path in sorted(TRACES.glob("expected/[!_]*.json")):
        expected = json.loads(path.read_bytes())
        for file in expected["files"]:
            name = f"{expected['source']}/{file['file']}"
            cases.append(pytest.param(name, file["spans"], file["negative_duration"], id=name))
    return cases


@pytest.mark.parametrize(("name", "spans", "backward"), expected_spans())
def test_every_span_is_read(name: str, spans: int, backward: int, read_files: Any) -> None:
    if not spans and "runtime_logs" not in name:
        with pytest.raises(TraceReadError, match="is JSON, but no trace format that is known"):
            read_files(TRACES / name)
        return

    read = read_files(TRACES / name)

    assert len(read.rows) == spans
    assert read.report.unreadable == 0
    assert read.codes().get("clock_skew", 0) == backward


def test_log_records_of_cloudwatch_are_counted(read_files: Any) -> None:
    path = TRACES / "aws-agentcore-toolkit" / "raw_otel_langchain_runtime_logs.json"

    report = read_files(path).report

    assert (report.spans, report.skipped_records) == (0, 16)
    assert report.formats == {"cloudwatch": 1}


BASE = "00_base.json"


@pytest.mark.parametrize(
    ("name", "spans", "codes"),
    [
        ("00_base.json", 125, {}),
        ("01_out_of_order.jsonl", 125, {}),
        ("02_duplicate_delivery.jsonl", 250, {}),
        ("03_truncated_last_line.jsonl", 124, {"truncated_line": 1}),
        ("06_gzip.jsonl.gz", 125, {}),
        ("08_zstd.jsonl.zst", 125, {}),
        ("10_concatenated_pretty.json", 125, {}),
        ("12_enum_strings.json", 125, {}),
        ("13_base64_ids_batches.json", 125, {}),
        ("14_tokens_as_strings.json", 125, {}),
        ("16_negative_durations.json", 125, {"clock_skew": 125}),
        ("17_nan_cost.json", 125, {}),
        ("19_orphans_missing_parents.json", 123, {}),
        ("20_inner_spans_sampled_out.json", 123, {}),
        ("23_parent_cycle.json", 125, {}),
        ("28_same_span_ids_two_traces.json", 250, {}),
    ],
)
def test_damaged_and_odd_inputs(
    name: str, spans: int, codes: dict[str, int], read_files: Any
) -> None:
    read = read_files(TRACES / "bad" / name)

    assert len(read.rows) == spans
    assert read.codes() == codes


@pytest.mark.parametrize(
    "name", ["06_gzip.jsonl.gz", "08_zstd.jsonl.zst", "13_base64_ids_batches.json"]
)
def test_the_base_in_another_encoding_gives_the_same_rows(name: str, read_files: Any) -> None:
    base = read_files(TRACES / "bad" / BASE)

    other = read_files(TRACES / "bad" / name)

    assert sorted(other.rows) == sorted(base.rows)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("04_truncated_midfile.json", "is cut off midway"),
        ("26_html_error_page.json", "is HTML or XML, not traces"),
    ],
)
def test_inputs_of_which_nothing_can_be_read(name: str, reason: str, read_files: Any) -> None:
    with pytest.raises(TraceReadError, match=reason):
        read_files(TRACES / "bad" / name)
