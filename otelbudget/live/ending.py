"""The calls in flight on asyncio that end when a budget they count on is used up."""

from otelbudget.budgets.config import Budget, Mode
from otelbudget.budgets.decisions import Notice, Refusal
from otelbudget.errors import BudgetExceededError
from otelbudget.live.accounting import Accounting
from otelbudget.live.calls import CallState, GatedCall
from otelbudget.live.cancel import InFlight
from otelbudget.live.places import hex_trace_id


class CallsInFlight:
    """Keeps the calls that budgets with `cancel_in_flight` end.

    Args:
        accounting: What the calls count on.

    Attributes:
        may_end: Whether there is such a budget.
    """

    def __init__(self, accounting: Accounting) -> None:
        self._accounting = accounting
        self._in_flight: dict[GatedCall, InFlight] = {}
        self.may_end = False
        for budget in accounting.engine.budgets:
            self.heed(budget)

    def heed(self, budget: Budget) -> None:
        """Note whether a budget ends its calls in flight."""
        if budget.cancel_in_flight and budget.mode is Mode.ENFORCE:
            self.may_end = True
            self._accounting.on_notice = self.end

    def watch(self, gated: GatedCall, in_flight: InFlight) -> None:
        """Let a call end when a budget that it counts on is used up."""
        with self._accounting.lock:
            if gated.state is CallState.OPEN:
                self._in_flight[gated] = in_flight
            refusal = self._accounting.engine.peek_spent(gated.admission.accounts)
        if refusal is not None and refusal.budget.cancel_in_flight:
            in_flight.end(_exceeded(refusal, gated))

    def end(self, notice: Notice) -> None:
        """End the calls that count on a budget that is used up, where it says so."""
        if not (notice.ends_calls and notice.budget.cancel_in_flight):
            return
        with self._accounting.lock:
            doomed = [
                (gated, in_flight)
                for gated, in_flight in self._in_flight.items()
                if any(account is notice.account for _, account in gated.admission.accounts)
            ]
        for gated, in_flight in doomed:
            refusal = self._accounting.engine.peek_spent(gated.admission.accounts)
            if refusal is not None:
                in_flight.end(_exceeded(refusal, gated))

    def ended(self, gated: GatedCall) -> None:
        """Let a call that has ended not be ended again. Called with the lock held."""
        in_flight = self._in_flight.pop(gated, None)
        if in_flight is not None:
            in_flight.is_over = True


def _exceeded(refusal: Refusal, gated: GatedCall) -> BudgetExceededError:
    """The error that a call in flight ends with."""
    trace_id = hex_trace_id(gated.trace_id) if gated.trace_id else None
    run_id = None if gated.place is None else gated.place.run_id
    return BudgetExceededError(refusal.facts(trace_id=trace_id, agent=gated.agent, run_id=run_id))
