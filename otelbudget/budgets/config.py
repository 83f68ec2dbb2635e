"""Budgets: what may be spent, and the file that says so."""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from os import PathLike
from typing import Any, Self

from otelbudget.budgets.files import read_yaml
from otelbudget.errors import BudgetConfigError, display_usd
from otelbudget.pricing.billing import UnknownModel, pusd, usd
from otelbudget.pricing.overrides import PriceOverrides

MAX_LIMIT = 2**63 - 1


class Mode(StrEnum):
    """What a used-up budget does.

    Attributes:
        OFF: Nothing; it is not even counted.
        AUDIT: It is reported once per scope, and every call goes on.
        ENFORCE: The next call is refused with `BudgetExceededError`.
    """

    OFF = "off"
    AUDIT = "audit"
    ENFORCE = "enforce"


class LimitKind(StrEnum):
    """What a limit counts.

    Attributes:
        COST_USD: List cost, known when a call ends.
        TOKENS: Input and output tokens, known when a call ends.
        CALLS: Model calls, known when a call starts.
        TOOL_CALLS: Calls of tools, known when a call starts.
    """

    COST_USD = "cost_usd"
    TOKENS = "tokens"
    CALLS = "calls"
    TOOL_CALLS = "tool_calls"


PER_TRACE = "trace"
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
        per: "trace": counted for each trace. None: a tier, counted for each trace whose root span
            asks for it with the attribute `otelbudget.tier`.
        mode: What happens when it is used up.
        limits: The limits by kind: pico-USD for "cost_usd", else a count.
        warn_at: Utilizations, each above 0 and at most 1, that are reported once per scope.
        reserve: An estimate of each call is held while it is in flight.
        cancel_in_flight: Calls in flight on asyncio end when a limit on cost or tokens is used up.
    """

    name: str
    per: str | None
    mode: Mode
    limits: Mapping[LimitKind, int]
    warn_at: tuple[Decimal, ...]
    reserve: bool
    cancel_in_flight: bool

    def __init__(  # noqa: PLR0913 - one argument for each key of the budgets file
        self,
        *,
        cost_usd: str | int | Decimal | None = None,
        tokens: int | None = None,
        calls: int | None = None,
        tool_calls: int | None = None,
        name: str = "budget",
        per: str | None = PER_TRACE,
        mode: Mode | str = Mode.ENFORCE,
        warn_at: Sequence[str | int | Decimal] = DEFAULT_WARN_AT,
        reserve: bool = False,
        cancel_in_flight: bool = False,
    ) -> None:
        """Make a budget.

        Args:
            cost_usd: Limit on list cost in US dollars, as text or Decimal so that it is exact.
            tokens: Limit on input and output tokens together.
            calls: Limit on model calls.
            tool_calls: Limit on calls of tools.
            name: Name in errors, events and metrics.
            per: "trace", or None for a tier.
            mode: "off", "audit" or "enforce".
            warn_at: Utilizations that are reported once per scope.
            reserve: Hold an estimate of each call while it is in flight.
            cancel_in_flight: End the calls in flight on asyncio when a limit on cost or tokens is
                used up. What they would have answered is lost, and usually billed.

        Raises:
            BudgetConfigError: A value is not allowed, or there is no limit at all.
        """
        limits: dict[LimitKind, int] = {}
        if cost_usd is not None:
            limits[LimitKind.COST_USD] = _money(cost_usd)
        for kind, count in (
            (LimitKind.TOKENS, tokens),
            (LimitKind.CALLS, calls),
            (LimitKind.TOOL_CALLS, tool_calls),
        ):
            if count is not None:
                limits[kind] = _whole(count, str(kind))
        if not limits:
            raise BudgetConfigError("a budget needs a limit: cost_usd, tokens, calls or tool_calls")
        object.__setattr__(self, "name", _name(name))
        object.__setattr__(self, "per", _per(per))
        object.__setattr__(self, "mode", _mode(mode))
        object.__setattr__(self, "limits", limits)
        object.__setattr__(self, "warn_at", _warn_at(warn_at))
        object.__setattr__(self, "reserve", _flag(reserve, "reserve"))
        object.__setattr__(self, "cancel_in_flight", _flag(cancel_in_flight, "cancel_in_flight"))

    def with_mode(self, mode: Mode | str) -> "Budget":
        """The same budget in another mode."""
        changed = copy(self)
        object.__setattr__(changed, "mode", _mode(mode))
        return changed

    def as_config(self) -> dict[str, Any]:
        """The budget as the keys of a budgets file, defaults filled in, money as text."""
        limits = {
            f"max_{kind}": display_usd(usd(limit)) if kind is LimitKind.COST_USD else limit
            for kind, limit in self.limits.items()
        }
        per = {} if self.per is None else {"per": self.per}
        warn_at = [str(ratio) for ratio in self.warn_at]
        flags = {"reserve": self.reserve, "cancel_in_flight": self.cancel_in_flight}
        return {**per, "mode": str(self.mode), **limits, "warn_at": warn_at, **flags}


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
        names = [budget.name for budget in self.budgets]
        for name in names:
            if names.count(name) > 1:
                raise BudgetConfigError(f"two budgets are named {name!r}; names must differ")

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
        top = _mapping(document, path, None)
        _known_keys(top, ("version", "unknown_model", "prices", "budgets"), path, "")
        if str(top.get("version", 1)) != "1":
            raise BudgetConfigError(
                f"is {top['version']!r}, this otelbudget reads 1", path=path, key="version"
            )
        budgets = tuple(
            _budget(str(name), keys, path)
            for name, keys in _mapping(top.get("budgets"), path, "budgets").items()
        )
        try:
            unknown_model = UnknownModel(str(top.get("unknown_model", UnknownModel.CEILING)))
        except ValueError as error:
            allowed = _choices(UnknownModel)
            raise BudgetConfigError(
                f"is {top['unknown_model']!r}, allowed are {allowed}",
                path=path,
                key="unknown_model",
            ) from error
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


@dataclass(frozen=True, slots=True)
class _Key:
    """A key of a budget in the file and the argument of `Budget` it sets."""

    argument: str
    convert: Any = field(default=lambda value: value)


def _integer(value: object) -> object:
    """Text that the exact loader left as text although it is a whole number, such as 1e6."""
    if not isinstance(value, str):
        return value
    try:
        number = Decimal(value)
        is_whole = abs(number) <= MAX_LIMIT and number == number.to_integral_value()
        return int(number) if is_whole else value
    except ArithmeticError:
        return value


_BUDGET_KEYS: Mapping[str, _Key] = {
    "per": _Key("per"),
    "mode": _Key("mode"),
    "max_cost_usd": _Key("cost_usd"),
    "max_tokens": _Key("tokens", _integer),
    "max_calls": _Key("calls", _integer),
    "max_steps": _Key("calls", _integer),
    "max_tool_calls": _Key("tool_calls", _integer),
    "max_nested_tool_calls": _Key("tool_calls", _integer),
    "warn_at": _Key("warn_at"),
    "reserve": _Key("reserve"),
    "cancel_in_flight": _Key("cancel_in_flight"),
}


def _budget(name: str, keys: object, path: str | None) -> Budget:
    where = f"budgets.{name}"
    given = _mapping(keys, path, where)
    _known_keys(given, tuple(_BUDGET_KEYS), path, where + ".")
    arguments: dict[str, Any] = {"name": name, "per": None}
    for key, value in given.items():
        known = _BUDGET_KEYS[key]
        if known.argument in arguments and known.argument not in ("per", "name"):
            raise BudgetConfigError(
                "sets the same limit as another key", path=path, key=f"{where}.{key}"
            )
        if value is None and key != "per":
            raise BudgetConfigError("has no value", path=path, key=f"{where}.{key}")
        arguments[known.argument] = known.convert(_off_is_text(key, value))
    try:
        return Budget(**arguments)
    except BudgetConfigError as error:
        written = {known.argument: key for key, known in _BUDGET_KEYS.items() if key in given}
        wrong = written.get(error.key or "", error.key)
        raise BudgetConfigError(
            error.reason, path=path, key=f"{where}.{wrong}" if wrong else where
        ) from error


def _off_is_text(key: str, value: object) -> object:
    """YAML 1.1 reads a bare `off` as false; as a mode it is the word."""
    return "off" if key == "mode" and value is False else value


def read_prices(path: str | PathLike[str]) -> PriceOverrides:
    """The user's own prices from a file: a `prices` section, alone or in a budgets file.

    Raises:
        BudgetConfigError: The file cannot be read, or a key or value in it is not allowed.
    """
    where = str(path)
    document = read_yaml(path)
    if isinstance(document, Mapping) and "prices" in document:
        _known_keys(document, ("version", "unknown_model", "prices", "budgets"), where, "")
        return PriceOverrides.from_config(document["prices"], path=where, prefix="prices.")
    return PriceOverrides.from_config(document, path=where)


def _mapping(value: object, path: str | None, key: str | None) -> Mapping[str, Any]:
    if isinstance(value, Mapping) and value:
        return {str(name): inner for name, inner in value.items()}
    raise BudgetConfigError("must hold keys with values", path=path, key=key)


def _known_keys(
    given: Mapping[str, Any], known: Sequence[str], path: str | None, prefix: str
) -> None:
    for key in given:
        if key not in known:
            raise BudgetConfigError(
                f"is not a key this version knows; allowed are {', '.join(known)}",
                path=path,
                key=prefix + key,
            )


def _money(value: str | int | Decimal) -> int:
    if isinstance(value, bool | float) or not isinstance(value, str | int | Decimal):
        raise BudgetConfigError(
            f"is {value!r}; write US dollars as text, such as '0.25', so that they are exact",
            key="cost_usd",
        )
    try:
        amount = pusd(Decimal(value))
    except (ArithmeticError, ValueError) as error:
        raise BudgetConfigError(
            f"is {value!r}, allowed are US dollars with at most twelve decimals", key="cost_usd"
        ) from error
    if not 0 <= amount <= MAX_LIMIT:
        raise BudgetConfigError(
            f"is {value!r}, allowed are 0 to 9223372 US dollars", key="cost_usd"
        )
    return amount


def _whole(value: object, key: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_LIMIT:
        raise BudgetConfigError(f"is {value!r}, allowed are whole numbers from 0", key=key)
    return value


def _flag(value: object, key: str) -> bool:
    if not isinstance(value, bool):
        raise BudgetConfigError(f"is {value!r}, allowed are true and false", key=key)
    return value


def _name(name: object) -> str:
    if not isinstance(name, str) or not name or len(name) > 100:  # noqa: PLR2004 - the limit is in the sentence
        raise BudgetConfigError(f"is {name!r}, allowed are 1 to 100 characters", key="name")
    return name


def _per(per: object) -> str | None:
    if per is not None and per != PER_TRACE:
        raise BudgetConfigError(
            f"is {per!r}; this version counts per 'trace', and a budget without `per` is a tier",
            key="per",
        )
    return None if per is None else PER_TRACE


def _mode(mode: object) -> Mode:
    try:
        return Mode(str(mode))
    except ValueError as error:
        raise BudgetConfigError(f"is {mode!r}, allowed are {_choices(Mode)}", key="mode") from error


def _warn_at(ratios: object) -> tuple[Decimal, ...]:
    reason = f"is {ratios!r}, allowed is a list of ratios above 0 and up to 1, such as [0.5, 0.8]"
    if isinstance(ratios, str) or not isinstance(ratios, Sequence):
        raise BudgetConfigError(reason, key="warn_at")
    try:
        decimals = [Decimal(str(ratio)) for ratio in ratios]
    except InvalidOperation as error:
        raise BudgetConfigError(reason, key="warn_at") from error
    if not all(ratio.is_finite() and 0 < ratio <= 1 for ratio in decimals):
        raise BudgetConfigError(reason, key="warn_at")
    return tuple(sorted(set(decimals)))


def _choices(enum: type[StrEnum]) -> str:
    return ", ".join(enum)
