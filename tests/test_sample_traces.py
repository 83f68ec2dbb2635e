"""The committed sample traces: whole and well formed."""

import json
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "sample_traces"
TRACES = FOLDER / "traces.jsonl"


@pytest.fixture(scope="module")
def spans() -> list[dict[str, Any]]:
    """Every span of the file, in the file's order."""
    return list(_spans())


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((FOLDER / "expected.json").read_text())
    return loaded


def _spans() -> Iterator[dict[str, Any]]:
    for line in TRACES.read_text().splitlines():
        for resource_spans in json.loads(line)["resourceSpans"]:
            for scope_spans in resource_spans["scopeSpans"]:
                yield from scope_spans["spans"]


def _interval(span: dict[str, Any]) -> tuple[int, int]:
    return int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])


def _text(span: dict[str, Any], key: str) -> str | None:
    for attribute in span["attributes"]:
        if attribute["key"] == key:
            value: str | None = attribute["value"].get("stringValue")
            return value
    return None


def test_the_file_is_small_and_names_no_machine() -> None:
    text = TRACES.read_text()

    assert TRACES.stat().st_size <= 2_000_000
    assert "127.0.0.1" not in text
    assert "/" not in text.replace("https://", "").replace("/v1/messages", "").replace(
        "opentelemetry.io/schemas/", ""
    )


def test_ids_are_hex_of_the_right_length_and_unique(spans: list[dict[str, Any]]) -> None:
    for span in spans:
        assert len(bytes.fromhex(span["traceId"])) == 16
        assert len(bytes.fromhex(span["spanId"])) == 8
        assert int(span["traceId"], 16)
        assert int(span["spanId"], 16)
    assert len({(span["traceId"], span["spanId"]) for span in spans}) == len(spans)


def test_spans_lie_inside_their_parents(spans: list[dict[str, Any]]) -> None:
    by_id = {(span["traceId"], span["spanId"]): span for span in spans}

    for span in spans:
        start, end = _interval(span)
        assert start < end
        if "parentSpanId" in span:
            parent_start, parent_end = _interval(by_id[span["traceId"], span["parentSpanId"]])
            assert parent_start <= start
            assert end <= parent_end


def test_every_trace_has_one_root_with_agent_and_tenant(
    spans: list[dict[str, Any]], expected: dict[str, Any]
) -> None:
    roots = [span for span in spans if "parentSpanId" not in span]

    assert len({span["traceId"] for span in spans}) == len(roots) == expected["totals"]["traces"]
    for root in roots:
        assert _text(root, "gen_ai.operation.name") == "invoke_agent"
        assert _text(root, "gen_ai.agent.name") in expected["by_agent"]
        assert _text(root, "tenant.id") in expected["by_tenant"]
        assert _text(root, "sample.workflow") in expected["by_workflow"]


def test_all_runs_start_in_the_two_weeks(spans: list[dict[str, Any]]) -> None:
    day_ns = 86_400 * 10**9
    first_ns = 1_793_577_600 * 10**9  # 2026-11-02T00:00:00Z

    starts = [_interval(span)[0] for span in spans if "parentSpanId" not in span]
    assert starts == sorted(starts)
    assert {(start - first_ns) // day_ns for start in starts} <= set(range(14))


def test_fanned_out_calls_overlap_all_at_once(spans: list[dict[str, Any]]) -> None:
    fan_outs = {span["traceId"] for span in spans if _text(span, "sample.workflow") == "fan_out"}
    workers = defaultdict(list)
    for span in spans:
        if span["traceId"] in fan_outs and _text(span, "gen_ai.request.model") == "gpt-4o-mini":
            workers[span["traceId"]].append(_interval(span))

    assert len(workers) == 25
    for intervals in workers.values():
        assert 4 <= len(intervals) <= 8
        assert max(start for start, _ in intervals) < min(end for _, end in intervals)


def test_calls_of_a_loop_follow_each_other(spans: list[dict[str, Any]]) -> None:
    loops = {span["traceId"] for span in spans if _text(span, "sample.workflow") == "runaway_loop"}
    steps = defaultdict(list)
    for span in spans:
        if span["traceId"] in loops and "parentSpanId" in span:
            steps[span["traceId"]].append(_interval(span))

    assert len(loops) == 3
    for intervals in steps.values():
        assert all(end <= start for (_, end), (start, _) in pairwise(sorted(intervals)))


def test_groups_add_up_to_the_totals(spans: list[dict[str, Any]], expected: dict[str, Any]) -> None:
    totals = expected["totals"]

    assert len(spans) == totals["spans"]
    for key in ("by_workflow", "by_agent", "by_tenant", "by_response_model", "by_request_model"):
        groups = expected[key].values()
        costs = [Decimal(group["list_cost_usd"]) for group in groups]
        assert sum(costs) == Decimal(totals["list_cost_usd"])
        for count in ("model_calls", "input_tokens", "output_tokens", "cache_read_input_tokens"):
            assert sum(group[count] for group in groups) == totals[count]


def test_the_expected_cost_is_tokens_times_published_rates(expected: dict[str, Any]) -> None:
    models = expected["by_request_model"]

    mini, sonnet = models["gpt-4o-mini"], models["claude-sonnet-4-5"]
    # 0.15 and 0.60 USD/Mtok; this model's calls read no cache.
    assert mini["cache_read_input_tokens"] == 0
    assert Decimal(mini["list_cost_usd"]) * 1_000_000 == (
        mini["input_tokens"] * Decimal("0.15") + mini["output_tokens"] * Decimal("0.60")
    )
    # 3, 0.30, 3.75 and 15 USD/Mtok.
    read, written = sonnet["cache_read_input_tokens"], sonnet["cache_write_input_tokens"]
    assert Decimal(sonnet["list_cost_usd"]) * 1_000_000 == (
        (sonnet["input_tokens"] - read - written) * 3
        + read * Decimal("0.30")
        + written * Decimal("3.75")
        + sonnet["output_tokens"] * 15
    )
    assert models["llama3.2:3b"]["list_cost_usd"] == "0.00"
