"""What each scope of a budget has used so far."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from threading import RLock
from typing import TYPE_CHECKING

from otelbudget.budgets.config import LimitKind
from otelbudget.budgets.kinds import RUN, TRACE
from otelbudget.budgets.rolling import Entries
from otelbudget.budgets.scopes import Scope
from otelbudget.budgets.spent import (
    TOKEN_CLASSES,
    Amounts,
    Part,
    Spent,
    amounts_of,
    part_of,
)
from otelbudget.pricing.billing import Charge

if TYPE_CHECKING:
    from otelbudget.budgets.limits import Limits

MAX_RUNS, _MAX_OTHERS = 10_000, 100_000

AccountKey = tuple[str, Scope, int]
"""Name of the budget, scope, and start of the window; 0 where that has none or rolls."""


class Account:
    """What one scope of one budget has used, in one window of it.

    Attributes:
        key: Name of the budget, scope, and start of the window.
        scope: Keys and values that it is counted by.
        limits: What may be used.
        ends_at: End of its window in unix ns, 0 where that has none or rolls.
        cost_pusd: What counts toward a money limit, in pico-USD, estimates included.
        estimated_pusd: The part of it that is estimated, in pico-USD.
        tokens: Input and output tokens.
        classes: Tokens by class, in the order of `TOKEN_CLASSES`; None where no limit counts them.
        calls: Calls admitted.
        tool_calls: Calls of tools admitted, or made all the same.
        started_at: Start of the scope's first span in unix ns, 0 before that or where no limit
            counts seconds.
        elapsed_ns: Time from then to the latest start of a call.
        denied: Calls refused.
        graced: Calls let through beyond a limit to wrap up.
        in_flight: Calls admitted that have not ended.
        held_pusd: Estimates of the calls in flight, in pico-USD; kept apart from what was used.
        held_tokens: Estimates of the calls in flight, in tokens.
        held_classes: The same by class: input and output; None where no limit counts them.
        corrected: Calls that were charged and taken back, because a span that ended later showed
            that it had told of the same tokens.
        warned: How many of the budget's warning thresholds have been reported, by limit kind.
        exceeded: The limits that were used up and reported.
        asked: The limits that had no room left for a call, of which the application was told.
        spent: What was spent on what, and the latest calls.
        entries: What was used when, where the window rolls; else None.
        is_kept: It is in the ledger; an account in use is put back when it was dropped.
        is_used: It was used since the ledger looked for one to drop.
        is_closed: Model calls are refused: a limit is used up, or one on tools was passed.
        marks: The usages from which on it must be looked at; below them nothing changes.
        seen: Usages when somebody who watches it looked last.
        seen_at: When they had changed last, on that one's clock.
    """

    __slots__ = (
        "asked",
        "calls",
        "classes",
        "corrected",
        "cost_pusd",
        "denied",
        "elapsed_ns",
        "ends_at",
        "entries",
        "estimated_pusd",
        "exceeded",
        "graced",
        "held_classes",
        "held_pusd",
        "held_tokens",
        "in_flight",
        "is_closed",
        "is_kept",
        "is_used",
        "key",
        "limits",
        "marks",
        "seen",
        "seen_at",
        "spent",
        "started_at",
        "tokens",
        "tool_calls",
        "warned",
    )

    def __init__(self, key: AccountKey, limits: "Limits", ends_at: int = 0) -> None:
        self.key = key
        self.limits = limits
        self.ends_at = ends_at
        self.cost_pusd = self.estimated_pusd = 0
        self.tokens = self.calls = self.tool_calls = 0
        self.classes = [0] * len(TOKEN_CLASSES) if limits.has_classes else None
        self.held_classes = [0, 0] if limits.has_classes else None
        self.started_at = self.elapsed_ns = 0
        self.denied = self.graced = self.in_flight = self.held_pusd = self.held_tokens = 0
        self.corrected = 0
        self.warned: dict[LimitKind, int] | None = None
        self.exceeded: tuple[LimitKind, ...] = ()
        self.asked: tuple[LimitKind, ...] = ()
        self.spent = Spent()
        length_ns = limits.rolling_ns
        self.entries = Entries(length_ns, self.spent) if length_ns else None
        self.is_kept = self.is_used = False
        self.is_closed = limits.leave_nothing
        self.marks = limits.marks
        self.seen: tuple[int, ...] = ()
        self.seen_at = 0.0

    @property
    def scope(self) -> Scope:
        """Keys and values that it is counted by."""
        return self.key[1]

    @property
    def spent_by_model(self) -> Mapping[str, int]:
        """Pico-USD by model."""
        return self.spent.by(0)

    def usage(self, kind: LimitKind) -> int:
        """What has been used in the unit of a limit kind: pico-USD, nanoseconds or a count."""
        match kind:
            case LimitKind.COST_USD:
                return self.cost_pusd
            case LimitKind.TOKENS:
                return self.tokens
            case LimitKind.CALLS:
                return self.calls
            case LimitKind.TOOL_CALLS:
                return self.tool_calls
            case LimitKind.SECONDS:
                return self.elapsed_ns
            case _:
                return self.classes[TOKEN_CLASSES[kind]] if self.classes else 0

    def held(self, kind: LimitKind) -> int:
        """What is held for calls in flight, in the unit of a limit kind; 0 for counts."""
        match kind:
            case LimitKind.COST_USD:
                return self.held_pusd
            case LimitKind.TOKENS:
                return self.held_tokens
            case LimitKind.INPUT_TOKENS:
                return self.held_classes[0] if self.held_classes else 0
            case LimitKind.OUTPUT_TOKENS:
                return self.held_classes[1] if self.held_classes else 0
            case _:
                return 0

    def told(self, kind: LimitKind) -> int:
        """How many warning thresholds of a limit kind have been reported."""
        return self.warned.get(kind, 0) if self.warned else 0

    def is_over(self, at_ns: int) -> bool:
        """Whether nothing that it counted counts any more for calls that start at `at_ns`."""
        if self.entries is not None:
            return self.entries.are_over(at_ns)
        return 0 < self.ends_at <= at_ns

    def pass_time(self, at_ns: int) -> None:
        """Let time come to `at_ns`: what has left a window that rolls counts no more."""
        if self.started_at:
            self.elapsed_ns = max(self.elapsed_ns, at_ns - self.started_at)
            if self.elapsed_ns >= self.marks.elapsed_ns:
                self.is_closed = self.limits.are_reached(self)
        if self.entries is None:
            return
        gone = self.entries.leave(at_ns)
        for entry in gone:
            self.calls -= entry.calls
            self.tool_calls -= entry.tool_calls
            self._drop(entry.amounts)
        if self.entries.may_tell_again():
            self.limits.rearm(self)
        elif gone and self.is_closed:
            self.limits.look_at(self)

    def count(self, at_ns: int, calls: int = 0, tool_calls: int = 0) -> None:
        """Count calls that start at `at_ns`, or take them back where negative."""
        if self.entries is not None and not self.entries.count(at_ns, calls, tool_calls):
            return
        self.calls += calls
        self.tool_calls += tool_calls
        if self.is_closed and calls < 0:
            self.limits.look_at(self)

    def add(self, charge: Charge, part: Part, amounts: Amounts, at_ns: int) -> None:
        """Add what one call used that started at `at_ns`.

        Args:
            charge: What it used.
            part: What that is for.
            amounts: What it adds.
            at_ns: Its start in unix ns.
        """
        cost = amounts[0]
        entries = self.entries
        part = self.spent.add(charge, part, cost, leaves=entries is not None)
        if entries is not None and not entries.add(at_ns, part, amounts):
            self.spent.change(part, -cost, -1)  # it has left the window already
            return
        self.cost_pusd += cost
        self.estimated_pusd += amounts[1]
        self.tokens += amounts[2]
        if self.classes is not None:
            self._change_classes(amounts, 1)

    def subtract(self, charge: Charge, at_ns: int) -> None:
        """Undo `add`."""
        amounts, part = amounts_of(charge), part_of(charge)
        self.spent.forget(charge)
        if self.entries is None:
            self.spent.change(part, -amounts[0], -1)
        else:
            counted = self.entries.subtract(at_ns, part, amounts)
            if counted is None:  # it has left the window
                return
            self.spent.change(counted, -amounts[0], -1)
        self._drop(amounts)
        if self.is_closed:
            self.limits.look_at(self)

    def take_back(self, charge: Charge, at_ns: int) -> None:
        """Undo `add`, and the call itself."""
        self.subtract(charge, at_ns)
        self.count(at_ns, calls=-1)
        self.corrected += 1

    # Each sum changes in one step: a span that the garbage collector ends may come in between.
    def _drop(self, amounts: Amounts) -> None:
        self.cost_pusd -= amounts[0]
        self.estimated_pusd -= amounts[1]
        self.tokens -= amounts[2]
        if self.classes is not None:
            self._change_classes(amounts, -1)

    def _change_classes(self, amounts: Amounts, sign: int) -> None:
        classes = self.classes or []
        for place in range(len(classes)):
            classes[place] += sign * amounts[place + 3]


class MemoryLedger:
    """Accounts in this process; those unused for longest are dropped beyond a bound.

    Every access is made while holding `lock`.

    Args:
        max_scopes: How many accounts are kept at most for each budget; None: 10,000 of one that
            counts traces or runs, 100,000 of one that counts anything else, such as tenants.

    Attributes:
        lock: Held around reading and changing accounts. It is reentrant, because the garbage
            collector can end a span in the middle of any of our own lines.
        dropped_scopes: Accounts dropped, because there were too many, that may still be needed.
        forks: How often the process was forked on the way here.
    """

    def __init__(self, max_scopes: int | None = None) -> None:
        self.lock = RLock()
        self.dropped_scopes = self.forks = 0
        self._now_ns = 0
        self._max_scopes = max_scopes
        self._accounts: dict[str, OrderedDict[AccountKey, Account]] = {}

    def renew_after_fork(self) -> None:
        """Begin anew in a forked child: the parent's threads give no lock back and end no call."""
        self.lock = RLock()
        self.forks += 1
        for _, account in self.accounts():
            account.in_flight = account.held_pusd = account.held_tokens = 0
            account.held_classes = account.held_classes and [0, 0]

    def account(
        self, key: AccountKey, limits: "Limits", ends_at: int = 0, at_ns: int = 0
    ) -> Account:
        """The account of a scope and window, opened where there is none.

        Args:
            key: Name of the budget, scope, and start of the window.
            limits: The limits of a new one.
            ends_at: End of the window in unix ns, 0 where that has none or rolls.
            at_ns: When it is used, in unix ns.
        """
        self._now_ns = max(self._now_ns, at_ns)
        account = self.find(key)
        if account is not None:
            self._order(account)
            return account
        account = Account(key, limits, ends_at)
        self.keep(account)
        return account

    def find(self, key: AccountKey) -> Account | None:
        """The account of a scope and window, None where there is none."""
        accounts = self._accounts.get(key[0])
        return None if accounts is None else accounts.get(key)

    def accounts(self) -> Iterator[tuple[str, Account]]:
        """Every account with the name of its budget, the longest unused of each first."""
        for name, accounts in list(self._accounts.items()):
            for account in list(accounts.values()):
                yield name, account

    def keep(self, account: Account) -> None:
        """Keep an account, as the latest used; the one unused for longest may go."""
        accounts = self._accounts.setdefault(account.key[0], OrderedDict())
        most = MAX_RUNS if account.scope[0][0] in {TRACE, RUN} else _MAX_OTHERS
        while len(accounts) >= (self._max_scopes or most):
            _, oldest = accounts.popitem(last=False)
            if oldest.is_used and not oldest.is_over(self._now_ns):
                oldest.is_used = False
                accounts[oldest.key] = oldest
                continue
            oldest.is_kept = False
            # What counts no more is needed no more.
            self.dropped_scopes += not oldest.is_over(self._now_ns)
        accounts[account.key] = account
        account.is_kept = True
        self._order(account)

    def _order(self, account: Account) -> None:
        """Put an account behind all others, but one of a window that is over before them."""
        is_over = 0 < account.ends_at <= self._now_ns
        self._accounts[account.key[0]].move_to_end(account.key, last=not is_over)
