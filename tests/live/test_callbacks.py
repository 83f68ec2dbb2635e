"""What the application is called for, when, and what it can do about a stop."""

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from openai import DefaultHttpxClient, OpenAI
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Tracer

import otelbudget
from otelbudget import (
    Budget,
    BudgetConfigError,
    BudgetExceededError,
    BudgetFacts,
    BudgetSpanProcessor,
)
from otelbudget.testing import FakeProvider, Reply

Watch = Callable[..., BudgetSpanProcessor]
Chat = Callable[[], None]
Heard = list[tuple[str, Decimal | int]]


@pytest.fixture
def heard() -> Heard:
    return []


def hear(heard: Heard, name: str = "") -> Callable[[BudgetFacts], None]:
    """A callback that notes name or budget, and usage."""

    def callback(facts: BudgetFacts) -> None:
        heard.append((name or facts.budget, facts.usage))

    return callback


def repeat(chat: Chat, times: int) -> None:
    for _ in range(times):
        chat()


# When callbacks are called.


def test_each_threshold_and_the_end_are_told_once_before_the_stop(
    watch: Watch, provider: TracerProvider, chat: Chat, heard: Heard
) -> None:
    watch(Budget(per="run", calls=10, warn_at=["0.5", "0.8", "0.9"]))
    with otelbudget.run(
        on_warning=hear(heard, "warning"),
        on_exceeded=hear(heard, "exceeded"),
        tracer_provider=provider,
    ):
        for _ in range(10):
            chat()
        assert heard == [("warning", 5), ("warning", 8), ("warning", 9), ("exceeded", 10)]
        for _ in range(3):
            with pytest.raises(BudgetExceededError):
                chat()

    assert len(heard) == 4


def test_a_processor_is_told_of_every_run(
    watch: Watch, provider: TracerProvider, tracer: Tracer, chat: Chat
) -> None:
    told: list[BudgetFacts] = []
    watch(Budget(calls=1), on_exceeded=told.append)
    with otelbudget.run(tracer_provider=provider) as run:
        chat()
    with tracer.start_as_current_span("run"):
        chat()

    assert [facts.run_id for facts in told] == [run.id, None]
    assert all(facts.trace_id == facts.scope["trace"] for facts in told)


def test_a_run_hears_of_every_budget_its_calls_count_on_and_of_no_other(
    watch: Watch, provider: TracerProvider, chat: Chat, heard: Heard
) -> None:
    watch(
        Budget(per="run", calls=1, name="run"),
        Budget(per="tenant.id", calls=2, name="tenant"),
        Budget(per=None, calls=1, name="quick"),
    )
    with otelbudget.run(
        tenant="acme", tier="quick", on_exceeded=hear(heard), tracer_provider=provider
    ):
        chat()
        assert sorted(heard) == [("quick", 1), ("run", 1)]
        other = threading.Thread(target=_chat_in_a_run, args=("acme", provider, chat))
        other.start()
        other.join()
        assert sorted(heard) == [("quick", 1), ("run", 1), ("tenant", 2)]
        other = threading.Thread(target=_chat_in_a_run, args=("other", provider, chat))
        other.start()
        other.join()

    assert len(heard) == 3


def _chat_in_a_run(tenant: str, provider: TracerProvider, chat: Chat) -> None:
    with otelbudget.run(tenant=tenant, tracer_provider=provider):
        chat()


def test_a_run_that_was_left_hears_no_more(
    watch: Watch, provider: TracerProvider, chat: Chat, heard: Heard
) -> None:
    watch(Budget(per="process", calls=2))
    with otelbudget.run(on_exceeded=hear(heard), tracer_provider=provider):
        chat()
    chat()

    assert heard == []


def test_a_window_that_begins_anew_is_told_anew(
    watch: Watch, chat: Chat, clock: Any, heard: Heard
) -> None:
    watch(Budget(per="process", calls=1, window="day"), clock=clock, on_exceeded=hear(heard))
    for _ in range(2):
        chat()
        with pytest.raises(BudgetExceededError):
            chat()
        clock.advance(seconds=24 * 60 * 60)

    assert heard == [("budget", 1)] * 2


def test_audit_mode_tells_once_and_calls_go_on(
    watch: Watch, provider: TracerProvider, chat: Chat, client: OpenAI, heard: Heard
) -> None:
    watch(
        Budget(calls=1, name="count", mode="audit"),
        Budget(cost_usd="0.05", reserve=True, name="hold", mode="audit"),
        on_exceeded=hear(heard),
    )
    with otelbudget.run(tracer_provider=provider):
        client.chat.completions.create(model="gpt-4o", messages=[], max_tokens=100_000)
        for _ in range(3):
            chat()

    # Nothing was used when the first call had no room; that the limit was passed is no news then.
    assert sorted(heard) == [("count", 1), ("hold", 0)]


def test_time_that_has_passed_is_told_at_the_first_refusal(
    watch: Watch, chat: Chat, clock: Any, heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    watch(Budget(per="run", seconds=10), clock=clock, on_exceeded=hear(heard))
    with otelbudget.run():
        chat()
        clock.advance(seconds=11)
        for _ in range(2):
            with pytest.raises(BudgetExceededError):
                chat()

    assert [name for name, _ in heard] == ["budget"]
    assert sum("is used up" in message for message in caplog.messages) == 1


# What callbacks may do.


def test_an_extension_in_the_callback_lets_the_run_go_on(
    watch: Watch, provider: TracerProvider, chat: Chat, fake_provider: FakeProvider, heard: Heard
) -> None:
    watch(Budget(per="run", cost_usd="0.10"))

    def more(facts: BudgetFacts) -> None:
        heard.append((facts.kind, facts.limit))
        run = otelbudget.current_run()
        assert run is not None
        if facts.limit < Decimal("0.30"):
            run.extend(cost_usd="0.10")

    with (
        otelbudget.run(on_exceeded=more, tracer_provider=provider),
        pytest.raises(BudgetExceededError, match=r"0\.30 of 0\.30 USD"),
    ):
        repeat(chat, 9)

    assert fake_provider.request_count == 3
    assert [limit for _, limit in heard] == [Decimal("0.10"), Decimal("0.20"), Decimal("0.30")]


def test_a_call_without_room_is_asked_anew_after_an_extension(
    watch: Watch, provider: TracerProvider, client: OpenAI, fake_provider: FakeProvider
) -> None:
    watch(Budget(per="run", cost_usd="0.05", reserve=True))
    told: list[BudgetFacts] = []

    def more(facts: BudgetFacts) -> None:
        told.append(facts)
        if len(told) == 1:
            run = otelbudget.current_run()
            assert run is not None
            run.extend(cost_usd="0.10")

    with otelbudget.run(on_exceeded=more, tracer_provider=provider) as run:
        client.chat.completions.create(model="gpt-4o", messages=[], max_tokens=10_000)
        for _ in range(2):
            with pytest.raises(BudgetExceededError, match="no room"):
                client.chat.completions.create(model="gpt-4o", messages=[], max_tokens=10_000)

    assert fake_provider.request_count == 1
    # The first had no room in 0.05 USD, the second none in what 0.15 USD had left.
    assert [(facts.usage, facts.limit) for facts in told] == [
        (0, Decimal("0.05")),
        (Decimal("0.10"), Decimal("0.15")),
    ]
    assert all(facts.estimate and facts.run_id == run.id for facts in told)


@pytest.mark.parametrize("kind", ["call", "tool"])
def test_a_check_goes_on_after_an_extension_of_time(watch: Watch, clock: Any, kind: Any) -> None:
    watch(Budget(per="run", seconds=10), clock=clock)

    def more(_: BudgetFacts) -> None:
        run = otelbudget.current_run()
        assert run is not None
        run.extend(seconds=10)

    with otelbudget.run(on_exceeded=more):
        clock.advance(seconds=11)
        otelbudget.check(kind)
        clock.advance(seconds=10)
        otelbudget.check(kind)


@pytest.mark.parametrize("is_extending", [True, False], ids=["extends", "listens"])
def test_a_retry_is_asked_anew_after_an_extension(
    watch: Watch,
    provider: TracerProvider,
    fake_provider: FakeProvider,
    heard: Heard,
    is_extending: bool,  # noqa: FBT001 - a table cell
) -> None:
    """A timed-out attempt counts at its estimate, which uses the limit up before the retry."""
    slow, fast = Reply(latency_seconds=5), Reply(input_tokens=0, output_tokens=0)
    replies = iter([slow, fast])
    fake_provider.reply_with(lambda _: next(replies))
    watch(Budget(per="run", cost_usd="0.05"))

    def more(facts: BudgetFacts) -> None:
        heard.append((facts.kind, facts.limit))
        run = otelbudget.current_run()
        assert run is not None
        if is_extending:
            run.extend(cost_usd="1.00")

    with (
        otelbudget.run(on_exceeded=more, tracer_provider=provider),
        OpenAI(
            base_url=fake_provider.openai_base_url,
            api_key="none",
            max_retries=1,
            timeout=1,
            http_client=DefaultHttpxClient(verify=False, timeout=1),
        ) as client,
        contextlib.nullcontext() if is_extending else pytest.raises(BudgetExceededError),
    ):
        client.chat.completions.create(model="gpt-4o", messages=[], max_tokens=10_000)

    assert heard == [("cost_usd", Decimal("0.05"))]
    assert fake_provider.request_count == 1 + is_extending


def test_callbacks_are_called_without_a_lock(
    watch: Watch, provider: TracerProvider, chat: Chat
) -> None:
    processor = watch(Budget(per="run", calls=1))
    was_free = []

    def callback(_: BudgetFacts) -> None:
        def acquire() -> None:
            was_free.append(processor.engine.ledger.lock.acquire(timeout=10))
            processor.engine.ledger.lock.release()

        thread = threading.Thread(target=acquire)
        thread.start()
        thread.join()

    with otelbudget.run(on_exceeded=callback, tracer_provider=provider):
        chat()

    assert was_free == [True]


def test_threads_hear_of_each_threshold_once(
    watch: Watch, provider: TracerProvider, chat: Chat, heard: Heard
) -> None:
    watch(Budget(per="run", calls=16, warn_at=["0.5"]))
    barrier = threading.Barrier(8)

    def ask() -> None:
        barrier.wait()
        chat()
        chat()

    with otelbudget.run(
        on_warning=hear(heard, "warning"),
        on_exceeded=hear(heard, "exceeded"),
        tracer_provider=provider,
    ):
        threads = [
            threading.Thread(target=contextvars.copy_context().run, args=(ask,)) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert sorted(name for name, _ in heard) == ["exceeded", "warning"]


def test_a_callback_that_fails_is_logged_once_and_stops_nothing(
    watch: Watch, provider: TracerProvider, chat: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    def lose(_: BudgetFacts) -> None:
        raise KeyError("lost")

    watch(Budget(per="run", calls=2, warn_at=["0.5"]), on_warning=lose)
    for _ in range(2):
        with otelbudget.run(on_warning=lose, tracer_provider=provider):
            chat()
            chat()

    assert sum("KeyError('lost')" in message for message in caplog.messages) == 1


async def _coroutine(facts: BudgetFacts) -> None:
    """What a callback must not be."""


class _Awaited:
    async def __call__(self, facts: BudgetFacts) -> None:
        """As above."""


@pytest.mark.parametrize("callback", [_coroutine, _Awaited(), "log"], ids=["async", "object", "no"])
def test_what_cannot_be_called_is_refused_when_it_is_given(callback: Any) -> None:
    with pytest.raises(BudgetConfigError, match="on_exceeded"):
        otelbudget.run(on_exceeded=callback)
    with pytest.raises(BudgetConfigError, match="on_warning"):
        BudgetSpanProcessor(Budget(calls=1), on_warning=callback)


# Fallbacks.


def test_a_fallback_answers_where_a_budget_stops_the_function(
    watch: Watch, provider: TracerProvider, chat: Chat
) -> None:
    watch(Budget(per="run", calls=2, grace=1))

    def summarize(topic: str, *, words: int) -> str:
        run = otelbudget.current_run()
        assert run is not None
        with run.wrap_up():
            chat()
        return f"{topic} in {words} words"

    @otelbudget.guarded(fallback=summarize)
    def research(topic: str, *, words: int) -> str:
        repeat(chat, 3)
        return f"all of {topic}, in more than {words} words"

    @otelbudget.guarded(fallback=lambda: "from the cache")
    def look_up() -> str:
        return "fresh"

    with otelbudget.run(tracer_provider=provider) as run:
        assert look_up() == "fresh"
        assert research("tides", words=5) == "tides in 5 words"
        assert look_up() == "from the cache"  # stopped by its check
    assert run.usage.calls == 3


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "coroutine"])
def test_a_coroutine_falls_back_on_either_kind(
    watch: Watch,
    provider: TracerProvider,
    is_async: bool,  # noqa: FBT001 - a table cell
) -> None:
    watch(Budget(per="run", calls=0))

    async def slow() -> str:
        return "cached"

    @otelbudget.guarded(fallback=slow if is_async else lambda: "cached")
    async def ask() -> str:
        return "fresh"

    with otelbudget.run(tracer_provider=provider):
        assert asyncio.run(ask()) == "cached"


def test_a_fallback_does_not_hide_other_errors(watch: Watch) -> None:
    watch(Budget(calls=5))

    @otelbudget.guarded(fallback=lambda: "cached")
    def ask() -> str:
        raise KeyError("lost")

    with pytest.raises(KeyError):
        ask()


def test_a_fallback_that_does_not_go_with_its_function_is_refused() -> None:
    with pytest.raises(BudgetConfigError, match="generator"):

        @otelbudget.guarded(fallback=list)
        def items() -> Any:
            yield 1

    with pytest.raises(BudgetConfigError, match="coroutine"):

        @otelbudget.guarded(fallback=_coroutine)
        def ask() -> str:
            return ""


def test_a_limit_without_room_that_is_used_up_later_is_told_once(
    watch: Watch, provider: TracerProvider, client: OpenAI, heard: Heard
) -> None:
    """A call of up to 0.20 USD has no room in 0.25 beside 0.10; two of 0.10 use it up."""
    watch(Budget(per="run", cost_usd="0.29", reserve=True, warn_at=[]))
    question: Any = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}
    with otelbudget.run(on_exceeded=hear(heard), tracer_provider=provider):
        client.chat.completions.create(**question, max_tokens=8_000)
        with pytest.raises(BudgetExceededError):
            client.chat.completions.create(**question, max_tokens=20_000)
        for _ in range(2):
            client.chat.completions.create(**question, max_tokens=8_000)

    assert heard == [("budget", Decimal("0.10"))]


def test_an_extension_that_is_not_enough_is_asked_for_again(
    watch: Watch, provider: TracerProvider, chat: Chat
) -> None:
    """0.30 USD are used of 0.25: two extensions of 0.05 make room."""
    limits: list[Decimal] = []
    watch(Budget(per="run", cost_usd="0.25", warn_at=[]))

    def extend(facts: BudgetFacts) -> None:
        limits.append(facts.limit)
        if len(limits) < 3:
            run = otelbudget.current_run()
            assert run is not None
            run.extend(cost_usd="0.05")

    with otelbudget.run(on_exceeded=extend, tracer_provider=provider):
        repeat(chat, 4)
        with pytest.raises(BudgetExceededError):
            chat()

    assert limits == [Decimal("0.25"), Decimal("0.30"), Decimal("0.35")]
