"""Real third-party traces through the command line, against two independent readers."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from budget_audit.formats import simulations
from budget_audit.loading import load
from budget_audit.options import budget_of

from otelbudget.audit.recorded import recorded
from otelbudget.audit.replay import replay
from otelbudget.audit.spend import input_facts
from otelbudget.budgets.config import Budget, Budgets, LimitKind
from otelbudget.pricing.billing import UnknownModel

Call = Callable[..., Any]
CENT_MILLIONTH = Decimal("1e-8")  # the tolerance of the expected dollars, which are floats

FILES = [
    "agentevals/helm.json",
    "agentevals/helm_2.json",
    "agentevals/helm_3.json",
    "agentevals/k8s.json",
    "agentevals/tempo_export_with_batches.json",
    "aws-agentcore-toolkit/raw_otel_langchain_spans.json",
    "aws-agentcore-toolkit/raw_otel_strands_bedrock_spans.json",
    "aws-agentcore-toolkit/raw_otel_strands_openai_spans.json",
    "strands-evals/adk_live_spans.json",
    "strands-evals/claude_adot_spans.json",
    "strands-evals/claude_live_spans.json",
    "strands-evals/openai_agents_genai_adot_spans.json",
    "strands-evals/openai_agents_genai_live_spans.json",
    "strands-evals/openai_agents_openinference_adot_spans.json",
    "strands-evals/openai_agents_openinference_live_spans.json",
    "strands-evals/otel_genai_convention_spans.json",
    "strands-evals/pydantic_ai_live_spans.json",
    "strands-evals/smolagents_live_spans.json",
    "monocle/test_adk_single_agent.json",
]
SOURCES = ("agentevals", "aws-agentcore-toolkit", "strands-evals", "monocle")
each_file = pytest.mark.parametrize("name", FILES)


def expected_of(folder: Path, source: str) -> dict[str, Any]:
    files = json.loads((folder / "expected" / f"{source}.json").read_bytes())["files"]
    return {f"{source}/{file['file']}": file for file in files}


def sums(totals: dict[str, Any]) -> tuple[int, int, int, int, int]:
    """Calls, input with caches, output, cache reads and cache writes of an answer."""
    return (
        totals["model_calls"],
        totals["input_tokens"],
        totals["output_tokens"],
        totals["cache_read_input_tokens"],
        totals["cache_write_input_tokens"],
    )


def expected_sums(calls: list[dict[str, Any]]) -> tuple[int, ...]:
    """The same of the calls that the independent readers counted."""
    keys = ("input_incl_cache", "output", "cache_read", "cache_write")
    return (len(calls), *(int(sum(call[key] for call in calls)) for key in keys))


def is_near(found: str | None, expected: float) -> bool:
    return found is not None and abs(Decimal(found) - Decimal(str(expected))) <= CENT_MILLIONTH


def test_every_file_with_a_call_is_held(recorded_traces: Path) -> None:
    with_calls = [
        name
        for source in SOURCES
        for name, file in expected_of(recorded_traces, source).items()
        if file["llm_calls_counted"]
    ]

    assert with_calls == FILES


@each_file
def test_audit_gives_the_expected_totals_also_by_model(
    name: str, recorded_traces: Path, audit: Call
) -> None:
    expected = expected_of(recorded_traces, name.split("/", maxsplit=1)[0])[name]

    answer = audit(recorded_traces / name)

    totals = answer["totals"]
    assert sums(totals) == expected_sums(expected["calls"])
    assert totals["model_calls"] == expected["llm_calls_counted"]
    assert totals["traces"] == expected["traces"]
    assert totals["unpriced_calls"] == expected["total"]["unpriced_calls"]
    assert is_near(totals["list_cost_usd"], expected["total"]["cost_usd"])
    by_model = {group["key"]["model"]: group for group in answer["groups"] if group["model_calls"]}
    assert set(by_model) == set(expected["per_model"])
    for model, group in by_model.items():
        calls = [call for call in expected["calls"] if call["model"] == model]
        assert sums(group) == expected_sums(calls)
        assert is_near(group["list_cost_usd"], expected["per_model"][model]["cost_usd"])


@pytest.mark.parametrize("name", ["all-spans.json", "spans-by-operation.json"])
def test_twins_in_two_traces_count_once(name: str, recorded_traces: Path, audit: Call) -> None:
    expected = expected_of(recorded_traces, "openinference-js")[f"openinference-js/{name}"]
    truth = expected["total_without_twins"]

    totals = audit(recorded_traces / "openinference-js" / name)["totals"]

    assert totals["model_calls"] == truth["llm_calls"]
    assert (totals["input_tokens"], totals["output_tokens"]) == (truth["input"], truth["output"])
    assert is_near(totals["list_cost_usd"], truth["cost_usd"])


@pytest.mark.parametrize("source", SOURCES)
def test_a_store_of_all_files_gives_their_sums(
    source: str, recorded_traces: Path, run: Call, audit: Call, tmp_path: Path
) -> None:
    names = [name for name in FILES if name.startswith(source)]
    files = [expected_of(recorded_traces, source)[name] for name in names]
    store = tmp_path / "traces.duckdb"
    assert run("import", *(recorded_traces / name for name in names), "--store", store).code == 0

    totals = audit(store)["totals"]

    assert sums(totals) == expected_sums([call for file in files for call in file["calls"]])
    assert is_near(totals["list_cost_usd"], sum(file["total"]["cost_usd"] for file in files))


def limit_of(name: str) -> str:
    """The option that says what a key such as "usd_0.05" of the expected replays says."""
    kind, _, amount = name.partition("_")
    return f"{ {'usd': 'cost_usd'}.get(kind, kind) }={amount}"


MONEY = ("spent_usd", "avoided_usd", "worst_overshoot")


def assert_replays_as(totals: dict[str, Any], expected: dict[str, Any]) -> None:
    for key, value in expected.items():
        if key in MONEY:
            assert is_near(totals[key], value), key
        else:
            assert totals[key] == value, key


REPLAY_LIMITS = [
    "usd_0.01",
    "usd_0.05",
    "usd_0.1",
    "tokens_5000",
    "tokens_20000",
    "tokens_60000",
    "calls_1",
    "calls_3",
    "calls_8",
]


@pytest.mark.parametrize("limit", REPLAY_LIMITS)
def test_the_made_replay_set_is_stopped_as_by_brute_force(
    limit: str, recorded_traces: Path, simulate: Call
) -> None:
    folder = recorded_traces / "replay"
    expected = json.loads((folder / "expected.json").read_bytes())["replay.jsonl"]
    assert set(expected) == set(REPLAY_LIMITS)

    answer = simulate(folder / "replay.jsonl", "--limit", limit_of(limit), "--scope", "trace")

    assert_replays_as(answer["totals"], expected[limit])


REAL_LIMITS = (
    "usd_0.01",
    "usd_0.05",
    "usd_0.50",
    "usd_1.00",
    "tokens_10000",
    "tokens_500000",
    "calls_2",
    "calls_10",
)


@pytest.mark.parametrize(
    "name",
    [
        "agentevals/helm.json",
        "agentevals/helm_3.json",
        "agentevals/tempo_export_with_batches.json",
        "aws-agentcore-toolkit/raw_otel_langchain_spans.json",
        "aws-agentcore-toolkit/raw_otel_strands_bedrock_spans.json",
        "aws-agentcore-toolkit/raw_otel_strands_openai_spans.json",
        "jaeger-ui/genaiTestTrace.json",
        "monocle/test_adk_single_agent.json",
        "openinference-js/ai-generateText-doGenerate.json",
        "openinference-js/ai-generateText.json",
        "strands-evals/adk_live_spans.json",
        "strands-evals/openai_agents_genai_adot_spans.json",
        "strands-evals/openai_agents_genai_live_spans.json",
        "strands-evals/openai_agents_openinference_adot_spans.json",
        "strands-evals/openai_agents_openinference_live_spans.json",
        "strands-evals/otel_genai_convention_spans.json",
        "strands-evals/pydantic_ai_live_spans.json",
        "strands-evals/smolagents_live_spans.json",
    ],
)
def test_real_traces_are_replayed_as_by_brute_force(name: str, recorded_traces: Path) -> None:
    everything = json.loads((recorded_traces / "expected" / "_simulation.json").read_bytes())
    expected = everything[name]
    assert len(everything) == 18
    assert set(expected) == set(REAL_LIMITS)

    # One floor below the command line, so that each file is read once for all its limits.
    loaded = load([str(recorded_traces / name)])
    limits = [Budget(cost_usd=0)]
    recording = recorded(loaded.store, loaded.book, limits, UnknownModel.ALLOW)
    for limit, outcome in expected.items():
        kind, _, amount = limit_of(limit).partition("=")
        budgets = Budgets((budget_of([(LimitKind(kind), amount)]),), UnknownModel.ALLOW)
        result = replay(recording, budgets)
        document = simulations.document(
            simulations.Simulation(result, budgets, "", (), None, (), None, (), None),
            input_facts(loaded.store),
            loaded.report,
        )
        assert_replays_as(document["totals"], outcome)
