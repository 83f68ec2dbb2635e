"""Gates as a whole: put in place, taken out under load, switched off, without the SDK's spans."""

import subprocess
import sys
import threading
from collections.abc import Callable

import pytest
from openai import DefaultHttpxClient, OpenAI
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import INVALID_SPAN, Tracer, use_span

from otelbudget import Budget, BudgetExceededError, BudgetSpanProcessor
from otelbudget.testing import FakeProvider, Reply

Watch = Callable[..., BudgetSpanProcessor]

PROGRAM = """
import openai
from opentelemetry.sdk.trace import TracerProvider
from otelbudget import Budget, BudgetExceededError, BudgetSpanProcessor
provider = TracerProvider()
provider.add_span_processor(BudgetSpanProcessor(Budget(cost_usd="0.25")))
client = openai.OpenAI(http_client=openai.DefaultHttpxClient(verify=False), max_retries=0)
answered = 0
with provider.get_tracer("app").start_as_current_span("run"):
    try:
        for _ in range(5):
            client.chat.completions.create(model="gpt-4o", messages=[])
            answered += 1
    except BudgetExceededError as error:
        print(answered, error.usage)
    else:
        print(answered, "never refused")
"""


@pytest.mark.parametrize(
    ("variable", "printed"),
    [
        pytest.param("OTEL_SDK_DISABLED", "3 0.3", id="without-spans-it-stops"),
        pytest.param("OTELBUDGET_DISABLED", "5 never refused", id="switched-off-it-does-not"),
    ],
)
def test_what_the_environment_switches_off(
    ten_cents: FakeProvider, variable: str, printed: str
) -> None:
    environment = {
        variable: "true",
        "OPENAI_BASE_URL": ten_cents.openai_base_url,
        "OPENAI_API_KEY": "none",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"PATH": "", "PYTHONPATH": ":".join(sys.path), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout.strip() == printed


def test_a_processor_can_be_shut_down_while_calls_pass_its_gates(
    watch: Watch, tracer: Tracer, fake_provider: FakeProvider, client: OpenAI
) -> None:
    fake_provider.reply_with(Reply(10, 10))
    processor = watch(Budget(calls=20))
    errors: list[BaseException] = []
    answered: list[int] = []
    has_refused = threading.Event()
    is_down = threading.Event()

    def call() -> None:
        with tracer.start_as_current_span("run"):
            for number in range(60):
                try:
                    client.chat.completions.create(model="gpt-4o", messages=[])
                    answered.append(number)
                except BudgetExceededError:
                    has_refused.set()
                    is_down.wait(30)
                except Exception as error:  # noqa: BLE001 - there must be none
                    errors.append(error)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert has_refused.wait(30)
    processor.shutdown()
    is_down.set()
    for thread in threads:
        thread.join(60)

    assert errors == []
    assert len(answered) > 4 * 20
    assert processor.stats.faults == 0


def test_a_call_below_an_invalid_span_belongs_to_the_run_around(
    watch: Watch, tracer: Tracer, client: OpenAI, ten_cents: FakeProvider
) -> None:
    """As OpenInference's tracers do it where instrumentation is suppressed."""
    processor = watch(Budget(calls=1))
    with tracer.start_as_current_span("run") as run, use_span(INVALID_SPAN):
        client.chat.completions.create(model="gpt-4o", messages=[])
        with pytest.raises(BudgetExceededError):
            client.chat.completions.create(model="gpt-4o", messages=[])
    client.chat.completions.create(model="gpt-4o", messages=[])

    scopes = [account.scope[0][1] for _, account in processor.engine.ledger.accounts()]
    assert scopes == [format(run.get_span_context().trace_id, "032x"), "(none)"]
    assert ten_cents.request_count == 2


def test_gates_that_were_left_are_asked_again_by_the_next_processor(
    provider: TracerProvider, watch: Watch, client: OpenAI, ten_cents: FakeProvider
) -> None:
    watch(Budget(calls=0)).shutdown()
    watch(Budget(calls=1))
    with provider.get_tracer("app").start_as_current_span("run"):
        client.chat.completions.create(model="gpt-4o", messages=[])
        with pytest.raises(BudgetExceededError, match="1 of 1 calls"):
            client.chat.completions.create(model="gpt-4o", messages=[])

    assert ten_cents.request_count == 1


def test_a_call_that_a_hook_makes_inside_a_gate_is_a_call_of_its_own(
    provider: TracerProvider, watch: Watch, client: OpenAI, ten_cents: FakeProvider
) -> None:
    processor = watch(Budget(calls=2))
    made: list[str] = []

    def call_once_more(_response: object) -> None:
        if not made:
            made.append("call")
            client.chat.completions.create(model="gpt-4o", messages=[])

    http = DefaultHttpxClient(verify=False, event_hooks={"response": [call_once_more]})
    with (
        OpenAI(base_url=ten_cents.openai_base_url, api_key="none", http_client=http) as hooked,
        provider.get_tracer("app").start_as_current_span("run"),
    ):
        hooked.chat.completions.create(model="gpt-4o", messages=[])
        with pytest.raises(BudgetExceededError):
            hooked.chat.completions.create(model="gpt-4o", messages=[])

    [(_, account)] = processor.engine.ledger.accounts()
    # 2 calls * 0.10 USD
    assert (account.calls, account.cost_pusd) == (2, 200_000_000_000)
    assert ten_cents.request_count == 2
