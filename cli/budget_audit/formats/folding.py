"""A tree of spans as rows: what repeats side by side becomes one row that says how often."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from otelbudget.audit.trace import Node

_LEAST_REPEATS = 3
_LONGEST_BLOCK = 4
_DEEPEST = 10
_FOLD_FROM = 30
_LONG = 60


class Row(NamedTuple):
    """One row, for one node or for several alike.

    Attributes:
        guide: The lines of the tree before its name.
        nodes: What it stands for, in order.
    """

    guide: str
    nodes: Sequence[Node]


def folded(nodes: Sequence[Node], mark: int | None = None) -> Sequence[Row]:
    """The rows of a tree, parents before their children; short trees stay as they are.

    Where many rows are left, siblings that look alike share a row also when others lie between.

    Args:
        nodes: The nodes, parents before their children.
        mark: Place of a node that stays on a row of its own, and divides what lies beside it.
    """
    if len(nodes) <= _FOLD_FROM:
        return list(_Folding(nodes, mark, least=len(nodes) + 1).rows())
    rows = list(_Folding(nodes, mark, least=_LEAST_REPEATS).rows())
    if len(rows) <= _LONG:
        return rows
    return list(_Folding(nodes, mark, least=1).rows())


class _Folding:
    """Folds a tree; with `least` 1, siblings that look alike wherever they stand."""

    def __init__(self, nodes: Sequence[Node], mark: int | None, *, least: int) -> None:
        self._nodes, self._least = nodes, least
        self._marked: set[int] = set()
        at = mark
        while at is not None:
            self._marked.add(at)
            at = nodes[at].parent
        self._below: dict[int | None, list[int]] = defaultdict(list)
        for place, node in enumerate(nodes):
            self._below[node.parent].append(place)
        self._shapes = [0] * len(nodes)
        self._give_shapes()

    def rows(self) -> Iterator[Row]:
        tops = self._positions(self._below[None])
        waiting = _guided(tops, "", is_top=len(tops) == 1)
        while waiting:
            guide, inner, places, depth = waiting.pop()
            yield Row(guide, [self._nodes[place] for place in places])
            members = [
                self._positions(self._below[place]) for place in places if place in self._below
            ]
            merged = [[*chain.from_iterable(same)] for same in zip(*members, strict=True)]
            waiting += _guided(merged, inner, depth=depth + 1)

    def _give_shapes(self) -> None:
        """Give nodes that look alike, with all below them, the same number."""
        numbers: dict[tuple[object, ...], int] = {}
        for place in range(len(self._nodes) - 1, -1, -1):
            node = self._nodes[place]
            below = self._positions(self._below.get(place, []))
            looks = (
                node.name,
                node.kind,
                node.call.model if node.call else None,
                node.not_counted,
                node.is_error,
                place in self._marked,
                tuple(self._shapes[group[0]] for group in below),
            )
            self._shapes[place] = numbers.setdefault(looks, len(numbers))

    def _positions(self, places: Sequence[int]) -> list[list[int]]:
        """Siblings in order, those that share a row together."""
        if self._least == 1:
            return self._alike(places)
        found: list[list[int]] = []
        looks = [self._shapes[place] for place in places]
        at = 0
        while at < len(places):
            size, repeats = _block(looks, at, self._least)
            found += [
                [places[at + turn * size + inside] for turn in range(repeats)]
                for inside in range(size)
            ]
            at += size * repeats
        return found

    def _alike(self, places: Sequence[int]) -> list[list[int]]:
        """Siblings of one look together; those before what is marked apart from those after it."""
        found: dict[tuple[int, int], list[int]] = {}
        part = 0
        for place in places:
            part += place in self._marked
            found.setdefault((part, self._shapes[place]), []).append(place)
            part += place in self._marked
        return [*found.values()]


def _guided(
    groups: Sequence[list[int]], prefix: str, *, depth: int = 0, is_top: bool = False
) -> list[tuple[str, str, list[int], int]]:
    """The groups with the lines before them, and before what is below them; the last one first."""
    guided = []
    for number, group in enumerate(groups):
        is_last = number == len(groups) - 1
        if is_top:
            guide, inner = "", ""
        elif depth > _DEEPEST:
            guide = inner = f"{prefix.rstrip('… ')}…"
        else:
            guide, inner = (
                prefix + ("└ " if is_last else "├ "),
                prefix + ("  " if is_last else "│ "),
            )
        guided.append((guide, inner, group, depth))
    return guided[::-1]


def _block(looks: Sequence[int], at: int, least: int) -> tuple[int, int]:
    """How long the block is that begins here, and how often it repeats."""
    best = 1, 1
    for size in range(1, _LONGEST_BLOCK + 1):
        block, repeats = looks[at : at + size], 1
        while looks[at + repeats * size : at + (repeats + 1) * size] == block:
            repeats += 1
        if repeats >= least and repeats * size > best[0] * best[1]:
            best = size, repeats
    return best
