"""What was charged is taken back when a span that ends later shows that it was no call of its own."""

from collections.abc import Callable
from typing import Any

import pytest
from openai import OpenAI
from opentelemetry.context import Context
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, NumberDataPoint
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.trace import Span, Tracer, set_span_in_context

from otelbudget import Budget, BudgetSpanProcessor

Watch = Callable[..., BudgetSpanProcessor]
UsageOf = Callable[[BudgetSpanProcessor], tuple[int, int, int]]

SECOND = 10**9
START_NS = 1_795_000_000 * SECOND
ONE_CALL = (1, 25_000, 100_000_000_000)
# gpt-4o: 2.50 USD/Mtok * 20_000 + 10 USD/Mtok * 5_000 = 0.10 USD
CHAT: dict[str, Any] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 20_000,
    "gen_ai.usage.output_tokens": 5_000,
}
AGENT = CHAT | {"gen_ai.operation.name": "invoke_agent"}
MODEL = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
# 1.25 USD/Mtok * 8_000 + 2.50 * 12_000 + 10 * 5_000 = 0.09 USD
CACHED = CHAT | {"gen_ai.usage.cache_read.input_tokens": 8_000}
CACHED_CALL = (1, 25_000, 90_000_000_000)


@pytest.fixture
def processor(watch: Watch) -> BudgetSpanProcessor:
    return watch(Budget(cost_usd=100))


@pytest.fixture
def library(provider: TracerProvider) -> Tracer:
    """A tracer of an instrumentation library that no gate covers."""
    return provider.get_tracer("openinference.instrumentation.langchain")


@pytest.fixture
def native(provider: TracerProvider) -> Tracer:
    """A tracer of another one, that sees the same calls."""
    return provider.get_tracer("opentelemetry.instrumentation.anthropic")


def _below(parent: Span) -> Context:
    return set_span_in_context(parent)


def _by_trace(processor: BudgetSpanProcessor) -> dict[int, tuple[int, int, int]]:
    return {
        int(dict(account.scope)["trace"], 16): (account.calls, account.tokens, account.cost_pusd)
        for _, account in processor.engine.ledger.accounts()
        if account.calls
    }


# Children that outlive their parents.


@pytest.mark.parametrize("repeated", [AGENT, CHAT, MODEL], ids=["agent", "chat", "unknown"])
@pytest.mark.parametrize("depth", [1, 3])
def test_a_parent_that_ends_first_is_taken_back_when_its_child_tells_of_usage(
    processor: BudgetSpanProcessor,
    tracer: Tracer,
    library: Tracer,
    usage_of: UsageOf,
    repeated: dict[str, Any],
    depth: int,
) -> None:
    run = tracer.start_span("run")
    parents = [library.start_span("agent", _below(run))]
    for _ in range(depth):
        parents.append(library.start_span("step", _below(parents[-1])))
    child = library.start_span("chat", _below(parents[-1]), attributes=CHAT)
    parents[0].set_attributes(repeated)
    for parent in parents:
        parent.end()
    child.end()
    run.end()

    [(_, account)] = processor.engine.ledger.accounts()
    assert usage_of(processor) == ONE_CALL
    assert account.corrected == processor.stats.corrected == 1
    assert account.spent_by_model == {"gpt-4o": 100_000_000_000}


def test_a_child_that_starts_after_its_parent_has_ended_takes_the_charge_over(
    processor: BudgetSpanProcessor, tracer: Tracer, library: Tracer, usage_of: UsageOf
) -> None:
    run = tracer.start_span("run")
    parent = library.start_span("agent", _below(run), attributes=AGENT)
    parent.end()
    library.start_span("chat", _below(parent), attributes=CHAT).end()
    run.end()

    assert usage_of(processor) == ONE_CALL


def test_calls_of_unknown_usage_are_the_call_that_a_span_around_them_tells_of(
    processor: BudgetSpanProcessor, tracer: Tracer, library: Tracer, usage_of: UsageOf
) -> None:
    with tracer.start_as_current_span("run"), library.start_as_current_span("chat") as outer:
        library.start_span("send", attributes=MODEL).end()
        outer.set_attributes(CHAT)

    assert usage_of(processor) == ONE_CALL


def test_a_span_that_ends_while_its_stream_is_open_is_taken_back_when_the_stream_tells(
    processor: BudgetSpanProcessor, tracer: Tracer, client: OpenAI, usage_of: UsageOf
) -> None:
    with tracer.start_as_current_span("run"):
        with tracer.start_as_current_span("agent", attributes=AGENT):
            stream = client.chat.completions.create(
                model="gpt-4o",
                messages=[{"role": "user", "content": "hello"}],
                stream=True,
                stream_options={"include_usage": True},
            )
        list(stream)

    assert usage_of(processor) == ONE_CALL


def test_a_span_that_ends_while_its_stream_is_open_tells_of_it_where_the_stream_does_not(
    processor: BudgetSpanProcessor, tracer: Tracer, client: OpenAI, usage_of: UsageOf
) -> None:
    with tracer.start_as_current_span("run"):
        with tracer.start_as_current_span("agent", attributes=AGENT):
            stream = client.chat.completions.create(
                model="gpt-4o", messages=[{"role": "user", "content": "hello"}], stream=True
            )
        list(stream)

    assert usage_of(processor) == ONE_CALL


# Twins without a gate.


@pytest.mark.parametrize("is_better_last", [True, False])
def test_of_twins_the_one_that_knows_the_cache_stays(
    processor: BudgetSpanProcessor,
    tracer: Tracer,
    library: Tracer,
    native: Tracer,
    usage_of: UsageOf,
    is_better_last: bool,  # noqa: FBT001 - a table cell
) -> None:
    told = {"gen_ai.response.id": "msg_1"}
    with tracer.start_as_current_span("run"):
        first = library.start_span("LLM", attributes=(CHAT if is_better_last else CACHED) | told)
        second = native.start_span("chat", attributes=(CACHED if is_better_last else CHAT) | told)
        first.end()
        second.end()

    assert usage_of(processor) == CACHED_CALL
    assert processor.stats.corrected == is_better_last


def test_of_twins_in_two_traces_the_trace_of_the_one_that_stays_is_charged(
    processor: BudgetSpanProcessor, library: Tracer, native: Tracer
) -> None:
    told = {"gen_ai.response.id": "msg_1"}
    first = library.start_span("LLM", Context(), attributes=CHAT | told)
    second = native.start_span("chat", Context(), attributes=CACHED | told)
    first.end()
    second.end()

    assert _by_trace(processor) == {second.get_span_context().trace_id: CACHED_CALL}


def test_a_twin_counts_again_when_the_better_one_turns_out_to_repeat_its_child(
    processor: BudgetSpanProcessor, library: Tracer, native: Tracer
) -> None:
    told = {"gen_ai.response.id": "msg_1"}
    first = library.start_span("LLM", Context(), attributes=CHAT | told)
    second = native.start_span("agent", Context(), attributes=CACHED | told)
    child = native.start_span("chat", _below(second), attributes=CHAT)
    first.end()
    second.end()
    child.end()

    assert _by_trace(processor) == {
        first.get_span_context().trace_id: ONE_CALL,
        second.get_span_context().trace_id: ONE_CALL,
    }


def test_calls_in_turn_of_a_server_with_one_response_id_are_each_charged(
    processor: BudgetSpanProcessor, tracer: Tracer, library: Tracer, usage_of: UsageOf
) -> None:
    calls = 200
    with tracer.start_as_current_span("run"):
        for number in range(calls):
            start = START_NS + number * SECOND
            span = library.start_span("chat", attributes=CHAT, start_time=start)
            span.set_attribute("gen_ai.response.id", "chatcmpl-1")
            span.end(start + SECOND - 1)

    assert usage_of(processor)[0] == calls
    assert processor.stats.corrected == 0


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (1, 2, 0), (2, 1, 0)])
def test_several_spans_that_tell_of_a_call_whose_gate_could_not_read_it_are_one_call(
    processor: BudgetSpanProcessor,
    tracer: Tracer,
    library: Tracer,
    native: Tracer,
    client: OpenAI,
    order: tuple[int, ...],
) -> None:
    with tracer.start_as_current_span("run") as run:
        spans = [
            library.start_span("LLM", _below(run)),
            native.start_span("chat", _below(run)),
            tracer.start_span("ask", _below(run)),
        ]
        with_ask = set_span_in_context(spans[2])
        response_id = _stream_without_usage(client, with_ask)
        for index in order:
            spans[index].set_attributes(CHAT | {"gen_ai.response.id": response_id})
            spans[index].end()

    assert list(_by_trace(processor).values()) == [ONE_CALL]


def _stream_without_usage(client: OpenAI, context: Context) -> str:
    from opentelemetry.context import attach, detach  # noqa: PLC0415 - only here

    token = attach(context)
    try:
        chunks = list(
            client.chat.completions.create(
                model="gpt-4o", messages=[{"role": "user", "content": "hello"}], stream=True
            )
        )
    finally:
        detach(token)
    return chunks[0].id


# What is told of it.


def _sums(reader: InMemoryMetricReader) -> dict[str, int | float]:
    """The sum of each metric over its series."""
    data = reader.get_metrics_data()
    assert data is not None
    return {
        metric.name: sum(
            point.value for point in metric.data.data_points if isinstance(point, NumberDataPoint)
        )
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def test_counters_do_not_fall_and_make_up_for_what_was_taken_back(
    watch: Watch, tracer: Tracer, library: Tracer
) -> None:
    reader = InMemoryMetricReader()
    watch(Budget(cost_usd=100), meter_provider=MeterProvider([reader]))
    seen = []
    with tracer.start_as_current_span("run"):
        for _ in range(2):
            agent = library.start_span("agent", attributes=AGENT)
            child = library.start_span("chat", _below(agent), attributes=CHAT)
            agent.end()
            seen.append(_sums(reader))
            child.end()
            seen.append(_sums(reader))

    # One call, of which first the agent, then the chat is charged; then a second one likewise.
    assert [each["otelbudget.cost.usd"] for each in seen] == pytest.approx([0.1, 0.1, 0.2, 0.2])
    assert [each["otelbudget.tokens"] for each in seen] == [25_000, 25_000, 50_000, 50_000]
    assert [each["otelbudget.calls"] for each in seen] == [1, 1, 2, 2]
    assert [each["otelbudget.calls.corrected"] for each in seen] == [0, 1, 1, 2]


def test_a_guess_by_usage_and_time_is_counted(
    processor: BudgetSpanProcessor, tracer: Tracer, library: Tracer, client: OpenAI
) -> None:
    with tracer.start_as_current_span("run") as run:
        twin = library.start_span("chat", _below(run), attributes=CHAT)
        with tracer.start_as_current_span("step"):
            client.chat.completions.create(
                model="gpt-4o", messages=[{"role": "user", "content": "hello"}]
            )
        twin.end()

    assert processor.stats.matched_by_usage == 1


def test_links_of_a_trace_are_bounded_and_the_loss_is_counted_and_logged_once(
    processor: BudgetSpanProcessor,
    tracer: Tracer,
    library: Tracer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with tracer.start_as_current_span("run"):
        for _ in range(10_000):
            tracer.start_span("step").end()
        for _ in range(3):
            library.start_span("chat", attributes=CHAT).end()
        [trace] = processor._accounting.links._traces.values()  # noqa: SLF001 - no public view
        kept = len(trace.links)

    assert kept <= 4_096
    assert processor.stats.overflow == 10_004 - kept
    assert sum("otelbudget links (4096 in a trace" in message for message in caplog.messages) == 1


def test_ended_spans_of_a_trace_in_which_nothing_starts_for_ten_minutes_are_let_go(
    watch: Watch, tracer: Tracer, clock: Any
) -> None:
    processor = watch(Budget(calls=9), clock=clock)
    run = tracer.start_span("run")
    tracer.start_span("step", _below(run)).end()
    kept = []
    for _ in range(4):
        clock.advance(seconds=300)
        tracer.start_span("other", Context()).end()
        links = processor._accounting.links  # noqa: SLF001 - no public view
        kept.append(len(links._traces[run.get_span_context().trace_id].links))  # noqa: SLF001

    assert kept == [2, 2, 1, 1]
    assert processor.stats.overflow == 1


def test_a_processor_that_is_added_after_it_is_reported_once(
    watch: Watch, provider: TracerProvider, tracer: Tracer, caplog: pytest.LogCaptureFixture
) -> None:
    watch(Budget(calls=1))
    watch(Budget(calls=2))
    provider.add_span_processor(SpanProcessor())
    for _ in range(3):
        tracer.start_span("run").end()

    assert sum("Add it last" in message for message in caplog.messages) == 2
    assert len(caplog.messages) == 2


BORROWED = {**CHAT, "litellm.call_id": "c"}


def test_a_call_on_its_callers_span_counts_beside_the_calls_below(
    processor: BudgetSpanProcessor, tracer: Tracer, library: Tracer, usage_of: UsageOf
) -> None:
    other = {**CHAT, "gen_ai.usage.input_tokens": 1, "gen_ai.usage.output_tokens": 0}
    with tracer.start_as_current_span("run") as run:
        library.start_span("chat", attributes=other).end()
        run.set_attributes(BORROWED)

    calls, tokens, _ = usage_of(processor)
    assert (calls, tokens) == (2, ONE_CALL[1] + 1)


@pytest.mark.parametrize("is_early", [True, False], ids=["child-first", "caller-first"])
def test_a_call_on_its_callers_span_counts_once_where_the_sdk_below_tells_it_too(
    processor: BudgetSpanProcessor,
    tracer: Tracer,
    library: Tracer,
    usage_of: UsageOf,
    is_early: bool,  # noqa: FBT001 - a table cell
) -> None:
    with tracer.start_as_current_span("run"):
        caller = tracer.start_span("caller", attributes=BORROWED)
        child = library.start_span("chat", _below(caller), attributes=CHAT)
        for span in (child, caller) if is_early else (caller, child):
            span.end()

    assert usage_of(processor) == ONE_CALL
