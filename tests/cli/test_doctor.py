"""budget-audit doctor: the real command, and what it prints."""

import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from budget_audit.formats import doctor
from rich.console import Console

from otelbudget.doctor.results import ProbeResult, Report, Result

PAGE = Path(__file__).parents[2] / "docs" / "doctor.md"
GENAI_ANTHROPIC = "opentelemetry-instrumentation-genai-anthropic"

PASSED = ProbeResult(
    sdk="openai",
    version="3.54.0",
    form="chat",
    result=Result.PASS,
    requests_after_stop=0,
    charged_usd=Decimal("0.0064"),
    billed_usd=Decimal("0.0064"),
)
FAILED = ProbeResult(
    sdk="openai",
    version="3.54.0",
    instrumentation="openlit",
    form="chat",
    result=Result.FAIL,
    requests_after_stop=1,
    charged_usd=Decimal("0.0128"),
    billed_usd=Decimal("0.0064"),
    reason="1 request(s) left after the budget was used up.",
)
UNKNOWN = ProbeResult(
    sdk="cohere", version="7.3.1", result=Result.NOT_COVERED, reason="No gate knows this SDK."
)


def printed(*probes: ProbeResult) -> list[str]:
    console = Console(width=100, no_color=True)
    with console.capture() as captured:
        console.print(doctor.table(Report(probes)))
    return [line.rstrip() for line in captured.get().splitlines()]


def test_the_table_has_a_line_for_each_instrumentation_and_says_what_is_wrong() -> None:
    assert printed(PASSED, FAILED, UNKNOWN) == [
        "Not every stop holds: 1 pass, 1 fail, 1 not covered",
        "",
        "sdk                   instrumentation  result       stopped  charged",
        "openai 3.54.0         none             pass         1 of 1   1 of 1",
        "openai 3.54.0         openlit          fail         0 of 1   0 of 1",
        "cohere 7.3.1                           not covered",
        "",
        "Failed",
        "! openai under openlit (chat): 1 request(s) left after the budget was used up.",
        "",
        "Not covered",
        "! cohere: No gate knows this SDK.",
        "",
        "Do not rely on a budget where a probe fails: call otelbudget.check() before such calls, or use a",
        "release that passes.",
    ]


def test_the_json_object_names_every_probe() -> None:
    document = doctor.document(Report((PASSED, UNKNOWN)))

    assert (document["schema"], document["ok"]) == ("otelbudget.doctor/1", True)
    assert document["probes"][0] == {
        "sdk": "openai",
        "version": "3.54.0",
        "instrumentation": None,
        "form": "chat",
        "result": "pass",
        "requests_after_stop": 0,
        "charged_usd": "0.0064",
        "billed_usd": "0.0064",
        "reason": None,
    }
    assert document["probes"][1]["result"] == "not covered"


def test_every_key_is_explained() -> None:
    explained = set(re.findall(r"`([a-z_]+)`", PAGE.read_text("utf-8")))
    document = doctor.document(Report((PASSED,)))

    assert {*document, *document["probes"][0]} <= explained


def test_a_whole_environment_exits_0(run: Callable[..., Any]) -> None:
    ran = run("doctor", GENAI_ANTHROPIC, "--format", "json")

    assert (ran.code, ran.err) == (0, "")
    assert ran.json["ok"] is True
    assert {each["result"] for each in ran.json["probes"]} == {"pass"}


def test_a_failed_probe_exits_3(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTELBUDGET_DISABLED", "1")
    ran = run("doctor", GENAI_ANTHROPIC, "--format", "json")

    assert ran.code == 3
    assert ran.json["ok"] is False


def test_an_unknown_name_is_wrong_usage(run: Callable[..., Any]) -> None:
    ran = run("doctor", "opneai")

    assert ran.code == 2
    assert "'opneai' is not installed here" in ran.err
