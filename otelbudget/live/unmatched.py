"""What budgets and calls do not agree about, such as keys and tiers with typing errors."""

from collections.abc import Sequence
from weakref import WeakSet

from otelbudget.budgets.config import Budget
from otelbudget.budgets.scopes import NONE, PROCESS, RUN, TRACE, Place
from otelbudget.live.emitter import Emitter


class Unmatched:
    """Warns of keys that calls have no value for, and of tiers that no budget is; once each.

    Args:
        budgets: The processor's.
        emitter: Tells the user.

    Attributes:
        tiers: Names of the budgets that are tiers.
    """

    def __init__(self, budgets: Sequence[Budget], emitter: Emitter) -> None:
        self._emitter = emitter
        _all.add(self)
        self.tiers = tuple(budget.name for budget in budgets if budget.per is None)
        self._unseen = {
            key: budget.name
            for budget in reversed(budgets)
            for key in (*(budget.per or ()), *budget.where)
            if key not in (TRACE, RUN, PROCESS)
        }

    def look(self, place: Place) -> None:
        """Look at where a call belongs."""
        tier = place.tier
        if tier is not None and all(tier not in each.tiers for each in list(_all)):
            self.tell_tier(place.runs[-1].id, tier)
        for key in list(self._unseen) if self._unseen else ():
            budget = self._unseen.pop(key, None)
            if budget is not None and place.value(key) == NONE:
                self._emitter.once(
                    f"key {key}",
                    "A call has no value for the key %r of budget %r, so it counts as %r there; "
                    "set it on a span around the call, in baggage or the resource, or with "
                    "otelbudget.run.",
                    key,
                    budget,
                    NONE,
                )

    def tell_tier(self, run_id: str, tier: str) -> None:
        """Warn that no budget is the tier that a run asks for."""
        self._emitter.once(
            f"tier {tier}",
            "Run %r asks for the tier %r, which no processor has, so no tier limits it; %s.",
            run_id,
            tier,
            f"known are {', '.join(map(repr, self.tiers))}"
            if self.tiers
            else "a tier is a budget without `per`",
        )


# Of several processors one may have the tier.
_all: WeakSet[Unmatched] = WeakSet()
