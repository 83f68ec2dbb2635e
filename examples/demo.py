"""Two minutes with otelbudget: stop a runaway loop, then ask recorded traces which limits to set.

It needs no API key and no network: a fake provider on this machine answers as OpenAI would.

    python examples/demo.py
"""

import logging
import os
import subprocess
import sys
from pathlib import Path

from openai import OpenAI
from opentelemetry import trace
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.sdk.trace import TracerProvider

from otelbudget import Budget, BudgetExceededError, BudgetSpanProcessor
from otelbudget.testing import FakeProvider, Reply

ROOT = Path(__file__).absolute().parents[1]
TRACES = "sample_traces/traces.jsonl"
BUDGETS = "build/demo/budgets.yaml"  # `make clean` removes it, git ignores it

# gpt-4o: 2.50 USD per million * 20,000 + 10 USD per million * 5,000 = 0.05 USD + 0.05 USD
TEN_CENTS = Reply(input_tokens=20_000, output_tokens=5_000)

HAS_COLOR = sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def bold(text: str) -> str:
    """Text that stands out on a terminal."""
    return f"\033[1m{text}\033[0m" if HAS_COLOR else text


def step(title: str, *sentences: str) -> None:
    """Print a heading and what is about to be seen."""
    print(f"\n{bold(title)}\n")
    for sentence in sentences:
        print(sentence)
    print(flush=True)


def stop_a_runaway_loop() -> None:
    """Let an agent that never finishes run into its budget."""
    provider = TracerProvider()
    provider.add_span_processor(BudgetSpanProcessor(Budget(cost_usd="0.25", name="per-run")))
    OpenAIInstrumentor().instrument(tracer_provider=provider)
    tell_the_log()
    with FakeProvider(TEN_CENTS) as fake:
        client = OpenAI(base_url=fake.openai_base_url, api_key="none")
        try:
            loop_for_ever(client, provider.get_tracer("demo"))
        except BudgetExceededError as error:
            print(f"  call {fake.request_count + 1}: refused, {bold('BudgetExceededError')}:")
            print(f"    {error}")
            billed = f"{error.facts.usage:.2f} USD"
        print(
            f"\nThe provider got {fake.request_count} requests, worth {billed}; no fourth one left."
        )
        print("The third was let through at 0.20 USD, below the limit. That is the overshoot to")
        print("expect: what the calls under way cost when the limit is reached.")


def loop_for_ever(client: OpenAI, tracer: trace.Tracer) -> None:
    """Ask the model again whatever it says, in one trace."""
    with tracer.start_as_current_span("invoke_agent researcher"):
        for call in range(1, 21):
            print(f"  call {call}: asking gpt-4o", flush=True)
            client.chat.completions.create(
                model="gpt-4o", messages=[{"role": "user", "content": "Go on."}]
            )


def tell_the_log() -> None:
    """Show what otelbudget writes to its logger."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("    log: %(message)s"))
    logger = logging.getLogger("otelbudget")
    logger.addHandler(handler)
    logger.propagate = False


def budget_audit(*arguments: str) -> None:
    """Run the command line as a user would, from the root of the repository."""
    print(bold(f"$ budget-audit {' '.join(arguments)}"), flush=True)
    code = "from budget_audit.app import main; main()"
    subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, check=True)  # noqa: S603 - our own command


def main() -> None:
    """Show the steps one after another."""
    print("otelbudget in four steps. A fake provider on this machine answers: nothing is paid.")
    step(
        "1. Stop a runaway loop",
        "An agent never finishes. Each of its calls costs 0.10 USD, and one line lets a run",
        'spend 0.25 USD: BudgetSpanProcessor(Budget(cost_usd="0.25", name="per-run")).',
    )
    stop_a_runaway_loop()
    step(
        "2. Audit: what was spent, and on what",
        "The sample traces are two weeks of an app with seven workflows; each call counts once.",
    )
    budget_audit("audit", TRACES)
    step(
        "3. Simulate: what a limit would have stopped and saved",
        "The engine that stopped the loop above replays the traces with a limit of 0.50 USD.",
    )
    budget_audit("simulate", TRACES, "--limit", "cost_usd=0.50")
    step(
        "4. Suggest: which limits to set",
        "Limits for each workflow from what its runs needed, and none where they are too few.",
    )
    (ROOT / BUDGETS).parent.mkdir(parents=True, exist_ok=True)
    budget_audit("suggest", TRACES, "-o", BUDGETS)
    is_own_venv = Path(sys.prefix) == ROOT / ".venv"
    command = f"{'.venv/bin/' if is_own_venv else ''}budget-audit"
    step(
        "Next",
        f"The suggested budgets are in {BUDGETS}. Try what they would have stopped:",
        "",
        f"  {command} simulate {TRACES} --budgets {BUDGETS}",
        "",
        "docs/tutorial.md goes on from here, with an app of your own.",
    )


if __name__ == "__main__":
    main()
