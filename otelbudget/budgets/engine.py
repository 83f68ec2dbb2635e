"""Budgets and ledger to a decision: the same engine live and in replay.

A call is admitted when it starts and settled when it ends. Counts are known at the start, money and
tokens at the end; a budget is closed as soon as the usage of one of its limits is at the limit.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from otelbudget.budgets.config import Budget, LimitKind, Mode
from otelbudget.budgets.ledger import Account, MemoryLedger
from otelbudget.errors import BudgetFacts
from otelbudget.pricing.billing import Charge, usd


class NoticeKind(StrEnum):
    """What a notice tells.

    Attributes:
        WARNING: A warning threshold has been reached.
        EXCEEDED: A limit is used up; told once per scope.
    """

    WARNING = "warning"
    EXCEEDED = "exceeded"


@dataclass(frozen=True, slots=True)
class Notice:
    """Something about a budget that is told once per scope.

    Attributes:
        kind: What it tells.
        budget: The budget.
        scope: Value of the budget's `per` key.
        limit_kind: The limit it is about.
        limit: The limit, pico-USD or a count.
        usage: What has been used, in the same unit.
        threshold: The utilization that was reached: 1 for an exceeded limit.
    """

    kind: NoticeKind
    budget: Budget
    scope: str
    limit_kind: LimitKind
    limit: int
    usage: int
    threshold: Decimal


@dataclass(frozen=True, slots=True)
class Refusal:
    """A budget that is used up, and the account that says so.

    Attributes:
        budget: The budget.
        account: The account of the scope.
        kind: The limit that is used up.
    """

    budget: Budget
    account: Account
    kind: LimitKind

    def facts(self, *, trace_id: str | None = None, agent: str | None = None) -> BudgetFacts:
        """What the error tells its reader."""
        account = self.account
        spent_by_model = account.spent_by_model.copy()  # other threads add to it meanwhile
        return BudgetFacts(
            budget=self.budget.name,
            scope={"trace": account.scope},
            kind=str(self.kind),
            limit=amount(self.kind, self.budget.limits[self.kind]),
            usage=amount(self.kind, account.usage(self.kind)),
            trace_id=trace_id,
            agent=agent,
            spent_by_model={model: usd(spent) for model, spent in spent_by_model.items()},
            estimated_usd=usd(account.estimated_pusd),
        )


@dataclass(slots=True)
class Admission:
    """A call that was let through, and the accounts it will be settled on.

    Attributes:
        accounts: The accounts, with their budgets, fixed when the call started.
        is_audited: Whether an enforcing budget would have refused it.
        notices: What the start of the call brought about.
    """

    accounts: Sequence[tuple[Budget, Account]]
    is_audited: bool = False
    notices: list[Notice] = field(default_factory=list)


class Engine:
    """Decides about calls and keeps count of what they used. Safe to use from many threads.

    Args:
        budgets: The budgets; those with mode "off" are left out.
        ledger: Where usage is kept.
    """

    def __init__(self, budgets: Iterable[Budget], ledger: MemoryLedger | None = None) -> None:
        self.budgets = tuple(budget for budget in budgets if budget.mode is not Mode.OFF)
        self.ledger = ledger or MemoryLedger()

    def peek(self, trace_id: str, tier: str | None = None) -> Refusal | None:
        """The enforcing budget that would refuse a call now, or None. Changes nothing."""
        with self.ledger.lock:
            return _refusal(self._accounts(trace_id, tier), Mode.ENFORCE)

    def admit(self, trace_id: str, tier: str | None = None) -> Admission | Refusal:
        """Decide about a call that is about to start, and count it if it may.

        Args:
            trace_id: Trace of the call.
            tier: Tier that the run asked for, or None.

        Returns:
            An admission to settle later, or the budget that refuses the call.
        """
        with self.ledger.lock:
            accounts = self._accounts(trace_id, tier)
            refusal = _refusal(accounts, Mode.ENFORCE)
            if refusal is not None:
                refusal.account.denied += 1
                return refusal
            return self._admission(accounts)

    def settle(self, admission: Admission, charge: Charge) -> list[Notice]:
        """Record what an admitted call used; returns what that brought about."""
        notices: list[Notice] = []
        with self.ledger.lock:
            for budget, account in admission.accounts:
                account.add(charge)
                _tell(budget, account, notices)
        return notices

    def count(self, trace_id: str, tier: str | None = None) -> Admission:
        """Count a call that has already been made, whatever the budgets say; settle it next."""
        with self.ledger.lock:
            return self._admission(self._accounts(trace_id, tier))

    def release(self, admission: Admission) -> None:
        """Take an admitted call back that the provider cannot have billed."""
        with self.ledger.lock:
            for _, account in admission.accounts:
                account.calls -= 1

    def _admission(self, accounts: Sequence[tuple[Budget, Account]]) -> Admission:
        admission = Admission(accounts, _refusal(accounts, Mode.AUDIT) is not None)
        for budget, account in accounts:
            account.calls += 1
            _tell(budget, account, admission.notices)
        return admission

    def _accounts(self, trace_id: str, tier: str | None) -> list[tuple[Budget, Account]]:
        return [
            (budget, self.ledger.account(budget, trace_id))
            for budget in self.budgets
            if budget.per is not None or budget.name == tier
        ]


def amount(kind: LimitKind, value: int) -> Decimal:
    """A limit or usage for people: US dollars for "cost_usd", else a count."""
    return usd(value) if kind is LimitKind.COST_USD else Decimal(value)


def _refusal(accounts: Sequence[tuple[Budget, Account]], mode: Mode) -> Refusal | None:
    """The tightest used-up limit among the budgets of one mode: the one furthest over."""
    worst: Refusal | None = None
    worst_ratio = Decimal(-1)
    for budget, account in accounts:
        if budget.mode is not mode:
            continue
        for kind, limit in budget.limits.items():
            usage = account.usage(kind)
            if usage >= limit:
                ratio = Decimal(usage) / limit if limit else Decimal("Infinity")
                if ratio > worst_ratio:
                    worst, worst_ratio = Refusal(budget, account, kind), ratio
    return worst


def _tell(budget: Budget, account: Account, notices: list[Notice]) -> None:
    """Add the notices that the account's usage calls for and that were not given yet."""
    for kind, limit in budget.limits.items():
        usage = account.usage(kind)
        if budget.warn_at and usage >= budget.warn_at[0] * limit:
            _warn(budget, account, kind, notices)
        if usage >= limit and not account.is_exceeded:
            account.is_exceeded = True
            notices.append(_notice(NoticeKind.EXCEEDED, budget, account, kind, Decimal(1)))


def _warn(budget: Budget, account: Account, kind: LimitKind, notices: list[Notice]) -> None:
    usage, limit = account.usage(kind), budget.limits[kind]
    reached = sum(usage >= ratio * limit for ratio in budget.warn_at)
    if account.warned is None:
        account.warned = {}
    notices.extend(
        _notice(NoticeKind.WARNING, budget, account, kind, ratio)
        for ratio in budget.warn_at[account.warned.get(kind, 0) : reached]
    )
    account.warned[kind] = max(reached, account.warned.get(kind, 0))


def _notice(
    notice: NoticeKind, budget: Budget, account: Account, kind: LimitKind, threshold: Decimal
) -> Notice:
    limit, usage = budget.limits[kind], account.usage(kind)
    return Notice(notice, budget, account.scope, kind, limit, usage, threshold)
