"""What is read off a span of the SDK when it starts or ends, and whether it can be stopped then."""

from collections.abc import Collection, Mapping
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan

from otelbudget.genai import semconv

_MAX_SCOPE_NAMES = 1_000


class Stops:
    """Knows which spans can be refused when they start.

    Args:
        stop_scopes: Names of tracers that let exceptions pass, whatever they look like.
    """

    def __init__(self, stop_scopes: Collection[str]) -> None:
        self._stop_scopes = frozenset(stop_scopes)
        self._known: dict[str, bool] = {}

    def reaches_caller(self, span: ReadableSpan) -> bool:
        """Whether an exception raised at this span's start reaches the code that makes the call."""
        scope_name = scope_name_of(span)
        is_stopped = self._known.get(scope_name)
        if is_stopped is None:
            is_stopped = scope_name in self._stop_scopes or not semconv.is_scope(
                scope_name, semconv.INSTRUMENTATION_SCOPES
            )
            if len(self._known) < _MAX_SCOPE_NAMES:
                self._known[scope_name] = is_stopped
        return is_stopped

    def is_own(self, span: ReadableSpan) -> bool:
        """Whether the application's own tracer makes a span: no instrumentation, and not ours."""
        scope = span.instrumentation_scope
        scope_name = "" if scope is None else scope.name
        is_stopped = self._known.get(scope_name)
        if is_stopped is None:
            is_stopped = self.reaches_caller(span)
        return is_stopped and scope_name != semconv.OWN_SCOPE


def attributes_of(span: ReadableSpan) -> Mapping[str, Any]:
    """A span's attributes as a dict where that is cheap: the SDK's own are slow to walk through."""
    copy = getattr(getattr(span, "_attributes", None), "copy", None)
    if copy is not None:
        attributes: Mapping[str, Any] = copy()
        return attributes
    return dict(span.attributes or {})


def scope_name_of(span: ReadableSpan) -> str:
    """Name of the tracer that made a span, "" where it has none."""
    scope = span.instrumentation_scope
    return scope.name if scope is not None else ""


def tells_genai(attributes: Mapping[str, Any]) -> bool:
    """Whether a span says when it starts that it is about models, agents or tools."""
    return semconv.OPERATION_NAME in attributes or semconv.SPAN_KIND_OPENINFERENCE in attributes
