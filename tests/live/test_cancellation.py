"""A used-up budget that ends its calls in flight: only those, at once, with its own error."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import anyio
import openai
import pytest
import trio
from opentelemetry.trace import Tracer

from otelbudget import Budget, BudgetExceededError, BudgetSpanProcessor
from otelbudget.budgets.ledger import Account
from otelbudget.testing import FakeProvider, Reply, Request

Watch = Callable[..., BudgetSpanProcessor]
Ask = Callable[[str], Awaitable[Any]]
AccountOf = Callable[[BudgetSpanProcessor], Account]

# The fast answer costs 0.15 USD: gpt-4o takes 10 USD/Mtok * 15_000 tokens of output, and
# claude-haiku-4-5 5 USD/Mtok * 30_000. Input is free of charge here: there is none.
FAST = {"gpt-4o": 15_000, "claude-haiku-4-5": 30_000}
FAST_SECONDS, SLOW_SECONDS, ENDED_WITHIN_SECONDS = 0.05, 5, 2
FAST_PUSD = 150_000_000_000


def _reply(request: Request) -> Reply:
    is_fast = "fast" in str(request.body)
    return Reply(
        input_tokens=0,
        output_tokens=FAST[request.model],
        latency_seconds=FAST_SECONDS if is_fast else SLOW_SECONDS,
    )


@pytest.fixture
def branches(fake_provider: FakeProvider) -> FakeProvider:
    """A provider that answers "fast" soon and everything else after five seconds."""
    fake_provider.reply_with(_reply)
    return fake_provider


@pytest.fixture
def processor(watch: Watch) -> BudgetSpanProcessor:
    return watch(Budget(cost_usd="0.10", cancel_in_flight=True))


@asynccontextmanager
async def asking(provider: FakeProvider, sdk: str = "openai") -> AsyncIterator[Ask]:
    """A function that asks the model of an SDK."""
    if sdk == "openai":
        async with openai.AsyncOpenAI(
            base_url=provider.openai_base_url,
            api_key="none",
            http_client=openai.DefaultAsyncHttpxClient(verify=False),
        ) as client:
            yield lambda text: client.chat.completions.create(
                model="gpt-4o", messages=[{"role": "user", "content": text}], max_tokens=100
            )
    else:
        async with anthropic.AsyncAnthropic(
            base_url=provider.anthropic_base_url,
            api_key="none",
            http_client=anthropic.DefaultAsyncHttpxClient(verify=False),
        ) as other:
            yield lambda text: other.messages.create(
                model="claude-haiku-4-5",
                messages=[{"role": "user", "content": text}],
                max_tokens=100,
            )


def timed(main: Coroutine[Any, Any, Any]) -> tuple[Any, float]:
    """What a coroutine gives or raises, and the seconds it took."""
    start = time.perf_counter()
    try:
        result = asyncio.run(main)
    except BaseException as error:  # noqa: BLE001 - it is the result
        result = error
    return result, time.perf_counter() - start


def test_the_slow_branch_ends_when_the_fast_one_breaks_the_budget(
    branches: FakeProvider, processor: BudgetSpanProcessor, tracer: Tracer, account_of: AccountOf
) -> None:
    async def main() -> None:
        async with asking(branches) as ask:
            with tracer.start_as_current_span("run"):
                await asyncio.gather(ask("fast"), ask("slow"))

    error, seconds = timed(main())

    assert type(error) is BudgetExceededError
    assert seconds < ENDED_WITHIN_SECONDS
    account = account_of(processor)
    assert account.cost_pusd - account.estimated_pusd == FAST_PUSD
    assert account.estimated_pusd > 0


@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
def test_in_a_task_group_the_error_is_its_own(
    branches: FakeProvider, processor: BudgetSpanProcessor, tracer: Tracer, sdk: str
) -> None:
    async def main() -> None:
        async with asking(branches, sdk) as ask:
            with tracer.start_as_current_span("run"):
                async with asyncio.TaskGroup() as group:
                    for text in ("fast", "slow"):
                        group.create_task(_await(ask(text)))

    error, seconds = timed(main())

    assert isinstance(error, ExceptionGroup)
    assert [type(each) for each in error.exceptions] == [BudgetExceededError]
    assert seconds < ENDED_WITHIN_SECONDS
    assert processor.stats.faults == 0


async def _await(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def test_in_a_task_group_of_anyio_too(
    branches: FakeProvider, processor: BudgetSpanProcessor, tracer: Tracer
) -> None:
    async def main() -> None:
        async with asking(branches) as ask:
            with tracer.start_as_current_span("run"):
                async with anyio.create_task_group() as group:
                    for text in ("fast", "slow"):
                        group.start_soon(_await, ask(text))

    error, seconds = timed(main())

    assert isinstance(error, ExceptionGroup)
    assert [type(each) for each in error.exceptions] == [BudgetExceededError]
    assert seconds < ENDED_WITHIN_SECONDS
    assert processor.stats.faults == 0


def test_trio_is_left_alone(watch: Watch, tracer: Tracer, branches: FakeProvider) -> None:
    branches.reply_with(Reply(0, 15_000, latency_seconds=FAST_SECONDS))
    processor = watch(Budget(cost_usd="0.10", cancel_in_flight=True))

    async def main() -> None:
        async with asking(branches) as ask:
            with tracer.start_as_current_span("run"):
                async with trio.open_nursery() as nursery:
                    for _ in range(3):
                        nursery.start_soon(_await, ask("x"))
                with pytest.raises(BudgetExceededError):
                    await ask("x")

    trio.run(main)

    assert branches.request_count == 3
    assert processor.stats.faults == 0


def test_other_tasks_and_other_traces_go_on(
    branches: FakeProvider, processor: BudgetSpanProcessor, tracer: Tracer
) -> None:
    async def main() -> list[Any]:
        async with asking(branches) as ask:

            async def elsewhere() -> str:
                with tracer.start_as_current_span("another run"):
                    await ask("fast")
                    return "answered"

            async def beside() -> str:
                await asyncio.sleep(4 * FAST_SECONDS)
                return "slept"

            others = [asyncio.create_task(elsewhere()), asyncio.create_task(beside())]
            with tracer.start_as_current_span("run"):
                gathered = asyncio.gather(ask("fast"), ask("slow"), return_exceptions=True)
                answers = await gathered
            return [*answers, *await asyncio.gather(*others)]

    results, _ = timed(main())

    assert [type(each) for each in results[:2]] == [openai_answer(), BudgetExceededError]
    assert results[2:] == ["answered", "slept"]
    assert processor.stats.faults == 0


def openai_answer() -> type:
    """The class of an answer of the openai SDK."""
    return openai.types.chat.ChatCompletion


def test_a_stream_ends_in_the_middle(
    branches: FakeProvider, processor: BudgetSpanProcessor, tracer: Tracer, account_of: AccountOf
) -> None:
    branches.reply_with(
        lambda request: (
            _reply(request)
            if "fast" in str(request.body)
            else Reply(text="slow " * 50, text_chunks=50, chunk_latency_seconds=0.2)
        )
    )
    chunks: list[Any] = []

    async def main() -> None:
        async with asking(branches) as ask, streaming(branches) as stream:

            async def read() -> None:
                async for chunk in await stream("slow"):
                    chunks.append(chunk)  # noqa: PERF401 - what came before the end counts

            with tracer.start_as_current_span("run"):
                reading = asyncio.create_task(read())
                while not chunks:  # noqa: ASYNC110 - the stream has to be under way
                    await asyncio.sleep(0.01)
                await ask("fast")
                await reading

    error, _ = timed(main())

    assert type(error) is BudgetExceededError
    assert 0 < len(chunks) < 50
    assert account_of(processor).estimated_pusd > 0


@asynccontextmanager
async def streaming(provider: FakeProvider) -> AsyncIterator[Ask]:
    """A function that asks for a stream."""
    async with openai.AsyncOpenAI(
        base_url=provider.openai_base_url,
        api_key="none",
        http_client=openai.DefaultAsyncHttpxClient(verify=False),
    ) as client:
        yield lambda text: client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": text}], stream=True
        )


def test_a_call_on_the_loop_of_another_thread_ends(
    branches: FakeProvider, processor: BudgetSpanProcessor, tracer: Tracer
) -> None:
    results: list[Any] = []

    async def slow(context_span: Any) -> None:
        from opentelemetry import trace  # noqa: PLC0415 - used here only

        async with asking(branches) as ask:
            with trace.use_span(context_span, end_on_exit=False):
                await ask("slow")

    async def fast() -> None:
        async with asking(branches) as ask:
            with tracer.start_as_current_span("run") as span:
                other = threading.Thread(target=lambda: results.append(timed(slow(span))))
                other.start()
                while branches.request_count == 0:  # noqa: ASYNC110 - the other call has to be out
                    await asyncio.sleep(0.01)
                await ask("fast")
            await asyncio.to_thread(other.join)

    asyncio.run(fast())

    [(error, seconds)] = results
    assert type(error) is BudgetExceededError
    assert seconds < ENDED_WITHIN_SECONDS
    assert processor.stats.faults == 0


def test_a_cancellation_by_the_caller_stays_one(
    branches: FakeProvider, processor: BudgetSpanProcessor, tracer: Tracer
) -> None:
    async def main() -> None:
        async with asking(branches) as ask:
            with tracer.start_as_current_span("run"):
                async with asyncio.timeout(2 * FAST_SECONDS):
                    await ask("slow")

    error, _ = timed(main())

    assert type(error) is TimeoutError
    assert processor.stats.faults == 0


def test_a_task_that_caught_the_error_is_not_cancelled(
    branches: FakeProvider, processor: BudgetSpanProcessor, tracer: Tracer
) -> None:
    async def main() -> int:
        async with asking(branches) as ask:

            async def go_on() -> int:
                with pytest.raises(BudgetExceededError):
                    await ask("slow")
                await asyncio.sleep(0.01)
                task = asyncio.current_task()
                return task.cancelling() if task else -1

            with tracer.start_as_current_span("run"):
                return (await asyncio.gather(go_on(), ask("fast")))[0]

    result, _ = timed(main())

    assert result == 0
    assert processor.stats.faults == 0


def test_a_call_that_is_the_last_one_allowed_is_not_ended(
    branches: FakeProvider, watch: Watch, tracer: Tracer
) -> None:
    watch(Budget(calls=2, cancel_in_flight=True))

    async def main() -> int:
        async with asking(branches) as ask:
            with tracer.start_as_current_span("run"):
                return len(await asyncio.gather(ask("fast"), ask("fast too")))

    result, _ = timed(main())

    assert result == 2


def test_by_default_calls_in_flight_finish(
    branches: FakeProvider, watch: Watch, tracer: Tracer
) -> None:
    branches.reply_with(Reply(0, 15_000, latency_seconds=FAST_SECONDS))
    watch(Budget(cost_usd="0.10"))

    async def main() -> int:
        async with asking(branches) as ask:
            with tracer.start_as_current_span("run"):
                return len(await asyncio.gather(*(ask("x") for _ in range(3))))

    result, _ = timed(main())

    assert result == 3


def test_calls_in_flight_end_also_where_another_limit_was_reached_before(
    branches: FakeProvider, watch: Watch, tracer: Tracer
) -> None:
    watch(Budget(cost_usd="0.10", calls=2, cancel_in_flight=True))

    async def main() -> None:
        async with asking(branches) as ask:
            with tracer.start_as_current_span("run"):
                await asyncio.gather(ask("fast"), ask("slow"))

    error, seconds = timed(main())

    assert type(error) is BudgetExceededError
    assert seconds < ENDED_WITHIN_SECONDS
