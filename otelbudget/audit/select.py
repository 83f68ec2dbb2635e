"""Which of the store's model calls are asked about: a period, and what they belong to."""

from collections.abc import Iterable
from functools import partial

from otelbudget.genai import semconv
from otelbudget.store import sql
from otelbudget.store.store import Store

_load = partial(sql.load, "otelbudget.audit")
_EARLIEST, _LATEST = -(2**63), 2**63 - 1


def keep_calls(store: Store, since: int | None, until: int | None) -> None:
    """Keep the calls that start in [since, until), unix ns; None leaves that side open."""
    _keep_period(store, "delete_calls_outside", since, until)


def keep_scopes(store: Store, since: int | None, until: int | None) -> None:
    """Keep the traces whose first call starts in [since, until), unix ns, whole."""
    _keep_period(store, "delete_scopes_outside", since, until)


def keep_where(store: Store, conditions: Iterable[tuple[str, str]]) -> None:
    """Keep the calls that belong to a value of each of some keys.

    The value is what otelbudget wrote on the call's span, else the span's attribute, else the
    nearest ancestor's, else the resource's, else "(none)".

    Args:
        store: A store on which `build_model_calls` has run.
        conditions: Attributes, such as "tenant.id", without double quotes, and their values as
            text.
    """
    for key, value in conditions:
        paths = {"written": f'$."{semconv.SCOPE_PREFIX}{key}"', "attribute": f'$."{key}"'}
        store.execute(_load("create_scope_values"), paths)
        store.execute(_load("delete_calls_elsewhere"), {"value": value})
        store.execute(_load("delete_traces_without_calls"))


def _keep_period(store: Store, statement: str, since: int | None, until: int | None) -> None:
    if since is not None or until is not None:
        bounds = {
            "since": _EARLIEST if since is None else since,
            "until": _LATEST if until is None else until,
        }
        store.execute(_load(statement), bounds)
        store.execute(_load("delete_traces_without_calls"))
