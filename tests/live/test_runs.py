"""Runs that the application opens by name: what counts on them, what they tell, how they end."""

import asyncio
import contextvars
import gc
import logging
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import anthropic
import pytest
from openai import AsyncOpenAI, DefaultAsyncHttpxClient, OpenAI
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import Tracer

import otelbudget
from otelbudget import Budget, BudgetConfigError, BudgetExceededError, Budgets, BudgetSpanProcessor
from otelbudget.live.current import RUNS
from otelbudget.testing import FakeProvider, Reply
from tests.profiles import PROFILES

Watch = Callable[..., BudgetSpanProcessor]
Chat = Callable[[], None]

MODEL = "gpt-4o"


@pytest.fixture
def aclient(ten_cents: FakeProvider) -> Callable[[], AsyncOpenAI]:
    """Makes an async client that does not retry."""
    return lambda: AsyncOpenAI(
        base_url=ten_cents.openai_base_url,
        api_key="none",
        max_retries=0,
        http_client=DefaultAsyncHttpxClient(verify=False),
    )


def repeat(chat: Chat, times: int) -> None:
    for _ in range(times):
        chat()


async def achat(client: AsyncOpenAI, content: str = "hello") -> None:
    await client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": content}]
    )


# What a run is, and what counts on it.


def test_a_run_is_a_span_below_the_current_one_with_its_keys(
    watch: Watch, provider: TracerProvider, tracer: Tracer, span_exporter: InMemorySpanExporter
) -> None:
    watch(Budget(calls=1))
    with (
        tracer.start_as_current_span("request") as above,
        otelbudget.run(
            "essay",
            id="run-1",
            tenant="acme",
            scope={"team": "search"},
            tracer_provider=provider,
        ) as run,
    ):
        assert otelbudget.current_run() is run

    span = span_exporter.get_finished_spans()[0]
    assert span.instrumentation_scope is not None
    assert (span.instrumentation_scope.name, span.name) == ("otelbudget", "essay")
    assert span.parent == above.get_span_context()
    assert {"otelbudget.run.id": "run-1", "tenant.id": "acme", "team": "search"}.items() <= dict(
        span.attributes or {}
    ).items()
    assert otelbudget.current_run() is None
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_an_id_is_made_where_none_is_given() -> None:
    ids = {otelbudget.run().id for _ in range(100)}

    assert len(ids) == 100
    assert all(len(each) == 20 and each.startswith("run-") for each in ids)


@pytest.mark.parametrize("instrumentation", [False, True], ids=["bare", "instrumented"])
def test_calls_count_on_the_run_with_and_without_instrumentation(
    watch: Watch,
    provider: TracerProvider,
    chat: Chat,
    fake_provider: FakeProvider,
    request: pytest.FixtureRequest,
    instrumentation: bool,  # noqa: FBT001 - a table cell
) -> None:
    if instrumentation:
        request.getfixturevalue("instrumented")
    watch(Budget(per="run", cost_usd="0.20"))
    with otelbudget.run(tracer_provider=provider) as run:
        chat()
        chat()
        with pytest.raises(BudgetExceededError) as error:
            chat()

    assert (run.usage.calls, run.usage.cost_usd) == (2, Decimal("0.20"))
    assert (run.usage.input_tokens, run.usage.output_tokens) == (40_000, 10_000)
    assert (error.value.run_id, fake_provider.request_count) == (run.id, 2)


def test_a_run_counts_without_any_span(watch: Watch, chat: Chat) -> None:
    """The global provider is the API's own here, which makes none."""
    watch(Budget(per="run", calls=2), Budget(per="tenant.id", calls=3, name="tenant"))
    for expected in ("budget", "tenant"):
        with otelbudget.run(tenant="acme"), pytest.raises(BudgetExceededError) as error:
            repeat(chat, 9)
        assert error.value.budget == expected


def test_a_run_counts_where_spans_are_sampled_out(
    chat: Chat, span_exporter: InMemorySpanExporter
) -> None:
    silent = TracerProvider(sampler=ALWAYS_OFF)
    silent.add_span_processor(BudgetSpanProcessor(Budget(per="run", calls=2)))
    with otelbudget.run(tracer_provider=silent) as run, pytest.raises(BudgetExceededError):
        repeat(chat, 9)
    silent.shutdown()

    assert run.usage.calls == 2
    assert not span_exporter.get_finished_spans()


def test_a_run_serves_anthropic_too(
    watch: Watch, provider: TracerProvider, fake_provider: FakeProvider
) -> None:
    # claude-haiku-4-5: 1 USD/Mtok * 50_000 + 5 USD/Mtok * 10_000 = 0.05 USD + 0.05 USD
    fake_provider.reply_with(lambda _: Reply(input_tokens=50_000, output_tokens=10_000))
    watch(Budget(per="run", cost_usd="0.10"))
    with (
        anthropic.Anthropic(
            base_url=fake_provider.anthropic_base_url,
            api_key="none",
            http_client=anthropic.DefaultHttpxClient(verify=False),
        ) as client,
        otelbudget.run(tracer_provider=provider) as run,
    ):
        for _ in range(2):
            try:
                client.messages.create(model="claude-haiku-4-5", max_tokens=10, messages=[])
            except BudgetExceededError as error:
                assert error.run_id == run.id  # noqa: PT017 - the second one

    assert (fake_provider.request_count, run.usage.cost_usd) == (1, Decimal("0.10"))


def test_tasks_of_a_run_count_on_it(
    watch: Watch, provider: TracerProvider, aclient: Callable[[], AsyncOpenAI]
) -> None:
    watch(Budget(per="run", calls=5))

    async def main() -> tuple[int, int]:
        async with aclient() as client, otelbudget.run(tracer_provider=provider) as run:
            ended = await asyncio.gather(*(achat(client) for _ in range(8)), return_exceptions=True)
            refused = [each for each in ended if isinstance(each, BudgetExceededError)]
            return run.usage.calls, len(refused)

    assert asyncio.run(main()) == (5, 3)


def test_a_thread_counts_on_the_run_whose_context_it_is_given(
    watch: Watch, provider: TracerProvider, chat: Chat
) -> None:
    watch(Budget(per="run", calls=10))
    with otelbudget.run(tracer_provider=provider) as run:
        thread = threading.Thread(target=contextvars.copy_context().run, args=(chat,))
        thread.start()
        thread.join()
        chat()

    assert run.usage.calls == 2


def test_what_a_task_does_after_the_run_was_left_is_still_limited(
    watch: Watch, provider: TracerProvider, chat: Chat
) -> None:
    watch(Budget(calls=100))
    with otelbudget.run(budget=Budget(calls=1, name="own"), tracer_provider=provider):
        left_over = contextvars.copy_context()
        chat()

    with pytest.raises(BudgetExceededError, match="'own'"):
        left_over.run(chat)


def test_an_id_that_comes_again_goes_on_with_what_was_counted(
    watch: Watch, provider: TracerProvider, chat: Chat
) -> None:
    watch(Budget(per="run", calls=2))
    for _ in range(2):
        with otelbudget.run(id="job-1", tracer_provider=provider) as run:
            chat()
    with (
        otelbudget.run(id="job-1", tracer_provider=provider),
        pytest.raises(BudgetExceededError, match="job-1"),
    ):
        chat()

    assert run.usage.calls == 2


# Nested runs.


def test_a_run_inside_a_run_counts_on_both(
    watch: Watch, provider: TracerProvider, chat: Chat
) -> None:
    watch(Budget(per="run", calls=3))
    with otelbudget.run("outer", tracer_provider=provider) as outer:
        with otelbudget.run("inner", tracer_provider=provider) as inner:
            chat()
            chat()
        chat()
        with otelbudget.run("inner"), pytest.raises(BudgetExceededError) as error:
            chat()

    assert (outer.usage.calls, inner.usage.calls) == (3, 2)
    assert error.value.scope == {"run": outer.id}


def test_a_run_does_not_escape_the_tier_of_its_trace(
    watch: Watch, provider: TracerProvider, tracer: Tracer, chat: Chat
) -> None:
    watch(Budget(per=None, name="quick", calls=1))
    with tracer.start_as_current_span("request", attributes={"otelbudget.tier": "quick"}):
        chat()
        with otelbudget.run(tracer_provider=provider), pytest.raises(BudgetExceededError):
            chat()


def test_a_run_opened_again_inside_itself_counts_once(
    watch: Watch, provider: TracerProvider, chat: Chat
) -> None:
    processor = watch(Budget(per="run", calls=5))
    with (
        otelbudget.run(id="a", tenant="acme", tracer_provider=provider) as outer,
        otelbudget.run(id="a", tracer_provider=provider),
    ):
        chat()

    assert outer.usage.calls == 1
    assert [account.calls for _, account in processor.engine.ledger.accounts()] == [1]


def test_a_loop_of_parallel_branches_stops_at_its_limit(
    watch: Watch, provider: TracerProvider, aclient: Callable[[], AsyncOpenAI]
) -> None:
    """Seed 000, example 3: branches a and b at 0.10 USD each, in a loop, within 0.50 USD."""
    watch(Budget(per="run", cost_usd="0.50", reserve=True))
    iterations = []

    async def branch(client: AsyncOpenAI, name: str) -> None:
        with otelbudget.run(name, tracer_provider=provider):
            await client.chat.completions.create(model=MODEL, messages=[], max_tokens=10_000)

    async def main() -> None:
        async with aclient() as client, otelbudget.run("loop", tracer_provider=provider) as run:
            for iteration in range(10):
                iterations.append((iteration, run.usage.cost_usd))
                async with asyncio.TaskGroup() as group:
                    group.create_task(branch(client, "a"))
                    group.create_task(branch(client, "b"))

    with pytest.raises(BudgetExceededError):
        asyncio.run(main())
    # Each may use 0.10 USD of output and what its empty request costs, so no sixth one fits in.
    assert iterations == [(0, 0), (1, Decimal("0.20")), (2, Decimal("0.40"))]


# Tiers.


@pytest.mark.parametrize(
    ("tier", "calls", "tokens"),
    [
        pytest.param("quick_answer", 5, 10, id="steps"),
        pytest.param("quick_answer", 3, 700, id="tokens"),
        pytest.param("deep_research", 20, 10, id="deep-steps"),
        pytest.param("batch_processing", 34, 3_000, id="batch-tokens"),
    ],
)
def test_a_run_asks_for_its_profile(  # noqa: PLR0913, PLR0917 - fixtures
    watch: Watch,
    provider: TracerProvider,
    chat: Chat,
    fake_provider: FakeProvider,
    tmp_path: Path,
    tier: str,
    calls: int,
    tokens: int,
) -> None:
    fake_provider.reply_with(lambda _: Reply(input_tokens=tokens, output_tokens=0))
    path = tmp_path / "budgets.yaml"
    path.write_text(PROFILES, "utf-8")
    watch(Budgets.from_yaml(path))
    with (
        otelbudget.run(tier=tier, tracer_provider=provider) as run,
        pytest.raises(BudgetExceededError) as error,
    ):
        repeat(chat, 60)

    assert (run.usage.calls, error.value.budget) == (calls, tier)


def test_a_profile_limits_time_and_tools(
    watch: Watch, chat: Chat, clock: Any, tmp_path: Path
) -> None:
    """Without spans, whose own clock cannot be moved."""
    path = tmp_path / "budgets.yaml"
    path.write_text(PROFILES, "utf-8")
    watch(Budgets.from_yaml(path), clock=clock)
    with otelbudget.run(tier="quick_answer") as run:
        for _ in range(2):
            otelbudget.check(kind="tool")
        with pytest.raises(BudgetExceededError, match="tool calls"):
            otelbudget.check(kind="tool")
        clock.advance(seconds=9)
        assert run.remaining["seconds"] is not None
        assert 0 < run.remaining["seconds"] <= 1
        clock.advance(seconds=2)
        with pytest.raises(BudgetExceededError, match="seconds"):
            chat()

    assert run.usage.tool_calls == 2
    assert run.remaining["seconds"] == 0


def test_a_tier_that_nobody_has_is_named_once(
    watch: Watch, provider: TracerProvider, caplog: pytest.LogCaptureFixture
) -> None:
    watch(Budget(per=None, calls=1, name="quick"), Budget(calls=5))
    for _ in range(2):
        with otelbudget.run(tier="quikc", tracer_provider=provider):
            pass

    [message] = [message for message in caplog.messages if "quikc" in message]
    assert "known are 'quick'" in message


def test_without_a_processor_a_run_does_nothing_but_say_so(
    chat: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    from otelbudget.live import run as module  # noqa: PLC0415 - what is told once is asked again

    module._tell_unlimited.cache_clear()  # noqa: SLF001
    caplog.set_level(logging.INFO, "otelbudget")
    for _ in range(2):
        with otelbudget.run() as run:
            chat()

    assert (run.usage.calls, run.remaining["calls"], run.breakdown().operations) == (0, None, 0)
    assert sum("Nothing limits this run" in message for message in caplog.messages) == 1
    with pytest.raises(BudgetConfigError, match="no limit on calls"):
        run.extend(calls=1)


# A budget of its own.


def test_a_run_may_have_a_budget_of_its_own(
    watch: Watch, provider: TracerProvider, chat: Chat
) -> None:
    processor = watch(Budget(calls=100))
    for limit in (1, 2):
        budget = Budget(calls=limit, tool_calls=1)
        with otelbudget.run(budget=budget, tracer_provider=provider) as run:
            for _ in range(limit):
                chat()
            with pytest.raises(BudgetExceededError) as error:
                chat()
            otelbudget.check(kind="tool")
            with pytest.raises(BudgetExceededError):
                otelbudget.check(kind="tool")
        assert error.value.limit == limit
        assert error.value.scope == {"run": run.id}

    assert {name for name, _ in processor.engine.ledger.accounts()} == {"budget"}


def test_a_budget_of_a_run_reserves_and_measures_time(
    watch: Watch, provider: TracerProvider, client: OpenAI, clock: Any
) -> None:
    watch(Budget(calls=100), clock=clock)
    budget = Budget(cost_usd="0.15", seconds=60, reserve=True)
    with otelbudget.run(budget=budget, tracer_provider=provider):
        client.chat.completions.create(model=MODEL, messages=[], max_tokens=10_000)
        with pytest.raises(BudgetExceededError, match="no room"):
            client.chat.completions.create(model=MODEL, messages=[], max_tokens=10_000)
        clock.advance(seconds=60)
        with pytest.raises(BudgetExceededError, match="seconds"):
            client.chat.completions.create(model=MODEL, messages=[], max_tokens=1)


def test_a_budget_of_a_run_ends_its_calls_in_flight(
    watch: Watch,
    provider: TracerProvider,
    aclient: Callable[[], AsyncOpenAI],
    fake_provider: FakeProvider,
) -> None:
    fake_provider.reply_with(
        lambda request: Reply(
            input_tokens=0,
            output_tokens=5_000,
            latency_seconds=30 if "slow" in str(request.body) else 0.1,
        )
    )
    watch(Budget(calls=100))
    budget = Budget(cost_usd="0.05", cancel_in_flight=True)

    async def main() -> None:
        async with (
            aclient() as client,
            otelbudget.run(budget=budget, tracer_provider=provider),
            asyncio.TaskGroup() as group,
        ):
            group.create_task(achat(client, "slow"))
            group.create_task(achat(client, "fast"))

    async def within(seconds: float) -> None:
        await asyncio.wait_for(main(), seconds)

    with pytest.raises(BudgetExceededError):
        asyncio.run(within(20))


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({"budget": Budget(calls=1, window="day")}, id="window"),
        pytest.param({"budget": Budget(calls=1, per="tenant.id")}, id="per"),
        pytest.param({"budget": "0.25"}, id="no-budget"),
        pytest.param({"id": ""}, id="no-id"),
        pytest.param({"id": "x" * 201}, id="long-id"),
        pytest.param({"tier": 3}, id="tier"),
    ],
)
def test_what_no_run_can_have_is_refused_with_a_sentence(arguments: dict[str, Any]) -> None:
    with pytest.raises(BudgetConfigError):
        otelbudget.run(**arguments)


# What a run tells.

CYCLES = ("0.0145", "0.0167", "0.0178", "0.0189", "0.0172", "0.0164")


@pytest.fixture
def essay(fake_provider: FakeProvider) -> FakeProvider:
    """Answers that cost what seed 001 says, by output tokens of 10 USD/Mtok."""
    costs = iter(CYCLES)
    fake_provider.reply_with(
        lambda _: Reply(input_tokens=0, output_tokens=int(Decimal(next(costs)) * 100_000))
    )
    return fake_provider


def test_the_breakdown_of_six_cycles(
    watch: Watch, provider: TracerProvider, tracer: Tracer, client: OpenAI, essay: FakeProvider
) -> None:
    watch(Budget(per="run", cost_usd="0.10"))
    used = []
    with otelbudget.run("essay", tracer_provider=provider) as run:
        for cycle in range(1, 7):
            with tracer.start_as_current_span(f"llm_call_cycle_{cycle}"):
                client.chat.completions.create(model=MODEL, messages=[])
            used.append(run.breakdown().budget_used_percentage)
    told = run.breakdown()

    assert essay.request_count == 6
    # 0.0145 + 0.0167 + 0.0178 + 0.0189 + 0.0172 = 0.0851 after the fifth
    assert used[4] == Decimal("85.1")
    assert told.total_cost == Decimal("0.1015")
    assert (told.budget_usd, told.budget_remaining) == (Decimal("0.10"), Decimal(0))
    assert (told.budget_used_percentage, told.exceeded) == (Decimal("101.5"), True)
    # 0.1015 / 6 = 0.016916...
    assert round(told.avg_cost_per_operation, 4) == Decimal("0.0169")
    assert {
        name: (part.cost, part.percent, part.calls) for name, part in told.cost_by_operation.items()
    } == {
        f"llm_call_cycle_{number}": (Decimal(cost), Decimal(percent), 1)
        for number, (cost, percent) in enumerate(
            zip(CYCLES, ("14.3", "16.5", "17.5", "18.6", "16.9", "16.2"), strict=True), 1
        )
    }
    assert told.cost_by_model[MODEL].cost == told.total_cost
    assert (told.as_dict()["total_usd"], told.as_dict()["remaining_usd"]) == (told.total_cost, 0)
    assert told.as_dict()["cost_by_model"] == {
        MODEL: {"cost": Decimal("0.1015"), "percent": 100, "calls": 6}
    }


def test_what_remains_is_the_least_of_all_budgets(
    watch: Watch, provider: TracerProvider, chat: Chat
) -> None:
    watch(
        Budget(per="run", cost_usd="1.00", name="run"),
        Budget(per="tenant.id", window="day", cost_usd="0.25", name="tenant", mode="audit"),
    )
    with otelbudget.run(tenant="acme", tracer_provider=provider) as run:
        left = [run.remaining["cost_usd"]]
        for _ in range(3):
            chat()
            left.append(run.remaining["cost_usd"])

    assert left == [Decimal("0.25"), Decimal("0.15"), Decimal("0.05"), 0]
    assert run.remaining["tokens"] is None


# Extensions.


def test_a_stopped_run_goes_on_after_it_was_extended(
    watch: Watch,
    provider: TracerProvider,
    chat: Chat,
    span_exporter: InMemorySpanExporter,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "otelbudget")
    watch(Budget(per="run", cost_usd="0.10", name="essay"))
    with otelbudget.run(tracer_provider=provider) as run:
        chat()
        with pytest.raises(BudgetExceededError):
            chat()
        run.extend(cost_usd="0.15")
        chat()
        chat()
        with pytest.raises(BudgetExceededError, match=r"0\.30 of 0\.25 USD"):
            chat()

    [span] = span_exporter.get_finished_spans()
    [event] = [event for event in span.events if event.name == "otelbudget.extended"]
    assert dict(event.attributes or {}) == {
        "otelbudget.budget": "essay",
        "otelbudget.limit.kind": "cost_usd",
        "otelbudget.extended.by": "0.15",
        "otelbudget.limit": "0.25",
        "otelbudget.run.id": run.id,
    }
    assert sum("was extended" in message for message in caplog.messages) == 1


def test_only_the_outermost_run_extends_budgets_of_its_trace(
    watch: Watch, provider: TracerProvider, chat: Chat, span_exporter: InMemorySpanExporter
) -> None:
    watch(Budget(calls=1))
    with (
        otelbudget.run("outer", tracer_provider=provider) as outer,
        otelbudget.run("inner", tracer_provider=provider) as inner,
    ):
        with pytest.raises(BudgetConfigError, match="no limit on calls"):
            inner.extend(calls=1)
        outer.extend(calls=1)
        repeat(chat, 2)

    events = span_exporter.get_finished_spans()[1].events
    [event] = [event for event in events if event.name == "otelbudget.extended"]
    assert "otelbudget.run.id" not in (event.attributes or {})


def test_an_extension_of_nothing_names_what_can_be_raised(
    watch: Watch, provider: TracerProvider
) -> None:
    watch(Budget(per="run", cost_usd="0.10", name="essay"))
    with otelbudget.run(tracer_provider=provider) as run:
        with pytest.raises(BudgetConfigError, match=r"no limit on tokens.*'essay' cost_usd 0\.10"):
            run.extend(tokens=5)
        with pytest.raises(ValueError, match="'other' is no budget of run"):
            run.extend(cost_usd="1", budget="other")
        with pytest.raises(BudgetConfigError, match="more than 0"):
            run.extend()
        with pytest.raises(BudgetConfigError, match="cost_usd"):
            run.extend(cost_usd=0.5)  # type: ignore[arg-type]  # what a user may try

    assert run.remaining["cost_usd"] == Decimal("0.10")


# Wrapping up.


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_grace_lets_a_summary_pass(
    watch: Watch,
    provider: TracerProvider,
    chat: Chat,
    is_async: bool,  # noqa: FBT001 - a table cell
) -> None:
    watch(Budget(per="run", calls=2, grace=1))

    async def summarize(run: otelbudget.Run) -> None:
        async with run.wrap_up():
            chat()

    with otelbudget.run(tracer_provider=provider) as run:
        chat()
        chat()
        with pytest.raises(BudgetExceededError):
            chat()
        if is_async:
            asyncio.run(summarize(run))
        else:
            with run.wrap_up():
                chat()
        with run.wrap_up(), pytest.raises(BudgetExceededError):
            chat()
        with pytest.raises(BudgetExceededError):
            chat()

    assert run.usage.calls == 3


# How a run ends.


def test_an_error_is_written_on_the_span_of_the_run(
    watch: Watch, provider: TracerProvider, span_exporter: InMemorySpanExporter
) -> None:
    watch(Budget(calls=1))
    with pytest.raises(KeyError), otelbudget.run(tracer_provider=provider):
        raise KeyError("lost")

    [span] = span_exporter.get_finished_spans()
    assert not span.status.is_ok
    assert [event.name for event in span.events] == ["exception"]


def test_a_run_is_used_once(watch: Watch) -> None:
    watch(Budget(calls=1))
    run = otelbudget.run()
    with run:
        pass

    with pytest.raises(otelbudget.OtelBudgetError, match="entered before"):
        run.__enter__()


def test_a_group_of_refusals_becomes_the_refusal(
    watch: Watch,
    provider: TracerProvider,
    aclient: Callable[[], AsyncOpenAI],
    span_exporter: InMemorySpanExporter,
) -> None:
    watch(Budget(per="run", calls=2))

    async def main() -> None:
        async with (
            aclient() as client,
            otelbudget.run(tracer_provider=provider),
            asyncio.TaskGroup() as group,
        ):
            for _ in range(4):
                group.create_task(achat(client))

    with pytest.raises(BudgetExceededError) as error:
        asyncio.run(main())
    assert isinstance(error.value.__cause__, ExceptionGroup)
    [span] = span_exporter.get_finished_spans()
    assert (span.status.description or "").startswith("BudgetExceededError: ")


def test_a_group_that_holds_another_error_stays_a_group(
    watch: Watch, provider: TracerProvider, aclient: Callable[[], AsyncOpenAI]
) -> None:
    watch(Budget(per="run", calls=0))
    refused = asyncio.Event()

    async def ask(client: AsyncOpenAI) -> None:
        try:
            await achat(client)
        finally:
            refused.set()

    async def fail() -> None:
        try:
            await refused.wait()
        finally:
            raise KeyError("lost")

    async def main() -> None:
        async with (
            aclient() as client,
            otelbudget.run(tracer_provider=provider),
            asyncio.TaskGroup() as group,
        ):
            group.create_task(fail())
            group.create_task(ask(client))

    with pytest.raises(ExceptionGroup) as error:
        asyncio.run(main())
    assert {type(each) for each in error.value.exceptions} == {BudgetExceededError, KeyError}


async def _sibling_is_refused(client: AsyncOpenAI) -> None:
    """Ends by the cancellation of a sibling, as code does that cancels by itself."""
    waiting = asyncio.create_task(asyncio.sleep(60))
    refused = asyncio.create_task(achat(client))
    await asyncio.wait([refused])
    waiting.cancel()
    await waiting


def test_a_cancelled_sibling_ends_the_run_by_the_refusal(
    watch: Watch, provider: TracerProvider, aclient: Callable[[], AsyncOpenAI]
) -> None:
    watch(Budget(per="run", calls=0))

    async def main() -> None:
        async with aclient() as client, otelbudget.run(tracer_provider=provider):
            await _sibling_is_refused(client)

    with pytest.raises(BudgetExceededError) as error:
        asyncio.run(main())
    assert isinstance(error.value.__cause__, asyncio.CancelledError)


def test_a_cancellation_without_refusal_stays_what_it_is(
    watch: Watch, provider: TracerProvider, aclient: Callable[[], AsyncOpenAI]
) -> None:
    watch(Budget(per="run", calls=5))

    async def main() -> None:
        async with aclient() as client, otelbudget.run(tracer_provider=provider):
            await _sibling_is_refused(client)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())


def test_a_refusal_that_the_run_has_caught_is_not_behind_a_later_cancellation(
    watch: Watch, provider: TracerProvider, aclient: Callable[[], AsyncOpenAI]
) -> None:
    watch(Budget(per="run", calls=0))

    async def main() -> None:
        async with aclient() as client, otelbudget.run(tracer_provider=provider):
            with pytest.raises(BudgetExceededError):
                await achat(client)
            waiting = asyncio.create_task(asyncio.sleep(60))
            waiting.cancel()
            await waiting

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())


def test_the_callers_own_cancellation_and_timeout_stay_what_they_are(
    watch: Watch, provider: TracerProvider, aclient: Callable[[], AsyncOpenAI]
) -> None:
    watch(Budget(per="run", calls=0))

    async def body(client: AsyncOpenAI, ready: asyncio.Event) -> None:
        async with otelbudget.run(tracer_provider=provider):
            await asyncio.gather(achat(client), return_exceptions=True)
            ready.set()
            await asyncio.sleep(60)

    async def main() -> None:
        async with aclient() as client:
            ready = asyncio.Event()
            task = asyncio.create_task(body(client, ready))
            await ready.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(body(client, asyncio.Event()), timeout=0.2)

    asyncio.run(main())


def test_a_run_left_in_another_context_leaves_no_trace_there(
    watch: Watch, provider: TracerProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """As generators are that are closed where they are collected."""
    watch(Budget(calls=1))

    def items() -> Iterator[int]:
        with otelbudget.run(tracer_provider=provider):
            yield 1

    generator = items()
    first = contextvars.copy_context()
    first.run(next, generator)
    other = first.copy()
    other.run(list, generator)

    assert other.run(otelbudget.current_run) is None
    assert other.run(RUNS.get) == ()
    assert not other.run(trace.get_current_span).is_recording()
    assert not other.run(trace.get_current_span).get_span_context().is_valid
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_an_async_generator_that_is_not_read_to_its_end_leaves_its_run(
    watch: Watch, provider: TracerProvider, span_exporter: InMemorySpanExporter
) -> None:
    watch(Budget(calls=1))

    async def items() -> AsyncIterator[int]:
        async with otelbudget.run(tracer_provider=provider):
            yield 1
            yield 2

    async def main() -> None:
        generator = items()
        await anext(generator)

    asyncio.run(main())
    gc.collect()

    assert len(span_exporter.get_finished_spans()) == 1


# Bounds.


def test_a_thousand_runs_leave_no_run_behind(
    watch: Watch, provider: TracerProvider, chat: Chat
) -> None:
    processor = watch(Budget(per="run", calls=5), Budget(per=None, name="quick", calls=5))
    left = []
    for number in range(1_000):
        with otelbudget.run(
            tier="quick", tracer_provider=provider, on_warning=lambda _: None
        ) as run:
            if number % 50 == 0:
                chat()
        left.append(weakref.ref(run))
    del run
    gc.collect()

    assert not [each for each in left if each() is not None]
    assert not processor._accounting.links._traces  # noqa: SLF001 - what would grow
    from otelbudget.live.callbacks import _listening  # noqa: PLC0415 - as above

    assert _listening.listeners == ()


def test_a_fault_of_ours_does_not_stop_a_run(watch: Watch, provider: TracerProvider) -> None:
    def no_time() -> int:
        raise OSError("no clock")

    times = [0, 0, 0]

    def clock() -> int:
        return times.pop() if times else no_time()

    processor = watch(Budget(per="run", calls=5), clock=clock, on_warning=print)
    with otelbudget.run(tracer_provider=provider, on_exceeded=print) as run:
        otelbudget.check()

    assert run.id
    assert processor.stats.faults


def test_a_key_that_no_call_tells_is_named_once(
    watch: Watch, tracer: Tracer, chat: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    watch(Budget(per="tennant.id", name="tenants", calls=9))
    with tracer.start_as_current_span("run", attributes={"tenant.id": "acme"}):
        chat()
        chat()

    [message] = caplog.messages
    assert "no value for the key 'tennant.id' of budget 'tenants'" in message


def test_a_tier_on_a_span_that_no_budget_is_is_named_once(
    watch: Watch, tracer: Tracer, chat: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    watch(Budget(per=None, name="quick", calls=9))
    with tracer.start_as_current_span("run", attributes={"otelbudget.tier": "quck"}):
        chat()
        chat()

    [message] = caplog.messages
    assert "asks for the tier 'quck'" in message
    assert "known are 'quick'" in message


def test_extending_a_budget_that_is_none_of_the_run_names_those_that_are(
    watch: Watch, provider: TracerProvider
) -> None:
    watch(Budget(per="run", name="essay", calls=9), Budget(per="tenant.id", name="daily", calls=9))
    with (
        otelbudget.run("essay", tracer_provider=provider) as run,
        pytest.raises(otelbudget.BudgetConfigError, match="'daily' is no budget of run"),
    ):
        run.extend(calls=1, budget="daily")


def test_a_key_that_a_span_tells_after_its_start_counts_for_what_starts_below_it_then(
    watch: Watch, tracer: Tracer, chat: Callable[[], None]
) -> None:
    processor = watch(Budget(per="tenant.id", calls=9))
    with tracer.start_as_current_span("request") as request:
        request.set_attribute("tenant.id", "acme")
        with tracer.start_as_current_span("step"):
            chat()
        chat()

    [(_, account)] = processor.engine.ledger.accounts()
    assert (account.scope, account.calls) == ((("tenant.id", "acme"),), 2)
