"""The span that code runs in, also where an instrumentation has put an invalid one in its place."""

import weakref
from contextvars import ContextVar

from opentelemetry import trace
from opentelemetry.trace import Span

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
