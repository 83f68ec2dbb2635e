"""What budgets did, in OpenTelemetry metrics: plain numbers here, read when they are collected."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

from otelbudget.budgets.config import Budget
from otelbudget.budgets.decisions import amount
from otelbudget.budgets.engine import Engine
from otelbudget.budgets.kinds import LimitKind, Mode
from otelbudget.budgets.ledger import Account
from otelbudget.budgets.limits import Limits
from otelbudget.budgets.scopes import Scope
from otelbudget.genai import semconv
from otelbudget.genai.usage import ModelCall, TokenUsage
from otelbudget.pricing.billing import PUSD_PER_USD, Charge

_RECENT_SECONDS = 60
_MAX_LABEL_VALUES = 200
_OTHER = "other"
_UNNAMED = "(unnamed)"
_TOKEN_TYPES = ("input", "cache_read", "cache_write", "output")

_Part = tuple[str, str]
_SeriesKey = tuple[str, LimitKind, _Part | None, tuple[str, ...]]


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

    Labels are model, provider, token type, budget, limit kind, decision, event, and the shares and
    tools that budgets name; a trace, tenant or user only where its key is asked for. Beyond 200
    values of a label the rest is counted as "other".

    Args:
        engine: Its budgets and accounts are shown.
        clock: Unix nanoseconds: windows that are over are not shown.
        keys: Keys of scopes whose values are labels of limit, usage and held.
        seconds: Seconds, for what was charged lately.
    """

    def __init__(
        self,
        engine: Engine,
        clock: Callable[[], int] = time.time_ns,
        keys: Collection[str] = (),
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._keys = tuple(keys)
        self._seconds = seconds
        self._budgets = {budget.name: budget for budget in engine.budgets}
        self._labels: dict[str, set[str]] = {}
        self._spend: dict[tuple[str | None, str | None], _Spend] = {}
        self._decided: dict[semconv.Decision, int] = {}
        self._denied: dict[tuple[str, LimitKind], int] = {}
        self._events: dict[tuple[str, str | None], int] = {}
        self._corrected = 0
        self._shown: dict[tuple[object, ...], int] = {}
        self._start_at_zero()

    def decided(self, decision: semconv.Decision) -> None:
        """A call was let through."""
        with self._engine.ledger.lock:
            self._decided[decision] += 1

    def denied(self, budget: Budget, kind: LimitKind) -> None:
        """A call was refused."""
        with self._engine.ledger.lock:
            key = self._label("budget", budget.name), kind
            denied = semconv.Decision.DENIED
            self._decided[denied] = self._decided.get(denied, 0) + 1
            self._denied[key] = self._denied.get(key, 0) + 1
        self.happened("denied", budget.name)

    def happened(self, event: str, budget: str | None = None) -> None:
        """Something was told of, by a budget or of a call."""
        with self._engine.ledger.lock:
            key = event, None if budget is None else self._label("budget", budget)
            self._events[key] = self._events.get(key, 0) + 1

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
            semconv.METRIC_EVENTS,
            [self._observe_events],
            unit="{event}",
            description="What budgets told of: warning, exceeded, denied, extended, unknown_price",
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
        meter.create_observable_gauge(
            semconv.METRIC_HELD,
            [self._observe_held],
            description="Highest amount held for calls in flight of such a scope",
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

    def _observe_events(self, options: CallbackOptions) -> Iterable[Observation]:
        with self._engine.ledger.lock:
            return [
                Observation(
                    count, {"event": event, **({} if budget is None else {"budget": budget})}
                )
                for (event, budget), count in self._events.items()
            ]

    def _observe_limits(self, options: CallbackOptions) -> Iterable[Observation]:
        return self._observed(lambda series: series.limit)

    def _observe_usage(self, options: CallbackOptions) -> Iterable[Observation]:
        return self._observed(lambda series: series.usage)

    def _observe_held(self, options: CallbackOptions) -> Iterable[Observation]:
        return self._observed(lambda series: series.held)

    def _observed(self, value: Callable[["_Series"], int]) -> list[Observation]:
        with self._engine.ledger.lock:
            return [
                Observation(float(amount(series.kind, value(series))), series.labels)
                for series in self._series().values()
            ]

    def _series(self) -> Mapping[_SeriesKey, "_Series"]:
        """What is shown of each configured limit: that of the scopes used within a minute."""
        shown: dict[_SeriesKey, _Series] = {}
        for budget in self._engine.budgets:
            for part, limits in _configured(budget):
                for kind, limit in limits.items():
                    shown[budget.name, kind, part, ()] = _Series(budget, kind, limit, part)
        for budget, account in self._used_lately():
            part = part_of(budget, account.scope)
            values = tuple(self._value(key, account.scope) for key in self._keys)
            for kind in account.limits.by_kind:
                configured = shown.get((budget.name, kind, part, ()))
                if configured is None:
                    continue
                configured.note(account)
                if any(values):
                    told = dict(zip(self._keys, values, strict=True))
                    named = _Series(budget, kind, configured.limit, part, told)
                    shown.setdefault((budget.name, kind, part, values), named).note(account)
        return shown

    def _value(self, key: str, scope: Scope) -> str:
        """A value that the user wants to see; "" where the scope has none."""
        value = dict(scope).get(key)
        return "" if value is None else self._label(key, value)

    def _used_lately(self) -> Iterator[tuple[Budget, Account]]:
        """The accounts that have changed within a minute, in windows that are not over."""
        seconds, now_ns = self._seconds(), self._clock()
        for name, account in self._engine.ledger.accounts():
            budget = self._budgets.get(name)
            if budget is None or 0 < account.ends_at <= now_ns:
                continue
            if account.entries is not None:
                account.pass_time(now_ns)
            used = account.cost_pusd, account.tokens, account.calls, account.tool_calls
            if used != account.seen:
                account.seen, account.seen_at = used, seconds
            if account.seen_at >= seconds - _RECENT_SECONDS and any(used):
                yield budget, account


class _Series:
    """What is shown of one limit.

    Attributes:
        kind: The kind of limit.
        limit: The limit as configured, in the kind's unit.
        labels: Budget, limit kind, and what else it is of.
        usage: The highest usage of a scope.
        held: The highest amount held for a scope.
    """

    __slots__ = ("held", "kind", "labels", "limit", "usage")

    def __init__(
        self,
        budget: Budget,
        kind: LimitKind,
        limit: int,
        part: _Part | None,
        told: Mapping[str, str] | None = None,
    ) -> None:
        self.kind = kind
        self.limit = limit
        self.usage = self.held = 0
        self.labels = {"budget": budget.name, "kind": str(kind)}
        if part is not None:
            key, value = part
            is_share = key in budget.shares
            self.labels["share" if is_share else "tool"] = f"{key}={value}" if is_share else value
        self.labels |= {key: value for key, value in (told or {}).items() if value}

    def note(self, account: Account) -> None:
        """Show an account, where it is the highest."""
        self.usage = max(self.usage, account.usage(self.kind))
        self.held = max(self.held, account.held(self.kind))


def part_of(budget: Budget, scope: Scope) -> _Part | None:
    """The share or tool that an account counts, as a key and its value; None: all of its scope."""
    return scope[-1] if len(scope) > len(budget.per or (None,)) else None


def _configured(budget: Budget) -> Iterator[tuple[_Part | None, Mapping[LimitKind, int]]]:
    """The limits of a budget, of its shares and of its tools."""
    yield None, budget.limits
    limits = Limits(budget, budget.limits)
    for key, ratios in budget.shares.items():
        for value, ratio in ratios.items():
            yield (key, value), limits.share(ratio).by_kind
    for tool, most in budget.tool_limits.items():
        yield (semconv.TOOL_NAME, tool), {LimitKind.TOOL_CALLS: most}
