"""Imports: all or nothing, nothing twice, and the same with one process or several."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest

from otelbudget.ingest import ReadReport, lines
from otelbudget.ingest.filling import fill
from otelbudget.store.store import Store
from tests.cli.conftest import Run

SAMPLES = Path(__file__).parents[2] / "sample_traces"
SAMPLE = SAMPLES / "traces.jsonl"
WAIT_SECONDS = 60
# Whatever started the tests may have set interrupts to be ignored, which programs inherit.
INTERRUPTIBLE = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from budget_audit.app import main
main()
"""


def spans_of(store: Path) -> list[Any]:
    with duckdb.connect(str(store), read_only=True) as connection:
        return connection.execute("select * from spans order by all").fetchall()


def one_span(text: str = "") -> Any:
    """The first line of the sample with its first span only, which carries a text."""
    document = json.loads(SAMPLE.read_text().splitlines()[0])
    (resource,) = document["resourceSpans"]
    resource["scopeSpans"] = resource["scopeSpans"][:1]
    resource["scopeSpans"][0]["spans"] = resource["scopeSpans"][0]["spans"][:1]
    value = {"key": "gen_ai.input.messages", "value": {"stringValue": text}}
    the_span(document)["attributes"] = [value]
    return document


def the_span(document: Any) -> Any:
    return document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]


def test_the_same_file_again_adds_nothing(run: Run, tmp_path: Path) -> None:
    store = tmp_path / "traces.duckdb"
    first = run("import", SAMPLE, "--store", store, "--format", "json").json
    before = spans_of(store)
    second = run("import", SAMPLE, "--store", store, "--format", "json").json

    assert (first["added"], second["added"]) == (first["input"]["spans"], 0)
    assert spans_of(store) == before


def test_a_more_complete_delivery_is_added_and_counts(run: Run, tmp_path: Path) -> None:
    """A span that was open and has ended meanwhile: two deliveries, one span."""
    ended = one_span()
    open_ = one_span()
    del the_span(open_)["endTimeUnixNano"]
    store = tmp_path / "traces.duckdb"
    for number, document in enumerate((open_, ended)):
        file = tmp_path / f"{number}.json"
        file.write_text(json.dumps(document))
        run("import", file, "--store", store)
    answer = run("audit", store, "--format", "json").json

    assert len(spans_of(store)) == 2
    assert (answer["input"]["spans"], answer["input"]["duplicates"]) == (1, 1)


def test_content_has_the_hash_that_the_store_gave_it_before(run: Run, tmp_path: Path) -> None:
    store = tmp_path / "traces.duckdb"
    for number in range(2):
        document = one_span("the same text")
        the_span(document)["spanId"] = f"{number + 1:016x}"
        file = tmp_path / f"{number}.json"
        file.write_text(json.dumps(document))
        run("import", file, "--store", store)
    attributes = {row[11] for row in spans_of(store)}

    assert len(attributes) == 1
    assert "the same text" not in attributes.pop()


def test_content_is_kept_where_that_is_asked_for(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "one.json"
    file.write_text(json.dumps(one_span("the text")))
    run("import", file, "--store", tmp_path / "kept.duckdb", "--content", "keep")

    assert any("the text" in row[11] for row in spans_of(tmp_path / "kept.duckdb"))


def test_parquet_holds_the_same_spans_and_is_written_once(run: Run, tmp_path: Path) -> None:
    for _ in range(2):
        run("import", SAMPLE, "--parquet", tmp_path / "spans")
    (file,) = (tmp_path / "spans").iterdir()
    of_json, of_parquet = (
        run("audit", source, "--format", "json").json for source in (SAMPLE, file)
    )

    assert file.stat().st_mode & 0o777 == 0o600
    assert of_parquet["totals"] == of_json["totals"]
    assert of_parquet["groups"] == of_json["groups"]


def test_an_import_says_where_to(run: Run) -> None:
    ran = run("import", SAMPLE)

    assert ran.code == 2
    assert "--store" in ran.err
    assert "--parquet" in ran.err


@pytest.mark.parametrize("is_new", [True, False])
def test_an_interrupted_import_leaves_all_as_it_was(
    run: Run,
    tmp_path: Path,
    is_new: bool,  # noqa: FBT001
) -> None:
    """Interrupted by a real Ctrl-C after spans were read, before the input has ended."""
    store = tmp_path / "traces.duckdb"
    command = [sys.executable, "-c", INTERRUPTIBLE, "import", "-", "--store", str(store)]
    if not is_new:
        run("import", SAMPLE, "--store", store)
    before = spans_of(store) if not is_new else None
    reader, writer = os.pipe()
    process = subprocess.Popen(command, stdin=reader, stderr=subprocess.PIPE)
    os.close(reader)
    with os.fdopen(writer, "wb") as to:
        for _ in range(20):
            to.write(SAMPLE.read_bytes())
        to.flush()
        deadline = time.monotonic() + WAIT_SECONDS
        while not list(tmp_path.glob(".otelbudget-*/spool-*")) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=WAIT_SECONDS)

    assert process.returncode == 1
    assert errors.decode().endswith("interrupted\n")
    assert (spans_of(store) if store.exists() else None) == before
    assert list(tmp_path.iterdir()) == ([] if is_new else [store])


def test_what_a_killed_import_left_is_removed_by_the_next_one(run: Run, tmp_path: Path) -> None:
    """Killed while it read, beside another one that goes on reading."""
    store = tmp_path / "traces.duckdb"
    command = [sys.executable, "-c", INTERRUPTIBLE, "import", "-", "--store", str(store)]
    processes: list[subprocess.Popen[bytes]] = []
    folders: list[Path] = []
    for _ in range(2):
        before = set(tmp_path.glob(".otelbudget-*"))
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert process.stdin is not None
        processes.append(process)
        process.stdin.write(SAMPLE.read_bytes() * 20)
        process.stdin.flush()
        deadline = time.monotonic() + WAIT_SECONDS
        while not (new := set(tmp_path.glob(".otelbudget-*/spool-*"))) or (
            {file.parent for file in new} <= before
        ):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        folders += {file.parent for file in new} - before
    killed, living = processes
    killed.kill()
    killed.communicate(timeout=WAIT_SECONDS)
    assert folders[0].exists()  # nobody has looked yet

    ran = run("import", SAMPLE, "--store", store)

    assert ran.code == 0
    assert sorted(tmp_path.iterdir()) == sorted([folders[1], store])
    living.communicate(timeout=WAIT_SECONDS)  # its input ends
    assert living.returncode == 0
    assert list(tmp_path.iterdir()) == [store]


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file is large enough for several processes."""
    monkeypatch.setattr(lines, "PART_BYTES", 10_000)


def filled(*sources: Path, processes: int) -> tuple[list[Any], ReadReport]:
    store, report = Store(), ReadReport()
    fill(store, [str(source) for source in sources], report, processes=processes)
    rows = store.rows("select * from spans order by all")
    store.close()
    return rows, report


@pytest.mark.usefixtures("small_parts")
def test_several_processes_read_what_one_reads() -> None:
    several, report = filled(*sorted(SAMPLES.glob("*.jsonl")), processes=2)
    one, expected = filled(*sorted(SAMPLES.glob("*.jsonl")), processes=1)

    assert several == one
    assert report == expected


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(b'{"resourceSpans":[{"scopeSpans":\n', id="cut line"),
        pytest.param(b"\xff\xfe\n", id="no UTF-8"),
        pytest.param(b'{"resourceLogs":[]}\n', id="another signal"),
        pytest.param(b'{"resource_spans":[]}\n', id="another spelling"),
        pytest.param(b"{\n}\n", id="over lines"),
        pytest.param(b"\n\n\r\n", id="empty lines"),
    ],
)
def test_a_file_with_one_odd_line_is_read_as_if_by_one(tmp_path: Path, damage: bytes) -> None:
    """The first file is loaded in part when its last line turns out to be odd: it is taken back."""
    odd, right = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    odd.write_bytes(SAMPLE.read_bytes() + damage + SAMPLE.read_bytes().splitlines(keepends=True)[0])
    right.write_bytes(SAMPLE.read_bytes())
    several, report = filled(odd, right, processes=2)
    one, expected = filled(odd, right, processes=1)

    assert several == one
    assert (report.spans, report.unreadable, report.skipped_records) == (
        expected.spans,
        expected.unreadable,
        expected.skipped_records,
    )
    assert {warning.code for warning in report.warnings} == {
        warning.code for warning in expected.warnings
    }


def test_processes_say_nothing_of_their_own(tmp_path: Path) -> None:
    """A file of two parts, by the real command line with several processes."""
    large = tmp_path / "large.jsonl"
    text = SAMPLE.read_bytes()
    large.write_bytes(text * (lines.PART_BYTES // len(text) + 1))
    done = subprocess.run(
        [sys.executable, "-m", "budget_audit", "import", large, "--parquet", tmp_path / "spans"],
        capture_output=True,
        check=True,
    )

    assert done.stderr == b""


@pytest.mark.usefixtures("small_parts")
def test_a_line_above_max_bytes_is_refused_with_any_number_of_processes(tmp_path: Path) -> None:
    file = tmp_path / "long.jsonl"
    span = json.dumps(one_span("x" * 12_000_000)).encode()
    file.write_bytes(SAMPLE.read_bytes() + b"\n" + span + b"\n")
    for processes in (1, 2):
        store, report = Store(), ReadReport()
        fill(store, [str(file)], report, processes=processes, max_bytes=9_000_000)
        store.close()

        assert [warning.code for warning in report.warnings] == ["too_large"]
