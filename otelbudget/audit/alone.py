"""What each of several budgets would have refused by itself, in one pass where that is possible.

A budget without feedback refuses by itself what it would refuse once usage is at its limit, whatever
was let through since: one pass in which nothing is refused tells it of all such budgets. Every other
budget is replayed by itself.
"""

from collections.abc import Mapping

from otelbudget.audit.happenings import Fate, Recording
from otelbudget.audit.outcomes import Alone, Replay
from otelbudget.audit.replay import audited, replay
from otelbudget.budgets.config import Budget, Budgets, LimitKind, Mode
from otelbudget.budgets.scopes import RUN
from otelbudget.budgets.windows import RollingWindow


def has_feedback(recording: Recording, budget: Budget) -> bool:
    """Whether what a budget refuses by itself depends on what it has refused before."""
    kinds = budget.limits.keys()
    if (
        budget.reserve
        or budget.grace
        or budget.shares
        or budget.tool_limits
        or LimitKind.TOOL_CALLS in kinds
        or isinstance(budget.window, RollingWindow)
        or recording.extensions
    ):
        return True
    has_several_scopes = budget.per is None or RUN in budget.per
    spares = LimitKind.COST_USD in kinds and len(kinds) > 1
    return any(
        (call.fate is Fate.RELEASED and LimitKind.CALLS in kinds)
        or (spares and call.is_free)
        or (has_several_scopes and call.place is not None and len(call.place.runs) > 1)
        for call in recording.calls
    )


def each_alone(recording: Recording, budgets: Budgets) -> tuple[Replay, Mapping[str, Alone]]:
    """What each budget that is not off would refuse by itself, if it enforced.

    Returns:
        What was counted where nothing is refused, and what each budget would have done, by name.
    """
    counted, alone = audited(recording, budgets)
    found = dict(alone)
    for budget in budgets.budgets:
        if budget.name in alone and has_feedback(recording, budget):
            enforced = Budgets((budget.with_mode(Mode.ENFORCE),), budgets.unknown_model)
            result = replay(recording, enforced)
            found[budget.name] = Alone(set(result.runs), set(result.refused))
    return counted, found
