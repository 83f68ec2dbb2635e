"""Tells the user what budgets did: log records, span events and OpenTelemetry metrics."""

import contextlib
import functools
import logging
import time
from collections.abc import Callable, Collection, Sequence
from os import PathLike
from typing import Concatenate, ParamSpec

from opentelemetry import trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import Span

from otelbudget.budgets.decisions import Admission, Notice, NoticeKind, Refusal, amount
from otelbudget.budgets.engine import Engine
from otelbudget.budgets.kinds import LimitKind, Mode
from otelbudget.budgets.scopes import Place
from otelbudget.errors import calls, described, display, display_usd, unit
from otelbudget.genai import semconv
from otelbudget.genai.usage import ModelCall
from otelbudget.live.audit_log import AuditLog
from otelbudget.live.audit_trail import AuditTrail
from otelbudget.live.metrics import Metrics
from otelbudget.live.places import hex_trace_id
from otelbudget.live.written import Asked, Refusals, write_notice
from otelbudget.pricing.billing import Charge, usd

logger = logging.getLogger("otelbudget")

_P = ParamSpec("_P")

_MAX_CAUSES = 1_000
_EVENTS = {
    NoticeKind.WARNING: semconv.WARNING_EVENT,
    NoticeKind.EXCEEDED: semconv.EXCEEDED_EVENT,
}


def _without_fault(
    tell: Callable[Concatenate["Emitter", _P], None],
) -> Callable[Concatenate["Emitter", _P], None]:
    """Keep faults of log handlers, meters and spans from those who have something to tell."""

    @functools.wraps(tell)
    def told(emitter: "Emitter", /, *args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            tell(emitter, *args, **kwargs)
        except Exception:  # noqa: BLE001 - a fault of ours must not reach the application
            emitter.failed("telling")

    return told


class Emitter:
    """Writes log records, span events and the audit log, and keeps the metrics.

    Args:
        engine: Its budgets and accounts are shown in metrics.
        meter_provider: Where metrics go; the global provider by default.
        clock: Unix nanoseconds.
        metric_keys: Keys of scopes whose values metrics may tell.
        audit_log: File of the audit log; None: there is none.

    Attributes:
        metrics: The numbers.
        has_audit_log: Whether there is an audit log, which tells of runs and traces.
        faults: Faults of ours that were caught.

    Raises:
        BudgetConfigError: The folder of the audit log does not exist.
    """

    def __init__(
        self,
        engine: Engine,
        meter_provider: MeterProvider | None = None,
        *,
        clock: Callable[[], int] = time.time_ns,
        metric_keys: Collection[str] = (),
        audit_log: str | PathLike[str] | None = None,
    ) -> None:
        self.metrics = Metrics(engine, clock, metric_keys)
        self.faults = 0
        self._told: set[str] = set()
        self._refusals = Refusals(engine.keys)
        self._trail: AuditTrail | None = None
        self.has_audit_log = audit_log is not None
        if audit_log is not None:
            self._trail = AuditTrail(engine, AuditLog(audit_log, self.once), clock)
        try:
            self.metrics.show(meter_provider)
        except Exception:  # noqa: BLE001 - budgets hold without metrics
            self.failed("making metrics")

    def called(self, place: Place, agent: str | None) -> None:
        """A call is made, or was."""
        if self._trail is not None:
            self._tell_call(self._trail, place, agent)

    @_without_fault
    def _tell_call(self, trail: AuditTrail, place: Place, agent: str | None) -> None:
        trail.called(place, agent)

    @_without_fault
    def trace_ended(self, trace_id: int) -> None:
        """A trace has neither open spans nor calls in flight."""
        if self._trail is not None:
            self._trail.trace_ended(hex_trace_id(trace_id))

    @_without_fault
    def run_started(self, place: Place, agent: str | None) -> None:
        """The application has opened the innermost run of a place by name."""
        if self._trail is not None:
            self._trail.run_started(place, agent)

    @_without_fault
    def run_ended(self, place: Place, agent: str | None) -> None:
        """The innermost run of a place, which was opened by name, has ended."""
        if self._trail is not None:
            self._trail.run_ended(place, agent)

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until the audit log is written; False where that takes longer."""
        return self._trail is None or self._trail.flush(timeout_seconds)

    @_without_fault
    def close(self) -> None:
        """Tell the audit log of the runs that have not ended, and write it to its end."""
        if self._trail is not None:
            self._trail.close()

    def renew_after_fork(self) -> None:
        """Begin anew in a forked child, where nobody is left to give locks back."""
        self._refusals.renew_after_fork()
        if self._trail is not None:
            self._trail.renew_after_fork()

    @_without_fault
    def admitted(self, admission: Admission) -> None:
        """A call was let through."""
        self.metrics.decided(
            semconv.Decision.AUDITED if admission.is_audited else semconv.Decision.ALLOWED
        )
        self.tell(admission.notices)

    def corrected(self) -> None:
        """A charge was taken back."""
        self.once(
            "corrected",
            "A span that ended told of tokens that an earlier one had been charged for; that "
            "charge was taken back. Further ones are counted in the metrics.",
            level=logging.INFO,
        )

    @_without_fault
    def refused(self, refusal: Refusal, span: Span, asked: Asked) -> None:
        """A call was refused, or would be; `span` is current there."""
        budget = refusal.budget
        self.metrics.denied(budget, refusal.kind)
        self._refusals.write(span, refusal, asked)
        if self._trail is not None:
            self._trail.refused(refusal, asked, _window(refusal))

    @_without_fault
    def tell(self, notices: Sequence[Notice]) -> None:
        """Write each notice to the log and as an event on the current span.

        Of an extension only the run knows by how much: it writes that on its own span.
        """
        if not notices:
            return
        span = trace.get_current_span()
        for notice in notices:
            if notice.is_repeated:
                continue
            self.metrics.happened(str(notice.kind), notice.budget.name)
            window = _window(notice)
            is_extended = notice.kind is NoticeKind.EXTENDED
            logger.log(
                logging.INFO if is_extended else logging.WARNING, "%s", _sentence(notice, window)
            )
            if span.is_recording() and not is_extended:
                write_notice(span, _EVENTS[notice.kind], notice, window)
            if self._trail is not None:
                self._trail.noticed(notice, window)

    @_without_fault
    def once(
        self, cause: str, message: str, *arguments: object, level: int = logging.WARNING
    ) -> None:
        """Log a message the first time that a cause is met."""
        if cause not in self._told and len(self._told) < _MAX_CAUSES:
            self._told.add(cause)
            logger.log(level, message, *arguments)

    def guessed(self, model: str | None, guesses: Sequence[str]) -> None:
        """A call was reserved at an estimate that is no upper bound."""
        self.once(
            f"guess {model} {guesses}",
            "What a call of model %r may cost is a guess (%s), so what is held for it may be too "
            "little, and its budget may be passed by the rest.",
            model,
            ", ".join(guesses),
        )

    def failed(self, where: str) -> None:
        """Log the exception being handled, a fault of ours, once per place."""
        self.faults += 1
        if where not in self._told:
            self._told.add(where)
            with contextlib.suppress(Exception):  # a log handler that raises is none of ours
                logger.exception(  # noqa: LOG004 - the callers handle one
                    "otelbudget failed in %s and went on; spend may be missing (reported once)",
                    where,
                )

    @_without_fault
    def unknown_price(self, call: ModelCall, charge: Charge) -> None:
        """A call was charged whose model has no known price."""
        cause = f"price {call.provider} {call.model}"
        is_new = cause not in self._told
        self.once(
            cause,
            "Model %r of provider %r has no known price: its calls count as %s USD at a ceiling "
            "price toward money limits; add a price or set unknown_model.",
            call.model,
            call.provider,
            display_usd(usd(charge.estimated_pusd)),
        )
        self.metrics.happened("unknown_price")
        if self._trail is not None and is_new:
            self._trail.unknown_price(call.provider, call.model, charge)
        span = trace.get_current_span()
        if span.is_recording():
            span.add_event(
                semconv.UNKNOWN_PRICE_EVENT,
                {semconv.RESPONSE_MODEL: call.model or "(unnamed)"},
            )


def _window(about: Notice | Refusal) -> str | None:
    """The window that something is about, for people; None without one."""
    window = about.budget.window
    return None if window is None else window.label(about.account.key[2])


def _sentence(notice: Notice, window: str | None) -> str:
    kind = notice.limit_kind
    name = f"Budget {notice.budget.name!r} ({described(dict(notice.scope), window)})"
    used = display(kind, amount(kind, notice.usage))
    limit = display(kind, amount(kind, notice.limit))
    match notice.kind:
        case NoticeKind.EXTENDED:
            return f"{name} was extended: {used} of {limit} {unit(kind)} is used."
        case NoticeKind.WARNING:
            ratio = f"{100 * notice.usage / notice.limit:.1f} %" if notice.limit else "all"
            return f"{name} is {ratio} used: {used} of {limit} {unit(kind)}."
        case NoticeKind.EXCEEDED:
            return f"{name} is used up: {used} of {limit} {unit(kind)}; {_consequence(notice)}."


def _consequence(notice: Notice) -> str:
    """What a used-up limit brings about, and what to do."""
    if notice.budget.mode is not Mode.ENFORCE:
        return "audit mode: calls go on"
    is_tool = notice.limit_kind is LimitKind.TOOL_CALLS
    what = f"its next {'tool' if is_tool else 'model'} call is refused"
    if notice.calls_in_flight and notice.ends_calls:
        becomes = "are ended" if notice.budget.cancel_in_flight else "may still add to it"
        what += f"; {calls(notice.calls_in_flight)} in flight {becomes}"
    return f"{what}; {notice.facts().remedy()}"
