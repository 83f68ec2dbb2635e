"""A model whose answers cost what the question says, asked by the real openai client."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
from openai import AsyncOpenAI, DefaultAsyncHttpxClient, DefaultHttpxClient, OpenAI
from opentelemetry.sdk.trace import TracerProvider

from otelbudget import Budget, Budgets, BudgetSpanProcessor
from otelbudget.testing import FakeProvider, Reply, Request

Watch = Callable[..., BudgetSpanProcessor]
Ask = Callable[..., None]

# gpt-4o: 10 USD/Mtok of output, so that a token costs 0.00001 USD; input is none.
_USD_PER_TOKEN = Decimal("0.00001")


def _answer(request: Request) -> Reply:
    """What "0.15 USD" or "0.15 USD in 5 s" asks for."""
    words = str(request.body["messages"][-1]["content"]).split()
    seconds = float(words[3]) if "in" in words else 0
    tokens = int(Decimal(words[0]) / _USD_PER_TOKEN)
    return Reply(input_tokens=0, output_tokens=tokens, latency_seconds=seconds)


@pytest.fixture
def model(fake_provider: FakeProvider) -> FakeProvider:
    fake_provider.reply_with(_answer)
    return fake_provider


def arguments(cost_usd: str, model: str = "gpt-4o", **more: Any) -> dict[str, Any]:
    """The arguments of a chat completion that costs so much."""
    return {"model": model, "messages": [{"role": "user", "content": f"{cost_usd} USD"}], **more}


@pytest.fixture
def ask(model: FakeProvider) -> Iterator[Ask]:
    """Asks for an answer of a cost in US dollars."""
    with OpenAI(
        base_url=model.openai_base_url,
        api_key="none",
        max_retries=0,
        http_client=DefaultHttpxClient(verify=False),
    ) as client:

        def call(cost_usd: str, **more: Any) -> None:
            client.chat.completions.create(**arguments(cost_usd, **more))

        yield call


@pytest.fixture
def aask(model: FakeProvider) -> Callable[[], Any]:
    """Opens an async client; gives what asks for an answer of a cost, such as "0.15 USD in 5 s"."""

    @asynccontextmanager
    async def opened() -> Any:
        async with AsyncOpenAI(
            base_url=model.openai_base_url,
            api_key="none",
            max_retries=0,
            http_client=DefaultAsyncHttpxClient(verify=False),
        ) as client:

            def call(question: str) -> Awaitable[Any]:
                message = {"role": "user", "content": question}
                return client.chat.completions.create(model="gpt-4o", messages=[message])  # type: ignore[list-item]  # a plain dict does

            yield call

    return opened


@pytest.fixture
def watch(provider: TracerProvider) -> Watch:
    """Makes a processor and adds it to the provider."""

    def add(*budgets: Budget | Budgets, **options: Any) -> BudgetSpanProcessor:
        processor = BudgetSpanProcessor(*budgets, **options)
        provider.add_span_processor(processor)
        return processor

    return add
