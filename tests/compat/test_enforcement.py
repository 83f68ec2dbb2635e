"""A tripped budget stops real packages: no request, the error itself, spans ended, the bill exact.

`enforcement/packages.py` says what is run, `enforcement/play.py` how. Each package runs in a
process of its own for each order of installation, and its cells are told apart here.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.compat.enforcement.packages import Cell, Subject, cells, environment
from tests.compat.enforcement.play import Result

pytestmark = pytest.mark.compat

ROOT = Path(__file__).parents[2]
RESULTS_VARIABLE = "OTELBUDGET_COMPAT_RESULTS"
_TIMEOUT_SECONDS = 300
# Nothing leaves this machine, whatever a package would send home by default.
_OFFLINE = {
    "LANGSMITH_TRACING": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@pytest.fixture(scope="session")
def result_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Cell], Result]:
    """Gives the result of a cell; the process of its package is run once.

    The results are kept in the folder that OTELBUDGET_COMPAT_RESULTS names, for the page.
    """

    @cache
    def results(worker: str) -> dict[str, Result]:
        package, _, order = worker.rpartition("-")
        folder = tmp_path_factory.mktemp(worker)
        path = folder / "results.jsonl"
        subprocess.run(
            [sys.executable, "-m", "tests.compat.enforcement.worker", package, order, str(folder)],
            cwd=ROOT,
            env=_environment(),
            check=True,
            timeout=_TIMEOUT_SECONDS,
        )
        keep = os.environ.get(RESULTS_VARIABLE)
        if keep:
            kept = Path(keep, environment(), f"{worker}.jsonl")
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(path.read_bytes())
        lines = path.read_bytes().splitlines()
        decoded = [msgspec.json.decode(line, type=Result) for line in lines]
        return {result.scenario: result for result in decoded}

    return lambda cell: results(cell.worker)[cell.scenario.name]


def _environment() -> dict[str, str]:
    """This process's, without what would configure telemetry or reach out."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OTEL_", "OTELBUDGET_", "OPENAI_", "ANTHROPIC_"))
    }
    return inherited | _OFFLINE


def _table(subject: Subject) -> list[Any]:
    """The cells of this environment; those that cannot pass in a respect are expected to fail."""
    parameters = []
    for cell in cells(environment()):
        reason = cell.fault(subject)
        expected = pytest.mark.xfail(strict=True, raises=AssertionError, reason=reason or "")
        marks = () if reason is None else (expected,)
        parameters.append(pytest.param(cell, id=cell.id, marks=marks))
    return parameters


@pytest.mark.parametrize("cell", _table(Subject.REQUESTS))
def test_no_request_leaves_after_the_trip(cell: Cell, result_of: Callable[[Cell], Result]) -> None:
    result = result_of(cell)

    assert result.requests == cell.scenario.trips_at
    assert result.requests_after_trip == 0


@pytest.mark.parametrize("cell", _table(Subject.ERROR))
def test_the_caller_gets_the_error_after_as_many_refusals_as_it_made_calls(
    cell: Cell, result_of: Callable[[Cell], Result]
) -> None:
    result = result_of(cell)

    assert result.errors == (cell.scenario.error,) * 2
    assert result.refusals == cell.scenario.refusals


@pytest.mark.parametrize("cell", _table(Subject.SPANS))
def test_every_span_is_ended_and_none_is_left_current(
    cell: Cell, result_of: Callable[[Cell], Result]
) -> None:
    result = result_of(cell)

    assert result.unended == ()
    assert result.is_context_clean


@pytest.mark.parametrize("cell", _table(Subject.CHARGE))
def test_the_charge_is_the_bill(cell: Cell, result_of: Callable[[Cell], Result]) -> None:
    result = result_of(cell)

    assert (result.charged_pusd, result.estimated_pusd) == (result.billed_pusd, 0)


@pytest.mark.parametrize("cell", _table(Subject.AUDIT))
def test_the_audit_of_the_spans_is_the_bill(
    cell: Cell, result_of: Callable[[Cell], Result]
) -> None:
    result = result_of(cell)

    expected = None if cell.scenario.is_sampled_out else result.billed_pusd
    assert (result.audited_pusd, result.unclear_calls) == (expected, 0)
