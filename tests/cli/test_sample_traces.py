"""The committed sample traces through the command line: every total the sample set promises."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from budget_audit.app import app
from budget_audit.loading import load
from click.testing import CliRunner

from otelbudget.audit.spend import spend

Call = Callable[..., Any]
FOLDER = Path(__file__).parents[2] / "sample_traces"
TRACES = FOLDER / "traces.jsonl"
SUMS = (
    "traces",
    "model_calls",
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_write_input_tokens",
    "list_cost_usd",
)


@pytest.fixture(scope="module")
def expected() -> Any:
    return json.loads((FOLDER / "expected.json").read_text())


def picked(totals: Any) -> dict[str, Any]:
    return {name: totals[name] for name in SUMS}


@pytest.fixture(scope="module")
def by_model() -> Any:
    """The audit by model, made once."""
    arguments = ["audit", str(TRACES), "--by", "model", "--format", "json"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return json.loads(result.stdout)


def test_totals_are_those_promised(by_model: Any, expected: Any) -> None:
    answer = by_model

    totals = answer["totals"]
    assert picked(totals) == picked(expected["totals"])
    assert totals["list_cost_usd"] == "13.9511777"
    assert answer["input"]["spans"] == expected["totals"]["spans"]
    assert answer["input"]["warnings"] == []
    assert (totals["unpriced_calls"], totals["calls_without_usage"]) == (0, 0)


def test_failed_calls_and_repeated_usage_are_findings(by_model: Any, expected: Any) -> None:
    found = {finding["code"]: finding for finding in by_model["findings"]}

    assert set(found) == {"failed_calls", "repeated_usage", "cache_misses", "no_content"}
    assert found["failed_calls"]["count"] == expected["totals"]["failed_calls"]
    # One agent span for each of the 20 cached_prompt runs repeats what its calls used.
    assert found["repeated_usage"]["count"] == expected["by_workflow"]["cached_prompt"]["traces"]


def test_groups_by_model_are_those_promised(by_model: Any, expected: Any) -> None:
    found = {group["key"]["model"]: picked(group) for group in by_model["groups"]}

    assert found == {
        model: picked(totals) for model, totals in expected["by_response_model"].items()
    }


def test_groups_by_agent_are_those_promised(audit: Call, expected: Any) -> None:
    """A trace is of a group by its calls, so a run whose only call failed is in no group."""
    answer = audit(TRACES, "--by", "agent")

    found = {group["key"]["agent"]: picked(group) for group in answer["groups"]}
    promised = {agent: picked(totals) for agent, totals in expected["by_agent"].items()}
    # 7 runs of the importer met an error of the provider, 2 of them in their first call.
    assert promised["importer"]["traces"] == 7
    promised["importer"]["traces"] = 7 - 2
    assert found == promised


def test_sums_by_trace_add_up_to_the_promised_workflows(expected: Any) -> None:
    workflow_of: dict[str, str] = {}
    for line in TRACES.read_text().splitlines():
        for resource_spans in json.loads(line)["resourceSpans"]:
            for scope_spans in resource_spans["scopeSpans"]:
                for span in scope_spans["spans"]:
                    for attribute in span["attributes"]:
                        if attribute["key"] == "sample.workflow":
                            workflow_of[span["traceId"]] = attribute["value"]["stringValue"]
    found: dict[str, list[int]] = {}
    for group in spend(load([str(TRACES)]).store, ("trace",)).groups:
        sums = found.setdefault(workflow_of[str(group.key["trace"])], [0, 0, 0, 0])
        totals = group.totals
        sums[0] += totals.model_calls
        sums[1] += totals.input_tokens
        sums[2] += totals.output_tokens
        sums[3] += totals.list_cost_pusd or 0

    assert found == {
        workflow: [
            totals["model_calls"],
            totals["input_tokens"],
            totals["output_tokens"],
            int(Decimal(totals["list_cost_usd"]) * 10**12),
        ]
        for workflow, totals in expected["by_workflow"].items()
    }


def test_groups_come_dearest_first(by_model: Any) -> None:
    costs = [group["list_cost_usd"] for group in by_model["groups"]]

    assert costs == ["12.2867525", "1.53199455", "0.13243065", "0.00"]


def test_an_import_gives_the_same_totals(
    run: Call, audit: Call, by_model: Any, tmp_path: Path
) -> None:
    store = tmp_path / "sample.duckdb"
    assert run("import", TRACES, "--store", store).code == 0

    assert audit(store)["totals"] == by_model["totals"]
