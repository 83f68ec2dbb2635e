"""Calls that the application has made by itself and records: counted, and never refused."""

from otelbudget.budgets.decisions import Admission
from otelbudget.errors import display_usd
from otelbudget.genai import semconv
from otelbudget.genai.usage import ModelCall
from otelbudget.live.accounting import Accounting
from otelbudget.live.asking import place_in
from otelbudget.live.calls import CallState, GatedCall
from otelbudget.live.current import current_span
from otelbudget.live.estimates import Estimate
from otelbudget.live.request import Request
from otelbudget.live.told import Told
from otelbudget.live.written import complete, write_call
from otelbudget.pricing.billing import usd


class RecordedCalls:
    """Counts the calls that an application records.

    Args:
        accounting: What keeps count.
    """

    def __init__(self, accounting: Accounting) -> None:
        self._accounting = accounting

    def count(
        self, call_id: str, request: Request, call: ModelCall, *, owns_span: bool
    ) -> GatedCall | None:
        """Count a call and write it on its span, unless what has its response id is counted.

        Args:
            call_id: Known to every processor that watches.
            request: What was asked of whom.
            call: What is known of it.
            owns_span: Outside any trace it is written on a span of its own.

        Returns:
            The call of a gate that could not read its answer, which is the recorded one and is to
            be settled by it; None where there is none.
        """
        gated = self._ended(call_id, request)
        gated.owns_span = owns_span and not gated.trace_id
        gated.response_id = call.response_id
        unread = self._unread(gated, call)
        if unread is None:
            self._charge(gated, call)
        return unread

    def _charge(self, gated: GatedCall, call: ModelCall) -> None:
        accounting = self._accounting
        told = Told(
            complete(gated, call),
            gated.trace_id,
            gated.span_id,
            semconv.OWN_SCOPE,
            call_id=gated.call_id,
            place=gated.place,
            agent=gated.agent,
            operation=gated.operation,
        )
        estimate = None
        if call.usage is None:
            gated.state = CallState.UNKNOWN
            estimate = accounting.estimate(gated.request)
            told.charge = gated.at_estimate(estimate)
        with accounting.lock:
            changes = accounting.record(told)
        if changes is None:
            return
        accounting.tell(changes)
        write_call(gated, told.call, accounting.places.keys, estimate)
        if estimate is not None:
            self.tell_unknown(gated, estimate)

    def _ended(self, call_id: str, request: Request) -> GatedCall:
        """A call that starts and ends now."""
        span, at_ns = current_span(), self._accounting.now()
        context, (link, place) = span.get_span_context(), place_in(self._accounting, span, request)
        return GatedCall(
            call_id=call_id,
            owner=self,
            span=span if context.trace_flags.sampled else None,
            trace_id=context.trace_id,
            span_id=context.span_id,
            is_orphan=getattr(span, "parent", None) is None,
            admission=Admission((), at_ns),
            request=request,
            start_time_unix_nano=at_ns,
            end_time_unix_nano=at_ns,
            state=CallState.SETTLED,
            is_recorded=True,
            place=place,
            agent=request.agent or (link.agent if link is not None else None),
            operation=request.name or (link.operation if link is not None else None),
        )

    def _unread(self, gated: GatedCall, call: ModelCall) -> GatedCall | None:
        """The call that a gate saw and could not read, which is the one recorded; or None."""
        if call.response_id is None or call.usage is None:
            return None
        with self._accounting.lock:
            return self._accounting.links.unread_call(gated.trace_id, call.response_id)

    def provider_of(self, model: str | None) -> str:
        """The provider that a model's name tells, "" where it tells none."""
        return self._accounting.provider_of(model)

    def tell_unknown(self, gated: GatedCall, estimate: Estimate) -> None:
        """Say once for each model that nothing told what a call of the application's used."""
        is_tracked, model = gated.request.is_tracked, gated.request.model
        self._accounting.emitter.once(
            f"own {is_tracked} {model}",
            "A call of model %r was %s usage. It counts as an estimated %s USD; %s.",
            model,
            "tracked, but its function returned no" if is_tracked else "recorded without its",
            display_usd(usd(estimate.cost_pusd)),
            "return the provider's response, or call otelbudget.record() with it"
            if is_tracked
            else "give otelbudget.record() the response, its tokens or cost_usd",
        )
