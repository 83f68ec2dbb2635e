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
    span_id: str
    parent_span_id: str
    start_time_unix_nano: int | None

    @property
    def earliness(self) -> tuple[bool, int, str]:
        """Sorts the earliest span first, one without a start last."""
        start = self.start_time_unix_nano
        return start is None, start or 0, self.span_id


def cut_cycles(store: Store) -> None:
    """Make the table `cycle_tops`, and roots of its spans in the table `span_once`.

    A parent starts before its child, so the span of a cycle that starts first is its top.
    """
    store.execute(_load("create_cycle_tops"))
    tops: list[tuple[str, str]] = []
    links = map(_Link._make, store.rows(_load("links_that_may_cycle")))
    for trace_id, in_trace in groupby(links, lambda link: link.trace_id):
        by_span = {link.span_id: link for link in in_trace}
        tops += [(trace_id, _top(cycle)) for cycle in _cycles(by_span)]
    if tops:
        store.fill("cycle_tops", tops)
        store.execute(_load("cut_cycles"))


def _top(cycle: Sequence[_Link]) -> str:
    return min(cycle, key=lambda link: link.earliness).span_id


def _cycles(links: Mapping[str, _Link]) -> Iterator[Sequence[_Link]]:
    """Each cycle once; every link is walked once."""
    walked: set[str] = set()
    for start in links:
        path: dict[str, _Link] = {}
        span_id = start
        while span_id in links and span_id not in walked:
            walked.add(span_id)
            path[span_id] = links[span_id]
            span_id = links[span_id].parent_span_id
        if span_id in path:
            on_path = list(path)
            yield [path[each] for each in on_path[on_path.index(span_id) :]]
