"""When a budget may go from audit to enforce: how many good runs it would stop, with confidence.

A budget is safe when at most 1 % of runs are good ones that it would stop, with 95 % confidence by the
exact one-sided bound of Clopper and Pearson, and when there were at least 300 runs to judge by.
"""

import math
from collections.abc import Iterator
from decimal import ROUND_UP, Decimal

import msgspec

from otelbudget.audit.alone import each_alone
from otelbudget.audit.happenings import Recording
from otelbudget.audit.judging import Verdicts
from otelbudget.audit.outcomes import Alone, Refused, Replay
from otelbudget.budgets.config import Budget, Budgets, LimitKind, Mode
from otelbudget.budgets.decisions import amount
from otelbudget.errors import display, unit

CONFIDENCE = 0.95
MOST_FALSE_STOPS = 0.01
LEAST_RUNS = 300
_BISECTIONS = 60
_NEGLIGIBLE = 1e-18
_SHOWN = Decimal("0.000001")


class Graduation(msgspec.Struct, frozen=True):
    """Whether enforcing a budget is safe.

    Attributes:
        budget: Its name.
        mode: Its mode today.
        runs_judged: Runs that it counts and of which it is known whether they were good.
        false_stops: Good ones of which enforcing it would refuse a call.
        upper_bound: Upper 95 % bound of their share, rounded up to six decimals; None without runs.
        is_safe: The bound is at most 1 %, and at least 300 runs were judged.
        runs_needed: How many more runs without a false stop would make it safe.
        sentence: The same for people, with what to do.
    """

    budget: str
    mode: Mode
    runs_judged: int
    false_stops: int
    upper_bound: Decimal | None
    is_safe: bool
    runs_needed: int
    sentence: str


def graduations(
    recording: Recording, budgets: Budgets, verdicts: Verdicts
) -> tuple[Graduation, ...]:
    """Whether enforcing is safe, for each budget by itself.

    Args:
        recording: What happened.
        budgets: The budgets, whatever their mode; those that are off are left out.
        verdicts: Which runs were good.
    """
    counted, alone = each_alone(recording, budgets)
    return tuple(
        _graduation(budget, alone[budget.name], counted, verdicts)
        for budget in budgets.budgets
        if budget.mode is not Mode.OFF
    )


def upper_bound(false_stops: int, runs: int) -> float:
    """The upper 95 % bound of a share, one-sided and exact, of Clopper and Pearson.

    Args:
        false_stops: How many of the runs.
        runs: How many runs, above 0.
    """
    if false_stops >= runs:
        return 1.0
    low, high = false_stops / runs, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if _is_unlikely(false_stops, runs, middle) else (middle, high)
    return high


def runs_needed(false_stops: int, runs: int) -> int:
    """How many more runs without a false stop make a budget safe; 0 where it is."""

    def is_safe(count: int) -> bool:
        return count >= LEAST_RUNS and _is_unlikely(false_stops, count, MOST_FALSE_STOPS)

    low, high = runs - 1, max(runs, LEAST_RUNS)
    while not is_safe(high):
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_safe(middle) else (middle, high)
    return high - runs


def _graduation(budget: Budget, alone: Alone, counted: Replay, verdicts: Verdicts) -> Graduation:
    judged = sum(run in verdicts for run in alone.runs)
    lost = frozenset(run for run in alone.runs_stopped if verdicts.get(run, False))
    needed = runs_needed(len(lost), judged)
    bound = Decimal(upper_bound(len(lost), judged)).quantize(_SHOWN, ROUND_UP) if judged else None
    raised: list[str] = []
    if lost and needed:
        refused = [each for each in alone.refused if each.run in lost]
        raised = list(_raised(budget, refused, counted))
    return Graduation(
        budget.name,
        budget.mode,
        judged,
        len(lost),
        bound,
        is_safe=not needed,
        runs_needed=needed,
        sentence=_sentence(budget, judged, len(lost), bound, needed, raised),
    )


def _raised(budget: Budget, refused: list[Refused], counted: Replay) -> Iterator[str]:
    """What the limits that stopped good runs would have to be for these."""
    usages = {
        (each.scope, each.window_start, each.kind): each
        for each in counted.usages
        if each.budget == budget.name
    }
    highest: dict[LimitKind, int] = {}
    for each in refused:
        found = usages.get((each.scope, each.window_start, each.kind))
        if found is not None and len(each.scope) == _width(budget):
            highest[each.kind] = max(highest.get(each.kind, 0), found.usage)
    for kind, needed in highest.items():
        limit = budget.limits[kind]
        if needed > limit:
            yield f"from {_shown(kind, limit)} to {_shown(kind, needed)} {unit(kind)}"


def _shown(kind: LimitKind, value: int) -> str:
    shown = amount(kind, value)
    return display(kind, shown) if kind is LimitKind.COST_USD else f"{shown:,f}"


def _width(budget: Budget) -> int:
    return 1 if budget.per is None else len(budget.per)


def _sentence(  # noqa: D417 - the numbers of a graduation
    budget: Budget,
    judged: int,
    lost: int,
    bound: Decimal | None,
    needed: int,
    raised: list[str],
) -> str:
    """What to do.

    Args:
        raised: From what to what the limits that stopped good runs would have to be raised.
    """
    if bound is None:
        return f"Nothing is known of budget {budget.name!r}: none of its runs can be judged."
    share = f"{(100 * bound).quantize(Decimal('0.001'), ROUND_UP).normalize():f} %"
    found = (
        f"of {_runs(judged, 'judged')} it would stop {lost:,} good {'one' if lost == 1 else 'ones'}, "
        f"at most {share} of all with 95 % confidence"
    )
    if not needed:
        return f"Budget {budget.name!r} is safe to enforce: {found}."
    wait = f"wait for {_runs(needed, 'more')} without a false stop"
    limits = "limit" if len(raised) == 1 else "limits"
    to_do = f"raise its {limits} {' and '.join(raised)}, or {wait}" if raised else wait
    return f"Budget {budget.name!r} is not yet safe to enforce: {found}; {to_do}."


def _runs(count: int, which: str) -> str:
    return f"{count:,} {which} {'run' if count == 1 else 'runs'}"


def _is_unlikely(successes: int, count: int, probability: float) -> bool:
    """Whether so few successes, or fewer, have a probability of at most 5 %."""
    if successes >= count * probability:  # the median is at the mean or next to it
        return False
    odds = math.log(probability), math.log1p(-probability)
    total = 0.0
    for each in range(successes, -1, -1):
        term = math.exp(
            math.lgamma(count + 1)
            - math.lgamma(each + 1)
            - math.lgamma(count - each + 1)
            + each * odds[0]
            + (count - each) * odds[1]
        )
        total += term
        if total > 1 - CONFIDENCE or term < total * _NEGLIGIBLE:
            break
    return total <= 1 - CONFIDENCE
