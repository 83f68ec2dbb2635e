"""Runs of the command line, with standard output and standard error apart."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from budget_audit import app as command_line
from click.testing import CliRunner


class Ran(NamedTuple):
    """What a run of the command line gave.

    Attributes:
        code: Exit code.
        out: Standard output.
        err: Standard error.
    """

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The JSON object on standard output."""
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `main()` with these arguments, as the installed script does."""

    def run(*arguments: object, stdin: bytes = b"") -> Ran:
        monkeypatch.setattr("sys.argv", ["budget-audit", *map(str, arguments)])
        with CliRunner().isolation(input=stdin) as (out, err, _):
            try:
                command_line.main()
                code: Any = 0
            except SystemExit as done:
                code = done.code or 0
        return Ran(code, out.getvalue().decode(), err.getvalue().decode())

    return run


@pytest.fixture
def audit(run: Run) -> Callable[..., Any]:
    """The object of `audit --format json`; the run must succeed."""

    def audit(*arguments: object) -> Any:
        ran = run("audit", *arguments, "--format", "json")
        assert ran.code == 0, ran.err
        return ran.json

    return audit


@pytest.fixture
def simulate(run: Run) -> Callable[..., Any]:
    """The object of `simulate --format json`; the run must succeed."""

    def simulate(*arguments: object) -> Any:
        ran = run("simulate", *arguments, "--format", "json")
        assert ran.code == 0, ran.err
        return ran.json

    return simulate
