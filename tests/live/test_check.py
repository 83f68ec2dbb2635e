"""Stops that the application asks for itself, and limits on calls of tools."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from openai import OpenAI
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Tracer

import otelbudget
from otelbudget import Budget, BudgetExceededError, BudgetSpanProcessor
from otelbudget.testing import FakeProvider

Watch = Callable[..., BudgetSpanProcessor]
TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}
INSTRUMENTATION = "openinference.instrumentation.langchain"


@pytest.fixture
def spent(watch: Watch, tracer: Tracer, chat: Callable[[], None]) -> Iterator[BudgetSpanProcessor]:
    """A run whose budget is used up."""
    processor = watch(Budget(cost_usd="0.10"))
    with tracer.start_as_current_span("run"):
        chat()
        yield processor


# check() and guarded.


def test_a_check_stops_where_the_budget_is_used_up(spent: BudgetSpanProcessor) -> None:
    with pytest.raises(BudgetExceededError, match=r"0\.10 of 0\.10 USD"):
        otelbudget.check()
    [(_, account)] = spent.engine.ledger.accounts()
    assert (account.calls, spent.stats.faults) == (1, 0)


def test_a_check_within_the_budget_counts_nothing(watch: Watch, tracer: Tracer) -> None:
    processor = watch(Budget(calls=1))
    with tracer.start_as_current_span("run"):
        otelbudget.check()
        otelbudget.check()

    assert all(account.calls == 0 for _, account in processor.engine.ledger.accounts())


def test_a_check_without_a_processor_does_nothing() -> None:
    otelbudget.check()
    otelbudget.check(kind="tool")


@pytest.mark.usefixtures("spent")
def test_a_guarded_function_does_not_run() -> None:
    ran: list[str] = []

    @otelbudget.guarded
    def call() -> None:
        ran.append("call")

    @otelbudget.guarded
    async def coroutine() -> None:
        ran.append("coroutine")

    @otelbudget.guarded
    def generator() -> Iterator[int]:
        ran.append("generator")
        yield 1

    @otelbudget.guarded
    async def stream() -> AsyncIterator[int]:
        ran.append("stream")
        yield 1

    async def read() -> list[int]:
        return [item async for item in stream()]

    runs: list[Callable[[], Any]] = [
        call,
        lambda: asyncio.run(coroutine()),
        lambda: list(generator()),
        lambda: asyncio.run(read()),
    ]
    for run in runs:
        with pytest.raises(BudgetExceededError):
            run()

    assert ran == []


def test_a_guarded_function_works_as_before_within_the_budget(watch: Watch, tracer: Tracer) -> None:
    watch(Budget(cost_usd=1))

    @otelbudget.guarded
    def double(number: int) -> int:
        """Twice as much."""
        return 2 * number

    @otelbudget.guarded()
    def count(to: int) -> Iterator[int]:
        yield from range(to)

    @otelbudget.guarded
    async def stream(to: int) -> AsyncIterator[int]:
        for number in range(to):
            yield number

    async def read() -> list[int]:
        return [number async for number in stream(3)]

    with tracer.start_as_current_span("run"):
        assert double(4) == 8
        assert list(count(3)) == asyncio.run(read()) == [0, 1, 2]
    assert (double.__name__, double.__doc__) == ("double", "Twice as much.")


# Tools.


def test_a_tool_of_your_own_is_refused_when_its_span_starts(
    watch: Watch, tracer: Tracer, span_exporter: InMemorySpanExporter
) -> None:
    processor = watch(Budget(tool_calls=2))

    def search() -> None:
        with tracer.start_as_current_span("execute_tool search", attributes=TOOL):
            pass

    with tracer.start_as_current_span("run"):
        search()
        search()
        with pytest.raises(BudgetExceededError, match="2 of 2 tool calls"):
            search()

    [(_, account)] = processor.engine.ledger.accounts()
    assert (account.tool_calls, account.denied) == (2, 1)
    refused = span_exporter.get_finished_spans()[2]
    assert (refused.attributes or {})["otelbudget.decision"] == "denied"


def test_after_the_last_tool_the_model_still_answers(
    watch: Watch, tracer: Tracer, chat: Callable[[], None], fake_provider: FakeProvider
) -> None:
    watch(Budget(tool_calls=1))
    with tracer.start_as_current_span("run"):
        with tracer.start_as_current_span("execute_tool search", attributes=TOOL):
            pass
        chat()

    assert fake_provider.request_count == 1


def test_where_a_tool_cannot_be_stopped_the_next_model_call_is(
    provider: TracerProvider, watch: Watch, tracer: Tracer, chat: Callable[[], None]
) -> None:
    """An instrumentation may swallow what a span processor raises, so nothing is raised there."""
    watch(Budget(tool_calls=1))
    library = provider.get_tracer(INSTRUMENTATION)
    with tracer.start_as_current_span("run"):
        for _ in range(2):
            with library.start_as_current_span(
                "search", attributes={"openinference.span.kind": "TOOL"}
            ):
                pass
        with pytest.raises(BudgetExceededError, match="2 of 1 tool calls"):
            chat()


def test_a_tool_that_says_so_only_at_its_end_counts(
    provider: TracerProvider, watch: Watch, tracer: Tracer
) -> None:
    processor = watch(Budget(tool_calls=5))
    library = provider.get_tracer(INSTRUMENTATION)
    with tracer.start_as_current_span("run"), library.start_as_current_span("search") as span:
        span.set_attribute("traceloop.span.kind", "tool")

    [(_, account)] = processor.engine.ledger.accounts()
    assert account.tool_calls == 1


def test_two_spans_of_one_call_of_a_tool_count_once(
    provider: TracerProvider, watch: Watch, tracer: Tracer
) -> None:
    processor = watch(Budget(tool_calls=5))
    library = provider.get_tracer(INSTRUMENTATION)
    kind = {"openinference.span.kind": "TOOL", "tool.name": "search"}
    with (
        tracer.start_as_current_span("run"),
        library.start_as_current_span("search", attributes=kind),
        tracer.start_as_current_span("execute_tool search", attributes=TOOL),
    ):
        otelbudget.check(kind="tool")

    [(_, account)] = processor.engine.ledger.accounts()
    assert account.tool_calls == 1


def test_a_tool_without_a_span_is_counted_by_its_check(watch: Watch, tracer: Tracer) -> None:
    processor = watch(Budget(tool_calls=2))

    @otelbudget.guarded(kind="tool")
    def search() -> str:
        return "found"

    with tracer.start_as_current_span("run"):
        assert [search(), search()] == ["found", "found"]
        with pytest.raises(BudgetExceededError, match="2 of 2 tool calls"):
            search()

    [(_, account)] = processor.engine.ledger.accounts()
    assert (account.tool_calls, account.calls) == (2, 0)


def test_audit_mode_counts_tools_and_refuses_none(
    watch: Watch, tracer: Tracer, client: OpenAI, caplog: pytest.LogCaptureFixture
) -> None:
    processor = watch(Budget(tool_calls=1, mode="audit"))
    with tracer.start_as_current_span("run"):
        for _ in range(3):
            with tracer.start_as_current_span("execute_tool search", attributes=TOOL):
                pass
        client.chat.completions.create(model="gpt-4o", messages=[])

    [(_, account)] = processor.engine.ledger.accounts()
    assert (account.tool_calls, account.denied) == (3, 0)
    assert sum("1 of 1 tool calls; audit mode" in message for message in caplog.messages) == 1


def test_a_checked_tool_counts_on_its_own_limit(watch: Watch, tracer: Tracer) -> None:
    watch(Budget(tool_calls=9, tool_calls_by_name={"search": 1, "read": 1, "fetch": 1}))

    @otelbudget.guarded(kind="tool")
    def search() -> None:
        pass

    with tracer.start_as_current_span("run"):
        search()
        with pytest.raises(BudgetExceededError) as by_function:
            search()
        otelbudget.check("tool", name="read")
        with pytest.raises(BudgetExceededError) as by_name:
            otelbudget.check("tool", name="read")
    with tracer.start_as_current_span("step", attributes={"gen_ai.tool.name": "fetch"}):
        otelbudget.check("tool")
        with pytest.raises(BudgetExceededError) as by_span:
            otelbudget.check("tool")

    refusals = (by_function, by_name, by_span)
    assert [refusal.value.scope["gen_ai.tool.name"] for refusal in refusals] == [
        "search",
        "read",
        "fetch",
    ]
