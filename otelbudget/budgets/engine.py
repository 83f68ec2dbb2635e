"""Budgets and ledger to a decision: the same engine live and in replay.

A call is admitted when it starts and settled when it ends. Counts are known at the start, money and
tokens at the end; a budget is closed as soon as the usage of one of its limits is at the limit.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from otelbudget.budgets.config import Budget, LimitKind, Mode
from otelbudget.budgets.ledger import Account, MemoryLedger
from otelbudget.errors import BudgetFacts
from otelbudget.pricing.billing import Charge, usd

Accounts = Sequence[tuple[Budget, Account]]


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

    accounts: Accounts
    is_audited: bool = False
    notices: Sequence[Notice] = ()


class Engine:
    """Decides about calls and keeps count of what they used. Safe to use from many threads.

    Args:
        budgets: The budgets; those with mode "off" are left out.
        ledger: Where usage is kept.
    """

    def __init__(self, budgets: Iterable[Budget], ledger: MemoryLedger | None = None) -> None:
        self.budgets = tuple(budget for budget in budgets if budget.mode is not Mode.OFF)
        self.ledger = ledger or MemoryLedger()
        self._limits = {budget.name: _Limits(budget) for budget in self.budgets}
        self._is_auditing = any(budget.mode is Mode.AUDIT for budget in self.budgets)

    def accounts(self, trace_id: str, tier: str | None = None) -> Accounts:
        """The accounts that calls of a trace are counted on, to be kept by whoever makes many."""
        with self.ledger.lock:
            return [
                (budget, self.ledger.account(budget, trace_id))
                for budget in self.budgets
                if budget.per is not None or budget.name == tier
            ]

    def peek(self, trace_id: str, tier: str | None = None) -> Refusal | None:
        """The enforcing budget that would refuse a call now, or None. Changes nothing."""
        with self.ledger.lock:
            return self._refusal(self.accounts(trace_id, tier), Mode.ENFORCE)

    def admit(self, trace_id: str, tier: str | None = None) -> Admission | Refusal:
        """Decide about a call that is about to start, and count it if it may.

        Args:
            trace_id: Trace of the call.
            tier: Tier that the run asked for, or None.

        Returns:
            An admission to settle later, or the budget that refuses the call.
        """
        return self.admit_to(self.accounts(trace_id, tier))

    def admit_to(self, accounts: Accounts) -> Admission | Refusal:
        """As `admit`, with the accounts at hand."""
        with self.ledger.lock:
            refusal = self._refusal(accounts, Mode.ENFORCE)
            if refusal is not None:
                refusal.account.denied += 1
                return refusal
            return self._admission(accounts)

    def settle(self, admission: Admission, charge: Charge) -> Sequence[Notice]:
        """Record what an admitted call used; returns what that brought about."""
        notices: Sequence[Notice] = ()
        with self.ledger.lock:
            for budget, account in admission.accounts:
                account.add(charge)
                if account.cost_pusd >= account.cost_mark or account.tokens >= account.tokens_mark:
                    notices = [*notices, *self._limits[budget.name].tell(account)]
        return notices

    def count(self, trace_id: str, tier: str | None = None) -> Admission:
        """Count a call that has already been made, whatever the budgets say; settle it next."""
        with self.ledger.lock:
            return self._admission(self.accounts(trace_id, tier))

    def charge(self, accounts: Accounts, charge: Charge) -> tuple[bool, Sequence[Notice]]:
        """Count and settle at once a call that has already been made.

        Called with the ledger's lock held.

        Returns:
            Whether an enforcing budget would have refused it, and what it brought about.
        """
        notices: Sequence[Notice] = ()
        is_audited = self._is_auditing and self._refusal(accounts, Mode.AUDIT) is not None
        for budget, account in accounts:
            account.calls += 1
            account.add(charge)
            if (
                account.cost_pusd >= account.cost_mark
                or account.tokens >= account.tokens_mark
                or account.calls >= account.calls_mark
            ):
                notices = [*notices, *self._limits[budget.name].tell(account)]
        return is_audited, notices

    def take_back(self, accounts: Accounts, charge: Charge) -> None:
        """Undo a charge: another span has shown that the same tokens are counted elsewhere."""
        with self.ledger.lock:
            for _, account in accounts:
                account.take_back(charge)

    def release(self, admission: Admission) -> None:
        """Take an admitted call back that the provider cannot have billed."""
        with self.ledger.lock:
            for _, account in admission.accounts:
                account.calls = max(0, account.calls - 1)

    def _admission(self, accounts: Accounts) -> Admission:
        is_audited = self._is_auditing and self._refusal(accounts, Mode.AUDIT) is not None
        notices: Sequence[Notice] = ()
        for budget, account in accounts:
            account.calls += 1
            if account.calls >= account.calls_mark:
                notices = [*notices, *self._limits[budget.name].tell(account)]
        return Admission(accounts, is_audited, notices)

    def _refusal(self, accounts: Accounts, mode: Mode) -> Refusal | None:
        """The tightest used-up limit among the budgets of one mode: the one furthest over."""
        for budget, account in accounts:
            if budget.mode is mode and self._limits[budget.name].are_reached(account):
                return _tightest(accounts, mode)
        return None


class _Limits:
    """The limits of a budget as plain ints, for the path that every call takes.

    Args:
        budget: The budget.
    """

    __slots__ = ("_budget", "_calls", "_cost", "_thresholds", "_tokens")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._cost = budget.limits.get(LimitKind.COST_USD, _NEVER)
        self._tokens = budget.limits.get(LimitKind.TOKENS, _NEVER)
        self._calls = budget.limits.get(LimitKind.CALLS, _NEVER)
        # Usages from which on a warning is due, for each kind, in the order of `warn_at`.
        self._thresholds = {
            kind: [_at_least(ratio, limit) for ratio in budget.warn_at]
            for kind, limit in budget.limits.items()
        }

    def are_reached(self, account: Account) -> bool:
        """Whether the usage of some limit is at the limit."""
        return (
            account.cost_pusd >= self._cost
            or account.tokens >= self._tokens
            or account.calls >= self._calls
        )

    def tell(self, account: Account) -> Sequence[Notice]:
        """The notices that the account's usage calls for and that were not given yet."""
        notices: list[Notice] = []
        budget = self._budget
        for kind, limit in budget.limits.items():
            usage = account.usage(kind)
            reached = sum(usage >= threshold for threshold in self._thresholds[kind])
            account.warned = account.warned or {}
            told = account.warned.get(kind, 0)
            notices.extend(
                _notice(NoticeKind.WARNING, budget, account, kind, ratio)
                for ratio in budget.warn_at[told:reached]
            )
            account.warned[kind] = max(reached, told)
            if usage >= limit and not account.is_exceeded:
                account.is_exceeded = True
                notices.append(_notice(NoticeKind.EXCEEDED, budget, account, kind, Decimal(1)))
        account.cost_mark = self._next(LimitKind.COST_USD, account)
        account.tokens_mark = self._next(LimitKind.TOKENS, account)
        account.calls_mark = self._next(LimitKind.CALLS, account)
        return notices

    def _next(self, kind: LimitKind, account: Account) -> int:
        """The usage at which there is something to tell again."""
        if kind not in self._thresholds:
            return _NEVER
        told = (account.warned or {}).get(kind, 0)
        end = _NEVER if account.is_exceeded else self._budget.limits[kind]
        return min((end, *self._thresholds[kind][told:]))


# More than any usage: limits end at 2**63.
_NEVER = 2**100


def _at_least(ratio: Decimal, limit: int) -> int:
    """The smallest usage that is at or above a share of a limit."""
    numerator, denominator = ratio.as_integer_ratio()
    return -(-numerator * limit // denominator)


def amount(kind: LimitKind, value: int) -> Decimal:
    """A limit or usage for people: US dollars for "cost_usd", else a count."""
    return usd(value) if kind is LimitKind.COST_USD else Decimal(value)


def _tightest(accounts: Accounts, mode: Mode) -> Refusal | None:
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


def _notice(
    notice: NoticeKind, budget: Budget, account: Account, kind: LimitKind, threshold: Decimal
) -> Notice:
    limit, usage = budget.limits[kind], account.usage(kind)
    return Notice(notice, budget, account.scope, kind, limit, usage, threshold)
