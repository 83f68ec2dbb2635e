"""Which accounts a budget has for a place: its scopes, its window, its shares and its tools."""

from collections.abc import Iterator, Sequence

from otelbudget.budgets.config import Budget, LimitKind
from otelbudget.budgets.ledger import Account, AccountKey, MemoryLedger
from otelbudget.budgets.limits import Limits
from otelbudget.budgets.scopes import RUN, Place, Scope
from otelbudget.budgets.windows import CalendarWindow, RollingWindow
from otelbudget.genai import semconv

FOREVER = 2**63
"""Later than any time in unix ns."""


class Plan:
    """A budget, ready to be asked for the accounts of a place.

    Args:
        budget: The budget.

    Attributes:
        budget: The budget.
        tool_limits: Its limits for single tools, by name.
        rolls: Whether its window rolls.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.rolls = isinstance(budget.window, RollingWindow)
        self._limits = Limits(budget, budget.limits)
        self.tool_limits = {
            tool: Limits(budget, {LimitKind.TOOL_CALLS: limit})
            for tool, limit in budget.tool_limits.items()
        }

    def counts(self, place: Place) -> bool:
        """Whether the calls of a place are counted and refused by the budget."""
        if self.budget.where and not all(
            place.value(key) in values for key, values in self.budget.where.items()
        ):
            return False
        return self.budget.per is not None or any(
            run.tier == self.budget.name for run in place.runs
        )

    def window_at(self, at_ns: int) -> tuple[int, int]:
        """Start and end of the window in which calls count that start at `at_ns`, in unix ns."""
        window = self.budget.window
        return window.bounds(at_ns) if isinstance(window, CalendarWindow) else (-FOREVER, FOREVER)

    def accounts(
        self, ledger: MemoryLedger, place: Place, at_ns: int
    ) -> Iterator[tuple[Budget, Account]]:
        """The accounts of a place: of each of its scopes, and of its shares of them."""
        shares = [
            ((key, value), ratios[value])
            for key, ratios in self.budget.shares.items()
            if (value := place.value(key)) in ratios
        ]
        for scope in self._scopes(place):
            whole = self._account(ledger, scope, at_ns, self._limits)
            yield whole
            for part, ratio in shares:
                # Of the limits that the scope has by now: they may have been raised.
                yield self._account(ledger, (*scope, part), at_ns, whole[1].limits.share(ratio))

    def tool_accounts(
        self, ledger: MemoryLedger, place: Place, at_ns: int, tool: str
    ) -> Iterator[tuple[Budget, Account]]:
        """The accounts of the tool's own limit."""
        for scope in self._scopes(place):
            part = (*scope, (semconv.TOOL_NAME, tool))
            yield self._account(ledger, part, at_ns, self.tool_limits[tool])

    def _account(
        self, ledger: MemoryLedger, scope: Scope, at_ns: int, limits: Limits
    ) -> tuple[Budget, Account]:
        start, end = self.window_at(at_ns)
        is_windowed = end != FOREVER
        key: AccountKey = (self.budget.name, scope, start if is_windowed else 0)
        account = ledger.account(key, limits, end if is_windowed else 0, at_ns)
        if limits.has_seconds and not account.started_at:
            account.started_at = at_ns
        return self.budget, account

    def _scopes(self, place: Place) -> Sequence[Scope]:
        """What is counted: one scope, or one for each run that a place is inside of."""
        per = self.budget.per
        if per is None:
            return [run.scope for run in place.runs if run.tier == self.budget.name]
        if RUN not in per:
            return [tuple((key, place.value(key)) for key in per)]
        return [
            tuple(run.scope[0] if key == RUN else (key, place.value(key)) for key in per)
            for run in place.runs
        ]
