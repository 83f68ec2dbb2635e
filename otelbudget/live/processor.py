"""The span processor: counts what each trace spends and stops it when a budget is used up."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from os import PathLike
from typing import Any, Self

from opentelemetry.context import Context
from opentelemetry.metrics import MeterProvider
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import StatusCode

from otelbudget.budgets.config import Budget, Budgets, Mode
from otelbudget.budgets.decisions import Notice, Refusal
from otelbudget.budgets.engine import Engine
from otelbudget.budgets.scopes import Place
from otelbudget.errors import BudgetExceededError
from otelbudget.genai import counting, semconv
from otelbudget.genai.reading import read_call
from otelbudget.genai.usage import ModelCall
from otelbudget.live import given, processes
from otelbudget.live.accounting import Accounting
from otelbudget.live.asking import admit, is_extended
from otelbudget.live.callbacks import Callback, Callbacks
from otelbudget.live.calls import IN_GATE, CallState, GatedCall, calls_around
from otelbudget.live.current import note_root
from otelbudget.live.emitter import Emitter
from otelbudget.live.gatekeeper import Gatekeeper
from otelbudget.live.gates import active
from otelbudget.live.places import hex_trace_id
from otelbudget.live.refusing import asked_at_start, end_refused, misplacements
from otelbudget.live.request import request_of_span
from otelbudget.live.siblings import note_refusal
from otelbudget.live.spans import Link
from otelbudget.live.starting import Stops, attributes_of, scope_name_of, tells_genai
from otelbudget.live.stats import ProcessorStats
from otelbudget.live.told import Told
from otelbudget.live.written import write_decision
from otelbudget.pricing.billing import UnknownModel
from otelbudget.pricing.book import PriceBook

_AGENT_NAME, _DECISION = semconv.AGENT_NAME, semconv.DECISION
_OPERATION_NAME, _MODEL_CALL_OPERATIONS = semconv.OPERATION_NAME, semconv.MODEL_CALL_OPERATIONS
_DENIED = str(semconv.Decision.DENIED)


class BudgetSpanProcessor(SpanProcessor):
    """Counts what runs, traces, tenants and other scopes spend, and stops those that overspend.

    Spend is read off the responses of the provider SDKs that a gate covers (openai, anthropic,
    google-genai, litellm, botocore and aiobotocore), off what `track` and `record` tell, and off
    the usage attributes of all other spans, each model call once. When a budget is used up, the
    next model call that counts on it raises `BudgetExceededError` before its request leaves the
    process: in the gate, or, for spans of your own tracers, when the span starts.

    Add it after your other span processors.

    Args:
        budgets: One or more budgets, or what `Budgets.from_yaml` read.
        mode: Overrides the mode of every budget, for trying out a file in audit mode.
        unknown_model: What a model without a known price counts as; see `UnknownModel`.
        stop_scopes: Names of tracers whose model-call spans are stopped when they start although
            they look like an instrumentation library's. Name only those that let exceptions pass.
        meter_provider: Where the metrics go; the global provider by default.
        metric_keys: Keys of scopes, such as "tenant.id", whose values the metrics may tell.
        audit_log: File to which runs and what budgets do are written as lines of JSON.
        on_warning: Called when a warning threshold is reached, once per scope, window and limit.
        on_exceeded: As that, before the stop, when a limit is used up or has no room for a call;
            where it extends the run, the call goes on.
        clock: Unix nanoseconds, for calls that are seen at a gate.

    Raises:
        BudgetConfigError: There is no budget, two have one name, the folder of the audit log does
            not exist, or a callback is no plain function.
    """

    def __init__(  # noqa: PLR0913 - one argument for each setting
        self,
        *budgets: Budget | Budgets,
        mode: Mode | str | None = None,
        unknown_model: UnknownModel | str | None = None,
        stop_scopes: Collection[str] = (),
        meter_provider: MeterProvider | None = None,
        metric_keys: Collection[str] = (),
        audit_log: str | PathLike[str] | None = None,
        on_warning: Callback | None = None,
        on_exceeded: Callback | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        callbacks, merged = Callbacks(on_warning, on_exceeded), given.merged(budgets)
        engine = Engine(
            budget if mode is None else budget.with_mode(mode) for budget in merged.budgets
        )
        self._accounting = Accounting(
            engine,
            Emitter(
                engine, meter_provider, clock=clock, metric_keys=metric_keys, audit_log=audit_log
            ),
            book=PriceBook.load(merged.prices),
            unknown_model=given.unknown_model_of(unknown_model or merged.unknown_model),
            clock=clock,
        )
        self._accounting.caller.callbacks = callbacks
        self._gatekeeper = Gatekeeper(self._accounting)
        self._tools = self._gatekeeper.tools
        self._stops = Stops(stop_scopes)
        self._is_place_checked = False
        self._is_watching = not active.is_disabled()
        if self._is_watching:
            self._gatekeeper.tell_twins(active.gatekeepers())
            active.activate(self._gatekeeper)
            processes.watch(self._accounting.emitter, self._accounting.renew_after_fork)

    @classmethod
    def from_yaml(  # noqa: PLR0913 - as the class
        cls,
        path: str | PathLike[str],
        *,
        mode: Mode | str | None = None,
        stop_scopes: Collection[str] = (),
        meter_provider: MeterProvider | None = None,
        metric_keys: Collection[str] = (),
        audit_log: str | PathLike[str] | None = None,
        on_warning: Callback | None = None,
        on_exceeded: Callback | None = None,
    ) -> Self:
        """A processor for the budgets of a file; the options are those of the class.

        Raises:
            BudgetConfigError: The file is wrong; the error names file, key and what is allowed.
        """
        budgets = Budgets.from_yaml(path)
        return cls(
            budgets,
            mode=mode,
            stop_scopes=stop_scopes,
            meter_provider=meter_provider,
            metric_keys=metric_keys,
            audit_log=audit_log,
            on_warning=on_warning,
            on_exceeded=on_exceeded,
        )

    @property
    def engine(self) -> Engine:
        """The engine that decides and keeps count."""
        return self._accounting.engine

    @property
    def stats(self) -> ProcessorStats:
        """What it counts about itself: corrections, guesses, and what its bounds have cost."""
        accounting = self._accounting
        return ProcessorStats(
            corrected=accounting.corrected,
            matched_by_usage=accounting.news.matched_by_usage,
            overflow=accounting.links.overflow,
            dropped_scopes=accounting.engine.ledger.dropped_scopes,
            faults=accounting.emitter.faults,
        )

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Link the span; refuse it if it is a model call of your own and its budget is used up."""
        if not self._is_watching:
            return
        try:
            refusal = self._start(span, parent_context)
            error = None if refusal is None else self._refused(span, refusal)
        except Exception:  # noqa: BLE001 - a fault of ours must not reach the application
            self._accounting.emitter.failed("on_start")
            return
        if error is not None:
            raise error

    def on_end(self, span: ReadableSpan) -> None:
        """Charge the span's usage unless a call that is already charged explains it."""
        if not self._is_watching:
            return
        try:
            self._gatekeeper.settle_dropped()
            self._end(span)
        except Exception:  # noqa: BLE001 - a fault of ours must not reach the application
            self._accounting.emitter.failed("on_end")

    def shutdown(self) -> None:
        """Stop watching: neither gates nor spans are counted or stopped from now on."""
        self._is_watching = False
        active.deactivate(self._gatekeeper)
        self._accounting.emitter.close()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Wait until the audit log is written; nothing else is buffered."""
        return self._accounting.emitter.flush(timeout_millis / 1000)

    def _start(self, span: Span, context: Context | None) -> Refusal | None:
        if not self._is_place_checked:
            self._check_place(span)
        trace_id, span_id = span.context[:2]
        parent = span.parent
        if parent is None or parent.is_remote:
            note_root(span)
        around = IN_GATE.get()
        inside = self._own_call() if around else None
        attributes = attributes_of(span)
        accounting = self._accounting
        lock = accounting.lock
        lock.acquire()  # here and where spans end `with` would take twice as long
        try:
            link = accounting.links.open(
                trace_id, span_id, 0 if parent is None else parent[1], inside
            )
            above, place = link.place, self._place(span, link, attributes, context)
        finally:
            lock.release()
        if attributes and tells_genai(attributes):
            span.set_attributes(place.written(accounting.places.keys))
        elif above is not place and above is not None:
            self._write_carried(span, above, place)
        if inside is not None:
            span.set_attribute(semconv.CALL_ID, inside.call_id)
            return None
        return self._decide(span, attributes, link) if attributes else None

    def _place(
        self, span: Span, link: Link, attributes: Mapping[str, Any], context: Context | None
    ) -> Place:
        """Find where the calls of a span belong, and what they are called.

        Called with the lock held.
        """
        accounting, above = self._accounting, link.place
        place = link.place = accounting.places.of_span(
            span.context.trace_id, above, attributes, span.resource, context
        )
        if above is None:
            trace = accounting.links.trace(span.context.trace_id)
            if trace is not None and trace.place is None:
                trace.place = place
        if attributes:
            agent = attributes.get(_AGENT_NAME)
            if isinstance(agent, str):
                link.agent = agent
        is_root = span.parent is None and _OPERATION_NAME not in attributes
        if not is_root and self._stops.is_own(span):
            link.operation = span.name
        if accounting.engine.is_limiting_seconds:
            accounting.engine.accounts(place, span.start_time or accounting.now())
        return place

    def _write_carried(self, span: Span, above: Place, place: Place) -> None:
        """Write what baggage has told and no span above does, so that replay knows it."""
        written = place.written(self._accounting.places.keys)
        known = above.written(self._accounting.places.keys)
        span.set_attributes(
            {key: value for key, value in written.items() if known.get(key) != value}
        )

    def _decide(self, span: Span, attributes: Mapping[str, Any], link: Link) -> Refusal | None:
        """Count a model's or a tool's span that no gate covers; the budget that refuses it."""
        if attributes.get(_OPERATION_NAME) in _MODEL_CALL_OPERATIONS:
            if self._stops.reaches_caller(span):
                return self._admit(span, attributes, link)
        elif self._tools.is_limited and link.place is not None:
            return self._start_tool(span, attributes, link, link.place)
        return None

    def _start_tool(
        self, span: Span, attributes: Mapping[str, Any], link: Link, place: Place
    ) -> Refusal | None:
        may_stop = self._stops.reaches_caller(span)
        refusal = self._tools.start(attributes, place, link, is_stoppable=may_stop)
        if refusal is not None and is_extended(self._accounting, refusal, place):
            link.tool = None
            return self._tools.start(attributes, place, link, is_stoppable=may_stop)
        return refusal

    def _own_call(self) -> GatedCall | None:
        """The open call of this processor whose gate the running code is inside of."""
        return next((call for call in calls_around() if call.owner is self._gatekeeper), None)

    def _admit(self, span: Span, attributes: Mapping[str, Any], link: Link) -> Refusal | None:
        accounting = self._accounting
        request = request_of_span(attributes)
        estimate = accounting.estimate(request) if accounting.engine.is_reserving else None
        with accounting.lock:
            link.admission = accounting.links.take_admission(link.parent)
        if link.admission is not None or link.place is None:
            return None
        accounting.emitter.called(link.place, link.agent)
        decision = admit(accounting, link.place, request, estimate.hold if estimate else None)
        if isinstance(decision, Refusal):
            return decision
        link.admission = decision
        write_decision(span, decision, estimate)
        span.set_attribute(semconv.CALL_START, decision.at_ns)
        accounting.emitter.admitted(decision)
        return None

    def _check_place(self, span: Span) -> None:
        """Warn where the processor stands wrongly among others, as far as the SDK lets us see."""
        self._is_place_checked = True
        for cause, warning in misplacements(span, self):
            self._accounting.emitter.once(cause, "%s", warning)

    def _refused(self, span: Span, refusal: Refusal) -> BudgetExceededError:
        """End a span that is refused; the error to raise."""
        context = span.context
        accounting = self._accounting
        self._check_place(span)
        with accounting.lock:
            link = accounting.links.link(context.trace_id, context.span_id)
        error = BudgetExceededError(
            refusal.facts(
                trace_id=hex_trace_id(context.trace_id),
                agent=link.agent if link is not None else None,
                run_id=link.place.run_id if link is not None and link.place else None,
            )
        )
        accounting.emitter.refused(refusal, span, asked_at_start(accounting, span, refusal, link))
        end_refused(span, refusal, error)
        return note_refusal(error)

    def _end(self, span: ReadableSpan) -> None:
        trace_id, span_id = span.context[:2]
        attributes = attributes_of(span)
        call, scope_name = None, ""
        if attributes and attributes.get(_DECISION) != _DENIED:  # a refused call is none
            scope_name = scope_name_of(span)
            call = read_call(
                attributes,
                scope_name=scope_name,
                start_time_unix_nano=span.start_time,
                end_time_unix_nano=span.end_time,
            )
        if call is not None:
            is_failed = call.usage is None and span.status.status_code is StatusCode.ERROR
            told = Told(call, trace_id, span_id, scope_name, span.name)
            told.is_borrowed = counting.is_borrowed(attributes, scope_name)
            self._end_call(told, attributes, is_failed=is_failed)
            return
        accounting = self._accounting
        lock = accounting.lock
        lock.acquire()
        try:
            link = accounting.links.close(trace_id, span_id)
            if link is not None and link.admission is not None:
                accounting.release(link)
            notices: Sequence[Notice] = ()
            if self._tools.is_limited and attributes:
                notices = self._tools.end(attributes, link)
            accounting.links.drop_if_quiet(trace_id)
        finally:
            lock.release()
        if notices:
            accounting.tell_notices(notices)

    def _end_call(self, told: Told, attributes: Mapping[str, Any], *, is_failed: bool) -> None:
        trace_id = told.trace_id
        accounting = self._accounting
        links, lock = accounting.links, accounting.lock
        gated = None
        lock.acquire()
        try:
            link = links.close(trace_id, told.span_id)
            place = links.place(trace_id, link)
            told.place = place and accounting.places.at_end(place, attributes)
            if link is not None:
                told.agent, told.operation = link.agent, link.operation
            if link is None or link.inside or link.unread or links.unread:
                gated = self._explained_by(trace_id, link, told.call)
            if gated is None:
                changes = accounting.end_span(told, link, is_failed=is_failed)
                links.drop_if_quiet(trace_id)
            else:
                changes = accounting.explained(link, told.call)
        finally:
            lock.release()
        accounting.tell(changes)
        if gated is not None:
            self._gatekeeper.settle_by_span(gated, told.call)
            with lock:
                links.drop_if_quiet(trace_id)

    def _explained_by(self, trace_id: int, link: Link | None, call: ModelCall) -> GatedCall | None:
        """The gated call whose own span this is, or whose unknown usage it tells: R1 to R3."""
        has_usage = call.usage is not None
        if link is not None:
            inside, unread = link.inside, link.unread
            link.inside = link.unread = None
            if inside is not None and not (has_usage and inside.state is CallState.RELEASED):
                return inside
            if link.is_explained:
                return None
            if unread is not None and not (has_usage and unread.state is CallState.OPEN):
                # An open call tells of itself when it ends; what this span is charged for until
                # then is taken back.
                return unread if unread.state is not CallState.RELEASED else None
        if not has_usage or call.response_id is None:
            return None
        return self._accounting.links.unread_call(trace_id, call.response_id)
