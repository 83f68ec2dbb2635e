"""Budgets and ledger to a decision: the same engine live and in replay.

A call is admitted when it starts and settled when it ends. Counts are known at the start, money and
tokens at the end; a budget is closed as soon as the usage of one of its limits is at the limit. A
budget that reserves also holds an estimate of each call from its start to its end. A call counts in
the window in which it starts, however late it ends.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from otelbudget.budgets.config import Budget, LimitKind, Mode
from otelbudget.budgets.decisions import (
    Accounts,
    Admission,
    Attempt,
    Hold,
    Notice,
    Refusal,
)
from otelbudget.budgets.extending import raise_limits
from otelbudget.budgets.ledger import Account, MemoryLedger
from otelbudget.budgets.limits import (
    CALL_KINDS,
    PASSED_TOOL_KINDS,
    TOOL_KINDS,
    UNPAID_KINDS,
    USED_KINDS,
    passed_by,
    refusal_of,
    tightest,
    without_room,
)
from otelbudget.budgets.plans import FOREVER, Plan
from otelbudget.budgets.runs import RunAccounts
from otelbudget.budgets.scopes import Place, RunScope
from otelbudget.budgets.spent import amounts_of, part_of
from otelbudget.budgets.windows import RollingWindow
from otelbudget.pricing.billing import Charge


class Engine:
    """Decides about calls and keeps count of what they used. Safe to use from many threads.

    Args:
        budgets: The budgets; those with mode "off" are left out.
        ledger: Where usage is kept.

    Attributes:
        keys: The keys that budgets name, whose values decide where a call counts.
        is_reserving: Whether a budget wants estimates held.
        is_limiting_tools: Whether a budget limits calls of tools.
        is_limiting_seconds: Whether a budget limits the time that runs take.
        runs: What each run uses itself, None where nobody asks.
    """

    def __init__(self, budgets: Iterable[Budget], ledger: MemoryLedger | None = None) -> None:
        self.budgets = tuple(budget for budget in budgets if budget.mode is not Mode.OFF)
        self.ledger = ledger or MemoryLedger()
        self.keys = tuple(dict.fromkeys(key for each in self.budgets for key in each.keys))
        self._plans = [Plan(budget) for budget in self.budgets]
        self._is_auditing = self._has_grace = self._is_timed = False
        self.is_reserving = self.is_limiting_tools = self.is_limiting_seconds = False
        self.runs: RunAccounts | None = None
        for budget in self.budgets:
            self._heed(budget)

    def _heed(self, budget: Budget) -> None:
        """Note what a budget asks for."""
        self._is_auditing |= budget.mode is Mode.AUDIT
        self._has_grace |= budget.grace > 0
        self.is_reserving |= budget.reserve
        self.is_limiting_tools |= bool(budget.tool_limits) or LimitKind.TOOL_CALLS in budget.limits
        self.is_limiting_seconds |= LimitKind.SECONDS in budget.limits
        self._is_timed |= self.is_limiting_seconds or isinstance(budget.window, RollingWindow)

    def renew_after_fork(self) -> None:
        """Begin anew in a forked child: the parent's threads give no lock back and end no call."""
        self.ledger.renew_after_fork()
        if self.runs is not None:
            self.runs.renew_after_fork()

    def accounts(self, place: Place, at_ns: int = 0) -> Accounts:
        """The accounts that calls of a place are counted on which start at `at_ns`.

        They are kept with the place for as long as they stay the same.
        """
        with self.ledger.lock:
            if place.accounts is not None and place.since <= at_ns < place.until:
                accounts: Accounts = place.accounts
                for _, account in accounts:
                    account.is_used = True
                    if not account.is_kept:
                        break
                else:
                    return accounts
                self._put_back(accounts)
            accounts, place.since, place.until = [], -FOREVER, FOREVER
            for plan in self._plans:
                if plan.counts(place):
                    start, end = plan.window_at(at_ns)
                    place.since, place.until = max(place.since, start), min(place.until, end)
                    accounts += plan.accounts(self.ledger, place, at_ns)
            place.accounts = accounts = [*accounts, *self._own(accounts, place, at_ns)]
            return accounts

    def _put_back(self, accounts: Accounts) -> None:
        """Keep accounts in use that were dropped, unless their scopes have others by now."""
        for _, account in accounts:
            if not account.is_kept and self.ledger.find(account.key) is None:
                self.ledger.keep(account)

    def tool_accounts(self, place: Place, at_ns: int, tool: str) -> Accounts:
        """The accounts that a call of a tool is counted on: also those of the tool's own limits."""
        with self.ledger.lock:
            accounts = list(self.accounts(place, at_ns))
            for plan in self._plans:
                if tool in plan.tool_limits and plan.counts(place):
                    accounts += plan.tool_accounts(self.ledger, place, at_ns, tool)
            self._own(accounts, place, at_ns)
            return accounts

    def _own(self, accounts: Accounts, place: Place, at_ns: int) -> Accounts:
        """The accounts of the runs themselves, for which it is noted what else counts their calls."""
        if self.runs is None:
            return ()
        own = list(self.runs.of(place, at_ns))
        for budget, account in own:
            if budget.mode is not Mode.OFF:
                self._heed(budget)
            if account.charged is not None:
                account.charged.update(each for _, each in accounts)
                account.charged.add(account)
        return own

    def peek(self, accounts: Accounts, attempt: Attempt) -> Refusal | None:
        """The enforcing budget that would refuse a call now, or None. Counts nothing."""
        with self.ledger.lock:
            self._pass_time(accounts, attempt.at_ns)
            return refusal_of(self._asked(accounts, attempt), Mode.ENFORCE, attempt)

    def admit(self, accounts: Accounts, attempt: Attempt) -> Admission | Refusal:
        """Decide about a call that is about to start, and count it if it may.

        Args:
            accounts: What it is counted on.
            attempt: What is known of it.

        Returns:
            An admission to settle or release later, or the budget that refuses the call.
        """
        with self.ledger.lock:
            self._pass_time(accounts, attempt.at_ns)
            asked = self._asked(accounts, attempt)
            refusal = refusal_of(asked, Mode.ENFORCE, attempt)
            if refusal is not None:
                refusal.account.denied += 1
                return refusal
            graced = () if asked is accounts else passed_by(accounts, attempt)
            return self._admission(accounts, attempt, graced)

    def admit_tool(self, accounts: Accounts, at_ns: int) -> Refusal | Sequence[Notice]:
        """Decide about a call of a tool that is about to start, and count it if it may.

        Returns:
            What counting it brought about, or the budget that refuses it.
        """
        with self.ledger.lock:
            self._pass_time(accounts, at_ns)
            refusal = tightest(accounts, Mode.ENFORCE, TOOL_KINDS)
            if refusal is None:
                return self.count_tool(accounts, at_ns)
            refusal.account.denied += 1
            return replace(refusal, at_ns=at_ns)

    def peek_tool(self, accounts: Accounts, at_ns: int) -> Refusal | None:
        """The enforcing budget whose limit on tools was passed, or None. Counts nothing."""
        with self.ledger.lock:
            self._pass_time(accounts, at_ns)
            return tightest(accounts, Mode.ENFORCE, PASSED_TOOL_KINDS)

    def count_tool(self, accounts: Accounts, at_ns: int) -> Sequence[Notice]:
        """Count a call of a tool, whatever the budgets say; returns what that brought about."""
        notices: Sequence[Notice] = ()
        with self.ledger.lock:
            self._pass_time(accounts, at_ns)
            for _, account in accounts:
                account.count(at_ns, tool_calls=1)
                if LimitKind.TOOL_CALLS in account.limits.by_kind:  # rare, so there is no mark
                    notices = [*notices, *account.limits.tell(account)]
        return notices

    def settle(self, admission: Admission, charge: Charge) -> Sequence[Notice]:
        """Record what an admitted call used, in place of what is held or estimated for it.

        Returns:
            What that brought about.
        """
        with self.ledger.lock:
            self._end(admission)
            return self._add(admission.accounts, charge, admission.at_ns)

    def settle_at_estimate(self, admission: Admission, estimate: Charge) -> Sequence[Notice]:
        """Record an estimate of what an admitted call used, until that may be known."""
        with self.ledger.lock:
            notices = self.settle(admission, estimate)
            admission.estimate = estimate
        return notices

    def repeat(
        self, admission: Admission, attempt: Charge | None, at_ns: int = 0
    ) -> Refusal | Sequence[Notice]:
        """Decide whether a request that failed may be sent again.

        Limits that could not refuse the call, as it is free or wraps up, do not refuse it now.

        Args:
            admission: The call; what is held for it stays held for the next attempt.
            attempt: What the failed attempt counts as, where it may be billed.
            at_ns: When it would be sent again, in unix ns.

        Returns:
            What counting it brought about, or the budget that leaves no room for another attempt.
        """
        notices: Sequence[Notice] = ()
        accounts = admission.accounts
        with self.ledger.lock:
            if attempt is not None:
                notices = self._add(accounts, attempt, admission.at_ns)
            self._pass_time(accounts, at_ns)
            asked = [each for each in accounts if each[1] not in admission.graced]
            kinds = UNPAID_KINDS if admission.is_free else CALL_KINDS
            used = {kind: past for kind, past in USED_KINDS.items() if kind in kinds}
            refusal = tightest(asked, Mode.ENFORCE, used)
            if refusal is None and self.is_reserving:
                refusal = without_room(asked, Mode.ENFORCE, Hold(0, 0), kinds=kinds)
                refusal = refusal and replace(refusal, hold=admission.hold)
            if refusal is not None:
                refusal = replace(refusal, notices=notices)
                refusal.account.denied += 1
        return refusal or notices

    def peek_spent(self, accounts: Accounts) -> Refusal | None:
        """The enforcing budget that is used up by what calls used, not by their number, or None."""
        with self.ledger.lock:
            return tightest(accounts, Mode.ENFORCE, USED_KINDS)

    def count(self, accounts: Accounts, attempt: Attempt) -> Admission:
        """Count a call that has already been made, whatever the budgets say; settle it next."""
        with self.ledger.lock:
            self._pass_time(accounts, attempt.at_ns)
            return self._admission(accounts, attempt)

    def charge(
        self, accounts: Accounts, charge: Charge, at_ns: int
    ) -> tuple[Refusal | None, Sequence[Notice]]:
        """Count and settle at once a call that has already been made.

        Called with the ledger's lock held.

        Returns:
            What an auditing budget would have refused it by, or None, and what it brought about.
        """
        self._pass_time(accounts, at_ns)
        audited = None
        if self._is_auditing:
            audited = refusal_of(accounts, Mode.AUDIT, Attempt(at_ns))
        for _, account in accounts:
            account.count(at_ns, calls=1)
        return audited, self._add(accounts, charge, at_ns)

    def take_back(self, accounts: Accounts, charge: Charge, at_ns: int) -> None:
        """Undo a charge: another span has shown that the same tokens are counted elsewhere."""
        with self.ledger.lock:
            for _, account in accounts:
                account.take_back(charge, at_ns)

    def release(self, admission: Admission) -> None:
        """Take an admitted call back that the provider cannot have billed."""
        with self.ledger.lock:
            self._end(admission)
            for _, account in admission.accounts:
                account.count(admission.at_ns, calls=-1)
            for account in admission.graced:
                account.graced -= 1
            admission.graced = ()

    def extend(
        self, accounts: Accounts, run: RunScope, kind: LimitKind, by: int, budget: str | None = None
    ) -> Sequence[Notice]:
        """Raise the limits of one kind that count a run.

        Args:
            accounts: What the run's calls are counted on.
            run: The run.
            kind: The kind of limit.
            by: How much more may be used, in the unit of the kind.
            budget: Name of the only budget to extend, or None for all that limit the run.

        Returns:
            One notice for each limit that was raised.
        """
        with self.ledger.lock:
            return raise_limits(self.ledger, accounts, run, kind, by, budget)

    def _asked(self, accounts: Accounts, attempt: Attempt) -> Accounts:
        """The accounts that a call is asked of: those with grace left let it wrap up."""
        if not (self._has_grace and attempt.is_wrap_up):
            return accounts
        return [(budget, account) for budget, account in accounts if account.graced >= budget.grace]

    def _pass_time(self, accounts: Accounts, at_ns: int) -> None:
        if not self._is_timed:
            return
        for _, account in accounts:
            if account.limits.is_timed:
                account.pass_time(at_ns)

    def _add(self, accounts: Accounts, charge: Charge, at_ns: int) -> Sequence[Notice]:
        notices: Sequence[Notice] = ()
        part, amounts = part_of(charge), amounts_of(charge)
        for _, account in accounts:
            account.add(charge, part, amounts, at_ns)
            marks = account.marks
            if (
                account.cost_pusd >= marks.cost_pusd
                or account.tokens >= marks.tokens
                or account.calls >= marks.calls
                or account.elapsed_ns >= marks.elapsed_ns
                or (
                    account.classes is not None
                    and any(map(int.__ge__, account.classes, marks.classes))
                )
            ):
                notices = [*notices, *account.limits.tell(account)]
        return notices

    def _admission(
        self, accounts: Accounts, attempt: Attempt, graced: Sequence[Account] = ()
    ) -> Admission:
        at_ns, hold = attempt.at_ns, attempt.hold
        audited = None
        if self._is_auditing:
            audited = refusal_of(self._asked(accounts, attempt), Mode.AUDIT, attempt)
        for account in graced:
            account.graced += 1
        notices: Sequence[Notice] = ()
        for budget, account in accounts:
            if account.entries is None:
                account.calls += 1
            else:
                account.count(at_ns, calls=1)
            account.in_flight += 1
            if hold is not None and budget.reserve:
                _hold(account, hold, 1)
            marks = account.marks
            if account.calls >= marks.calls or account.elapsed_ns >= marks.elapsed_ns:
                notices = [*notices, *account.limits.tell(account)]
        return Admission(
            accounts,
            at_ns,
            audited,
            notices,
            hold,
            is_in_flight=True,
            graced=graced,
            is_free=attempt.is_free,
            forks=self.ledger.forks,
        )

    def _end(self, admission: Admission) -> None:
        """Drop what is held or estimated for a call; done once, however often it is settled."""
        hold, estimate = admission.hold, admission.estimate
        if admission.is_in_flight and admission.forks == self.ledger.forks:
            for budget, account in admission.accounts:
                account.in_flight -= 1
                if hold is not None and budget.reserve:
                    _hold(account, hold, -1)
        if estimate is not None:
            for _, account in admission.accounts:
                account.subtract(estimate, admission.at_ns)
        admission.is_in_flight = False
        admission.hold = admission.estimate = None


def _hold(account: Account, hold: Hold, sign: int) -> None:
    account.held_pusd += sign * hold.cost_pusd
    account.held_tokens += sign * hold.tokens
    held = account.held_classes
    if held is not None:
        held[0] += sign * hold.input_tokens
        held[1] += sign * hold.output_tokens
