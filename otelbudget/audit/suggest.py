"""Which limits to set: per workflow, from what its runs needed.

The limits of a workflow let a wanted share of its runs through, by all kinds together, with 90 %
confidence. They are order statistics: no distribution is assumed, and where there are too few runs
there is no such limit and none is given. Runs that cannot tell what a run needs are left out and
counted; so are suspected runaways while they are few.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import NormalDist

import msgspec

from otelbudget.audit.quantiles import at_least, box, cuts, interval_ranks, runs_needed
from otelbudget.audit.runaways import Suspects, suspects
from otelbudget.audit.runs_of_workflows import (
    AGENT,
    DEFAULT_BY,
    KINDS,
    LeftOut,
    Runs,
    runs_of_workflows,
)
from otelbudget.audit.tiers import Tier, tiers
from otelbudget.budgets.config import LimitKind
from otelbudget.store.store import Store

DEFAULT_COVERS = 0.95
RUNAWAY = "suspected runaway"
_FITTED_SHARE = 0.7
_DRIFT_LEVEL = 0.05
_SHIFT_LEVEL = 0.001
_SIGNIFICANT_DIGITS = 3
_NORMAL = NormalDist()
Needs = Mapping[LimitKind, Sequence[int]]


class Suggested(msgspec.Struct, frozen=True):
    """A limit of one kind.

    Attributes:
        limit: Pico-USD for "cost_usd", ns for "seconds", else a count; on three digits, rounded up.
        interval: Where the wanted quantile of this kind alone lies, with 90 % confidence. Most limits
            lie at its upper end or above, as they let the wanted share through together; some inside.
    """

    limit: int
    interval: tuple[int, int]


class Holdout(msgspec.Struct, frozen=True):
    """What limits fitted on the earlier 70 % of the runs do to the later ones.

    Attributes:
        scopes: Later runs; 0 where the earlier ones were too few to fit.
        stopped: Later runs that needed more than one of the fitted limits.
        avoided_pusd: What they spent above the limit on cost.
        drift: "risen" or "fallen" where the later runs differ from the earlier ones by more than
            chance explains, else None.
    """

    scopes: int
    stopped: int
    avoided_pusd: int
    drift: str | None


class Suggestion(msgspec.Struct, frozen=True):
    """The limits for one workflow, or why there are none.

    Attributes:
        key: What the workflow is known by.
        eligible: Runs that were used.
        left_out: Runs that were not, by reason.
        under_limits: How many of all runs had a budget that could stop them.
        unused: How many more could have been used, but so many tell no more than fewer do.
        second_mode: How many runs lie as high as runaways, where they are too many to be some.
        why_not: Why there are no limits, None where there are some.
        limits: The limits by kind.
        covered: Used runs that need no more than the limits.
        missing: Runs that the kinds without a limit need, where they are too few for them.
        holdout: Check on the later runs.
        highest: The most that a run needed, by kind.
        tier: Name of the tier in the budgets file, None where there is no limit.
    """

    key: dict[str, str]
    eligible: int
    left_out: tuple[LeftOut, ...]
    under_limits: int = 0
    second_mode: int = 0
    unused: int = 0
    why_not: str | None = None
    limits: dict[LimitKind, Suggested] = {}
    covered: int = 0
    missing: dict[LimitKind, int] = {}
    holdout: Holdout | None = None
    highest: dict[LimitKind, int] = {}
    tier: str | None = None

    @property
    def name(self) -> str:
        """What people call it: the values of its key, but for those that are part of one before."""
        parts: list[str] = []
        for value in self.key.values():
            if value and not any(value in part for part in parts):
                parts.append(value)
        return ", ".join(parts) or "(unnamed)"


class Suggestions(msgspec.Struct, frozen=True):
    """What to set.

    Attributes:
        workflows: A suggestion each, the one with most runs first.
        tiers: Limits that workflows of similar need share, the lowest first; the members are places
            among `workflows`.
        covers: Share of its runs that a workflow's limits should let through.
    """

    workflows: tuple[Suggestion, ...]
    tiers: tuple[Tier, ...]
    covers: float

    @property
    def names(self) -> tuple[str, ...]:
        """What people call each workflow: its name, and its whole key where others have that name."""
        count = Counter(each.name for each in self.workflows)
        return tuple(
            each.name if count[each.name] == 1 else _whole_name(each) for each in self.workflows
        )


def suggest(  # noqa: PLR0913 - the choices of the command
    store: Store,
    *,
    covers: float = DEFAULT_COVERS,
    by: Sequence[str] = DEFAULT_BY,
    kinds: Sequence[LimitKind] = KINDS,
    tier_count: int | None = None,
    since: int | None = None,
    until: int | None = None,
) -> Suggestions:
    """Limits for the workflows of the store's traces.

    Args:
        store: A store on which `build_model_calls` has run.
        covers: Share of runs that limits should let through, above 0 and below 1.
        by: Keys that tell workflows apart.
        kinds: What to limit, the most wanted first: where runs are few, the last get no limit.
        tier_count: How many tiers at most, None for as many as similar needs make.
        since: Earliest start of a run, unix ns; None leaves that side open.
        until: Start of the runs that are too late; None leaves that side open.

    Raises:
        UnknownKeyError: A key of `by` means nothing.
    """
    found = [
        fitted(runs, covers, kinds)
        for runs in runs_of_workflows(store, by, since=since, until=until)
    ]
    found.sort(key=lambda each: (-each.eligible, *each.key.values()))
    return _with_tiers(found, covers, tier_count)


def _with_tiers(found: list[Suggestion], covers: float, count: int | None) -> Suggestions:
    limited = [place for place, each in enumerate(found) if each.limits]
    shared = tiers(
        [{kind: each.limit for kind, each in found[place].limits.items()} for place in limited],
        [_short_name(found[place]) for place in limited],
        count,
    )
    made = []
    for tier in shared:
        members = tuple(sorted(limited[member] for member in tier.members))
        made.append(msgspec.structs.replace(tier, members=members))
        for place in members:
            found[place] = msgspec.structs.replace(found[place], tier=tier.name)
    return Suggestions(tuple(found), tuple(made), covers)


def fitted(runs: Runs, covers: float, kinds: Sequence[LimitKind] = KINDS) -> Suggestion:
    """Limits for one workflow.

    Args:
        runs: Its runs.
        covers: Share of runs that limits should let through.
        kinds: What to limit, the most wanted first.
    """
    found = suspects(runs.needs)
    listed = set(found.listed)
    places = [place for place in range(len(runs.trace_ids)) if place not in listed]
    kept = _at(runs.needs, places)
    none = _without_limits(runs, found, kept)
    used = [kind for kind in kinds if any(kept[kind])]
    needed = [runs_needed(covers, number) for number in range(1, len(used) + 1)]
    affordable = [kind for kind, least in zip(used, needed, strict=True) if least <= len(places)]
    least = runs_needed(covers)
    if len(places) < least:
        return msgspec.structs.replace(none, why_not=f"{len(places):,} of {least:,} runs needed")
    if not affordable:
        return msgspec.structs.replace(none, why_not="its runs need nothing")
    whole = _at(runs.needs, sorted([*places, *found.doubtful]))
    limits = _limits(whole, covers, affordable)
    intervals = {kind: _interval(kept[kind], whole[kind], covers, found) for kind in limits}
    return msgspec.structs.replace(
        none,
        limits={kind: Suggested(limit, intervals[kind]) for kind, limit in limits.items()},
        covered=len(places) - len(_above(kept, limits, range(len(places)))),
        missing=dict(zip(used[len(affordable) :], needed[len(affordable) :], strict=True)),
        holdout=_holdout(whole, covers, affordable),
        why_not=None if limits else "nearly all of its runs need nothing",
    )


def rounded_up(amount: int) -> int:
    """An amount rounded up to three significant digits."""
    unit = int(10 ** max(len(str(amount)) - _SIGNIFICANT_DIGITS, 0))
    return -(-amount // unit) * unit


def _without_limits(runs: Runs, found: Suspects, kept: Needs) -> Suggestion:
    left_out = runs.left_out
    if found.listed:
        trace_ids = tuple(runs.trace_ids[place] for place in found.listed)
        left_out = (*left_out, LeftOut(RUNAWAY, len(trace_ids), trace_ids))
    return Suggestion(
        runs.key,
        len(runs.trace_ids) - len(found.listed),
        tuple(sorted(left_out, key=lambda part: part.reason)),
        runs.under_limits,
        found.second_mode,
        runs.unused,
        highest={kind: max(amounts, default=0) for kind, amounts in kept.items()},
    )


def _at(needs: Needs, places: Sequence[int]) -> dict[LimitKind, list[int]]:
    return {kind: [amounts[place] for place in places] for kind, amounts in needs.items()}


def _limits(needs: Needs, covers: float, kinds: Sequence[LimitKind]) -> dict[LimitKind, int]:
    """The limits that cover together; a kind that they would have at 0 has none."""
    columns = [needs[kind] for kind in kinds]
    highest = box(columns, cuts(len(columns[0]), covers))
    return {kind: rounded_up(amount) for kind, amount in zip(kinds, highest, strict=True) if amount}


def _above(needs: Needs, limits: Mapping[LimitKind, int], places: Sequence[int]) -> list[int]:
    """Those of some runs that need more than one of the limits."""
    return [place for place in places if any(needs[kind][place] > limits[kind] for kind in limits)]


def _interval(
    kept: Sequence[int], whole: Sequence[int], covers: float, found: Suspects
) -> tuple[int, int]:
    ranks = interval_ranks(len(kept), covers, doubtful=len(whole) - len(kept), hidden=found.hidden)
    lower, upper = ranks or (0, len(whole))
    return sorted(kept)[lower - 1] if lower else 0, sorted(whole)[upper - 1]


def _holdout(needs: Needs, covers: float, kinds: Sequence[LimitKind]) -> Holdout:
    """The check on the later runs; the runs are in order of time."""
    count = len(needs[kinds[0]])
    fitted_count = int(_FITTED_SHARE * count)
    affordable = [
        kind for number, kind in enumerate(kinds, 1) if runs_needed(covers, number) <= fitted_count
    ]
    if not affordable:
        return Holdout(0, 0, 0, None)
    limits = _limits(_at(needs, range(fitted_count)), covers, affordable)
    later = range(fitted_count, count)
    stopped = _above(needs, limits, later)
    cost_limit = limits.get(LimitKind.COST_USD)
    costs = needs[LimitKind.COST_USD]
    avoided = sum(max(costs[place] - (cost_limit or costs[place]), 0) for place in stopped)
    drift = _shift(needs[kinds[0]], fitted_count)
    if at_least(len(later), len(stopped), 1 - covers) < _DRIFT_LEVEL:
        drift = "risen"
    return Holdout(len(later), len(stopped), avoided, drift)


def _shift(amounts: Sequence[int], earlier: int) -> str | None:
    """Whether later amounts rank higher or lower than chance explains: the rank-sum test."""
    order = sorted(range(len(amounts)), key=amounts.__getitem__)
    later = len(amounts) - earlier
    total, ties, start = 0.0, 0, 0
    while start < len(order):
        end = start
        while end < len(order) and amounts[order[end]] == amounts[order[start]]:
            end += 1
        total += (start + end + 1) / 2 * sum(place >= earlier for place in order[start:end])
        ties += (end - start) ** 3 - (end - start)
        start = end
    count = len(amounts)
    variance = earlier * later / 12 * (count + 1 - ties / (count * (count - 1)))
    if variance <= 0:
        return None
    deviations = (total - later * (count + 1) / 2) / variance**0.5
    if 2 * _NORMAL.cdf(-abs(deviations)) >= _SHIFT_LEVEL:
        return None
    return "risen" if deviations > 0 else "fallen"


def _whole_name(suggestion: Suggestion) -> str:
    """The name, and the values of the key that are not in it as they are: "chat (agent writer)"."""
    name = suggestion.name
    rest = (
        f"{key} {value}" if value else f"no {key}"
        for key, value in suggestion.key.items()
        if value != name
    )
    aside = ", ".join(rest)
    return f"{name} ({aside})" if aside else name


def _short_name(suggestion: Suggestion) -> str:
    """What a tier for this workflow alone is called after: its agent, else the whole key."""
    return suggestion.key.get(AGENT) or " ".join(suggestion.key.values())
