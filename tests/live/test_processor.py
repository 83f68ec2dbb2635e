"""The processor as a whole: modes, tiers, warnings, unknown models, metrics, threads, shutdown."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI
from opentelemetry import context
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, NumberDataPoint
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import Tracer

from otelbudget import (
    Budget,
    BudgetConfigError,
    BudgetExceededError,
    Budgets,
    BudgetSpanProcessor,
    UnknownModelError,
)
from otelbudget.testing import FakeProvider, Reply

Watch = Callable[..., BudgetSpanProcessor]
UsageOf = Callable[[BudgetSpanProcessor], tuple[int, int, int]]

MODEL = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
UNKNOWN = "no-such-model-7"


def _chat(client: OpenAI, model: str = "gpt-4o", **options: Any) -> Any:
    return client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "hello"}], **options
    )


# What refuses.


@pytest.mark.parametrize(
    ("budget", "kind", "usage"),  # the third call is refused: 2 * 0.10 USD, 2 * 25_000 tokens
    [
        pytest.param(Budget(cost_usd="0.20"), "cost_usd", Decimal("0.20"), id="cost_usd"),
        pytest.param(Budget(tokens=50_000), "tokens", Decimal(50_000), id="tokens"),
        pytest.param(Budget(calls=2), "calls", Decimal(2), id="calls"),
    ],
)
def test_a_limit_of_each_kind_closes_when_usage_is_at_it(
    watch: Watch, tracer: Tracer, client: OpenAI, budget: Budget, kind: str, usage: Decimal
) -> None:
    watch(budget)
    with tracer.start_as_current_span("run") as span:
        trace_id = format(span.get_span_context().trace_id, "032x")
        _chat(client)
        _chat(client)
        with pytest.raises(BudgetExceededError) as refusal:
            _chat(client)

    error = refusal.value
    assert (error.kind, error.usage, error.limit, error.overage) == (kind, usage, usage, Decimal(0))
    assert (error.budget, error.scope, error.trace_id) == ("budget", {"trace": trace_id}, trace_id)


def test_each_trace_has_its_own_usage(
    watch: Watch, tracer: Tracer, client: OpenAI, ten_cents: FakeProvider
) -> None:
    watch(Budget(calls=1))
    for _ in range(3):
        with tracer.start_as_current_span("run"):
            _chat(client)

    assert ten_cents.request_count == 3


def test_the_tightest_budget_wins_and_is_named(
    watch: Watch, tracer: Tracer, client: OpenAI
) -> None:
    watch(Budget(calls=2, name="wide"), Budget(calls=1, name="tight"))
    with tracer.start_as_current_span("run"):
        _chat(client)
        with pytest.raises(BudgetExceededError) as refusal:
            _chat(client)

    assert refusal.value.budget == "tight"


def test_calls_outside_any_trace_count_together_and_are_stopped(
    watch: Watch, client: OpenAI, ten_cents: FakeProvider, caplog: pytest.LogCaptureFixture
) -> None:
    watch(Budget(calls=2))
    _chat(client)
    _chat(client)
    with pytest.raises(BudgetExceededError) as refusal:
        _chat(client)

    assert ten_cents.request_count == 2
    assert (refusal.value.scope, refusal.value.trace_id) == ({"trace": "(none)"}, None)
    assert sum("outside any trace" in message for message in caplog.messages) == 1


# Modes.


def test_audit_mode_raises_nothing_and_reports_once(
    watch: Watch,
    tracer: Tracer,
    client: OpenAI,
    ten_cents: FakeProvider,
    span_exporter: InMemorySpanExporter,
) -> None:
    watch(Budget(cost_usd="0.25"), mode="audit")
    with tracer.start_as_current_span("run"):
        for _ in range(6):
            _chat(client)

    assert ten_cents.request_count == 6
    [span] = span_exporter.get_finished_spans()
    exceeded = [event for event in span.events if event.name == "otelbudget.exceeded"]
    [event] = exceeded
    assert dict(event.attributes or {}) == {
        "otelbudget.budget": "budget",
        "otelbudget.limit.kind": "cost_usd",
        "otelbudget.limit": "0.25",
        "otelbudget.usage": "0.30",
        "otelbudget.threshold": "1",
        "otelbudget.scope.trace": format(span.context.trace_id, "032x"),
    }


def test_audit_mode_marks_the_calls_that_would_have_been_refused(
    watch: Watch, tracer: Tracer, span_exporter: InMemorySpanExporter
) -> None:
    watch(Budget(calls=1), mode="audit")
    with tracer.start_as_current_span("run"):
        for _ in range(2):
            tracer.start_span("chat", attributes=MODEL).end()

    first, second, _ = span_exporter.get_finished_spans()
    assert (first.attributes or {})["otelbudget.decision"] == "allowed"
    assert (second.attributes or {})["otelbudget.decision"] == "audited"


def test_a_budget_that_is_off_does_nothing(watch: Watch, tracer: Tracer, client: OpenAI) -> None:
    processor = watch(Budget(calls=0, mode="off"))
    with tracer.start_as_current_span("run"):
        _chat(client)

    assert not list(processor.engine.ledger.accounts())


# Warnings.


def test_each_warning_is_given_once_with_both_numbers(
    watch: Watch, tracer: Tracer, client: OpenAI, caplog: pytest.LogCaptureFixture
) -> None:
    watch(Budget(cost_usd=1, warn_at=["0.5", "0.8", "0.9"]))
    with tracer.start_as_current_span("run") as span:
        trace_id = format(span.get_span_context().trace_id, "032x")
        for _ in range(10):
            _chat(client)

    assert caplog.messages == [
        f"Budget 'budget' (trace {trace_id}) is 50.0 % used: 0.50 of 1.00 USD.",
        f"Budget 'budget' (trace {trace_id}) is 80.0 % used: 0.80 of 1.00 USD.",
        f"Budget 'budget' (trace {trace_id}) is 90.0 % used: 0.90 of 1.00 USD.",
        (
            f"Budget 'budget' (trace {trace_id}) is used up: 1.00 of 1.00 USD; "
            "its next model call is refused; raise the limit or start a new run."
        ),
    ]
    assert {record.name for record in caplog.records} == {"otelbudget"}


def test_a_warning_is_an_event_on_the_current_span(
    watch: Watch, tracer: Tracer, client: OpenAI, span_exporter: InMemorySpanExporter
) -> None:
    watch(Budget(calls=5))
    with tracer.start_as_current_span("run"):
        for _ in range(4):
            _chat(client)

    [span] = span_exporter.get_finished_spans()
    [event] = [event for event in span.events if event.name == "otelbudget.warning"]
    assert (event.attributes or {})["otelbudget.usage"] == "4"


# Tiers.


def test_a_tier_holds_for_the_traces_whose_root_asks_for_it(
    watch: Watch, tracer: Tracer, client: OpenAI
) -> None:
    watch(Budget(calls=1, name="quick", per=None))
    refused_by = []
    for attributes in ({"otelbudget.tier": "quick"}, {"otelbudget.tier": "other"}, {}):
        with tracer.start_as_current_span("run", attributes=attributes):
            _chat(client)
            try:
                _chat(client)
            except BudgetExceededError as error:
                refused_by.append(error.budget)
            else:
                refused_by.append("nobody")

    assert refused_by == ["quick", "nobody", "nobody"]


def test_a_sampled_out_trace_has_no_tier(client: OpenAI) -> None:
    """Its spans are never shown to a processor; budgets per trace hold (see the matrix)."""
    provider = TracerProvider(sampler=ALWAYS_OFF)
    provider.add_span_processor(BudgetSpanProcessor(Budget(calls=0, name="quick", per=None)))
    tracer = provider.get_tracer("app")
    with tracer.start_as_current_span("run", attributes={"otelbudget.tier": "quick"}):
        _chat(client)
    provider.shutdown()


# Models without a known price.


def test_an_unknown_model_counts_at_a_ceiling_price_and_says_so(
    watch: Watch,
    tracer: Tracer,
    client: OpenAI,
    ten_cents: FakeProvider,
    caplog: pytest.LogCaptureFixture,
) -> None:
    watch(Budget(cost_usd="0.01"))
    with tracer.start_as_current_span("run"):
        _chat(client, UNKNOWN)
        with pytest.raises(BudgetExceededError, match=r"6\.00 USD estimated") as refusal:
            _chat(client, UNKNOWN)

    facts = refusal.value.facts
    assert facts.estimated_usd == facts.usage > Decimal("0.01")
    assert sum("has no known price" in message for message in caplog.messages) == 1
    assert ten_cents.request_count == 1


def test_an_unknown_model_is_refused_where_that_is_chosen(
    watch: Watch, tracer: Tracer, client: OpenAI, ten_cents: FakeProvider
) -> None:
    watch(Budget(cost_usd=1), unknown_model="deny")
    with tracer.start_as_current_span("run"):
        _chat(client)
        with pytest.raises(UnknownModelError, match=UNKNOWN):
            _chat(client, UNKNOWN)

    assert ten_cents.request_count == 1


def test_an_unknown_model_is_not_refused_in_audit_mode(
    watch: Watch, tracer: Tracer, client: OpenAI, ten_cents: FakeProvider
) -> None:
    watch(Budget(cost_usd=1), unknown_model="deny", mode="audit")
    with tracer.start_as_current_span("run"):
        _chat(client, UNKNOWN)

    assert ten_cents.request_count == 1


def test_an_unknown_model_costs_nothing_where_that_is_chosen_but_its_tokens_count(
    watch: Watch, tracer: Tracer, client: OpenAI, usage_of: UsageOf
) -> None:
    processor = watch(Budget(cost_usd="0.01"), unknown_model="allow")
    with tracer.start_as_current_span("run"):
        _chat(client, UNKNOWN)

    assert usage_of(processor) == (1, 25_000, 0)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (BudgetSpanProcessor, "at least one budget"),
        (lambda: BudgetSpanProcessor(Budget(calls=1), Budget(calls=2)), "two budgets are named"),
        (lambda: BudgetSpanProcessor(Budget(calls=1), mode="loud"), "off, audit, enforce"),
        (
            lambda: BudgetSpanProcessor(Budget(calls=1), unknown_model="free"),
            "ceiling, deny, allow",
        ),
        (lambda: BudgetSpanProcessor("0.25"), "is no budget"),  # type: ignore[arg-type]  # the point
    ],
)
def test_wrong_arguments_name_what_is_allowed(make: Callable[[], object], reason: str) -> None:
    with pytest.raises(BudgetConfigError, match=reason):
        make()


def test_a_processor_is_made_from_a_budgets_file(
    provider: TracerProvider, tracer: Tracer, client: OpenAI, tmp_path: Path
) -> None:
    file = tmp_path / "budgets.yaml"
    file.write_text("budgets:\n  per-run:\n    per: trace\n    max_cost_usd: 0.10\n")
    provider.add_span_processor(BudgetSpanProcessor.from_yaml(file))
    with tracer.start_as_current_span("run"):
        _chat(client)
        with pytest.raises(BudgetExceededError) as refusal:
            _chat(client)

    assert (refusal.value.budget, refusal.value.limit) == ("per-run", Decimal("0.10"))


# Metrics.


def test_metrics_tell_cost_tokens_calls_and_budgets_without_naming_a_trace(
    watch: Watch, tracer: Tracer, client: OpenAI, ten_cents: FakeProvider
) -> None:
    reader = InMemoryMetricReader()
    watch(Budget(cost_usd="0.25"), meter_provider=MeterProvider([reader]))
    ten_cents.reply_with(
        Reply(input_tokens=20_000, output_tokens=5_000, cache_read_input_tokens=8_000)
    )
    with tracer.start_as_current_span("run"):
        for _ in range(3):
            _chat(client)
        with pytest.raises(BudgetExceededError):
            _chat(client)

    model = {"model": "gpt-4o", "provider": "openai"}
    budget = {"budget": "budget", "kind": "cost_usd"}
    # 2.50 USD/Mtok * 12_000 + 1.25 USD/Mtok * 8_000 + 10 USD/Mtok * 5_000 = 0.09 USD; 3 calls
    assert _points(reader) == {
        ("otelbudget.cost.usd", _key(model)): pytest.approx(0.27),
        ("otelbudget.tokens", _key({**model, "token_type": "input"})): 36_000,
        ("otelbudget.tokens", _key({**model, "token_type": "cache_read"})): 24_000,
        ("otelbudget.tokens", _key({**model, "token_type": "output"})): 15_000,
        ("otelbudget.calls", _key({"decision": "allowed"})): 3,
        ("otelbudget.calls", _key({"decision": "denied"})): 1,
        ("otelbudget.denied", _key(budget)): 1,
        ("otelbudget.events", _key({"event": "warning", "budget": "budget"})): 1,
        ("otelbudget.events", _key({"event": "exceeded", "budget": "budget"})): 1,
        ("otelbudget.events", _key({"event": "denied", "budget": "budget"})): 1,
        ("otelbudget.limit", _key(budget)): pytest.approx(0.25),
        ("otelbudget.usage", _key(budget)): pytest.approx(0.27),
    }


def _key(labels: dict[str, str]) -> frozenset[tuple[str, str]]:
    return frozenset(labels.items())


def _points(reader: InMemoryMetricReader) -> dict[tuple[str, frozenset[Any]], int | float]:
    data = reader.get_metrics_data()
    assert data is not None
    return {
        (metric.name, frozenset((point.attributes or {}).items())): point.value
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
        if isinstance(point, NumberDataPoint) and point.value
    }


# Several processors, shutdown, switching off.


def test_two_processors_each_charge_a_call_once(
    watch: Watch, tracer: Tracer, client: OpenAI, span_exporter: InMemorySpanExporter
) -> None:
    processors = [watch(Budget(calls=2)), watch(Budget(calls=1))]
    with tracer.start_as_current_span("run"):
        _chat(client)
        with pytest.raises(BudgetExceededError) as refusal:
            _chat(client)

    assert refusal.value.limit == 1
    for processor in processors:
        [(_, account)] = processor.engine.ledger.accounts()
        assert (account.calls, account.tokens) == (1, 25_000)
    [span] = span_exporter.get_finished_spans()
    ids = {
        (event.attributes or {})["otelbudget.call.id"]
        for event in span.events
        if event.name == "otelbudget.call"
    }
    assert len(ids) == 1


def test_after_shutdown_nothing_is_stopped_or_counted(
    watch: Watch, tracer: Tracer, client: OpenAI, ten_cents: FakeProvider
) -> None:
    processor = watch(Budget(calls=0))
    processor.shutdown()
    with tracer.start_as_current_span("chat", attributes=MODEL):
        _chat(client)

    assert ten_cents.request_count == 1
    assert not list(processor.engine.ledger.accounts())


@pytest.mark.parametrize("value", ["1", "true", "YES", "on"])
def test_the_environment_switches_everything_off(
    watch: Watch,
    tracer: Tracer,
    client: OpenAI,
    ten_cents: FakeProvider,
    monkeypatch: pytest.MonkeyPatch,
    value: str,
) -> None:
    monkeypatch.setenv("OTELBUDGET_DISABLED", value)
    processor = watch(Budget(calls=0))
    with tracer.start_as_current_span("chat", attributes=MODEL):
        _chat(client)

    assert ten_cents.request_count == 1
    assert not list(processor.engine.ledger.accounts())


# Threads, tasks, processes.


def test_the_overshoot_of_parallel_tasks_is_bounded_by_the_calls_in_flight(
    watch: Watch, tracer: Tracer, ten_cents: FakeProvider
) -> None:
    processor = watch(Budget(cost_usd="0.25"))

    async def ask(client: openai.AsyncOpenAI) -> None:
        await client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "hello"}]
        )

    async def main() -> list[BaseException | None]:
        async with openai.AsyncOpenAI(
            base_url=ten_cents.openai_base_url,
            api_key="none",
            http_client=openai.DefaultAsyncHttpxClient(verify=False),
        ) as client:
            with tracer.start_as_current_span("run"):
                first = await asyncio.gather(
                    *(ask(client) for _ in range(8)), return_exceptions=True
                )
                second = await asyncio.gather(
                    *(ask(client) for _ in range(8)), return_exceptions=True
                )
        return first + second

    outcomes = asyncio.run(main())

    refused = [outcome for outcome in outcomes if outcome is not None]
    assert all(type(outcome) is BudgetExceededError for outcome in refused)
    assert len(refused) == 16 - ten_cents.request_count >= 8
    [(_, account)] = processor.engine.ledger.accounts()
    assert account.cost_pusd == ten_cents.request_count * 100_000_000_000
    # Closed by the third call; only those of the first eight that were in flight may still pass.
    assert ten_cents.request_count <= 8


def test_threads_of_one_trace_share_its_budget(
    watch: Watch, tracer: Tracer, client: OpenAI, ten_cents: FakeProvider
) -> None:
    threads = 8
    processor = watch(Budget(calls=5))

    def ask(run: context.Context) -> int:
        token = context.attach(run)
        try:
            for done in range(5):
                try:
                    _chat(client)
                except BudgetExceededError:
                    return done
            return 5
        finally:
            context.detach(token)

    with tracer.start_as_current_span("run"):
        run = context.get_current()
        with ThreadPoolExecutor(threads) as pool:
            done = list(pool.map(ask, [run] * threads))

    [(_, account)] = processor.engine.ledger.accounts()
    assert sum(done) == ten_cents.request_count == account.calls == 5
    assert account.denied == threads


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_does_not_wait_for_a_lock_of_its_parent(
    watch: Watch, tracer: Tracer, client: OpenAI
) -> None:
    processor = watch(Budget(calls=1))
    with tracer.start_as_current_span("run"):
        _chat(client)
        held, is_forked = threading.Event(), threading.Event()
        accounting = processor._accounting  # noqa: SLF001 - the locks are nobody else's business

        def hold() -> None:
            with accounting.lock, processor.engine.ledger.lock:
                held.set()
                is_forked.wait(10)

        holder = threading.Thread(target=hold)
        holder.start()
        held.wait(10)
        child = os.fork()
        if child == 0:
            signal.alarm(10)  # ends a child that hangs
            try:
                _chat(client)
            except BudgetExceededError:
                os._exit(42)
            finally:
                os._exit(1)
        is_forked.set()
        holder.join()
        _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 42


def test_a_log_handler_that_calls_a_model_does_not_hang(
    watch: Watch, tracer: Tracer, client: OpenAI, usage_of: UsageOf
) -> None:
    import logging  # noqa: PLC0415 - only this test makes a handler

    class AsksTheModel(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            _chat(client)

    handler = AsksTheModel()
    logger = logging.getLogger("otelbudget")
    logger.addHandler(handler)
    processor = watch(Budget(calls=10, warn_at=["0.1"]))
    try:
        with tracer.start_as_current_span("run"):
            _chat(client)
    finally:
        logger.removeHandler(handler)

    assert usage_of(processor)[0] == 2


def test_a_fault_of_ours_does_not_reach_the_application(
    watch: Watch,
    tracer: Tracer,
    client: OpenAI,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A broken price book: every call goes on, the fault is logged once for each place."""
    processor = watch(Budget(cost_usd=1))
    monkeypatch.setattr(processor._accounting, "_book", None)  # noqa: SLF001 - to break it
    with tracer.start_as_current_span("run"):
        for _ in range(3):
            _chat(client)
            span = tracer.start_span("chat", attributes=MODEL)
            span.set_attribute("gen_ai.usage.input_tokens", 7)
            span.end()

    faults = [message for message in caplog.messages if "otelbudget failed in" in message]
    assert len(faults) == len(set(faults)) == 2


def test_memory_of_links_is_bounded(watch: Watch, tracer: Tracer) -> None:
    """More traces than are kept, none of which ever ends."""
    processor = watch(Budget(calls=1))
    links = processor._accounting.links  # noqa: SLF001 - there is no public view of it
    spans = [tracer.start_span("run", context.Context()) for _ in range(10_050)]

    assert len(links._traces) == 10_000  # noqa: SLF001 - see above
    assert links.overflow == 50
    assert len(spans) == 10_050


def test_budgets_read_from_a_file_bring_their_unknown_model(
    watch: Watch, tracer: Tracer, client: OpenAI
) -> None:
    watch(Budgets.from_config({"unknown_model": "deny", "budgets": {"a": {"max_calls": 9}}}))

    with tracer.start_as_current_span("run"), pytest.raises(UnknownModelError):
        _chat(client, UNKNOWN)


def test_budgets_read_from_a_file_bring_their_prices(
    watch: Watch, tracer: Tracer, client: OpenAI, usage_of: UsageOf
) -> None:
    own = {"openai/gpt-4o": [{"input_usd_per_mtok": "1", "output_usd_per_mtok": "2"}]}
    budgets = {"a": {"per": "trace", "max_calls": 9}}
    processor = watch(Budgets.from_config({"prices": {"models": own}, "budgets": budgets}))
    with tracer.start_as_current_span("run"):
        _chat(client)

    # 20,000 tokens at 1 USD/Mtok and 5,000 at 2 USD/Mtok
    assert usage_of(processor) == (1, 25_000, 30_000_000_000)


def test_old_prices_are_told_once_at_the_start(
    watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    watch(Budget(calls=1))
    assert "days old" not in caplog.text

    watch(Budget(calls=1), clock=lambda: time.time_ns() + 40 * 86_400 * 10**9)
    assert "the prices are 40 days old" in caplog.text
