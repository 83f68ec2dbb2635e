"""The aiobotocore gate; it pins a botocore of its own, so it is there in few environments."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Tracer

from otelbudget import Budget, BudgetExceededError, BudgetSpanProcessor
from otelbudget.testing import FakeProvider, Reply

session = pytest.importorskip("aiobotocore.session")
pytestmark = pytest.mark.compat

Watch = Callable[..., BudgetSpanProcessor]

NOVA = "amazon.nova-pro-v1:0"
# 0.80 USD/Mtok * 75_000 + 3.20 USD/Mtok * 12_500 = 0.06 USD + 0.04 USD
TEN_CENTS = Reply(input_tokens=75_000, output_tokens=12_500)
TEN_CENTS_PUSD = 100_000_000_000
HELLO = [{"role": "user", "content": [{"text": "hello"}]}]
BODY = json.dumps({"messages": HELLO})


async def _converse(client: Any) -> None:
    await client.converse(modelId=NOVA, messages=HELLO)


async def _converse_stream(client: Any) -> None:
    answer = await client.converse_stream(modelId=NOVA, messages=HELLO)
    assert [event async for event in answer["stream"]]


async def _invoke(client: Any) -> None:
    answer = await client.invoke_model(modelId=NOVA, body=BODY)
    assert json.loads(await answer["body"].read())["usage"]["inputTokens"]


async def _invoke_in_pieces(client: Any) -> None:
    answer = await client.invoke_model(modelId=NOVA, body=BODY)
    assert json.loads(b"".join([piece async for piece in answer["body"].iter_chunks(7)]))


async def _invoke_stream(client: Any) -> None:
    answer = await client.invoke_model_with_response_stream(modelId=NOVA, body=BODY)
    assert [event async for event in answer["body"]]


DOORS: dict[str, Callable[[Any], Awaitable[None]]] = {
    "converse": _converse,
    "converse-stream": _converse_stream,
    "invoke": _invoke,
    "invoke-in-pieces": _invoke_in_pieces,
    "invoke-stream": _invoke_stream,
}


@pytest.fixture
def watch(provider: TracerProvider) -> Watch:
    """Makes a processor and adds it to the provider."""

    def add(*budgets: Budget) -> BudgetSpanProcessor:
        processor = BudgetSpanProcessor(*budgets)
        provider.add_span_processor(processor)
        return processor

    return add


def _usage_of(processor: BudgetSpanProcessor) -> tuple[int, int, int]:
    """Calls, tokens and pico-USD of the one account a processor has, none of it estimated."""
    [(_, account)] = processor.engine.ledger.accounts()
    assert (account.in_flight, account.held_pusd, account.estimated_pusd) == (0, 0, 0)
    return account.calls, account.tokens, account.cost_pusd


@pytest.fixture
def call(fake_provider: FakeProvider) -> Callable[[str], None]:
    """Makes a call through a door, by a client and on a loop of its own."""

    async def on_loop(door: str) -> None:
        async with session.get_session().create_client(
            "bedrock-runtime",
            region_name="us-east-1",
            endpoint_url=fake_provider.bedrock_endpoint_url,
            aws_access_key_id="none",
            aws_secret_access_key="none",  # noqa: S106 - no secret
        ) as client:
            await DOORS[door](client)

    fake_provider.reply_with(TEN_CENTS)
    return lambda door: asyncio.run(on_loop(door))


@pytest.mark.parametrize("door", DOORS)
def test_the_fourth_call_of_ten_cents_is_refused_at_thirty_cents(
    call: Callable[[str], None],
    fake_provider: FakeProvider,
    watch: Watch,
    tracer: Tracer,
    door: str,
) -> None:
    processor = watch(Budget(cost_usd="0.30"))
    with tracer.start_as_current_span("run"):
        for _ in range(3):
            call(door)
        with pytest.raises(BudgetExceededError):
            call(door)
        usage = _usage_of(processor)

    assert fake_provider.request_count == 3
    assert usage == (3, 3 * 87_500, 3 * TEN_CENTS_PUSD)


@pytest.mark.parametrize("door", DOORS)
def test_a_request_that_the_provider_refuses_is_no_call(
    call: Callable[[str], None],
    fake_provider: FakeProvider,
    watch: Watch,
    tracer: Tracer,
    door: str,
) -> None:
    processor = watch(Budget(cost_usd="0.30"))
    fake_provider.reply_with(Reply(status=400))
    with tracer.start_as_current_span("run"), pytest.raises(Exception, match="Validation"):
        call(door)

    assert _usage_of(processor) == (0, 0, 0)
