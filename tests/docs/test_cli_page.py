"""docs/cli.md says what the command line does: its help, its JSON keys and its codes."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from budget_audit.app import app
from click.testing import CliRunner

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "cli.md").read_text("utf-8")
AUDIT_PAGE = (ROOT / "docs" / "audit.md").read_text("utf-8")
TRACES = str(ROOT / "sample_traces" / "traces.jsonl")

_WARNING_CODE = re.compile(
    r"(?:warn|unreadable|unreadable_file|NotJsonError|DecompressionError|fault ?= ?|"
    r"(?:Damage|_WireError)(?=\())\(\s*(?:\w+,\s*)?f?\"([a-z]+(?:_[a-z0-9{}]+)+)\""
)
_FINDING_CODE = re.compile(r"\"(?:finding_)?([a-z_]+)\",\s*\"(?:info|warn)\"")
BUDGETS = "budgets.yaml"
_BUDGETS_TEXT = """\
budgets:
  daily: {per: tenant.id, window: day, max_cost_usd: 1, mode: audit}
  short: {per: trace, max_calls: 6}
"""
# Keys under these are names that the user or the traces gave, or the keys of a budgets file.
_OPEN = {"formats", "budgets", "key", "scope"}


def test_the_help_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "make_cli.py", "--check"],
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'cli'}"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def keys(document: object, name: str = "") -> Iterator[str]:
    """Every key of a document, at any depth, that the library chose."""
    if isinstance(document, dict) and name not in _OPEN:
        for key, value in document.items():
            yield key
            yield from keys(value, key)
    elif isinstance(document, list):
        for value in document:
            yield from keys(value, name)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(
            ["audit", TRACES, "--workflows", "--forecast", "--budgets", BUDGETS], id="audit"
        ),
        pytest.param(
            ["simulate", TRACES, "--limit", "calls=20", "--sweep", "calls=5:40:2"], id="simulate"
        ),
        pytest.param(
            ["simulate", TRACES, "--budgets", BUDGETS, "--cache-hit", "0.5"], id="what if"
        ),
        pytest.param(["gate", TRACES, "--budgets", BUDGETS], id="gate"),
        pytest.param(["suggest", TRACES], id="suggest"),
        pytest.param(["trace", TRACES, "8848c1f0", "--limit", "cost_usd=0.50"], id="trace"),
        pytest.param(["diff", TRACES, TRACES, "--fail-over", "10%"], id="diff"),
        pytest.param(["import", TRACES, "--store", "made.duckdb"], id="import"),
        pytest.param(["prices", "show", "gpt-5.4"], id="prices show"),
        pytest.param(["prices", "diff", "--against", "genai-prices"], id="prices diff"),
    ],
)
def test_every_json_key_is_explained(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(BUDGETS).write_text(_BUDGETS_TEXT, "utf-8")
    result = CliRunner().invoke(app, [*arguments, "--format", "json"])
    document: dict[str, Any] = json.loads(result.stdout)
    explained = {part for code in re.findall(r"`([^`\n]+)`", PAGE) for part in code.split(".")}

    assert set(keys(document)) <= explained


def codes(pattern: re.Pattern[str], *folders: str) -> set[str]:
    """The codes that the sources of some folders give."""
    files = [file for folder in folders for file in (ROOT / folder).rglob("*.py")]
    found = {code for file in files for code in pattern.findall(file.read_text("utf-8"))}
    return {code.replace("{method}", method) for code in found for method in ("gzip", "zstd")}


def listed(page: str, heading: str) -> set[str]:
    """The codes in the table below a heading."""
    _, _, rest = page.partition(f"\n## {heading}\n")
    return set(re.findall(r"^\| `([a-z_0-9]+)`", rest.partition("\n## ")[0], re.MULTILINE))


def test_every_warning_code_is_listed() -> None:
    given = codes(_WARNING_CODE, "otelbudget/ingest", "otelbudget/audit", "cli/budget_audit")

    assert {"truncated_gzip", "truncated_message", "unreadable_counts", "too_large"} <= given
    assert given == listed(PAGE, "Warnings") - {"truncated_document"}


def test_every_finding_code_is_listed() -> None:
    given = codes(_FINDING_CODE, "otelbudget/audit")

    assert {"unpriced_calls", "orphan_spans", "no_content"} <= given
    assert given <= listed(AUDIT_PAGE, "Findings")
