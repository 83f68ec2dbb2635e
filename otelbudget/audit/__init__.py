"""Questions to recorded traces: what was spent, what limits would have done, which to set.

For notebooks and programs: `load` reads any sources that `budget-audit` reads, and the answers of
its commands are methods of what it gives.

    from otelbudget import audit

    traces = audit.load("traces/", where={"tenant.id": "acme"})
    spend = traces.spend(by=["workflow", "model"])
    audit.table(spend.groups).df()
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otelbudget.audit.notebook import Simulated, Traces, compare, load
    from otelbudget.audit.tables import Table, table

_MODULE_OF = {
    "Simulated": "otelbudget.audit.notebook",
    "Table": "otelbudget.audit.tables",
    "Traces": "otelbudget.audit.notebook",
    "compare": "otelbudget.audit.notebook",
    "load": "otelbudget.audit.notebook",
    "table": "otelbudget.audit.tables",
}
__all__ = ["Simulated", "Table", "Traces", "compare", "load", "table"]


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted((*globals(), *__all__))
