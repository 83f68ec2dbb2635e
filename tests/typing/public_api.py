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
