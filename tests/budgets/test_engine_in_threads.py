"""Many threads, any budgets that reserve, any order: no limit is passed and nothing is lost."""

import random
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given, settings
from hypothesis import strategies as st

from otelbudget.budgets.config import Budget, LimitKind
from otelbudget.budgets.decisions import Accounts, Admission, Attempt, Refusal
from otelbudget.budgets.engine import Engine
from tests.budgets.drawn import (
    PLACES,
    START,
    budget_lists,
    charge_of,
    hold_of,
    usages,
    within,
)
from tests.budgets.plain_model import Amounts

WORKERS = 6
Drawn = tuple[int, Amounts, Amounts, str]


class _Application:
    """Calls in many threads, each of which ends in one of four ways."""

    def __init__(self, budgets: Sequence[Budget]) -> None:
        self.engine = Engine(budgets)
        self.places = [make() for make in PLACES]
        self.spent: list[tuple[Accounts, int]] = []
        self.passed: list[LimitKind] = []
        self.barrier = threading.Barrier(WORKERS)

    def work(self, calls: Sequence[Drawn]) -> None:
        """Make calls; those that end late end after all others."""
        self.barrier.wait()
        late = []
        for call in calls:
            late.append(self._call(*call))
            self._look()
        for end in late:
            if end is not None:
                end()

    def _call(
        self, place: int, hold: Amounts, drawn: Amounts, end: str
    ) -> Callable[[], None] | None:
        accounts = self.engine.accounts(self.places[place], START)
        admission = self.engine.admit(accounts, Attempt(START, hold_of(hold)))
        if isinstance(admission, Refusal):
            return None
        if end == "released":
            self.engine.release(admission)
            return None
        if end == "estimated":
            estimate = charge_of(within(hold, hold), is_estimate=True)
            self.engine.settle_at_estimate(admission, estimate)
        if end == "late":
            return lambda: self._settle(admission, within(drawn, hold))
        self._settle(admission, within(drawn, hold))
        return None

    def _settle(self, admission: Admission, used: Amounts) -> None:
        self.engine.settle(admission, charge_of(used))
        self.spent.append((admission.accounts, used[LimitKind.COST_USD]))

    def _look(self) -> None:
        with self.engine.ledger.lock:
            self.passed += [
                kind
                for _, account in self.engine.ledger.accounts()
                for kind, limit in account.limits.by_kind.items()
                if account.usage(kind) + account.held(kind) > limit
            ]


@settings(max_examples=40, deadline=None)
@given(
    budgets=budget_lists(is_bounded=True),
    work=st.lists(
        st.tuples(
            st.integers(0, len(PLACES) - 1),
            usages(),
            usages(),
            st.sampled_from(["settled", "late", "estimated", "released"]),
        ),
        min_size=WORKERS,
        max_size=80,
    ),
    seed=st.integers(0, 2**32),
)
def test_threads_pass_no_limit_and_lose_nothing(
    budgets: list[Budget], work: list[Drawn], seed: int
) -> None:
    random.Random(seed).shuffle(work)  # noqa: S311 - an order, no secret
    application = _Application(budgets)
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(application.work, [work[start::WORKERS] for start in range(WORKERS)]))

    assert application.passed == []
    for _, account in application.engine.ledger.accounts():
        costs = [
            cost
            for accounts, cost in application.spent
            if any(each is account for _, each in accounts)
        ]
        assert (account.cost_pusd, account.calls) == (sum(costs), len(costs))
        assert (account.held_pusd, account.held_tokens, account.in_flight) == (0, 0, 0)
