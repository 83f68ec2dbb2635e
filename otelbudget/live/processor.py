"""The span processor: counts what each trace spends and stops it when a budget is used up."""

import os
import time
import weakref
from collections.abc import Callable, Collection, Sequence
from os import PathLike
from typing import Self

from opentelemetry.context import Context
from opentelemetry.metrics import MeterProvider
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import Status, StatusCode

from otelbudget.budgets.config import Budget, Budgets, Mode
from otelbudget.budgets.engine import Engine, Refusal
from otelbudget.errors import BudgetConfigError, BudgetExceededError
from otelbudget.genai import semconv
from otelbudget.genai.reading import read_call
from otelbudget.genai.usage import ModelCall
from otelbudget.live import gates
from otelbudget.live.accounting import Accounting, hex_trace_id
from otelbudget.live.calls import CallState, GatedCall, calls_around
from otelbudget.live.emitter import Emitter
from otelbudget.live.gatekeeper import Gatekeeper, write_decision
from otelbudget.live.spans import OpenSpan
from otelbudget.pricing.billing import UnknownModel


class BudgetSpanProcessor(SpanProcessor):
    """Counts what each trace spends, and stops a trace that has used up a budget.

    Spend is read off the responses of the provider SDKs that a gate covers (openai), and off the
    usage attributes of all other spans, each model call once. When a budget is used up, the
    trace's next model call raises `BudgetExceededError` before its request leaves the process: in
    the gate, or, for spans of your own tracers, when the span starts.

    Add it after your other span processors.

    Args:
        budgets: One or more budgets, or what `Budgets.from_yaml` read.
        mode: Overrides the mode of every budget, for trying out a file in audit mode.
        unknown_model: What a model without a known price counts as; see `UnknownModel`.
        stop_scopes: Names of tracers whose model-call spans are stopped when they start although
            they look like an instrumentation library's. Name only those that let exceptions pass.
        meter_provider: Where the metrics go; the global provider by default.
        clock: Unix nanoseconds, for calls that are seen at a gate.

    Raises:
        BudgetConfigError: There is no budget, or two have one name.
    """

    def __init__(
        self,
        *budgets: Budget | Budgets,
        mode: Mode | str | None = None,
        unknown_model: UnknownModel | str | None = None,
        stop_scopes: Collection[str] = (),
        meter_provider: MeterProvider | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        merged = _merged(budgets)
        engine = Engine(
            budget if mode is None else budget.with_mode(mode) for budget in merged.budgets
        )
        self._accounting = Accounting(
            engine,
            Emitter(engine.budgets, meter_provider),
            unknown_model=_unknown_model(unknown_model or merged.unknown_model),
            clock=clock,
        )
        self._gatekeeper = Gatekeeper(self._accounting)
        self._stop_scopes = frozenset(stop_scopes)
        self._is_watching = not gates.is_disabled()
        if self._is_watching:
            gates.activate(self._gatekeeper)
            _renew_locks_after_fork(self._accounting)

    @classmethod
    def from_yaml(
        cls,
        path: str | PathLike[str],
        *,
        mode: Mode | str | None = None,
        stop_scopes: Collection[str] = (),
        meter_provider: MeterProvider | None = None,
    ) -> Self:
        """A processor for the budgets of a file; the options are those of the class.

        Raises:
            BudgetConfigError: The file is wrong; the error names file, key and what is allowed.
        """
        budgets = Budgets.from_yaml(path)
        return cls(budgets, mode=mode, stop_scopes=stop_scopes, meter_provider=meter_provider)

    @property
    def engine(self) -> Engine:
        """The engine that decides and keeps count."""
        return self._accounting.engine

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Link the span; refuse it if it is a model call of your own and its budget is used up."""
        if not self._is_watching:
            return
        try:
            refusal = self._start(span)
        except Exception:  # noqa: BLE001 - a fault of ours must not reach the application
            self._accounting.emitter.failed("on_start")
            return
        if refusal is not None:
            self._refuse(span, refusal)

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
        gates.deactivate(self._gatekeeper)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """True; nothing is buffered."""
        return True

    def _start(self, span: Span) -> Refusal | None:
        context = span.context
        inside = next((call for call in calls_around() if call.owner is self._gatekeeper), None)
        attributes = span.attributes or {}
        opened = self._link(span, inside)
        if inside is not None:
            span.set_attribute(semconv.CALL_ID, inside.call_id)
            return None
        if attributes.get(semconv.OPERATION_NAME) not in semconv.MODEL_CALL_OPERATIONS:
            return None
        if not self._is_stopped_at_start(span):
            return None
        with self._accounting.lock:
            outer = self._accounting.links.take_admission(context.trace_id, opened.parent_id)
        if outer is not None:
            opened.admission = outer
            return None
        decision = self._accounting.admit(context.trace_id)
        if isinstance(decision, Refusal):
            return decision
        opened.admission = decision
        write_decision(span, decision)
        self._accounting.emitter.admitted(decision)
        return None

    def _link(self, span: Span, inside: GatedCall | None) -> OpenSpan:
        context, parent = span.context, span.parent
        attributes = span.attributes
        accounting = self._accounting
        with accounting.lock:
            opened = accounting.links.open(
                context.trace_id, context.span_id, parent.span_id if parent else 0, inside
            )
            if attributes:
                agent = attributes.get(semconv.AGENT_NAME)
                if isinstance(agent, str):
                    opened.agent = agent
                tier = attributes.get(semconv.TIER)
                if isinstance(tier, str):
                    accounting.links.set_tier(context.trace_id, tier)
        return opened

    def _is_stopped_at_start(self, span: Span) -> bool:
        """Whether an exception raised at this span's start reaches the code that makes the call."""
        name = _scope_name(span)
        return name in self._stop_scopes or not semconv.is_scope(
            name, semconv.INSTRUMENTATION_SCOPES
        )

    def _refuse(self, span: Span, refusal: Refusal) -> None:
        context = span.context
        accounting = self._accounting
        with accounting.lock:
            opened = accounting.links.open_span(context.trace_id, context.span_id)
        error = BudgetExceededError(
            refusal.facts(
                trace_id=hex_trace_id(context.trace_id),
                agent=opened.agent if opened is not None else None,
            )
        )
        span.set_attribute(semconv.DECISION, str(semconv.Decision.DENIED))
        span.set_attribute(semconv.BUDGET, refusal.budget.name)
        span.set_attribute(semconv.REFUSED_AT_START, value=True)
        accounting.emitter.refused(refusal, span)
        span.set_status(Status(StatusCode.ERROR, str(error)))
        span.end()
        raise error

    def _end(self, span: ReadableSpan) -> None:
        trace_id, span_id = span.context.trace_id, span.context.span_id
        accounting = self._accounting
        call = _call(span)
        if call is None:
            with accounting.lock:
                accounting.links.close(trace_id, span_id)
                accounting.links.drop_if_quiet(trace_id)
            return
        has_usage = call.usage is not None
        with accounting.lock:
            opened = accounting.links.close(trace_id, span_id)
            repeats = opened is not None and opened.is_explained
            gated = self._explained_by(span, opened, call)
            if opened is not None and has_usage:
                accounting.links.explain(trace_id, opened.parent_id)
        if gated is not None or repeats:
            if opened is not None and opened.admission is not None:
                accounting.engine.release(opened.admission)
            if gated is not None and has_usage:
                self._gatekeeper.settle(gated, call)
        else:
            self._charge(span, opened, call)
        with accounting.lock:
            accounting.links.drop_if_quiet(trace_id)

    def _explained_by(
        self, span: ReadableSpan, opened: OpenSpan | None, call: ModelCall
    ) -> GatedCall | None:
        """The gated call that a span tells of: rules R1 (its own gate) to R4 of the design."""
        if opened is not None:
            if opened.inside is not None:
                return opened.inside
            if opened.is_explained:
                return None
            if opened.unread is not None and opened.unread.state is not CallState.RELEASED:
                return opened.unread
        if call.usage is None:
            return None
        scope_name = _scope_name(span)
        twin = self._accounting.links.gated_twin(span.context.trace_id, call, scope_name)
        if twin is None:
            return None
        gated, is_by_usage = twin
        if is_by_usage:
            gated.explained_scopes.add(scope_name)
        return gated

    def _charge(self, span: ReadableSpan, opened: OpenSpan | None, call: ModelCall) -> None:
        accounting = self._accounting
        admission = opened.admission if opened is not None else None
        if call.usage is None and span.status.status_code is StatusCode.ERROR:
            if admission is not None:
                accounting.engine.release(admission)
            return
        if admission is None:
            admission = accounting.count(span.context.trace_id)
            accounting.emitter.admitted(admission)
        accounting.settle(admission, call)


def _call(span: ReadableSpan) -> ModelCall | None:
    """The model call that a span tells of; a refused one is none."""
    attributes = span.attributes
    if not attributes or attributes.get(semconv.DECISION) == semconv.Decision.DENIED:
        return None
    return read_call(
        attributes,
        scope_name=_scope_name(span),
        start_time_unix_nano=span.start_time,
        end_time_unix_nano=span.end_time,
    )


def _scope_name(span: ReadableSpan) -> str:
    scope = span.instrumentation_scope
    return scope.name if scope is not None else ""


def _renew_locks_after_fork(accounting: Accounting) -> None:
    """Give a forked child locks that no thread of its parent holds; its spend so far stays."""
    known = weakref.ref(accounting)

    def renew() -> None:
        alive = known()
        if alive is not None:
            alive.renew_locks()

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=renew)


def _unknown_model(value: UnknownModel | str) -> UnknownModel:
    try:
        return UnknownModel(value)
    except ValueError as error:
        allowed = ", ".join(UnknownModel)
        raise BudgetConfigError(
            f"is {value!r}, allowed are {allowed}", key="unknown_model"
        ) from error


def _merged(given: Sequence[Budget | Budgets]) -> Budgets:
    budgets: list[Budget] = []
    unknown_model = UnknownModel.CEILING
    for each in given:
        if isinstance(each, Budgets):
            budgets.extend(each.budgets)
            unknown_model = each.unknown_model
        else:
            budgets.append(_checked(each))
    if not budgets:
        raise BudgetConfigError("give at least one budget, such as Budget(cost_usd='0.25')")
    return Budgets(tuple(budgets), unknown_model)


def _checked(budget: object) -> Budget:
    if not isinstance(budget, Budget):
        raise BudgetConfigError(
            f"{budget!r} is no budget; give one such as Budget(cost_usd='0.25')"
        )
    return budget
