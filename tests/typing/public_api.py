"""Never run, only type-checked: every public name, used the way a user would."""

from decimal import Decimal

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import otelbudget
from otelbudget import (
    Budget,
    BudgetConfigError,
    BudgetExceededError,
    BudgetFacts,
    Budgets,
    BudgetSpanProcessor,
    DuckDBSpanExporter,
    Mode,
    OtelBudgetError,
    OtelBudgetWarning,
    StoreError,
    StoreVersionError,
    TraceReadError,
    UnknownModel,
    UnknownModelError,
)


def set_up() -> None:
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(DuckDBSpanExporter("traces.duckdb")))
    provider.add_span_processor(BudgetSpanProcessor(Budget(cost_usd="0.25")))
    BudgetSpanProcessor(
        Budget(cost_usd=Decimal("0.25"), tokens=1_000, calls=5, name="run", warn_at=["0.5"]),
        Budget(calls=3, name="quick", per=None, mode=Mode.AUDIT),
        mode="audit",
        unknown_model=UnknownModel.DENY,
        stop_scopes={"my.tracer"},
    )
    BudgetSpanProcessor(Budgets.from_yaml("budgets.yaml"))
    BudgetSpanProcessor.from_yaml("budgets.yaml", mode=Mode.ENFORCE)
    DuckDBSpanExporter("traces.duckdb", content="keep")


def handle(error: Exception) -> str:
    match error:
        case BudgetExceededError():
            facts: BudgetFacts = error.facts
            money: Decimal | None = error.spent_usd or error.budget_usd
            return f"{facts.budget} {error.limit} {error.usage} {error.overage} {money}"
        case UnknownModelError():
            return f"{error.provider} {error.model}"
        case BudgetConfigError():
            return f"{error.path} {error.key} {error.reason}"
        case StoreVersionError():
            return f"{error.found} {error.expected}"
        case StoreError() | TraceReadError():
            return f"{error.path} {error.reason}"
        case OtelBudgetError() | OtelBudgetWarning():
            return otelbudget.__version__
        case _:
            return ""


@otelbudget.track
def tracked_bare(model: str, prompt: str) -> str:
    return model + prompt


@otelbudget.track(model="gpt-4o", provider="openai", operation="draft", agent="writer")
async def tracked(prompt: str) -> str:
    return prompt


async def use_any_code() -> str:
    otelbudget.record("gpt-4o", input_tokens=1, output_tokens=1, cache_read_input_tokens=1)
    otelbudget.record(model="ocr", cost_usd="0.01", operation="read")
    otelbudget.record(response={"usage": {}}, response_id="r", cost_usd=Decimal("0.01"))
    return tracked_bare("gpt-4o", "a") + await tracked("b")


def heard(facts: BudgetFacts) -> str:
    return f"{facts.budget} {facts.run_id}"


async def use_runs() -> Decimal | None:
    BudgetSpanProcessor(Budget(calls=5), on_warning=heard, on_exceeded=heard)
    with otelbudget.run("essay", id="a", tier="deep", tenant="acme", scope={"team": "x"}) as run:
        used: Decimal = run.usage.cost_usd + run.usage.seconds
        run.extend(cost_usd="1.00", tokens=5, calls=1, tool_calls=1, seconds=60, budget="deep")
        with run.wrap_up():
            used += run.breakdown().cost_by_operation["draft"].percent
    async with (
        otelbudget.run(
            budget=Budget(calls=1), on_exceeded=heard, tracer_provider=TracerProvider()
        ) as inner,
        inner.wrap_up(),
    ):
        current: otelbudget.Run | None = otelbudget.current_run()
    return used if current is None else current.remaining["cost_usd"]


@otelbudget.guarded(fallback=lambda topic: f"{topic} from the cache")
def guarded(topic: str) -> str:
    return topic
