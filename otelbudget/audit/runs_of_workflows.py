"""The recorded runs of each workflow: what they needed, and which cannot tell."""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any

import msgspec

from otelbudget.audit.keys import (
    TIMES,
    Keys,
    UnknownKeyError,
    check_told,
    parse_keys,
)
from otelbudget.audit.places import pointer, quoted
from otelbudget.budgets.config import LimitKind
from otelbudget.budgets.scopes import RUN, TRACE
from otelbudget.genai import dialects, semconv
from otelbudget.store import sql
from otelbudget.store.store import Store

_load = partial(sql.load, "otelbudget.audit")

AGENT = "agent"
DEFAULT_BY = ("workflow", AGENT)
KINDS = (
    LimitKind.COST_USD,
    LimitKind.CALLS,
    LimitKind.TOKENS,
    LimitKind.SECONDS,
    LimitKind.TOOL_CALLS,
)
"""What is known of a run, in the order in which limits are most wanted."""

MOST_RUNS = 50_000
"""Runs of a workflow that are used: more would not change what can be said of them."""

_TOOLS = (
    semconv.EXECUTE_TOOL_OPERATION,
    *(
        name
        for name, operation in dialects.OPERATION_ALIASES.items()
        if operation == semconv.EXECUTE_TOOL_OPERATION
    ),
)


class LeftOut(msgspec.Struct, frozen=True):
    """Runs that were not used.

    Attributes:
        reason: Why.
        count: How many.
        trace_ids: Which: all suspected runaways, else the first thousand.
    """

    reason: str
    count: int
    trace_ids: tuple[str, ...]


class Runs(msgspec.Struct, frozen=True):
    """The runs of a workflow.

    Attributes:
        key: What the workflow is known by; "(none)" where its runs say nothing, and "" for the
            agent of a root span that names none.
        trace_ids: Runs that tell what a run needs, in order of time.
        needs: What each of them needed, by kind, in the same order: pico-USD, tokens, calls, ns.
        under_limits: How many of all its runs had a budget that could stop them.
        left_out: Runs that cannot tell.
        unused: How many more tell as well, but are not read.
    """

    key: dict[str, str]
    trace_ids: list[str]
    needs: dict[LimitKind, list[int]]
    under_limits: int = 0
    left_out: tuple[LeftOut, ...] = ()
    unused: int = 0


def parse_by(text: str) -> tuple[str, ...]:
    """Keys to tell workflows apart by, joined by commas.

    Raises:
        UnknownKeyError: One is no key, or one that has another value for every run.
    """
    keys = parse_keys(text)
    for key in keys:
        if key in (TRACE, RUN, *TIMES):
            raise UnknownKeyError(f"{key!r} tells runs apart, not workflows; choose another key")
    return keys


def runs_of_workflows(
    store: Store,
    by: Sequence[str] = DEFAULT_BY,
    *,
    since: int | None = None,
    until: int | None = None,
    most: int = MOST_RUNS,
) -> Iterator[Runs]:
    """The runs of each workflow of the store's traces.

    A run tells what a run needs if its root span is there, has ended and started in the period,
    all its calls have times, usage and a price, and no budget refused one.

    Args:
        store: A store on which `build_model_calls` has run.
        by: What workflows are told apart by: "workflow" (name of the root span), "agent" (that the
            root span names), or any other key of calls: the value of the run's first call.
        since: Earliest start of a run, unix ns; None leaves that side open.
        until: Start of the runs that are too late; None leaves that side open.
        most: Runs of a workflow to read, evenly over time.

    Raises:
        UnknownKeyError: A plain word that is no key, and that no span carries.
    """
    _create(store, by, since, until)
    found: dict[tuple[str, ...], _Counted] = {}
    for values, reason, count, limited, trace_ids in store.rows(_load("runs_by_reason")):
        counted = found.setdefault(tuple(values), _Counted([]))
        counted.under_limits += limited
        if reason is None:
            counted.eligible = count
        else:
            counted.left_out.append(LeftOut(reason, count, tuple(trace_ids)))
    batches = store.batches(_load("eligible_runs"), parameters={"most": most})
    rows = (row for batch in batches for row in batch)
    for values, group in groupby(rows, key=itemgetter(0)):
        key = tuple(values)
        yield _runs(dict(zip(by, key, strict=True)), list(group), found.pop(key))
    for key, counted in found.items():
        yield _runs(dict(zip(by, key, strict=True)), [], counted)


class _Counted(msgspec.Struct):
    """What is known of the runs of a workflow without reading them."""

    left_out: list[LeftOut]
    eligible: int = 0
    under_limits: int = 0


def _create(store: Store, by: Sequence[str], since: int | None, until: int | None) -> None:
    check_told(Keys(tuple(by)).prepare(store).without_values)
    store.execute(
        _load("create_run_tools"),
        {
            "operations": list(map(quoted, _TOOLS)),
            "operation_paths": list(map(pointer, dialects.FIELDS["operation"])),
            "tools": list(_TOOLS),
            "name_paths": list(map(pointer, dialects.TOOL_NAMES)),
        },
    )
    store.execute(_load("create_runs"), {"by": list(by), "since": since, "until": until})


def _runs(key: dict[str, str], rows: Sequence[tuple[Any, ...]], counted: _Counted) -> Runs:
    columns = map(list, zip(*rows, strict=True)) if rows else ([] for _ in range(2 + len(KINDS)))
    _, trace_ids, *needs = columns
    return Runs(
        key,
        trace_ids,
        dict(zip(KINDS, needs, strict=True)),
        counted.under_limits,
        tuple(counted.left_out),
        counted.eligible - len(rows),
    )
