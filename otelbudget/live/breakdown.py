"""What a run used, and on what, for those who want to show it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import ROUND_HALF_UP, Decimal
from types import MappingProxyType
from typing import Any

from otelbudget.budgets.config import LimitKind, Mode
from otelbudget.budgets.decisions import Accounts, amount
from otelbudget.budgets.ledger import Account
from otelbudget.budgets.spent import TOKEN_CLASSES
from otelbudget.pricing.billing import usd

_TENTH, _PICO = Decimal("0.1"), Decimal("1e-12")


@dataclass(frozen=True, slots=True)
class RunUsage:
    """What a run has used, whatever budgets count it.

    Attributes:
        cost_usd: List cost in US dollars, estimates included.
        estimated_usd: The estimated part of it.
        tokens: Input and output tokens.
        input_tokens: Input tokens, those of caches among them.
        output_tokens: Output tokens, those of reasoning among them.
        cache_read_input_tokens: Input tokens read from caches.
        cache_write_input_tokens: Input tokens written to caches.
        reasoning_output_tokens: Output tokens of reasoning.
        calls: Model calls, those in flight among them.
        tool_calls: Calls of tools.
        seconds: From the run's start to now, or to its end.
    """

    cost_usd: Decimal = Decimal(0)
    estimated_usd: Decimal = Decimal(0)
    tokens: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_write_input_tokens: int = 0
    reasoning_output_tokens: int = 0
    calls: int = 0
    tool_calls: int = 0
    seconds: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class PartOfCost:
    """What one operation, model or agent had of a run's cost.

    Attributes:
        cost: List cost in US dollars.
        percent: Of the total cost, to one decimal; 0 where that is nothing.
        calls: Model calls.
    """

    cost: Decimal
    percent: Decimal
    calls: int


@dataclass(frozen=True, slots=True)
class Breakdown:
    """What a run cost, on what, and what is left.

    Attributes:
        total_cost: List cost of the run in US dollars, estimates included.
        budget_usd: The limit on money that leaves the run the least, in US dollars; None: there is
            no such limit.
        budget_remaining: What that leaves, in US dollars; never below 0.
        budget_used_percentage: What is used of it, by all that it counts, to one decimal; may be
            above 100.
        exceeded: Whether it is used up.
        operations: Model calls that have ended.
        avg_cost_per_operation: Total cost by operations, in US dollars to twelve decimals.
        cost_by_operation: By what the application calls what it did: its innermost own span.
        cost_by_model: By model.
        cost_by_agent: By agent.
        estimated_usd: The estimated part of the total cost, in US dollars.
    """

    total_cost: Decimal
    budget_usd: Decimal | None
    budget_remaining: Decimal | None
    budget_used_percentage: Decimal | None
    exceeded: bool
    operations: int
    avg_cost_per_operation: Decimal
    cost_by_operation: Mapping[str, PartOfCost]
    cost_by_model: Mapping[str, PartOfCost]
    cost_by_agent: Mapping[str, PartOfCost]
    estimated_usd: Decimal

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values, with `total_usd` and `remaining_usd` as further names."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        parts = {
            name: {key: _plain(part) for key, part in value.items()}
            for name, value in plain.items()
            if isinstance(value, Mapping)
        }
        more = {"total_usd": self.total_cost, "remaining_usd": self.budget_remaining}
        return {**plain, **parts, **more}


def usage_of(own: Account, elapsed_ns: int) -> RunUsage:
    """What the account of a run tells. Called with the ledger's lock held.

    Args:
        own: The account.
        elapsed_ns: How long the run has taken.
    """
    classes = {str(kind): own.usage(kind) for kind in TOKEN_CLASSES}
    return RunUsage(
        cost_usd=usd(own.cost_pusd),
        estimated_usd=usd(own.estimated_pusd),
        tokens=own.tokens,
        calls=own.calls,
        tool_calls=own.tool_calls,
        seconds=amount(LimitKind.SECONDS, elapsed_ns),
        **classes,
    )


def remaining_of(accounts: Accounts) -> Mapping[str, Decimal | None]:
    """The least that some accounts leave, by kind of limit; None where there is none.

    What is held for calls in flight is not left. Called with the ledger's lock held.
    """
    left: dict[str, Decimal | None] = dict.fromkeys(map(str, LimitKind))
    for budget, account in accounts:
        for kind, limit in account.limits.by_kind.items() if budget.mode is not Mode.OFF else ():
            here = amount(kind, max(0, limit - account.usage(kind) - account.held(kind)))
            known = left[kind]
            left[str(kind)] = here if known is None else min(known, here)
    return MappingProxyType(left)


def breakdown_of(own: Account, accounts: Accounts) -> Breakdown:
    """What a run cost. Called with the ledger's lock held.

    Args:
        own: The account of the run.
        accounts: What else its calls count on.
    """
    total = usd(own.cost_pusd)
    operations = sum(calls for _, calls in own.spent.parts.values())
    average = (total / operations).quantize(_PICO, ROUND_HALF_UP) if operations else Decimal(0)
    limit, used = _tightest(accounts)
    return Breakdown(
        total_cost=total,
        budget_usd=None if limit is None else usd(limit),
        budget_remaining=None if limit is None else usd(max(0, limit - used)),
        budget_used_percentage=None if limit is None else _percent(used, limit),
        exceeded=limit is not None and used >= limit,
        operations=operations,
        avg_cost_per_operation=average,
        cost_by_operation=_parts(own, 2),
        cost_by_model=_parts(own, 0),
        cost_by_agent=_parts(own, 1),
        estimated_usd=usd(own.estimated_pusd),
    )


def _tightest(accounts: Accounts) -> tuple[int | None, int]:
    """The limit on money that leaves the least, and what is used of it, in pico-USD."""
    limits: Sequence[tuple[int, int]] = [
        (account.limits.by_kind[LimitKind.COST_USD], account.cost_pusd)
        for budget, account in accounts
        if budget.mode is not Mode.OFF and LimitKind.COST_USD in account.limits.by_kind
    ]
    return min(limits, key=lambda pair: (max(0, pair[0] - pair[1]), pair[0]), default=(None, 0))


def _parts(own: Account, index: int) -> Mapping[str, PartOfCost]:
    sums: dict[str, list[int]] = {}
    for part, (cost_pusd, calls) in own.spent.parts.items():
        spent = sums.setdefault(part[index], [0, 0])
        spent[0] += cost_pusd
        spent[1] += calls
    return MappingProxyType(
        {
            name: PartOfCost(usd(cost_pusd), _percent(cost_pusd, own.cost_pusd), calls)
            for name, (cost_pusd, calls) in sums.items()
        }
    )


def _percent(part: int, whole: int) -> Decimal:
    if not whole:
        return Decimal(0 if not part else 100)
    return (Decimal(100 * part) / whole).quantize(_TENTH, ROUND_HALF_UP)


def _plain(part: PartOfCost) -> dict[str, Any]:
    return {field.name: getattr(part, field.name) for field in fields(part)}
