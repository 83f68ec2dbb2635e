"""What an import loads, and gates that are put in place before or after the SDK is imported."""

import subprocess
import sys
import textwrap

import pytest

from otelbudget.testing import FakeProvider


def _run(program: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_library_loads_nothing_heavy_and_opens_no_socket() -> None:
    program = """
        import sys
        opened = []
        sys.addaudithook(lambda event, _: event.startswith("socket") and opened.append(event))
        import otelbudget
        heavy = ["duckdb", "openai", "anthropic", "opentelemetry.sdk", "otelbudget.pricing.book"]
        print([name for name in heavy if name in sys.modules], opened)
    """

    assert _run(program) == "[] []"


def test_importing_the_processor_loads_neither_duckdb_nor_a_provider_sdk() -> None:
    program = """
        import sys
        import otelbudget.live.processor
        print([name for name in ("duckdb", "openai", "anthropic") if name in sys.modules])
    """

    assert _run(program) == "[]"


def test_making_a_processor_imports_no_provider_sdk() -> None:
    program = """
        import sys
        from otelbudget import Budget, BudgetSpanProcessor
        BudgetSpanProcessor(Budget(calls=1))
        print([name for name in ("duckdb", "openai", "anthropic") if name in sys.modules])
    """

    assert _run(program) == "[]"


IMPORT = "import openai"
PROCESSOR = "provider.add_span_processor(BudgetSpanProcessor(Budget(calls=0)))"
INSTRUMENT = "OpenAIInstrumentor().instrument(tracer_provider=provider)"


@pytest.mark.parametrize(
    "order",
    [
        pytest.param((IMPORT, INSTRUMENT, PROCESSOR), id="import-instrument-processor"),
        pytest.param((PROCESSOR, IMPORT, INSTRUMENT), id="processor-import-instrument"),
        pytest.param((INSTRUMENT, PROCESSOR, IMPORT), id="instrument-processor-import"),
    ],
)
def test_the_gate_holds_in_any_order(fake_provider: FakeProvider, order: tuple[str, ...]) -> None:
    program = """
        import sys
        from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
        from opentelemetry.sdk.trace import TracerProvider
        from otelbudget import Budget, BudgetExceededError, BudgetSpanProcessor

        provider = TracerProvider()
        for step in sys.argv[2:]:
            exec(step)
        client = openai.OpenAI(base_url=sys.argv[1], api_key="none")
        with provider.get_tracer("app").start_as_current_span("run"):
            try:
                client.responses.create(model="gpt-4o", input="hello")
            except BudgetExceededError as error:
                print(type(error).__name__)
    """

    assert _run(program, fake_provider.openai_base_url, *order) == "BudgetExceededError"
    assert fake_provider.request_count == 0


def test_an_sdk_that_looks_otherwise_can_still_be_imported() -> None:
    """An openai of before its clients had classes: no gate, one sentence, no error."""
    program = """
        import logging, sys, types
        logging.basicConfig(stream=sys.stdout, format="%(message)s")
        from otelbudget import Budget, BudgetSpanProcessor
        sys.modules["openai"] = types.ModuleType("openai")
        BudgetSpanProcessor(Budget(calls=1))
        import openai
    """

    assert _run(program).startswith("otelbudget cannot put its gate around openai")
