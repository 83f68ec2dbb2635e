"""A run that has used up its budget stays stopped, whoever calls, from wherever; others go on."""

import asyncio
import contextvars
import logging
import pickle
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from anthropic import Anthropic, AsyncAnthropic
from openai import AsyncOpenAI, DefaultAsyncHttpxClient, DefaultHttpxClient, OpenAI
from opentelemetry.context import Context
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Tracer

import otelbudget
from otelbudget import Budget, BudgetExceededError, BudgetSpanProcessor
from otelbudget.testing import FakeProvider

Watch = Callable[..., BudgetSpanProcessor]

HELLO: Any = [{"role": "user", "content": "hello"}]
API_KEY = "sk-proj-4aXq9-do-not-tell-anybody"
PROMPT = "the patient's name is Ada Byron"
HEADER = "Bearer internal-7f31c0"
MODEL = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}


class Hour:
    """A clock that jumps an hour when told to.

    Attributes:
        now_ns: Unix nanoseconds.
    """

    def __init__(self) -> None:
        self.now_ns = 1_793_577_600 * 10**9

    def __call__(self) -> int:
        """Unix nanoseconds."""
        return self.now_ns


@pytest.fixture
def hours() -> Hour:
    return Hour()


@pytest.fixture
def tripped(
    watch: Watch, tracer: Tracer, client: OpenAI, ten_cents: FakeProvider, hours: Hour
) -> Iterator[FakeProvider]:
    """The provider, inside a run whose budget one call has used up."""
    watch(Budget(cost_usd="0.10", name="per-run"), clock=hours)
    with tracer.start_as_current_span("run"):
        _ask(client)
        yield ten_cents


def _ask(client: OpenAI, prompt: str = "hello") -> None:
    client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": prompt}], max_tokens=100
    )


# Who calls next, and how.


def _same_client(client: OpenAI, _: FakeProvider) -> None:
    _ask(client)


def _other_client(_: OpenAI, provider: FakeProvider) -> None:
    http = DefaultHttpxClient(verify=False)
    with OpenAI(base_url=provider.openai_base_url, api_key="other", http_client=http) as other:
        _ask(other)


def _other_api(client: OpenAI, _: FakeProvider) -> None:
    client.responses.create(model="gpt-4o-mini", input="hello")


def _streamed(client: OpenAI, _: FakeProvider) -> None:
    client.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True)


def _embeddings(client: OpenAI, _: FakeProvider) -> None:
    client.embeddings.create(model="text-embedding-3-small", input="hello")


def _other_sdk(_: OpenAI, provider: FakeProvider) -> None:
    with Anthropic(base_url=provider.anthropic_base_url, api_key="none") as anthropic:
        anthropic.messages.create(model="claude-sonnet-5", max_tokens=9, messages=HELLO)


def _other_sdk_async(_: OpenAI, provider: FakeProvider) -> None:
    async def main() -> None:
        client = AsyncAnthropic(base_url=provider.anthropic_base_url, api_key="none")
        arguments: Any = {"model": "claude-sonnet-5", "max_tokens": 9, "messages": HELLO}
        async with client, client.messages.stream(**arguments) as stream:
            await stream.until_done()

    asyncio.run(main())


def _other_loop(_: OpenAI, provider: FakeProvider) -> None:
    async def main() -> None:
        http = DefaultAsyncHttpxClient(verify=False)
        async with AsyncOpenAI(
            base_url=provider.openai_base_url, api_key="none", http_client=http
        ) as client:
            await asyncio.gather(client.chat.completions.create(model="gpt-4o", messages=HELLO))

    asyncio.run(main())


def _other_thread(client: OpenAI, _: FakeProvider) -> None:
    errors: list[BudgetExceededError] = []

    def call() -> None:
        try:
            _ask(client)
        except BudgetExceededError as error:
            errors.append(error)

    thread = threading.Thread(target=contextvars.copy_context().run, args=(call,))
    thread.start()
    thread.join()
    for error in errors:
        raise error


def _check(_: OpenAI, __: FakeProvider) -> None:
    otelbudget.check()


def _guarded(_: OpenAI, __: FakeProvider) -> None:
    otelbudget.guarded(lambda: None)()


CALLERS = [
    _same_client,
    _other_client,
    _other_api,
    _streamed,
    _embeddings,
    _other_sdk,
    _other_sdk_async,
    _other_loop,
    _other_thread,
    _check,
    _guarded,
]


@pytest.mark.filterwarnings("ignore:The model:DeprecationWarning")
@pytest.mark.parametrize("call", CALLERS)
def test_after_a_trip_whoever_calls_is_refused(
    tripped: FakeProvider, client: OpenAI, call: Callable[[OpenAI, FakeProvider], None]
) -> None:
    for _ in range(2):
        with pytest.raises(BudgetExceededError) as refusal:
            call(client, tripped)

    assert refusal.value.budget == "per-run"
    assert tripped.request_count == 1


def test_a_swallowed_error_is_raised_again(tripped: FakeProvider, client: OpenAI) -> None:
    """As by agents that turn what a tool raises into text for the model."""
    outcomes = []
    for _ in range(5):
        try:
            _ask(client)
        except Exception as error:  # noqa: BLE001 - the point
            outcomes.append(type(error))

    assert outcomes == [BudgetExceededError] * 5
    assert tripped.request_count == 1


def test_spans_below_do_not_begin_anew(
    tripped: FakeProvider, client: OpenAI, tracer: Tracer
) -> None:
    with (
        tracer.start_as_current_span("agent"),
        tracer.start_as_current_span("tool"),
        pytest.raises(BudgetExceededError),
    ):
        _ask(client)
    with pytest.raises(BudgetExceededError):
        tracer.start_span("chat", attributes=MODEL)

    assert tripped.request_count == 1


def test_time_does_not_heal_a_run(
    tripped: FakeProvider, client: OpenAI, tracer: Tracer, hours: Hour
) -> None:
    """What is kept of spans goes after ten minutes; what was spent stays."""
    for _ in range(5):
        hours.now_ns += 3_600 * 10**9
        tracer.start_span("other", context=Context()).end()
        with pytest.raises(BudgetExceededError):
            _ask(client)

    assert tripped.request_count == 1


def test_a_run_that_has_ended_stays_stopped(
    tripped: FakeProvider, client: OpenAI, tracer: Tracer
) -> None:
    """A task that outlives the span around the run still belongs to its trace."""
    with tracer.start_as_current_span("inner"):
        late = contextvars.copy_context()
    with pytest.raises(BudgetExceededError):
        late.run(_ask, client)

    assert tripped.request_count == 1


def test_another_run_goes_on(
    watch: Watch, tracer: Tracer, client: OpenAI, ten_cents: FakeProvider
) -> None:
    watch(Budget(cost_usd="0.10"))
    stopped = []
    for _ in range(3):
        with tracer.start_as_current_span("run"):
            _ask(client)
            with suppress(BudgetExceededError):
                _ask(client)
                stopped.append("not")

    assert (ten_cents.request_count, stopped) == (3, [])


# What the error says.


@pytest.fixture
def refusal(
    watch: Watch,
    provider: TracerProvider,
    tracer: Tracer,
    ten_cents: FakeProvider,
    caplog: pytest.LogCaptureFixture,
) -> Iterator[BudgetExceededError]:
    """The error of a run with secrets in play: a key, a prompt, a header; every log line is kept."""
    caplog.set_level(logging.DEBUG, logger="otelbudget")
    watch(Budget(cost_usd="0.10", reserve=True, name="per-run"))
    OpenAIInstrumentor().instrument(tracer_provider=provider)
    client = OpenAI(
        base_url=ten_cents.openai_base_url,
        api_key=API_KEY,
        default_headers={"x-internal": HEADER},
        http_client=DefaultHttpxClient(verify=False),
    )
    try:
        with tracer.start_as_current_span("run"):
            _ask(client, PROMPT)
            with pytest.raises(BudgetExceededError) as raised:
                _ask(client, PROMPT)
        yield raised.value
    finally:
        client.close()
        OpenAIInstrumentor().uninstrument()


def test_neither_error_nor_log_nor_span_tells_a_secret(
    refusal: BudgetExceededError,
    span_exporter: InMemorySpanExporter,
    caplog: pytest.LogCaptureFixture,
) -> None:
    spans = [span.to_json() for span in span_exporter.get_finished_spans()]
    texts = [str(refusal), repr(refusal), repr(vars(refusal)), repr(refusal.facts)]
    messages = [record.getMessage() for record in caplog.get_records("setup")]
    texts += [*messages, *spans, pickle.dumps(refusal).decode("latin-1")]

    assert len(spans) >= 3
    assert any("used up" in message for message in messages)
    assert [
        (secret, text) for text in texts for secret in (API_KEY, PROMPT, HEADER) if secret in text
    ] == []


def test_the_error_can_be_pickled_and_keeps_its_facts(refusal: BudgetExceededError) -> None:
    """As for a result that another process waits for."""
    copy = pickle.loads(pickle.dumps(refusal))  # noqa: S301 - our own

    assert type(copy) is BudgetExceededError
    assert (str(copy), copy.facts) == (str(refusal), refusal.facts)
    assert copy.__cause__ is copy.__context__ is None


def test_the_error_holds_nothing_of_the_call(refusal: BudgetExceededError) -> None:
    """Neither the request nor the client can be reached from it but by its traceback."""
    assert set(vars(refusal)) == {"facts"}
    assert refusal.__cause__ is None


def test_what_gates_write_on_spans_tells_nothing_of_a_prompt(
    watch: Watch, client: OpenAI, ten_cents: FakeProvider
) -> None:
    """Without instrumentation, only our own events are on the span of a run."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    watch(Budget(calls=1))
    with provider.get_tracer("app").start_as_current_span("run"):
        for _ in range(2):
            with suppress(BudgetExceededError):
                client.chat.completions.create(
                    model="gpt-4o", messages=[{"role": "user", "content": PROMPT}]
                )
    provider.shutdown()

    [span] = exporter.get_finished_spans()
    assert [event.name for event in span.events if "denied" in event.name]
    assert PROMPT not in span.to_json()
    assert ten_cents.request_count == 1
