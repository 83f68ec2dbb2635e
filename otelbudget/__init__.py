"""Budgets for LLM agents under OpenTelemetry.

Add `BudgetSpanProcessor` to your tracer provider and a run that has used up its budget is stopped
at its next model call. Export spans with `DuckDBSpanExporter` and ask `budget-audit` what was
spent and which limits to set.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otelbudget.budgets.config import Budget, Budgets, Mode
    from otelbudget.doctor.verify import verify_enforcement
    from otelbudget.errors import (
        BudgetConfigError,
        BudgetExceededError,
        BudgetFacts,
        EnforcementError,
        OtelBudgetError,
        OtelBudgetWarning,
        StoreError,
        StoreVersionError,
        TraceReadError,
        UnknownModelError,
    )
    from otelbudget.live.check import check, guarded
    from otelbudget.live.processor import BudgetSpanProcessor
    from otelbudget.live.record import record
    from otelbudget.live.run import Run, current_run, run
    from otelbudget.live.track import track
    from otelbudget.pricing.billing import UnknownModel
    from otelbudget.store.exporter import DuckDBSpanExporter

__version__ = "0.1.0.dev0"

_MODULE_OF = {
    "Budget": "otelbudget.budgets.config",
    "BudgetConfigError": "otelbudget.errors",
    "BudgetExceededError": "otelbudget.errors",
    "BudgetFacts": "otelbudget.errors",
    "BudgetSpanProcessor": "otelbudget.live.processor",
    "Budgets": "otelbudget.budgets.config",
    "DuckDBSpanExporter": "otelbudget.store.exporter",
    "EnforcementError": "otelbudget.errors",
    "Mode": "otelbudget.budgets.config",
    "OtelBudgetError": "otelbudget.errors",
    "OtelBudgetWarning": "otelbudget.errors",
    "Run": "otelbudget.live.run",
    "StoreError": "otelbudget.errors",
    "StoreVersionError": "otelbudget.errors",
    "TraceReadError": "otelbudget.errors",
    "UnknownModel": "otelbudget.pricing.billing",
    "UnknownModelError": "otelbudget.errors",
    "check": "otelbudget.live.check",
    "current_run": "otelbudget.live.run",
    "guarded": "otelbudget.live.check",
    "record": "otelbudget.live.record",
    "run": "otelbudget.live.run",
    "track": "otelbudget.live.track",
    "verify_enforcement": "otelbudget.doctor.verify",
}

__all__ = [
    "Budget",
    "BudgetConfigError",
    "BudgetExceededError",
    "BudgetFacts",
    "BudgetSpanProcessor",
    "Budgets",
    "DuckDBSpanExporter",
    "EnforcementError",
    "Mode",
    "OtelBudgetError",
    "OtelBudgetWarning",
    "Run",
    "StoreError",
    "StoreVersionError",
    "TraceReadError",
    "UnknownModel",
    "UnknownModelError",
    "check",
    "current_run",
    "guarded",
    "record",
    "run",
    "track",
    "verify_enforcement",
]


def __getattr__(name: str) -> object:
    """Load a public name when it is first used, so that the import itself stays light."""
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted((*globals(), *__all__))
