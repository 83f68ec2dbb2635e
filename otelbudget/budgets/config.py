"""Budgets: what may be spent, and the file that says so."""

from collections import Counter
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from decimal import Decimal
from os import PathLike
from typing import Any, Self

from otelbudget.budgets import values
from otelbudget.budgets.files import read_yaml
from otelbudget.budgets.keys import TOP_KEYS, budget_arguments, in_file, known_keys, mapping
from otelbudget.budgets.kinds import RUN, TRACE, LimitKind, Mode, OnStoreError
from otelbudget.budgets.windows import Window, optional_window, zone_of
from otelbudget.errors import BudgetConfigError
from otelbudget.pricing.billing import UnknownModel
from otelbudget.pricing.overrides import PriceOverrides

__all__ = [
    "Budget",
    "Budgets",
    "LimitKind",
    "Mode",
    "OnStoreError",
    "budget_from_config",
    "read_prices",
]

DEFAULT_WARN_AT = (Decimal("0.8"),)


@dataclass(frozen=True, slots=True, init=False)
class Budget:
    """A named set of limits; the first one that is used up closes it.

    A limit closes when usage is at it or above. Usage is what ended calls used, so calls in flight
    at that moment still finish: the overshoot is at most what they use. With `reserve` a call is
    admitted only where usage, the estimates of the calls in flight and its own stay within the
    limit, so nothing passes it as long as estimates are upper bounds.

    A used-up limit on tool calls refuses tools, not models; only where a tool was called all the
    same, since nothing could stop it, is the next model call refused.

    Attributes:
        name: Name in errors, events and metrics.
        per: What it is counted by: "trace", "run", "process", or keys of spans, baggage and
            resources. None: a tier, which holds for the runs that ask for it by name, and for
            spans that do when they start, with the attribute `otelbudget.tier`, and those below.
        mode: What happens when it is used up.
        where: The values that keys must have for a call to be counted and refused.
        window: The time that is counted together; None: all of it.
        limits: The limits by kind: pico-USD for "cost_usd", nanoseconds for "seconds", else a
            count.
        tool_limits: The most calls of a tool, by its name.
        warn_at: Utilizations, each above 0 and at most 1, that are reported once per scope and
            window.
        shares: The part of each limit that each value of a key may use; other values: all of it.
        reserve: An estimate of each call is held while it is in flight.
        grace: Calls that may pass the limits of a scope and window to wrap a run up.
        cancel_in_flight: Calls in flight on asyncio end when a limit on cost or tokens is used up.
        on_store_error: What happens while a shared ledger cannot be reached.
        keys: What must be looked up for each call: the keys of `per` save "trace" and "run", of
            `where` and of `shares`, each once.
    """

    name: str
    per: tuple[str, ...] | None
    mode: Mode
    where: Mapping[str, tuple[str, ...]]
    window: Window | None
    limits: Mapping[LimitKind, int]
    tool_limits: Mapping[str, int]
    warn_at: tuple[Decimal, ...]
    shares: Mapping[str, Mapping[str, Decimal]]
    reserve: bool
    grace: int
    cancel_in_flight: bool
    on_store_error: OnStoreError
    keys: tuple[str, ...]

    def __init__(  # noqa: PLR0913 - one argument for each key of the budgets file
        self,
        *,
        cost_usd: str | int | Decimal | None = None,
        tokens: int | None = None,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        cache_read_input_tokens: int | None = None,
        cache_write_input_tokens: int | None = None,
        reasoning_output_tokens: int | None = None,
        calls: int | None = None,
        tool_calls: int | None = None,
        tool_calls_by_name: Mapping[str, int] | None = None,
        seconds: str | int | Decimal | None = None,
        name: str = "budget",
        per: str | Sequence[str] | None = TRACE,
        mode: Mode | str = Mode.ENFORCE,
        where: Mapping[str, object] | None = None,
        window: str | None = None,
        timezone: str | None = None,
        warn_at: Sequence[str | int | Decimal] = DEFAULT_WARN_AT,
        shares: Mapping[str, Mapping[str, str | int | Decimal]] | None = None,
        reserve: bool = False,
        grace: int = 0,
        cancel_in_flight: bool = False,
        on_store_error: OnStoreError | str = OnStoreError.LOCAL,
    ) -> None:
        """Make a budget.

        Args:
            cost_usd: Limit on list cost in US dollars, as text or Decimal so that it is exact.
            tokens: Limit on input and output tokens together.
            input_tokens: Limit on input tokens, those of caches among them.
            output_tokens: Limit on output tokens, those of reasoning among them.
            cache_read_input_tokens: Limit on input tokens read from caches.
            cache_write_input_tokens: Limit on input tokens written to caches.
            reasoning_output_tokens: Limit on output tokens of reasoning.
            calls: Limit on model calls.
            tool_calls: Limit on calls of tools.
            tool_calls_by_name: Limits on the calls of single tools, by name of the tool.
            seconds: Limit on the time since the scope's first span started, as text, int or
                Decimal with at most nine decimals. Only for a budget per trace or run, or a tier.
            name: Name in errors, events and metrics.
            per: "trace", "run", "process", a key such as "tenant.id", or a list; None for a tier.
            mode: "off", "audit" or "enforce".
            where: The value, or list of values, that each key must have for a call to be counted
                and refused.
            window: "hour", "day", "week" (from Monday), "month", or a length such as "15m" that
                rolls; None: what is counted is never forgotten.
            timezone: Name of the time zone of a calendar window; None: UTC.
            warn_at: Utilizations that are reported once per scope and window.
            shares: {key: {value: ratio}}: the part of each limit that calls with that value of the
                key may use, as text or Decimal.
            reserve: Hold an estimate of each call while it is in flight.
            grace: Calls that may pass the limits of a scope and window, inside `run.wrap_up()`.
            cancel_in_flight: End the calls in flight on asyncio when a limit on cost or tokens is
                used up. What they would have answered is lost, and usually billed.
            on_store_error: "allow", "block" or "local": what happens while a shared ledger cannot
                be reached.

        Raises:
            BudgetConfigError: A value is not allowed, or there is no limit at all.
        """
        limits = values.limits_by_kind(
            {
                LimitKind.COST_USD: cost_usd,
                LimitKind.TOKENS: tokens,
                LimitKind.INPUT_TOKENS: input_tokens,
                LimitKind.OUTPUT_TOKENS: output_tokens,
                LimitKind.CACHE_READ_INPUT_TOKENS: cache_read_input_tokens,
                LimitKind.CACHE_WRITE_INPUT_TOKENS: cache_write_input_tokens,
                LimitKind.REASONING_OUTPUT_TOKENS: reasoning_output_tokens,
                LimitKind.CALLS: calls,
                LimitKind.TOOL_CALLS: tool_calls,
                LimitKind.SECONDS: seconds,
            }
        )
        self._set(
            name=values.budget_name(name, "name"),
            per=values.per_keys(per, "per"),
            mode=values.choice(Mode, mode, "mode"),
            where=values.conditions(where, "where"),
            window=optional_window(window, timezone),
            limits=limits,
            tool_limits=values.counts_by_name(tool_calls_by_name, "tool_calls_by_name"),
            warn_at=values.utilizations(warn_at, "warn_at"),
            shares=values.shares_by_key(shares, "shares"),
            reserve=values.flag(reserve, "reserve"),
            grace=values.whole(grace, "grace"),
            cancel_in_flight=values.flag(cancel_in_flight, "cancel_in_flight"),
            on_store_error=values.choice(OnStoreError, on_store_error, "on_store_error"),
        )
        self._check()
        looked_up = [key for key in self.per or () if key not in (TRACE, RUN)]
        self._set(keys=tuple(dict.fromkeys([*looked_up, *self.where, *self.shares])))

    def __reduce__(self) -> tuple[Any, ...]:
        return budget_from_config, (self.name, self.as_config())

    def _set(self, **attributes: object) -> None:
        for name, value in attributes.items():
            object.__setattr__(self, name, value)

    def _check(self) -> None:
        """What no single value says."""
        if not self.limits and not self.tool_limits:
            raise BudgetConfigError(
                f"a budget needs a limit: {', '.join(LimitKind)} or tool_calls_by_name (in a file "
                "each with max_ before it)"
            )
        if LimitKind.SECONDS not in self.limits:
            return
        if self.per not in (None, (TRACE,), (RUN,)) or self.window is not None:
            raise BudgetConfigError(
                "is the time of a trace or a run, so it needs per: trace, per: run or a tier, and "
                "no window",
                key=str(LimitKind.SECONDS),
            )

    def with_mode(self, mode: Mode | str) -> "Budget":
        """The same budget in another mode."""
        changed = copy(self)
        changed._set(mode=values.choice(Mode, mode, "mode"))  # noqa: SLF001 - it is of this class
        return changed

    def as_config(self) -> dict[str, Any]:
        """The budget as the keys of a budgets file, defaults filled in, money and time as text.

        Keys of which the default is nothing are there only where the budget has something to say.
        """
        per = self.per[0] if self.per is not None and len(self.per) == 1 else self.per
        stated = {
            "per": list(per) if isinstance(per, tuple) else per,
            "mode": str(self.mode),
            "where": {
                key: allowed[0] if len(allowed) == 1 else list(allowed)
                for key, allowed in self.where.items()
            },
            "window": str(self.window) if self.window else None,
            "timezone": zone_of(self.window),
            **{
                f"max_{kind}": values.written_limit(kind, limit)
                for kind, limit in self.limits.items()
            },
            "max_tool_calls_by_name": dict(self.tool_limits),
        }
        shares = {
            key: {value: format(ratio, "f") for value, ratio in ratios.items()}
            for key, ratios in self.shares.items()
        }
        local = self.on_store_error is OnStoreError.LOCAL
        return {
            **{key: value for key, value in stated.items() if value not in (None, {})},
            "warn_at": [str(ratio) for ratio in self.warn_at],
            **({"shares": shares} if shares else {}),
            "reserve": self.reserve,
            **({"grace": self.grace} if self.grace else {}),
            "cancel_in_flight": self.cancel_in_flight,
            **({} if local else {"on_store_error": str(self.on_store_error)}),
        }


def budget_from_config(name: str, keys: object, path: str | None = None) -> Budget:
    """A budget from its name and the keys it has in a budgets file.

    Raises:
        BudgetConfigError: A key or value is not allowed; the error names file and key.
    """
    arguments = budget_arguments(name, keys, path)
    try:
        return Budget(**arguments)
    except BudgetConfigError as error:
        raise in_file(error, name, keys, path) from error


@dataclass(frozen=True, slots=True)
class Budgets:
    """What a budgets file says.

    Attributes:
        budgets: The budgets in the order of the file; their names are distinct.
        unknown_model: What a model without a known price counts as.
        prices: The user's own prices; None: list prices.
    """

    budgets: tuple[Budget, ...]
    unknown_model: UnknownModel = UnknownModel.CEILING
    prices: PriceOverrides | None = None

    def __post_init__(self) -> None:
        for name, count in Counter(budget.name for budget in self.budgets).items():
            if count > 1:
                raise BudgetConfigError(f"two budgets are named {name!r}; names must differ")

    @property
    def keys(self) -> tuple[str, ...]:
        """What must be looked up for each call: the keys of all budgets, each once, in order."""
        return tuple(dict.fromkeys(key for budget in self.budgets for key in budget.keys))

    @classmethod
    def from_yaml(cls, path: str | PathLike[str]) -> Self:
        """Read a budgets file.

        Raises:
            BudgetConfigError: The file cannot be read, or a key or value in it is not allowed; the
                error names file, key and what is allowed.
        """
        return cls.from_config(read_yaml(path), path=str(path))

    @classmethod
    def from_config(cls, document: object, *, path: str | None = None) -> Self:
        """Budgets from the mapping that a budgets file holds.

        Raises:
            BudgetConfigError: A key or value is not allowed.
        """
        top = mapping(document, path, None, such_as="budgets: {quick: {max_calls: 5}}")
        known_keys(top, TOP_KEYS, path, "")
        if str(values.integer(top.get("version", 1))) != "1":
            raise BudgetConfigError(
                f"is {values.shown(top['version'])}, this otelbudget reads 1",
                path=path,
                key="version",
            )
        listed = mapping(top.get("budgets"), path, "budgets", such_as="quick: {max_calls: 5}")
        budgets = tuple(budget_from_config(name, keys, path) for name, keys in listed.items())
        try:
            unknown_model = values.choice(
                UnknownModel, top.get("unknown_model", UnknownModel.CEILING), "unknown_model"
            )
        except BudgetConfigError as error:
            raise BudgetConfigError(error.reason, path=path, key=error.key) from error
        prices = (
            PriceOverrides.from_config(top["prices"], path=path, prefix="prices.")
            if "prices" in top
            else None
        )
        return cls(budgets, unknown_model, prices)

    def as_config(self) -> dict[str, Any]:
        """The mapping of a budgets file that says the same, defaults filled in."""
        return {
            "version": 1,
            "unknown_model": str(self.unknown_model),
            **({"prices": dict(self.prices.config)} if self.prices else {}),
            "budgets": {budget.name: budget.as_config() for budget in self.budgets},
        }


def read_prices(path: str | PathLike[str]) -> PriceOverrides:
    """The user's own prices from a file: a `prices` section, alone or in a budgets file.

    Raises:
        BudgetConfigError: The file cannot be read, or a key or value in it is not allowed.
    """
    where = str(path)
    document = read_yaml(path)
    if isinstance(document, Mapping) and "prices" in document:
        top = mapping(document, where, None, such_as="prices: {free: [ollama]}")
        known_keys(top, TOP_KEYS, where, "")
        return PriceOverrides.from_config(document["prices"], path=where, prefix="prices.")
    return PriceOverrides.from_config(document, path=where)
