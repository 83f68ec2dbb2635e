"""What the user may name as a source, and what becomes of several."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from otelbudget.errors import TraceReadError
from otelbudget.ingest import ReadReport, expand, is_store, read_traces
from otelbudget.store.spans import Content


def line(name: str) -> bytes:
    span = {"trace_id": "a1", "span_id": "b2", "name": name, "start_time": 1640000000}
    return json.dumps(span).encode() + b"\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.json", "a.jsonl", "sub/c", ".hidden", ".git/config.json"):
        path = tmp_path / "traces" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(line(path.name))
    return tmp_path / "traces"


def test_a_folder_is_read_with_all_below_in_order_without_hidden_files(folder: Path) -> None:
    assert expand([str(folder)]) == [folder / "a.jsonl", folder / "b.json", folder / "sub" / "c"]


def test_a_glob_gives_its_files_and_folders(folder: Path) -> None:
    assert expand([str(folder / "*.json")]) == [folder / "b.json"]
    assert expand([str(folder / "**" / "c")]) == [folder / "sub" / "c"]
    assert expand([str(folder / "s*")]) == [folder / "sub" / "c"]


def test_a_file_named_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    path = tmp_path / "trace[1].json"
    path.write_bytes(line("x"))

    assert expand([str(path)]) == [path]


def test_a_file_named_twice_is_read_once(folder: Path, read_files: Any) -> None:
    read = read_files(folder / "a.jsonl", folder, folder / "*.jsonl")

    assert [row.name for row in read.rows] == ["a.jsonl", "b.json", "c"]
    assert read.report.files == 3


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch, read_files: Any) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(line("from a pipe"))))

    read = read_files("-")

    assert [row.name for row in read.rows] == ["from a pipe"]


def test_a_store_is_known_by_its_content(tmp_path: Path) -> None:
    store = tmp_path / "spans.json"
    store.write_bytes(b"12345678DUCK@")

    assert is_store(store)
    assert not is_store(tmp_path / "missing")
    assert not is_store(tmp_path)


def test_other_files_of_a_folder_are_skipped_with_a_warning(folder: Path, read_files: Any) -> None:
    (folder / "README.md").write_text("# Traces\n")

    read = read_files(folder)

    assert len(read.rows) == 3
    assert read.codes() == {"not_traces": 1}
    assert read.report.unreadable == 0
    assert read.report.warnings[0].example == (
        f"{folder / 'README.md'}: is text, but no JSON: no trace format that is known"
    )


def test_a_source_that_cannot_be_read_is_a_warning_beside_one_that_can(
    folder: Path, read_files: Any
) -> None:
    (folder / "cut.json").write_bytes(b'{"resourceSpans": [{')

    read = read_files(folder / "missing.json", folder)

    assert len(read.rows) == 3
    assert read.codes() == {"missing_file": 1, "truncated_document": 1}
    assert (read.report.files, read.report.unreadable) == (5, 2)
    assert read.report.formats == {"span-dicts": 3}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("missing.json", "does not exist; check the name", id="missing"),
        pytest.param("*.parquet", "does not exist; check the name", id="glob without match"),
        pytest.param("empty", "is a folder without files to read", id="empty folder"),
        pytest.param("x" * 300, "cannot be read: File name too long", id="long name"),
    ],
)
def test_a_source_with_nothing_to_read_says_so(
    name: str, reason: str, tmp_path: Path, read_files: Any
) -> None:
    (tmp_path / "empty").mkdir()

    with pytest.raises(TraceReadError) as raised:
        read_files(tmp_path / name)

    assert str(raised.value) == f"{tmp_path / name}: {reason}"


def test_a_file_that_the_system_does_not_open_says_why(tmp_path: Path, read_files: Any) -> None:
    path = tmp_path / "loop.json"
    path.symlink_to(path)

    with pytest.raises(TraceReadError, match="cannot be read: Too many levels of symbolic links"):
        read_files(path)


def test_the_error_names_the_first_cause(tmp_path: Path, read_files: Any) -> None:
    (tmp_path / "a.html").write_text("<html>")
    (tmp_path / "b.json").write_text("{}")

    with pytest.raises(TraceReadError, match=r"a\.html: is HTML or XML, not traces"):
        read_files(tmp_path)


def test_a_store_that_the_caller_read_counts_as_something_readable(tmp_path: Path) -> None:
    report = ReadReport(formats={"duckdb": 1})
    (tmp_path / "a.html").write_text("<html>")

    assert list(read_traces([str(tmp_path)], Content(b"k" * 16), report)) == []
    assert [warning.code for warning in report.warnings] == ["not_traces"]


def test_batches_hold_5000_rows_and_progress_counts_bytes_and_spans(tmp_path: Path) -> None:
    path = tmp_path / "many.jsonl"
    path.write_bytes(line("x") * 12_000)
    seen: list[tuple[int, int]] = []
    report = ReadReport()

    batches = read_traces(
        [str(path)],
        Content(b"k" * 16),
        report,
        progress=lambda size, spans: seen.append((size, spans)),
    )

    assert [len(batch) for batch in batches] == [5_000, 5_000, 2_000]
    assert seen == sorted(seen)
    assert {spans for _, spans in seen} == {0, 5_000, 10_000, 12_000}
    assert seen[0] == (path.stat().st_size, 0)
    assert seen[-1] == (path.stat().st_size, 12_000)
    assert report.spans == 12_000


def test_content_is_not_stored_unless_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    path.write_bytes(
        b'{"trace_id":"a1","span_id":"b2","name":"x","attributes":{"gen_ai.prompt":"secret"}}'
    )

    ((row,),) = read_traces([str(path)], Content(b"k" * 16), ReadReport())

    assert "secret" not in row.attributes
