"""--where: which calls are asked about."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., Any]
FOLDER = Path(__file__).parents[2] / "sample_traces"
TRACES = FOLDER / "traces.jsonl"
NS = 10**9


def span(span_id: str, parent: str, attributes: dict[str, str], *, tokens: int = 0) -> Any:
    """A span; with tokens, a model call of gpt-4o-mini."""
    given = dict(attributes)
    numbers = []
    if tokens:
        given |= {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o-mini"}
        numbers = [{"key": "gen_ai.usage.input_tokens", "value": {"intValue": str(tokens)}}]
    texts = [{"key": key, "value": {"stringValue": value}} for key, value in given.items()]
    return {
        "traceId": "a" * 32,
        "spanId": span_id * 16,
        "parentSpanId": parent * 16,
        "name": "s",
        "startTimeUnixNano": str(NS),
        "endTimeUnixNano": str(2 * NS),
        "attributes": texts + numbers,
    }


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Calls of 1, 2 and 4 tokens: own attribute, an ancestor's, and what was written at start."""
    spans = [
        span("1", "", {"tenant.id": "acme"}),
        span("2", "1", {"tenant.id": "birch"}, tokens=1),
        span("3", "1", {}, tokens=2),
        span("4", "1", {"otelbudget.scope.tenant.id": "cedar"}, tokens=4),
    ]
    resource = {"attributes": [{"key": "region", "value": {"stringValue": "eu"}}]}
    document = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}
    path = tmp_path / "tree.json"
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize(
    ("condition", "tokens"),
    [
        pytest.param("tenant.id=birch", 1, id="own-attribute"),
        pytest.param("tenant.id=acme", 2, id="nearest-ancestor"),
        pytest.param("tenant.id=cedar", 4, id="written-at-start"),
        pytest.param("region=eu", 7, id="resource"),
        pytest.param("team=(none)", 7, id="nowhere"),
        pytest.param("tenant.id=dune", 0, id="no-such-value"),
    ],
)
def test_a_call_belongs_to_the_nearest_value(
    condition: str, tokens: int, tree: Path, audit: Call
) -> None:
    answer = audit(tree, "--where", condition)

    assert answer["totals"]["input_tokens"] == tokens


def test_several_conditions_all_hold(tree: Path, audit: Call) -> None:
    answer = audit(tree, "--where", "region=eu", "--where", "tenant.id=acme")

    assert answer["totals"]["input_tokens"] == 2


@pytest.mark.parametrize("tenant", ["acme", "birch", "cedar", "dune"])
def test_tenants_of_the_sample_have_the_totals_promised(tenant: str, audit: Call) -> None:
    expected = json.loads((FOLDER / "expected.json").read_text())["by_tenant"][tenant]

    totals = audit(TRACES, "--where", f"tenant.id={tenant}")["totals"]

    assert totals["model_calls"] == expected["model_calls"]
    assert totals["list_cost_usd"] == expected["list_cost_usd"]


def test_simulate_and_suggest_take_it_too(run: Call) -> None:
    where = ["--where", "tenant.id=acme", "--format", "json"]

    simulated = run("simulate", TRACES, "--limit", "calls=1", *where).json
    suggested = run("suggest", TRACES, *where).json

    assert simulated["totals"]["calls"] == 370
    assert sum(group["eligible"] for group in suggested["groups"]) < 79


@pytest.mark.parametrize("wrong", ["tenant", "=acme", 'a"b=c'])
def test_a_condition_of_another_form_is_wrong_usage(wrong: str, tree: Path, run: Call) -> None:
    ran = run("audit", tree, "--where", wrong)

    assert ran.code == 2
    assert "write KEY=VALUE" in ran.err
