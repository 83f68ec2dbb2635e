"""budget-audit gate, and simulate by other scopes than traces."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, fromstring

import pytest

Call = Callable[..., Any]
NS, DAY = 10**9, 86_400 * 10**9


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    """Runs of one call of 100 tokens: two of acme on day one, one on day two, and one of birch."""
    spans = []
    for number, (tenant, day) in enumerate([("acme", 0), ("acme", 0), ("acme", 1), ("birch", 0)]):
        told = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o-mini"}
        for span_id, parent, attributes, tokens in (
            ("1", "", {"tenant.id": tenant}, 0),
            ("2", "1", told, 100),
        ):
            texts = [{"key": key, "value": {"stringValue": v}} for key, v in attributes.items()]
            count = [{"key": "gen_ai.usage.input_tokens", "value": {"intValue": str(tokens)}}]
            start = 1_793_577_600 * NS + day * DAY + number * NS  # from 2026-11-02T00:00:00Z
            spans.append(
                {
                    "traceId": str(number + 1) * 32,
                    "spanId": span_id * 16,
                    "parentSpanId": parent * 16,
                    "name": "s",
                    "startTimeUnixNano": str(start),
                    "endTimeUnixNano": str(start + 1_000),
                    "attributes": texts + (count if tokens else []),
                }
            )
    path = tmp_path / "traces.json"
    path.write_text(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}))
    return path


@pytest.fixture
def budgets(tmp_path: Path) -> Call:
    """Writes a budgets file."""

    def budgets(**keys: object) -> Path:
        path = tmp_path / "budgets.yaml"
        path.write_text(json.dumps({"budgets": {"tenant": {"per": "tenant.id", **keys}}}))
        return path

    return budgets


def test_usage_at_the_limit_is_within_it(run: Call, traces: Path, budgets: Call) -> None:
    ran = run("gate", traces, "--budgets", budgets(window="day", max_tokens=200))

    assert (ran.code, ran.out) == (0, "Within budget: 4 calls in 4 traces.\n")


def test_usage_above_a_limit_is_exit_3_and_says_whose(
    run: Call, traces: Path, budgets: Call
) -> None:
    file = budgets(window="day", max_tokens=150)

    ran = run("gate", traces, "--budgets", file, "--format", "json")

    assert ran.code == 3
    assert (ran.json["schema"], ran.json["ok"]) == ("otelbudget.gate/1", False)
    assert ran.json["violations"] == [
        {
            "budget": "tenant",
            "kind": "tokens",
            "limit": "150",
            "usage": "200",
            "scope": {"tenant.id": "acme"},
            "window_start": "2026-11-02T00:00:00.000000000Z",
            "calls_denied": 0,
        }
    ]


def test_a_call_that_would_be_refused_is_exit_3(run: Call, traces: Path, budgets: Call) -> None:
    ran = run("gate", traces, "--budgets", budgets(max_calls=2), "--format", "json")

    assert ran.code == 3
    [violation] = ran.json["violations"]
    assert (violation["usage"], violation["calls_denied"]) == ("3", 1)


def test_a_budget_in_audit_mode_is_listed_and_does_not_fail(
    run: Call, traces: Path, budgets: Call
) -> None:
    file = budgets(max_calls=2, mode="audit")

    ran = run("gate", traces, "--budgets", file, "--format", "json")

    assert (ran.code, ran.json["ok"], ran.json["violations"]) == (0, True, [])
    assert [each["usage"] for each in ran.json["audited"]] == ["3"]


def test_config_only_reads_no_traces(run: Call, budgets: Call) -> None:
    file = budgets(max_calls=2)

    assert run("gate", "--config-only", "--budgets", file).out == (
        f"{file}: 1 budget, nothing wrong\n"
    )


def test_config_only_says_what_is_wrong(run: Call, budgets: Call) -> None:
    ran = run("gate", "--config-only", "--budgets", budgets(max_call=2))

    assert ran.code == 1
    assert "max_call" in ran.err
    assert "Traceback" not in ran.err


def test_a_gate_without_traces_is_wrong_usage(run: Call, budgets: Call) -> None:
    ran = run("gate", "--budgets", budgets(max_calls=2))

    assert ran.code == 2
    assert "--config-only" in ran.err


def test_a_limit_is_counted_by_any_key(simulate: Call, traces: Path) -> None:
    answer = simulate(traces, "--limit", "calls=1", "--scope", "tenant.id")

    totals = answer["totals"]
    assert (totals["scopes"], totals["scopes_stopped"], totals["calls_denied"]) == (2, 1, 2)
    assert [(row["scope"], row["calls_allowed"]) for row in answer["stopped"]] == [
        ({"tenant.id": "acme"}, 1)
    ]


def test_a_limit_is_counted_by_several_keys(simulate: Call, traces: Path) -> None:
    answer = simulate(traces, "--limit", "calls=0", "--scope", "tenant.id,trace")

    assert len(answer["stopped"]) == 4
    assert set(answer["stopped"][0]["scope"]) == {"tenant.id", "trace"}


def test_a_sweep_by_a_key_says_what_the_engine_says(simulate: Call, traces: Path) -> None:
    arguments = ("--scope", "tenant.id", "--sweep", "tokens=100:300:3")

    points = simulate(traces, *arguments)["sweep"]

    for point in points:
        limit = ("--scope", "tenant.id", "--limit", f"tokens={point['limit']}")
        totals = simulate(traces, *limit)["totals"]
        assert {key: totals[key] for key in totals.keys() & point.keys()} == {
            key: point[key] for key in totals.keys() & point.keys()
        }


def test_each_window_is_a_scope_of_its_own(simulate: Call, traces: Path, budgets: Call) -> None:
    shares = {"tenant.id": {"acme": "0.5"}}
    file = budgets(window="day", max_calls=2, shares=shares)

    answer = simulate(traces, "--budgets", file)

    # acme may make 1 of 2 calls a day: its second one on day one is refused.
    assert answer["totals"]["calls_denied"] == 1
    whole, share = answer["limits"]
    assert ("share" in whole, share["share"], share["limit"]) == (False, {"tenant.id": "acme"}, "1")
    [stopped] = answer["stopped"]
    assert stopped["window_start"] == "2026-11-02T00:00:00.000000000Z"


def test_a_long_sweep_that_needs_the_engine_is_refused(run: Call, traces: Path) -> None:
    ran = run("simulate", traces, "--sweep", "seconds=1:1000:500")

    assert ran.code == 2
    assert "ask for 200 at most" in ran.err


def test_seconds_are_written_as_seconds(simulate: Call, traces: Path) -> None:
    answer = simulate(traces, "--limit", "seconds=1.5", "--sweep", "seconds=0.5:2:2")

    assert [row["limit"] for row in answer["limits"]] == ["1.5"]
    assert [row["limit"] for row in answer["sweep"]] == ["0.5", "2"]


def _parsed(junit: Path) -> Element:
    return fromstring(junit.read_text("utf-8"))  # noqa: S314 - our own


def test_junit_has_a_test_case_for_each_budget_and_kind(
    run: Call, traces: Path, budgets: Call, tmp_path: Path
) -> None:
    """The tenant acme used 300 tokens; the limits are 150 tokens and 5 calls."""
    junit = tmp_path / "budgets.xml"

    ran = run("gate", traces, "--budgets", budgets(max_tokens=150, max_calls=5), "--junit", junit)

    suites = _parsed(junit)
    assert ran.code == 3
    assert (suites.tag, suites.attrib["tests"], suites.attrib["failures"]) == (
        "testsuites",
        "2",
        "1",
    )
    tokens, calls = suites.iter("testcase")
    assert (tokens.attrib["classname"], tokens.attrib["name"]) == ("budgets.tenant", "tokens")
    failure = tokens.find("failure")
    assert failure is not None
    assert failure.attrib["message"] == (
        "tenant.id acme: usage 300 tokens, limit 150 tokens; 1 call would have been refused"
    )
    assert (calls.attrib["name"], list(calls)) == ("calls", [])


def test_junit_tells_of_audit_mode_and_skips_what_is_off(
    run: Call, traces: Path, budgets: Call, tmp_path: Path
) -> None:
    junit = tmp_path / "budgets.xml"

    for mode in ("audit", "off"):
        ran = run("gate", traces, "--budgets", budgets(max_tokens=150, mode=mode), "--junit", junit)

        assert ran.code == 0
        [case] = _parsed(junit).iter("testcase")
        assert case.find("failure") is None
        if mode == "off":
            assert case.find("skipped") is not None
        else:
            assert "usage 300 tokens, limit 150 tokens" in (case.findtext("system-out") or "")


def test_junit_holds_names_that_xml_may_not(
    run: Call, traces: Path, budgets: Call, tmp_path: Path
) -> None:
    """A tenant's id may hold control characters, brackets and quotes."""
    text = traces.read_text().replace('"acme"', json.dumps('<a&b>"\x00\x1b\ufffe'))
    traces.write_text(text)
    junit = tmp_path / "budgets.xml"

    run("gate", traces, "--budgets", budgets(max_tokens=150), "--junit", junit)

    [case] = _parsed(junit).iter("testcase")
    assert '<a&b>"' in case.findtext("failure", "")


def test_junit_skips_all_where_nothing_was_judged(
    run: Call, traces: Path, budgets: Call, tmp_path: Path
) -> None:
    junit = tmp_path / "budgets.xml"
    nobody = ("--where", "tenant.id=nobody", "--strict")

    ran = run("gate", traces, "--budgets", budgets(max_calls=5), "--junit", junit, *nobody)

    assert ran.code == 1
    [case] = _parsed(junit).iter("testcase")
    skipped = case.find("skipped")
    assert skipped is not None
    assert skipped.attrib["message"].startswith("no call to judge")


def test_junit_holds_characters_beyond_the_first_plane(
    run: Call, traces: Path, budgets: Call, tmp_path: Path
) -> None:
    traces.write_text(traces.read_text().replace('"acme"', '"Zoë 🍕"'), "utf-8")
    junit = tmp_path / "budgets.xml"

    run("gate", traces, "--budgets", budgets(max_tokens=150), "--junit", junit)

    [case] = _parsed(junit).iter("testcase")
    assert "tenant.id Zoë 🍕: usage" in case.findtext("failure", "")
