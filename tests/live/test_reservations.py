"""A budget that reserves: what a call may use is held before it leaves."""

import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import anthropic
import openai
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Tracer

from otelbudget import Budget, BudgetExceededError, BudgetSpanProcessor
from otelbudget.budgets.ledger import Account
from otelbudget.testing import FakeProvider, Reply, Request

Watch = Callable[..., BudgetSpanProcessor]
AccountOf = Callable[[BudgetSpanProcessor], Account]

CALLS = 20
# gpt-4o: 10 USD/Mtok of output; claude-haiku-4-5: 5 USD/Mtok. Both answers cost ten cents of output
# and next to nothing of input.
OUTPUT_TOKENS = {"gpt-4o": 10_000, "claude-haiku-4-5": 20_000}
HELLO: list[Any] = [{"role": "user", "content": "hello"}]


@pytest.fixture
def provider_of_ten_cents(fake_provider: FakeProvider) -> FakeProvider:
    """Answers that use the whole of their cap, after a while in which others may start."""
    fake_provider.reply_with(
        lambda request: Reply(10, OUTPUT_TOKENS[request.model], latency_seconds=0.2)
    )
    return fake_provider


class Clients:
    """The clients of both SDKs, sync and async, and how each asks for an answer of ten cents."""

    def __init__(self, provider: FakeProvider) -> None:
        self.openai = openai.OpenAI(
            base_url=provider.openai_base_url,
            api_key="none",
            max_retries=0,
            http_client=openai.DefaultHttpxClient(verify=False),
        )
        self.anthropic = anthropic.Anthropic(
            base_url=provider.anthropic_base_url,
            api_key="none",
            max_retries=0,
            http_client=anthropic.DefaultHttpxClient(verify=False),
        )
        self.provider = provider

    def close(self) -> None:
        """Close the sync ones."""
        self.openai.close()
        self.anthropic.close()

    def ask(self, sdk: str, **options: Any) -> Any:
        """Ask by the sync client of an SDK."""
        if sdk == "openai":
            return self.openai.chat.completions.create(
                **{"model": "gpt-4o", "messages": HELLO, "max_tokens": 10_000, **options}
            )
        return self.anthropic.messages.create(
            **{
                "model": "claude-haiku-4-5",
                "messages": HELLO,
                "max_tokens": 20_000,
                "timeout": 60,
                **options,
            }
        )

    async def ask_async(self, sdk: str) -> Any:
        """Ask by an async client of an SDK."""
        if sdk == "openai":
            async with openai.AsyncOpenAI(
                base_url=self.provider.openai_base_url,
                api_key="none",
                http_client=openai.DefaultAsyncHttpxClient(verify=False),
            ) as client:
                return await client.chat.completions.create(
                    model="gpt-4o", messages=HELLO, max_tokens=10_000
                )
        async with anthropic.AsyncAnthropic(
            base_url=self.provider.anthropic_base_url,
            api_key="none",
            http_client=anthropic.DefaultAsyncHttpxClient(verify=False),
        ) as other:
            return await other.messages.create(
                model="claude-haiku-4-5", messages=HELLO, max_tokens=20_000, timeout=60
            )


@pytest.fixture
def clients(provider_of_ten_cents: FakeProvider) -> Iterator[Clients]:
    made = Clients(provider_of_ten_cents)
    yield made
    made.close()


def outcome(call: Callable[[], Any]) -> str:
    """How a call ended: ok, or the name of the error."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 - it is what is counted
        return type(error).__name__
    return "ok"


async def outcome_async(call: Any) -> str:
    """As `outcome`."""
    try:
        await call
    except Exception as error:  # noqa: BLE001 - it is what is counted
        return type(error).__name__
    return "ok"


def by_threads(clients: Clients, sdks: list[str]) -> list[str]:
    contexts = [contextvars.copy_context() for _ in sdks]
    with ThreadPoolExecutor(len(sdks)) as pool:
        return list(
            pool.map(
                lambda context, sdk: context.run(outcome, lambda: clients.ask(sdk)), contexts, sdks
            )
        )


def by_tasks(clients: Clients, sdks: list[str]) -> list[str]:
    async def main() -> list[str]:
        return await asyncio.gather(*(outcome_async(clients.ask_async(sdk)) for sdk in sdks))

    return asyncio.run(main())


def by_both(clients: Clients, sdks: list[str]) -> list[str]:
    async def main() -> list[str]:
        threads = (asyncio.to_thread(outcome, partial(clients.ask, sdk)) for sdk in sdks[::2])
        tasks = (outcome_async(clients.ask_async(sdk)) for sdk in sdks[1::2])
        return await asyncio.gather(*threads, *tasks)

    return asyncio.run(main())


FAN_OUTS = {"threads": by_threads, "tasks": by_tasks, "both": by_both}


@pytest.mark.parametrize("sdks", [["openai"], ["anthropic"], ["openai", "anthropic"]])
@pytest.mark.parametrize("fan_out", FAN_OUTS)
def test_of_twenty_calls_at_once_two_leave_where_two_fit(
    watch: Watch,
    tracer: Tracer,
    clients: Clients,
    account_of: AccountOf,
    fan_out: str,
    sdks: list[str],
) -> None:
    processor = watch(Budget(cost_usd="0.25", reserve=True))
    with tracer.start_as_current_span("run"):
        results = FAN_OUTS[fan_out](clients, (sdks * CALLS)[:CALLS])

    assert sorted(results) == sorted(["ok"] * 2 + ["BudgetExceededError"] * 18)
    assert clients.provider.request_count == 2
    account = account_of(processor)
    assert account.cost_pusd < 250_000_000_000
    assert (account.calls, account.denied) == (2, 18)


def test_without_reservation_the_overshoot_is_the_calls_in_flight_and_is_told(
    watch: Watch,
    tracer: Tracer,
    clients: Clients,
    provider_of_ten_cents: FakeProvider,
    account_of: AccountOf,
    caplog: pytest.LogCaptureFixture,
) -> None:
    all_are_out = threading.Barrier(CALLS)

    def answer(_: Request) -> Reply:
        all_are_out.wait(30)
        return Reply(10, 10_000)

    provider_of_ten_cents.reply_with(answer)
    processor = watch(Budget(cost_usd="0.10"))
    with tracer.start_as_current_span("run"):
        results = by_threads(clients, ["openai"] * CALLS)

    assert results == ["ok"] * CALLS
    assert provider_of_ten_cents.request_count == CALLS
    # 20 calls * (10 tokens * 2.50 USD/Mtok + 10_000 tokens * 10 USD/Mtok)
    assert account_of(processor).cost_pusd == 20 * 100_025_000_000
    assert any("19 calls in flight may still add to it" in message for message in caplog.messages)


def test_what_is_held_is_the_dearest_that_the_request_can_cost(
    watch: Watch,
    tracer: Tracer,
    clients: Clients,
    span_exporter: InMemorySpanExporter,
    provider_of_ten_cents: FakeProvider,
) -> None:
    watch(Budget(cost_usd=100, reserve=True))
    chat = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "claude-haiku-4-5"}
    with (
        tracer.start_as_current_span("run"),
        tracer.start_as_current_span("chat", attributes=chat),
    ):
        clients.ask("anthropic")

    [request] = provider_of_ten_cents.requests
    sent_bytes = int(request.headers["content-length"])
    span = next(each for each in span_exporter.get_finished_spans() if each.name == "chat")
    [held] = [
        float(str(value))
        for key, value in (span.attributes or {}).items()
        if key == "otelbudget.estimated_cost_usd"
    ]
    # A token a byte at the dearer rate of a cache write, 1.25 USD/Mtok, and 20_000 tokens of
    # output at 5 USD/Mtok.
    assert held == pytest.approx(sent_bytes * 1.25e-6 + 0.10, abs=20e-6)


def test_a_request_without_a_cap_is_reserved_at_a_guess_and_said_to_be(
    watch: Watch, tracer: Tracer, clients: Clients, caplog: pytest.LogCaptureFixture
) -> None:
    # 4_096 tokens of output * 10 USD/Mtok = 0.04096 USD fit once, and not beside the 0.10 USD spent.
    watch(Budget(cost_usd="0.14", reserve=True))
    with tracer.start_as_current_span("run"):
        clients.ask("openai", max_tokens=openai.omit)
        with pytest.raises(BudgetExceededError, match=r"may use 0\.041"):
            clients.ask("openai", max_tokens=openai.omit)

    assert sum("no cap on output" in message for message in caplog.messages) == 1


def test_a_model_without_a_cap_is_reserved_by_what_it_usually_answers(
    watch: Watch, tracer: Tracer, clients: Clients, provider_of_ten_cents: FakeProvider
) -> None:
    provider_of_ten_cents.reply_with(Reply(10, 100))
    watch(Budget(cost_usd="0.04", reserve=True))
    for run in range(4):
        with tracer.start_as_current_span(f"run {run}"):
            for _ in range(5):
                clients.ask("openai", max_tokens=100)
    # 4_096 tokens would not fit into 0.04 USD; the 100 that all twenty answers had do.
    with tracer.start_as_current_span("last run"):
        clients.ask("openai", max_tokens=openai.omit)

    assert provider_of_ten_cents.request_count == 21


@pytest.mark.parametrize(
    ("options", "why"),
    [
        pytest.param(
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
                        ],
                    }
                ]
            },
            "media",
            id="images",
        ),
        pytest.param({"web_search_options": {}}, "server tools", id="searches"),
        pytest.param({"max_tokens": openai.omit}, "no cap on output", id="uncapped"),
    ],
)
def test_what_an_estimate_cannot_bound_is_named(
    watch: Watch,
    tracer: Tracer,
    clients: Clients,
    caplog: pytest.LogCaptureFixture,
    options: dict[str, Any],
    why: str,
) -> None:
    watch(Budget(cost_usd=10, reserve=True))
    with tracer.start_as_current_span("run"):
        clients.ask("openai", **options)

    [message] = [message for message in caplog.messages if "is a guess" in message]
    assert why in message


def test_a_limit_on_tokens_reserves_too(
    watch: Watch, tracer: Tracer, clients: Clients, provider_of_ten_cents: FakeProvider
) -> None:
    watch(Budget(tokens=25_000, reserve=True))
    with tracer.start_as_current_span("run"):
        results = by_threads(clients, ["openai"] * CALLS)

    assert results.count("ok") == provider_of_ten_cents.request_count == 2


def test_a_timeout_counts_every_attempt_at_its_estimate(
    watch: Watch,
    tracer: Tracer,
    clients: Clients,
    provider_of_ten_cents: FakeProvider,
    account_of: AccountOf,
) -> None:
    provider_of_ten_cents.reply_with(Reply(latency_seconds=30))
    processor = watch(Budget(cost_usd=100))
    patient = clients.openai.with_options(max_retries=2)
    with tracer.start_as_current_span("run"), pytest.raises(openai.APITimeoutError):
        patient.chat.completions.create(
            model="gpt-4o", messages=HELLO, max_tokens=10_000, timeout=0.3
        )

    account = account_of(processor)
    assert account.cost_pusd == account.estimated_pusd
    # 3 attempts * 10_000 tokens * 10 USD/Mtok, and the input of three requests
    assert 0 < account.cost_pusd - 300_000_000_000 < 3 * 1_000 * 2_500_000
    assert account.calls == 1


def test_a_request_that_never_connected_costs_nothing(
    watch: Watch, tracer: Tracer, account_of: AccountOf
) -> None:
    processor = watch(Budget(cost_usd=100, reserve=True))
    with (
        openai.OpenAI(
            base_url="http://127.0.0.1:9/v1",
            api_key="none",
            max_retries=0,
            http_client=openai.DefaultHttpxClient(verify=False),
        ) as client,
        tracer.start_as_current_span("run"),
        pytest.raises(openai.APIConnectionError),
    ):
        client.chat.completions.create(model="gpt-4o", messages=HELLO)

    account = account_of(processor)
    assert (account.calls, account.cost_pusd) == (0, 0)


def test_a_broken_stream_of_messages_counts_its_known_input_and_its_cap(
    watch: Watch,
    tracer: Tracer,
    clients: Clients,
    provider_of_ten_cents: FakeProvider,
    account_of: AccountOf,
) -> None:
    provider_of_ten_cents.reply_with(Reply(1_000, 500, text="a b c d", text_chunks=4))
    processor = watch(Budget(cost_usd=100))
    with tracer.start_as_current_span("run"):
        stream = clients.ask("anthropic", stream=True, max_tokens=2_000)
        next(iter(stream))
        stream.close()
        del stream

    account = account_of(processor)
    # The first event tells of 1_000 tokens of input, at most 1.25 USD/Mtok where they are written
    # to a cache; 2_000 tokens of output * 5 USD/Mtok are the cap.
    assert account.cost_pusd == account.estimated_pusd == 1_250_000_000 + 10_000_000_000


def test_a_span_that_tells_the_usage_later_replaces_the_estimate(
    watch: Watch,
    tracer: Tracer,
    clients: Clients,
    provider_of_ten_cents: FakeProvider,
    account_of: AccountOf,
) -> None:
    provider_of_ten_cents.reply_with(Reply(with_usage=False))
    processor = watch(Budget(cost_usd=100, reserve=True))
    with (
        tracer.start_as_current_span("run"),
        tracer.start_as_current_span("chat", attributes={"gen_ai.operation.name": "chat"}) as span,
    ):
        clients.ask("openai")
        # 1_000 tokens * 2.50 USD/Mtok + 100 tokens * 10 USD/Mtok = 0.0035 USD
        span.set_attributes({"gen_ai.usage.input_tokens": 1_000, "gen_ai.usage.output_tokens": 100})

    account = account_of(processor)
    assert (account.cost_pusd, account.estimated_pusd) == (3_500_000_000, 0)
    assert (account.calls, account.tokens) == (1, 1_100)


def test_an_attempt_that_timed_out_is_charged_and_leaves_no_room_for_another(
    watch: Watch,
    tracer: Tracer,
    clients: Clients,
    provider_of_ten_cents: FakeProvider,
    account_of: AccountOf,
) -> None:
    provider_of_ten_cents.reply_with(Reply(latency_seconds=30))
    processor = watch(Budget(cost_usd="0.15", reserve=True))
    patient = clients.openai.with_options(max_retries=2)
    with tracer.start_as_current_span("run"), pytest.raises(BudgetExceededError):
        patient.chat.completions.create(
            model="gpt-4o", messages=HELLO, max_tokens=10_000, timeout=0.3
        )

    assert provider_of_ten_cents.request_count == 1
    account = account_of(processor)
    # 10_000 tokens * 10 USD/Mtok and a little input
    assert 100_000_000_000 < account.estimated_pusd < 101_000_000_000
    assert account.calls == 1


def test_an_attempt_that_was_billed_and_timed_out_counts_beside_the_one_that_answered(
    watch: Watch,
    tracer: Tracer,
    clients: Clients,
    provider_of_ten_cents: FakeProvider,
    account_of: AccountOf,
) -> None:
    answers = iter([Reply(10, 10_000, latency_seconds=30), Reply(10, 10_000)])
    provider_of_ten_cents.reply_with(lambda _: next(answers))
    processor = watch(Budget(cost_usd=1))
    with tracer.start_as_current_span("run"):
        clients.openai.with_options(max_retries=1).chat.completions.create(
            model="gpt-4o", messages=HELLO, max_tokens=10_000, timeout=0.3
        )

    account = account_of(processor)
    known = account.cost_pusd - account.estimated_pusd
    assert known == 100_025_000_000
    assert account.estimated_pusd > 100_000_000_000


def test_no_retry_leaves_after_the_budget_is_used_up(
    watch: Watch, tracer: Tracer, clients: Clients, provider_of_ten_cents: FakeProvider
) -> None:
    provider_of_ten_cents.reply_with(
        lambda request: Reply(10, 10_000) if "spend" in str(request.body) else Reply(status=500)
    )
    watch(Budget(cost_usd="0.10"))
    results: list[str] = []
    patient = clients.openai.with_options(max_retries=3)

    def fail() -> None:
        results.append(
            outcome(lambda: patient.chat.completions.create(model="gpt-4o", messages=HELLO))
        )

    with tracer.start_as_current_span("run"):
        run = contextvars.copy_context().run
        with ThreadPoolExecutor(1) as pool:
            failing = pool.submit(run, fail)
            while not provider_of_ten_cents.request_count:
                pass
            clients.ask("openai", messages=[{"role": "user", "content": "spend"}])
            sent = provider_of_ten_cents.request_count
            failing.result()

    assert results == ["BudgetExceededError"]
    assert provider_of_ten_cents.request_count == sent


@pytest.mark.parametrize(
    "content", [pytest.param(object(), id="unserializable"), pytest.param("\ud800", id="surrogate")]
)
def test_a_request_that_could_not_be_made_costs_nothing(
    watch: Watch,
    tracer: Tracer,
    clients: Clients,
    provider_of_ten_cents: FakeProvider,
    account_of: AccountOf,
    content: object,
) -> None:
    processor = watch(Budget(cost_usd=1, reserve=True))
    with tracer.start_as_current_span("run"):
        result = outcome(
            lambda: clients.ask("openai", messages=[{"role": "user", "content": content}])
        )

    assert result != "ok"
    assert provider_of_ten_cents.request_count == 0
    account = account_of(processor)
    assert (account.calls, account.cost_pusd) == (0, 0)


@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
def test_a_stream_that_is_closed_holds_no_longer(
    watch: Watch, tracer: Tracer, clients: Clients, sdk: str
) -> None:
    """It is still referenced, so nothing waits for the garbage collector."""
    processor = watch(Budget(cost_usd="0.25", reserve=True))
    with tracer.start_as_current_span("run"):
        stream = clients.ask(sdk, stream=True)
        with stream:
            next(iter(stream))
        clients.ask(sdk)

    [(_, account)] = processor.engine.ledger.accounts()
    assert (account.calls, account.in_flight, account.held_pusd) == (2, 0, 0)


def test_what_stands_beside_the_fields_of_a_request_is_held_too(
    watch: Watch, tracer: Tracer, clients: Clients, provider_of_ten_cents: FakeProvider
) -> None:
    watch(Budget(cost_usd="0.25", reserve=True))
    with tracer.start_as_current_span("run"):
        result = outcome(lambda: clients.ask("openai", extra_body={"n": 3}))

    assert result == "BudgetExceededError"
    assert provider_of_ten_cents.request_count == 0


def test_a_span_of_a_broken_stream_does_not_replace_its_estimate(
    watch: Watch,
    tracer: Tracer,
    clients: Clients,
    provider_of_ten_cents: FakeProvider,
    account_of: AccountOf,
) -> None:
    """Anthropic's own span, and those of instrumentations, tell what the first event told."""
    provider_of_ten_cents.reply_with(Reply(1_000, 500, text="a b c d", text_chunks=4))
    processor = watch(Budget(cost_usd=100))
    attributes: dict[str, str | int] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.usage.input_tokens": 1_000,
    }
    with (
        tracer.start_as_current_span("run"),
        tracer.start_as_current_span("chat", attributes=attributes) as span,
    ):
        stream = clients.ask("anthropic", stream=True, max_tokens=2_000)
        next(iter(stream))
        stream.close()
        span.set_attribute("gen_ai.usage.output_tokens", 1)

    account = account_of(processor)
    # As without the span: 1_000 tokens * 1.25 USD/Mtok + 2_000 tokens * 5 USD/Mtok.
    assert account.cost_pusd == account.estimated_pusd == 11_250_000_000
    assert account.calls == 1
