"""Rules of the code base that no linter knows."""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes

from otelbudget.genai import semconv

ROOT = Path(__file__).parent.parent
PACKAGES = (ROOT / "otelbudget", ROOT / "cli" / "budget_audit")
# Modules of OpenInference are named like attributes.
ATTRIBUTE = re.compile(
    r"""["'](gen_ai|llm|openinference(?!\.instrumentation)|traceloop|ai)\.[a-z_.]+["']"""
)
SQL_ROOMS = ("store", "ingest", "audit")


def modules() -> Iterator[Path]:
    for package in PACKAGES:
        yield from package.rglob("*.py")


def test_attribute_names_are_spelled_out_in_semconv_only() -> None:
    spelled = {
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in modules()
        if path.name not in {"semconv.py", "dialects.py"} and "testing" not in path.parts
        for match in ATTRIBUTE.finditer(path.read_text("utf-8"))
    }

    assert not spelled


@pytest.mark.parametrize(
    ("constant", "ours"),
    [
        pytest.param("GEN_AI_OPERATION_NAME", semconv.OPERATION_NAME, id="operation"),
        pytest.param("GEN_AI_PROVIDER_NAME", semconv.PROVIDER_NAME, id="provider"),
        pytest.param("GEN_AI_REQUEST_MODEL", semconv.REQUEST_MODEL, id="request-model"),
        pytest.param("GEN_AI_RESPONSE_MODEL", semconv.RESPONSE_MODEL, id="response-model"),
        pytest.param("GEN_AI_RESPONSE_ID", semconv.RESPONSE_ID, id="response-id"),
        pytest.param("GEN_AI_USAGE_INPUT_TOKENS", semconv.INPUT_TOKENS, id="input"),
        pytest.param("GEN_AI_USAGE_OUTPUT_TOKENS", semconv.OUTPUT_TOKENS, id="output"),
        pytest.param("GEN_AI_AGENT_NAME", semconv.AGENT_NAME, id="agent"),
        pytest.param("GEN_AI_TOOL_NAME", semconv.TOOL_NAME, id="tool"),
    ],
)
def test_attribute_names_are_those_of_the_conventions(constant: str, ours: str) -> None:
    assert getattr(gen_ai_attributes, constant) == ours


@pytest.mark.parametrize("room", SQL_ROOMS)
def test_every_statement_is_used_and_every_used_statement_exists(room: str) -> None:
    files = {path.stem for path in (ROOT / "otelbudget" / room / "sql").glob("*.sql")}
    code = "".join(path.read_text("utf-8") for path in (ROOT / "otelbudget" / room).rglob("*.py"))
    named = {name for name in files if f'"{name}"' in code}
    loaded = set(re.findall(r'_load\("(\w+)"\)', code))

    assert named == files
    assert loaded <= files


@pytest.mark.parametrize("room", SQL_ROOMS)
def test_every_statement_says_what_it_gives(room: str) -> None:
    for path in (ROOT / "otelbudget" / room / "sql").glob("*.sql"):
        assert path.read_text("utf-8").startswith("-- "), path.name


def test_every_module_has_at_most_400_lines() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in modules()
        if (count := len(path.read_text("utf-8").splitlines())) > 400
    }

    assert not long


def test_every_command_is_listed_with_its_first_sentence() -> None:
    app = import_module("budget_audit.app")
    for name, sentence in app.COMMANDS.items():
        command = import_module(f"budget_audit.commands.{name}_").command

        assert command.name == name
        assert command.help.splitlines()[0] == sentence
