"""Every exception and warning class of otelbudget.

Facts are attributes; the sentence is built from them and ends with what to do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any


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
class BudgetFacts:
    """What was known when a budget refused a call.

    Attributes:
        budget: Name of the budget.
        scope: What the budget is counted by, as {key: value}, such as {"trace": "5b8e…"}.
        kind: Kind of the limit: "cost_usd", "tokens", "calls" or "tool_calls".
        limit: The limit, in US dollars for "cost_usd", else a count.
        usage: What the scope had used, in the unit of `limit`; at least `limit` unless the call was
            refused for its `estimate`.
        trace_id: Trace of the refused call as 32 hex digits, or None outside any trace.
        agent: Name of the agent that made the refused call, or None where the spans name none.
        spent_by_model: List cost in US dollars of the scope's calls by model.
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
    spent_by_model: Mapping[str, Decimal] = field(default_factory=dict)
    estimated_usd: Decimal = Decimal(0)
    held: Decimal = Decimal(0)
    estimate: Decimal | None = None
    calls_in_flight: int = 0

    @property
    def overage(self) -> Decimal:
        """How far the usage is above the limit, in the limit's unit; 0 when not above it."""
        return max(self.usage - self.limit, Decimal(0))

    def sentence(self) -> str:
        """One sentence: what happened, the two numbers with units, what to do."""
        scope = ", ".join(f"{key} {value}" for key, value in self.scope.items())
        estimated = (
            f", of which {display_usd(self.estimated_usd)} USD estimated"
            if self.estimated_usd
            else ""
        )
        used = f"{display(self.kind, self.usage)} of {display(self.kind, self.limit)}"
        if self.estimate is None:
            return (
                f"Budget {self.budget!r} ({scope}) is used up: {used} {unit(self.kind)}"
                f"{estimated}; raise the limit or start a new run."
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
        """Kind of the limit: "cost_usd", "tokens", "calls" or "tool_calls"."""
        return self.facts.kind

    @property
    def limit(self) -> Decimal:
        """The limit, in US dollars for "cost_usd", else a count."""
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
    "StoreBusyError",
    "StoreError",
    "StoreVersionError",
    "TraceReadError",
    "UnknownModelError",
]
