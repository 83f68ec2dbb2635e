"""Where recorded calls belong, by what their spans and the gates' events tell of it."""

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import msgspec

from otelbudget.budgets.scopes import PROCESS, RUN, TRACE, Place, RunScope, look_up
from otelbudget.genai import semconv
from otelbudget.store import sql
from otelbudget.store.store import Store

_load = partial(sql.load, "otelbudget.audit")

_RUN_NAMES = (semconv.RUN_ID, semconv.TIER, semconv.OUTER_RUN_IDS, semconv.OUTER_TIERS)
_PROCESS_NAMES = (semconv.SERVICE_INSTANCE_ID, semconv.HOST_NAME, semconv.PROCESS_PID)
Told = Mapping[str, Any]


class _Span(NamedTuple):
    """A span that calls belong to.

    Attributes:
        trace_id: Its trace.
        start: Its start in unix ns, None where unknown.
        told: What it tells, None where nothing.
        above: The nearest span above it that tells something.
        resource: What its resource tells, by key.
    """

    trace_id: str
    start: int | None
    told: Told | None
    above: int | None
    resource: Mapping[str, str]


class RecordedPlaces:
    """Finds the places of recorded spans, and of what gates wrote on them.

    Args:
        store: A store on which `build_model_calls` has run.
        keys: The keys whose values are asked for.
        marked: Further spans that are asked about, by their place among the spans.
        is_timed: Also the first span of each trace is asked about.
    """

    def __init__(
        self,
        store: Store,
        keys: Sequence[str],
        marked: Sequence[int] = (),
        *,
        is_timed: bool = False,
    ) -> None:
        self._keys = [key for key in keys if key not in (TRACE, RUN)]
        self._spans: dict[int, _Span] = {}
        self._found: dict[int | str, Place] = {}
        self._known: dict[object, Place] = {}
        self._read(store, marked, is_timed=is_timed)

    def of(self, span_row: int, trace_id: str, event: Told | None = None) -> Place:
        """The place of a span, or of what an event on it tells of.

        Args:
            span_row: The span, by its place among the spans.
            trace_id: Its trace.
            event: Attributes of the event.
        """
        span = self._spans.get(span_row)
        place = self._of_trace(trace_id) if span is None else self._of_span(span_row, span)
        if event is None:
            return place
        return self._below(place, trace_id, event, place.resource)

    def starts(self) -> Mapping[Place, int]:
        """When the first span of each place started, in unix ns."""
        starts: dict[Place, int] = {}
        for row, span in self._spans.items():
            if span.start is not None:
                place = self._of_span(row, span)
                starts[place] = min(starts.get(place, span.start), span.start)
        return starts

    def _read(self, store: Store, marked: Sequence[int], *, is_timed: bool) -> None:
        names = [name for key in self._keys for name in _names(key)]
        asked = [*names, *_RUN_NAMES]
        resource = [*self._keys, *(_PROCESS_NAMES if PROCESS in self._keys else ())]
        store.execute(
            _load("create_telling_spans"),
            {"names": list(map(quoted, asked)), "paths": list(map(pointer, asked))},
        )
        (has_told,) = store.row(_load("are_there_telling_spans"))
        if not (has_told or self._keys or is_timed):
            return
        store.execute(_load("create_marked_spans"))
        store.fill("marked_spans", [(row,) for row in marked])
        store.execute(_load("create_placed_spans"), {"is_timed": is_timed})
        store.execute(_load("create_told_above"))
        paths = {"paths": list(map(pointer, resource))}
        known: dict[tuple[str | None, ...], Mapping[str, str]] = {}
        for row, trace_id, start, told, above, ambient in store.rows(
            _load("spans_to_place"), paths
        ):
            values = None if told is None else _told(asked, told)
            around = known.get(tuple(ambient))
            if around is None:
                around = known[tuple(ambient)] = self._ambient(_told(resource, ambient))
            self._spans[row] = _Span(trace_id, start, values, above, around)

    def _ambient(self, attributes: Told) -> Mapping[str, str]:
        told = {
            key: look_up(None, None, None, None, attributes[key])
            for key in self._keys
            if key in attributes and key != PROCESS
        }
        process = _process(attributes) if PROCESS in self._keys else None
        return told if process is None else {**told, PROCESS: process}

    def _of_trace(self, trace_id: str) -> Place:
        place = self._found.get(trace_id)
        if place is None:
            place = self._found[trace_id] = Place(trace_id)
        return place

    def _of_span(self, row: int, span: _Span) -> Place:
        """The place of a span: that of the nearest one above which tells something, and its own."""
        climbed: list[int] = []
        at: int | None = row
        while at is not None and at not in self._found:
            climbed.append(at)
            at = self._spans[at].above
        place = None if at is None else self._found[at]
        for each in reversed(climbed):
            own = self._spans[each]
            above = place or self._of_trace(own.trace_id)
            place = self._below(above, own.trace_id, own.told or {}, own.resource)
            self._found[each] = place
        return place or self._found[row]

    def _below(self, above: Place, trace_id: str, told: Told, resource: Mapping[str, str]) -> Place:
        if not told and resource == above.resource:
            return above
        runs, values = _runs(above, told), self._values(above, told)
        if runs == above.runs and values == above.values and resource == above.resource:
            return above
        key = trace_id, runs, tuple(values.items()), tuple(resource.items())
        place = self._known.get(key)
        if place is None:
            place = self._known[key] = Place(trace_id, runs, values, resource)
        return place

    def _values(self, above: Place, told: Told) -> Mapping[str, str]:
        values = above.values
        for key in self._keys:
            written_name, name = _names(key)
            written, own = told.get(written_name), told.get(name)
            if key == PROCESS:
                own = None
            if written is not None or own is not None:
                values = {**values, key: look_up(written, own, values.get(key), None, None)}
        return values


def _names(key: str) -> tuple[str, str]:
    """The attributes that tell the value of a key: what otelbudget writes, and the key itself."""
    return semconv.SCOPE_PREFIX + key, key


def _runs(above: Place, told: Told) -> tuple[RunScope, ...]:
    """The runs that are told of; else those of the nearest span that does."""
    run_id, tier = told.get(semconv.RUN_ID), told.get(semconv.TIER)
    tier = tier if isinstance(tier, str) else None
    runs = above.runs
    if not isinstance(run_id, str):
        is_new = tier is not None and runs[-1].tier is None
        return (*runs[:-1], runs[-1]._replace(tier=tier)) if is_new else runs
    if run_id == runs[-1].id and semconv.OUTER_RUN_IDS not in told:
        return (*runs[:-1], runs[-1]._replace(tier=tier or runs[-1].tier))
    ids, tiers = told.get(semconv.OUTER_RUN_IDS) or (), told.get(semconv.OUTER_TIERS) or ()
    outer = [
        RunScope(str(each), str(asked) or None, is_trace=str(each) == above.trace_id)
        for each, asked in zip(ids, tiers, strict=False)
    ]
    return (*outer, RunScope(run_id, tier))


def _process(resource: Told) -> str | None:
    """The process, as a resource names it that otelbudget wrote nothing of."""
    instance, host, pid = (resource.get(name) for name in _PROCESS_NAMES)
    if instance is None and pid is not None:
        parts = [look_up(None, None, None, None, each) for each in (host, pid) if each is not None]
        return "/".join(parts)
    return None if instance is None else look_up(None, None, None, None, instance)


def _told(names: Sequence[str], values: Sequence[str | None]) -> Told:
    return {
        name: _decoded(value)
        for name, value in zip(names, values, strict=True)
        if value is not None
    }


@lru_cache(maxsize=65_536)
def _decoded(text: str) -> Any:
    return msgspec.json.decode(text)


def quoted(name: str) -> str:
    """The attribute's name as it stands in JSON."""
    return msgspec.json.encode(name).decode()


def pointer(name: str) -> str:
    """The JSON pointer to an attribute."""
    return "/" + name.replace("~", "~0").replace("/", "~1")
