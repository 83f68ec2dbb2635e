"""What each scope of a budget has used so far."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from threading import RLock
from typing import TYPE_CHECKING

from otelbudget.budgets.config import LimitKind
from otelbudget.budgets.rolling import Entries, Entry
from otelbudget.budgets.scopes import Scope
from otelbudget.budgets.spent import TOKEN_CLASSES, Amounts, Part, Spent, amounts_of
from otelbudget.pricing.billing import Charge

if TYPE_CHECKING:
    from otelbudget.budgets.limits import Limits

MAX_SCOPES = 10_000

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
        asked: Whether the application was asked about a stop of which nobody had been told.
        spent: What was spent on what, and the latest calls.
        entries: What was used when, where the window rolls; else None.
        is_kept: It is in the ledger; an account in use is put back when it was dropped.
        seen: Usages when somebody who watches it looked last.
        seen_at: When they had changed last, on that one's clock.
        cost_mark: Pico-USD below which there is nothing to report.
        tokens_mark: Tokens below which there is nothing to report.
        calls_mark: Calls below which there is nothing to report.
    """

    __slots__ = (
        "asked",
        "calls",
        "calls_mark",
        "classes",
        "corrected",
        "cost_mark",
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
        "is_kept",
        "key",
        "limits",
        "seen",
        "seen_at",
        "spent",
        "started_at",
        "tokens",
        "tokens_mark",
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
        self.asked = False
        self.spent = Spent()
        length_ns = limits.rolling_ns
        self.entries = Entries(length_ns, self.spent) if length_ns else None
        self.is_kept = False
        self.seen: tuple[int, ...] = ()
        self.seen_at = 0.0
        self.cost_mark = self.tokens_mark = self.calls_mark = 0

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

    def pass_time(self, at_ns: int) -> None:
        """Let time come to `at_ns`: what has left a window that rolls counts no more."""
        if self.started_at:
            self.elapsed_ns = max(self.elapsed_ns, at_ns - self.started_at)
        if self.entries is None:
            return
        gone = self.entries.leave(at_ns)
        for entry in gone:
            self.calls -= entry.calls
            self.tool_calls -= entry.tool_calls
            if entry.amounts:
                self._change(tuple(-amount for amount in entry.amounts))
        if gone and self.entries.may_tell_again:
            self.limits.rearm(self)

    def count(self, at_ns: int, calls: int = 0, tool_calls: int = 0) -> None:
        """Count calls that start at `at_ns`, or take them back where negative."""
        if self.entries is not None and not self.entries.add(
            Entry(at_ns, calls=calls, tool_calls=tool_calls)
        ):
            return
        self.calls = max(0, self.calls + calls)
        self.tool_calls = max(0, self.tool_calls + tool_calls)

    def add(self, charge: Charge, at_ns: int) -> None:
        """Add what one call used that started at `at_ns`."""
        part = self.spent.add(charge)
        if self.entries is None and self.classes is None:
            cost = charge.list_cost_pusd
            if cost is None:
                cost = charge.estimated_pusd
                self.estimated_pusd += cost
            self.cost_pusd += cost
            self.tokens += charge.tokens
        else:
            self._enter(charge, at_ns, part, 1)

    def subtract(self, charge: Charge, at_ns: int) -> None:
        """Undo `add`; nothing goes below zero."""
        self._enter(charge, at_ns, self.spent.take_back(charge), -1)

    def take_back(self, charge: Charge, at_ns: int) -> None:
        """Undo `add`, and the call itself; nothing goes below zero."""
        self.subtract(charge, at_ns)
        self.count(at_ns, calls=-1)
        self.corrected += 1

    def _enter(self, charge: Charge, at_ns: int, part: Part, sign: int) -> None:
        amounts = amounts_of(charge, sign)
        if self.entries is not None and not self.entries.add(
            Entry(at_ns, amounts, part, charges=sign)
        ):
            self.spent.change(part, -amounts[0], -sign)  # it has left the window already
            return
        self._change(amounts)

    def _change(self, amounts: Amounts) -> None:
        cost, estimated, tokens, *classes = amounts
        self.cost_pusd = max(0, self.cost_pusd + cost)
        self.estimated_pusd = max(0, self.estimated_pusd + estimated)
        self.tokens = max(0, self.tokens + tokens)
        if self.classes is not None:
            self.classes = [
                max(0, was + more) for was, more in zip(self.classes, classes, strict=True)
            ]


class MemoryLedger:
    """Accounts in this process; those unused for longest are dropped beyond a bound.

    Every access is made while holding `lock`.

    Args:
        max_scopes: How many accounts are kept at most for each budget.

    Attributes:
        lock: Held around reading and changing accounts. It is reentrant, because the garbage
            collector can end a span in the middle of any of our own lines.
        dropped_scopes: Accounts dropped, because there were too many, that may still be needed.
    """

    def __init__(self, max_scopes: int = MAX_SCOPES) -> None:
        self.lock = RLock()
        self.dropped_scopes = 0
        self._max_scopes = max_scopes
        self._accounts: dict[str, OrderedDict[AccountKey, Account]] = {}

    def renew_after_fork(self) -> None:
        """Begin anew in a forked child: the parent's threads give no lock back and end no call."""
        self.lock = RLock()
        for _, account in self.accounts():
            account.in_flight = account.held_pusd = account.held_tokens = 0
            account.held_classes = account.held_classes and [0, 0]

    def account(self, key: AccountKey, limits: "Limits", ends_at: int = 0) -> Account:
        """The account of a scope and window, opened where there is none.

        Args:
            key: Name of the budget, scope, and start of the window.
            limits: The limits of a new one.
            ends_at: End of the window in unix ns, 0 where that has none or rolls.
        """
        accounts = self._accounts.get(key[0])
        account = accounts.get(key) if accounts is not None else None
        if accounts is not None and account is not None:
            accounts.move_to_end(key)
            return account
        account = Account(key, limits, ends_at)
        self.keep(account)
        return account

    def accounts(self) -> Iterator[tuple[str, Account]]:
        """Every account with the name of its budget, the longest unused of each first."""
        for name, accounts in self._accounts.items():
            for account in accounts.values():
                yield name, account

    def keep(self, account: Account) -> None:
        """Keep an account, as the latest used; the one unused for longest may go."""
        accounts = self._accounts.setdefault(account.key[0], OrderedDict())
        if len(accounts) >= self._max_scopes:
            _, dropped = accounts.popitem(last=False)
            dropped.is_kept = False
            # A window that is over is needed no more.
            self.dropped_scopes += not 0 < dropped.ends_at <= account.key[2]
        accounts[account.key] = account
        account.is_kept = True
