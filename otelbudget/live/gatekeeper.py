"""The side of a processor that gates talk to: may this call leave, and what did it use."""

from collections import deque
from collections.abc import Iterable

from opentelemetry.trace import Span

from otelbudget.budgets.config import Budget
from otelbudget.budgets.decisions import Admission, Refusal
from otelbudget.budgets.scopes import TRACE, Place
from otelbudget.errors import BudgetExceededError, UnknownModelError, display_usd
from otelbudget.genai.usage import ModelCall
from otelbudget.live.accounting import Accounting
from otelbudget.live.asking import admit, is_extended, peek, place_in
from otelbudget.live.calls import CallState, GatedCall
from otelbudget.live.current import IS_WRAPPING_UP, current_span
from otelbudget.live.ending import CallsInFlight
from otelbudget.live.estimates import Estimate
from otelbudget.live.keeping import Runs
from otelbudget.live.places import hex_trace_id
from otelbudget.live.recorded import RecordedCalls
from otelbudget.live.request import Request
from otelbudget.live.siblings import note_refusal
from otelbudget.live.told import Changes, Told
from otelbudget.live.tools import ToolCalls
from otelbudget.live.written import (
    Asked,
    complete,
    is_model_span,
    write_call,
    write_decision,
    write_refusal,
)
from otelbudget.pricing.billing import Charge, usd


class Gatekeeper:
    """Admits calls at gates, and settles each once: by its response, else by a span.

    Attributes:
        tools: Counts calls of tools.
        recorded: Counts calls that the application records.
        calls_in_flight: The calls that a used-up budget ends.
        runs: The runs that are opened by name.
    """

    def __init__(self, accounting: Accounting) -> None:
        self._accounting = accounting
        self._dropped: deque[tuple[GatedCall, ModelCall | None]] = deque()
        self.tools = ToolCalls(accounting)
        self.recorded = RecordedCalls(accounting)
        self.calls_in_flight = CallsInFlight(accounting)
        self.runs = Runs(accounting, self.calls_in_flight)
        self._counts_traces = any(TRACE in (budget.per or ()) for budget in self.budgets)

    @property
    def budgets(self) -> tuple[Budget, ...]:
        """The budgets it asks."""
        return self._accounting.engine.budgets

    def tell_twins(self, others: Iterable["Gatekeeper"]) -> None:
        """Warn where another processor has one of its budgets: a set-up that ran twice."""
        for budget in self.budgets:
            if any(budget in other.budgets for other in others):
                self._accounting.emitter.once(
                    "twin",
                    "Budget %r is watched by another BudgetSpanProcessor too. Each counts every "
                    "call by itself, so limits hold, but metrics show it twice; make one processor, "
                    "or shut the other one down.",
                    budget.name,
                )

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
        span = current_span()
        context = span.get_span_context()
        # Before the admission: where either fails nothing must stay in flight.
        estimate = accounting.estimate(request) if accounting.engine.is_reserving else None
        link, place = place_in(accounting, span, request)
        admission = self._admission(span, place, request, estimate)
        try:
            call = GatedCall(
                call_id=call_id,
                owner=self,
                span=span if context.trace_flags.sampled else None,
                trace_id=context.trace_id,
                span_id=context.span_id,
                is_orphan=getattr(span, "parent", None) is None,
                admission=admission,
                request=request,
                start_time_unix_nano=admission.at_ns,
                place=place,
                agent=request.agent or (link.agent if link is not None else None),
                operation=request.name or (link.operation if link is not None else None),
                held=estimate,
                is_wrap_up=IS_WRAPPING_UP.get(),
            )
            write_decision(span, admission, estimate)
            with accounting.lock:
                accounting.links.begin_call(call)
        except BaseException:
            accounting.engine.release(admission)
            raise
        if estimate is not None and estimate.guesses:
            accounting.emitter.guessed(request.model, estimate.guesses)
        return call

    def settle(
        self, gated: GatedCall, call: ModelCall | None, *, is_whole: bool = True, sent: int = 1
    ) -> None:
        """Charge a call by what its response, or a span, says it used.

        Only the first settlement counts, save that a known usage replaces an estimate.

        Args:
            gated: The call.
            call: What was read; None where nothing could be read.
            is_whole: Whether that is all the response had to say: a stream may have broken off.
            sent: How often the request may have left.
        """
        accounting = self._accounting
        if not (is_whole and call is not None and call.usage is not None):
            call, is_whole = gated.filled_in(call, is_whole=is_whole)
        is_known = is_whole and call is not None and call.usage is not None
        estimate: Estimate | None = None
        with accounting.lock:
            if not gated.is_open_to(is_known=is_known):
                return
            told = self._told(gated, call, is_known=is_known, is_whole=is_whole)
            accounting.links.end_call(gated)
            if is_known:
                teller = Told(
                    told,
                    gated.trace_id,
                    gated.span_id,
                    call_id=gated.call_id,
                    agent=gated.agent,
                    operation=gated.operation,
                )
                changes: Changes | None = accounting.end_gated(teller, gated.admission)
            else:
                partial = None if call is None else call.usage
                estimate = accounting.estimate(gated.request, partial).times(sent)
                changes = self._end_unknown(gated, estimate)
            gated.request = gated.request.without_body()
            accounting.links.drop_if_quiet(gated.trace_id)
        accounting.tell(changes)
        if estimate is not None:
            self._tell_unknown(gated, estimate, has_response=call is not None and is_whole)
        write_call(gated, told, accounting.places.keys, estimate)
        if is_known:
            gated.span = None

    def _told(
        self, gated: GatedCall, call: ModelCall | None, *, is_known: bool, is_whole: bool
    ) -> ModelCall:
        """End a call; what it tells of itself. Called with the lock held."""
        self.calls_in_flight.ended(gated)
        gated.is_broken = not is_whole and call is not None
        gated.state = CallState.SETTLED if is_known else CallState.UNKNOWN
        gated.end_time_unix_nano = self._accounting.now()
        if call is not None:
            gated.response_id = call.response_id or gated.response_id
        return complete(gated, call if is_known else None)

    def _end_unknown(self, gated: GatedCall, estimate: Estimate) -> Changes | None:
        """Charge an estimate, unless a span above told of the call already."""
        accounting = self._accounting
        if not gated.is_broken and accounting.is_told_above(gated.trace_id, gated.span_id):
            gated.state = CallState.SETTLED
            accounting.engine.release(gated.admission)
            return None
        charge = gated.at_estimate(estimate)
        link = None
        if gated.is_broken:
            link = accounting.links.link(gated.trace_id, gated.span_id)
        return accounting.end_at_estimate(gated.admission, charge, link)

    def settle_by_span(self, gated: GatedCall, call: ModelCall) -> None:
        """Settle a call by what a span tells of it, where its response does not.

        An open call keeps it until it ends: its response tells more, such as the id by which other
        spans are known to be the same call. Of a response that broke off, a span has seen no more
        than the gate.
        """
        if call.usage is None or gated.is_broken:
            return
        with self._accounting.lock:
            if gated.state is CallState.OPEN:
                gated.told_by_span = gated.told_by_span or call
                return
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
            self.calls_in_flight.ended(gated)
            gated.state = CallState.RELEASED
            gated.end_time_unix_nano = accounting.now()
            accounting.links.end_call(gated)
            changes = accounting.end_failed(gated.trace_id, gated.span_id) if was_sent else None
            accounting.links.drop_if_quiet(gated.trace_id)
            if gated.was_billed:  # by an attempt before
                accounting.engine.settle(gated.admission, Charge(gated.request.model))
            else:
                accounting.engine.release(gated.admission)
        accounting.tell(changes)
        if was_sent:
            write_call(gated, complete(gated, None), accounting.places.keys)
        gated.span = None
        gated.request = gated.request.without_body()

    def repeat(self, gated: GatedCall, *, is_billed: bool) -> None:
        """Decide whether a request that failed may be sent again.

        Args:
            gated: The call.
            is_billed: The failed attempt may be billed, so it counts at its estimate.

        Raises:
            BudgetExceededError: A budget leaves no room for another attempt.
        """
        accounting = self._accounting
        with accounting.lock:
            if gated.state is not CallState.OPEN:
                return
            attempt = None
            if is_billed:
                attempt = gated.at_estimate(accounting.estimate(gated.request))
                gated.was_billed = True
            decision = accounting.engine.repeat(gated.admission, attempt, accounting.now())
        place = gated.place
        if isinstance(decision, Refusal) and place and is_extended(accounting, decision, place):
            decision = accounting.engine.repeat(gated.admission, None, accounting.now())
        if isinstance(decision, Refusal):
            asked = Asked(accounting.now(), gated.place, gated.request, estimate=gated.held)
            raise self._refused(current_span(), decision, asked)
        accounting.tell_notices(decision)

    def drop(self, gated: GatedCall, call: ModelCall | None) -> None:
        """Settle a call whose response was dropped, soon: with the next call or span.

        Safe in a finalizer, which may run in the middle of any line of the same thread: it takes no
        lock, and leaves logging and metrics, which have locks of their own, for later.
        """
        self._dropped.append((gated, call))

    def settle_dropped(self) -> None:
        """Settle the calls whose responses were dropped."""
        dropped = []
        while self._dropped:
            try:
                dropped.append(self._dropped.popleft())
            except IndexError:  # another thread was faster
                break
        for gated, call in dropped:
            try:
                self.settle(gated, call, is_whole=False)
            except Exception:  # noqa: BLE001 - a fault of ours must not stop the next call
                self.failed("settling a dropped response")

    def check(self) -> None:
        """Refuse where the next model call would be refused; counts nothing.

        Raises:
            BudgetExceededError: A budget is used up.
        """
        self.settle_dropped()
        span = current_span()
        accounting = self._accounting
        _, place = place_in(accounting, span)
        at_ns, refusal = peek(accounting, place)
        if refusal is not None:
            raise self._refused(span, refusal, Asked(at_ns, place))

    def check_tool(self, name: str | None) -> None:
        """Refuse a call of a tool whose budget is used up, else count it.

        Args:
            name: Name of the tool, None where the application does not tell.

        Raises:
            BudgetExceededError: A budget is used up.
        """
        self.settle_dropped()
        span = current_span()
        link, place = place_in(self._accounting, span)
        refusal, asked = self.tools.check(place, link, span, name)
        if refusal is not None and is_extended(self._accounting, refusal, place):
            refusal, asked = self.tools.check(place, link, span, name)
        if refusal is not None:
            raise self._refused(span, refusal, asked)

    def failed(self, where: str) -> None:
        """Log a fault of ours that is being handled, once per place."""
        self._accounting.emitter.failed(where)

    def _tell_unknown(self, gated: GatedCall, estimate: Estimate, *, has_response: bool) -> None:
        if gated.request.is_tracked and has_response:
            self.recorded.tell_unknown(gated, estimate)
            return
        what = (
            "came without usage; streams of chat completions tell it with "
            "stream_options={'include_usage': True}"
            if has_response
            else "did not arrive, or not to its end"
        )
        self._accounting.emitter.once(
            f"usage {gated.request.provider} {gated.request.model} {has_response}",
            "A response of model %r %s. It counts as an estimated %s USD until a span tells more.",
            gated.request.model,
            what,
            display_usd(usd(estimate.cost_pusd)),
        )

    def _admission(
        self, span: Span, place: Place, request: Request, estimate: Estimate | None
    ) -> Admission:
        """The admission of the span that already stands for this call, else a new one."""
        accounting = self._accounting
        context = span.get_span_context()
        if not context.is_valid and (place.run_id is None or self._counts_traces):
            accounting.emitter.once(
                "no trace",
                "A model call was made outside any trace; all such calls of this process count "
                "together as the trace '(none)'. Open a span around each run; a thread has none "
                "unless it is given its caller's context: install "
                "opentelemetry-instrumentation-threading, or start it with "
                "contextvars.copy_context().run.",
            )
        elif is_model_span(span) and getattr(span, "parent", None) is None:
            accounting.emitter.once(
                "no run",
                "A model call is a trace of its own, so no per-trace budget adds up; open a span "
                "around the run.",
            )
        with accounting.lock:
            link = accounting.links.link(context.trace_id, context.span_id)
            admission = accounting.links.take_admission(link)
            if admission is not None and estimate is not None:
                # Its span could not hold what only the request tells.
                accounting.engine.release(admission)
                admission = None
        if admission is not None:
            return admission
        accounting.emitter.called(place, link.agent if link is not None else None)
        decision = admit(accounting, place, request, estimate.hold if estimate else None)
        if isinstance(decision, Refusal):
            asked = Asked(decision.at_ns, place, request, estimate=estimate)
            raise self._refused(span, decision, asked)
        accounting.emitter.admitted(decision)
        return decision

    def _refused(self, span: Span, refusal: Refusal, asked: Asked) -> BudgetExceededError:
        accounting, place = self._accounting, asked.place
        context = span.get_span_context()
        with accounting.lock:
            link = accounting.links.link(context.trace_id, context.span_id)
        if is_model_span(span):
            write_refusal(span, refusal)
        accounting.emitter.refused(refusal, span, asked)
        error = BudgetExceededError(
            refusal.facts(
                trace_id=hex_trace_id(context.trace_id) if context.is_valid else None,
                agent=link.agent if link is not None else None,
                run_id=place.run_id if place is not None else None,
            )
        )
        return note_refusal(error)
