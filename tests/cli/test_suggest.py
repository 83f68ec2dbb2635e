"""`budget-audit suggest` on the command line: what is asked for, what is shown, what is refused."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., Any]
TRACES = Path(__file__).parents[2] / "sample_traces" / "traces.jsonl"


@pytest.fixture
def suggest(run: Call) -> Call:
    """The object of `suggest --format json` for the sample traces; the run must succeed."""

    def suggest(*arguments: str) -> Any:
        ran = run("suggest", TRACES, *arguments, "--format", "json")
        assert ran.code == 0, ran.err
        return ran.json

    return suggest


def by_name(answer: Any) -> dict[str, Any]:
    return {group["key"]["workflow"]: group for group in answer["groups"]}


def test_the_answer_says_on_what_each_limit_rests(suggest: Call) -> None:
    answer = suggest()

    researcher = by_name(answer)["invoke_agent researcher"]
    assert researcher["key"] == {"workflow": "invoke_agent researcher", "agent": "researcher"}
    assert (researcher["eligible"], researcher["covered"], researcher["covers"]) == (50, 50, 0.95)
    assert (researcher["tier"], researcher["why_not"]) == ("researcher", None)
    assert list(researcher["limits"]) == ["cost_usd"]
    [left_out] = researcher["left_out"]
    assert (left_out["reason"], left_out["count"]) == ("suspected runaway", 3)
    assert len(left_out["trace_ids"]) == 3
    assert researcher["notes"] == [
        "limits on more kinds need more runs: calls 77, tokens 105, seconds 132, tool_calls 158"
    ]
    assert by_name(answer)["invoke_agent comparer"]["why_not"] == "25 of 45 runs needed"
    assert [tier["name"] for tier in answer["tiers"]] == ["quick_answer", "researcher"]
    assert answer["notes"] == []


def test_kinds_are_limited_in_the_order_asked_for(suggest: Call) -> None:
    answer = suggest("--kinds", "seconds,calls,cost_usd")

    limits = by_name(answer)["invoke_agent quick-answer"]["limits"]
    assert list(limits) == ["seconds", "calls"]
    assert limits["calls"] == {"limit": "2", "interval": ["2", "2"]}
    assert "max_cost_usd" in answer["budgets_yaml"]  # the budget for every run


def test_a_lower_share_needs_fewer_runs(suggest: Call) -> None:
    answer = suggest("--covers", "0.8")

    # 0.8 ** 11 = 0.086
    assert by_name(answer)["invoke_agent note-tagger"]["why_not"] == "8 of 11 runs needed"
    assert by_name(answer)["invoke_agent comparer"]["why_not"] is None


def test_workflows_are_told_apart_by_other_keys(suggest: Call) -> None:
    groups = suggest("--by", "tenant.id")["groups"]

    assert [group["key"] for group in groups] == [
        {"tenant.id": tenant} for tenant in ("acme", "birch", "cedar", "dune")
    ]


def test_all_workflows_share_one_tier_if_asked(suggest: Call) -> None:
    answer = suggest("--tiers", "1")

    [tier] = answer["tiers"]
    assert tier["workflows"] == ["invoke_agent quick-answer", "invoke_agent researcher"]
    # The kinds that both have; the limit is that of the dearer one.
    assert tier["limits"] == {
        "cost_usd": by_name(answer)["invoke_agent researcher"]["limits"]["cost_usd"]["limit"]
    }
    assert {group["tier"] for group in answer["groups"]} == {tier["name"], None}


def test_csv_has_a_row_for_each_workflow_with_the_same_columns(run: Call) -> None:
    ran = run("suggest", TRACES, "--format", "csv")

    rows = list(csv.DictReader(io.StringIO(ran.out)))
    assert len(rows) == 6
    assert [row["limits_calls_limit"] for row in rows] == ["2", *[""] * 5]
    assert (rows[1]["workflow"], rows[1]["left_out"]) == ("invoke_agent researcher", "3")


def test_columns_of_kinds_that_only_a_later_workflow_has_are_there(run: Call) -> None:
    ran = run("suggest", TRACES, "--kinds", "tool_calls,cost_usd", "--format", "csv")

    rows = list(csv.DictReader(io.StringIO(ran.out)))
    assert (rows[0]["limits_tool_calls_limit"], rows[0]["limits_cost_usd_limit"] != "") == (
        "",
        True,
    )
    assert rows[1]["limits_tool_calls_limit"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["--kinds", "euros"], "'euros' is no kind; choose from cost_usd", id="kind"),
        pytest.param(["--kinds", ""], "'' is no kind", id="no-kind"),
        pytest.param(["--by", "trace"], "'trace' tells runs apart, not workflows", id="trace"),
        pytest.param(["--by", "workflw"], "'workflw' is no key", id="misspelt"),
        pytest.param(["--by", "colour"], "'colour' is no key", id="unheard-of"),
        pytest.param(["--tiers", "0"], "0 is not in the range", id="tiers"),
        pytest.param(["--covers", "1"], "not in the range", id="covers"),
    ],
)
def test_what_cannot_be_asked_for_is_wrong_usage(
    run: Call, arguments: list[str], said: str
) -> None:
    ran = run("suggest", TRACES, *arguments)

    assert (ran.code, ran.out) == (2, "")
    assert said in " ".join(ran.err.split())


def test_the_table_has_a_row_for_each_limit(run: Call) -> None:
    shown = run("suggest", TRACES).out.splitlines()

    assert [" ".join(line.split()) for line in shown[:9]] == [
        "Limits that let 95 % of a workflow's runs through, with 90 % confidence",
        "stopped",
        "workflow runs limit 90 % interval later",
        "invoke_agent quick-answer 90 0.00054 USD $0.000432 to $0.000539 0 of 28",
        "2 calls 2",
        "invoke_agent researcher 50 0.116 USD $0.0874 to $0.115",
        "invoke_agent comparer 25 25 of 45 runs needed",
        "invoke_agent policy-assistant 20 20 of 45 runs needed",
        "invoke_agent note-tagger 8 8 of 45 runs needed",
    ]
