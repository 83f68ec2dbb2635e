"""Limits per trace straight from the store: equal to what the engine says of each."""

from collections.abc import Callable
from typing import Any

import pytest
from budget_audit.loading import Loaded

from otelbudget.audit.judging import judge
from otelbudget.audit.recorded import recorded
from otelbudget.audit.replay import replay
from otelbudget.audit.sweep import SweepPoint, sweep_traces
from otelbudget.audit.usages import is_plain, stored
from otelbudget.budgets.config import Budget, Budgets, LimitKind
from otelbudget.budgets.decisions import amount
from otelbudget.pricing.billing import UnknownModel

KINDS = [kind for kind in LimitKind if kind is not LimitKind.TOOL_CALLS]
LIMITS = [0, 1, 2, 3, 5, 100, 1_000, 2_000, 2**20, 3_500_000_000, 2**62]
Make = Callable[..., Any]


@pytest.fixture
def loaded(span: Make, usage: Make, counted: Make) -> Loaded:
    """Traces with overlaps, ties, empty lengths, free and unpriced models, good and bad roots."""
    free = {"gen_ai.provider.name": "ollama", "gen_ai.request.model": "llama3.2:3b"}
    unknown = {"gen_ai.request.model": "nobody-knows"}
    spans = []
    for trace in range(1, 30):
        spans.append(span(trace, 1, at=(0, 9_999), outcome="good" if trace % 3 else "bad"))
        for call in range(trace % 7):
            start = (call * trace * 37) % 500
            more = free if (trace + call) % 5 == 0 else unknown if (trace * call) % 11 == 7 else {}
            at = (start, start + (call * 53) % 211)
            told = usage(100 * call + 1, trace) | more
            spans.append(span(trace, 2 + call, 1, at=at, **told))
    made: Loaded = counted(spans)
    return made


def by_engine(
    loaded: Loaded, kind: LimitKind, limit: int, success: tuple[str, str] | None
) -> SweepPoint:
    written: dict[str, Any] = {str(kind): amount(kind, limit)}
    if kind not in (LimitKind.COST_USD, LimitKind.SECONDS):
        written[str(kind)] = limit
    budget = Budget(warn_at=(), **written)
    recording = recorded(loaded.store, loaded.book, [budget], UnknownModel.ALLOW)
    result = replay(recording, Budgets((budget,), UnknownModel.ALLOW))
    verdicts = judge(loaded.store, success)
    lost = sum(verdicts.get(run, False) for run in result.runs_stopped) if verdicts else None
    return SweepPoint(
        kind,
        limit,
        result.scopes_reached,
        result.scopes_stopped,
        result.calls_denied,
        result.avoided_pusd,
        lost,
    )


@pytest.mark.parametrize("is_portable", [False, True], ids=["duckdb", "portable"])
@pytest.mark.parametrize("success", [None, ("outcome", "good"), ("nowhere", "good")])
@pytest.mark.parametrize("kind", KINDS)
def test_it_says_what_the_engine_says_of_each_limit(
    loaded: Loaded, kind: LimitKind, success: tuple[str, str] | None, *, is_portable: bool
) -> None:
    # The engine also counts traces without a call as reached where no time at all is allowed.
    limits = LIMITS[1:] if kind is LimitKind.SECONDS else LIMITS

    points = sweep_traces(loaded.store, loaded.book, kind, limits, success, is_portable=is_portable)

    assert is_plain(loaded.store)
    assert list(points) == [by_engine(loaded, kind, limit, success) for limit in limits]


def test_what_was_found_before_is_asked_again(loaded: Loaded) -> None:
    first = sweep_traces(loaded.store, loaded.book, LimitKind.TOKENS, LIMITS)
    made: list[str] = []

    assert sweep_traces(loaded.store, loaded.book, LimitKind.TOKENS, LIMITS) == first
    assert stored(loaded.store, "model_calls", lambda: made.append("again")) == "model_calls"
    assert not made


def test_traces_on_which_otelbudget_wrote_are_not_plain(
    span: Make, usage: Make, counted: Make
) -> None:
    told = usage() | {"otelbudget.run.id": "r"}

    assert not is_plain(counted([span(1, 1, **told)]).store)
