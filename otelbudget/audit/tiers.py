"""Tiers: workflows of similar need share limits, and a run asks for the tier of its workflow."""

import math
from collections.abc import Mapping, Sequence

import msgspec

from otelbudget.budgets.config import LimitKind

SIMILAR = 2.0
_WIDEST = 1e30
_HALVINGS = 60
_MOST_NAME = 80
Limits = Mapping[LimitKind, int]


class Tier(msgspec.Struct, frozen=True):
    """Limits that several workflows share.

    Attributes:
        name: Its name in a budgets file.
        limits: The highest of its workflows, of the kinds that all of them have.
        members: Its workflows, by their place in what was given.
    """

    name: str
    limits: dict[LimitKind, int]
    members: tuple[int, ...]


def tiers(
    needs: Sequence[Limits], names: Sequence[str], count: int | None = None
) -> tuple[Tier, ...]:
    """Tiers for workflows, the lowest first.

    Args:
        needs: Limits of each workflow, at least one each.
        names: What a tier for one workflow alone is called after.
        count: How many tiers at most; workflows that have no kind in common stay apart all the
            same. None for as many as it takes that all workflows of a tier have the same kinds and
            none is given more than twice what it needs itself.
    """
    order = sorted(range(len(needs)), key=lambda place: (_need(needs[place]), place))
    if count is None:
        groups = _grouped(needs, order, SIMILAR, have_same_kinds=True)
    else:
        groups = _at_most(needs, order, count)
    taken: set[str] = set()
    made = []
    for number, members in enumerate(groups, 1):
        name = names[members[0]] if len(members) == 1 else f"tier {number}"
        limits = {
            kind: max(needs[each][kind] for each in members) for kind in _common(needs, members)
        }
        made.append(Tier(_free_name(name, taken), limits, tuple(members)))
    return tuple(made)


def _need(limits: Limits) -> tuple[int, ...]:
    return tuple(limits.get(kind, 0) for kind in LimitKind)


def _at_most(needs: Sequence[Limits], order: Sequence[int], count: int) -> list[list[int]]:
    """So many groups, within which the limits differ as little as they can."""
    low, high = 0.0, math.log(_WIDEST)
    groups = _grouped(needs, order, _WIDEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        tried = _grouped(needs, order, math.exp(middle))
        if len(tried) <= count:
            groups, high = tried, middle
        else:
            low = middle
    return groups


def _grouped(
    needs: Sequence[Limits], order: Sequence[int], factor: float, *, have_same_kinds: bool = False
) -> list[list[int]]:
    """Neighbours in groups, within which no limit is more than so many times another of its kind."""
    groups: list[list[int]] = []
    lowest: dict[LimitKind, int] = {}
    highest: dict[LimitKind, int] = {}
    for place in order:
        own = needs[place]
        common = own.keys() & highest.keys()
        lower = {kind: min(own[kind], lowest[kind]) for kind in common}
        higher = {kind: max(own[kind], highest[kind]) for kind in common}
        is_alike = common and not (have_same_kinds and own.keys() ^ highest.keys())
        if is_alike and all(higher[kind] <= factor * lower[kind] for kind in common):
            groups[-1].append(place)
            lowest, highest = lower, higher
        else:
            groups.append([place])
            lowest, highest = dict(own), dict(own)
    return groups


def _common(needs: Sequence[Limits], members: Sequence[int]) -> list[LimitKind]:
    return [kind for kind in LimitKind if all(kind in needs[each] for each in members)]


def _free_name(text: str, taken: set[str]) -> str:
    """A name that is unlike those taken: lower case, words joined by underscores."""
    words = "".join(char if char.isalnum() else " " for char in text.lower()).split()
    name = base = "_".join(words)[:_MOST_NAME] or "workflow"
    number = 2
    while name in taken:
        name = f"{base}_{number}"
        number += 1
    taken.add(name)
    return name
