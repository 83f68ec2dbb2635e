"""When a limit is used up, has no room left, or calls for a notice."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from otelbudget.budgets.config import Budget, LimitKind, Mode
from otelbudget.budgets.decisions import (
    SPENT_KINDS,
    Accounts,
    Hold,
    Notice,
    NoticeKind,
    Refusal,
)
from otelbudget.budgets.ledger import Account


class Limits:
    """The limits of a budget as plain ints, for the path that every call takes.

    Args:
        budget: The budget.
    """

    __slots__ = ("_budget", "_calls", "_cost", "_thresholds", "_tokens", "_tool_calls")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._cost = budget.limits.get(LimitKind.COST_USD, _NEVER)
        self._tokens = budget.limits.get(LimitKind.TOKENS, _NEVER)
        self._calls = budget.limits.get(LimitKind.CALLS, _NEVER)
        self._tool_calls = budget.limits.get(LimitKind.TOOL_CALLS, _NEVER)
        # Usages from which on a warning is due, for each kind, in the order of `warn_at`.
        self._thresholds = {
            kind: [_at_least(ratio, limit) for ratio in budget.warn_at]
            for kind, limit in budget.limits.items()
        }

    def are_reached(self, account: Account) -> bool:
        """Whether a model call is refused: some limit is used up, or one on tools was passed."""
        return (
            account.cost_pusd >= self._cost
            or account.tokens >= self._tokens
            or account.calls >= self._calls
            or account.tool_calls > self._tool_calls
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
            if usage >= limit and kind not in account.exceeded:
                exceeded = _notice(NoticeKind.EXCEEDED, budget, account, kind, Decimal(1))
                exceeded = replace(exceeded, is_repeated=bool(account.exceeded))
                account.exceeded = (*account.exceeded, kind)
                notices.append(exceeded)
        account.cost_mark = self._next(LimitKind.COST_USD, account)
        account.tokens_mark = self._next(LimitKind.TOKENS, account)
        account.calls_mark = self._next(LimitKind.CALLS, account)
        return notices

    def _next(self, kind: LimitKind, account: Account) -> int:
        """The usage at which there is something to tell again."""
        if kind not in self._thresholds:
            return _NEVER
        told = (account.warned or {}).get(kind, 0)
        end = _NEVER if kind in account.exceeded else self._budget.limits[kind]
        return min((end, *self._thresholds[kind][told:]))


# More than any usage: limits end at 2**63.
_NEVER = 2**100


def _at_least(ratio: Decimal, limit: int) -> int:
    """The smallest usage that is at or above a share of a limit."""
    numerator, denominator = ratio.as_integer_ratio()
    return -(-numerator * limit // denominator)


# How far its limit a usage of each kind must be for a refusal. Models are asked once more after the
# last tool has answered.
CALL_KINDS = {kind: 1 if kind is LimitKind.TOOL_CALLS else 0 for kind in LimitKind}
TOOL_KINDS = {LimitKind.TOOL_CALLS: 0}
USED_KINDS = dict.fromkeys(SPENT_KINDS, 0)
PASSED_TOOL_KINDS = {LimitKind.TOOL_CALLS: 1}


def tightest(accounts: Accounts, mode: Mode, past: Mapping[LimitKind, int]) -> Refusal | None:
    """The used-up limit that is furthest over.

    Args:
        accounts: The accounts, with their budgets.
        mode: Mode of the budgets that are asked.
        past: The kinds of limits that refuse, and how far past a limit a usage must be.
    """
    worst: Refusal | None = None
    worst_ratio = Decimal(-1)
    for budget, account in accounts:
        if budget.mode is not mode:
            continue
        for kind, limit in budget.limits.items():
            usage = account.usage(kind)
            if kind in past and usage >= limit + past[kind]:
                ratio = Decimal(usage) / limit if limit else Decimal("Infinity")
                if ratio > worst_ratio:
                    worst, worst_ratio = Refusal(budget, account, kind), ratio
    return worst


def without_room(accounts: Accounts, mode: Mode, hold: Hold) -> Refusal | None:
    """The first limit of a budget that reserves which leaves no room for a hold."""
    for budget, account in accounts:
        if budget.mode is not mode or not budget.reserve:
            continue
        for kind, limit in budget.limits.items():
            taken = account.usage(kind) + account.held(kind)
            if taken + hold.amount(kind) > limit:
                return Refusal(budget, account, kind, hold)
    return None


def _notice(
    notice: NoticeKind, budget: Budget, account: Account, kind: LimitKind, threshold: Decimal
) -> Notice:
    limit, usage = budget.limits[kind], account.usage(kind)
    in_flight = account.in_flight
    return Notice(notice, budget, account.scope, kind, limit, usage, threshold, in_flight)
