"""What code runs in: its span, also where an instrumentation has hidden it, and its runs."""

import weakref
from contextvars import ContextVar

from opentelemetry import trace
from opentelemetry.trace import Span

from otelbudget.budgets.scopes import RunScope

RUNS: ContextVar[tuple[RunScope, ...]] = ContextVar("otelbudget_runs", default=())
"""The runs that were opened by name around the running code, the outermost first."""

IS_WRAPPING_UP: ContextVar[bool] = ContextVar("otelbudget_is_wrapping_up", default=False)
"""Whether the running code wraps its run up, so that budgets with `grace` let it pass."""

_ROOT: ContextVar["weakref.ref[Span] | None"] = ContextVar("otelbudget_root", default=None)


def note_root(span: Span) -> None:
    """Remember a span that has no parent in this process, in the context that starts it."""
    _ROOT.set(weakref.ref(span))


def current_span() -> Span:
    """The current span; where that is invalid, the root that this context has started, while open.

    Some instrumentations make `INVALID_SPAN` current where theirs are suppressed, which would take
    their calls out of the run they belong to.
    """
    span = trace.get_current_span()
    if span.get_span_context().is_valid:
        return span
    root = _ROOT.get()
    alive = None if root is None else root()
    return span if alive is None or not alive.is_recording() else alive
