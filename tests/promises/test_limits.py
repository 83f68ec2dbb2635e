"""What budgets of other tools promise of limits and modes, kept here; numbered as they are listed."""

import asyncio
import logging
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Tracer

import otelbudget
from otelbudget import Budget, BudgetExceededError, Budgets, BudgetSpanProcessor, Mode
from otelbudget.testing import FakeProvider

Watch = Callable[..., BudgetSpanProcessor]
Ask = Callable[..., None]


class Clock:
    """The fixture's."""

    now_ns: int

    def __call__(self) -> int:
        """Unix nanoseconds."""
        return self.now_ns


def again(times: int, call: Callable[..., object], *args: object, **more: object) -> None:
    for _ in range(times):
        call(*args, **more)


def events(exporter: InMemorySpanExporter, name: str) -> list[dict[str, Any]]:
    return [
        dict(event.attributes or {})
        for span in exporter.get_finished_spans()
        for event in span.events
        if event.name == name
    ]


def test_01_dollars_per_run(watch: Watch, tracer: Tracer, ask: Ask, model: FakeProvider) -> None:
    watch(Budget(cost_usd="0.50"))
    with tracer.start_as_current_span("run"), pytest.raises(BudgetExceededError) as error:
        again(9, ask, "0.10")

    assert model.request_count == 5
    assert (error.value.usage, error.value.limit) == (Decimal("0.50"), Decimal("0.50"))


def test_02_tokens_per_run(watch: Watch, tracer: Tracer, ask: Ask, model: FakeProvider) -> None:
    watch(Budget(tokens=1000))
    with tracer.start_as_current_span("run"), pytest.raises(BudgetExceededError) as error:
        again(9, ask, "0.004")  # 400 tokens

    assert model.request_count == 3
    assert (error.value.kind, error.value.usage) == ("tokens", Decimal(1200))


@pytest.mark.parametrize("steps", [5, 20, 50])
def test_03_steps(
    watch: Watch, tracer: Tracer, ask: Ask, model: FakeProvider, tmp_path: Path, steps: int
) -> None:
    file = tmp_path / "budgets.yaml"
    file.write_text(f"budgets: {{steps: {{per: trace, max_steps: {steps}}}}}")
    watch(Budgets.from_yaml(file))
    with tracer.start_as_current_span("run"), pytest.raises(BudgetExceededError):
        again(60, ask, "0.001")

    assert model.request_count == steps


def test_04_seconds(watch: Watch, tracer: Tracer, ask: Ask, clock: Clock) -> None:
    watch(Budget(seconds=10), clock=clock)
    with tracer.start_as_current_span("run", start_time=clock.now_ns):
        ask("0.01")
        clock.now_ns += 10 * 10**9 - 1_000_000
        ask("0.01")
        clock.now_ns += 1_000_000
        with pytest.raises(BudgetExceededError, match="of 10 seconds") as error:
            ask("0.01")

    assert (error.value.kind, error.value.limit) == ("seconds", Decimal(10))


@pytest.mark.parametrize("limit", [2, 10, 20])
def test_05_nested_tool_calls(watch: Watch, tracer: Tracer, limit: int) -> None:
    watch(Budget(tool_calls=limit))
    attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}
    done = 0
    with tracer.start_as_current_span("run"), pytest.raises(BudgetExceededError):
        for _ in range(30):
            with tracer.start_as_current_span("execute_tool search", attributes=attributes):
                done += 1

    assert done == limit


def test_05_tool_calls_by_name(watch: Watch, tracer: Tracer) -> None:
    watch(Budget(tool_calls=10, tool_calls_by_name={"search": 2}))

    def use(tool: str) -> None:
        attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": tool}
        with tracer.start_as_current_span(f"execute_tool {tool}", attributes=attributes):
            pass

    with tracer.start_as_current_span("run"):
        for tool in ("search", "read", "search", "read"):
            use(tool)
        with pytest.raises(BudgetExceededError) as error:
            use("search")
        use("read")

    assert error.value.scope["gen_ai.tool.name"] == "search"
    assert (error.value.usage, error.value.limit) == (Decimal(2), Decimal(2))


def test_06_a_loop_halts_after_three_iterations_at_30_cents(
    watch: Watch, tracer: Tracer, ask: Ask
) -> None:
    watch(Budget(cost_usd="0.25"))
    attempts = 0
    with (
        tracer.start_as_current_span("loop"),
        pytest.raises(BudgetExceededError, match=r"0\.30 of 0\.25 USD") as error,
    ):
        for _ in range(20):
            ask("0.10")
            attempts += 1

    assert attempts == 3
    assert error.value.spent_usd == Decimal("0.30")


def test_06_with_reservation_it_halts_before_the_third(
    watch: Watch, tracer: Tracer, ask: Ask
) -> None:
    watch(Budget(cost_usd="0.25", reserve=True))
    attempts = 0
    with tracer.start_as_current_span("loop"), pytest.raises(BudgetExceededError) as error:
        for _ in range(20):
            ask("0.10", max_tokens=10_000)
            attempts += 1

    assert attempts == 2
    assert error.value.usage == Decimal("0.20")


async def _parallel(aask: Callable[[], Any], tracer: Tracer) -> float:
    async with aask() as ask:
        start = time.monotonic()
        with tracer.start_as_current_span("parallel"):
            slow = asyncio.ensure_future(ask("0.01 USD in 30 s"))
            await ask("0.15 USD in 0.05 s")
            with pytest.raises(BudgetExceededError):
                await slow
        return time.monotonic() - start


def test_07_the_slow_branch_ends_with_the_fast_one(
    watch: Watch, tracer: Tracer, aask: Callable[[], Any]
) -> None:
    processor = watch(Budget(cost_usd="0.10", cancel_in_flight=True))
    seconds = asyncio.run(_parallel(aask, tracer))
    [(_, account)] = processor.engine.ledger.accounts()

    assert seconds < 15  # the slow branch alone takes 30
    assert account.cost_pusd - account.estimated_pusd == 150_000_000_000


def test_08_a_loop_of_parallel_branches_counts_together(
    watch: Watch, tracer: Tracer, aask: Callable[[], Any], model: FakeProvider
) -> None:
    watch(Budget(cost_usd="0.50"))

    async def loop() -> None:
        async with aask() as ask:
            with tracer.start_as_current_span("outer_loop"):
                for _ in range(10):
                    with tracer.start_as_current_span("inner_parallel"):
                        await asyncio.gather(ask("0.10 USD"), ask("0.10 USD"))

    with pytest.raises(BudgetExceededError) as error:
        asyncio.run(loop())

    assert model.request_count == 6
    assert error.value.usage == Decimal("0.60")


def test_09_to_11_the_error_tells_what_was_spent_where(
    watch: Watch, provider: TracerProvider, tracer: Tracer, ask: Ask
) -> None:
    watch(Budget(cost_usd="0.10", name="essay"))
    agent = {"gen_ai.agent.name": "writer"}
    with (
        otelbudget.run("essay", tracer_provider=provider) as run,
        tracer.start_as_current_span("draft", attributes=agent),
    ):
        ask("0.08")
        ask("0.05")
        with pytest.raises(BudgetExceededError) as refused:
            ask("0.05")
    error = refused.value

    assert (error.budget_usd, error.spent_usd) == (Decimal("0.10"), Decimal("0.13"))
    assert (error.overage, error.overage_usd) == (Decimal("0.03"), Decimal("0.03"))
    assert (error.current_agent, error.run_id, error.limit_kind) == ("writer", run.id, "cost_usd")
    assert error.trace_id is not None
    assert error.breakdown["operation"] == {"draft": Decimal("0.13")}
    assert error.breakdown["agent"] == {"writer": Decimal("0.13")}
    assert [call.cost_usd for call in error.last_calls] == [Decimal("0.05"), Decimal("0.08")]


def test_12_a_fallback_answers_where_the_budget_is_used_up(
    watch: Watch, tracer: Tracer, ask: Ask
) -> None:
    watch(Budget(calls=1))

    @otelbudget.guarded(fallback=lambda question: f"cached {question}")
    def answer(question: str) -> str:
        ask("0.01")
        return f"fresh {question}"

    with tracer.start_as_current_span("run"):
        assert [answer("a"), answer("b")] == ["fresh a", "cached b"]


def test_13_a_loop_is_stopped_in_the_middle_of_an_iteration(
    watch: Watch, tracer: Tracer, ask: Ask
) -> None:
    watch(Budget(cost_usd="0.25"))
    done = []
    with tracer.start_as_current_span("run"), pytest.raises(BudgetExceededError):
        for iteration in range(9):
            for step in ("plan", "write"):
                ask("0.10")
                done.append((iteration, step))

    assert done == [(0, "plan"), (0, "write"), (1, "plan")]


def test_14_and_18_every_point_of_enforcement_asks_before_it_goes_on(
    watch: Watch, tracer: Tracer, ask: Ask, model: FakeProvider
) -> None:
    """A gate, a span of your own, `check`, `guarded`, `track`, and a tool."""
    watch(Budget(calls=0, tool_calls=0))
    model_call = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}
    reached: list[str] = []
    points: list[Callable[[], object]] = [
        lambda: ask("0.01"),
        lambda: tracer.start_span("chat gpt-4o", attributes=model_call),
        otelbudget.check,
        lambda: otelbudget.check(kind="tool"),
        otelbudget.guarded(lambda: reached.append("guarded")),
        otelbudget.track(model="gpt-4o")(lambda: reached.append("track")),
        lambda: tracer.start_span("execute_tool search", attributes=tool),
    ]
    with tracer.start_as_current_span("run"):
        for point in points:
            with pytest.raises(BudgetExceededError):
                point()

    assert not reached
    assert model.request_count == 0


def test_15_audit_mode_tells_once_and_goes_on(
    watch: Watch,
    tracer: Tracer,
    ask: Ask,
    span_exporter: InMemorySpanExporter,
    caplog: pytest.LogCaptureFixture,
) -> None:
    watch(Budget(cost_usd="0.15", mode="audit", warn_at=[]))
    with tracer.start_as_current_span("run"):
        again(5, ask, "0.10")

    assert len(events(span_exporter, "otelbudget.exceeded")) == 1
    assert len([each for each in caplog.records if each.levelno == logging.WARNING]) == 1


def test_16_enforce_mode_tells_stops_and_can_be_resumed(
    watch: Watch,
    provider: TracerProvider,
    ask: Ask,
    span_exporter: InMemorySpanExporter,
) -> None:
    watch(Budget(cost_usd="0.15", per="run"))
    with otelbudget.run("essay", tracer_provider=provider) as run:
        ask("0.10")
        ask("0.10")
        with pytest.raises(BudgetExceededError):
            ask("0.10")
        run.extend(cost_usd="0.10")
        ask("0.10")

    names = [event.name for span in span_exporter.get_finished_spans() for event in span.events]
    told = [name for name in names if name != "otelbudget.call"]
    assert told == [
        "otelbudget.warning",
        "otelbudget.exceeded",
        "otelbudget.denied",
        "otelbudget.extended",
        "otelbudget.exceeded",
    ]


@pytest.mark.parametrize(
    ("mode", "calls"), [(None, 4), (Mode.OFF, 4), (Mode.AUDIT, 4), (Mode.ENFORCE, 2)]
)
def test_17_from_none_to_audit_to_enforce(
    watch: Watch, tracer: Tracer, ask: Ask, mode: Mode | None, calls: int
) -> None:
    if mode is not None:
        watch(Budget(cost_usd="0.15", mode=mode))
    done = 0
    with tracer.start_as_current_span("run"):
        for _ in range(4):
            try:
                ask("0.10")
            except BudgetExceededError:
                break
            done += 1

    assert done == calls


def test_19_a_budget_comes_back_from_what_it_was_written_as() -> None:
    budgets = Budgets.from_config(
        {"budgets": {"essay": {"per": "trace", "max_cost_usd": "0.50", "mode": "audit"}}}
    )

    assert Budgets.from_config(budgets.as_config()) == budgets
    assert Budgets.from_config({"budgets": {"essay": {"max_cost_usd": 1}}}).budgets[0].mode == (
        Mode.ENFORCE
    )
