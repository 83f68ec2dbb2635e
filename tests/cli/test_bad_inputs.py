"""Damaged and odd inputs through the command line: what is read, what is said, what is left."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

Call = Callable[..., Any]

# gpt-5-mini: 0.25 USD/Mtok in, 0.025 read from the cache, 2.00 out.
# (4_047 - 1_792) * 0.25 + 1_792 * 0.025 + 803 * 2.00 = 2_214.55 USD/M = 0.00221455 USD
BASE = (2, 4_047, 803, 1_792, "0.00221455")
# Without the inner spans the cache reads are unknown: 4_047 * 0.25 + 803 * 2.00 = 2_617.75 USD/M
WITHOUT_CACHE = (2, 4_047, 803, 0, "0.00261775")
TWICE = (4, 8_094, 1_606, 3_584, "0.0044291")


def sums(answer: Any) -> tuple[int, int, int, int, str]:
    """Calls, input, output, cache reads and dollars of an audit."""
    totals = answer["totals"]
    return (
        totals["model_calls"],
        totals["input_tokens"],
        totals["output_tokens"],
        totals["cache_read_input_tokens"],
        totals["list_cost_usd"],
    )


@pytest.fixture
def bad(recorded_traces: Path) -> Path:
    return recorded_traces / "bad"


@pytest.mark.parametrize(
    ("name", "expected", "spans", "duplicates"),
    [
        pytest.param("00_base.json", BASE, 125, 0, id="base"),
        pytest.param("01_out_of_order.jsonl", BASE, 125, 0, id="out-of-order"),
        pytest.param("02_duplicate_delivery.jsonl", BASE, 125, 125, id="delivered-twice"),
        pytest.param("06_gzip.jsonl.gz", BASE, 125, 0, id="gzip"),
        pytest.param("10_concatenated_pretty.json", BASE, 125, 0, id="concatenated"),
        pytest.param("12_enum_strings.json", BASE, 125, 0, id="enum-names"),
        pytest.param("13_base64_ids_batches.json", BASE, 125, 0, id="base64-ids"),
        pytest.param("14_tokens_as_strings.json", BASE, 125, 0, id="tokens-as-text"),
        pytest.param("17_nan_cost.json", BASE, 125, 0, id="nan-cost"),
        pytest.param("19_orphans_missing_parents.json", BASE, 123, 0, id="orphans"),
        pytest.param("20_inner_spans_sampled_out.json", WITHOUT_CACHE, 123, 0, id="outer-only"),
        pytest.param("23_parent_cycle.json", BASE, 125, 0, id="parent-cycle"),
        pytest.param("28_same_span_ids_two_traces.json", TWICE, 250, 0, id="span-ids-twice"),
    ],
)
def test_odd_but_whole_files_are_read_without_a_warning(
    name: str, expected: tuple[Any, ...], spans: int, duplicates: int, bad: Path, run: Call
) -> None:
    ran = run("audit", bad / name, "--format", "json", "--strict")

    assert (ran.code, ran.err) == (0, "")
    assert sums(ran.json) == expected
    assert ran.json["input"]["spans"] == spans
    assert ran.json["input"]["duplicates"] == duplicates
    assert ran.json["input"]["warnings"] == []


def test_orphans_are_a_finding(bad: Path, audit: Call) -> None:
    answer = audit(bad / "19_orphans_missing_parents.json")

    assert [finding["code"] for finding in answer["findings"]] == ["orphan_spans"]


def test_a_cut_off_last_line_is_a_warning_and_the_rest_is_read(bad: Path, run: Call) -> None:
    file = bad / "03_truncated_last_line.jsonl"
    sentence = f"{file}:125: is cut off midway: the JSON value that begins here has no end after 2130 bytes"

    ran = run("audit", file, "--format", "json")

    assert (ran.code, ran.err) == (0, f"warning: truncated_line: {sentence}\n")
    assert sums(ran.json) == BASE
    assert (ran.json["input"]["spans"], ran.json["input"]["unreadable"]) == (124, 1)
    assert ran.json["input"]["warnings"] == [
        {
            "code": "truncated_line",
            "count": 1,
            "example": sentence,
            "files": [{"file": str(file), "line": 125}],
        }
    ]


def test_strict_fails_where_something_could_not_be_read(bad: Path, run: Call) -> None:
    ran = run("audit", bad / "03_truncated_last_line.jsonl", "--format", "json", "--strict")

    assert ran.code == 1
    assert sums(ran.json) == BASE
    assert ran.err.endswith("Error: 1 record could not be read (--strict)\n")


def test_spans_that_end_before_they_start_are_a_warning(bad: Path, run: Call) -> None:
    file = bad / "16_negative_durations.json"

    ran = run("audit", file, "--format", "json", "--strict")

    assert ran.code == 0
    assert sums(ran.json) == BASE
    [warning] = ran.json["input"]["warnings"]
    assert (warning["code"], warning["count"]) == ("clock_skew", 125)
    assert ran.err == f"warning: clock_skew: {warning['example']} (125 times)\n"


UNREADABLE = {
    "04_truncated_midfile.json": (
        ":1: is cut off midway: the JSON value that begins here has no end after 67954 bytes"
    ),
    "26_html_error_page.json": ": is HTML or XML, not traces",
}
each_unreadable = pytest.mark.parametrize("name", UNREADABLE)


@each_unreadable
@pytest.mark.parametrize(
    "command",
    [["audit"], ["simulate", "--limit", "calls=1"], ["suggest"], ["import", "--store", "x.duckdb"]],
    ids=lambda command: command[0],
)
def test_nothing_readable_is_one_sentence_and_exit_1(
    name: str,
    command: list[str],
    bad: Path,
    run: Call,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)

    ran = run(command[0], bad / name, *command[1:])

    assert ran.code == 1
    assert ran.out == ""
    assert ran.err == f"budget-audit: {bad / name}{UNREADABLE[name]}\n"
    assert list(tmp_path.iterdir()) == []


@each_unreadable
def test_a_failed_import_leaves_an_existing_store_as_it_was(
    name: str, bad: Path, run: Call, tmp_path: Path
) -> None:
    store = tmp_path / "traces.duckdb"
    assert run("import", bad / "00_base.json", "--store", store).code == 0
    before = store.read_bytes()

    ran = run("import", bad / name, "--store", store)

    assert ran.code == 1
    assert store.read_bytes() == before
    assert list(tmp_path.iterdir()) == [store]


def test_an_import_into_a_file_that_is_no_store_leaves_it_as_it_was(
    bad: Path, run: Call, tmp_path: Path
) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("not a database")
    database = tmp_path / "other.duckdb"
    # Of the age that a store of ours has, so that it can be attached like one.
    with duckdb.connect(
        str(database), config={"storage_compatibility_version": "v1.0.0"}
    ) as connection:
        connection.execute("create table kept (n integer)")
    before = database.read_bytes()

    as_text = run("import", bad / "00_base.json", "--store", other)
    as_database = run("import", bad / "00_base.json", "--store", database)

    assert (as_text.code, as_database.code) == (1, 1)
    assert as_text.err == (
        f"budget-audit: {other}: cannot be opened: it is no DuckDB file; name another\n"
    )
    assert as_database.err.startswith(
        f"budget-audit: {database}: is a DuckDB file but no otelbudget store"
    )
    assert other.read_text() == "not a database"
    assert database.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == [other, database]


def test_importing_twice_counts_once(bad: Path, run: Call, audit: Call, tmp_path: Path) -> None:
    store = tmp_path / "traces.duckdb"
    for name in ("00_base.json", "01_out_of_order.jsonl"):
        assert run("import", bad / name, "--store", store).code == 0

    answer = audit(store)

    assert sums(answer) == BASE
    assert (answer["input"]["spans"], answer["input"]["duplicates"]) == (125, 0)


def test_a_bad_file_beside_a_good_one_is_a_warning(bad: Path, run: Call, tmp_path: Path) -> None:
    folder = tmp_path / "exports"
    folder.mkdir()
    for name in ("00_base.json", "04_truncated_midfile.json", "26_html_error_page.json"):
        shutil.copyfile(bad / name, folder / name)

    ran = run("audit", folder, "--format", "json")

    assert ran.code == 0
    assert sums(ran.json) == BASE
    assert ran.json["input"]["files"] == 3
    codes = [warning["code"] for warning in ran.json["input"]["warnings"]]
    assert codes == ["truncated_document", "not_traces"]
    assert [line.split(": ")[1] for line in ran.err.splitlines()] == codes


def test_a_warning_names_every_file_it_is_about(bad: Path, run: Call, tmp_path: Path) -> None:
    shutil.copyfile(bad / "00_base.json", tmp_path / "good.json")
    (tmp_path / "a.jsonl").write_text('{"resourceSpans": []}\n{"resourceSpans": [\n')
    (tmp_path / "b.jsonl").write_text('{"resourceSpans": [\n')

    ran = run("audit", tmp_path, "--format", "json")

    files = {
        entry["file"]: entry["line"]
        for warning in ran.json["input"]["warnings"]
        for entry in warning["files"]
    }
    assert files == {str(tmp_path / "a.jsonl"): 2, str(tmp_path / "b.jsonl"): 1}


def test_objects_separated_by_commas_are_read_as_if_they_were_lines(
    bad: Path, run: Call, tmp_path: Path
) -> None:
    line = json.dumps(json.loads((bad / "00_base.json").read_bytes()))
    file = tmp_path / "joined.json"
    file.write_text(f"{line},\n{line} , {line}")

    ran = run("audit", file, "--format", "json", "--strict")

    assert (ran.code, ran.err) == (0, "")
    assert sums(ran.json) == BASE
    assert ran.json["input"]["duplicates"] == 250


def test_a_bad_token_count_is_named_with_its_span_and_value(run: Call, tmp_path: Path) -> None:
    attributes = [
        {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
        {"key": "gen_ai.request.model", "value": {"stringValue": "gpt-5-mini"}},
        {"key": "gen_ai.usage.input_tokens", "value": {"stringValue": "1,000"}},
        # As protobuf for JavaScript writes 64 bits: 1 * 2**32 + 5, of which nothing is lost.
        {"key": "gen_ai.usage.output_tokens", "value": {"intValue": {"low": 5, "high": 1}}},
    ]
    span = {"traceId": "a" * 32, "spanId": "b" * 16, "name": "chat", "attributes": attributes}
    file = tmp_path / "counts.json"
    file.write_text(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}))

    ran = run("audit", file, "--format", "json")

    [warning] = [w for w in ran.json["input"]["warnings"] if w["code"] == "unreadable_counts"]
    assert warning["example"] == (
        f'span {"b" * 16} of trace {"a" * 32}: gen_ai.usage.input_tokens is "1,000", which is no '
        "token count and was ignored; a count is a whole number from 0 to 1,000,000,000,000"
    )
    assert ran.json["totals"]["output_tokens"] == 2**32 + 5


@pytest.mark.skipif(sys.platform == "win32", reason="limits of processes are of POSIX")
def test_a_full_disk_is_named_as_such_and_not_the_answer(bad: Path, tmp_path: Path) -> None:
    """A process that may write files of 50 kB at most, and has more to write than that."""
    limited = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000));"
        "from budget_audit.app import main; main()"
    )
    command = [sys.executable, "-c", limited, "import", str(bad / "00_base.json")]

    ran = subprocess.run(
        [*command, "--store", str(tmp_path / "traces.duckdb"), "--content", "keep"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith("budget-audit: ")
    assert str(tmp_path) in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
    assert "File too large" in ran.stderr
    assert "the answer" not in ran.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("block", [0, 2, 3])
def test_a_damaged_store_is_one_sentence_and_exit_1(
    block: int, bad: Path, run: Call, tmp_path: Path
) -> None:
    """The first block is read when it is opened, the others when it is asked."""
    store = tmp_path / "traces.duckdb"
    assert run("import", bad / "00_base.json", "--store", store).code == 0
    content = bytearray(store.read_bytes())
    content[3 * 4_096 + block * 262_144 + 2_000] ^= 0xFF  # three headers, blocks of 256 KiB
    store.write_bytes(content)

    ran = run("audit", store)

    assert (ran.code, ran.out) == (1, "")
    assert "Corrupt database file" in ran.err
    assert len(ran.err.splitlines()) == 1
