"""The botocore gate: models at Bedrock are charged once, and a used-up budget closes it."""

import gc
import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3  # type: ignore[import-untyped]  # it has no types
import botocore.client  # type: ignore[import-untyped]  # as above
import botocore.session  # type: ignore[import-untyped]  # as above
import pytest
import wrapt
from botocore.config import Config  # type: ignore[import-untyped]  # as above
from botocore.exceptions import (  # type: ignore[import-untyped]  # as above
    BotoCoreError,
    ClientError,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Tracer

from otelbudget import Budget, BudgetExceededError, BudgetSpanProcessor
from otelbudget.testing import FakeProvider, Reply

Watch = Callable[..., BudgetSpanProcessor]
UsageOf = Callable[[BudgetSpanProcessor], tuple[int, int, int]]

NOVA = "amazon.nova-pro-v1:0"
LLAMA = "meta.llama3-1-70b-instruct-v1:0"
CLAUDE = "global.anthropic.claude-haiku-4-5-20251001-v1:0"
CLAUDE_ARN = f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/{CLAUDE}"
# of NOVA: 0.80 USD/Mtok * 75_000 + 3.20 USD/Mtok * 12_500 = 0.06 USD + 0.04 USD
TEN_CENTS = Reply(input_tokens=75_000, output_tokens=12_500)
TEN_CENTS_PUSD = 100_000_000_000
ONE_CALL = (1, 87_500, TEN_CENTS_PUSD)

HELLO = [{"role": "user", "content": [{"text": "hello"}]}]
BODY = json.dumps({"messages": HELLO, "max_tokens": 10})
ONE_ATTEMPT = Config(retries={"total_max_attempts": 1, "mode": "standard"})


def _options(provider: FakeProvider) -> dict[str, Any]:
    return {
        "region_name": "us-east-1",
        "endpoint_url": provider.bedrock_endpoint_url,
        "aws_access_key_id": "none",
        "aws_secret_access_key": "none",
        "config": ONE_ATTEMPT,
    }


@pytest.fixture
def client(fake_provider: FakeProvider) -> Iterator[Any]:
    fake_provider.reply_with(TEN_CENTS)
    made = boto3.client("bedrock-runtime", **_options(fake_provider))
    yield made
    made.close()


def _converse(client: Any, model: str) -> object:
    return client.converse(modelId=model, messages=HELLO)


def _converse_stream(client: Any, model: str) -> object:
    return list(client.converse_stream(modelId=model, messages=HELLO)["stream"])


def _invoke(client: Any, model: str) -> object:
    return json.loads(client.invoke_model(modelId=model, body=BODY)["body"].read())


def _invoke_stream(client: Any, model: str) -> object:
    return list(client.invoke_model_with_response_stream(modelId=model, body=BODY)["body"])


DOORS: dict[str, Callable[[Any, str], object]] = {
    "converse": _converse,
    "converse-stream": _converse_stream,
    "invoke": _invoke,
    "invoke-stream": _invoke_stream,
}


@pytest.mark.parametrize("door", DOORS)
def test_the_fourth_call_of_ten_cents_is_refused_at_thirty_cents(
    client: Any,
    fake_provider: FakeProvider,
    watch: Watch,
    tracer: Tracer,
    usage_of: UsageOf,
    door: str,
) -> None:
    processor = watch(Budget(cost_usd="0.30"))
    with tracer.start_as_current_span("run"):
        for _ in range(3):
            DOORS[door](client, NOVA)
        with pytest.raises(BudgetExceededError):
            DOORS[door](client, NOVA)
        usage = usage_of(processor)

    assert fake_provider.request_count == 3
    assert usage == (3, 3 * 87_500, 3 * TEN_CENTS_PUSD)


@pytest.mark.parametrize("door", DOORS)
def test_a_call_with_a_span_of_an_instrumentation_around_it_is_charged_once(
    client: Any,
    provider: TracerProvider,
    watch: Watch,
    tracer: Tracer,
    usage_of: UsageOf,
    door: str,
) -> None:
    processor = watch(Budget(cost_usd=100))
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "aws.bedrock",
        "gen_ai.request.model": NOVA,
    }
    instrumentation = provider.get_tracer("opentelemetry.instrumentation.botocore.bedrock-runtime")
    with (
        tracer.start_as_current_span("run"),
        instrumentation.start_as_current_span("chat", attributes=attributes) as span,
    ):
        DOORS[door](client, NOVA)
        span.set_attribute("gen_ai.usage.input_tokens", 75_000)
        span.set_attribute("gen_ai.usage.output_tokens", 12_500)

    assert usage_of(processor) == ONE_CALL


CACHED = Reply(
    input_tokens=10_000,
    output_tokens=3_000,
    cache_read_input_tokens=4_000,
    cache_write_input_tokens=2_000,
    cache_write_1h_input_tokens=1_000,
)


@pytest.mark.parametrize("model", [CLAUDE, CLAUDE_ARN])
@pytest.mark.parametrize("door", DOORS)
@pytest.mark.usefixtures("run")
def test_caches_are_charged_each_at_its_rate_and_at_that_of_the_region(
    client: Any,
    fake_provider: FakeProvider,
    processor: BudgetSpanProcessor,
    usage_of: UsageOf,
    door: str,
    model: str,
) -> None:
    fake_provider.reply_with(CACHED)
    DOORS[door](client, model)

    # 1 USD/Mtok * 4_000 + 0.10 USD/Mtok * 4_000 read + 1.25 USD/Mtok * 1_000 written for minutes
    # + 2 USD/Mtok * 1_000 written for an hour + 5 USD/Mtok * 3_000 out
    # = 0.004 + 0.0004 + 0.00125 + 0.002 + 0.015 USD = 0.02265 USD
    assert usage_of(processor) == (1, 13_000, 22_650_000_000)


@pytest.mark.parametrize("door", ["invoke", "invoke-stream"])
@pytest.mark.usefixtures("run")
def test_a_model_without_usage_in_its_body_is_charged_by_the_counts_of_bedrock(
    client: Any, processor: BudgetSpanProcessor, usage_of: UsageOf, door: str
) -> None:
    DOORS[door](client, LLAMA)

    # 0.72 USD/Mtok * 87_500 = 0.063 USD
    assert usage_of(processor) == (1, 87_500, 63_000_000_000)


@pytest.mark.usefixtures("run")
def test_embeddings_are_charged_and_have_no_output(
    client: Any, fake_provider: FakeProvider, processor: BudgetSpanProcessor, usage_of: UsageOf
) -> None:
    fake_provider.reply_with(Reply(input_tokens=1_000_000))
    _invoke(client, "amazon.titan-embed-text-v2:0")

    # 0.02 USD/Mtok * 1_000_000 = 0.02 USD
    assert usage_of(processor) == (1, 1_000_000, 20_000_000_000)


@pytest.mark.usefixtures("processor")
def test_what_the_gate_read_is_an_event_on_the_current_span(
    client: Any,
    fake_provider: FakeProvider,
    tracer: Tracer,
    span_exporter: InMemorySpanExporter,
) -> None:
    fake_provider.reply_with(Reply(input_tokens=10, output_tokens=5))
    with tracer.start_as_current_span("run"):
        _invoke(client, CLAUDE)

    [span] = span_exporter.get_finished_spans()
    [event] = span.events
    attributes = dict(event.attributes or {})
    assert attributes["gen_ai.provider.name"] == "aws.bedrock"
    assert attributes["gen_ai.operation.name"] == "chat"
    assert attributes["gen_ai.request.model"] == CLAUDE
    assert str(attributes["gen_ai.response.id"]).startswith("msg_bdrk_")
    assert attributes["gen_ai.usage.input_tokens"] == 10
    assert attributes["gen_ai.usage.output_tokens"] == 5


def _in_pieces(body: Any) -> bytes:
    pieces = []
    while piece := body.read(7):
        pieces.append(piece)
    return b"".join(pieces)


def _within(body: Any) -> bytes:
    with body as raw:
        return bytes(raw.read())


def _into(body: Any) -> bytes:
    place = bytearray(1_000)
    return bytes(place[: body.readinto(place)])


READINGS: dict[str, Callable[[Any], bytes]] = {
    "read": lambda body: bytes(body.read()),
    "read-in-pieces": _in_pieces,
    "iterate": b"".join,
    "iter_chunks": lambda body: b"".join(body.iter_chunks(7)),
    "iter_lines": lambda body: b"".join(body.iter_lines()),
    "readlines": lambda body: b"".join(body.readlines()),
    "readinto": _into,
    "with": _within,
    "raw-stream": lambda body: b"".join(body._raw_stream.stream()),  # noqa: SLF001 - as some do
}


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.usefixtures("run")
def test_a_body_can_be_read_in_every_way_it_has(
    client: Any, processor: BudgetSpanProcessor, usage_of: UsageOf, reading: str
) -> None:
    body = client.invoke_model(modelId=NOVA, body=BODY)["body"]
    content = json.loads(READINGS[reading](body))

    assert content["usage"]["inputTokens"] == 75_000
    assert usage_of(processor) == ONE_CALL


@pytest.mark.usefixtures("run")
def test_a_body_that_nobody_reads_is_charged(
    client: Any, processor: BudgetSpanProcessor, usage_of: UsageOf
) -> None:
    client.invoke_model(modelId=NOVA, body=BODY)

    assert usage_of(processor) == ONE_CALL


@pytest.mark.usefixtures("run")
def test_a_stream_is_charged_before_its_last_event_is_handed_on(
    client: Any, processor: BudgetSpanProcessor
) -> None:
    spent_at_last = 0
    for event in client.converse_stream(modelId=NOVA, messages=HELLO)["stream"]:
        if "metadata" in event:
            [(_, account)] = processor.engine.ledger.accounts()
            spent_at_last = account.cost_pusd

    assert spent_at_last == TEN_CENTS_PUSD


@pytest.mark.parametrize("door", ["converse_stream", "invoke_model_with_response_stream"])
@pytest.mark.parametrize("events_read", [0, 2])
@pytest.mark.usefixtures("run")
def test_a_stream_dropped_half_way_stays_counted(
    client: Any,
    processor: BudgetSpanProcessor,
    usage_of: UsageOf,
    door: str,
    events_read: int,
) -> None:
    asked = {"messages": HELLO} if door == "converse_stream" else {"body": BODY}
    answer = getattr(client, door)(modelId=LLAMA, **asked)
    events = iter(answer.get("stream") or answer["body"])
    for _ in range(events_read):
        next(events)
    gc.disable()  # it goes with its last reference, and needs no collector
    try:
        del answer, events
        calls, tokens, _ = usage_of(processor)
    finally:
        gc.enable()

    assert (calls, tokens) == (1, 0)


@pytest.mark.usefixtures("run")
def test_a_stream_that_breaks_off_stays_counted(
    client: Any, fake_provider: FakeProvider, processor: BudgetSpanProcessor, usage_of: UsageOf
) -> None:
    fake_provider.reply_with(Reply(break_after_events=2))
    with pytest.raises(Exception, match="prematurely"):
        _converse_stream(client, NOVA)

    assert usage_of(processor)[0] == 1


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("status", [400, 403, 429])
@pytest.mark.usefixtures("run")
def test_a_request_that_the_provider_refuses_is_no_call(
    client: Any,
    fake_provider: FakeProvider,
    processor: BudgetSpanProcessor,
    usage_of: UsageOf,
    status: int,
    door: str,
) -> None:
    fake_provider.reply_with(Reply(status=status))
    with pytest.raises(ClientError):
        DOORS[door](client, NOVA)

    assert usage_of(processor) == (0, 0, 0)


@pytest.mark.parametrize("reply", [Reply(status=500), Reply(drop_connection=True)])
@pytest.mark.usefixtures("run")
def test_a_request_whose_outcome_is_unknown_stays_counted(
    client: Any,
    fake_provider: FakeProvider,
    processor: BudgetSpanProcessor,
    usage_of: UsageOf,
    reply: Reply,
) -> None:
    fake_provider.reply_with(reply)
    with pytest.raises((ClientError, BotoCoreError)):
        _converse(client, NOVA)

    assert usage_of(processor)[0] == 1


@pytest.mark.usefixtures("run")
def test_a_request_that_no_server_takes_is_no_call(
    client: Any, fake_provider: FakeProvider, processor: BudgetSpanProcessor, usage_of: UsageOf
) -> None:
    fake_provider.close()
    with pytest.raises(BotoCoreError):
        _converse(client, NOVA)

    assert usage_of(processor) == (0, 0, 0)


def test_a_refusal_is_not_retried(
    fake_provider: FakeProvider, watch: Watch, tracer: Tracer
) -> None:
    processor = watch(Budget(calls=0))
    options = _options(fake_provider) | {"config": Config(retries={"total_max_attempts": 5})}
    with tracer.start_as_current_span("run"), pytest.raises(BudgetExceededError):
        _converse(boto3.client("bedrock-runtime", **options), NOVA)

    [(_, account)] = processor.engine.ledger.accounts()
    assert account.denied == 1
    assert fake_provider.request_count == 0


@pytest.mark.usefixtures("run")
def test_clients_of_plain_botocore_are_watched(
    fake_provider: FakeProvider, processor: BudgetSpanProcessor, usage_of: UsageOf
) -> None:
    fake_provider.reply_with(TEN_CENTS)
    options = _options(fake_provider)
    _converse(botocore.session.Session().create_client("bedrock-runtime", **options), NOVA)

    assert usage_of(processor) == ONE_CALL


@pytest.mark.parametrize("door", ["converse-stream", "invoke-stream"])
@pytest.mark.usefixtures("run")
def test_a_stream_is_charged_under_the_proxy_of_an_instrumentation(
    client: Any, processor: BudgetSpanProcessor, usage_of: UsageOf, door: str
) -> None:
    def put_proxy(parsed: dict[str, Any], **_: Any) -> None:
        for name in ("stream", "body"):
            if name in parsed:
                parsed[name] = wrapt.ObjectProxy(parsed[name])

    client.meta.events.register("after-call.bedrock-runtime", put_proxy)
    DOORS[door](client, NOVA)

    assert usage_of(processor) == ONE_CALL


@pytest.mark.usefixtures("run")
def test_the_gate_stays_when_an_instrumentation_takes_its_wrapper_away(
    client: Any, processor: BudgetSpanProcessor, usage_of: UsageOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As opentelemetry-instrumentation does it: whatever is outermost is taken away."""
    calls = botocore.client.BaseClient._make_api_call  # noqa: SLF001 - what they wrap
    unwrapped = getattr(calls, "__wrapped__", calls)
    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", unwrapped)
    _converse(client, NOVA)

    assert usage_of(processor) == ONE_CALL


@pytest.mark.usefixtures("run")
def test_calls_that_ask_no_model_are_neither_counted_nor_refused(
    client: Any, watch: Watch, fake_provider: FakeProvider
) -> None:
    watch(Budget(calls=0))
    with pytest.raises(ClientError):  # the fake provider counts no tokens
        client.count_tokens(modelId=NOVA, input={"converse": {"messages": HELLO}})

    assert fake_provider.request_count == 1
