"""What is written on the spans of a gated call, for audit and replay."""

from collections.abc import Sequence

import msgspec
from opentelemetry.trace import Span

from otelbudget.budgets.decisions import Admission, Refusal
from otelbudget.errors import display_usd
from otelbudget.genai import dialects, semconv
from otelbudget.genai.usage import ModelCall
from otelbudget.live.calls import CallState, GatedCall
from otelbudget.live.estimates import Estimate
from otelbudget.pricing.billing import usd


def write_decision(span: Span, admission: Admission, estimate: Estimate | None = None) -> None:
    """Write on a model call's span whether it was allowed, or would have been refused."""
    if is_model_span(span):
        decision = semconv.Decision.AUDITED if admission.is_audited else semconv.Decision.ALLOWED
        span.set_attribute(semconv.DECISION, str(decision))
        if admission.audited is not None:
            span.set_attribute(semconv.BUDGET, admission.audited.budget.name)
        if estimate is not None:
            span.set_attributes(_estimated(estimate))


def write_refusal(span: Span, refusal: Refusal) -> None:
    """Write on a span that is refused which budget does."""
    span.set_attribute(semconv.DECISION, str(semconv.Decision.DENIED))
    span.set_attribute(semconv.BUDGET, refusal.budget.name)


def _estimated(estimate: Estimate) -> dict[str, str | int | tuple[str, ...]]:
    cost: dict[str, str | int | tuple[str, ...]] = {
        semconv.ESTIMATED_COST_USD: display_usd(usd(estimate.cost_pusd)),
        semconv.ESTIMATED_INPUT_TOKENS: estimate.input_tokens,
        semconv.ESTIMATED_OUTPUT_TOKENS: estimate.output_tokens,
    }
    return {**cost, **({semconv.ESTIMATE_GUESSES: estimate.guesses} if estimate.guesses else {})}


def is_model_span(span: Span) -> bool:
    """Whether a span is open and says that it is a model call."""
    attributes = getattr(span, "attributes", None) or {}
    return (
        span.is_recording()
        and attributes.get(semconv.OPERATION_NAME) in semconv.MODEL_CALL_OPERATIONS
    )


def complete(gated: GatedCall, call: ModelCall | None) -> ModelCall:
    """The call as its gate knows it, filled up with what was read.

    On Bedrock the model that is asked for says more than the one that answers: its region, by which
    the price differs.
    """
    read = call or ModelCall()
    asked = gated.request.model
    if gated.request.provider == semconv.BEDROCK and asked is not None:
        read = msgspec.structs.replace(read, response_model=None)
    return msgspec.structs.replace(
        read,
        response_id=gated.response_id,
        provider=gated.request.provider,
        request_model=gated.request.model,
        operation=gated.request.operation,
        start_time_unix_nano=gated.start_time_unix_nano,
        end_time_unix_nano=gated.end_time_unix_nano,
    )


def write_call(
    gated: GatedCall, call: ModelCall, keys: Sequence[str], estimate: Estimate | None = None
) -> None:
    """Write the call on the span that was current at the gate, for audit and replay.

    Args:
        gated: The call.
        call: What is known of it.
        keys: The keys that budgets name.
        estimate: What it is charged where its usage is unknown.
    """
    span = gated.span
    if span is None or not span.is_recording():
        return
    attributes: dict[str, str | int | tuple[str, ...] | None] = {
        semconv.CALL_ID: gated.call_id,
        semconv.CALL_START: gated.start_time_unix_nano,
        semconv.OPERATION_NAME: call.operation,
        semconv.PROVIDER_NAME: call.provider,
        semconv.REQUEST_MODEL: call.request_model,
        semconv.RESPONSE_MODEL: call.response_model,
        semconv.RESPONSE_ID: call.response_id,
        dialects.FIELDS["service_tier"][0]: call.service_tier,
    }
    if gated.place is not None:
        attributes |= gated.place.written(keys)
    if gated.state is CallState.RELEASED:
        attributes[semconv.CALL_RELEASED] = True
    if estimate is not None:
        attributes |= _estimated(estimate)
    if call.usage is not None:
        counts = msgspec.structs.asdict(call.usage)
        attributes |= {
            key: counts[part] or (None if part not in _ALWAYS_WRITTEN else 0)
            for part, key in dialects.USAGE.items()
        }
    known = {key: value for key, value in attributes.items() if value is not None}
    span.add_event(semconv.CALL_EVENT, known, timestamp=gated.end_time_unix_nano)


_ALWAYS_WRITTEN = ("input_tokens", "output_tokens")
