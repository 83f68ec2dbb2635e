"""Programs without a line of otelbudget, started by `opentelemetry-instrument`."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from shutil import which

import pytest
from budget_audit.loading import load

from otelbudget.audit.spend import spend
from otelbudget.testing import FakeProvider

BUDGETS = "version: 1\nbudgets: {per-run: {per: trace, max_calls: 3}}\n"
APP = """
from openai import DefaultHttpxClient, OpenAI
from opentelemetry import trace

with trace.get_tracer("app").start_as_current_span("run"):
    with OpenAI(http_client=DefaultHttpxClient(verify=False)) as client:
        for number in range(1, 6):
            client.chat.completions.create(model="gpt-4o", messages=[])
            print("answer", number)
"""
IS_WRAPPED = """
import sys, openai
loaded = [name for name in ("live.processor", "pricing.book") if f"otelbudget.{name}" in sys.modules]
print(hasattr(openai.OpenAI.request, "__wrapped__"), loaded)
"""
NO_INSTRUMENTATION = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "*"}

Ran = subprocess.CompletedProcess[str]
Start = Callable[..., Ran]


def has_entry(group: str, name: str) -> bool:
    return name in entry_points(group=group).names


pytestmark = [
    pytest.mark.skipif(
        not has_entry("opentelemetry_pre_instrument", "otelbudget"),
        reason="otelbudget is not installed: pip install -e .",
    ),
    pytest.mark.skipif(
        not has_entry("opentelemetry_configurator", "configurator"),
        reason="needs opentelemetry-distro",
    ),
]


@pytest.fixture
def start(tmp_path: Path, fake_provider: FakeProvider) -> Start:
    """Runs a program by opentelemetry-instrument, in `tmp_path`, with variables of its own."""
    (tmp_path / "budgets.yaml").write_text(BUDGETS, "utf-8")
    program = which("opentelemetry-instrument", path=str(Path(sys.executable).parent))

    def run(app: str = APP, **variables: str) -> Ran:
        (tmp_path / "app.py").write_text(app, "utf-8")
        return subprocess.run(
            [str(program), sys.executable, "app.py"],
            cwd=tmp_path,
            env={
                **os.environ,
                "OPENAI_API_KEY": "none",
                "OPENAI_BASE_URL": fake_provider.openai_base_url,
                **{f"OTEL_{each}_EXPORTER": "none" for each in ("TRACES", "METRICS", "LOGS")},
                **variables,
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def answers(ran: Ran) -> int:
    return ran.stdout.count("answer")


def recorded_calls(path: Path) -> int:
    store, _, _ = load([str(path)])
    return spend(store).totals.model_calls


def test_the_fourth_call_is_refused_and_the_store_holds_the_others(
    start: Start, fake_provider: FakeProvider, tmp_path: Path
) -> None:
    ran = start(OTELBUDGET_CONFIG="budgets.yaml", OTEL_TRACES_EXPORTER="duckdb")

    assert (answers(ran), fake_provider.request_count, ran.returncode) == (3, 3, 1)
    assert "BudgetExceededError: Budget 'per-run'" in ran.stderr
    assert recorded_calls(tmp_path / "otelbudget.duckdb") == 3


def test_without_the_variable_nothing_is_wrapped_and_no_price_is_loaded(start: Start) -> None:
    ran = start(IS_WRAPPED, **NO_INSTRUMENTATION)

    assert (ran.stdout, ran.stderr) == ("False []\n", "")


def test_switched_off_by_the_environment_no_call_is_refused(start: Start) -> None:
    ran = start(OTELBUDGET_CONFIG="budgets.yaml", OTELBUDGET_DISABLED="1", **NO_INSTRUMENTATION)

    assert (answers(ran), ran.returncode) == (5, 0)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        pytest.param(None, "wrong.yaml: cannot be read", id="missing"),
        pytest.param("budgets: {a: {max_cals: 3}}", "wrong.yaml: ", id="unknown key"),
        pytest.param("budgets: [", "wrong.yaml: is no YAML", id="no YAML"),
    ],
)
def test_a_wrong_file_ends_the_program_before_it_begins(
    text: str | None, named: str, start: Start, tmp_path: Path
) -> None:
    if text is not None:
        (tmp_path / "wrong.yaml").write_text(text, "utf-8")
    ran = start(OTELBUDGET_CONFIG="wrong.yaml", **NO_INSTRUMENTATION)

    assert (ran.stdout, ran.returncode) == ("", 1)
    assert ran.stderr.startswith(f"otelbudget: {named}")
    assert ran.stderr.count("\n") == 1


def test_a_program_started_in_another_directory_reads_the_same_file(
    start: Start, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "child.py").write_text(APP, "utf-8")
    parent = """
        import subprocess, sys
        subprocess.run([sys.executable, "../child.py"], cwd="elsewhere")
    """
    ran = start(
        "\n".join(line.strip() for line in parent.splitlines()),
        OTELBUDGET_CONFIG="budgets.yaml",
        **NO_INSTRUMENTATION,
    )

    assert answers(ran) == 3
    assert "BudgetExceededError" in ran.stderr


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({"OTEL_SDK_DISABLED": "true"}, id="SDK disabled"),
        pytest.param({"OTEL_PYTHON_CONFIGURATOR": "none"}, id="no SDK provider"),
    ],
)
def test_the_gates_are_in_place_without_spans(variables: dict[str, str], start: Start) -> None:
    ran = start(IS_WRAPPED, OTELBUDGET_CONFIG="budgets.yaml", **variables, **NO_INSTRUMENTATION)

    assert ran.stdout.startswith("True ")
    assert ("found no TracerProvider" in ran.stderr) == ("OTEL_PYTHON_CONFIGURATOR" in variables)


def test_a_configuration_file_exports_to_a_store_and_budgets_hold(
    start: Start, tmp_path: Path
) -> None:
    pytest.importorskip("opentelemetry.configuration")
    (tmp_path / "otel.yaml").write_text(
        """
        file_format: "1.0"
        tracer_provider:
          processors:
            - batch: {exporter: {duckdb: {path: mine.duckdb, content: keep}}}
        """,
        "utf-8",
    )
    ran = start(OTELBUDGET_CONFIG="budgets.yaml", OTEL_CONFIG_FILE="otel.yaml")

    assert answers(ran) == 3
    assert recorded_calls(tmp_path / "mine.duckdb") == 3


def test_budgets_hold_where_the_store_cannot_be_written(start: Start) -> None:
    ran = start(
        OTELBUDGET_CONFIG="budgets.yaml",
        OTEL_TRACES_EXPORTER="duckdb",
        OTELBUDGET_STORE="missing/folder/spans.duckdb",
        **NO_INSTRUMENTATION,
    )

    assert answers(ran) == 3
    assert "No spans are written: " in ran.stderr


def test_what_the_sdk_cannot_configure_is_told_and_runs_without_budgets(start: Start) -> None:
    """OpenTelemetry gives up before it asks anyone; docs/zero-code.md says so."""
    ran = start(
        OTELBUDGET_CONFIG="budgets.yaml", OTEL_TRACES_EXPORTER="unknown", **NO_INSTRUMENTATION
    )

    assert (answers(ran), ran.returncode) == (5, 0)
    assert "Failed to auto initialize OpenTelemetry" in ran.stderr


def test_an_audit_log_is_written_without_a_line_of_code(start: Start, tmp_path: Path) -> None:
    start(OTELBUDGET_CONFIG="budgets.yaml", OTELBUDGET_AUDIT_LOG="audit.jsonl")

    lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == [
        "budget_monitoring_start",
        "warning",
        "exceeded",
        "denied",
        "budget_monitoring_end",
    ]
    assert lines[-1]["operations"] == 3


def test_an_audit_log_in_a_folder_that_is_not_there_ends_the_program_with_a_sentence(
    start: Start,
) -> None:
    ran = start(OTELBUDGET_CONFIG="budgets.yaml", OTELBUDGET_AUDIT_LOG="no/audit.jsonl")

    assert ran.returncode == 1
    assert "audit_log: is 'no/audit.jsonl', and the folder" in ran.stderr
