"""A run that was gated live, exported to a store and audited: the same calls, tokens and dollars."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from budget_audit.loading import Loaded, load
from openai import DefaultHttpxClient, OpenAI
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from otelbudget import Budget, BudgetExceededError, BudgetSpanProcessor, DuckDBSpanExporter
from otelbudget.audit.outcomes import Replay
from otelbudget.audit.recorded import recorded
from otelbudget.audit.replay import replay
from otelbudget.audit.spend import Spend, spend
from otelbudget.budgets.config import Budgets
from otelbudget.pricing.billing import UnknownModel
from otelbudget.testing import FakeProvider, Reply

# gpt-4o: 2.50 USD/Mtok in, 1.25 from the cache, 10 out.
REPLIES = [
    Reply(input_tokens=1_000, output_tokens=100),  # 0.0025 + 0.001 = 0.0035 USD
    Reply(input_tokens=2_000, output_tokens=50),  # 0.005 + 0.0005 = 0.0055 USD
    Reply(input_tokens=2_000, output_tokens=50),  # the same tokens again
    Reply(input_tokens=1_000, output_tokens=100, cache_read_input_tokens=800),  # 0.0025 USD
]
COSTS = [3_500_000_000, 5_500_000_000, 5_500_000_000, 2_500_000_000]  # in pico-USD
MESSAGES: Any = [{"role": "user", "content": "hello"}]
Run = Callable[..., int]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "live.duckdb"


@pytest.fixture
def is_instrumented() -> bool:
    """Whether the SDK is instrumented; a test that tries both says so."""
    return True


either_way = pytest.mark.parametrize("is_instrumented", [True, False], ids=["spans", "no-spans"])


@pytest.fixture
def live_run(fake_provider: FakeProvider, store: Path, *, is_instrumented: bool) -> Iterator[Run]:
    """Runs a traced agent with a budget; gives how many of its calls were refused."""
    instrumentor = OpenAIInstrumentor()
    providers: list[TracerProvider] = []

    def run(
        budget: Budget, replies: list[Reply] = REPLIES, *, agent_repeats_usage: bool = False
    ) -> int:
        fake_provider.reply_with(replies)
        provider = TracerProvider(shutdown_on_exit=False)
        providers.append(provider)
        provider.add_span_processor(SimpleSpanProcessor(DuckDBSpanExporter(store)))
        provider.add_span_processor(BudgetSpanProcessor(budget))
        if is_instrumented:
            instrumentor.instrument(tracer_provider=provider)
        client = OpenAI(
            base_url=fake_provider.openai_base_url,
            api_key="none",
            max_retries=0,
            http_client=DefaultHttpxClient(verify=False),
        )
        tracer, denied = provider.get_tracer("app"), 0
        agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "writer"}
        with client, tracer.start_as_current_span("run", attributes=agent) as root:
            for _ in replies:
                with tracer.start_as_current_span("step"):
                    try:
                        client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
                    except BudgetExceededError:
                        denied += 1
            if agent_repeats_usage:
                billed = fake_provider.billed
                root.set_attribute(
                    "gen_ai.usage.input_tokens", sum(each.usage.input_tokens for each in billed)
                )
                root.set_attribute(
                    "gen_ai.usage.output_tokens", sum(each.usage.output_tokens for each in billed)
                )
        if is_instrumented:
            instrumentor.uninstrument()
        provider.shutdown()
        return denied

    yield run
    for provider in providers:
        provider.shutdown()


def audited(store: Path) -> Spend:
    return spend(load([str(store)]).store, ("agent", "model"))


def replayed(loaded: Loaded, budget: Budget) -> Replay:
    recording = recorded(loaded.store, loaded.book, [budget], UnknownModel.CEILING)
    return replay(recording, Budgets((budget,)))


def assert_equals_the_bill(answer: Spend, fake_provider: FakeProvider) -> None:
    usages = [billed.usage for billed in fake_provider.billed]
    totals = answer.totals
    assert totals.model_calls == len(usages)
    assert totals.input_tokens == sum(usage.input_tokens for usage in usages)
    assert totals.output_tokens == sum(usage.output_tokens for usage in usages)
    assert totals.cache_read_input_tokens == sum(usage.cache_read_input_tokens for usage in usages)
    assert (totals.unpriced_calls, totals.calls_without_usage) == (0, 0)


@either_way
@pytest.mark.parametrize("agent_repeats_usage", [False, True], ids=["plain", "agent-repeats"])
def test_the_audit_of_a_live_run_equals_the_bill(
    agent_repeats_usage: bool,  # noqa: FBT001 - a cell of the table
    live_run: Run,
    store: Path,
    fake_provider: FakeProvider,
) -> None:
    live_run(Budget(calls=100), agent_repeats_usage=agent_repeats_usage)

    answer = audited(store)
    assert_equals_the_bill(answer, fake_provider)
    assert answer.totals.list_cost_pusd == sum(COSTS) == 17_000_000_000
    assert [(group.key["agent"], group.totals.model_calls) for group in answer.groups] == [
        ("writer", 4)
    ]


def test_many_calls_on_one_span_are_all_in_the_audit(
    fake_provider: FakeProvider, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A span of the SDK keeps 128 events; what comes beyond is written on spans of its own."""
    fake_provider.reply_with([Reply(input_tokens=1, output_tokens=1)] * 200)
    provider = TracerProvider(shutdown_on_exit=False)
    monkeypatch.setattr("opentelemetry.trace._TRACER_PROVIDER", provider)
    provider.add_span_processor(SimpleSpanProcessor(DuckDBSpanExporter(store)))
    processor = BudgetSpanProcessor(Budget(calls=1_000))
    provider.add_span_processor(processor)
    client = OpenAI(
        base_url=fake_provider.openai_base_url,
        api_key="none",
        http_client=DefaultHttpxClient(verify=False),
    )
    with client, provider.get_tracer("app").start_as_current_span("run"):
        for _ in range(200):
            client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    provider.shutdown()
    [(_, account)] = processor.engine.ledger.accounts()

    assert account.calls == 200
    assert_equals_the_bill(audited(store), fake_provider)


@either_way
def test_equal_calls_of_a_server_with_one_response_id_are_counted_each(
    live_run: Run, store: Path, fake_provider: FakeProvider
) -> None:
    live_run(Budget(calls=100), [Reply(input_tokens=1_000, output_tokens=100, key="1")] * 4)

    answer = audited(store)
    assert_equals_the_bill(answer, fake_provider)
    assert answer.totals.list_cost_pusd == 4 * COSTS[0]


def test_refused_calls_are_no_calls(
    live_run: Run, store: Path, fake_provider: FakeProvider
) -> None:
    denied = live_run(Budget(calls=3))

    answer = audited(store)
    assert denied == 1
    assert_equals_the_bill(answer, fake_provider)
    assert answer.totals.list_cost_pusd == sum(COSTS[:3])


LIMITS = [
    pytest.param({"cost_usd": "0.009"}, 2, id="reached-exactly"),  # 0.0035 + 0.0055
    pytest.param({"cost_usd": "0"}, 4, id="zero"),
    pytest.param({"tokens": 1_100}, 3, id="tokens"),
    pytest.param({"calls": 3}, 1, id="calls"),
]


@pytest.mark.parametrize(("limit", "refused"), LIMITS)
def test_replay_of_an_audit_mode_run_refuses_what_enforcing_refuses(
    limit: dict[str, Any],
    refused: int,
    live_run: Run,
    store: Path,
) -> None:
    live_run(Budget(**limit, mode="audit"))
    observed = load([str(store)])
    store.unlink()
    denied = live_run(Budget(**limit))

    result = replayed(observed, Budget(**limit))

    assert result.calls == 4
    assert result.calls_denied == denied == refused
    assert result.avoided_pusd == sum(COSTS[4 - refused :])
    # What replay says would have been spent is what the enforced run did spend.
    assert result.spent_pusd == (audited(store).totals.list_cost_pusd or 0)
