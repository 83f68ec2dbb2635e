"""Span processors that others add to an application, with exporters that drop what they get."""

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult


class _Dropped(SpanExporter):
    """An exporter that sends nothing."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def peers() -> dict[str, SpanProcessor]:
    """The processors of the packages that are installed, by name."""
    return {name: make() for name, (module, make) in _PEERS.items() if find_spec(module)}


def _langfuse() -> SpanProcessor:
    module = import_module("langfuse._client.span_processor")
    processor: SpanProcessor = module.LangfuseSpanProcessor(
        public_key="none",
        secret_key="none",  # noqa: S106 - nothing is sent
        base_url="http://127.0.0.1:9",
        span_exporter=_Dropped(),
    )
    return processor


def _traceloop() -> SpanProcessor:
    module = import_module("traceloop.sdk.tracing.tracing")
    processor: SpanProcessor = module.get_default_span_processor(exporter=_Dropped())
    return processor


_PEERS: dict[str, tuple[str, Callable[[], SpanProcessor]]] = {
    "Langfuse's processor": ("langfuse", _langfuse),
    "Traceloop's processor": ("traceloop", _traceloop),
}
