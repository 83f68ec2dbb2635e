"""What budgets did, in OpenTelemetry metrics: plain numbers here, read when they are collected."""

import time
from collections.abc import Callable, Iterable, Mapping

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

from otelbudget.budgets.config import Budget, LimitKind, Mode
from otelbudget.budgets.decisions import amount
from otelbudget.budgets.engine import Engine
from otelbudget.genai import semconv
from otelbudget.genai.usage import ModelCall, TokenUsage
from otelbudget.pricing.billing import PUSD_PER_USD, Charge

_RECENT_SECONDS = 60
_MAX_LABEL_VALUES = 200
_OTHER = "other"
_UNNAMED = "(unnamed)"
_TOKEN_TYPES = ("input", "cache_read", "cache_write", "output")


class _Spend:
    """What calls of one model and provider used.

    Attributes:
        labels: Model and provider.
        is_priced: Whether any call had a price.
        cost_pusd: List cost.
        input: Input tokens that were neither read from nor written to a cache.
        cache_read: Input tokens read from a cache.
        cache_write: Input tokens written to a cache.
        output: Output tokens.
    """

    __slots__ = (
        "cache_read",
        "cache_write",
        "cost_pusd",
        "input",
        "is_priced",
        "labels",
        "output",
    )

    def __init__(self, labels: Mapping[str, str]) -> None:
        self.labels = labels
        self.is_priced = False
        self.cost_pusd = self.input = self.cache_read = self.cache_write = self.output = 0

    def add(self, usage: TokenUsage | None, cost_pusd: int | None, *, sign: int = 1) -> None:
        if cost_pusd is not None:
            self.is_priced = True
            self.cost_pusd += sign * cost_pusd
        if usage is None:
            return
        cache_read, cache_write = usage.cache_read_input_tokens, usage.cache_write_input_tokens
        self.input += sign * (usage.input_tokens - cache_read - cache_write)
        self.cache_read += sign * cache_read
        self.cache_write += sign * cache_write
        self.output += sign * usage.output_tokens


class Metrics:
    """Keeps the numbers and shows them to a meter provider.

    Labels are model, provider, token type, budget, limit kind and decision; never a trace, tenant
    or user. Beyond 200 models or providers the rest is counted as "other".

    Args:
        engine: Its budgets and accounts are shown.
        clock: Seconds, for what was charged lately.
    """

    def __init__(
        self,
        engine: Engine,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._labels: dict[str, set[str]] = {}
        self._spend: dict[tuple[str | None, str | None], _Spend] = {}
        self._decided: dict[semconv.Decision, int] = {}
        self._denied: dict[tuple[str, LimitKind], int] = {}
        self._corrected = 0
        self._shown: dict[tuple[object, ...], int] = {}
        self._start_at_zero()

    def decided(self, decision: semconv.Decision) -> None:
        """A call was let through."""
        with self._engine.ledger.lock:
            self._decided[decision] += 1

    def denied(self, budget: Budget, kind: LimitKind) -> None:
        """A call was refused."""
        key = budget.name, kind
        with self._engine.ledger.lock:
            self._decided[semconv.Decision.DENIED] += 1
            self._denied[key] = self._denied.get(key, 0) + 1

    def charged(
        self,
        call: ModelCall,
        charge: Charge,
        decision: semconv.Decision | None = None,
    ) -> None:
        """A call was settled; `decision` where nobody had been asked before it was made.

        Called with the ledger's lock held.
        """
        if decision is not None:
            self._decided[decision] += 1
        spend = self._spend.get((call.response_model or call.request_model, call.provider))
        (spend or self._new_spend(call)).add(call.usage, charge.list_cost_pusd)

    def corrected(self, call: ModelCall, charge: Charge, decision: semconv.Decision) -> None:
        """A charge was taken back, and what had been decided about its call.

        Called with the ledger's lock held.
        """
        spend = self._spend.get((call.response_model or call.request_model, call.provider))
        (spend or self._new_spend(call)).add(call.usage, charge.list_cost_pusd, sign=-1)
        self._decided[decision] -= 1
        self._corrected += 1

    def _new_spend(self, call: ModelCall) -> _Spend:
        """Where calls of a model and provider are summed up; one place for all beyond the bound."""
        key = call.response_model or call.request_model, call.provider
        model, provider = self._label("model", key[0]), self._label("provider", key[1])
        if _OTHER in {model, provider}:
            key = model, provider
        spend = self._spend.get(key)
        if spend is None:
            spend = self._spend[key] = _Spend({"model": model, "provider": provider})
        return spend

    def _label(self, name: str, value: str | None) -> str:
        """A label's value; "other" once there are too many of them."""
        if not value:
            return _UNNAMED
        values = self._labels.setdefault(name, set())
        if value in values:
            return value
        if len(values) >= _MAX_LABEL_VALUES:
            return _OTHER
        values.add(value)
        return value

    def _start_at_zero(self) -> None:
        """Show what may be decided as 0 at first: a rate cannot see a series' first sample."""
        self._decided[semconv.Decision.ALLOWED] = 0
        for budget in self._engine.budgets:
            if budget.mode is Mode.AUDIT:
                self._decided[semconv.Decision.AUDITED] = 0
                continue
            self._decided[semconv.Decision.DENIED] = 0
            for kind in budget.limits:
                self._denied[budget.name, kind] = 0

    def show(self, meter_provider: MeterProvider | None) -> None:
        """Show the numbers to a meter provider, the global one by default."""
        meter = metrics.get_meter("otelbudget", meter_provider=meter_provider)
        meter.create_observable_counter(
            semconv.METRIC_COST,
            [self._observe_cost],
            unit="{USD}",
            description="List cost of model calls",
        )
        meter.create_observable_counter(
            semconv.METRIC_TOKENS,
            [self._observe_tokens],
            unit="{token}",
            description="Tokens of model calls",
        )
        meter.create_observable_counter(
            semconv.METRIC_CALLS,
            [self._observe_calls],
            unit="{call}",
            description="Model calls by decision",
        )
        meter.create_observable_counter(
            semconv.METRIC_DENIED,
            [self._observe_denied],
            unit="{call}",
            description="Model calls refused by a budget",
        )
        meter.create_observable_counter(
            semconv.METRIC_CORRECTED,
            [self._observe_corrected],
            unit="{call}",
            description="Charges taken back because a later span told of the same tokens",
        )
        meter.create_observable_gauge(
            semconv.METRIC_LIMIT, [self._observe_limits], description="Limits of the budgets"
        )
        meter.create_observable_gauge(
            semconv.METRIC_USAGE,
            [self._observe_usage],
            description="Highest usage of a scope that was charged within the last minute",
        )

    def _observe_cost(self, options: CallbackOptions) -> Iterable[Observation]:
        with self._engine.ledger.lock:
            return [
                Observation(
                    self._highest(spend.cost_pusd, "cost", spend) / PUSD_PER_USD, spend.labels
                )
                for spend in self._spend.values()
                if spend.is_priced
            ]

    def _observe_tokens(self, options: CallbackOptions) -> Iterable[Observation]:
        with self._engine.ledger.lock:
            return [
                Observation(shown, {**spend.labels, "token_type": token_type})
                for spend in self._spend.values()
                for token_type in _TOKEN_TYPES
                if (shown := self._highest(getattr(spend, token_type), token_type, spend))
            ]

    def _observe_calls(self, options: CallbackOptions) -> Iterable[Observation]:
        with self._engine.ledger.lock:
            return [
                Observation(self._highest(calls, decision), {"decision": str(decision)})
                for decision, calls in self._decided.items()
            ]

    def _highest(self, value: int, *series: object) -> int:
        """The highest value that a series has shown: a counter must not fall.

        What is taken back is made up for by what is charged next.
        """
        highest = self._shown[series] = max(value, self._shown.get(series, 0))
        return highest

    def _observe_denied(self, options: CallbackOptions) -> Iterable[Observation]:
        with self._engine.ledger.lock:
            return [
                Observation(calls, {"budget": budget, "kind": str(kind)})
                for (budget, kind), calls in self._denied.items()
            ]

    def _observe_corrected(self, options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(self._corrected)]

    def _observe_limits(self, options: CallbackOptions) -> Iterable[Observation]:
        for budget in self._engine.budgets:
            for kind, limit in budget.limits.items():
                labels = {"budget": budget.name, "kind": str(kind)}
                yield Observation(float(amount(kind, limit)), labels)

    def _observe_usage(self, options: CallbackOptions) -> Iterable[Observation]:
        highest = self._highest_lately()
        for budget in self._engine.budgets:
            for kind in budget.limits:
                usage = highest.get((budget.name, kind), 0)
                labels = {"budget": budget.name, "kind": str(kind)}
                yield Observation(float(amount(kind, usage)), labels)

    def _highest_lately(self) -> Mapping[tuple[str, LimitKind], int]:
        """The highest usage by budget and limit kind of accounts that have changed within a minute."""
        limits = {budget.name: budget.limits for budget in self._engine.budgets}
        highest: dict[tuple[str, LimitKind], int] = {}
        now = self._clock()
        ledger = self._engine.ledger
        with ledger.lock:
            for name, account in ledger.accounts():
                used = account.cost_pusd, account.tokens, account.calls
                if used != account.seen:
                    account.seen, account.seen_at = used, now
                if account.seen_at >= now - _RECENT_SECONDS and any(used):
                    for kind in limits[name]:
                        key = (name, kind)
                        highest[key] = max(highest.get(key, 0), account.usage(kind))
        return highest
