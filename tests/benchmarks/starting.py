"""How long the command line takes to answer at all, beside a bare Python."""

import random
import sys
from functools import partial
from pathlib import Path

from rich.table import Table

from otelbudget.audit.suggest import fitted
from tests.benchmarks.processes import BUDGET_AUDIT, run
from tests.benchmarks.suggesting import Workload
from tests.benchmarks.timing import Rounds, measure, row, seconds

SAMPLE = Path(__file__).parent.parent.parent / "sample_traces" / "traces.jsonl"
_COVERS = 0.95


def starts(table: Table, rounds: int) -> None:
    """The help, and an answer about few spans."""
    commands = {
        "bare": (sys.executable, "-c", "pass"),
        "help": (*BUDGET_AUDIT, "--help"),
        "audit": (*BUDGET_AUDIT, "audit", str(SAMPLE)),
    }
    works = {name: (partial(run, command), 1) for name, command in commands.items()}
    measure(works, 1)  # compiles the modules
    took = measure(works, rounds)
    row(table, "budget-audit --help, beyond a bare Python", took["help"] - took["bare"], "ms")
    row(table, "audit of the sample, beyond --help", took["audit"] - took["help"], "ms")
    row(table, "  a bare Python", took["bare"], "ms")


def suggestions(table: Table, runs: int, rounds: int) -> None:
    """Limits for one workflow, from what its runs used."""
    recorded, _ = Workload(0.6).recorded(runs, random.Random(7))  # noqa: S311 - test data
    took = Rounds(tuple(seconds(lambda: fitted(recorded, _COVERS)) for _ in range(rounds)))
    row(table, f"limits from the numbers of {runs:,} runs", took, "s")
