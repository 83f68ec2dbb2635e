"""Every exception and warning class of otelbudget.

Facts are attributes; the sentence is built from them and ends with what to do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo


class OtelBudgetError(Exception):
    """Base of every error this library raises on purpose. It can be pickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.args), self.__dict__


def _restored(kind: type[OtelBudgetError], args: tuple[Any, ...]) -> OtelBudgetError:
    """An error of a kind as pickle makes it again; its attributes follow."""
    error = kind.__new__(kind)
    error.args = args
    return error


@dataclass(frozen=True, slots=True)
class SpentCall:
    """A call that a scope paid for.

    Attributes:
        model: The priced model, None where not named.
        agent: Name of the agent that made it, None where not known.
        operation: What the application calls what it did, None where not known.
        cost_usd: What it counts toward money limits, in US dollars.
        tokens: Input and output tokens.
    """

    model: str | None
    agent: str | None
    operation: str | None
    cost_usd: Decimal
    tokens: int


@dataclass(frozen=True, slots=True)
class BudgetFacts:
    """What was known when a budget refused a call.

    Attributes:
        budget: Name of the budget.
        scope: What the budget is counted by, as {key: value}, such as {"trace": "5b8e…"}.
        kind: Kind of the limit, such as "cost_usd", "tokens", "calls", "tool_calls" or "seconds".
        limit: The limit, in US dollars for "cost_usd", in seconds for "seconds", else a count.
        usage: What the scope had used, in the unit of `limit`; at least `limit` unless the call was
            refused for its `estimate`.
        trace_id: Trace of the refused call as 32 hex digits, or None outside any trace.
        run_id: The run that the call belongs to, or None where no run was opened by name.
        agent: Name of the agent that made the refused call, or None where the spans name none.
        window: The window that is used up, such as "day 2026-01-05" or "last 15m"; None without.
        timezone: Time zone of a window of the calendar, else None.
        resets_at_unix_nano: When there is room again, in unix ns: the end of a window of the
            calendar, or when the earliest call leaves one that rolls; None without a window.
        refused_at_unix_nano: When the call was refused, in unix ns, or None.
        spent_by_model: List cost in US dollars of the scope's calls by model.
        spent_by_agent: The same by agent.
        spent_by_operation: The same by what the application calls what it did.
        last_calls: The latest calls that the scope paid for, the newest first, at most five.
        estimated_usd: The part of a "cost_usd" usage that is estimated, because a model has no
            known price or a call did not tell its usage, in US dollars.
        held: What was held for calls in flight, in the unit of `limit`.
        estimate: What the refused call may use at most, in the unit of `limit`, where that did not
            fit into what was left; None where the limit was used up already.
        calls_in_flight: Calls of the scope that had not ended; what they use is still to come.
    """

    budget: str
    scope: Mapping[str, str]
    kind: str
    limit: Decimal
    usage: Decimal
    trace_id: str | None = None
    agent: str | None = None
    run_id: str | None = None
    window: str | None = None
    timezone: str | None = None
    resets_at_unix_nano: int | None = None
    refused_at_unix_nano: int | None = None
    spent_by_model: Mapping[str, Decimal] = field(default_factory=dict)
    spent_by_agent: Mapping[str, Decimal] = field(default_factory=dict)
    spent_by_operation: Mapping[str, Decimal] = field(default_factory=dict)
    last_calls: Sequence[SpentCall] = ()
    estimated_usd: Decimal = Decimal(0)
    held: Decimal = Decimal(0)
    estimate: Decimal | None = None
    calls_in_flight: int = 0

    @property
    def overage(self) -> Decimal:
        """How far the usage is above the limit, in the limit's unit; 0 when not above it."""
        return max(self.usage - self.limit, Decimal(0))

    @property
    def retry_after(self) -> float | None:
        """Seconds from the refusal until there is room again, where that is known."""
        if self.resets_at_unix_nano is None or self.refused_at_unix_nano is None:
            return None
        return max(0, self.resets_at_unix_nano - self.refused_at_unix_nano) / 10**9

    def remedy(self) -> str:
        """What to do, for the end of a sentence."""
        if self.resets_at_unix_nano is not None:
            resets = datetime.fromtimestamp(self.resets_at_unix_nano // 10**9, UTC)
            zone = self.timezone or "UTC"
            local = resets.astimezone(ZoneInfo(zone))
            return f"raise the limit or wait until {local:%Y-%m-%d %H:%M:%S} {zone}"
        return "raise the limit or start a new run"

    def sentence(self) -> str:
        """One sentence: what happened, the two numbers with units, what to do."""
        scope = described(self.scope, self.window)
        estimated = (
            f", of which {display_usd(self.estimated_usd)} USD estimated"
            if self.estimated_usd
            else ""
        )
        used = f"{display(self.kind, self.usage)} of {display(self.kind, self.limit)}"
        if self.estimate is None:
            return (
                f"Budget {self.budget!r} ({scope}) is used up: {used} {unit(self.kind)}"
                f"{estimated}; {self.remedy()}."
            )
        held = (
            f", {display(self.kind, self.held)} {unit(self.kind)} held for "
            f"{calls(self.calls_in_flight)} in flight"
            if self.calls_in_flight
            else ""
        )
        need = f"{display(self.kind, self.estimate)} {unit(self.kind)}"
        wait = " wait for what is in flight," if self.calls_in_flight else ""
        return (
            f"Budget {self.budget!r} ({scope}) has no room for this call: {used} "
            f"{unit(self.kind)} used{estimated}{held}, and this one may use {need}; lower its cap "
            f"on output,{wait} or raise the limit."
        )


def described(scope: Mapping[str, str], window: str | None) -> str:
    """A scope for a sentence: its keys with their values, and the window."""
    parts = [f"{key} {value}" for key, value in scope.items()]
    return ", ".join([*parts, window] if window else parts)


def calls(count: int) -> str:
    """A number of calls for a sentence."""
    return "1 call" if count == 1 else f"{count} calls"


def unit(kind: str) -> str:
    """The unit of a limit kind for a sentence: "USD", "tokens", "calls" or "tool calls"."""
    return "USD" if kind == "cost_usd" else kind.replace("_", " ")


def display(kind: str, amount: Decimal) -> str:
    """An amount of a limit kind for a sentence: dollars with two or more decimals, else a count."""
    return display_usd(amount) if kind == "cost_usd" else str(amount)


def display_usd(amount: Decimal) -> str:
    """US dollars as plain digits, exact, with at least two decimals and no other trailing zeros."""
    digits = format(amount, "f")
    whole, _, decimals = digits.partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"


class BudgetExceededError(OtelBudgetError, RuntimeError):
    """A limit is used up, so the call was refused before its request left the process.

    It is a RuntimeError because LangGraph's default retry policy retries most other errors.

    Attributes:
        facts: Everything known about the refusal.
    """

    def __init__(self, facts: BudgetFacts) -> None:
        super().__init__(facts.sentence())
        self.facts = facts

    @property
    def budget(self) -> str:
        """Name of the budget that refused the call."""
        return self.facts.budget

    @property
    def scope(self) -> Mapping[str, str]:
        """What the budget is counted by, as {key: value}."""
        return self.facts.scope

    @property
    def kind(self) -> str:
        """Kind of the limit, such as "cost_usd", "tokens", "calls", "tool_calls" or "seconds"."""
        return self.facts.kind

    @property
    def limit(self) -> Decimal:
        """The limit, in US dollars for "cost_usd", in seconds for "seconds", else a count."""
        return self.facts.limit

    @property
    def usage(self) -> Decimal:
        """What the scope had used, in the unit of `limit`."""
        return self.facts.usage

    @property
    def overage(self) -> Decimal:
        """How far the usage is above the limit, in the limit's unit."""
        return self.facts.overage

    @property
    def overage_usd(self) -> Decimal | None:
        """`overage` where the limit is money, else None."""
        return self.overage if self.kind == "cost_usd" else None

    @property
    def limit_kind(self) -> str:
        """`kind`, by the name that events use."""
        return self.kind

    @property
    def window(self) -> str | None:
        """The window that is used up, such as "day 2026-01-05"; None without one."""
        return self.facts.window

    @property
    def retry_after(self) -> float | None:
        """Seconds until there is room again, where that is known."""
        return self.facts.retry_after

    @property
    def run_id(self) -> str | None:
        """The run that the refused call belongs to, where one was opened by name."""
        return self.facts.run_id

    @property
    def breakdown(self) -> Mapping[str, Mapping[str, Decimal]]:
        """What the scope spent, in US dollars, by "model", "agent" and "operation"."""
        return {
            "model": self.facts.spent_by_model,
            "agent": self.facts.spent_by_agent,
            "operation": self.facts.spent_by_operation,
        }

    @property
    def last_calls(self) -> Sequence[SpentCall]:
        """The latest calls that the scope paid for, the newest first, at most five."""
        return self.facts.last_calls

    @property
    def trace_id(self) -> str | None:
        """Trace of the refused call as 32 hex digits, or None outside any trace."""
        return self.facts.trace_id

    @property
    def current_agent(self) -> str | None:
        """Name of the agent that made the refused call, where the spans name one."""
        return self.facts.agent

    @property
    def spent_usd(self) -> Decimal | None:
        """`usage` where the limit is money, else None."""
        return self.usage if self.kind == "cost_usd" else None

    @property
    def budget_usd(self) -> Decimal | None:
        """`limit` where the limit is money, else None."""
        return self.limit if self.kind == "cost_usd" else None


class UnknownModelError(OtelBudgetError, RuntimeError):
    """A budget with `unknown_model: deny` refused a model that has no known price.

    Attributes:
        provider: Provider as the request named it, or None.
        model: Model as the request named it, or None.
    """

    def __init__(self, provider: str | None, model: str | None) -> None:
        super().__init__(
            f"Model {model!r} of provider {provider!r} has no known price and unknown_model is "
            "'deny'; use a model the price table knows, or set unknown_model to 'ceiling'."
        )
        self.provider = provider
        self.model = model


class EnforcementError(OtelBudgetError, RuntimeError):
    """A check of this environment showed that a used-up budget would not stop every call.

    Attributes:
        failures: One sentence for each check that failed.
    """

    def __init__(self, failures: Sequence[str]) -> None:
        super().__init__(
            f"{len(failures)} check(s) of enforcement failed: {' '.join(failures)} "
            "Run 'budget-audit doctor' for all of them."
        )
        self.failures = tuple(failures)


class BudgetConfigError(OtelBudgetError, ValueError):
    """A budget, or the user's budgets file, is wrong.

    Attributes:
        path: The file, or None where the budget was made in code.
        key: The key that is wrong, such as "budgets.per-run.max_calls", or None.
        reason: What is wrong and what is allowed.
    """

    def __init__(self, reason: str, *, path: str | None = None, key: str | None = None) -> None:
        where = ": ".join(part for part in (path, key) if part)
        super().__init__(f"{where}: {reason}" if where else reason)
        self.path = path
        self.key = key
        self.reason = reason


class TraceReadError(OtelBudgetError):
    """An input holds no spans that can be read.

    Attributes:
        path: The input as the caller named it.
        line: Line of the fault, from 1, or None where the format has no lines.
        reason: What is wrong.
    """

    def __init__(self, path: str, reason: str, *, line: int | None = None) -> None:
        where = path if line is None else f"{path}:{line}"
        super().__init__(f"{where}: {reason}")
        self.path = path
        self.line = line
        self.reason = reason


class StoreError(OtelBudgetError):
    """A DuckDB store cannot be used.

    Attributes:
        path: The store's file.
        reason: What is wrong and what to do.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class StoreVersionError(StoreError):
    """The store was written by another version of otelbudget.

    Attributes:
        found: Schema version of the file.
        expected: Schema version this otelbudget reads and writes.
    """

    def __init__(self, path: str, *, found: int, expected: int) -> None:
        super().__init__(
            path,
            f"has schema version {found}, this otelbudget reads version {expected}; "
            "install the otelbudget that wrote it, or import the original traces into a new store",
        )
        self.found = found
        self.expected = expected


class StoreBusyError(StoreError):
    """Another process held the store for longer than we wait."""


class OtelBudgetWarning(UserWarning):
    """Base of every warning of otelbudget; it names the remedy."""


__all__: Sequence[str] = [
    "BudgetConfigError",
    "BudgetExceededError",
    "BudgetFacts",
    "EnforcementError",
    "OtelBudgetError",
    "OtelBudgetWarning",
    "SpentCall",
    "StoreBusyError",
    "StoreError",
    "StoreVersionError",
    "TraceReadError",
    "UnknownModelError",
]
