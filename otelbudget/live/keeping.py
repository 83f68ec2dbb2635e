"""Runs that are opened by name, as one processor keeps them."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from otelbudget.budgets.config import Budget, LimitKind
from otelbudget.budgets.decisions import Accounts, Notice
from otelbudget.budgets.ledger import Account
from otelbudget.budgets.scopes import Place, RunScope
from otelbudget.live.accounting import Accounting
from otelbudget.live.asking import place_in
from otelbudget.live.breakdown import (
    Breakdown,
    RunUsage,
    breakdown_of,
    remaining_of,
    usage_of,
)
from otelbudget.live.current import current_span
from otelbudget.live.ending import CallsInFlight


class KeptRun:
    """What a processor counts for a run, and what limits it.

    Args:
        accounting: The processor's.
        run: The run.
        is_heard: Whether its callbacks are to hear of its budgets.

    Attributes:
        own: What the run uses.
    """

    def __init__(self, accounting: Accounting, run: RunScope, *, is_heard: bool) -> None:
        self._accounting = accounting
        self._run = run
        self._agent: str | None = None
        self._place = Place("", (run,))
        runs = accounting.engine.runs
        assert runs is not None  # noqa: S101 - accounting has made them
        with accounting.lock:
            self._started_ns, self._ended_ns = accounting.now(), 0
            _, self.own = runs.account(run, self._started_ns)
            if is_heard:
                self.own.charged = set()
            accounting.engine.is_limiting_tools = True  # the run tells how many it has called

    @property
    def tiers(self) -> Sequence[str]:
        """The tiers that the processor has."""
        return self._accounting.unmatched.tiers

    @property
    def elapsed_ns(self) -> int:
        """Nanoseconds from the run's start to now, or to its end."""
        return max(0, self._now() - self._started_ns)

    @property
    def usage(self) -> RunUsage:
        """What the run uses."""
        with self._accounting.lock:
            return usage_of(self.own, self.elapsed_ns)

    @property
    def remaining(self) -> Mapping[str, Decimal | None]:
        """What its budgets leave, by kind of limit."""
        with self._accounting.lock:
            return remaining_of(self.accounts())

    def breakdown(self) -> Breakdown:
        """What the run cost, and on what."""
        with self._accounting.lock:
            return breakdown_of(self.own, self.accounts())

    def start(self, name: str) -> None:
        """Begin to count, with the run's span current.

        Args:
            name: What the run is called.
        """
        accounting = self._accounting
        try:
            link, self._place = place_in(accounting, current_span())
            self._agent = (None if link is None else link.agent) or name
            self.accounts()
        except Exception:  # noqa: BLE001 - a fault of ours must not stop the run
            accounting.emitter.failed("opening a run")
        accounting.emitter.run_started(self._place, self._agent)

    def end(self) -> None:
        """Tell that the run is left."""
        emitter = self._accounting.emitter
        self.own.charged = None
        try:
            self._ended_ns = self._accounting.now()
        except Exception:  # noqa: BLE001 - a fault of ours must not stop the run
            emitter.failed("leaving a run")
        emitter.run_ended(self._place, self._agent)

    def accounts(self) -> Accounts:
        """What calls of the run count on, now or at its end."""
        accounting, now = self._accounting, self._now()
        with accounting.lock:
            accounts = accounting.engine.accounts(self._place, now)
            for _, account in accounts:
                if account.limits.is_timed:
                    account.pass_time(now)
            return accounts

    def extendable(self, budget: str | None) -> Sequence[tuple[Budget, Account]]:
        """The accounts of the run itself, and of its trace where it is the outermost run.

        Args:
            budget: Name of the only budget to look at, or None for all.
        """
        scopes = {run.scope for run in self._scopes()}
        return [
            (each, account)
            for each, account in self.accounts()
            if account.scope in scopes and budget in (None, each.name) and account.limits.by_kind
        ]

    def extend(
        self, by: Mapping[LimitKind, int], budget: str | None
    ) -> Sequence[tuple[Notice, int]]:
        """Raise the limits that count the run.

        Args:
            by: How much more may be used, by kind of limit, in its unit.
            budget: Name of the only budget to extend, or None for all.

        Returns:
            What was raised, and by how much.
        """
        accounting, accounts = self._accounting, self.accounts()
        with accounting.lock:
            raised = [
                (notice, more)
                for run in self._scopes()
                for kind, more in by.items()
                for notice in accounting.engine.extend(accounts, run, kind, more, budget)
            ]
        accounting.tell_notices([notice for notice, _ in raised])
        return raised

    def note_unknown_tier(self) -> None:
        """Warn, once, of a tier that no processor has."""
        self._accounting.unmatched.tell_tier(self._run.id, str(self._run.tier))

    def _now(self) -> int:
        return self._ended_ns or self._accounting.now()

    def _scopes(self) -> Sequence[RunScope]:
        named = next((run for run in self._place.runs if not run.is_trace), None)
        is_outermost = named is not None and named.id == self._run.id
        trace = RunScope(self._place.trace_id, is_trace=True)
        return [self._run, trace] if is_outermost else [self._run]


class Runs:
    """What a processor has to do with runs.

    Args:
        accounting: The processor's.
        calls_in_flight: The processor's calls that used-up budgets end.
    """

    def __init__(self, accounting: Accounting, calls_in_flight: CallsInFlight) -> None:
        self._accounting = accounting
        self._calls_in_flight = calls_in_flight

    def around(self) -> tuple[RunScope, ...]:
        """The runs that the running code is inside of; its trace among them where it has a tier."""
        _, place = place_in(self._accounting, current_span())
        return tuple(run for run in place.runs if not run.is_trace or run.tier is not None)

    def keep(self, run: RunScope, *, is_heard: bool) -> KeptRun | None:
        """Keep a run that is about to be opened; None after a fault of ours, which is logged.

        Args:
            run: The run.
            is_heard: Whether its callbacks are to hear of its budgets.
        """
        try:
            if run.budget is not None:
                self._calls_in_flight.heed(run.budget)
            return KeptRun(self._accounting, run, is_heard=is_heard)
        except Exception:  # noqa: BLE001 - a fault of ours must not stop the run
            self._accounting.emitter.failed("keeping a run")
            return None
