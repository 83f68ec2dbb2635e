"""Calls of the real openai client in every form it has, each of which costs ten cents."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI, DefaultAsyncHttpxClient, DefaultHttpxClient, OpenAI
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Tracer

from otelbudget import Budget, Budgets, BudgetSpanProcessor
from otelbudget.budgets.ledger import Account
from otelbudget.testing import FakeProvider, Reply
from tests.live.plain_http import Bench

# gpt-4o: 2.50 USD/Mtok * 20_000 + 10 USD/Mtok * 5_000 = 0.05 USD + 0.05 USD
TEN_CENTS = Reply(input_tokens=20_000, output_tokens=5_000)
# text-embedding-3-small: 0.02 USD/Mtok * 5_000_000 = 0.10 USD
TEN_CENTS_OF_EMBEDDINGS = Reply(input_tokens=5_000_000, output_tokens=0)

UsageOf = Callable[[BudgetSpanProcessor], tuple[int, int, int]]

_ARGUMENTS: dict[str, dict[str, Any]] = {
    "chat": {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]},
    "responses": {"model": "gpt-4o", "input": "hello"},
    "embeddings": {"model": "text-embedding-3-small", "input": "hello"},
}


def new_client(url: str) -> OpenAI:
    """A synchronous client that does not retry and loads no certificates."""
    return OpenAI(
        base_url=url,
        api_key="none",
        max_retries=0,
        http_client=DefaultHttpxClient(verify=False),
    )


@dataclass(frozen=True)
class Caller:
    """Makes one call of an API in a form, reads all of its answer and drops it.

    Attributes:
        url: Base URL of the provider.
    """

    url: str

    def call(self, api: str, form: str, is_async: bool) -> None:  # noqa: FBT001 - a table cell
        """Make a call, on an event loop of its own where the client is the async one."""
        if is_async:
            asyncio.run(self.acall(api, form))
        else:
            self._call(api, form)

    async def acall(self, api: str, form: str) -> None:
        """Make a call of the async client on the running loop."""
        async with AsyncOpenAI(
            base_url=self.url,
            api_key="none",
            max_retries=0,
            http_client=DefaultAsyncHttpxClient(verify=False),
        ) as client:
            resource: Any = _resource(client, api)
            arguments = _arguments(api, form)
            if form.startswith("streaming_response"):
                async with resource.with_streaming_response.create(**arguments) as raw:
                    await _drain_async(await raw.parse(), form)
            elif form.startswith("raw"):
                raw = await resource.with_raw_response.create(**arguments)
                parsed = raw.parse()
                await _drain_async(await parsed if isinstance(parsed, Awaitable) else parsed, form)
            else:
                await _drain_async(await resource.create(**arguments), form)

    def _call(self, api: str, form: str) -> None:
        with new_client(self.url) as client:
            resource: Any = _resource(client, api)
            arguments = _arguments(api, form)
            if form.startswith("streaming_response"):
                with resource.with_streaming_response.create(**arguments) as raw:
                    _drain(raw.parse(), form)
            elif form.startswith("raw"):
                _drain(resource.with_raw_response.create(**arguments).parse(), form)
            else:
                _drain(resource.create(**arguments), form)


def _resource(client: Any, api: str) -> Any:
    return client.chat.completions if api == "chat" else getattr(client, api)


def _arguments(api: str, form: str) -> dict[str, Any]:
    arguments = dict(_ARGUMENTS[api])
    if form.endswith("stream"):
        arguments["stream"] = True
        if api == "chat":
            arguments["stream_options"] = {"include_usage": True}
    return arguments


def _drain(answer: Any, form: str) -> None:
    if form.endswith("stream"):
        assert list(answer)


async def _drain_async(answer: Any, form: str) -> None:
    if form.endswith("stream"):
        assert [event async for event in answer]


@pytest.fixture
def ten_cents(fake_provider: FakeProvider) -> FakeProvider:
    """The fake provider, with answers that cost ten cents each."""
    fake_provider.reply_with(
        lambda request: (
            TEN_CENTS_OF_EMBEDDINGS if request.path.endswith("/embeddings") else TEN_CENTS
        )
    )
    return fake_provider


@pytest.fixture
def make_call(ten_cents: FakeProvider) -> Callable[[str, str, bool], None]:
    """Makes a call of an API in a form, by the async client or not, and reads its answer."""
    return Caller(ten_cents.openai_base_url).call


@pytest.fixture
def client(ten_cents: FakeProvider) -> Iterator[OpenAI]:
    """A synchronous client that does not retry."""
    with new_client(ten_cents.openai_base_url) as made:
        yield made


@pytest.fixture
def chat(client: OpenAI) -> Callable[[], None]:
    """A chat completion that costs ten cents."""

    def ask() -> None:
        client.chat.completions.create(**_ARGUMENTS["chat"])

    return ask


@pytest.fixture
def instrumented(provider: TracerProvider) -> Iterator[None]:
    """The openai client, instrumented by opentelemetry-instrumentation-genai-openai."""
    instrumentor = OpenAIInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    yield
    instrumentor.uninstrument()


@pytest.fixture
def watch(provider: TracerProvider) -> Callable[..., BudgetSpanProcessor]:
    """Makes a processor and adds it to the provider."""

    def add(*budgets: Budget | Budgets, **options: Any) -> BudgetSpanProcessor:
        processor = BudgetSpanProcessor(*budgets, **options)
        provider.add_span_processor(processor)
        return processor

    return add


@pytest.fixture
def processor(watch: Callable[..., BudgetSpanProcessor]) -> BudgetSpanProcessor:
    """A processor whose budget nothing here uses up."""
    return watch(Budget(cost_usd=100))


@pytest.fixture
def run(tracer: Tracer, processor: BudgetSpanProcessor) -> Iterator[BudgetSpanProcessor]:
    """An open span around the test, watched by `processor`."""
    with tracer.start_as_current_span("run"):
        yield processor


@pytest.fixture
def usage_of(account_of: Callable[[BudgetSpanProcessor], Account]) -> UsageOf:
    """Calls, tokens and pico-USD of the one account a processor has, read at rest.

    Tokens are 0 where they are estimated, and the money is what is known.
    """

    def read(processor: BudgetSpanProcessor) -> tuple[int, int, int]:
        account = account_of(processor)
        is_known = not account.estimated_pusd
        known_pusd = account.cost_pusd - account.estimated_pusd
        return account.calls, account.tokens if is_known else 0, known_pusd

    return read


@pytest.fixture
def account_of() -> Callable[[BudgetSpanProcessor], Account]:
    """The one account a processor has, read at rest.

    What was dropped is settled with the next span, so a span passes first.
    """

    def read(processor: BudgetSpanProcessor) -> Account:
        bystander = TracerProvider()
        bystander.add_span_processor(processor)
        bystander.get_tracer("app").start_span("bystander").end()
        [(_, account)] = processor.engine.ledger.accounts()
        assert (account.in_flight, account.held_pusd, account.held_tokens) == (0, 0, 0)
        return account

    return read


@pytest.fixture
def bench(
    provider: TracerProvider,
    fake_provider: FakeProvider,
    account_of: Callable[[BudgetSpanProcessor], Account],
    tmp_path: Path,
) -> Bench:
    return Bench(provider, fake_provider, account_of, tmp_path / "live.duckdb")


@pytest.fixture
def global_provider(provider: TracerProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider is the one that the process has."""
    monkeypatch.setattr("opentelemetry.trace._TRACER_PROVIDER", provider)
