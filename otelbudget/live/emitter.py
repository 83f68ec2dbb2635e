"""Tells the user what budgets did: log records, span events and OpenTelemetry metrics."""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import RLock

from opentelemetry import metrics, trace
from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation
from opentelemetry.trace import Span

from otelbudget.budgets.config import Budget, LimitKind, Mode
from otelbudget.budgets.engine import Admission, Notice, NoticeKind, Refusal, amount
from otelbudget.budgets.ledger import Account
from otelbudget.errors import display, display_usd, unit
from otelbudget.genai import semconv
from otelbudget.genai.usage import ModelCall
from otelbudget.pricing.billing import PUSD_PER_USD, Charge, usd

logger = logging.getLogger("otelbudget")

_RECENT_SECONDS = 60
_MAX_RECENT = 1_000
_MAX_LABEL_VALUES = 200
_OTHER = "other"
_UNNAMED = "(unnamed)"

BudgetAccount = tuple[Budget, Account]


class Emitter:
    """Writes log records, span events and metrics.

    Metrics carry model, provider, token type, budget, limit kind and decision; never a trace,
    tenant or user. Beyond 200 models or providers the rest is counted as "other".

    Args:
        budgets: The budgets whose limits are shown.
        meter_provider: Where metrics go; the global provider by default.
    """

    def __init__(
        self, budgets: Iterable[Budget], meter_provider: MeterProvider | None = None
    ) -> None:
        self._budgets = tuple(budgets)
        self._labels: dict[str, set[str]] = {}
        self._told: set[str] = set()
        self._recent = _RecentAccounts()
        meter = metrics.get_meter("otelbudget", meter_provider=meter_provider)
        self._cost = meter.create_counter(
            semconv.METRIC_COST, unit="{USD}", description="List cost of model calls"
        )
        self._tokens = meter.create_counter(
            semconv.METRIC_TOKENS, unit="{token}", description="Tokens of model calls"
        )
        self._calls = meter.create_counter(
            semconv.METRIC_CALLS, unit="{call}", description="Model calls by decision"
        )
        self._denied = meter.create_counter(
            semconv.METRIC_DENIED, unit="{call}", description="Model calls refused by a budget"
        )
        self._start_at_zero()
        meter.create_observable_gauge(
            semconv.METRIC_LIMIT, [self._observe_limits], description="Limits of the budgets"
        )
        meter.create_observable_gauge(
            semconv.METRIC_USAGE,
            [self._observe_usage],
            description="Highest usage of a scope that was charged within the last minute",
        )

    def admitted(self, admission: Admission) -> None:
        """A call was let through."""
        decision = semconv.Decision.AUDITED if admission.is_audited else semconv.Decision.ALLOWED
        self._calls.add(1, {"decision": str(decision)})
        self.tell(admission.notices)

    def charged(self, call: ModelCall, charge: Charge, accounts: Iterable[BudgetAccount]) -> None:
        """A call was settled."""
        self._recent.touch(accounts)
        labels = {
            "model": self._label("model", call.model),
            "provider": self._label("provider", call.provider),
        }
        if charge.list_cost_pusd is not None:
            self._cost.add(charge.list_cost_pusd / PUSD_PER_USD, labels)
        elif call.usage is not None:
            self._tell_unknown_price(call, charge)
        if call.usage is not None:
            usage = call.usage
            cached = usage.cache_read_input_tokens + usage.cache_write_input_tokens
            for token_type, count in (
                ("input", usage.input_tokens - cached),
                ("cache_read", usage.cache_read_input_tokens),
                ("cache_write", usage.cache_write_input_tokens),
                ("output", usage.output_tokens),
            ):
                if count > 0:
                    self._tokens.add(count, {**labels, "token_type": token_type})

    def refused(self, refusal: Refusal, span: Span) -> None:
        """A call was refused; `span` is current there."""
        budget = refusal.budget
        labels = {"budget": budget.name, "kind": str(refusal.kind)}
        self._denied.add(1, labels)
        self._calls.add(1, {"decision": str(semconv.Decision.DENIED)})
        if span.is_recording():
            usage = refusal.account.usage(refusal.kind)
            limit = budget.limits[refusal.kind]
            span.add_event(
                semconv.DENIED_EVENT, _event(budget, refusal.kind, limit=limit, usage=usage)
            )

    def tell(self, notices: Sequence[Notice]) -> None:
        """Write each notice to the log and as an event on the current span."""
        if not notices:
            return
        span = trace.get_current_span()
        for notice in notices:
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

    def once(self, cause: str, message: str, *arguments: object) -> None:
        """Log a warning the first time that a cause is met."""
        if cause not in self._told and len(self._told) < _MAX_RECENT:
            self._told.add(cause)
            logger.warning(message, *arguments)

    def failed(self, where: str) -> None:
        """Log the exception being handled, a fault of ours, once per place."""
        if where not in self._told:
            self._told.add(where)
            logger.exception(  # noqa: LOG004 - the callers handle one
                "otelbudget failed in %s and went on; spend may be missing (reported once)", where
            )

    def _start_at_zero(self) -> None:
        """Show what may be decided as 0 at first: a rate cannot see a series' first sample."""
        self._calls.add(0, {"decision": str(semconv.Decision.ALLOWED)})
        for budget in self._budgets:
            if budget.mode is Mode.AUDIT:
                self._calls.add(0, {"decision": str(semconv.Decision.AUDITED)})
                continue
            self._calls.add(0, {"decision": str(semconv.Decision.DENIED)})
            for kind in budget.limits:
                self._denied.add(0, {"budget": budget.name, "kind": str(kind)})

    def renew_lock(self) -> None:
        """Replace the lock: after a fork nobody is left to give it back."""
        self._recent.lock = RLock()

    def _tell_unknown_price(self, call: ModelCall, charge: Charge) -> None:
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
                {semconv.RESPONSE_MODEL: call.model or _UNNAMED},
            )

    def _label(self, name: str, value: str | None) -> str:
        values = self._labels.setdefault(name, set())
        value = value or _UNNAMED
        if value in values:
            return value
        if len(values) >= _MAX_LABEL_VALUES:
            return _OTHER
        values.add(value)
        return value

    def _observe_limits(self, options: CallbackOptions) -> Iterable[Observation]:
        for budget in self._budgets:
            for kind, limit in budget.limits.items():
                labels = {"budget": budget.name, "kind": str(kind)}
                yield Observation(float(amount(kind, limit)), labels)

    def _observe_usage(self, options: CallbackOptions) -> Iterable[Observation]:
        highest = self._recent.highest()
        for budget in self._budgets:
            for kind in budget.limits:
                usage = highest.get((budget.name, kind), 0)
                labels = {"budget": budget.name, "kind": str(kind)}
                yield Observation(float(amount(kind, usage)), labels)


class _RecentAccounts:
    """The accounts charged within the last minute, at most 1,000 of them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.lock = RLock()
        self._seen: OrderedDict[Account, tuple[float, Budget]] = OrderedDict()

    def touch(self, accounts: Iterable[BudgetAccount]) -> None:
        with self.lock:
            for budget, account in accounts:
                self._seen[account] = (self._clock(), budget)
                self._seen.move_to_end(account)
                if len(self._seen) > _MAX_RECENT:
                    self._seen.popitem(last=False)

    def highest(self) -> Mapping[tuple[str, LimitKind], int]:
        """The highest usage by budget and limit kind."""
        highest: dict[tuple[str, LimitKind], int] = {}
        with self.lock:
            oldest = self._clock() - _RECENT_SECONDS
            while self._seen and next(iter(self._seen.values()))[0] < oldest:
                self._seen.popitem(last=False)
            for account, (_, budget) in self._seen.items():
                for kind in budget.limits:
                    key = (budget.name, kind)
                    highest[key] = max(highest.get(key, 0), account.usage(kind))
        return highest


def _event(budget: Budget, kind: LimitKind, *, limit: int, usage: int) -> dict[str, str]:
    return {
        semconv.BUDGET: budget.name,
        semconv.LIMIT_KIND: str(kind),
        semconv.LIMIT: display(kind, amount(kind, limit)),
        semconv.USAGE: display(kind, amount(kind, usage)),
    }


def _sentence(notice: Notice) -> str:
    kind = notice.limit_kind
    used = display(kind, amount(kind, notice.usage))
    limit = display(kind, amount(kind, notice.limit))
    ratio = f"{100 * notice.usage / notice.limit:.1f} %" if notice.limit else "all"
    if notice.kind is NoticeKind.WARNING:
        return (
            f"Budget {notice.budget.name!r} (trace {notice.scope}) is {ratio} used: "
            f"{used} of {limit} {unit(kind)}."
        )
    what = (
        "its next model call is refused"
        if notice.budget.mode == "enforce"
        else "audit mode: calls go on"
    )
    return (
        f"Budget {notice.budget.name!r} (trace {notice.scope}) is used up: "
        f"{used} of {limit} {unit(kind)}; {what}."
    )
