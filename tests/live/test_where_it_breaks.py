"""Where counting or stopping could break: threads, processors in odd places, faults of our own."""

import asyncio
import contextvars
import gc
import logging
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NoReturn, Self

import openai
import pytest
from anthropic import Anthropic
from openai import OpenAI
from opentelemetry import context
from opentelemetry.instrumentation.genai.anthropic import AnthropicInstrumentor
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.metrics import Meter, MeterProvider, NoOpMeter
from opentelemetry.sdk.trace import ConcurrentMultiSpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.trace import Tracer

import otelbudget
from otelbudget import Budget, BudgetExceededError, BudgetSpanProcessor
from otelbudget.budgets.ledger import Account
from otelbudget.testing import FakeProvider, Reply

Watch = Callable[..., BudgetSpanProcessor]
AccountOf = Callable[[BudgetSpanProcessor], Account]
Chat = Callable[[], None]
Break = Callable[[BudgetSpanProcessor], None]

HELLO: Any = [{"role": "user", "content": "hello"}]
MODEL = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
TEN_CENTS_PUSD = 100_000_000_000


# Threads and tasks.


def _in_thread(ask: Chat) -> None:
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()


def _in_pool(ask: Chat) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(ask).result()


def _in_executor(ask: Chat) -> None:
    async def main() -> None:
        await asyncio.get_running_loop().run_in_executor(None, ask)

    asyncio.run(main())


def _in_copied_context(ask: Chat) -> None:
    thread = threading.Thread(target=contextvars.copy_context().run, args=(ask,))
    thread.start()
    thread.join()


def _in_asyncio_thread(ask: Chat) -> None:
    async def main() -> None:
        await asyncio.to_thread(ask)

    asyncio.run(main())


def _in_tasks(ask: Chat) -> None:
    async def call() -> None:
        ask()

    async def main() -> None:
        await asyncio.gather(call())
        await asyncio.create_task(call())

    asyncio.run(main())


@pytest.mark.parametrize("run_elsewhere", [_in_thread, _in_pool, _in_executor])
def test_calls_of_a_thread_without_context_count_outside_any_trace(
    watch: Watch,
    tracer: Tracer,
    chat: Chat,
    caplog: pytest.LogCaptureFixture,
    run_elsewhere: Callable[[Chat], None],
) -> None:
    processor = watch(Budget(calls=10))
    with tracer.start_as_current_span("run"):
        run_elsewhere(chat)
        run_elsewhere(chat)

    [(_, account)] = processor.engine.ledger.accounts()
    assert (account.scope, account.calls) == ((("trace", "(none)"),), 2)
    [message] = [message for message in caplog.messages if "outside any trace" in message]
    assert "opentelemetry-instrumentation-threading" in message
    assert "contextvars.copy_context()" in message


@pytest.mark.parametrize("run_elsewhere", [_in_thread, _in_pool, _in_executor])
def test_calls_of_a_thread_without_context_are_stopped_there(
    watch: Watch,
    tracer: Tracer,
    chat: Chat,
    ten_cents: FakeProvider,
    run_elsewhere: Callable[[Chat], None],
) -> None:
    watch(Budget(calls=2))
    refusals: list[BudgetExceededError] = []

    def ask() -> None:
        try:
            chat()
        except BudgetExceededError as error:
            refusals.append(error)

    with tracer.start_as_current_span("run"):
        for _ in range(5):
            run_elsewhere(ask)

    assert ten_cents.request_count == 2
    assert [dict(error.scope) for error in refusals] == [{"trace": "(none)"}] * 3


@pytest.mark.parametrize("run_elsewhere", [_in_copied_context, _in_asyncio_thread, _in_tasks])
def test_threads_with_context_and_tasks_count_on_their_run(
    watch: Watch,
    tracer: Tracer,
    chat: Chat,
    caplog: pytest.LogCaptureFixture,
    run_elsewhere: Callable[[Chat], None],
) -> None:
    processor = watch(Budget(calls=10))
    with tracer.start_as_current_span("run") as span:
        run_elsewhere(chat)
        trace_id = format(span.get_span_context().trace_id, "032x")

    [(_, account)] = processor.engine.ledger.accounts()
    assert account.scope == (("trace", trace_id),)
    assert caplog.messages == []


# Processors in odd places.


@pytest.fixture
def concurrent_provider(span_exporter: InMemorySpanExporter) -> Iterator[TracerProvider]:
    """A provider that calls its processors on the threads of a pool."""
    made = TracerProvider(active_span_processor=ConcurrentMultiSpanProcessor(2))
    made.add_span_processor(SimpleSpanProcessor(span_exporter))
    yield made
    made.shutdown()


def test_hooks_on_pool_threads_count_each_call_once_and_gates_hold(
    concurrent_provider: TracerProvider,
    ten_cents: FakeProvider,
    client: OpenAI,
    account_of: AccountOf,
) -> None:
    """There the spans that start inside a gate, such as anthropic's own, cannot be told by it."""
    processor = BudgetSpanProcessor(Budget(calls=4))
    concurrent_provider.add_span_processor(processor)
    anthropic = Anthropic(base_url=ten_cents.anthropic_base_url, api_key="none", max_retries=0)
    instrumentors = (OpenAIInstrumentor(), AnthropicInstrumentor())
    for instrumentor in instrumentors:
        instrumentor.instrument(tracer_provider=concurrent_provider)
    try:
        with concurrent_provider.get_tracer("app").start_as_current_span("run"):
            for _ in range(2):
                client.chat.completions.create(model="gpt-4o", messages=HELLO)
                anthropic.messages.create(model="claude-haiku-4-5", max_tokens=9, messages=HELLO)
            with pytest.raises(BudgetExceededError):
                client.chat.completions.create(model="gpt-4o", messages=HELLO)
    finally:
        anthropic.close()
        for instrumentor in instrumentors:
            instrumentor.uninstrument()

    account = account_of(processor)
    # gpt-4o: 0.10 USD each; claude-haiku-4-5: 1 USD/Mtok * 20_000 + 5 USD/Mtok * 5_000 = 0.045 USD
    assert (account.calls, account.tokens, account.cost_pusd) == (4, 100_000, 290_000_000_000)
    assert ten_cents.request_count == 4
    assert processor.stats.faults == 0


@pytest.mark.parametrize("pool_threads", [1, 2])
def test_a_refusal_on_a_pool_thread_reaches_the_caller_and_ends_its_span(
    span_exporter: InMemorySpanExporter, pool_threads: int
) -> None:
    provider = TracerProvider(active_span_processor=ConcurrentMultiSpanProcessor(pool_threads))
    provider.add_span_processor(SimpleSpanProcessor(span_exporter))
    provider.add_span_processor(BudgetSpanProcessor(Budget(calls=0)))
    tracer = provider.get_tracer("app")

    def ask() -> str:
        try:
            tracer.start_span("chat", attributes=MODEL)
        except BudgetExceededError:
            return "refused"
        return "went on"

    callers = 8
    outcomes: list[str] = []
    threads = [
        threading.Thread(target=lambda: outcomes.append(ask()), daemon=True) for _ in range(callers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert outcomes == ["refused"] * callers
    _wait_for_threads("otelbudget")
    assert [span.name for span in span_exporter.get_finished_spans()] == ["chat"] * callers
    provider.shutdown()


def _wait_for_threads(prefix: str) -> None:
    for thread in threading.enumerate():
        if thread.name.startswith(prefix):
            thread.join(20)


def test_one_processor_of_two_providers_counts_each_call_once(
    watch: Watch, tracer: Tracer, client: OpenAI, ten_cents: FakeProvider
) -> None:
    processor = watch(Budget(calls=2))
    other = TracerProvider()
    other.add_span_processor(processor)
    OpenAIInstrumentor().instrument(tracer_provider=other)
    try:
        with tracer.start_as_current_span("run"):
            for _ in range(2):
                client.chat.completions.create(model="gpt-4o", messages=HELLO)
            with pytest.raises(BudgetExceededError):
                client.chat.completions.create(model="gpt-4o", messages=HELLO)
    finally:
        OpenAIInstrumentor().uninstrument()

    [(_, account)] = processor.engine.ledger.accounts()
    assert (account.calls, account.cost_pusd) == (2, 2 * TEN_CENTS_PUSD)
    assert ten_cents.request_count == 2


def test_a_processor_that_one_of_its_providers_shuts_down_watches_no_more(
    watch: Watch, tracer: Tracer, chat: Chat, ten_cents: FakeProvider
) -> None:
    processor = watch(Budget(calls=0))
    other = TracerProvider()
    other.add_span_processor(processor)
    other.shutdown()
    with tracer.start_as_current_span("run"):
        chat()

    assert ten_cents.request_count == 1


def test_one_processor_added_twice_is_told_of(
    watch: Watch, provider: TracerProvider, tracer: Tracer, caplog: pytest.LogCaptureFixture
) -> None:
    provider.add_span_processor(watch(Budget(calls=9)))
    tracer.start_span("one").end()
    tracer.start_span("two").end()

    assert sum("added twice" in message for message in caplog.messages) == 1


def test_two_processors_with_one_budget_are_told_of(
    watch: Watch, tracer: Tracer, chat: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    """As where a set-up function runs twice: each counts, and neither counts double."""
    processors = [watch(Budget(cost_usd=1, name="per-run")) for _ in range(2)]
    with tracer.start_as_current_span("run"):
        chat()

    for processor in processors:
        [(_, account)] = processor.engine.ledger.accounts()
        assert account.cost_pusd == TEN_CENTS_PUSD
    [message] = caplog.messages
    assert "'per-run'" in message
    assert "another BudgetSpanProcessor" in message


def test_two_processors_with_other_budgets_are_nothing_to_tell(
    watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    watch(Budget(cost_usd=1, name="per-run"))
    watch(Budget(cost_usd=2, name="per-run"))

    assert caplog.messages == []


@pytest.mark.parametrize("is_last", [True, False])
def test_a_processor_that_is_not_the_last_is_told_of(
    watch: Watch,
    provider: TracerProvider,
    tracer: Tracer,
    caplog: pytest.LogCaptureFixture,
    *,
    is_last: bool,
) -> None:
    watch(Budget(calls=9))
    if not is_last:
        provider.add_span_processor(SimpleSpanProcessor(InMemorySpanExporter()))
    tracer.start_span("one").end()
    tracer.start_span("two").end()

    told = [message for message in caplog.messages if "Add it last" in message]
    assert len(told) == (0 if is_last else 1)


# Traces.


class _OneTrace(IdGenerator):
    """Every trace has the same id, as where a queue's job brings that of its message."""

    def generate_trace_id(self) -> int:
        """The one id."""
        return 0x5B8E

    def generate_span_id(self) -> int:
        """A span id as usual."""
        return RandomIdGenerator().generate_span_id()


def test_a_trace_id_that_comes_again_goes_on_where_it_was(
    chat: Chat, ten_cents: FakeProvider
) -> None:
    provider = TracerProvider(id_generator=_OneTrace())
    processor = BudgetSpanProcessor(Budget(calls=3))
    provider.add_span_processor(processor)
    tracer = provider.get_tracer("app")
    for _ in range(2):
        with tracer.start_as_current_span("run"), suppress(BudgetExceededError):
            for _ in range(2):
                chat()
    provider.shutdown()

    [(_, account)] = processor.engine.ledger.accounts()
    assert (ten_cents.request_count, account.calls, account.denied) == (3, 3, 1)
    assert not processor._accounting.links._traces  # noqa: SLF001 - there is no public view of it


def test_a_run_whose_span_never_ends_is_stopped_all_the_same(
    watch: Watch, tracer: Tracer, chat: Chat, ten_cents: FakeProvider
) -> None:
    watch(Budget(calls=2))
    token = context.attach(_context_of(tracer))
    try:
        chat()
        chat()
        with pytest.raises(BudgetExceededError):
            chat()
    finally:
        context.detach(token)

    assert ten_cents.request_count == 2


def _context_of(tracer: Tracer) -> context.Context:
    """The context of a new span that nobody ends."""
    from opentelemetry.trace import set_span_in_context  # noqa: PLC0415 - only here

    return set_span_in_context(tracer.start_span("run"))


# Answers without usage, callers that do not listen.


@pytest.mark.parametrize("options", [{}, {"stream": True}], ids=["plain", "streamed"])
def test_answers_without_usage_count_at_an_estimate_and_trip(
    watch: Watch,
    tracer: Tracer,
    client: OpenAI,
    fake_provider: FakeProvider,
    caplog: pytest.LogCaptureFixture,
    options: dict[str, Any],
) -> None:
    fake_provider.reply_with(Reply(with_usage=False))
    processor = watch(Budget(cost_usd="0.25", warn_at=[]))

    def ask() -> None:
        # 10 USD/Mtok * 10_000 = 0.10 USD of output at most, and some input
        answer = client.chat.completions.create(
            model="gpt-4o", messages=HELLO, max_tokens=10_000, **options
        )
        if options:
            list(answer)

    with tracer.start_as_current_span("run"):
        for _ in range(3):
            ask()
        with pytest.raises(BudgetExceededError) as refusal:
            ask()

    facts = refusal.value.facts
    assert fake_provider.request_count == 3
    assert facts.usage == facts.estimated_usd > 3 * facts.limit / 4
    assert "of which" in str(refusal.value)
    assert sum("came without usage" in message for message in caplog.messages) == 1
    assert processor.stats.faults == 0


def test_a_caller_that_retries_a_thousand_times_sends_nothing_and_costs_nothing(
    watch: Watch,
    tracer: Tracer,
    chat: Chat,
    ten_cents: FakeProvider,
    caplog: pytest.LogCaptureFixture,
    span_exporter: InMemorySpanExporter,
) -> None:
    processor = watch(Budget(calls=1, warn_at=[]))

    def retry(times: int) -> None:
        for _ in range(times):
            with suppress(BudgetExceededError):
                chat()

    with tracer.start_as_current_span("run"):
        chat()
        retry(200)
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        retry(800)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    [(_, account)] = processor.engine.ledger.accounts()
    assert (ten_cents.request_count, account.calls, account.denied) == (1, 1, 1_000)
    assert len(caplog.messages) == 1
    assert after - before < 100_000  # 125 bytes a refusal
    [run] = span_exporter.get_finished_spans()
    names = [event.name for event in run.events]
    # What was spent is still told by the run's span, which keeps 128 events.
    assert names.count("otelbudget.call") == 1
    assert 1 <= names.count("otelbudget.denied") < 128


# Faults of our own.


class _BrokenLock:
    """A lock that nobody gets, as one of a ledger whose store has died."""

    def __enter__(self) -> Self:
        raise OSError("the store is gone")

    def __exit__(self, *exception: object) -> None:
        pass

    def acquire(self) -> NoReturn:
        """Fail."""
        raise OSError("the store is gone")

    def release(self) -> None:
        """Do nothing."""


class _BrokenMeterProvider(MeterProvider):
    """A meter provider without meters."""

    def get_meter(self, *arguments: Any, **options: Any) -> Meter:
        """Fail."""
        raise OSError("no meters today")


class _BrokenInstruments(MeterProvider):
    """A meter provider whose meters make no instruments."""

    def get_meter(self, *arguments: Any, **options: Any) -> Meter:
        """A meter."""
        return _BrokenMeter("broken")


class _BrokenMeter(NoOpMeter):
    def create_observable_counter(self, *arguments: Any, **options: Any) -> NoReturn:
        raise OSError("no instruments today")


class _BrokenHandler(logging.Handler):
    """A log handler that raises, as one that writes to a full disk."""

    def emit(self, record: logging.LogRecord) -> None:
        """Fail."""
        raise OSError("the disk is full")


def _break_clock(processor: BudgetSpanProcessor) -> None:
    def clock() -> int:
        raise OSError("no time today")

    processor._accounting.clock = clock  # noqa: SLF001 - to break it while it runs


def _break_lock(processor: BudgetSpanProcessor) -> None:
    lock: Any = _BrokenLock()
    processor._accounting.lock = lock  # noqa: SLF001 - to break it while it runs
    processor.engine.ledger.lock = lock


@pytest.fixture(params=[_break_clock, _break_lock], ids=["clock", "lock"])
def break_part(request: pytest.FixtureRequest) -> Break:
    """Breaks a part of a processor while it runs."""
    breaking: Break = request.param
    return breaking


@pytest.fixture(params=["plain", "stream", "raw", "streaming_response", "async"])
def call(request: pytest.FixtureRequest, client: OpenAI) -> Callable[[], object]:
    """Makes a call of the openai client in each form; returns what the caller has of it."""
    form: str = request.param
    return lambda: _call(client, form)


def _call(client: OpenAI, form: str) -> object:
    """Make a call in a form; what the caller has of it."""
    if form == "stream":
        return len(list(client.chat.completions.create(**_streamed())))
    if form == "raw":
        raw = client.chat.completions.with_raw_response.create(model="gpt-4o", messages=HELLO)
        return raw.parse().choices[0].message.content
    if form == "streaming_response":
        create = client.chat.completions.with_streaming_response.create
        with create(model="gpt-4o", messages=HELLO) as response:
            return response.parse().choices[0].message.content
    if form == "async":
        return asyncio.run(_call_async(str(client.base_url)))
    return client.chat.completions.create(model="gpt-4o", messages=HELLO).choices[0].message.content


def _streamed() -> dict[str, Any]:
    options = {"stream": True, "stream_options": {"include_usage": True}}
    return {"model": "gpt-4o", "messages": HELLO, **options}


async def _call_async(url: str) -> object:
    async with openai.AsyncOpenAI(
        base_url=url,
        api_key="none",
        max_retries=0,
        http_client=openai.DefaultAsyncHttpxClient(verify=False),
    ) as client:
        answer = await client.chat.completions.create(model="gpt-4o", messages=HELLO)
        return answer.choices[0].message.content


def _faults_told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [message for message in caplog.messages if message.startswith("otelbudget failed in")]


@pytest.mark.parametrize("cancels", [False, True], ids=["plain", "cancels"])
def test_a_fault_before_a_call_leaves_the_answer_and_is_told_once(
    watch: Watch,
    tracer: Tracer,
    call: Callable[[], object],
    break_part: Break,
    caplog: pytest.LogCaptureFixture,
    *,
    cancels: bool,
) -> None:
    processor = watch(Budget(cost_usd=1, reserve=True, cancel_in_flight=cancels))
    expected = call()
    with tracer.start_as_current_span("run"):
        break_part(processor)
        assert [call() for _ in range(3)] == [expected] * 3

    told = _faults_told(caplog)
    assert processor.stats.faults >= 3
    assert len(told) == len(set(told)) <= 3


def test_a_fault_while_a_call_is_under_way_leaves_the_answer_and_is_told_once(
    watch: Watch,
    tracer: Tracer,
    call: Callable[[], object],
    break_part: Break,
    ten_cents: FakeProvider,
    caplog: pytest.LogCaptureFixture,
) -> None:
    processor = watch(Budget(cost_usd=100, reserve=True, cancel_in_flight=True))
    expected = call()

    def break_and_answer(_: object) -> Reply:
        break_part(processor)
        return Reply(input_tokens=20_000, output_tokens=5_000)

    ten_cents.reply_with(break_and_answer)
    with tracer.start_as_current_span("run"):
        assert call() == expected

    told = _faults_told(caplog)
    assert processor.stats.faults >= 1
    assert len(told) == len(set(told)) <= 3


def test_a_fault_while_a_call_fails_leaves_the_error_of_the_sdk(
    watch: Watch,
    tracer: Tracer,
    call: Callable[[], object],
    break_part: Break,
    ten_cents: FakeProvider,
    caplog: pytest.LogCaptureFixture,
) -> None:
    processor = watch(Budget(cost_usd=100))

    def break_and_refuse(_: object) -> Reply:
        break_part(processor)
        return Reply(status=400)

    ten_cents.reply_with(break_and_refuse)
    with tracer.start_as_current_span("run"), pytest.raises(openai.BadRequestError):
        call()

    assert processor.stats.faults >= 1
    assert len(_faults_told(caplog)) == len(set(_faults_told(caplog))) <= 3


def test_a_fault_at_spans_and_checks_does_not_reach_the_application(
    watch: Watch, tracer: Tracer, caplog: pytest.LogCaptureFixture
) -> None:
    processor = watch(Budget(calls=0, tool_calls=0))
    _break_lock(processor)
    for operation in ("chat", "execute_tool", "invoke_agent"):
        for _ in range(3):
            attributes = {"gen_ai.operation.name": operation, "gen_ai.usage.input_tokens": 7}
            tracer.start_span(operation, attributes=attributes).end()
    otelbudget.check()
    otelbudget.check("tool")

    told = _faults_told(caplog)
    assert processor.stats.faults == 9 + 9 + 2
    assert len(told) == len(set(told)) == 3


@pytest.mark.parametrize("reserve", [False, True], ids=["plain", "reserves"])
def test_a_clock_that_fails_at_a_call_leaves_nothing_in_flight(
    watch: Watch, tracer: Tracer, chat: Chat, account_of: AccountOf, *, reserve: bool
) -> None:
    """What is admitted and never ends would hold its estimate for ever."""
    processor = watch(Budget(cost_usd=1, reserve=reserve))
    clock = processor._accounting.clock  # noqa: SLF001 - to break it while it runs
    with tracer.start_as_current_span("run"):
        chat()
        _break_clock(processor)
        chat()
        processor._accounting.clock = clock  # noqa: SLF001 - as above

    assert account_of(processor).held_pusd == 0


@pytest.mark.parametrize("meters", [_BrokenMeterProvider, _BrokenInstruments])
def test_budgets_hold_without_a_meter_provider_that_works(
    watch: Watch,
    tracer: Tracer,
    chat: Chat,
    ten_cents: FakeProvider,
    caplog: pytest.LogCaptureFixture,
    meters: type[MeterProvider],
) -> None:
    processor = watch(Budget(calls=1), meter_provider=meters())
    with tracer.start_as_current_span("run"):
        chat()
        with pytest.raises(BudgetExceededError):
            chat()

    assert ten_cents.request_count == 1
    assert processor.stats.faults == 1
    assert len(_faults_told(caplog)) == 1


def test_budgets_hold_where_log_handlers_raise(
    watch: Watch, tracer: Tracer, chat: Chat, ten_cents: FakeProvider
) -> None:
    handler = _BrokenHandler()
    logger = logging.getLogger("otelbudget")
    logger.addHandler(handler)
    processor = watch(Budget(calls=2, warn_at=["0.5"]))
    try:
        with tracer.start_as_current_span("run"):
            chat()
            chat()
            with pytest.raises(BudgetExceededError):
                chat()
    finally:
        logger.removeHandler(handler)

    assert ten_cents.request_count == 2
    assert processor.stats.faults >= 1


class _Prickly(openai.BaseModel):
    """An answer that cannot be looked at."""

    def __getattr__(self, name: str) -> NoReturn:
        raise RuntimeError(f"do not ask for {name}")

    @property
    def usage(self) -> NoReturn:
        """Fail."""
        raise RuntimeError("do not ask for usage")


def test_an_answer_that_cannot_be_looked_at_arrives(
    watch: Watch, tracer: Tracer, client: OpenAI, account_of: AccountOf
) -> None:
    processor = watch(Budget(cost_usd=100))
    body = {"model": "gpt-4o", "messages": HELLO}
    with tracer.start_as_current_span("run"):
        answer = client.post("/chat/completions", cast_to=_Prickly, body=body)

    account = account_of(processor)
    assert type(answer) is _Prickly
    assert account.estimated_pusd == account.cost_pusd > 0
    assert processor.stats.faults == 1


def test_a_stream_of_events_that_cannot_be_looked_at_arrives(
    watch: Watch, tracer: Tracer, client: OpenAI, account_of: AccountOf
) -> None:
    processor = watch(Budget(cost_usd=100))
    body = {"model": "gpt-4o", "messages": HELLO, "stream": True}
    with tracer.start_as_current_span("run"):
        stream = client.post(
            "/chat/completions",
            cast_to=_Prickly,
            body=body,
            stream=True,
            stream_cls=openai.Stream[_Prickly],
        )
        events = list(stream)

    account = account_of(processor)
    assert {type(event) for event in events} == {_Prickly}
    assert account.estimated_pusd == account.cost_pusd > 0


def test_a_body_that_cannot_be_encoded_brings_the_error_of_the_sdk(
    watch: Watch, tracer: Tracer, client: OpenAI, fake_provider: FakeProvider
) -> None:
    """Half of a pair of UTF-16 units, as text that was cut in two has."""
    processor = watch(Budget(cost_usd=100, reserve=True))
    with tracer.start_as_current_span("run"), pytest.raises(UnicodeEncodeError):
        client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "\ud83d"}]
        )

    [(_, account)] = processor.engine.ledger.accounts()
    assert fake_provider.request_count == 0
    assert (account.in_flight, account.held_pusd) == (0, 0)
    assert processor.stats.faults == 0
