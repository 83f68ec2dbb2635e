"""The gate of litellm: what passes it is charged once, and a used-up budget closes it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import pytest
from opentelemetry.sdk.trace import Event, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otelbudget import Budget, BudgetExceededError, BudgetSpanProcessor
from otelbudget.genai import semconv
from otelbudget.live.gatekeeper import Gatekeeper
from otelbudget.live.request import Request
from otelbudget.testing import FakeProvider, Reply

pytestmark = pytest.mark.compat

with pytest.MonkeyPatch.context() as patch:
    # The prices that litellm fetches when it is imported need the network.
    patch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    litellm: Any = pytest.importorskip("litellm")
# As an application does that imports litellm before it makes a processor.
BOUND_EARLY = litellm.completion

HELLO = [{"role": "user", "content": "hello"}]
WITH_USAGE = {"stream": True, "stream_options": {"include_usage": True}}
TEN_CENTS_PUSD = 100_000_000_000
TEN_CENTS = {
    # gpt-4o: 2.50 USD/Mtok * 20_000 + 10 USD/Mtok * 5_000 = 0.05 USD + 0.05 USD
    "openai/gpt-4o": Reply(20_000, 5_000),
    # claude-haiku-4-5: 1 USD/Mtok * 50_000 + 5 USD/Mtok * 10_000 = 0.05 USD + 0.05 USD
    "anthropic/claude-haiku-4-5": Reply(50_000, 10_000),
    # gemini-2.5-flash: 0.30 USD/Mtok * 200_000 + 2.50 USD/Mtok * 16_000 = 0.06 USD + 0.04 USD
    "gemini/gemini-2.5-flash": Reply(200_000, 16_000),
    # claude-3-haiku: 0.25 USD/Mtok * 200_000 + 1.25 USD/Mtok * 40_000 = 0.05 USD + 0.05 USD
    "bedrock/anthropic.claude-3-haiku-20240307-v1:0": Reply(200_000, 40_000),
    # text-embedding-3-small: 0.02 USD/Mtok * 5_000_000 = 0.10 USD
    "openai/text-embedding-3-small": Reply(5_000_000, 0),
}
OPENAI, ANTHROPIC, GEMINI, BEDROCK, EMBEDDINGS = TEN_CENTS

Call = Callable[[Any, dict[str, Any]], object]


async def _drained(answer: Any) -> object:
    """All of an answer that is awaited, its events where it comes in events."""
    result = await answer
    return [event async for event in result] if isinstance(result, AsyncIterator) else result


def _run(answer: Any) -> object:
    return asyncio.run(_drained(answer))


async def _in_loop(call: Callable[[], object]) -> object:
    return call()


# By a module or Router, and its arguments without the messages.
COMPLETIONS: dict[str, Call] = {
    "completion": lambda to, options: to.completion(messages=HELLO, **options),
    "acompletion": lambda to, options: _run(to.acompletion(messages=HELLO, **options)),
    "stream": lambda to, options: list(to.completion(messages=HELLO, **options, **WITH_USAGE)),
    "astream": lambda to, options: _run(to.acompletion(messages=HELLO, **options, **WITH_USAGE)),
}
OTHERS: dict[str, Call] = {
    "bound early": lambda _, options: BOUND_EARLY(messages=HELLO, **options),
    "fallbacks": lambda to, options: to.completion(
        messages=HELLO, fallbacks=[options["model"]], **options
    ),
    "async fallbacks": lambda to, options: _run(
        to.acompletion(messages=HELLO, fallbacks=[options["model"]], **options)
    ),
    "retries": lambda to, options: to.completion(messages=HELLO, num_retries=3, **options),
    "text": lambda to, options: to.text_completion(prompt="hello", **options),
    "atext": lambda to, options: _run(to.atext_completion(prompt="hello", **options)),
    "text stream": lambda to, options: list(
        to.text_completion(prompt="hello", **options, **WITH_USAGE)
    ),
    "atext stream": lambda to, options: _run(
        to.atext_completion(prompt="hello", **options, **WITH_USAGE)
    ),
}
RESPONSES: dict[str, Call] = {
    "responses": lambda to, options: to.responses(input="hello", **options),
    "aresponses": lambda to, options: _run(to.aresponses(input="hello", **options)),
    "responses stream": lambda to, options: list(
        to.responses(input="hello", stream=True, **options)
    ),
    "aresponses stream": lambda to, options: _run(
        to.aresponses(input="hello", stream=True, **options)
    ),
}
ROUTED: dict[str, Call] = {
    **COMPLETIONS,
    "in a loop": lambda to, options: asyncio.run(
        _in_loop(lambda: to.completion(messages=HELLO, **options))
    ),
}


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A litellm without certificates, debug prints and clients left over from other event loops."""
    monkeypatch.setattr(litellm, "suppress_debug_info", True)
    monkeypatch.setattr(litellm, "ssl_verify", False)
    monkeypatch.setattr(litellm, "cache", None)
    yield
    litellm.in_memory_llm_clients_cache.flush_cache()


@dataclass
class Bench:
    """A provider to call, a processor that watches, and what both have counted."""

    provider: FakeProvider
    tracing: TracerProvider
    spans: InMemorySpanExporter

    def options(self, model: str) -> dict[str, Any]:
        """Arguments for a call of a model at the provider, which costs ten cents."""
        self.provider.reply_with(TEN_CENTS[model])
        base = {
            "openai": self.provider.openai_base_url,
            "anthropic": self.provider.anthropic_base_url,
            "gemini": f"{self.provider.url}/v1beta/models/{model.partition('/')[2]}",
            "bedrock": self.provider.url,
        }[model.partition("/")[0]]
        return {"model": model, "api_base": base, "api_key": "none"}

    def router(self, model: str) -> Any:
        """A Router that retries twice and falls back to another group of deployments."""
        options = self.options(model)
        groups = ("group", "other")
        return litellm.Router(
            model_list=[{"model_name": name, "litellm_params": options} for name in groups],
            num_retries=2,
            fallbacks=[{"group": ["other"]}],
        )

    def watch(self, *budgets: Budget) -> BudgetSpanProcessor:
        """A processor, added to the tracing."""
        processor = BudgetSpanProcessor(*budgets)
        self.tracing.add_span_processor(processor)
        return processor

    def run(self) -> AbstractContextManager[object]:
        """The span of a run."""
        return self.tracing.get_tracer("app").start_as_current_span("run")

    def cost(self, processor: BudgetSpanProcessor) -> tuple[int, int]:
        """Calls and pico-USD that a processor has counted, read at rest."""
        bystander = TracerProvider()
        bystander.add_span_processor(processor)
        bystander.get_tracer("app").start_span("bystander").end()
        accounts = [account for _, account in processor.engine.ledger.accounts()]
        return sum(each.calls for each in accounts), sum(each.cost_pusd for each in accounts)

    def refusals(self) -> int:
        """How often a call was refused."""
        return sum(event.name == semconv.DENIED_EVENT for event in self.events())

    def events(self) -> list[Event]:
        """The events on all spans that have ended."""
        return [event for span in self.spans.get_finished_spans() for event in span.events]


@pytest.fixture
def bench(
    fake_provider: FakeProvider,
    provider: TracerProvider,
    span_exporter: InMemorySpanExporter,
    monkeypatch: pytest.MonkeyPatch,
) -> Bench:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    monkeypatch.setenv("AWS_REGION_NAME", "us-east-1")
    return Bench(fake_provider, provider, span_exporter)


def _table() -> Iterator[Any]:
    models: dict[str, tuple[dict[str, Call], ...]] = {
        OPENAI: (COMPLETIONS, OTHERS, RESPONSES),
        ANTHROPIC: (COMPLETIONS, OTHERS, RESPONSES),
        GEMINI: (COMPLETIONS,),
        BEDROCK: (COMPLETIONS,),
    }
    for model, tables in models.items():
        for table in tables:
            for name, call in table.items():
                yield pytest.param(model, call, id=f"{model.partition('/')[0]} {name}")
    yield pytest.param(
        EMBEDDINGS, lambda to, options: to.embedding(input="hello", **options), id="embedding"
    )
    yield pytest.param(
        EMBEDDINGS,
        lambda to, options: _run(to.aembedding(input="hello", **options)),
        id="aembedding",
    )


@pytest.mark.parametrize(("model", "call"), list(_table()))
def test_the_fourth_call_of_ten_cents_is_refused_once_and_sends_nothing(
    model: str, call: Call, bench: Bench
) -> None:
    options = bench.options(model)
    processor = bench.watch(Budget(cost_usd="0.30"))

    with bench.run():
        for _ in range(3):
            call(litellm, options)
        with pytest.raises(BudgetExceededError) as refused:
            call(litellm, options)

    assert type(refused.value) is BudgetExceededError
    assert bench.provider.request_count == 3
    assert bench.cost(processor) == (3, 3 * TEN_CENTS_PUSD)
    assert bench.refusals() == 1


@pytest.mark.parametrize("name", ROUTED)
@pytest.mark.parametrize("model", [OPENAI, ANTHROPIC])
def test_a_router_hands_a_refusal_on_without_retries_and_fallbacks(
    model: str, name: str, bench: Bench
) -> None:
    router = bench.router(model)
    processor = bench.watch(Budget(cost_usd="0.30"))

    with bench.run():
        for _ in range(3):
            ROUTED[name](router, {"model": "group"})
        with pytest.raises(BudgetExceededError) as refused:
            ROUTED[name](router, {"model": "group"})

    assert type(refused.value) is BudgetExceededError
    assert bench.provider.request_count == 3
    assert bench.cost(processor) == (3, 3 * TEN_CENTS_PUSD)
    assert bench.refusals() == 1


# claude-haiku-4-5: 1 USD/Mtok in, 5 out, 0.10 from the cache, 1.25 into it, 2 for an hour.
# gpt-4o: 2.50 USD/Mtok in, 10 out, 1.25 from the cache.
EXACT = {
    "anthropic cache": (
        ANTHROPIC,
        Reply(10_000, 100, cache_read_input_tokens=6_000, cache_write_input_tokens=3_000),
        # 1_000 * 1 + 100 * 5 + 6_000 * 0.10 + 3_000 * 1.25
        1_000_000_000 + 500_000_000 + 600_000_000 + 3_750_000_000,
    ),
    "anthropic cache for an hour": (
        ANTHROPIC,
        Reply(8_000, 30, cache_write_input_tokens=7_000, cache_write_1h_input_tokens=4_000),
        # 1_000 * 1 + 30 * 5 + 3_000 * 1.25 + 4_000 * 2
        1_000_000_000 + 150_000_000 + 3_750_000_000 + 8_000_000_000,
    ),
    "openai cache and reasoning": (
        OPENAI,
        Reply(10_000, 900, cache_read_input_tokens=6_000, reasoning_output_tokens=700),
        # 4_000 * 2.50 + 900 * 10 + 6_000 * 1.25
        10_000_000_000 + 9_000_000_000 + 7_500_000_000,
    ),
}


@pytest.mark.parametrize("name", [*COMPLETIONS, *RESPONSES])
@pytest.mark.parametrize("case", EXACT)
def test_cached_and_reasoning_tokens_are_charged_as_they_are_billed(
    case: str, name: str, bench: Bench
) -> None:
    model, reply, cost_pusd = EXACT[case]
    options = bench.options(model)
    bench.provider.reply_with(reply)
    processor = bench.watch(Budget(cost_usd=1))

    with bench.run():
        (COMPLETIONS | RESPONSES)[name](litellm, options)

    assert bench.cost(processor) == (1, cost_pusd)


@pytest.mark.parametrize("name", COMPLETIONS)
@pytest.mark.parametrize("model", [OPENAI, ANTHROPIC, GEMINI, BEDROCK])
def test_a_call_that_the_provider_refuses_costs_nothing(
    model: str, name: str, bench: Bench
) -> None:
    options = bench.options(model)
    bench.provider.reply_with(Reply(status=400))
    processor = bench.watch(Budget(cost_usd=1))

    with (
        bench.run(),
        pytest.raises(litellm.BadRequestError),
    ):
        COMPLETIONS[name](litellm, options)

    assert bench.provider.request_count == 1
    assert bench.cost(processor) == (0, 0)


@pytest.mark.parametrize("model", [OPENAI, ANTHROPIC])
def test_a_stream_is_charged_before_its_last_chunk_is_handed_on(model: str, bench: Bench) -> None:
    options = bench.options(model)
    processor = bench.watch(Budget(cost_usd=1))

    with bench.run():
        stream = litellm.completion(messages=HELLO, **options, **WITH_USAGE)
        for chunk in stream:
            if getattr(chunk, "usage", None) is not None:
                break

        assert bench.cost(processor) == (1, TEN_CENTS_PUSD)


def test_a_stream_stays_the_object_that_litellm_gives(bench: Bench) -> None:
    options = bench.options(OPENAI)
    bench.watch(Budget(cost_usd=1))

    with bench.run():
        stream = litellm.completion(messages=HELLO, **options, **WITH_USAGE)
        chunks = list(stream)

    assert isinstance(stream, litellm.CustomStreamWrapper)
    assert litellm.stream_chunk_builder(chunks).usage.completion_tokens == 5_000


def test_an_answer_without_usage_is_unknown_and_not_free(bench: Bench) -> None:
    """A usage of zeros is what litellm makes of it, which would be known."""
    options = bench.options(OPENAI)
    bench.provider.reply_with(Reply(with_usage=False))
    processor = bench.watch(Budget(cost_usd=1))

    with bench.run():
        litellm.completion(messages=HELLO, max_tokens=100, **options)
    _, cost_pusd = bench.cost(processor)

    assert cost_pusd >= 100 * 10_000_000


def test_an_answer_from_the_cache_of_litellm_is_not_charged(
    monkeypatch: pytest.MonkeyPatch, bench: Bench
) -> None:
    options = bench.options(OPENAI)
    for needed in ("fastapi", "soundfile"):  # litellm imports them with its cache
        pytest.importorskip(needed)
    monkeypatch.setattr(litellm, "cache", litellm.Cache())
    processor = bench.watch(Budget(cost_usd="0.10"))

    with bench.run():
        for _ in range(3):
            litellm.completion(messages=HELLO, caching=True, **options)

    assert bench.provider.request_count == 1
    assert bench.cost(processor) == (1, TEN_CENTS_PUSD)


def test_each_model_that_is_fallen_back_to_is_a_call_of_its_own(bench: Bench) -> None:
    options = bench.options(OPENAI)
    fallback = bench.options(ANTHROPIC)
    bench.provider.reply_with([Reply(status=400), TEN_CENTS[ANTHROPIC]])
    processor = bench.watch(Budget(cost_usd="0.10"))

    with bench.run():
        litellm.completion(messages=HELLO, fallbacks=[fallback], **options)

    assert bench.cost(processor) == (1, TEN_CENTS_PUSD)


@pytest.mark.parametrize("is_async", [False, True])
def test_an_answer_that_is_made_up_is_neither_counted_nor_refused(
    bench: Bench,
    is_async: bool,  # noqa: FBT001 - a cell of a table
) -> None:
    options = bench.options(OPENAI) | {"messages": HELLO, "mock_response": "hello"}
    processor = bench.watch(Budget(calls=0))

    with bench.run():
        answer = (
            asyncio.run(litellm.acompletion(**options))
            if is_async
            else litellm.completion(**options)
        )
        chunks = list(litellm.completion(stream=True, **options))

    assert answer.choices[0].message.content == "hello"
    assert chunks
    assert bench.provider.request_count == 0
    assert bench.cost(processor) == (0, 0)


def test_text_completions_embeddings_and_responses_that_are_made_up_are_not_counted(
    bench: Bench,
) -> None:
    options = bench.options(OPENAI)
    processor = bench.watch(Budget(calls=0))

    with bench.run():
        litellm.text_completion(prompt="hello", mock_response="hello", **options)
        litellm.responses(input="hello", mock_response="hello", **options)
        litellm.embedding(input="hello", mock_response=[0.1], **bench.options(EMBEDDINGS))

    assert bench.provider.request_count == 0
    assert bench.cost(processor) == (0, 0)


def test_what_mocks_no_response_makes_a_call(bench: Bench) -> None:
    options = bench.options(OPENAI)
    processor = bench.watch(Budget(cost_usd="0.30"))

    with bench.run():
        litellm.completion(messages=HELLO, mock_response=None, **options)
        litellm.completion(messages=HELLO, mock_response="", mock_timeout=False, **options)
        litellm.responses(input="hello", mock_tool_calls=[{"id": "1"}], **options)

    assert bench.provider.request_count == 3
    assert bench.cost(processor) == (3, 3 * TEN_CENTS_PUSD)


@pytest.mark.parametrize(
    ("name", "base", "provider_name"),
    [
        ("openai/gpt-4o", None, "openai"),
        ("azure/gpt-4o", None, "azure.ai.openai"),
        ("bedrock/anthropic.claude-3-haiku-20240307-v1:0", None, "aws.bedrock"),
        ("gemini/gemini-2.5-flash", None, "gcp.gemini"),
        ("groq/llama-3.1-8b-instant", None, "groq"),
        ("openai/some", "https://openrouter.ai/api/v1", "openrouter"),
    ],
)
def test_a_model_is_known_by_the_host_that_serves_it(
    name: str, base: str | None, provider_name: str, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused before it is sent, as no host but the loopback is there."""
    asked: list[str | None] = []
    begin = Gatekeeper.begin

    def seen(keeper: Gatekeeper, call_id: str, request: Request) -> Any:
        asked.append(request.provider)
        return begin(keeper, call_id, request)

    monkeypatch.setattr(Gatekeeper, "begin", seen)
    bench.watch(Budget(calls=0))

    with bench.run(), pytest.raises(BudgetExceededError):
        litellm.completion(model=name, api_base=base, api_key="none", messages=HELLO)

    assert asked == [provider_name]
