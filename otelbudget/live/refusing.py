"""Spans that are refused when they start, and where a processor must stand to refuse them."""

from collections.abc import Iterator
from threading import Thread

from opentelemetry.sdk.trace import ConcurrentMultiSpanProcessor, Span, SpanProcessor
from opentelemetry.trace import Status, StatusCode

from otelbudget.budgets.decisions import Refusal
from otelbudget.errors import BudgetExceededError
from otelbudget.genai import semconv
from otelbudget.live.accounting import Accounting
from otelbudget.live.request import request_of_span
from otelbudget.live.spans import Link
from otelbudget.live.written import Asked, write_refusal


def end_refused(span: Span, refusal: Refusal, error: BudgetExceededError) -> None:
    """Mark and end a span that is refused at its start.

    `ConcurrentMultiSpanProcessor` runs our hook in a thread of the pool that it then hands the
    span's end to, and waits: there another thread ends the span, once the hook has left the pool.
    """
    write_refusal(span, refusal)
    span.set_attribute(semconv.REFUSED_AT_START, value=True)
    span.set_status(Status(StatusCode.ERROR, str(error)))
    if isinstance(_processors(span), ConcurrentMultiSpanProcessor):
        Thread(target=span.end, name="otelbudget-end", daemon=True).start()
    else:
        span.end()


def asked_at_start(
    accounting: Accounting, span: Span, refusal: Refusal, link: Link | None
) -> Asked:
    """What is refused with a span that was to start.

    Args:
        accounting: What it would have counted on.
        span: The span.
        refusal: Its refusal.
        link: The link of the span, None where it was let go.
    """
    at_ns = refusal.at_ns or accounting.now()
    place = None if link is None else link.place
    if link is not None and link.tool is not None:
        return Asked(at_ns, place, tool=link.tool)
    request = request_of_span(span.attributes or {})
    estimate = accounting.estimate(request) if accounting.engine.is_reserving else None
    return Asked(at_ns, place, request, estimate=estimate)


def misplacements(span: Span, processor: SpanProcessor) -> Iterator[tuple[str, str]]:
    """What is wrong with a processor's place among those of its provider.

    Args:
        span: A span of that provider.
        processor: The processor.

    Yields:
        A cause, and a sentence with the remedy.
    """
    added = getattr(_processors(span), "_span_processors", ())
    after = added[added.index(processor) + 1 :] if processor in added else ()
    if any(not isinstance(each, type(processor)) for each in after):
        yield "place", _NOT_LAST
    if added.count(processor) > 1:
        yield "added twice", _ADDED_TWICE


_NOT_LAST = (
    "Other span processors were added after BudgetSpanProcessor; they see a span that it refuses "
    "end before it starts. Add it last."
)
_ADDED_TWICE = (
    "The same BudgetSpanProcessor was added twice to one provider, so what spans tell counts "
    "twice; add it once."
)


def _processors(span: Span) -> object:
    """What the SDK hands the spans of a provider to."""
    return getattr(span, "_span_processor", None)
