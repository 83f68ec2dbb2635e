"""The demo runs to its end, without a network, and shows what it promises."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the demo prints in a copy of the repository's layout."""
    copy = tmp_path_factory.mktemp("copy")
    (copy / "examples").mkdir()
    demo = copy / "examples" / "demo.py"
    demo.write_bytes((ROOT / "examples" / "demo.py").read_bytes())
    (copy / "sample_traces").symlink_to(ROOT / "sample_traces")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "cli")])}
    done = subprocess.run(
        [sys.executable, demo],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert (copy / "build" / "demo" / "budgets.yaml").exists()
    return done.stdout


@pytest.mark.parametrize(
    "fact",
    [
        "call 4: refused, BudgetExceededError",
        "is used up: 0.30 of 0.25 USD",
        "The provider got 3 requests, worth 0.30 USD",
        "$ budget-audit audit sample_traces/traces.jsonl",
        "$13.95 list cost for 986 model calls in 203 traces",
        "3 of 201 traces with model calls would have been stopped, 117 of 986 calls refused, $7.36 avoided",
        "$ budget-audit suggest sample_traces/traces.jsonl -o build/demo/budgets.yaml",
        "0.116 USD",
        "simulate sample_traces/traces.jsonl --budgets build/demo/budgets.yaml",
    ],
)
def test_demo_shows(output: str, fact: str) -> None:
    assert fact in output


def test_demo_has_no_colour_where_there_is_no_terminal(output: str) -> None:
    assert "\033" not in output
