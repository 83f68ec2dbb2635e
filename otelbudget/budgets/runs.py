"""What each run uses itself, whatever budgets count it, and the budget of its own that it may have."""

from collections import OrderedDict
from collections.abc import Iterator

from otelbudget.budgets.config import Budget, Mode
from otelbudget.budgets.ledger import MAX_RUNS, Account
from otelbudget.budgets.limits import Limits
from otelbudget.budgets.scopes import RUN, TRACE, Place, RunScope, Scope
from otelbudget.budgets.values import MAX_LIMIT
from otelbudget.errors import BudgetConfigError

_NO_BUDGET = Budget(calls=MAX_LIMIT, name="run", mode=Mode.OFF)


class RunAccount(Account):
    """What one run has used, by everything that is counted anywhere.

    Attributes:
        charged: The accounts that its calls count on, noted for whoever listens; else None.
    """

    __slots__ = ("charged",)

    def __init__(self, run: RunScope, budget: Budget, at_ns: int) -> None:
        super().__init__((budget.name, run.scope, 0), _limits(budget))
        self.charged: set[Account] | None = None
        self.started_at = at_ns
        self.is_kept = True  # here, and not in the ledger


class RunAccounts:
    """The accounts of runs; beyond 10,000 those unused for longest go.

    Every access is made while holding the lock of the ledger.

    Attributes:
        keeps_traces: Also of traces where no run was opened by name.
    """

    def __init__(self) -> None:
        self.keeps_traces = False
        self._by_scope: OrderedDict[Scope, tuple[Budget, RunAccount]] = OrderedDict()

    def account(self, run: RunScope, at_ns: int) -> tuple[Budget, RunAccount]:
        """The account of a run, opened where there is none, and the run's own budget."""
        known = self._by_scope.get(run.scope)
        if known is None:
            budget = run.budget or _NO_BUDGET
            known = self._by_scope[run.scope] = budget, RunAccount(run, budget, at_ns)
            if len(self._by_scope) > MAX_RUNS:
                self._by_scope.popitem(last=False)
            return known
        self._by_scope.move_to_end(run.scope)
        if run.budget is not None and run.budget is not known[0]:
            account = known[1]
            account.key = (run.budget.name, run.scope, 0)
            account.limits = _limits(run.budget)
            account.limits.rearm(account)
            known = self._by_scope[run.scope] = run.budget, account
        return known

    def of(self, place: Place, at_ns: int) -> Iterator[tuple[Budget, RunAccount]]:
        """The accounts of the runs that a place is inside of."""
        for run in place.runs:
            if self.keeps_traces or not run.is_trace:
                yield self.account(run, at_ns)

    def renew_after_fork(self) -> None:
        """Begin anew in a forked child, which ends none of its parent's calls."""
        for _, account in self._by_scope.values():
            account.in_flight = account.held_pusd = account.held_tokens = 0
            account.held_classes = [0, 0]


def _limits(budget: Budget) -> Limits:
    """The limits of a run's own budget; all classes of tokens are counted for it."""
    limits = Limits(budget, {} if budget is _NO_BUDGET else budget.limits)
    limits.has_classes = True
    return limits


def checked_budget(budget: object) -> Budget:
    """A budget that a run has of its own.

    Raises:
        BudgetConfigError: It is none, or it counts by more than the run.
    """
    if not isinstance(budget, Budget):
        raise BudgetConfigError(
            f"is {budget!r}; give a budget such as Budget(cost_usd='0.25')", key="budget"
        )
    is_plain = budget.per in (None, (TRACE,), (RUN,)) and budget.window is None
    if not is_plain or budget.where or budget.shares or budget.tool_limits:
        raise BudgetConfigError(
            f"{budget.name!r} is the budget of one run, so it has neither per nor window, where, "
            "shares or limits on single tools; give such a budget to BudgetSpanProcessor",
            key="budget",
        )
    return budget
