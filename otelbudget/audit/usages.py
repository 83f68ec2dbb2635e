"""What was known before each call and what scopes used, kept so that any limits can be asked of it."""

from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha256
from itertools import pairwise
from string import Template
from typing import Any, NamedTuple, Self

from otelbudget.audit.judging import successes
from otelbudget.audit.places import pointer
from otelbudget.budgets.config import LimitKind
from otelbudget.pricing.book import PriceBook
from otelbudget.store import sql
from otelbudget.store.store import Store

_load = partial(sql.load, "otelbudget.audit")
_EARLIEST, _LATEST = -(2**63), 2**63 - 1
_KNOWN_BY = {
    LimitKind.CALLS: "create_known_by_counts",
    LimitKind.SECONDS: "create_known_by_elapsed",
}


def stored(store: Store, name: str, make: Callable[[], None]) -> str:
    """The name of a table, which is made where there is none, and kept with the store where it can be."""
    (is_there,) = store.row(_load("count_tables"), {"name": name})
    if not is_there:
        with store.keeping():
            make()
    return name


class Usages(NamedTuple):
    """Tables of usages.

    Attributes:
        known_before: What was known before each call.
        highest_usages: What scopes used, and the most that was known before their calls.
        usage_buckets: Both by bucket.
        is_judged: Whether any run can be judged.
    """

    known_before: str
    highest_usages: str
    usage_buckets: str
    is_judged: bool

    @classmethod
    def named(cls, name: str, *, is_judged: bool) -> Self:
        """Tables by what they depend on."""
        return cls(f"known_{name}", f"highest_{name}", f"buckets_{name}", is_judged)

    def rows(self, store: Store, limits: Sequence[int]) -> Sequence[tuple[Any, ...]]:
        """What each limit would have done: the rows of `sweep`."""
        return store.rows(_filled("sweep", self._asdict()), {"limits": limits})


def usages_of_rows(
    store: Store, rows: Sequence[tuple[Any, ...]], kind: LimitKind, *, is_judged: bool
) -> Usages:
    """The usages of rows of `replay_calls`."""
    store.execute(_load("create_replay_calls"))
    store.fill("replay_calls", rows)
    usages = Usages.named("rows", is_judged=is_judged)
    for table in usages[:3]:
        store.execute(_filled("drop_usages", {"table": table}))
    _make(store, usages, kind)
    return usages


def usages_of_traces(
    store: Store,
    book: PriceBook,
    kind: LimitKind,
    success: tuple[str, str] | None = None,
    *,
    is_portable: bool = False,
) -> Usages:
    """The usages of traces that are plain, by SQL alone; made once, and found again.

    Args:
        store: A store on which `build_model_calls` has run, and for which `is_plain` holds.
        book: Prices.
        kind: What is counted.
        success: Attribute of the root span and its value as text, which say that a run was good.
        is_portable: Use what other databases understand too.
    """
    values, is_told = ([], True) if success is None else successes(store, success)
    told = {
        "is_timed": kind is LimitKind.SECONDS,
        "path": None if success is None else pointer(success[0]),
        "values": list(values),
    }
    names = {"swept_traces": f"traces_{_hash(success, kind is LimitKind.SECONDS)}"}
    statement = _filled("create_swept_traces", names)
    stored(store, names["swept_traces"], lambda: store.execute(statement, told))
    (are_judged,) = store.row(_filled("are_judged", names))
    usages = Usages.named(_hash(success, kind, is_portable), is_judged=bool(are_judged and is_told))

    def make() -> None:
        _fill_free_models(store, book)
        store.execute(_filled("create_swept_calls", names), {"kind": str(kind)})
        _make(store, usages, kind, is_portable=is_portable)

    stored(store, usages.usage_buckets, make)
    return usages


def is_plain(store: Store) -> bool:
    """Whether traces tell nothing of their calls but what their spans do."""
    (found,) = store.row(_load("is_plain"))
    return bool(found)


def _make(store: Store, usages: Usages, kind: LimitKind, *, is_portable: bool = False) -> None:
    """Make the tables from `replay_calls`; the last one says that all are there."""
    sums = "create_known_by_events" if is_portable else "create_known_by_sums"
    for statement in (
        _KNOWN_BY.get(kind, sums),
        "create_highest_usages",
        "create_usage_buckets",
    ):
        store.execute(_filled(statement, usages._asdict()))


def _fill_free_models(store: Store, book: PriceBook) -> None:
    store.execute(_load("create_free_models"))
    rows = []
    for provider, model in store.rows(_load("models_for_nothing")):
        starts, prices = book.history(provider or None, model or None, None)
        for (start, end), price in zip(
            pairwise((_EARLIEST, *starts, _LATEST)), prices, strict=True
        ):
            if price is not None and price.is_free and all(each.is_free for each in price.tiers):
                rows.append((provider, model, start, end))
    store.fill("free_models", rows)


def _filled(statement: str, tables: dict[str, Any]) -> str:
    """A statement with the names of its tables."""
    return Template(_load(statement)).safe_substitute(tables)


def _hash(*depends_on: object) -> str:
    return sha256(repr(depends_on).encode()).hexdigest()[:16]
