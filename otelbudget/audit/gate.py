"""What recorded runs used beyond their budgets."""

from math import inf

import msgspec

from otelbudget.audit.happenings import Recording
from otelbudget.audit.outcomes import Replay, Usage
from otelbudget.audit.replay import audited
from otelbudget.budgets.config import Budgets, Mode


class Violation(msgspec.Struct, frozen=True):
    """A limit that a scope has passed, or that refuses a call of it.

    Attributes:
        usage: What was used of what, as it was recorded.
        calls_denied: Model calls and calls of tools that the limit would have refused.
    """

    usage: Usage
    calls_denied: int


def violations(recording: Recording, budgets: Budgets, result: Replay) -> tuple[Violation, ...]:
    """The limits that recorded runs passed, or by which a call would have been refused.

    Args:
        recording: What happened.
        budgets: The budgets.
        result: What a replay of them gave.

    Returns:
        One for each limit, scope and window, in the order of the budgets; of a budget those first
        that used the most of their limit.
    """
    counted, _ = audited(recording, budgets)
    modes = {budget.name: budget.mode for budget in budgets.budgets}
    found = []
    for usage in counted.usages:
        key = usage.budget, usage.scope, usage.window_start, usage.kind
        denied = result.denials.get(key, 0)
        if usage.usage > usage.limit or denied:
            is_enforcing = modes[usage.budget] is Mode.ENFORCE
            found.append(
                Violation(msgspec.structs.replace(usage, is_enforcing=is_enforcing), denied)
            )
    places = {budget.name: place for place, budget in enumerate(budgets.budgets)}
    found.sort(key=lambda each: (places[each.usage.budget], -_utilization(each.usage)))
    return tuple(found)


def _utilization(usage: Usage) -> float:
    return usage.usage / usage.limit if usage.limit else inf
