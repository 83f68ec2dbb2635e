"""Parents that go round in a circle: found, and cut at the earliest span."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import NamedTuple

from otelbudget.store import sql
from otelbudget.store.store import Store

_load = partial(sql.load, "otelbudget.audit")


class _Link(NamedTuple):
    trace_id: str
    span_row: int
    parent_row: int
    start_time_unix_nano: int | None
    span_id: str

    @property
    def earliness(self) -> tuple[bool, int, str]:
        """Sorts the earliest span first, one without a start last."""
        start = self.start_time_unix_nano
        return start is None, start or 0, self.span_id


def cut_cycles(store: Store) -> None:
    """Make the table `cycle_tops`, and roots of its spans in the table `span_links`.

    A parent starts before its child, so the span of a cycle that starts first is its top.
    """
    store.execute(_load("create_cycle_tops"))
    (may_cycle,) = store.row(_load("may_cycle"))
    if not may_cycle:
        return
    tops: list[tuple[int]] = []
    links = map(_Link._make, store.rows(_load("links_that_may_cycle")))
    for _, in_trace in groupby(links, lambda link: link.trace_id):
        by_span = {link.span_row: link for link in in_trace}
        tops += [(_top(cycle),) for cycle in _cycles(by_span)]
    if tops:
        store.fill("cycle_tops", tops)
        store.execute(_load("cut_cycles"))


def _top(cycle: Sequence[_Link]) -> int:
    return min(cycle, key=lambda link: link.earliness).span_row


def _cycles(links: Mapping[int, _Link]) -> Iterator[Sequence[_Link]]:
    """Each cycle once; every link is walked once."""
    walked: set[int] = set()
    for start in links:
        path: dict[int, _Link] = {}
        row = start
        while row in links and row not in walked:
            walked.add(row)
            path[row] = links[row]
            row = links[row].parent_row
        if row in path:
            on_path = list(path)
            yield [path[each] for each in on_path[on_path.index(row) :]]
