"""The answers of the commands as functions, and as tables of Arrow, pandas and polars."""

import json
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]  # has no stubs
import pytest

from otelbudget import Budget, Budgets, audit
from otelbudget.errors import BudgetConfigError, TraceReadError
from tests.cli.conftest import Run, run  # noqa: F401 - a fixture

SAMPLE = Path(__file__).parents[2] / "sample_traces" / "traces.jsonl"


@pytest.fixture(scope="module")
def traces() -> Iterator[audit.Traces]:
    with audit.load(SAMPLE) as traces:
        yield traces


def of_command(run: Run, *arguments: object) -> Any:  # noqa: F811
    return run(arguments[0], SAMPLE, *arguments[1:], "--format", "json").json


def test_spend_is_what_the_command_says(traces: audit.Traces, run: Run) -> None:  # noqa: F811
    said = of_command(run, "audit", "--by", "model,agent")
    rows = audit.table(traces.spend(["model", "agent"]).groups).rows()

    assert [(row["model"], row["agent"], row["model_calls"]) for row in rows] == [
        (group["key"]["model"], group["key"]["agent"], group["model_calls"])
        for group in said["groups"]
    ]
    assert [row["list_cost_usd"] for row in rows] == [
        None if group["list_cost_usd"] is None else Decimal(group["list_cost_usd"])
        for group in said["groups"]
    ]


def test_simulate_is_what_the_command_says(traces: audit.Traces, run: Run) -> None:  # noqa: F811
    said = of_command(run, "simulate", "--limit", "cost_usd=0.05")["totals"]
    budget = Budget(name="limit", per=("trace",), cost_usd="0.05")
    found = traces.simulate(Budgets((budget,)))

    assert found.replay.calls_denied == said["calls_denied"]
    assert found.false_stops == said["false_stops"]
    assert audit.table(found.replay.stopped).columns[:2] == ["budget", "scope"]
    assert len(audit.table(found.replay.stopped)) == said["scopes_stopped"]
    assert not found.graduations[0].is_safe


def test_sweep_is_what_the_command_says(traces: audit.Traces, run: Run) -> None:  # noqa: F811
    said = of_command(run, "simulate", "--sweep", "cost_usd=0.01:1:5")["sweep"]
    rows = audit.table(traces.sweep("cost_usd", [point["limit"] for point in said])).rows()

    assert [(row["limit"], row["calls_denied"], row["avoided_usd"]) for row in rows] == [
        (Decimal(point["limit"]), point["calls_denied"], Decimal(point["avoided_usd"]))
        for point in said
    ]


def test_suggest_trace_and_forecast_answer_too(traces: audit.Traces, run: Run) -> None:  # noqa: F811
    said = of_command(run, "suggest")
    suggested = traces.suggest().workflows
    [(dearest,)] = [tuple(row.values()) for row in traces.sql(DEAREST)]
    tree = traces.trace(dearest[:12])

    assert [each.eligible for each in suggested] == [group["eligible"] for group in said["groups"]]
    assert tree.trace_id == dearest
    assert traces.forecast().full_days == 12
    assert len(audit.table(traces.workflows().workflows)) == 6


DEAREST = "select trace_id from model_calls group by all order by sum(list_cost_pusd) desc limit 1"


def test_a_set_of_runs_does_not_differ_from_itself(traces: audit.Traces) -> None:
    changes = audit.table(audit.compare(traces, traces).changes)

    assert len(changes) > 0


def test_a_part_can_be_asked_about(traces: audit.Traces) -> None:
    with audit.load(SAMPLE, where={"tenant.id": "acme"}) as of_acme:
        [(whole,)] = [tuple(row.values()) for row in traces.sql("select count(*) from model_calls")]

        assert 0 < len(of_acme.calls()) < whole
    with audit.load(SAMPLE, since="2030-01-01") as of_later:
        assert len(of_later.calls()) == 0


def test_arrow_pandas_and_polars_hold_the_same_rows(traces: audit.Traces) -> None:
    table = audit.table(traces.spend(["model"]).groups)
    rows = table.rows()

    assert table.arrow().to_pylist() == rows
    assert pa.table(table).to_pylist() == rows
    assert table.pl().to_dicts() == rows
    assert pl.DataFrame(table).to_dicts() == rows
    assert list(table.df()["model"]) == [row["model"] for row in rows]
    assert isinstance(table.df(), pd.DataFrame)
    assert list(table) == rows
    assert len(table) == len(rows)


def test_queries_take_inputs(traces: audit.Traces) -> None:
    query = "select count(*) as calls from model_calls where agent = $agent"

    assert traces.sql(query, agent="researcher").rows()[0]["calls"] > 0
    assert traces.sql(query, agent="nobody").rows() == [{"calls": 0}]


def test_no_answers_make_an_empty_table() -> None:
    assert audit.table([]).rows() == []


def test_errors_are_those_of_the_library(tmp_path: Path) -> None:
    with pytest.raises(TraceReadError, match="does not exist"):
        audit.load(tmp_path / "none.jsonl")
    with audit.load(SAMPLE) as traces, pytest.raises(BudgetConfigError):
        traces.spend(["day"], timezone="Mars")


def test_neither_arrow_nor_pandas_nor_polars_are_loaded_before_they_are_asked_for() -> None:
    code = (
        "import json, sys; from otelbudget import audit; "
        f"t = audit.load({str(SAMPLE)!r}); rows = audit.table(t.spend().groups); rows.rows(); "
        "stream = rows.__arrow_c_stream__(); "
        "print(json.dumps(sorted({'pyarrow', 'pandas', 'polars', 'numpy'} & set(sys.modules))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)

    assert json.loads(done.stdout) == []
