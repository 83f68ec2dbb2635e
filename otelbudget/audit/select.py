"""Which of the store's model calls are asked about: a period, and what they belong to."""

from collections.abc import Iterable
from functools import partial
from typing import Any

import msgspec

from otelbudget.audit.places import RecordedPlaces
from otelbudget.budgets.scopes import Place
from otelbudget.store import sql
from otelbudget.store.store import Store

_load = partial(sql.load, "otelbudget.audit")
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_EARLIEST, _LATEST = -(2**63), 2**63 - 1


def keep_calls(store: Store, since: int | None, until: int | None) -> None:
    """Keep the calls that start in [since, until), unix ns; None leaves that side open."""
    _keep_period(store, "keep_calls_inside", since, until)


def keep_scopes(store: Store, since: int | None, until: int | None) -> None:
    """Keep the traces whose first call starts in [since, until), unix ns, whole."""
    _keep_period(store, "keep_scopes_inside", since, until)


def keep_where(store: Store, conditions: Iterable[tuple[str, str]]) -> None:
    """Keep the calls that belong to a value of each of some keys.

    The value is what otelbudget wrote of the call or on its span, else the span's attribute, else
    the nearest ancestor's, else the resource's, else "(none)"; "trace", "run" and "process" are
    what they are in a budgets file.

    Args:
        store: A store on which `build_model_calls` has run.
        conditions: Keys, such as "tenant.id", and their values as text.
    """
    wanted = list(conditions)
    if not wanted:
        return
    places = RecordedPlaces(store, tuple(dict.fromkeys(key for key, _ in wanted)))
    kept = [
        (call_row,)
        for call_row, span_row, trace_id, told in store.rows(_load("calls_to_place"))
        if is_in(places.of(span_row, trace_id, None if told is None else _decode(told)), wanted)
    ]
    store.execute(_load("create_kept_calls"))
    store.fill("kept_calls", kept)
    _narrow(store)


def is_in(place: Place, wanted: Iterable[tuple[str, str]]) -> bool:
    """Whether a place belongs to a value of each of some keys."""
    return all(place.value(key) == value for key, value in wanted)


def _keep_period(store: Store, statement: str, since: int | None, until: int | None) -> None:
    if since is not None or until is not None:
        bounds = {
            "since": _EARLIEST if since is None else since,
            "until": _LATEST if until is None else until,
        }
        store.execute(_load(statement), bounds)
        _narrow(store)


def _narrow(store: Store) -> None:
    """Let all that is asked from now on be about the kept calls."""
    store.execute(_load("narrow_model_calls"))
    store.execute(_load("narrow_trace_roots"))
    store.is_narrowed = True
