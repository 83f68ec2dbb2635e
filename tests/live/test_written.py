"""What is written on spans so that replay knows what was asked, refused, held and counted."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from threading import Barrier
from typing import Any

import pytest
from openai import OpenAI
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Tracer

from otelbudget import Budget, BudgetExceededError, BudgetSpanProcessor, check
from otelbudget.live.current import IS_WRAPPING_UP
from otelbudget.testing import FakeProvider, Reply

Watch = Callable[..., BudgetSpanProcessor]
Events = list[Mapping[str, Any]]

MODEL = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}
TOLD = {"otelbudget.decision": "denied", "otelbudget.budget": "budget"}


@pytest.fixture
def finished(span_exporter: InMemorySpanExporter) -> Callable[[str], ReadableSpan]:
    """The one span with a name that has ended."""

    def find(name: str) -> ReadableSpan:
        [span] = [span for span in span_exporter.get_finished_spans() if span.name == name]
        return span

    return find


@pytest.fixture
def wrapping_up() -> Iterator[Callable[[], None]]:
    """Wraps the run up from then on."""
    tokens = []
    yield lambda: tokens.append(IS_WRAPPING_UP.set(True))
    for token in tokens:
        IS_WRAPPING_UP.reset(token)


def events(span: ReadableSpan, name: str) -> Events:
    return [dict(event.attributes or {}) for event in span.events if event.name == name]


# Refusals.


def test_a_refused_call_is_an_event_with_all_that_replay_asks_again_by(
    watch: Watch, tracer: Tracer, chat: Callable[[], None], finished: Callable[[str], ReadableSpan]
) -> None:
    watch(
        Budget(calls=1, per=["tenant.id", "gen_ai.request.model"], window="day"),
        clock=iter(range(10**18, 10**18 + 10**9, 1_000)).__next__,
    )
    with tracer.start_as_current_span("run", attributes={"tenant.id": "acme"}):
        chat()
        with pytest.raises(BudgetExceededError):
            chat()

    run = finished("run")
    [event] = [event for event in run.events if event.name == "otelbudget.denied"]
    [call] = events(run, "otelbudget.call")
    told = dict(event.attributes or {})
    asked_at = told.pop("otelbudget.call.start_time_unix_nano")
    assert asked_at == event.timestamp > call["otelbudget.call.start_time_unix_nano"]
    assert told == {
        **TOLD,
        "otelbudget.limit.kind": "calls",
        "otelbudget.limit": "1",
        "otelbudget.usage": "1",
        "otelbudget.scope.tenant.id": "acme",
        "otelbudget.scope.gen_ai.request.model": "gpt-4o",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
    }
    assert (run.attributes or {})["otelbudget.denied.count"] == 1


def test_a_refused_call_tells_what_was_to_be_held_and_that_it_wrapped_up(
    watch: Watch,
    tracer: Tracer,
    client: OpenAI,
    finished: Callable[[str], ReadableSpan],
    wrapping_up: Callable[[], None],
) -> None:
    watch(Budget(tokens=1_000, reserve=True))
    wrapping_up()
    with tracer.start_as_current_span("run"), pytest.raises(BudgetExceededError):
        client.chat.completions.create(model="gpt-4o", messages=[], max_tokens=2_000)

    [told] = events(finished("run"), "otelbudget.denied")
    assert told["otelbudget.estimated_output_tokens"] == 2_000
    assert told["otelbudget.estimated_input_tokens"] > 0
    # gpt-4o: 10 USD/Mtok * 2_000 = 0.02 USD, and the input
    assert told["otelbudget.estimated_cost_usd"].startswith("0.02")
    assert told["otelbudget.wrap_up"] is True


def test_the_first_32_refusals_of_a_span_are_events_and_all_are_counted(
    watch: Watch, tracer: Tracer, chat: Callable[[], None], finished: Callable[[str], ReadableSpan]
) -> None:
    watch(Budget(calls=1))
    with tracer.start_as_current_span("run"):
        chat()
        for name, attempts in (("first", 40), ("second", 3)):
            with tracer.start_as_current_span(name):
                for _ in range(attempts):
                    with suppress(BudgetExceededError):
                        chat()

    first, second = finished("first"), finished("second")
    assert len(events(first, "otelbudget.denied")) == 32
    assert (first.attributes or {})["otelbudget.denied.count"] == 40
    assert len(events(second, "otelbudget.denied")) == 3
    assert (second.attributes or {})["otelbudget.denied.count"] == 3


def test_no_refusal_is_missed_in_the_count_of_a_span_that_threads_share(
    watch: Watch, tracer: Tracer, chat: Callable[[], None], finished: Callable[[str], ReadableSpan]
) -> None:
    watch(Budget(calls=1))
    barrier = Barrier(8)

    def ask() -> None:
        barrier.wait(30)
        for _ in range(25):
            with suppress(BudgetExceededError):
                chat()

    with tracer.start_as_current_span("run"):
        chat()
        contexts = [copy_context() for _ in range(8)]
        with ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(context.run, ask) for context in contexts]:
                done.result(60)

    run = finished("run")
    assert (run.attributes or {})["otelbudget.denied.count"] == 8 * 25
    assert len(events(run, "otelbudget.denied")) == 32


def test_a_span_that_is_refused_at_its_start_tells_so_itself(
    watch: Watch, tracer: Tracer, finished: Callable[[str], ReadableSpan]
) -> None:
    watch(Budget(calls=1, tool_calls=1))
    with tracer.start_as_current_span("run"):
        tracer.start_span("model", attributes=MODEL).end()
        tracer.start_span("tool", attributes=TOOL).end()
        for name, attributes in (("no model", MODEL), ("no tool", TOOL)):
            with pytest.raises(BudgetExceededError):
                tracer.start_span(name, attributes=attributes)

    [model] = events(finished("no model"), "otelbudget.denied")
    [tool] = events(finished("no tool"), "otelbudget.denied")
    assert {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}.items() <= (
        model.items()
    )
    assert {**TOOL, "otelbudget.limit.kind": "tool_calls"}.items() <= tool.items()
    assert (finished("no tool").attributes or {})["otelbudget.denied.count"] == 1
    assert "otelbudget.denied.count" not in (finished("run").attributes or {})


def test_a_refused_check_is_no_attempt(
    watch: Watch, tracer: Tracer, chat: Callable[[], None], finished: Callable[[str], ReadableSpan]
) -> None:
    watch(Budget(calls=1))
    with tracer.start_as_current_span("run"):
        chat()
        for _ in range(40):
            with suppress(BudgetExceededError):
                check()

    run = finished("run")
    attributes = run.attributes or {}
    assert all("gen_ai.operation.name" not in told for told in events(run, "otelbudget.denied"))
    assert len(events(run, "otelbudget.denied")) == 32
    assert "otelbudget.denied.count" not in attributes
    assert attributes["otelbudget.denied.checks"] == 40


# Tools.


def test_a_tool_that_only_a_check_tells_of_is_an_event(
    watch: Watch, tracer: Tracer, finished: Callable[[str], ReadableSpan]
) -> None:
    watch(Budget(tool_calls=2, per="tenant.id"))
    with tracer.start_as_current_span("run", attributes={"tenant.id": "acme"}):
        for _ in range(3):
            with suppress(BudgetExceededError):
                check(kind="tool")

    run = finished("run")
    counted, refused = events(run, "otelbudget.tool"), events(run, "otelbudget.denied")
    assert [told["otelbudget.scope.tenant.id"] for told in counted] == ["acme", "acme"]
    assert [told["gen_ai.operation.name"] for told in refused] == ["execute_tool"]
    assert (run.attributes or {})["otelbudget.denied.count"] == 1


@pytest.mark.parametrize(
    "budget",
    [pytest.param(Budget(tool_calls=5), id="limited"), pytest.param(Budget(calls=5), id="not")],
)
def test_a_check_inside_a_tools_own_span_is_no_further_tool(
    watch: Watch, tracer: Tracer, finished: Callable[[str], ReadableSpan], budget: Budget
) -> None:
    watch(budget)
    with tracer.start_as_current_span("run"), tracer.start_as_current_span("t", attributes=TOOL):
        check(kind="tool")

    assert not events(finished("t"), "otelbudget.tool")


def test_a_check_that_stops_a_tool_which_was_counted_is_no_attempt(
    watch: Watch,
    provider: TracerProvider,
    tracer: Tracer,
    finished: Callable[[str], ReadableSpan],
) -> None:
    watch(Budget(tool_calls=1))
    library = provider.get_tracer("openinference.instrumentation.smolagents")
    with tracer.start_as_current_span("run"):
        for name in ("first", "second"):
            started = library.start_as_current_span(name, attributes=TOOL)
            with started, suppress(BudgetExceededError):
                check(kind="tool")

    second = finished("second")
    assert len(events(second, "otelbudget.denied")) == 1
    assert "otelbudget.denied.count" not in (second.attributes or {})


# Calls.


def test_a_call_tells_what_was_held_for_it_although_its_usage_is_known(
    watch: Watch,
    tracer: Tracer,
    client: OpenAI,
    fake_provider: FakeProvider,
    finished: Callable[[str], ReadableSpan],
) -> None:
    watch(Budget(cost_usd=1, reserve=True))
    fake_provider.reply_with(lambda _: Reply(input_tokens=10, output_tokens=7))
    with tracer.start_as_current_span("run"):
        client.chat.completions.create(model="gpt-4o", messages=[], max_tokens=500)

    [told] = events(finished("run"), "otelbudget.call")
    assert told["gen_ai.usage.output_tokens"] == 7
    assert told["otelbudget.estimated_output_tokens"] == 500


def test_a_call_that_nothing_was_held_for_tells_no_estimate(
    watch: Watch, tracer: Tracer, chat: Callable[[], None], finished: Callable[[str], ReadableSpan]
) -> None:
    watch(Budget(cost_usd=1))
    with tracer.start_as_current_span("run"):
        chat()

    [told] = events(finished("run"), "otelbudget.call")
    assert not [key for key in told if "estimated" in key or "wrap_up" in key]


def test_a_call_that_wraps_its_run_up_says_so_on_its_event_and_its_span(
    watch: Watch,
    tracer: Tracer,
    chat: Callable[[], None],
    finished: Callable[[str], ReadableSpan],
    wrapping_up: Callable[[], None],
) -> None:
    watch(Budget(calls=1, grace=2))
    with tracer.start_as_current_span("run"):
        chat()
        wrapping_up()
        chat()
        tracer.start_span("model", attributes=MODEL).end()

    first, second = events(finished("run"), "otelbudget.call")
    assert "otelbudget.wrap_up" not in first
    assert second["otelbudget.wrap_up"] is True
    assert (finished("model").attributes or {})["otelbudget.wrap_up"] is True


def test_nothing_is_written_on_a_span_that_does_not_record(
    watch: Watch, chat: Callable[[], None]
) -> None:
    watch(Budget(calls=1))
    with trace.use_span(trace.NonRecordingSpan(trace.SpanContext(1, 1, is_remote=True))):
        chat()
        with pytest.raises(BudgetExceededError):
            chat()
