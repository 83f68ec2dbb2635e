"""Tells the user what budgets did: log records, span events and OpenTelemetry metrics."""

import contextlib
import functools
import logging
from collections.abc import Callable, Sequence
from typing import Concatenate, ParamSpec

from opentelemetry import trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import Span

from otelbudget.budgets.config import Budget, LimitKind
from otelbudget.budgets.decisions import Admission, Notice, NoticeKind, Refusal, amount
from otelbudget.budgets.engine import Engine
from otelbudget.errors import calls, described, display, display_usd, unit
from otelbudget.genai import semconv
from otelbudget.genai.usage import ModelCall
from otelbudget.live.metrics import Metrics
from otelbudget.pricing.billing import Charge, usd

logger = logging.getLogger("otelbudget")

_P = ParamSpec("_P")

_MAX_CAUSES = 1_000
# The SDK keeps the latest 128 events of a span: refusals must not push out what was spent.
_MAX_DENIED_EVENTS = 32


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
    """Writes log records and span events, and keeps the metrics.

    Args:
        engine: Its budgets and accounts are shown in metrics.
        meter_provider: Where metrics go; the global provider by default.

    Attributes:
        metrics: The numbers.
        faults: Faults of ours that were caught.
    """

    def __init__(self, engine: Engine, meter_provider: MeterProvider | None = None) -> None:
        self.metrics = Metrics(engine)
        self.faults = 0
        self._told: set[str] = set()
        try:
            self.metrics.show(meter_provider)
        except Exception:  # noqa: BLE001 - budgets hold without metrics
            self.failed("making metrics")

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
    def refused(self, refusal: Refusal, span: Span) -> None:
        """A call was refused; `span` is current there."""
        budget = refusal.budget
        self.metrics.denied(budget, refusal.kind)
        if span.is_recording() and refusal.account.denied <= _MAX_DENIED_EVENTS:
            usage = refusal.account.usage(refusal.kind)
            limit = refusal.account.limits.by_kind[refusal.kind]
            decision = {semconv.DECISION: str(semconv.Decision.DENIED)}
            facts = _event(budget, refusal.kind, limit=limit, usage=usage)
            span.add_event(semconv.DENIED_EVENT, decision | facts)

    @_without_fault
    def tell(self, notices: Sequence[Notice]) -> None:
        """Write each notice to the log and as an event on the current span."""
        if not notices:
            return
        span = trace.get_current_span()
        for notice in notices:
            if notice.is_repeated:
                continue
            logger.warning("%s", _sentence(notice))
            if span.is_recording():
                name = (
                    semconv.EXCEEDED_EVENT
                    if notice.kind is NoticeKind.EXCEEDED
                    else semconv.WARNING_EVENT
                )
                span.add_event(
                    name,
                    _event(
                        notice.budget, notice.limit_kind, limit=notice.limit, usage=notice.usage
                    ),
                )

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
        self.once(
            f"price {call.provider} {call.model}",
            "Model %r of provider %r has no known price: its calls count as %s USD at a ceiling "
            "price toward money limits; add a price or set unknown_model.",
            call.model,
            call.provider,
            display_usd(usd(charge.estimated_pusd)),
        )
        span = trace.get_current_span()
        if span.is_recording():
            span.add_event(
                semconv.UNKNOWN_PRICE_EVENT,
                {semconv.RESPONSE_MODEL: call.model or "(unnamed)"},
            )


def _event(budget: Budget, kind: LimitKind, *, limit: int, usage: int) -> dict[str, str]:
    return {
        semconv.BUDGET: budget.name,
        semconv.LIMIT_KIND: str(kind),
        semconv.LIMIT: display(kind, amount(kind, limit)),
        semconv.USAGE: display(kind, amount(kind, usage)),
    }


def _sentence(notice: Notice) -> str:
    kind, window = notice.limit_kind, notice.budget.window
    label = None if window is None else window.label(notice.account.key[2])
    where = described(dict(notice.scope), label)
    used = display(kind, amount(kind, notice.usage))
    limit = display(kind, amount(kind, notice.limit))
    ratio = f"{100 * notice.usage / notice.limit:.1f} %" if notice.limit else "all"
    if notice.kind is NoticeKind.WARNING:
        return (
            f"Budget {notice.budget.name!r} ({where}) is {ratio} used: "
            f"{used} of {limit} {unit(kind)}."
        )
    what = (
        f"its next {'tool' if kind is LimitKind.TOOL_CALLS else 'model'} call is refused"
        if notice.budget.mode == "enforce"
        else "audit mode: calls go on"
    )
    if notice.calls_in_flight and notice.ends_calls:
        becomes = "are ended" if notice.budget.cancel_in_flight else "may still add to it"
        what += f"; {calls(notice.calls_in_flight)} in flight {becomes}"
    return (
        f"Budget {notice.budget.name!r} ({where}) is used up: "
        f"{used} of {limit} {unit(kind)}; {what}."
    )
