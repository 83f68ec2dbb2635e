"""When a limit is used up, has no room left, or calls for a notice."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from otelbudget.budgets.config import Budget, LimitKind, Mode
from otelbudget.budgets.decisions import (
    SPENT_KINDS,
    Accounts,
    Attempt,
    Hold,
    Notice,
    NoticeKind,
    Refusal,
)
from otelbudget.budgets.ledger import Account
from otelbudget.budgets.spent import TOKEN_CLASSES
from otelbudget.budgets.windows import RollingWindow

_PLAIN = frozenset({LimitKind.COST_USD, LimitKind.TOKENS, LimitKind.CALLS, LimitKind.TOOL_CALLS})


class Limits:
    """What the accounts of a budget may use, as plain ints for the path that every call takes.

    Args:
        budget: The budget.
        by_kind: The limits, in the units of their kinds: the budget's own, a share of them, or
            those of one tool.

    Attributes:
        by_kind: The limits.
        has_classes: Some limit counts a class of tokens.
        has_seconds: A limit counts seconds.
        rolling_ns: Length of a window that rolls, 0 where none does.
        is_timed: Usage changes with time alone.
    """

    __slots__ = (
        "_budget",
        "_calls",
        "_cost",
        "_rare",
        "_thresholds",
        "_tokens",
        "_tool_calls",
        "by_kind",
        "has_classes",
        "has_seconds",
        "is_timed",
        "rolling_ns",
    )

    def __init__(self, budget: Budget, by_kind: Mapping[LimitKind, int]) -> None:
        self._budget = budget
        self.by_kind = by_kind
        self._cost = by_kind.get(LimitKind.COST_USD, _NEVER)
        self._tokens = by_kind.get(LimitKind.TOKENS, _NEVER)
        self._calls = by_kind.get(LimitKind.CALLS, _NEVER)
        self._tool_calls = by_kind.get(LimitKind.TOOL_CALLS, _NEVER)
        self._rare = tuple((kind, limit) for kind, limit in by_kind.items() if kind not in _PLAIN)
        self.has_classes = not TOKEN_CLASSES.keys().isdisjoint(by_kind)
        self.has_seconds = LimitKind.SECONDS in by_kind
        window = budget.window
        self.rolling_ns = window.length_ns if isinstance(window, RollingWindow) else 0
        self.is_timed = self.has_seconds or self.rolling_ns > 0
        # Usages from which on a warning is due, for each kind, in the order of `warn_at`.
        self._thresholds = {
            kind: [_at_least(ratio, limit) for ratio in budget.warn_at]
            for kind, limit in by_kind.items()
        }

    def share(self, ratio: Decimal) -> "Limits":
        """A share of the limits, rounded down; time is not shared out."""
        shared: dict[LimitKind, int] = {
            kind: int(ratio * limit)
            for kind, limit in self.by_kind.items()
            if kind is not LimitKind.SECONDS
        }
        return Limits(self._budget, shared)

    def raised(self, kind: LimitKind, by: int) -> "Limits":
        """The limits with one of them raised."""
        return Limits(self._budget, {**self.by_kind, kind: self.by_kind[kind] + by})

    def are_reached(self, account: Account) -> bool:
        """Whether a model call is refused: some limit is used up, or one on tools was passed."""
        return (
            account.cost_pusd >= self._cost
            or account.tokens >= self._tokens
            or account.calls >= self._calls
            or account.tool_calls > self._tool_calls
            or (
                bool(self._rare) and any(account.usage(kind) >= limit for kind, limit in self._rare)
            )
        )

    def have_news(self, account: Account) -> bool:
        """Whether `tell` may have something to say."""
        return (
            account.cost_pusd >= account.cost_mark
            or account.tokens >= account.tokens_mark
            or account.calls >= account.calls_mark
            or bool(self._rare)
        )

    def tell(self, account: Account) -> Sequence[Notice]:
        """The notices that the account's usage calls for and that were not given yet."""
        notices: list[Notice] = []
        budget = self._budget
        for kind, limit in self.by_kind.items():
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
        if notices and account.entries is not None:
            account.entries.note_told()
        return notices

    def rearm(self, account: Account) -> None:
        """Let what is no longer reached be told of again, once it is reached anew."""
        account.exceeded = tuple(
            kind for kind in account.exceeded if account.usage(kind) >= self.by_kind[kind]
        )
        for kind, told in (account.warned or {}).items():
            thresholds = self._thresholds.get(kind, ())
            reached = sum(account.usage(kind) >= threshold for threshold in thresholds)
            account.warned = {**(account.warned or {}), kind: min(told, reached)}
        account.asked = account.asked and bool(account.exceeded)
        account.cost_mark = account.tokens_mark = account.calls_mark = 0

    def _next(self, kind: LimitKind, account: Account) -> int:
        """The usage at which there is something to tell again."""
        if kind not in self._thresholds:
            return _NEVER
        told = (account.warned or {}).get(kind, 0)
        end = _NEVER if kind in account.exceeded else self.by_kind[kind]
        return min((end, *self._thresholds[kind][told:]))


# More than any usage: limits end at 2**63.
_NEVER = 2**100


def _at_least(ratio: Decimal, limit: int) -> int:
    """The smallest usage that is at or above a share of a limit."""
    numerator, denominator = ratio.as_integer_ratio()
    return -(-numerator * limit // denominator)


# How far its limit a usage of each kind must be for a refusal. Models are asked once more after the
# last tool has answered.
CALL_KINDS: Mapping[LimitKind, int] = {
    kind: 1 if kind is LimitKind.TOOL_CALLS else 0 for kind in LimitKind
}
UNPAID_KINDS: Mapping[LimitKind, int] = {
    kind: past for kind, past in CALL_KINDS.items() if kind is not LimitKind.COST_USD
}
TOOL_KINDS = {LimitKind.TOOL_CALLS: 0, LimitKind.SECONDS: 0}
USED_KINDS = dict.fromkeys(SPENT_KINDS, 0)
PASSED_TOOL_KINDS = {LimitKind.TOOL_CALLS: 1, LimitKind.SECONDS: 0}


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
        for kind, limit in account.limits.by_kind.items():
            usage = account.usage(kind)
            if kind in past and usage >= limit + past[kind]:
                ratio = Decimal(usage) / limit if limit else Decimal("Infinity")
                if ratio > worst_ratio:
                    worst, worst_ratio = Refusal(budget, account, kind), ratio
    return worst


def without_room(
    accounts: Accounts, mode: Mode, hold: Hold, *, kinds: Collection[LimitKind] = CALL_KINDS
) -> Refusal | None:
    """The limit of a budget that reserves which leaves the least room for a hold.

    Args:
        accounts: The accounts, with their budgets.
        mode: Mode of the budgets that are asked.
        hold: What would be held.
        kinds: The kinds of limits that refuse.
    """
    worst: Refusal | None = None
    worst_ratio = Decimal(-1)
    for budget, account in accounts:
        if budget.mode is not mode or not budget.reserve:
            continue
        for kind, limit in account.limits.by_kind.items():
            taken = account.usage(kind) + account.held(kind) + hold.amount(kind)
            if kind in kinds and taken > limit:
                ratio = Decimal(taken) / limit if limit else Decimal("Infinity")
                if ratio > worst_ratio:
                    worst, worst_ratio = Refusal(budget, account, kind, hold), ratio
    return worst


def refusal_of(accounts: Accounts, mode: Mode, attempt: Attempt) -> Refusal | None:
    """The tightest limit among the budgets of one mode that leaves no room for a call."""
    kinds: Mapping[LimitKind, int] = UNPAID_KINDS if attempt.is_free else CALL_KINDS
    for budget, account in accounts:
        if budget.mode is mode and account.limits.are_reached(account):
            refusal = tightest(accounts, mode, kinds)
            if refusal is not None:
                return replace(refusal, at_ns=attempt.at_ns)
            break
    if attempt.hold is None:
        return None
    refusal = without_room(accounts, mode, attempt.hold, kinds=kinds)
    return refusal and replace(refusal, at_ns=attempt.at_ns)


def _notice(
    notice: NoticeKind, budget: Budget, account: Account, kind: LimitKind, threshold: Decimal
) -> Notice:
    limit, usage = account.limits.by_kind[kind], account.usage(kind)
    in_flight = account.in_flight
    return Notice(notice, budget, account, kind, limit, usage, threshold, in_flight)
