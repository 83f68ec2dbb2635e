"""Which limits to set: a limit per workflow, from what its runs needed.

A limit is a bound that covers a wanted share of a workflow's runs with 90 % confidence, by order
statistics: no distribution is assumed, and where there are too few runs there is no such bound and
none is given. Runs that cannot tell what a run needs are left out and counted; so are suspected
runaways while they are few.
"""

import math
from collections.abc import Sequence
from functools import partial
from itertools import groupby
from statistics import median
from typing import NamedTuple

import msgspec

from otelbudget.store import sql
from otelbudget.store.store import Store

_load = partial(sql.load, "otelbudget.audit")

CONFIDENCE = 0.9
DEFAULT_COVERS = 0.95
RUNAWAY = "suspected runaway"
_RUNAWAY_DEVIATIONS = 3.5
_NORMAL_PER_MAD = 1.4826
_LEAST_SPREAD = 0.1
_MOST_RUNAWAYS = 0.1
_FITTED_SHARE = 0.7
_DRIFT_LEVEL = 0.05
_SIGNIFICANT_DIGITS = 3


class Run(NamedTuple):
    """What one run of a workflow spent.

    Attributes:
        trace_id: Its trace.
        start_time_unix_nano: Its start.
        list_cost_pusd: What its calls cost.
    """

    trace_id: str
    start_time_unix_nano: int
    list_cost_pusd: int


class LeftOut(msgspec.Struct, frozen=True):
    """Runs that were not used.

    Attributes:
        reason: Why.
        trace_ids: Which.
    """

    reason: str
    trace_ids: tuple[str, ...]


class Holdout(msgspec.Struct, frozen=True):
    """What a limit fitted on the earlier 70 % of the runs does to the later ones.

    Attributes:
        scopes: Later runs; 0 where the earlier ones were too few to fit.
        stopped: Later runs that needed more than the fitted limit.
        avoided_pusd: What they spent above it.
        has_drifted: Whether that is more than chance explains.
    """

    scopes: int
    stopped: int
    avoided_pusd: int
    has_drifted: bool


class Suggestion(msgspec.Struct, frozen=True):
    """A limit for one workflow, or why there is none.

    Attributes:
        workflow: Name of the root span.
        agent: Agent that the root span names, "" where none.
        tier: Name of the tier in the budgets file, None where there is no limit.
        eligible: Runs that were used.
        left_out: Runs that were not, by reason.
        why_not: Why there is no limit, None where there is one.
        limit_pusd: The limit, None where there is none.
        interval_pusd: Interval of the wanted quantile at 90 % confidence.
        holdout: Check on the later runs.
        highest_pusd: The dearest run that was used, None without runs.
    """

    workflow: str
    agent: str
    tier: str | None
    eligible: int
    left_out: tuple[LeftOut, ...]
    why_not: str | None = None
    limit_pusd: int | None = None
    interval_pusd: tuple[int, int] | None = None
    holdout: Holdout | None = None
    highest_pusd: int | None = None


def suggest(store: Store, *, covers: float = DEFAULT_COVERS) -> tuple[Suggestion, ...]:
    """A limit per workflow of the store's traces, the workflow with most runs first.

    Args:
        store: A store on which `build_model_calls` has run.
        covers: Share of runs that a limit should let through, above 0 and below 1.
    """
    suggestions: list[Suggestion] = []
    taken: set[str] = set()
    for (workflow, agent), rows in groupby(store.rows(_load("runs")), lambda row: row[:2]):
        runs: list[Run] = []
        left_out: dict[str, list[str]] = {}
        for _, _, trace_id, start, cost, reason in rows:
            if reason is None:
                runs.append(Run(trace_id, start, cost))
            else:
                left_out.setdefault(reason, []).append(trace_id)
        kept, runaways = split_runaways(runs)
        if runaways:
            left_out[RUNAWAY] = [run.trace_id for run in runaways]
        parts = tuple(LeftOut(reason, tuple(ids)) for reason, ids in sorted(left_out.items()))
        suggestion = _suggestion(workflow, agent, kept, parts, covers)
        if suggestion.limit_pusd is not None:
            tier = _tier_name(agent or workflow, taken)
            suggestion = msgspec.structs.replace(suggestion, tier=tier)
        suggestions.append(suggestion)
    return tuple(sorted(suggestions, key=lambda each: (-each.eligible, each.workflow, each.agent)))


def runs_needed(covers: float) -> int:
    """How many runs a bound on the wanted share needs at least."""
    return math.ceil(math.log(1 - CONFIDENCE) / math.log(covers))


def upper_rank(count: int, covers: float, confidence: float = CONFIDENCE) -> int | None:
    """Rank, from 1, of the smallest value that bounds the wanted share; None where none does.

    The value of rank r bounds the quantile q with the probability that fewer than r of `count`
    values lie below the quantile, which is binomial.
    """
    below = 0.0
    for rank in range(1, count + 1):
        below += _binomial(count, rank - 1, covers)
        if below >= confidence:
            return rank
    return None


def interval_ranks(count: int, covers: float) -> tuple[int, int] | None:
    """Ranks, from 1, between which the quantile lies with 90 % confidence; a lower rank 0 is 0."""
    upper = upper_rank(count, covers, (1 + CONFIDENCE) / 2) or upper_rank(count, covers)
    if upper is None:
        return None
    inside = 0.0
    for lower in range(upper - 1, -1, -1):
        inside += _binomial(count, lower, covers)
        if inside >= CONFIDENCE:
            return lower, upper
    return 0, upper


def split_runaways(runs: Sequence[Run]) -> tuple[list[Run], list[Run]]:
    """Runs to fit on, and those so far above the others that they look like runaways.

    A runaway's logarithm lies more than 3.5 robust standard deviations above the median. Where more
    than a tenth of the runs do, they are a second mode of the workflow and kept.
    """
    logs = [math.log(run.list_cost_pusd) for run in runs if run.list_cost_pusd > 0]
    if not logs:
        return list(runs), []
    middle = median(logs)
    spread = max(_NORMAL_PER_MAD * median(abs(log - middle) for log in logs), _LEAST_SPREAD)
    highest = math.exp(middle + _RUNAWAY_DEVIATIONS * spread)
    runaways = [run for run in runs if run.list_cost_pusd > highest]
    if len(runaways) > _MOST_RUNAWAYS * len(runs):
        return list(runs), []
    return [run for run in runs if run.list_cost_pusd <= highest], runaways


def rounded_up(amount_pusd: int) -> int:
    """An amount rounded up to three significant digits."""
    unit = int(10 ** max(len(str(amount_pusd)) - _SIGNIFICANT_DIGITS, 0))
    return -(-amount_pusd // unit) * unit


def _suggestion(
    workflow: str, agent: str, runs: list[Run], left_out: tuple[LeftOut, ...], covers: float
) -> Suggestion:
    costs = sorted(run.list_cost_pusd for run in runs)
    none = Suggestion(
        workflow, agent, None, len(runs), left_out, highest_pusd=costs[-1] if costs else None
    )
    ranks = interval_ranks(len(costs), covers)
    rank = upper_rank(len(costs), covers)
    if ranks is None or rank is None:
        needed = runs_needed(covers)
        known = "1 run" if len(costs) == 1 else f"{len(costs):,} runs"
        return msgspec.structs.replace(none, why_not=f"{known}, {needed:,} needed")
    if not costs[rank - 1]:
        return msgspec.structs.replace(none, why_not="its runs are free")
    lower, upper = ranks
    return msgspec.structs.replace(
        none,
        limit_pusd=rounded_up(costs[rank - 1]),
        interval_pusd=(costs[lower - 1] if lower else 0, costs[upper - 1]),
        holdout=_holdout(runs, covers),
    )


def _holdout(runs: Sequence[Run], covers: float) -> Holdout:
    in_time = sorted(runs, key=lambda run: (run.start_time_unix_nano, run.trace_id))
    fitted = int(_FITTED_SHARE * len(in_time))
    costs = sorted(run.list_cost_pusd for run in in_time[:fitted])
    rank = upper_rank(fitted, covers)
    if rank is None:
        return Holdout(0, 0, 0, has_drifted=False)
    limit = rounded_up(costs[rank - 1])
    later = in_time[fitted:]
    over = [run.list_cost_pusd - limit for run in later if run.list_cost_pusd > limit]
    chance = sum(_binomial(len(later), k, 1 - covers) for k in range(len(over), len(later) + 1))
    return Holdout(len(later), len(over), sum(over), has_drifted=chance < _DRIFT_LEVEL)


def _binomial(count: int, successes: int, probability: float) -> float:
    log = (
        math.lgamma(count + 1)
        - math.lgamma(successes + 1)
        - math.lgamma(count - successes + 1)
        + successes * math.log(probability)
        + (count - successes) * math.log1p(-probability)
    )
    return math.exp(log)


def _tier_name(text: str, taken: set[str]) -> str:
    """A name for a tier that is unlike those taken: lower case, words joined by underscores."""
    words = "".join(char if char.isalnum() else " " for char in text.lower()).split()
    name = base = "_".join(words)[:80] or "workflow"
    number = 2
    while name in taken:
        name = f"{base}_{number}"
        number += 1
    taken.add(name)
    return name
