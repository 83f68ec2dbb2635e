"""Spans of other branches and traces that tell of one call: found, and all but the best dropped."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from functools import partial
from typing import NamedTuple

from otelbudget.genai import counting, semconv
from otelbudget.store import sql
from otelbudget.store.store import Store

_load = partial(sql.load, "otelbudget.audit")


class Told(NamedTuple):
    """What one span, or one gate, tells of a call; a `counting.Teller`.

    Attributes:
        row: Its `call_row` in `counted_calls`.
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


def drop_twins(store: Store, *, any_without_id: bool) -> None:
    """Leave one row of `counted_calls` for each call, however many spans tell of it.

    Args:
        store: A store on which `counted_calls` has been made.
        any_without_id: Whether any call tells no response id.
    """
    store.execute(_load("create_twin_rows"))
    bounds = {"any_without_id": any_without_id}
    told = [Told(*row) for row in store.rows(_load("calls_that_may_be_twins"), bounds)]
    _drop(store, {*_by_usage(told), *_by_response_id(told)})
    if any_without_id:
        inputs = {"function_id": f'$."{semconv.FUNCTION_ID}"', "tolerance": counting.TOLERANCE_NS}
        _drop(store, {row for (row,) in store.rows(_load("twins_by_function"), inputs)})


def _drop(store: Store, rows: Collection[int]) -> None:
    if rows:
        store.fill("memory.building.twin_rows", [(row,) for row in rows])
        store.execute(_load("delete_twins"))


def _by_usage(told: Iterable[Told]) -> Iterator[int]:
    """Rows without a response id that tell what another one of their trace tells."""
    same: defaultdict[tuple[str, int, int], list[Told]] = defaultdict(list)
    for each in told:
        same[each.trace_id, *each.tokens].append(each)
    return (each.row for tellers in same.values() for each in counting.repeats_by_usage(tellers))


def _by_response_id(told: Iterable[Told]) -> Iterator[int]:
    """Rows that have the response id of a better one; a copy of a trace is a call of its own."""
    by_id: defaultdict[str, list[Told]] = defaultdict(list)
    for each in told:
        if each.response_id is not None:
            by_id[each.response_id].append(each)
    for same_id in by_id.values():
        copies = _copies(same_id)
        for period in counting.periods(sorted(same_id, key=counting.age)):
            yield from (each.row for each in counting.repeats(period, copies))


def _copies(told: Iterable[Told]) -> dict[int, int]:
    """By `id`: the number, from 1, of a teller's trace among those that hold the same span."""
    seen: Counter[tuple[str, str | None]] = Counter()
    copies: dict[int, int] = {}
    for each in sorted(told, key=lambda each: each.trace_id):
        seen[each.span_id, each.call_id] += 1
        copies[id(each)] = seen[each.span_id, each.call_id]
    return copies
