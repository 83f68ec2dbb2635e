"""When a limit is used up, has no room left, or calls for a notice."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

import msgspec

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

# More than any usage: limits end at 2**63.
_NEVER = 2**100


class Marks(msgspec.Struct, frozen=True, gc=False):
    """The usages of an account from which on it must be looked at: a threshold or a limit is near.

    Attributes:
        cost_pusd: Pico-USD.
        tokens: Input and output tokens.
        calls: Calls.
        elapsed_ns: Nanoseconds.
        classes: Tokens by class, in the order of `TOKEN_CLASSES`.
    """

    cost_pusd: int
    tokens: int
    calls: int
    elapsed_ns: int
    classes: tuple[int, ...]


class Limits:
    """What the accounts of a budget may use, as plain ints for the path that every call takes.

    Args:
        budget: The budget.
        by_kind: The limits, in the units of their kinds: the budget's own, a share of them, or
            those of one tool.
        ratio: The part of the limits of a scope that they are, where they are a share.

    Attributes:
        by_kind: The limits.
        ratio: The part of the limits of a scope that they are, where they are a share.
        marks: Where a new account must be looked at first.
        has_classes: Some limit counts a class of tokens.
        has_seconds: A limit counts seconds.
        rolling_ns: Length of a window that rolls, 0 where none does.
        is_timed: Usage changes with time alone.
        leave_nothing: They are used up before the first call.
    """

    __slots__ = (
        "_budget",
        "_cost",
        "_input_tokens",
        "_output_tokens",
        "_shares",
        "_thresholds",
        "_tokens",
        "by_kind",
        "has_classes",
        "has_seconds",
        "is_timed",
        "leave_nothing",
        "marks",
        "ratio",
        "rolling_ns",
    )

    def __init__(
        self, budget: Budget, by_kind: Mapping[LimitKind, int], ratio: Decimal | None = None
    ) -> None:
        self._budget = budget
        self.by_kind = by_kind
        self.ratio = ratio
        self._shares: dict[Decimal, Limits] = {}
        self._cost = by_kind.get(LimitKind.COST_USD, _NEVER)
        self._tokens = by_kind.get(LimitKind.TOKENS, _NEVER)
        self._input_tokens = by_kind.get(LimitKind.INPUT_TOKENS, _NEVER)
        self._output_tokens = by_kind.get(LimitKind.OUTPUT_TOKENS, _NEVER)
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
        self.leave_nothing = any(limit + CALL_KINDS[kind] <= 0 for kind, limit in by_kind.items())
        self.marks = self._marks({kind: min(self._ahead(kind, 0, 0)) for kind in by_kind})

    def share(self, ratio: Decimal) -> "Limits":
        """A share of the limits, rounded down; time is not shared out."""
        if ratio not in self._shares:
            shared: dict[LimitKind, int] = {
                kind: part_of_limit(ratio, limit)
                for kind, limit in self.by_kind.items()
                if kind is not LimitKind.SECONDS
            }
            self._shares[ratio] = Limits(self._budget, shared, ratio)
        return self._shares[ratio]

    def raised(self, kind: LimitKind, by: int) -> "Limits":
        """The limits with one of them raised."""
        return Limits(self._budget, {**self.by_kind, kind: self.by_kind[kind] + by}, self.ratio)

    def are_reached(self, account: Account) -> bool:
        """Whether a model call is refused: some limit is used up, or one on tools was passed."""
        return any(
            account.usage(kind) >= limit + CALL_KINDS[kind] for kind, limit in self.by_kind.items()
        )

    def have_room(self, account: Account, hold: Hold) -> bool:
        """Whether a hold fits beside what was used and what is held."""
        if (
            account.cost_pusd + account.held_pusd + hold.cost_pusd > self._cost
            or account.tokens + account.held_tokens + hold.tokens > self._tokens
        ):
            return False
        classes, held = account.classes, account.held_classes
        return (
            classes is None
            or held is None
            or (
                classes[0] + held[0] + hold.input_tokens <= self._input_tokens
                and classes[1] + held[1] + hold.output_tokens <= self._output_tokens
            )
        )

    def tell(self, account: Account) -> Sequence[Notice]:
        """The notices that the account's usage calls for and that were not given yet."""
        notices: list[Notice] = []
        budget = self._budget
        for kind, limit in self.by_kind.items():
            usage, told = account.usage(kind), account.told(kind)
            reached = self._reached(kind, usage)
            notices.extend(
                _notice(NoticeKind.WARNING, budget, account, kind, ratio)
                for ratio in budget.warn_at[told:reached]
            )
            if reached > told:
                account.warned = {**(account.warned or {}), kind: reached}
            if usage >= limit and kind not in account.exceeded:
                exceeded = _notice(NoticeKind.EXCEEDED, budget, account, kind, Decimal(1))
                exceeded = replace(exceeded, is_repeated=bool(account.exceeded))
                account.exceeded = (*account.exceeded, kind)
                notices.append(exceeded)
        self.look_at(account)
        if notices and account.entries is not None:
            account.entries.note_told()
        return notices

    def look_at(self, account: Account) -> None:
        """Note whether the account is closed, and when it must be looked at again."""
        account.is_closed = self.are_reached(account)
        account.marks = self._marks(
            {
                kind: min(self._ahead(kind, account.usage(kind), account.told(kind)))
                for kind in self.by_kind
            }
        )

    def rearm(self, account: Account) -> None:
        """Let what is no longer reached be told of again, once it is reached anew."""
        account.exceeded = tuple(
            kind for kind in account.exceeded if account.usage(kind) >= self.by_kind[kind]
        )
        account.warned = {
            kind: min(told, self._reached(kind, account.usage(kind)))
            for kind, told in (account.warned or {}).items()
        } or None
        account.asked = ()
        self.look_at(account)

    def _reached(self, kind: LimitKind, usage: int) -> int:
        """How many warning thresholds a usage has reached."""
        return sum(usage >= threshold for threshold in self._thresholds[kind])

    def _ahead(self, kind: LimitKind, usage: int, told: int) -> Sequence[int]:
        """The usages of a kind at which there is something to tell, or at which it closes."""
        limit = self.by_kind[kind]
        return (limit if usage < limit else _NEVER, *self._thresholds[kind][told:])

    def _marks(self, by_kind: Mapping[LimitKind, int]) -> Marks:
        return Marks(
            by_kind.get(LimitKind.COST_USD, _NEVER),
            by_kind.get(LimitKind.TOKENS, _NEVER),
            by_kind.get(LimitKind.CALLS, _NEVER),
            by_kind.get(LimitKind.SECONDS, _NEVER),
            tuple(by_kind.get(kind, _NEVER) for kind in TOKEN_CLASSES),
        )


def part_of_limit(ratio: Decimal, limit: int) -> int:
    """A share of a limit or of what it is raised by, exact and rounded down."""
    numerator, denominator = ratio.as_integer_ratio()
    return numerator * limit // denominator


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
    over = (
        (usage, limit, Refusal(budget, account, kind))
        for budget, account in accounts
        if budget.mode is mode
        for kind, limit in account.limits.by_kind.items()
        if kind in past and (usage := account.usage(kind)) >= limit + past[kind]
    )
    return _furthest(over)


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
    over = (
        (taken, limit, Refusal(budget, account, kind, hold))
        for budget, account in accounts
        if budget.mode is mode and budget.reserve
        for kind, limit in account.limits.by_kind.items()
        if kind in kinds
        and (taken := account.usage(kind) + account.held(kind) + hold.amount(kind)) > limit
    )
    return _furthest(over)


def _furthest(over: Iterable[tuple[int, int, Refusal]]) -> Refusal | None:
    """The first of the refusals with the highest ratio of usage to limit; ints, so it is exact."""
    worst: tuple[int, int, Refusal] | None = None
    for usage, limit, refusal in over:
        # A limit of 0 is infinitely far over, and none is further.
        if worst is None or (worst[1] and (not limit or usage * worst[1] > worst[0] * limit)):
            worst = usage, limit, refusal
    return worst and worst[2]


def refusal_of(accounts: Accounts, mode: Mode, attempt: Attempt) -> Refusal | None:
    """The tightest limit among the budgets of one mode that leaves no room for a call."""
    hold = attempt.hold
    for budget, account in accounts:
        if budget.mode is mode and (
            account.is_closed
            or (hold is not None and budget.reserve and not account.limits.have_room(account, hold))
        ):
            break
    else:
        return None
    kinds: Mapping[LimitKind, int] = UNPAID_KINDS if attempt.is_free else CALL_KINDS
    refusal = tightest(accounts, mode, kinds)
    if refusal is None and hold is not None:
        refusal = without_room(accounts, mode, hold, kinds=kinds)
    return refusal and replace(refusal, at_ns=attempt.at_ns)


def passed_by(accounts: Accounts, attempt: Attempt) -> Sequence[Account]:
    """The accounts with grace left that would refuse a call that wraps up."""
    return [
        account
        for budget, account in accounts
        if account.graced < budget.grace
        and refusal_of([(budget, account)], budget.mode, attempt) is not None
    ]


def _notice(
    notice: NoticeKind, budget: Budget, account: Account, kind: LimitKind, threshold: Decimal
) -> Notice:
    limit, usage = account.limits.by_kind[kind], account.usage(kind)
    in_flight = account.in_flight
    return Notice(notice, budget, account, kind, limit, usage, threshold, in_flight)
