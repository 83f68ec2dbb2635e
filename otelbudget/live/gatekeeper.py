"""The side of a processor that gates talk to: may this call leave, and what did it use."""

from collections import deque

import msgspec
from opentelemetry import trace
from opentelemetry.trace import Span

from otelbudget.budgets.engine import Admission, Refusal
from otelbudget.errors import BudgetExceededError, UnknownModelError
from otelbudget.genai import dialects, semconv
from otelbudget.genai.usage import ModelCall
from otelbudget.live.accounting import Accounting, hex_trace_id
from otelbudget.live.calls import CallState, GatedCall
from otelbudget.live.request import Request
from otelbudget.live.told import Told


class Gatekeeper:
    """Admits calls at gates, and settles each once: by its response, else by a span."""

    def __init__(self, accounting: Accounting) -> None:
        self._accounting = accounting
        self._dropped: deque[tuple[GatedCall, ModelCall | None]] = deque()

    def begin(self, call_id: str, request: Request) -> GatedCall:
        """Admit a call that is about to leave the process.

        Args:
            call_id: Known to every processor that watches the call.
            request: What is asked of whom.

        Raises:
            BudgetExceededError: A budget is used up.
            UnknownModelError: The model has no known price and `unknown_model` is "deny".
        """
        accounting = self._accounting
        self.settle_dropped()
        if accounting.is_denied_model(request.provider, request.model):
            raise UnknownModelError(request.provider, request.model)
        span = trace.get_current_span()
        context = span.get_span_context()
        call = GatedCall(
            call_id=call_id,
            owner=self,
            span=span if span.is_recording() else None,
            trace_id=context.trace_id,
            span_id=context.span_id,
            is_orphan=getattr(span, "parent", None) is None,
            admission=self._admission(span),
            request=request,
            start_time_unix_nano=accounting.clock(),
        )
        with accounting.lock:
            accounting.links.begin_call(call)
        return call

    def settle(self, gated: GatedCall, call: ModelCall | None) -> None:
        """Charge a call by what its response, or a span, says it used.

        Only the first settlement counts, save that a known usage replaces an unknown one.

        Args:
            gated: The call.
            call: What was read; None where nothing could be read.
        """
        accounting = self._accounting
        is_known = call is not None and call.usage is not None
        changes = None
        with accounting.lock:
            if gated.state not in (CallState.OPEN, CallState.UNKNOWN):
                return
            if gated.state is CallState.UNKNOWN and not is_known:
                return
            gated.state = CallState.SETTLED if is_known else CallState.UNKNOWN
            gated.end_time_unix_nano = accounting.clock()
            if call is not None:
                gated.response_id = call.response_id or gated.response_id
            complete = _complete(gated, call)
            accounting.links.end_call(gated)
            if is_known:
                told = Told(complete, gated.trace_id, gated.span_id, call_id=gated.call_id)
                changes = accounting.end_gated(told, gated.admission)
            elif accounting.is_told_above(gated.trace_id, gated.span_id):
                gated.state = CallState.SETTLED
                accounting.engine.release(gated.admission)
            accounting.links.drop_if_quiet(gated.trace_id)
        accounting.tell(changes)
        if not is_known:
            self._tell_unknown(gated, has_response=call is not None)
        _write_event(gated, complete)
        if is_known:
            gated.span = None

    def settle_by_span(self, gated: GatedCall, call: ModelCall) -> None:
        """Settle a call by what a span tells of it, where that is known."""
        if call.usage is not None:
            self.settle(gated, call)

    def release(self, gated: GatedCall, *, was_sent: bool) -> None:
        """Take a call back that the provider cannot have billed.

        Args:
            gated: The call.
            was_sent: Its request left, or tried to: it is told as a call that failed.
        """
        accounting = self._accounting
        with accounting.lock:
            if gated.state is not CallState.OPEN:
                return
            gated.state = CallState.RELEASED
            gated.end_time_unix_nano = accounting.clock()
            accounting.links.end_call(gated)
            changes = accounting.end_failed(gated.trace_id, gated.span_id) if was_sent else None
            accounting.links.drop_if_quiet(gated.trace_id)
            accounting.engine.release(gated.admission)
        accounting.tell(changes)
        if was_sent:
            _write_event(gated, _complete(gated, None))
        gated.span = None

    def drop(self, gated: GatedCall, call: ModelCall | None) -> None:
        """Settle a call whose response was dropped, soon: with the next call or span.

        Safe in a finalizer, which may run in the middle of any line of the same thread: it takes no
        lock, and leaves logging and metrics, which have locks of their own, for later.
        """
        self._dropped.append((gated, call))

    def settle_dropped(self) -> None:
        """Settle the calls whose responses were dropped."""
        while self._dropped:
            try:
                gated, call = self._dropped.popleft()
            except IndexError:  # another thread was faster
                return
            try:
                self.settle(gated, call)
            except Exception:  # noqa: BLE001 - a fault of ours must not stop the next call
                self.failed("settling a dropped response")

    def failed(self, where: str) -> None:
        """Log a fault of ours that is being handled, once per place."""
        self._accounting.emitter.failed(where)

    def _tell_unknown(self, gated: GatedCall, *, has_response: bool) -> None:
        what = (
            "came without usage, so its tokens and cost are unknown; for streams of chat "
            "completions set stream_options={'include_usage': True}"
            if has_response
            else "did not arrive, so what the provider bills for it is unknown"
        )
        self._accounting.emitter.once(
            f"usage {gated.request.provider} {gated.request.model} {has_response}",
            "A response of model %r %s.",
            gated.request.model,
            what,
        )

    def _admission(self, span: Span) -> Admission:
        """The admission of the span that already stands for this call, else a new one."""
        accounting = self._accounting
        context = span.get_span_context()
        if not context.is_valid:
            accounting.emitter.once(
                "no trace",
                "A model call was made outside any trace, where no per-trace budget can hold; "
                "open a span around the run.",
            )
            return Admission(())
        if _is_model_span(span) and getattr(span, "parent", None) is None:
            accounting.emitter.once(
                "no run",
                "A model call is a trace of its own, so no per-trace budget adds up; open a span "
                "around the run.",
            )
        with accounting.lock:
            link = accounting.links.link(context.trace_id, context.span_id)
            admission = accounting.links.take_admission(link)
        if admission is not None:
            return admission
        decision = accounting.admit(context.trace_id)
        if isinstance(decision, Refusal):
            raise self._refused(span, decision)
        write_decision(span, decision)
        accounting.emitter.admitted(decision)
        return decision

    def _refused(self, span: Span, refusal: Refusal) -> BudgetExceededError:
        accounting = self._accounting
        context = span.get_span_context()
        with accounting.lock:
            link = accounting.links.link(context.trace_id, context.span_id)
        if _is_model_span(span):
            span.set_attribute(semconv.DECISION, str(semconv.Decision.DENIED))
            span.set_attribute(semconv.BUDGET, refusal.budget.name)
        accounting.emitter.refused(refusal, span)
        agent = link.agent if link is not None else None
        return BudgetExceededError(
            refusal.facts(trace_id=hex_trace_id(context.trace_id), agent=agent)
        )


def write_decision(span: Span, admission: Admission) -> None:
    """Write on a model call's span whether it was allowed, or would have been refused."""
    if _is_model_span(span):
        decision = semconv.Decision.AUDITED if admission.is_audited else semconv.Decision.ALLOWED
        span.set_attribute(semconv.DECISION, str(decision))


def _is_model_span(span: Span) -> bool:
    attributes = getattr(span, "attributes", None) or {}
    return (
        span.is_recording()
        and attributes.get(semconv.OPERATION_NAME) in semconv.MODEL_CALL_OPERATIONS
    )


def _complete(gated: GatedCall, call: ModelCall | None) -> ModelCall:
    """The call as its gate knows it, filled up with what was read."""
    return msgspec.structs.replace(
        call or ModelCall(),
        response_id=gated.response_id,
        provider=gated.request.provider,
        request_model=gated.request.model,
        operation=gated.request.operation,
        start_time_unix_nano=gated.start_time_unix_nano,
        end_time_unix_nano=gated.end_time_unix_nano,
    )


def _write_event(gated: GatedCall, call: ModelCall) -> None:
    """Write the call on the span that was current at the gate, for audit and replay."""
    span = gated.span
    if span is None or not span.is_recording():
        return
    attributes: dict[str, str | int | None] = {
        semconv.CALL_ID: gated.call_id,
        semconv.CALL_START: gated.start_time_unix_nano,
        semconv.OPERATION_NAME: call.operation,
        semconv.PROVIDER_NAME: call.provider,
        semconv.REQUEST_MODEL: call.request_model,
        semconv.RESPONSE_MODEL: call.response_model,
        semconv.RESPONSE_ID: call.response_id,
        dialects.FIELDS["service_tier"][0]: call.service_tier,
    }
    if gated.state is CallState.RELEASED:
        attributes[semconv.CALL_RELEASED] = True
    if call.usage is not None:
        counts = msgspec.structs.asdict(call.usage)
        attributes |= {
            key: counts[part] or (None if part not in _ALWAYS_WRITTEN else 0)
            for part, key in dialects.USAGE.items()
        }
    known = {key: value for key, value in attributes.items() if value is not None}
    span.add_event(semconv.CALL_EVENT, known, timestamp=gated.end_time_unix_nano)


_ALWAYS_WRITTEN = ("input_tokens", "output_tokens")
