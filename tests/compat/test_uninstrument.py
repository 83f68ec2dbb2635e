"""Switching an instrumentation off takes no gate away, whichever of the two was there first."""

import os
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.compat

INSTRUMENTORS = {
    "openai": "openinference.instrumentation.openai:OpenAIInstrumentor",
    "google": "openinference.instrumentation.google_genai:GoogleGenAIInstrumentor",
}
# What an instrumentation has wrapped stays wrapped in its process, so each run has its own.
PROGRAM = """
    import sys
    from importlib import import_module
    from opentelemetry.sdk.trace import TracerProvider
    from otelbudget import Budget, BudgetExceededError, BudgetSpanProcessor
    from otelbudget.testing import FakeProvider

    sdk, instrumentor, first = sys.argv[1:]
    module, _, name = instrumentor.partition(":")
    instrumentor = getattr(import_module(module), name)()
    tracing = TracerProvider()
    if first == "instrumentation":
        instrumentor.instrument(tracer_provider=tracing)
    tracing.add_span_processor(BudgetSpanProcessor(Budget(calls=1)))
    if first == "processor":
        instrumentor.instrument(tracer_provider=tracing)

    def calls(provider):
        if sdk == "google":
            from google import genai
            made = genai.Client(api_key="none", http_options={"base_url": provider.google_base_url})
            asked = {"model": "gemini-2.5-flash", "contents": "hello"}
            yield lambda: made.models.generate_content(**asked)
            yield lambda: list(made.models.generate_content_stream(**asked))
        else:
            import openai
            made = openai.OpenAI(
                base_url=provider.openai_base_url, api_key="none", max_retries=0,
                http_client=openai.DefaultHttpxClient(verify=False),
            )
            hello = [{"role": "user", "content": "hello"}]
            yield lambda: made.chat.completions.create(model="gpt-4o", messages=hello)
            yield lambda: made.responses.create(model="gpt-4o", input="hello")

    refused = 0
    with FakeProvider() as provider, tracing.get_tracer("app").start_as_current_span("run"):
        doors = list(calls(provider))
        doors[0]()
        for change in (
            instrumentor.uninstrument,
            lambda: instrumentor.instrument(tracer_provider=tracing),
            instrumentor.uninstrument,
        ):
            change()
            for door in doors:
                try:
                    door()
                except BudgetExceededError:
                    refused += 1
        print(provider.request_count, refused)
"""


@pytest.mark.parametrize("first", ["instrumentation", "processor"])
@pytest.mark.parametrize("sdk", INSTRUMENTORS)
def test_no_call_passes_a_used_up_budget_when_an_instrumentation_comes_and_goes(
    sdk: str, first: str
) -> None:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OTEL")}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), sdk, INSTRUMENTORS[sdk], first],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=inherited,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["1", "6"]
