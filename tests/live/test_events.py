"""What is told while it happens: log, events on spans and metrics, each once."""

import logging
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from threading import Barrier
from typing import Any

import pytest
from openai import OpenAI
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, NumberDataPoint
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Tracer

from otelbudget import Budget, BudgetExceededError, BudgetSpanProcessor
from otelbudget.live.gates.gated import Passage
from otelbudget.live.request import Request
from tests.conftest import Clock

Watch = Callable[..., BudgetSpanProcessor]
Points = dict[tuple[str, frozenset[tuple[str, Any]]], int | float]

TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}


@pytest.fixture
def reader() -> InMemoryMetricReader:
    return InMemoryMetricReader()


@pytest.fixture
def meters(reader: InMemoryMetricReader) -> MeterProvider:
    return MeterProvider([reader])


def points(reader: InMemoryMetricReader, *names: str) -> Points:
    """The value of each series of some metrics."""
    data = reader.get_metrics_data()
    assert data is not None
    return {
        (metric.name.removeprefix("otelbudget."), frozenset((point.attributes or {}).items())): (
            point.value
        )
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
        if isinstance(point, NumberDataPoint) and metric.name.removeprefix("otelbudget.") in names
    }


def series(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, Any]]]:
    return name, frozenset({"budget": "budget", **labels}.items())


# Log and spans.


def test_a_notice_names_its_window_and_what_to_do(
    watch: Watch,
    tracer: Tracer,
    chat: Callable[[], None],
    clock: Clock,
    span_exporter: InMemorySpanExporter,
    caplog: pytest.LogCaptureFixture,
) -> None:
    watch(Budget(cost_usd="0.10", per="tenant.id", window="day", warn_at=["0.5"]), clock=clock)
    with tracer.start_as_current_span("run", attributes={"tenant.id": "acme"}):
        chat()

    scope = "Budget 'budget' (tenant.id acme, day 2026-11-02)"
    assert caplog.messages == [
        f"{scope} is 100.0 % used: 0.10 of 0.10 USD.",
        (
            f"{scope} is used up: 0.10 of 0.10 USD; its next model call is refused; raise the "
            "limit or wait until 2026-11-03 00:00:00 UTC."
        ),
    ]
    [run] = span_exporter.get_finished_spans()
    told = {event.name: dict(event.attributes or {}) for event in run.events}
    facts = {
        "otelbudget.budget": "budget",
        "otelbudget.limit.kind": "cost_usd",
        "otelbudget.limit": "0.10",
        "otelbudget.usage": "0.10",
        "otelbudget.window": "day 2026-11-02",
        "otelbudget.scope.tenant.id": "acme",
    }
    assert told["otelbudget.warning"] == {**facts, "otelbudget.threshold": "0.5"}
    assert told["otelbudget.exceeded"] == {**facts, "otelbudget.threshold": "1"}


def test_a_new_window_is_told_of_again_and_the_same_one_is_not(
    watch: Watch,
    tracer: Tracer,
    chat: Callable[[], None],
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    watch(Budget(calls=1, per="process", window="hour", warn_at=()), mode="audit", clock=clock)
    for _ in range(2):
        with tracer.start_as_current_span("run"):
            chat()
            chat()
        clock.advance(seconds=3600)

    told = [message for message in caplog.messages if "is used up" in message]
    assert [message.split("hour ")[1][:16] for message in told] == [
        "2026-11-02 00:00",
        "2026-11-02 01:00",
    ]


def test_each_threshold_is_told_once_by_eight_threads(
    watch: Watch,
    tracer: Tracer,
    reader: InMemoryMetricReader,
    meters: MeterProvider,
    span_exporter: InMemorySpanExporter,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """8 threads x 25 calls at 0.01 USD: 2.00 USD, past every threshold of 1.00 USD."""
    watch(Budget(cost_usd=1, warn_at=["0.5", "0.8", "0.9"], mode="audit"), meter_provider=meters)
    barrier = Barrier(8)

    def spend() -> None:
        barrier.wait(30)
        for _ in range(25):
            passage = Passage.open(Request("openai", "gpt-4o", "chat", {}))
            assert passage is not None
            passage.read({"usage": {"prompt_tokens": 0, "completion_tokens": 1_000}})

    with tracer.start_as_current_span("run"):
        contexts = [copy_context() for _ in range(8)]
        with ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(context.run, spend) for context in contexts]:
                done.result(60)

    [run] = span_exporter.get_finished_spans()
    thresholds = Counter(
        (event.name, str((event.attributes or {})["otelbudget.threshold"]))
        for event in run.events
        if "otelbudget.threshold" in (event.attributes or {})
    )
    # The span keeps its latest 128 events of 204, so the early ones may be gone: none is there twice.
    assert set(thresholds.values()) <= {1}
    told = [message for message in caplog.messages if "% used" in message]
    assert len(told) == 3
    assert sum("is used up" in message for message in caplog.messages) == 1
    assert points(reader, "events")[series("events", event="warning")] == 3
    assert points(reader, "events")[series("events", event="exceeded")] == 1


# Metrics.


def test_what_is_held_is_shown_while_a_call_is_in_flight(
    watch: Watch, tracer: Tracer, reader: InMemoryMetricReader, meters: MeterProvider
) -> None:
    watch(Budget(tokens=5_000, reserve=True), meter_provider=meters)
    held = series("held", kind="tokens")
    with tracer.start_as_current_span("run"):
        passage = Passage.open(
            Request("openai", "gpt-4o", "chat", {"messages": [], "max_tokens": 700})
        )
        in_flight = points(reader, "held")[held]
        assert passage is not None
        passage.read({"usage": {"prompt_tokens": 3, "completion_tokens": 4}})

    assert 700 <= in_flight < 1_000  # its cap, and what its body has
    assert points(reader, "held", "usage") == {held: 0, series("usage", kind="tokens"): 7}


def test_only_the_current_window_is_shown(
    watch: Watch,
    tracer: Tracer,
    chat: Callable[[], None],
    clock: Clock,
    reader: InMemoryMetricReader,
    meters: MeterProvider,
) -> None:
    watch(Budget(calls=9, per="tenant.id", window="day"), meter_provider=meters, clock=clock)
    usage = series("usage", kind="calls")
    with tracer.start_as_current_span("run", attributes={"tenant.id": "acme"}):
        chat()
    before = points(reader, "usage")
    clock.advance(seconds=24 * 3600)

    assert (before, points(reader, "usage")) == ({usage: 1}, {usage: 0})


def test_what_has_left_a_window_that_rolls_is_not_shown(
    watch: Watch,
    tracer: Tracer,
    chat: Callable[[], None],
    clock: Clock,
    reader: InMemoryMetricReader,
    meters: MeterProvider,
) -> None:
    watch(Budget(calls=9, per="process", window="15m"), meter_provider=meters, clock=clock)
    usage = series("usage", kind="calls")
    with tracer.start_as_current_span("run"):
        chat()
    before = points(reader, "usage")
    clock.advance(seconds=15 * 60 + 1)

    assert (before, points(reader, "usage")) == ({usage: 1}, {usage: 0})


def test_shares_and_tools_have_series_of_their_own(
    watch: Watch,
    tracer: Tracer,
    chat: Callable[[], None],
    reader: InMemoryMetricReader,
    meters: MeterProvider,
) -> None:
    watch(
        Budget(
            calls=10,
            tool_calls_by_name={"search": 3},
            shares={"gen_ai.agent.name": {"writer": "0.3", "editor": "0.2"}},
        ),
        meter_provider=meters,
    )
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "writer"}
    with tracer.start_as_current_span("run"):
        chat()
        with tracer.start_as_current_span("agent", attributes=agent):
            chat()
            chat()
        tracer.start_span("tool", attributes=TOOL).end()

    writer, editor = "gen_ai.agent.name=writer", "gen_ai.agent.name=editor"
    assert points(reader, "limit", "usage") == {
        series("limit", kind="calls"): 10,
        series("limit", kind="calls", share=writer): 3,
        series("limit", kind="calls", share=editor): 2,
        series("limit", kind="tool_calls", tool="search"): 3,
        series("usage", kind="calls"): 3,
        series("usage", kind="calls", share=writer): 2,
        series("usage", kind="calls", share=editor): 0,
        series("usage", kind="tool_calls", tool="search"): 1,
    }


def test_no_tenant_is_named_unless_the_user_asks(
    watch: Watch,
    tracer: Tracer,
    chat: Callable[[], None],
    reader: InMemoryMetricReader,
    meters: MeterProvider,
) -> None:
    watch(Budget(calls=9, per="tenant.id"), meter_provider=meters)
    with tracer.start_as_current_span("run", attributes={"tenant.id": "acme"}):
        chat()

    every = {"limit", "usage", "held", "calls", "denied", "events", "tokens", "cost.usd"}
    assert not [labels for _, labels in points(reader, *every) if "acme" in str(labels)]


def test_a_tenant_is_named_where_the_user_asks_and_beyond_200_the_rest_is_other(
    watch: Watch, tracer: Tracer, reader: InMemoryMetricReader, meters: MeterProvider
) -> None:
    watch(
        Budget(tokens=10_000, per="tenant.id", warn_at=()),
        meter_provider=meters,
        metric_keys=["tenant.id"],
    )
    for number in range(203):
        with tracer.start_as_current_span("run", attributes={"tenant.id": f"t{number:03}"}):
            passage = Passage.open(Request("openai", "gpt-4o", "chat", {}))
            assert passage is not None
            passage.read({"usage": {"prompt_tokens": 0, "completion_tokens": 1 + number}})

    told = points(reader, "usage", "limit")
    tenants = {dict(labels).get("tenant.id") for _, labels in told}
    assert len(tenants) == 1 + 200 + 1  # without a tenant, named, and the rest
    assert told["usage", frozenset({**_BUDGET, "tenant.id": "t000"}.items())] == 1
    assert told["usage", frozenset({**_BUDGET, "tenant.id": "other"}.items())] == 203
    assert told["limit", frozenset({**_BUDGET, "tenant.id": "other"}.items())] == 10_000
    assert told["usage", frozenset(_BUDGET.items())] == 203


_BUDGET = {"budget": "budget", "kind": "tokens"}


def test_events_are_counted_by_budget(
    watch: Watch,
    tracer: Tracer,
    client: OpenAI,
    chat: Callable[[], None],
    reader: InMemoryMetricReader,
    meters: MeterProvider,
) -> None:
    watch(Budget(calls=2), meter_provider=meters)
    with tracer.start_as_current_span("run"):
        chat()
        client.chat.completions.create(model="no-such-model-7", messages=[])
        for _ in range(3):
            with suppress(BudgetExceededError):
                chat()

    assert points(reader, "events") == {
        series("events", event="warning"): 1,  # 80 % of 2 calls is reached with the second
        series("events", event="exceeded"): 1,
        series("events", event="denied"): 3,
        ("events", frozenset({("event", "unknown_price")})): 1,
    }


def test_a_log_handler_that_fails_stops_neither_calls_nor_counts(
    watch: Watch,
    tracer: Tracer,
    chat: Callable[[], None],
    reader: InMemoryMetricReader,
    meters: MeterProvider,
) -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise RuntimeError

    processor = watch(Budget(calls=5), meter_provider=meters)
    handler = Broken()
    logging.getLogger("otelbudget").addHandler(handler)
    try:
        with tracer.start_as_current_span("run"):
            for _ in range(5):
                chat()
    finally:
        logging.getLogger("otelbudget").removeHandler(handler)

    assert processor.stats.faults
    assert points(reader, "usage")[series("usage", kind="calls")] == 5
