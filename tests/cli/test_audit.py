"""What `audit` shows beside sums by model: any key, workflows and forecasts."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., Any]
SAMPLE = Path(__file__).parents[2] / "sample_traces" / "traces.jsonl"


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers are as wide as a terminal of 80 columns."""
    monkeypatch.setattr("budget_audit.formats.write._WIDTH_WITHOUT_TERMINAL", 80)


@pytest.mark.usefixtures("narrow")
def test_everything_fits_in_a_terminal_of_80_columns(run: Call) -> None:
    ran = run("audit", SAMPLE, "--by", "agent,day", "--workflows", "--forecast")

    assert ran.code == 0, ran.err
    assert max(map(len, ran.out.splitlines())) <= 80
    assert "…" not in ran.out.replace("… and", "")


def test_days_are_shown_in_order(run: Call) -> None:
    shown = run("audit", SAMPLE, "--by", "day").out
    days = [line[:10] for line in shown.splitlines() if line.startswith("2026-11-")]

    assert days == [f"2026-11-{day:02}" for day in range(2, 16)]


def test_the_groups_add_up_to_the_totals_whatever_the_key(audit: Call) -> None:
    for keys in ("tool", "span", "tier", "run", "day", "tenant", "hour,model"):
        answer = audit(SAMPLE, "--by", keys)
        rows = answer["groups"] + [{"model_calls": 0}]

        if not answer["left_off"]:
            assert sum(row["model_calls"] for row in rows) == answer["totals"]["model_calls"]


def test_csv_has_every_group(run: Call) -> None:
    rows = list(
        csv.DictReader(io.StringIO(run("audit", SAMPLE, "--by", "run", "--format", "csv").out))
    )

    assert len(rows) > 100
    assert sum(int(row["model_calls"]) for row in rows) == 986


def test_the_time_zone_is_told(audit: Call) -> None:
    assert audit(SAMPLE, "--by", "day", "--timezone", "Asia/Tokyo")["timezone"] == "Asia/Tokyo"


def test_a_key_that_no_call_has_is_a_warning(run: Call) -> None:
    ran = run("audit", SAMPLE, "--by", "tennant.id")

    assert ran.code == 0
    assert "warning: key_without_value: no call has a value for the key 'tennant.id'" in ran.err
    assert "(none)" in ran.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--timezone", "Europe/Berln"], "did you mean 'Europe/Berlin'"),
        (["--budgets", "x.yaml"], "--budgets goes with --forecast"),
        (["--by", "modle"], "did you mean 'model'?"),
    ],
)
def test_what_does_not_go_together_is_said_before_anything_is_read(
    arguments: list[str], said: str, run: Call
) -> None:
    ran = run("audit", "does-not-exist", *arguments)

    assert (ran.code, ran.out) == (2, "")
    assert said in " ".join(ran.err.split())


def test_workflows_and_a_forecast_are_keys_of_the_answer(audit: Call, tmp_path: Path) -> None:
    file = tmp_path / "budgets.yaml"
    file.write_text("budgets: {month: {per: service.name, window: month, max_cost_usd: 20}}\n")

    answer = audit(SAMPLE, "--workflows", "--forecast", "--budgets", file)
    forecast = answer["forecast"]

    assert sum(each["runs"] for each in answer["workflows"]) == sum(
        each["runs"] for each in answer["workflows"] if each["per_run"]["tokens"]["median"]
    )
    assert len(answer["dearest_traces"]) == 10
    assert [each["window"] for each in forecast["windows"]] == ["day", "week", "month"]
    assert forecast["full_days"] == 12
    assert {each["budget"] for each in forecast["limits"]} == {"month"}
    assert not {"forecast", "workflows"} & audit(SAMPLE).keys()
