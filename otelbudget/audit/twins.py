"""Spans of other branches and traces that tell of one call: found, and all but the best dropped."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from otelbudget.store import sql
from otelbudget.store.store import Store

_load = partial(sql.load, "otelbudget.audit")
_TOLERANCE_NS = 5_000_000


class Told(NamedTuple):
    """What one span, or one gate, tells of a call.

    Attributes:
        row: Its row in `counted_calls`.
        response_id: The provider's id of the response, None where not told.
        trace_id: Its trace.
        span_id: Its span.
        call_id: Id of the gated call it belongs to, None without one.
        is_gate: A gate tells it, from the response itself.
        scope_name: Instrumentation scope of the span.
        source: What tells it: scope and span name, "" for a gate.
        response_model: The model that answered, None where not told.
        input_tokens: All input.
        output_tokens: All output.
        detail: How many kinds of cached tokens it tells.
        start: Start in unix ns, None where unknown.
        end: End in unix ns, None where unknown.
    """

    row: int
    response_id: str | None
    trace_id: str
    span_id: str
    call_id: str | None
    is_gate: bool
    scope_name: str
    source: str
    response_model: str | None
    input_tokens: int
    output_tokens: int
    detail: int
    start: int | None
    end: int | None

    @property
    def tokens(self) -> tuple[int, int]:
        """Input and output."""
        return self.input_tokens, self.output_tokens

    @property
    def age(self) -> tuple[int, str, str, str]:
        """Sorts by start, then by ids."""
        return self.start or 0, self.trace_id, self.span_id, self.call_id or ""

    @property
    def merit(self) -> tuple[bool, int, int, str, str, str]:
        """Sorts the best teller first: a gate, then more detail, then the later start."""
        start, trace_id, span_id, call_id = self.age
        return not self.is_gate, -self.detail, -start, trace_id, span_id, call_id


def drop_twins(store: Store) -> None:
    """Leave one row of `counted_calls` for each call, however many spans tell of it."""
    told = [Told(*row) for row in store.rows(_load("calls_that_may_be_twins"))]
    if not told:
        return
    store.execute(_load("create_twin_rows"))
    store.fill("twin_rows", [(row,) for row in {*_by_usage(told), *_by_response_id(told)}])
    store.execute(_load("delete_twins"))


def _by_usage(told: Iterable[Told]) -> Iterator[int]:
    """Rows without a response id that tell what a gate of their trace tells.

    The same tokens, an end of the gated call within the span, and at most one span per scope for
    each gated call: the one that ends nearest.
    """
    gates: defaultdict[tuple[str, int, int], list[Told]] = defaultdict(list)
    for each in told:
        if each.is_gate:
            gates[each.trace_id, *each.tokens].append(each)
    nearest: dict[tuple[int, str], tuple[tuple[int, int, str], int]] = {}
    for each in told:
        if each.is_gate or each.response_id is not None or each.start is None or each.end is None:
            continue
        for gate in gates[each.trace_id, *each.tokens]:
            if gate.end is None or not _is_within(gate.end, each.start, each.end):
                continue
            if len({gate.response_model, each.response_model} - {None}) > 1:
                continue
            place = gate.row, each.scope_name
            found = (abs(each.end - gate.end), each.start, each.span_id), each.row
            nearest[place] = min(found, nearest.get(place, found))
    return (row for _, row in nearest.values())


def _is_within(moment: int, start: int, end: int) -> bool:
    return start - _TOLERANCE_NS <= moment <= end + _TOLERANCE_NS


def _by_response_id(told: Iterable[Told]) -> Iterator[int]:
    """Rows that have the response id of a better one.

    Some servers give every response one id. So rows of one id are several calls where they do not
    overlap in time, where one source tells of different tokens, and where one span is in several
    traces, which are copies of each other.
    """
    by_id: defaultdict[str, list[Told]] = defaultdict(list)
    for each in told:
        if each.response_id is not None:
            by_id[each.response_id].append(each)
    for same_id in by_id.values():
        same_id.sort(key=lambda each: each.age)
        copies = _copies(same_id)
        for period in _periods(same_id):
            period.sort(key=lambda each: each.merit)
            kept: set[tuple[int, int, int]] = set()
            for each in period:
                call = (*each.tokens, copies[each.row])
                if each.source != period[0].source or call in kept:
                    yield each.row
                kept.add(call)


def _copies(told: Iterable[Told]) -> dict[int, int]:
    """By row: the number, from 1, of its trace among those that hold the same span."""
    seen: Counter[tuple[str, str | None]] = Counter()
    copies: dict[int, int] = {}
    for each in sorted(told, key=lambda each: each.trace_id):
        seen[each.span_id, each.call_id] += 1
        copies[each.row] = seen[each.span_id, each.call_id]
    return copies


def _periods(told: Sequence[Told]) -> Iterator[list[Told]]:
    """Runs of rows that overlap in time, or touch; `told` is sorted by start."""
    period: list[Told] = []
    latest = 0
    for each in told:
        start = each.start or 0
        if period and start > latest:
            yield period
            period = []
        latest = max(latest, start, each.end or 0)
        period.append(each)
    if period:
        yield period
