"""budget-audit trace, diff and focus, and the what-ifs of simulate, as a user meets them."""

import csv
import io
import json
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from budget_audit.formats.write import csv_text

Call = Callable[..., Any]
TRACES = Path(__file__).parents[2] / "sample_traces" / "traces.jsonl"
RUNAWAY = "8848c1f09e6a8fc8f914787772a37dbc"


@pytest.fixture
def halves(tmp_path: Path) -> tuple[Path, Path]:
    """The sample traces in two files."""
    lines = TRACES.read_text("utf-8").splitlines(keepends=True)
    paths = tmp_path / "base.jsonl", tmp_path / "head.jsonl"
    paths[0].write_text("".join(lines[::2]), "utf-8")
    paths[1].write_text("".join(lines[1::2]), "utf-8")
    return paths


def dearer(path: Path, target: Path) -> Path:
    """The same traces with twice the tokens."""
    twice = re.compile(r'("gen_ai\.usage\.\w+","value":\{"intValue":")(\d+)')
    text = twice.sub(lambda found: f"{found[1]}{2 * int(found[2])}", path.read_text("utf-8"))
    target.write_text(text, "utf-8")
    return target


def test_a_trace_is_a_tree_that_marks_the_first_refused_call(run: Call) -> None:
    ran = run("trace", TRACES, RUNAWAY[:8], "--limit", "cost_usd=0.50")

    assert (ran.code, ran.err) == (0, "")
    assert "Stopped after 23 calls by 0.50 USD of budget limit" in ran.out
    assert "├ 23 x chat gpt-4o" in ran.out
    assert "├ STOP chat gpt-4o" in ran.out
    assert ran.out.splitlines()[-1] == "- invoke_agent researcher: no answer after 78 steps"


def test_a_trace_in_json_adds_up_to_the_audit(run: Call) -> None:
    shown = run("trace", TRACES, RUNAWAY, "--limit", "calls=10", "--format", "json").json

    assert shown["schema"] == "otelbudget.trace/1"
    assert shown["totals"]["model_calls"] == 78
    assert shown["spans"][0]["parent_span_id"] is None
    costs = [Decimal(span["list_cost_usd"] or 0) for span in shown["spans"]]
    assert sum(costs) == Decimal(shown["totals"]["list_cost_usd"]) == Decimal("4.33677")
    assert (shown["stop"]["calls_before"], shown["stop"]["calls_denied"]) == (10, 68)
    assert [span["span_id"] for span in shown["spans"] if span["stop"]] == [
        shown["stop"]["span_id"]
    ]


def test_a_trace_in_csv_has_a_row_for_each_span(run: Call) -> None:
    rows = list(csv.DictReader(io.StringIO(run("trace", TRACES, RUNAWAY, "--format", "csv").out)))

    assert len(rows) == 170


def test_a_trace_that_is_not_there_is_one_sentence(run: Call) -> None:
    several, none = run("trace", TRACES, "8"), run("trace", TRACES, "8848ff")

    assert (several.code, none.code) == (1, 1)
    assert several.err.startswith("budget-audit: Several traces begin with '8': ")
    assert none.err == (
        "budget-audit: No trace of the 203 in these sources begins with '8848ff'; "
        "`budget-audit audit --by trace` lists them.\n"
    )


def test_equal_halves_pass_and_twice_the_cost_fails(
    run: Call, halves: tuple[Path, Path], tmp_path: Path
) -> None:
    base, head = halves

    passed = run("diff", base, head, "--fail-over", "10%")
    failed = run("diff", TRACES, dearer(TRACES, tmp_path / "dear.jsonl"), "--fail-over", "10%")

    assert passed.code == 0
    assert passed.out.startswith("Passed: no median cost of a run rose by more than 10 %")
    assert failed.code == 3
    assert failed.out.startswith("Failed: ")


def test_a_diff_in_json_says_what_was_tested(run: Call, halves: tuple[Path, Path]) -> None:
    compared = run("diff", *halves, "--format", "json").json

    assert compared["schema"] == "otelbudget.diff/1"
    assert compared["ok"] is True
    assert compared["test"]["correction"] == "holm"
    first = compared["changes"][0]
    assert first["key"] == {"workflow": "invoke_agent researcher", "model": None}
    assert first["base"]["runs"] + first["head"]["runs"] == 53
    assert 0 < float(first["p_value_uncorrected"]) <= float(first["p_value"]) <= 1
    for side in ("base", "head"):
        assert first[side]["list_cost_usd"] is not None


def test_a_diff_without_runs_in_common_says_so(run: Call, halves: tuple[Path, Path]) -> None:
    ran = run("diff", *halves, "--where", "sample.workflow=nothing", "--fail-over", "1%")

    assert ran.code == 0
    assert "nothing_compared" in ran.err


def test_focus_rows_add_up_to_the_audit(run: Call, audit: Call) -> None:
    rows = list(csv.DictReader(io.StringIO(run("focus", TRACES, "--by", "tenant.id").out)))

    total = sum(Decimal(row["ListCost"]) for row in rows)
    assert total == Decimal(audit(TRACES)["totals"]["list_cost_usd"])
    first = rows[0]
    assert (first["ServiceCategory"], first["ConsumedUnit"]) == (
        "AI and Machine Learning",
        "Tokens",
    )
    assert first["ChargePeriodStart"] < first["ChargePeriodEnd"]
    assert json.loads(first["Tags"]).keys() == {"tenant.id"}
    assert first["x_CostBasis"] == "list price, no invoice"


def test_what_ifs_say_before_after_and_what_they_assume(run: Call) -> None:
    ran = run(
        "simulate", TRACES, "--limit", "cost_usd=0.05", "--reprice", "gpt-4o=gpt-4o-mini",
        "--cache-hit", "50%", "--format", "json",
    )  # fmt: skip

    totals = ran.json["totals"]
    before = totals["as_recorded"]
    assert Decimal(before["spent_usd"]) + Decimal(before["avoided_usd"]) == Decimal("13.9511777")
    assert Decimal(totals["spent_usd"]) < Decimal(before["spent_usd"])
    assert totals["runs_stopped"] < before["runs_stopped"]
    assert len(ran.json["assumptions"]) == 4


def test_without_a_what_if_nothing_is_recorded_beside(simulate: Call) -> None:
    assert simulate(TRACES, "--limit", "calls=5")["totals"]["as_recorded"] is None


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        pytest.param(["--reprice", "gpt-4o=gtp"], 1, "Model 'gtp' has no known price", id="model"),
        pytest.param(["--reprice", "gpt-4o"], 2, "write OLD=NEW", id="form"),
        pytest.param(["--cache-hit", "1.5"], 2, "write a share from 0 to 1", id="share"),
        pytest.param(["--cache-hit", "nan"], 2, "write a share from 0 to 1", id="nan"),
        pytest.param(
            ["--reprice", "gpt-4o=o3", "--reprice", "gpt-4o=o1"],
            2,
            "OLD of --reprice once",
            id="old",
        ),
        pytest.param(["--prices-at", "soon"], 2, "'soon' is no time", id="day"),
    ],
)
def test_a_wrong_what_if_is_one_sentence(
    run: Call, options: list[str], code: int, sentence: str
) -> None:
    ran = run("simulate", TRACES, "--limit", "calls=5", *options)

    assert ran.code == code
    assert sentence in ran.err


def test_a_model_without_calls_is_a_warning(run: Call) -> None:
    ran = run("simulate", TRACES, "--limit", "calls=5", "--reprice", "gpt-3=gpt-4o")

    assert ran.code == 0
    assert "reprice_unused: no call is one of model 'gpt-3'" in ran.err


def test_a_limit_that_loses_good_runs_says_how_to_see_the_others(run: Call) -> None:
    by_trace = run("simulate", TRACES, "--limit", "cost_usd=0.05").out
    by_tenant = run("simulate", TRACES, "--limit", "calls=9", "--scope", "tenant.id").out

    assert "What larger limits would lose: --sweep cost_usd=0.05:0.50:10\n" in by_trace
    assert "--sweep calls=9:90:10 --scope tenant.id\n" in by_tenant


def test_strict_fails_a_diff_in_which_nothing_was_compared(
    run: Call, halves: tuple[Path, Path]
) -> None:
    ran = run("diff", *halves, "--where", "sample.workflow=nothing", "--strict")

    assert ran.code == 1
    assert "no workflow has runs of a known cost on both sides to compare (--strict)" in ran.err


@pytest.mark.parametrize("over", ["10", "1", "1e999", "1e999%", "nan", "-5%"])
def test_a_rise_from_1_on_takes_the_sign(over: str, run: Call) -> None:
    ran = run("diff", TRACES, TRACES, "--fail-over", over)

    assert ran.code == 2
    assert "write a percentage such as 10%, or a share below 1 such as 0.1" in ran.err


def test_focus_tells_of_keys_without_a_value(run: Call) -> None:
    unknown, untold = (run("focus", TRACES, "--by", key) for key in ("nosuchkey", "no.such"))

    assert (unknown.code, untold.code) == (2, 0)
    assert "'nosuchkey' is no key" in unknown.err
    assert "key_without_value: no call has a value for the key 'no.such'" in untold.err


def test_cells_that_look_like_formulas_begin_with_an_apostrophe() -> None:
    told = ["=1+2", "+1 a", "-x", "@evil", "\tx", "\rx", "-1.50", "+3", "a=1", ""]

    rows = list(csv.DictReader(io.StringIO(csv_text([{"cell": cell} for cell in told]), "")))

    assert [row["cell"] for row in rows] == [
        *["'=1+2", "'+1 a", "'-x", "'@evil", "'\tx", "'\rx"],
        *["-1.50", "+3", "a=1", ""],
    ]


def test_numbers_below_zero_stay_numbers() -> None:
    assert csv_text([{"change": -1, "share": Decimal("-0.5"), "none": None}]) == (
        "change,share,none\n-1,-0.5,\n"
    )


def test_prices_of_a_day_before_any_known_price_are_said(run: Call) -> None:
    ran = run("simulate", TRACES, "--limit", "calls=5", "--prices-at", "1999-01-01")

    assert "No price of 1999-01-01 is known for 969 calls" in ran.out
