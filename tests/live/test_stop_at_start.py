"""Spans of one's own tracers, which no gate covers, are stopped when they start."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode, Tracer

from otelbudget import Budget, BudgetExceededError, BudgetSpanProcessor

Watch = Callable[..., BudgetSpanProcessor]

MODEL = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
LIBRARIES = [
    "opentelemetry.instrumentation.genai.openai",
    "openinference.instrumentation.langchain",
    "pydantic-ai",
    "gen_ai",
]


def test_the_refused_span_is_marked_ended_and_exported_once(
    watch: Watch, tracer: Tracer, span_exporter: InMemorySpanExporter
) -> None:
    watch(Budget(calls=1))
    with tracer.start_as_current_span("run") as root:
        with tracer.start_as_current_span("chat", attributes=MODEL):
            pass
        with (
            pytest.raises(BudgetExceededError) as refusal,
            tracer.start_as_current_span("refused", attributes=MODEL),
        ):
            pytest.fail("a refused call must not begin")
        is_current = trace.get_current_span() is root

    assert is_current
    spans = [span for span in span_exporter.get_finished_spans() if span.name == "refused"]
    [span] = spans
    attributes = dict(span.attributes or {})
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == str(refusal.value)
    assert attributes["otelbudget.decision"] == "denied"
    assert attributes["otelbudget.budget"] == "budget"
    assert attributes["otelbudget.refused_at_start"] is True
    assert [event.name for event in span.events] == ["otelbudget.denied"]


@pytest.mark.parametrize("operation", ["chat", "text_completion", "generate_content", "embeddings"])
def test_each_operation_that_asks_a_model_is_stopped(
    watch: Watch, tracer: Tracer, operation: str
) -> None:
    watch(Budget(calls=0))

    with pytest.raises(BudgetExceededError):
        tracer.start_span("call", attributes={"gen_ai.operation.name": operation})


@pytest.mark.parametrize(
    "attributes",
    [{}, {"gen_ai.operation.name": "execute_tool"}, {"gen_ai.operation.name": "invoke_agent"}],
)
def test_tools_agents_and_other_spans_go_on(
    watch: Watch, tracer: Tracer, attributes: dict[str, Any]
) -> None:
    watch(Budget(calls=0))

    with tracer.start_as_current_span("other", attributes=attributes) as span:
        assert span.is_recording()


@pytest.mark.parametrize("scope", LIBRARIES)
def test_spans_of_instrumentation_libraries_are_never_stopped_at_start(
    watch: Watch, provider: TracerProvider, scope: str
) -> None:
    watch(Budget(calls=0))

    with provider.get_tracer(scope).start_as_current_span("chat", attributes=MODEL) as span:
        assert span.is_recording()


@pytest.mark.parametrize("scope", LIBRARIES)
def test_a_scope_that_is_named_is_stopped(
    watch: Watch, provider: TracerProvider, scope: str
) -> None:
    watch(Budget(calls=0), stop_scopes=[scope])

    with pytest.raises(BudgetExceededError):
        provider.get_tracer(scope).start_span("chat", attributes=MODEL)


def test_a_tool_that_calls_a_model_is_stopped_and_the_agent_sees_the_error(
    watch: Watch, tracer: Tracer, span_exporter: InMemorySpanExporter
) -> None:
    watch(Budget(calls=0))

    def tool() -> None:
        with (
            tracer.start_as_current_span(
                "tool", attributes={"gen_ai.operation.name": "execute_tool"}
            ),
            tracer.start_as_current_span("chat", attributes=MODEL),
        ):
            pytest.fail("a refused call must not begin")

    with (
        tracer.start_as_current_span(
            "agent",
            attributes={"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "critic"},
        ),
        pytest.raises(BudgetExceededError) as refusal,
    ):
        tool()

    assert refusal.value.current_agent == "critic"
    assert sorted(span.name for span in span_exporter.get_finished_spans()) == [
        "agent",
        "chat",
        "tool",
    ]


def test_the_current_span_is_the_same_after_a_stop_in_a_task(watch: Watch, tracer: Tracer) -> None:
    watch(Budget(calls=0))

    async def ask() -> bool:
        before = trace.get_current_span()
        with (
            pytest.raises(BudgetExceededError),
            tracer.start_as_current_span("chat", attributes=MODEL),
        ):
            pytest.fail("a refused call must not begin")
        return trace.get_current_span() is before

    async def main() -> list[bool]:
        with tracer.start_as_current_span("run"):
            return await asyncio.gather(*(ask() for _ in range(8)))

    assert asyncio.run(main()) == [True] * 8


def test_a_stop_leaves_nothing_behind(watch: Watch, tracer: Tracer) -> None:
    processor = watch(Budget(calls=0))
    with pytest.raises(BudgetExceededError):
        tracer.start_span("chat", attributes=MODEL)

    assert not processor._accounting.links._traces  # noqa: SLF001 - there is no public view of it
