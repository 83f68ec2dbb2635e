"""The contract of the command line: keys and types of its JSON, its options and its exit codes."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from budget_audit import app as command_line
from click.testing import CliRunner

Call = Callable[..., Any]
ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "sample_traces" / "traces.jsonl"
COMMANDS = [
    "audit",
    "diff",
    "doctor",
    "focus",
    "gate",
    "import",
    "prices",
    "simulate",
    "suggest",
    "trace",
]

MONEY = re.compile(r"(0|[1-9]\d*)\.\d{2}(\d*[1-9])?")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z")


class Money:
    """USD as an exact decimal string."""


class Time:
    """RFC 3339 in UTC with nanoseconds."""


class Amount:
    """USD for "cost_usd", else a count, as text."""


class Maybe:
    """A shape, or null."""

    def __init__(self, shape: Any) -> None:
        self.shape = shape


TOTALS = {
    "traces": int,
    "model_calls": int,
    "input_tokens": int,
    "output_tokens": int,
    "cache_read_input_tokens": int,
    "cache_write_input_tokens": int,
    "reasoning_output_tokens": int,
    "list_cost_usd": Maybe(Money),
    "reported_cost_usd": Maybe(Money),
    "unpriced_calls": int,
    "unpriced_input_tokens": int,
    "unpriced_output_tokens": int,
    "calls_without_usage": int,
    "calls_without_time": int,
    "cache_write_1h_input_tokens": int,
    "audio_input_tokens": int,
    "audio_output_tokens": int,
    "image_input_tokens": int,
    "image_output_tokens": int,
    "web_searches": int,
}
PERIOD = {"start": Maybe(Time), "end": Maybe(Time)}
AUDIT = {
    "schema": "otelbudget.audit/1",
    "period": PERIOD,
    "timezone": "UTC",
    "input": {
        "files": int,
        "formats": {"otlp-json": int},
        "spans": int,
        "duplicates": int,
        "skipped_records": int,
        "unreadable": int,
        "sampled": bool,
        "warnings": [
            {
                "code": str,
                "count": int,
                "example": str,
                "files": [{"file": str, "line": Maybe(int)}],
            }
        ],
    },
    "prices": {
        "source": str,
        "version": str,
        "compiled_on": str,
        "overrides_hash": Maybe(str),
        "confidence": [{"confidence": str, "model_calls": int, "list_cost_usd": Maybe(Money)}],
    },
    "totals": TOTALS,
    "groups": [{"key": {"model": str}, **TOTALS}],
    "findings": [
        {
            "code": str,
            "severity": str,
            "text": str,
            "count": int,
            "amount_usd": Maybe(Money),
            "trace_ids": [str],
        }
    ],
}
OUTCOME = {"scopes_reached": int, "scopes_stopped": int, "calls_denied": int}
SIMULATE = {
    "schema": "otelbudget.simulate/1",
    "period": PERIOD,
    "policy": {"version": 1, "unknown_model": str, "budgets": {"limit": {"max_cost_usd": Money}}},
    "totals": {
        **OUTCOME,
        "scopes": int,
        "calls": int,
        "spent_usd": Money,
        "avoided_usd": Money,
        "estimated_usd": Money,
        "worst_overshoot": Amount,
        "runs": int,
        "runs_stopped": int,
        "false_stops": Maybe(int),
        "if_enforced": None,
    },
    "limits": [{"budget": str, "kind": str, "limit": Amount, **OUTCOME, "worst_overshoot": Amount}],
    "stopped": [
        {
            "budget": str,
            "kind": str,
            "limit": Amount,
            "window_start": Maybe(Time),
            "scope": {"trace": str},
            "at": Time,
            "calls_allowed": int,
            "calls_denied": int,
            "spent_usd": Money,
            "avoided_usd": Money,
        }
    ],
    "sweep": [
        {"kind": str, "limit": Amount, **OUTCOME, "avoided_usd": Money, "false_stops": Maybe(int)}
    ],
}
SUGGEST = {
    "schema": "otelbudget.suggest/1",
    "confidence": float,
    "groups": [
        {
            "key": {"workflow": str, "agent": Maybe(str)},
            "eligible": int,
            "left_out": [{"reason": str, "count": int, "trace_ids": [str]}],
            "tier": Maybe(str),
            "why_not": Maybe(str),
            "limits": dict,
            "covers": float,
            "holdout": {"scopes": int, "stopped": int, "avoided_usd": Money, "drift": bool},
        }
    ],
    "budgets_yaml": str,
}


PATTERNS: dict[type, re.Pattern[str]] = {
    Money: MONEY,
    Time: TIME,
    Amount: re.compile(rf"\d+|{MONEY.pattern}"),
}


def assert_shaped(value: Any, shape: Any, where: str = "") -> None:
    """Every key of a shape is there, with a value of its type."""
    match shape:
        case dict():
            assert isinstance(value, dict), where
            assert shape.keys() <= value.keys(), (where, shape.keys() - value.keys())
            for key, inner in shape.items():
                assert_shaped(value[key], inner, f"{where}.{key}")
        case [inner]:
            assert isinstance(value, list), where
            for index, each in enumerate(value):
                assert_shaped(each, inner, f"{where}[{index}]")
        case Maybe():
            assert_shaped(value, None if value is None else shape.shape, where)
        case type() if shape in PATTERNS:
            assert PATTERNS[shape].fullmatch(value), (where, value)
        case type():
            assert type(value) is shape, (where, value)
        case _:
            assert value == shape, where


def test_audit_has_every_key_of_the_contract(audit: Call, recorded_traces: Path) -> None:
    for source in (SAMPLE, recorded_traces / "bad" / "03_truncated_last_line.jsonl"):
        assert_shaped(audit(source), AUDIT)


def test_simulate_has_every_key_of_the_contract(simulate: Call) -> None:
    answer = simulate(SAMPLE, "--limit", "cost_usd=0.02", "--sweep", "tokens=10:100000:7")

    assert_shaped(answer, SIMULATE)
    assert len(answer["stopped"]) == answer["totals"]["scopes_stopped"] > 0
    assert [point["limit"] for point in answer["sweep"]] == [
        # Evenly spaced in the logarithm: each 10 ** (4 / 6) = 4.6416 times the one before.
        "10",
        "46",
        "215",
        "1000",
        "4642",
        "21544",
        "100000",
    ]


def test_suggest_has_every_key_of_the_contract(run: Call) -> None:
    answer = run("suggest", SAMPLE, "--format", "json").json

    assert_shaped(answer, SUGGEST)
    with_limit = [group for group in answer["groups"] if group["limits"]]
    assert with_limit
    for group in with_limit:
        assert_shaped(group["limits"], {"cost_usd": {"limit": Money, "interval": [Money]}})
        assert len(group["limits"]["cost_usd"]["interval"]) == 2
        assert (group["why_not"], group["tier"]) != (None, None)
    assert answer["budgets_yaml"].endswith("\n")


def test_more_than_a_hundred_groups_are_counted_as_left_off(audit: Call) -> None:
    answer = audit(SAMPLE, "--by", "trace")

    # 203 traces, of which 2 hold only a call that failed
    assert (len(answer["groups"]), answer["left_off"]) == (100, 101)


def test_several_keys_group_together_in_the_order_given(audit: Call) -> None:
    answer = audit(SAMPLE, "--by", "provider,model,agent")

    assert all(list(group["key"]) == ["provider", "model", "agent"] for group in answer["groups"])
    assert sum(group["model_calls"] for group in answer["groups"]) == 986


def test_csv_has_a_header_and_as_many_rows_as_the_json_has_groups(run: Call, audit: Call) -> None:
    ran = run("audit", SAMPLE, "--format", "csv", "--by", "model,agent")

    rows = list(csv.DictReader(io.StringIO(ran.out)))
    groups = audit(SAMPLE, "--by", "model,agent")["groups"]
    assert list(rows[0]) == ["model", "agent", *TOTALS]
    assert [row["list_cost_usd"] for row in rows] == [group["list_cost_usd"] for group in groups]


def test_output_writes_a_file_and_leaves_standard_output_empty(run: Call, tmp_path: Path) -> None:
    out = tmp_path / "answer.json"

    ran = run("audit", SAMPLE, "--format", "json", "--output", out)

    assert (ran.code, ran.out, ran.err) == (0, "", "")
    assert json.loads(out.read_text())["totals"]["model_calls"] == 986


def test_output_that_cannot_be_written_is_one_sentence(run: Call, tmp_path: Path) -> None:
    ran = run("audit", SAMPLE, "--output", tmp_path / "no" / "folder" / "x")

    assert (ran.code, ran.out) == (1, "")
    assert "No such file or directory" in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("arguments", [[], ["--no-color"]], ids=["no-terminal", "no-color"])
def test_a_table_without_a_terminal_has_no_colour(arguments: list[str], run: Call) -> None:
    ran = run(*arguments, "audit", SAMPLE)

    assert ran.code == 0
    assert "$13.95 list cost for 986 model calls in 203 traces" in ran.out
    assert "\x1b" not in ran.out + ran.err


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo terminal")
@pytest.mark.parametrize(("variables", "has_color"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_a_terminal_gets_colour_unless_no_color_is_set(
    variables: dict[str, str],
    has_color: bool,  # noqa: FBT001 - a cell of the table
) -> None:
    import pty  # noqa: PLC0415 - not on every platform

    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", "from budget_audit.app import main; main()", "audit", str(SAMPLE)],
        stdout=theirs,
        stderr=subprocess.PIPE,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'cli'}", "TERM": "xterm", "PATH": "", **variables},
    )
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 65_536):
            shown += part
    except OSError:  # how Linux says that the other side has gone
        pass
    os.close(ours)
    _, err = process.communicate()

    assert (process.returncode, err) == (0, b"")
    assert b"$13.95" in shown
    assert (b"\x1b[" in shown) is has_color


WRONG_USAGE = {
    "key": (
        ["audit", str(SAMPLE), "--by", "model,colour"],
        "'colour' is no key; choose from model, ",
    ),
    "no-source": (["audit"], "Missing argument 'SRC...'"),
    "kind": (["simulate", "x", "--limit", "usd=1"], "where KIND is cost_usd, tokens, input_"),
    "negative": (["simulate", "x", "--limit", "cost_usd=-1"], "allowed are 0 to 9223372"),
    "nan": (["simulate", "x", "--limit", "cost_usd=nan"], "at most twelve decimals"),
    "too-fine": (["simulate", "x", "--limit", "cost_usd=0.0000000000001"], "twelve decimals"),
    "fraction": (["simulate", "x", "--limit", "calls=1.5"], "'1.5' is no whole number"),
    "twice": (["simulate", "x", "--limit", "calls=1", "--limit", "calls=2"], "each kind"),
    "nothing": (["simulate", "x"], "say what to replay"),
    "both": (["simulate", "x", "--limit", "calls=1", "--budgets", "b.yaml"], "not both"),
    "scope-beside-file": (
        ["simulate", "x", "--scope", "run", "--budgets", "b.yaml"],
        "`per` says it",
    ),
    "scope": (["simulate", "x", "--limit", "calls=1", "--scope", "trace,"], "joined by commas"),
    "sweep": (["simulate", "x", "--sweep", "cost_usd=2:1:5"], "with 0 < FROM <= TO"),
    "time": (["audit", "x", "--since", "yesterday"], "'yesterday' is no time; write 2026-"),
    "covers": (["suggest", "x", "--covers", "1"], "0.5<=x<=0.999"),
    "command": (["audits"], "No such command 'audits'"),
}


@pytest.mark.parametrize(("arguments", "said"), WRONG_USAGE.values(), ids=WRONG_USAGE.keys())
def test_wrong_usage_is_exit_2_and_says_what_is_right(
    arguments: list[str], said: str, run: Call
) -> None:
    ran = run(*arguments)

    assert (ran.code, ran.out) == (2, "")
    assert said in " ".join(ran.err.split())


def test_a_wrong_budgets_file_is_named_with_its_key(run: Call, tmp_path: Path) -> None:
    file = tmp_path / "budgets.yaml"
    file.write_text("version: 1\nbudgets:\n  run: {per: trace, max_cal: 3}\n")

    ran = run("simulate", SAMPLE, "--budgets", file)

    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(f"budget-audit: {file}: budgets.run.max_cal: is not a key")


def test_a_missing_file_is_one_sentence(run: Call, tmp_path: Path) -> None:
    ran = run("audit", tmp_path / "no.jsonl")

    assert (ran.code, ran.out) == (1, "")
    assert ran.err == f"budget-audit: {tmp_path / 'no.jsonl'}: does not exist; check the name\n"


def test_since_and_until_keep_the_calls_that_start_between(audit: Call) -> None:
    whole = audit(SAMPLE)["totals"]
    noon = "2026-11-09T12:00:00Z"

    before = audit(SAMPLE, "--until", noon)["totals"]
    after = audit(SAMPLE, "--since", "2026-11-09T13:00:00+01:00")["totals"]

    assert 0 < before["model_calls"] < whole["model_calls"]
    for name in ("model_calls", "input_tokens", "output_tokens"):
        assert before[name] + after[name] == whole[name]


def test_since_and_until_keep_whole_traces_in_simulate(simulate: Call) -> None:
    limit = ("--limit", "calls=5")

    parts = [
        simulate(SAMPLE, *limit, option, "2026-11-09")["totals"]
        for option in ("--since", "--until")
    ]

    whole = simulate(SAMPLE, *limit)["totals"]
    for name in ("scopes", "scopes_reached", "scopes_stopped", "calls", "calls_denied"):
        assert sum(part[name] for part in parts) == whole[name]


def test_the_same_spans_from_files_a_folder_a_store_and_standard_input_count_once(
    run: Call, audit: Call, recorded_traces: Path, tmp_path: Path
) -> None:
    base = recorded_traces / "bad" / "00_base.json"
    other = recorded_traces / "bad" / "01_out_of_order.jsonl"
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "upper.json").write_text(
        re.sub(r'(?<=Id":")[0-9a-f]+(?=")', lambda found: found[0].upper(), base.read_text())
    )
    store = tmp_path / "store.duckdb"
    assert run("import", base, "--store", store).code == 0

    ran = run("audit", base, other, folder, store, "-", "--format", "json", stdin=base.read_bytes())

    answer = ran.json
    assert answer["totals"] == audit(base)["totals"]
    assert answer["input"]["files"] == 5
    assert answer["input"]["formats"] == {"duckdb": 1, "otlp-json": 4}
    assert (answer["input"]["spans"], answer["input"]["duplicates"]) == (125, 4 * 125)


@pytest.mark.parametrize("command", ["prices show", "prices diff", "prices refresh"])
def test_every_command_of_a_group_has_help_with_an_example(command: str, run: Call) -> None:
    ran = run(*command.split(), "--help")

    assert (ran.code, ran.err) == (0, "")
    assert "Example:\n" in ran.out
    assert f"budget-audit {command}" in ran.out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str, run: Call) -> None:
    ran = run(command, "--help")

    assert (ran.code, ran.err) == (0, "")
    assert re.search(rf"Example:\n    budget-audit {command}\b", ran.out)
    options = re.findall(r"^  (-.*?)(?:  +(\S.*))?$", ran.out, re.MULTILINE)
    assert len(options) >= {"prices": 1, "doctor": 3}.get(command, 4)
    # The first line of the help and the list of commands say the same.
    assert command_line.COMMANDS[command] in " ".join(run("--help").out.split())
    assert command_line.COMMANDS[command] in " ".join(ran.out.split())


def test_the_help_names_every_command_and_an_example(run: Call) -> None:
    ran = run("--help")

    assert sorted(command_line.COMMANDS) == COMMANDS
    assert all(f"\n  {command} " in ran.out for command in COMMANDS)
    assert "Example:\n    budget-audit audit traces.jsonl" in ran.out


def test_help_loads_neither_duckdb_nor_rich_nor_the_audit() -> None:
    code = (
        "import sys; from budget_audit.app import main; sys.argv = ['x', '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'duckdb', 'rich', 'otelbudget.audit', 'yaml'} & set(sys.modules)))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'cli'}"},
    )

    assert done.stdout.splitlines()[-1] == "[]"


def test_an_interrupt_is_one_sentence(run: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("otelbudget.audit.sources.fill", interrupt)

    ran = run("audit", SAMPLE)

    assert (ran.code, ran.out) == (1, "")
    assert ran.err.endswith("interrupted\n")


def test_an_interrupted_import_leaves_nothing(
    run: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("otelbudget.audit.sources.fill", interrupt)

    assert run("import", SAMPLE, "--store", tmp_path / "new.duckdb").code == 1
    assert list(tmp_path.iterdir()) == []


def test_the_app_can_be_called_by_other_programs() -> None:
    """Click's own runner calls the group without `main()`."""
    result = CliRunner().invoke(command_line.app, ["audit", str(SAMPLE), "--format", "json"])

    assert result.exit_code == 0
    assert json.loads(result.stdout)["totals"]["list_cost_usd"] == "13.9511777"


@pytest.mark.parametrize(
    "options",
    [
        ["--sweep", "cost_usd=0.001:2:40"],
        ["--sweep", "calls=1:40:20"],
        ["--sweep", "tokens=100:90000:30"],
        ["--sweep", "cost_usd=0.01:1:9", "--success", "http.route=/w"],
    ],
    ids=["cost", "calls", "tokens", "success"],
)
def test_a_sweep_says_the_same_whether_the_database_or_this_program_answers(
    run: Call, options: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    by_database = run("simulate", SAMPLE, *options, "--format", "json")
    monkeypatch.setattr("budget_audit.sweeping.is_plain", lambda _: False)
    by_program = run("simulate", SAMPLE, *options, "--format", "json")

    assert by_database == by_program
    assert by_database.json["sweep"][0]["calls_denied"] > 0
