"""What a newcomer does, and must not be punished for."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from otelbudget import Budget, BudgetSpanProcessor, DuckDBSpanExporter
from otelbudget.testing import FakeProvider, Reply

Call = Callable[..., Any]
TRACES = Path(__file__).parents[2] / "sample_traces" / "traces.jsonl"


@pytest.fixture
def damaged_store(tmp_path: Path) -> Path:
    path = tmp_path / "mix" / "damaged.duckdb"
    path.parent.mkdir()
    path.write_bytes(b"\0" * 8 + b"DUCK" + b"\0" * 100)
    return path


def test_a_call_that_two_processors_watch_is_one_call(tmp_path: Path, audit: Call) -> None:
    """gpt-4o, 20,000 x 2.50 USD/Mtok + 5,000 x 10 USD/Mtok = 0.10 USD."""
    path = tmp_path / "traces.duckdb"
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(DuckDBSpanExporter(path)))
    for mode in ("enforce", "audit"):
        provider.add_span_processor(BudgetSpanProcessor(Budget(cost_usd="1", mode=mode)))
    with FakeProvider(Reply(input_tokens=20_000, output_tokens=5_000)) as fake:
        client = OpenAI(base_url=fake.openai_base_url, api_key="none")
        with provider.get_tracer("app").start_as_current_span("run"):
            client.chat.completions.create(model="gpt-4o", messages=[])
    provider.shutdown()

    totals = audit(path)["totals"]

    assert (totals["model_calls"], totals["list_cost_usd"]) == (1, "0.10")


def test_a_damaged_store_among_good_files_is_a_warning(damaged_store: Path, run: Call) -> None:
    (damaged_store.parent / "traces.jsonl").write_bytes(TRACES.read_bytes())

    ran = run("audit", damaged_store.parent, "--format", "json")

    assert ran.code == 0
    assert ran.json["totals"]["traces"] == 203
    assert ran.json["input"]["unreadable"] == 1
    assert "unreadable_file" in ran.err


def test_a_damaged_store_alone_is_an_error(damaged_store: Path, run: Call) -> None:
    ran = run("audit", damaged_store)

    assert ran.code == 1
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize("command", ["audit", "suggest", "simulate"])
def test_an_answer_is_not_written_over_its_source(command: str, tmp_path: Path, run: Call) -> None:
    source = tmp_path / "traces.jsonl"
    source.write_bytes(TRACES.read_bytes())
    limit = ["--limit", "calls=1"] if command == "simulate" else []

    ran = run(command, source, *limit, "-o", source)

    assert ran.code == 2
    assert source.read_bytes() == TRACES.read_bytes()


@pytest.mark.parametrize(
    ("redirection", "sentence"),
    [
        pytest.param("audit {traces} > /dev/full", "cannot be written: No space", id="full-disk"),
        pytest.param("audit - <&-", "standard input is closed", id="closed-stdin"),
    ],
)
def test_a_broken_stream_is_one_sentence(redirection: str, sentence: str) -> None:
    command = f"{sys.executable} -m budget_audit {redirection.format(traces=TRACES)}"

    ended = subprocess.run(  # noqa: S602 - the shell does the redirection
        command, shell=True, capture_output=True, text=True, check=False
    )

    assert ended.returncode == 1
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr
