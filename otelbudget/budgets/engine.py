"""Budgets and ledger to a decision: the same engine live and in replay.

A call is admitted when it starts and settled when it ends. Counts are known at the start, money and
tokens at the end; a budget is closed as soon as the usage of one of its limits is at the limit. A
budget that reserves also holds an estimate of each call from its start to its end.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from otelbudget.budgets.config import Budget, LimitKind, Mode
from otelbudget.budgets.decisions import Accounts, Admission, Hold, Notice, Refusal
from otelbudget.budgets.ledger import MemoryLedger
from otelbudget.budgets.limits import (
    CALL_KINDS,
    PASSED_TOOL_KINDS,
    TOOL_KINDS,
    USED_KINDS,
    Limits,
    tightest,
    without_room,
)
from otelbudget.pricing.billing import Charge


class Engine:
    """Decides about calls and keeps count of what they used. Safe to use from many threads.

    Args:
        budgets: The budgets; those with mode "off" are left out.
        ledger: Where usage is kept.

    Attributes:
        is_reserving: Whether a budget wants estimates held.
        is_limiting_tools: Whether a budget limits calls of tools.
    """

    def __init__(self, budgets: Iterable[Budget], ledger: MemoryLedger | None = None) -> None:
        self.budgets = tuple(budget for budget in budgets if budget.mode is not Mode.OFF)
        self.ledger = ledger or MemoryLedger()
        self._limits = {budget.name: Limits(budget) for budget in self.budgets}
        self._is_auditing = any(budget.mode is Mode.AUDIT for budget in self.budgets)
        self.is_reserving = any(budget.reserve for budget in self.budgets)
        self.is_limiting_tools = any(LimitKind.TOOL_CALLS in each.limits for each in self.budgets)

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
        return self.peek_at(self.accounts(trace_id, tier))

    def peek_at(self, accounts: Accounts) -> Refusal | None:
        """As `peek`, with the accounts at hand."""
        with self.ledger.lock:
            return self._refusal(accounts, Mode.ENFORCE)

    def admit(
        self, trace_id: str, tier: str | None = None, hold: Hold | None = None
    ) -> Admission | Refusal:
        """Decide about a call that is about to start, and count it if it may.

        Args:
            trace_id: Trace of the call.
            tier: Tier that the run asked for, or None.
            hold: What budgets that reserve hold for it, None where nothing is known.

        Returns:
            An admission to settle or release later, or the budget that refuses the call.
        """
        return self.admit_to(self.accounts(trace_id, tier), hold)

    def admit_to(self, accounts: Accounts, hold: Hold | None = None) -> Admission | Refusal:
        """As `admit`, with the accounts at hand."""
        with self.ledger.lock:
            refusal = self._refusal(accounts, Mode.ENFORCE, hold)
            if refusal is not None:
                refusal.account.denied += 1
                return refusal
            return self._admission(accounts, hold)

    def admit_tool(self, accounts: Accounts) -> Refusal | Sequence[Notice]:
        """Decide about a call of a tool that is about to start, and count it if it may.

        Returns:
            What counting it brought about, or the budget that refuses it.
        """
        with self.ledger.lock:
            refusal = tightest(accounts, Mode.ENFORCE, TOOL_KINDS)
            if refusal is not None:
                refusal.account.denied += 1
                return refusal
            return self.count_tool(accounts)

    def peek_tool(self, accounts: Accounts) -> Refusal | None:
        """The enforcing budget whose limit on tools was passed, or None. Changes nothing."""
        with self.ledger.lock:
            return tightest(accounts, Mode.ENFORCE, PASSED_TOOL_KINDS)

    def count_tool(self, accounts: Accounts) -> Sequence[Notice]:
        """Count a call of a tool, whatever the budgets say; returns what that brought about."""
        notices: Sequence[Notice] = ()
        with self.ledger.lock:
            for budget, account in accounts:
                account.tool_calls += 1
                if LimitKind.TOOL_CALLS in budget.limits:
                    notices = [*notices, *self._limits[budget.name].tell(account)]
        return notices

    def settle(self, admission: Admission, charge: Charge) -> Sequence[Notice]:
        """Record what an admitted call used, in place of what is held or estimated for it.

        Returns:
            What that brought about.
        """
        notices: Sequence[Notice] = ()
        with self.ledger.lock:
            self._end(admission)
            for budget, account in admission.accounts:
                account.add(charge)
                if account.cost_pusd >= account.cost_mark or account.tokens >= account.tokens_mark:
                    notices = [*notices, *self._limits[budget.name].tell(account)]
        return notices

    def settle_at_estimate(self, admission: Admission, estimate: Charge) -> Sequence[Notice]:
        """Record an estimate of what an admitted call used, until that may be known."""
        with self.ledger.lock:
            notices = self.settle(admission, estimate)
            admission.estimate = estimate
        return notices

    def repeat(self, admission: Admission, attempt: Charge | None) -> Refusal | Sequence[Notice]:
        """Decide whether a request that failed may be sent again.

        Args:
            admission: The call; what is held for it stays held for the next attempt.
            attempt: What the failed attempt counts as, where it may be billed.

        Returns:
            What counting it brought about, or the budget that leaves no room for another attempt.
        """
        notices: Sequence[Notice] = ()
        accounts = admission.accounts
        with self.ledger.lock:
            if attempt is not None:
                for budget, account in accounts:
                    account.add(attempt)
                    notices = [*notices, *self._limits[budget.name].tell(account)]
            refusal = self.peek_spent(accounts)
            if refusal is None and self.is_reserving:
                refusal = without_room(accounts, Mode.ENFORCE, Hold(0, 0))
                refusal = refusal and replace(refusal, hold=admission.hold)
            if refusal is not None:
                refusal.account.denied += 1
        return refusal or notices

    def peek_spent(self, accounts: Accounts) -> Refusal | None:
        """The enforcing budget that is used up by what calls used, not by their number, or None."""
        with self.ledger.lock:
            return tightest(accounts, Mode.ENFORCE, USED_KINDS)

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
            self._end(admission)
            for _, account in admission.accounts:
                account.calls = max(0, account.calls - 1)

    def _admission(self, accounts: Accounts, hold: Hold | None = None) -> Admission:
        is_audited = self._is_auditing and self._refusal(accounts, Mode.AUDIT, hold) is not None
        notices: Sequence[Notice] = ()
        for budget, account in accounts:
            account.calls += 1
            account.in_flight += 1
            if hold is not None and budget.reserve:
                account.held_pusd += hold.cost_pusd
                account.held_tokens += hold.tokens
            if account.calls >= account.calls_mark:
                notices = [*notices, *self._limits[budget.name].tell(account)]
        return Admission(accounts, is_audited, notices, hold, is_in_flight=True)

    def _end(self, admission: Admission) -> None:
        """Drop what is held or estimated for a call; done once, however often it is settled."""
        hold, estimate = admission.hold, admission.estimate
        if admission.is_in_flight:
            for budget, account in admission.accounts:
                # Not below zero: what a forked child reads to its end was begun by its parent.
                account.in_flight = max(0, account.in_flight - 1)
                if hold is not None and budget.reserve:
                    account.held_pusd = max(0, account.held_pusd - hold.cost_pusd)
                    account.held_tokens = max(0, account.held_tokens - hold.tokens)
        if estimate is not None:
            for _, account in admission.accounts:
                account.subtract(estimate)
        admission.is_in_flight = False
        admission.hold = admission.estimate = None

    def _refusal(self, accounts: Accounts, mode: Mode, hold: Hold | None = None) -> Refusal | None:
        """The tightest limit among the budgets of one mode that leaves no room for a call."""
        for budget, account in accounts:
            if budget.mode is mode and self._limits[budget.name].are_reached(account):
                return tightest(accounts, mode, CALL_KINDS)
        if hold is not None and self.is_reserving:
            return without_room(accounts, mode, hold)
        return None
