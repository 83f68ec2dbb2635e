"""What budgets of other tools promise of warnings, shares, tiers and tenants, kept here."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest
from opentelemetry import baggage, context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Tracer

import otelbudget
from otelbudget import Budget, BudgetExceededError, BudgetFacts, Budgets, BudgetSpanProcessor
from otelbudget.testing import FakeProvider
from tests.profiles import PROFILES

Watch = Callable[..., BudgetSpanProcessor]
Ask = Callable[..., None]

CYCLES = ["0.0145", "0.0167", "0.0178", "0.0189", "0.0172", "0.0164"]  # 0.1015 USD in all


class Clock:
    """The fixture's."""

    now_ns: int

    def __call__(self) -> int:
        """Unix nanoseconds."""
        return self.now_ns

    def advance(self, *, seconds: int) -> None:
        """Let time pass."""
        raise NotImplementedError


def again(times: int, call: Callable[..., object], *args: object, **more: object) -> None:
    for _ in range(times):
        call(*args, **more)


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [message for message in caplog.messages if " % used: " in message]


def test_20_the_warning_tells_share_usage_and_limit(
    watch: Watch, tracer: Tracer, ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    watch(Budget(cost_usd="0.10"))
    with tracer.start_as_current_span("run"):
        ask("0.0823")

    [message] = warned(caplog)
    assert "is 82.3 % used: 0.0823 of 0.10 USD" in message


def test_21_thresholds_are_told_once_each(
    watch: Watch, tracer: Tracer, ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    watch(Budget(cost_usd="1.00", warn_at=["0.5", "0.8", "0.9"]))
    with tracer.start_as_current_span("run"):
        again(99, ask, "0.01")

    shares = [message.split(" is ")[1].split(" % ")[0] for message in warned(caplog)]
    assert shares == ["50.0", "80.0", "90.0"]


@pytest.mark.parametrize(("tier", "calls"), [("dev", 1), ("staging", 10), ("prod", 100)])
def test_22_tiers_of_an_environment(
    watch: Watch, provider: TracerProvider, ask: Ask, model: FakeProvider, tier: str, calls: int
) -> None:
    limits = {"dev": 1, "staging": 10, "prod": 100}
    watch(*(Budget(name=name, per=None, cost_usd=usd) for name, usd in limits.items()))
    with (
        otelbudget.run("essay", tier=tier, tracer_provider=provider),
        pytest.raises(BudgetExceededError) as error,
    ):
        again(101, ask, "1.00")

    assert model.request_count == calls
    assert error.value.budget == tier


def test_23_a_reserving_budget_needs_no_buffer_for_errors_of_estimation(
    watch: Watch, tracer: Tracer, ask: Ask
) -> None:
    processor = watch(Budget(cost_usd="0.10", reserve=True))
    with tracer.start_as_current_span("run"), pytest.raises(BudgetExceededError):
        for cost in CYCLES * 2:
            ask(cost, max_tokens=2_000)
    [(_, account)] = processor.engine.ledger.accounts()

    assert account.cost_pusd <= 100_000_000_000


def test_24_agents_share_a_budget(
    watch: Watch, provider: TracerProvider, tracer: Tracer, ask: Ask, model: FakeProvider
) -> None:
    shares = {"supervisor": "0.2", "worker1": "0.3", "worker2": "0.3", "worker3": "0.2"}
    watch(
        Budget(name="team", cost_usd=100, shares={"gen_ai.agent.name": shares}),
    )
    spent = {}
    with otelbudget.run("team", tracer_provider=provider):
        for agent in shares:
            before = model.request_count
            with (
                tracer.start_as_current_span("agent", attributes={"gen_ai.agent.name": agent}),
                pytest.raises(BudgetExceededError) as error,
            ):
                again(101, ask, "1.00")
            spent[agent] = model.request_count - before

    assert spent == {"supervisor": 20, "worker1": 30, "worker2": 30, "worker3": 20}
    # With the last one the whole budget is used up as well, which is as far over.
    assert error.value.budget == "team"


def test_24_shares_add_up_to_one_at_most() -> None:
    with pytest.raises(otelbudget.BudgetConfigError, match=r"1\.1"):
        Budget(cost_usd=100, shares={"gen_ai.agent.name": {"a": "0.6", "b": "0.5"}})


def _essay(watch: Watch, provider: TracerProvider, tracer: Tracer, ask: Ask) -> otelbudget.Run:
    watch(Budget(cost_usd="0.10", name="essay", per="run"))
    with otelbudget.run("essay", tracer_provider=provider) as run:
        for number, cost in enumerate(CYCLES, 1):
            with tracer.start_as_current_span(f"llm_call_cycle_{number}"):
                ask(cost)
    return run


def test_25_and_32_the_breakdown_of_an_essay(
    watch: Watch,
    provider: TracerProvider,
    tracer: Tracer,
    ask: Ask,
    caplog: pytest.LogCaptureFixture,
) -> None:
    breakdown = _essay(watch, provider, tracer, ask).breakdown().as_dict()

    assert breakdown["total_cost"] == Decimal("0.1015")
    assert breakdown["budget_remaining"] == 0
    assert breakdown["budget_used_percentage"] == Decimal("101.5")
    assert breakdown["operations"] == 6
    assert round(breakdown["avg_cost_per_operation"], 4) == Decimal("0.0169")
    by_operation = breakdown["cost_by_operation"]
    assert [by_operation[f"llm_call_cycle_{number}"]["cost"] for number in range(1, 7)] == [
        Decimal(cost) for cost in CYCLES
    ]
    assert [round(each["percent"], 1) for each in by_operation.values()] == [
        Decimal(percent) for percent in ("14.3", "16.5", "17.5", "18.6", "16.9", "16.2")
    ]
    # The fifth cycle comes to 0.0851 of 0.10 USD.
    assert ["85.1 % used: 0.0851 of 0.10 USD" in message for message in warned(caplog)] == [True]


def test_26_the_breakdown_by_other_names(
    watch: Watch, provider: TracerProvider, tracer: Tracer, ask: Ask
) -> None:
    breakdown = _essay(watch, provider, tracer, ask).breakdown().as_dict()

    assert (breakdown["total_usd"], breakdown["budget_usd"]) == (
        Decimal("0.1015"),
        Decimal("0.10"),
    )
    assert (breakdown["remaining_usd"], breakdown["exceeded"]) == (0, True)


def test_27_an_audit_log_begins_and_ends_with_the_run(
    watch: Watch, provider: TracerProvider, tracer: Tracer, ask: Ask, tmp_path: Path
) -> None:
    path = tmp_path / "budgets.jsonl"
    processor = watch(Budget(cost_usd="0.10", per="run"), audit_log=path)
    agent = {"gen_ai.agent.name": "autonomous_agent"}
    with (
        otelbudget.run("essay", tracer_provider=provider),
        tracer.start_as_current_span("llm_call_cycle_1", attributes=agent),
    ):
        ask("0.09")
    processor.shutdown()
    first, *between, last = [
        json.loads(line, parse_float=Decimal) for line in path.read_text("utf-8").splitlines()
    ]

    assert (first["event"], first["budget_limit"]) == ("budget_monitoring_start", Decimal("0.1"))
    assert {"timestamp", "agent_id"} <= first.keys()
    assert [each["event"] for each in between] == ["warning"]
    assert last["event"] == "budget_monitoring_end"
    assert (last["total_cost"], last["budget_remaining"], last["operations"]) == (
        Decimal("0.09"),
        Decimal("0.01"),
        1,
    )
    assert last["cost_by_operation"] == {"llm_call_cycle_1": Decimal("0.09")}


def test_28_a_run_finishes_its_cycle_and_wraps_up(
    watch: Watch, provider: TracerProvider, ask: Ask, model: FakeProvider
) -> None:
    watch(Budget(cost_usd="0.10", grace=1, per="run"))
    with otelbudget.run("essay", tracer_provider=provider) as run:
        ask("0.15")
        with pytest.raises(BudgetExceededError):
            ask("0.01")
        with run.wrap_up():
            ask("0.02")
            with pytest.raises(BudgetExceededError):
                ask("0.02")

    assert model.request_count == 2
    assert run.usage.cost_usd == Decimal("0.17")


def test_29_the_application_can_save_its_work_before_the_stop(
    watch: Watch, provider: TracerProvider, ask: Ask
) -> None:
    saved: list[BudgetFacts] = []
    watch(Budget(cost_usd="0.10", per="run"))
    with otelbudget.run("essay", tracer_provider=provider, on_exceeded=saved.append):
        ask("0.15")
        assert [(facts.kind, facts.usage) for facts in saved] == [("cost_usd", Decimal("0.15"))]
        with pytest.raises(BudgetExceededError):
            ask("0.15")

    assert len(saved) == 1


def test_30_a_run_goes_on_with_a_larger_budget(
    watch: Watch, provider: TracerProvider, ask: Ask, model: FakeProvider
) -> None:
    watch(Budget(cost_usd="0.10"))

    def extend(_: BudgetFacts) -> None:
        if model.request_count < 3:
            run = otelbudget.current_run()
            assert run is not None
            run.extend(cost_usd="0.10")

    with (
        otelbudget.run("essay", tracer_provider=provider, on_exceeded=extend),
        pytest.raises(BudgetExceededError) as error,
    ):
        again(9, ask, "0.10")

    assert model.request_count == 3
    assert (error.value.usage, error.value.limit) == (Decimal("0.30"), Decimal("0.30"))


FREE = """
prices:
  models:
    "openai/llama3.1:8b":
      input_usd_per_mtok: 0
      output_usd_per_mtok: 0
budgets:
  per-run:
    per: trace
    max_cost_usd: 0.10
"""


def test_31_a_free_model_counts_and_passes_an_exhausted_limit_on_money(
    watch: Watch, tracer: Tracer, ask: Ask, tmp_path: Path
) -> None:
    file = tmp_path / "budgets.yaml"
    file.write_text(FREE)
    processor = watch(Budgets.from_yaml(file))
    with tracer.start_as_current_span("run"):
        ask("0.05", model="llama3.1:8b")
        ask("0.20")
        with pytest.raises(BudgetExceededError):
            ask("0.05")
        ask("0.05", model="llama3.1:8b")
    [(_, account)] = processor.engine.ledger.accounts()

    assert (account.calls, account.cost_pusd) == (3, 200_000_000_000)


@pytest.mark.parametrize(
    ("profile", "steps"), [("quick_answer", 5), ("deep_research", 20), ("batch_processing", 50)]
)
def test_33_profiles_from_a_file(  # noqa: PLR0913, PLR0917 - fixtures
    watch: Watch,
    provider: TracerProvider,
    ask: Ask,
    model: FakeProvider,
    tmp_path: Path,
    profile: str,
    steps: int,
) -> None:
    file = tmp_path / "budgets.yaml"
    file.write_text(PROFILES)
    watch(Budgets.from_yaml(file))
    with (
        otelbudget.run("answer", tier=profile, tracer_provider=provider),
        pytest.raises(BudgetExceededError) as error,
    ):
        again(60, ask, "0.001")

    assert model.request_count == steps
    assert (error.value.budget, error.value.kind) == (profile, "calls")


def test_34_a_summary_in_place_of_a_failure(
    watch: Watch, provider: TracerProvider, ask: Ask
) -> None:
    watch(Budget(per="run", calls=2, grace=1))

    def summarize() -> str:
        run = otelbudget.current_run()
        assert run is not None
        with run.wrap_up():
            ask("0.01")
        return f"so far, after {run.usage.calls} calls"

    @otelbudget.guarded(fallback=summarize)
    def research() -> str:
        again(9, ask, "0.01")
        return "all of it"

    with otelbudget.run("answer", tracer_provider=provider):
        assert research() == "so far, after 3 calls"


def test_35_tenants_have_quotas_that_concurrent_calls_cannot_pass(
    watch: Watch, tracer: Tracer, ask: Ask, model: FakeProvider
) -> None:
    watch(Budget(name="tenant-daily", per="tenant.id", window="day", tokens=10_000, reserve=True))

    def answer(tenant: str) -> str:
        token = context.attach(baggage.set_baggage("tenant.id", tenant))
        try:
            with tracer.start_as_current_span("answer"):
                ask("0.02", max_tokens=2_900)  # 2,000 tokens, and some hundred held of input
        except BudgetExceededError:
            return "refused"
        finally:
            context.detach(token)
        return "answered"

    with ThreadPoolExecutor(8) as pool:
        loud = list(pool.map(answer, ["loud"] * 16))
        quiet = list(pool.map(answer, ["quiet"] * 3))

    assert loud.count("answered") <= 5  # 5 * 2,000 tokens
    assert loud.count("answered") >= 3  # 3 * 2,900 tokens fit at once
    assert quiet == ["answered"] * 3
    assert model.request_count == loud.count("answered") + 3


def test_36_a_day_begins_at_midnight_of_its_time_zone(
    watch: Watch, tracer: Tracer, ask: Ask, clock: Clock
) -> None:
    watch(
        Budget(per="tenant.id", window="day", timezone="Europe/Berlin", calls=1),
        clock=clock,
    )

    def answer() -> None:
        with tracer.start_as_current_span("answer", attributes={"tenant.id": "acme"}):
            ask("0.01")

    clock.advance(seconds=22 * 3600 + 3599)  # 23:59:59 in Berlin, which is an hour ahead
    answer()
    with pytest.raises(BudgetExceededError, match="wait until 2026-11-03 00:00") as error:
        answer()
    clock.advance(seconds=1)
    answer()

    assert error.value.retry_after == pytest.approx(1)


def test_37_a_class_of_priority_has_a_share(
    watch: Watch, tracer: Tracer, ask: Ask, model: FakeProvider
) -> None:
    watch(
        Budget(
            per="tenant.id",
            window="day",
            calls=10,
            shares={"otelbudget.priority": {"batch": "0.7"}},
        )
    )

    def answer(priority: str) -> None:
        attributes = {"tenant.id": "acme", "otelbudget.priority": priority}
        with tracer.start_as_current_span("answer", attributes=attributes):
            ask("0.01")

    for _ in range(7):
        answer("batch")
    with pytest.raises(BudgetExceededError) as error:
        answer("batch")
    for _ in range(3):
        answer("interactive")
    with pytest.raises(BudgetExceededError):
        answer("interactive")

    assert error.value.scope == {"tenant.id": "acme", "otelbudget.priority": "batch"}
    assert (error.value.limit, model.request_count) == (Decimal(7), 10)


def test_39_a_token_is_estimated_before_the_call(watch: Watch, tracer: Tracer, ask: Ask) -> None:
    """A question is held as at most a token for each of its bytes, and its cap on output."""
    watch(Budget(tokens=100, reserve=True))
    with tracer.start_as_current_span("run"), pytest.raises(BudgetExceededError) as error:
        ask("0.01", max_tokens=100)

    assert error.value.facts.estimate is not None
    assert 100 < error.value.facts.estimate < 300


def test_40_what_remains_is_known_at_every_step(
    watch: Watch,
    provider: TracerProvider,
    ask: Ask,
    span_exporter: InMemorySpanExporter,
) -> None:
    watch(Budget(cost_usd="0.10", calls=5, per="run"))
    left = []
    with otelbudget.run("essay", tracer_provider=provider) as run:
        for _ in range(3):
            ask("0.04")
            left.append((run.remaining["cost_usd"], run.remaining["calls"]))

    assert left == [
        (Decimal("0.06"), Decimal(4)),
        (Decimal("0.02"), Decimal(3)),
        (Decimal(0), Decimal(2)),
    ]
    [span] = span_exporter.get_finished_spans()
    told = [event for event in span.events if event.name == "otelbudget.call"]
    assert len(told) == 3


def test_41_a_tracked_function_counts_by_what_it_returns(watch: Watch, tracer: Tracer) -> None:
    processor = watch(Budget(cost_usd="0.15"))

    @otelbudget.track(model="gpt-4o")
    def answer() -> dict[str, object]:
        return {"model": "gpt-4o", "usage": {"prompt_tokens": 0, "completion_tokens": 10_000}}

    with tracer.start_as_current_span("run"):
        answer()
        answer()
        with pytest.raises(BudgetExceededError):
            answer()
    [(_, account)] = processor.engine.ledger.accounts()

    assert account.cost_pusd == 200_000_000_000
