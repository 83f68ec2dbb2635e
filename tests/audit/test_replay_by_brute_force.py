"""Replay and sweep against a plain simulation of the rules that shares no code with them."""

import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytest
from budget_audit.loading import Loaded
from hypothesis import given, settings
from hypothesis import strategies as st

from otelbudget.audit.calls import build_model_calls
from otelbudget.audit.happenings import RecordedCall, Recording
from otelbudget.audit.recorded import recorded
from otelbudget.audit.replay import replay
from otelbudget.audit.sweep import sweep
from otelbudget.budgets.config import Budget, Budgets, LimitKind
from otelbudget.pricing.billing import Charge, UnknownModel, usd
from otelbudget.pricing.book import PriceBook
from otelbudget.store.store import Store

KINDS = [LimitKind.COST_USD, LimitKind.TOKENS, LimitKind.CALLS]


class Made(NamedTuple):
    """A made call: trace, span, raw start and end, and what it adds by kind of limit."""

    trace_id: str
    span_id: str
    start: int
    end: int
    cost_usd: int
    tokens: int
    calls: int = 1
    is_free: bool = False


class Outcome(NamedTuple):
    """What a limit did: scopes, scopes, calls, and money in pico-USD."""

    reached: int
    stopped: int
    denied: int
    avoided: int
    spent: int
    worst_overshoot: int


def brute_force(calls: Sequence[Made], kind: str, limit: int) -> Outcome:
    """What a limit per trace does, call by call, by the words of the rules."""
    in_order = sorted(calls, key=lambda call: (call.start, call.trace_id, call.span_id))
    allowed: dict[str, list[Made]] = {call.trace_id: [] for call in calls}
    denied: list[Made] = []
    for call in in_order:
        known = 0
        for earlier in allowed[call.trace_id]:
            has_ended = max(earlier.end, earlier.start + 1) <= call.start
            if kind == "calls" or has_ended:
                known += getattr(earlier, kind)
        is_spared = call.is_free and kind == "cost_usd"
        is_denied = known >= limit and not is_spared
        (denied if is_denied else allowed[call.trace_id]).append(call)
    usages = [sum(getattr(call, kind) for call in trace) for trace in allowed.values()]
    return Outcome(
        reached=sum(usage >= limit for usage in usages),
        stopped=len({call.trace_id for call in denied}),
        denied=len(denied),
        avoided=sum(call.cost_usd for call in denied),
        spent=sum(call.cost_usd for trace in allowed.values() for call in trace),
        worst_overshoot=max(max(usages, default=0) - limit, 0),
    )


def recording_of(calls: Sequence[Made]) -> Recording:
    return Recording(
        [
            RecordedCall(
                call.trace_id,
                call.span_id,
                call.start,
                max(call.end, call.start + 1),
                Charge("gpt-4o", call.tokens, call.cost_usd),
                is_free=call.is_free,
            )
            for call in calls
        ]
    )


def by_engine(recording: Recording, kind: LimitKind, limit: int) -> Outcome:
    amount: Any = usd(limit) if kind is LimitKind.COST_USD else limit
    budgets = Budgets((Budget(**{str(kind): amount}),), UnknownModel.ALLOW)
    result = replay(recording, budgets)
    [outcome] = result.limits
    assert outcome.limit == limit
    assert (outcome.scopes_reached, outcome.calls_denied) == (
        result.scopes_reached,
        result.calls_denied,
    )
    assert sum(scope.avoided_pusd for scope in result.stopped) == result.avoided_pusd
    return Outcome(
        result.scopes_reached,
        result.scopes_stopped,
        result.calls_denied,
        result.avoided_pusd,
        result.spent_pusd,
        outcome.worst_overshoot,
    )


def assert_sweep_agrees(
    store: Store, recording: Recording, made: Sequence[Made], kind: LimitKind
) -> None:
    limits = limits_at_the_edges(made, kind)
    points = sweep(store, recording, Budget(calls=0), kind, limits, {})
    assert [point.limit for point in points] == limits
    for point in points:
        expected = brute_force(made, kind, point.limit)
        assert (
            point.scopes_reached,
            point.scopes_stopped,
            point.calls_denied,
            point.avoided_pusd,
        ) == (expected.reached, expected.stopped, expected.denied, expected.avoided), point


def limits_at_the_edges(calls: Sequence[Made], kind: str, most: int = 12) -> list[int]:
    """0, 1, and usages that are reached, with one less and one more."""
    limits = {0, 1, 2**62}
    sums: dict[str, int] = {}
    for call in sorted(calls, key=lambda call: call.end):
        sums[call.trace_id] = reached = sums.get(call.trace_id, 0) + getattr(call, kind)
        if len(limits) < 3 * most:
            limits |= {max(reached - 1, 0), reached, reached + 1}
    return sorted(limits)


# Few instants, so that ties, zero-length and backward calls are the rule and not the exception.
instants = st.integers(0, 12)
amounts = st.sampled_from([0, 0, 1, 1, 2, 3, 1_000_000, 2_500_000_000_000])
made_calls = st.builds(
    Made,
    trace_id=st.sampled_from(["a", "b"]),
    span_id=st.text("0123456789abcdef", min_size=2, max_size=2),
    start=instants,
    end=instants,
    cost_usd=amounts,
    tokens=amounts,
    calls=st.just(1),
    is_free=st.booleans(),
)
workloads = st.lists(made_calls, max_size=12, unique_by=lambda call: (call.trace_id, call.span_id))


@settings(max_examples=200, deadline=None)
@given(calls=workloads, kind=st.sampled_from(KINDS), data=st.data())
def test_the_engine_replays_every_workload_as_the_rules_say(
    calls: list[Made], kind: LimitKind, data: st.DataObject
) -> None:
    limit = data.draw(st.sampled_from(limits_at_the_edges(calls, kind)))

    outcome = by_engine(recording_of(calls), kind, limit)

    assert outcome == brute_force(calls, kind, limit)


@settings(max_examples=25, deadline=None)
@given(calls=workloads, data=st.data())
def test_the_order_of_the_calls_does_not_matter(calls: list[Made], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(calls))

    for kind in KINDS:
        assert by_engine(recording_of(shuffled), kind, 2) == by_engine(recording_of(calls), kind, 2)


def random_calls(seed: int, traces: int) -> list[Made]:
    """Traces of up to 12 calls with ties, overlaps, zero-length, backward and free calls."""
    choose = random.Random(seed)  # noqa: S311 - test data
    calls = []
    for trace in range(traces):
        last = choose.choice([3, 12, 100])
        for number in range(choose.randint(1, 12)):
            start = choose.randint(0, last)
            end = start + choose.choice([0, 1, choose.randint(-3, 8)])
            cost = choose.choice([0, 1, 2_500_000, choose.randint(0, 10**12)])
            tokens = choose.choice([0, 1, choose.randint(0, 10_000)])
            calls.append(Made(f"t{trace:04}", f"s{number:02}", start, end, cost, tokens))
    choose.shuffle(calls)
    return calls


@pytest.mark.parametrize("kind", KINDS)
def test_the_engine_replays_thousands_of_workloads_as_the_rules_say(kind: LimitKind) -> None:
    for seed in range(1_000):
        made = random_calls(seed, traces=2)
        limit = random.Random(seed).choice(limits_at_the_edges(made, kind))  # noqa: S311 - test data

        assert by_engine(recording_of(made), kind, limit) == brute_force(made, kind, limit), seed


@pytest.fixture(scope="module")
def empty() -> Store:
    store = Store()
    build_model_calls(store, PriceBook.load())
    return store


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("seed", "traces"), [(1, 1), (2, 3), (3, 30), (4, 200)])
def test_one_pass_answers_every_limit_as_the_rules_say(
    seed: int, traces: int, kind: LimitKind, empty: Store
) -> None:
    made = random_calls(seed, traces)

    assert_sweep_agrees(empty, recording_of(made), made, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_thousands_of_calls_are_replayed_as_the_rules_say(kind: LimitKind) -> None:
    made = random_calls(5, 500)
    recording = recording_of(made)

    for limit in limits_at_the_edges(made, kind, most=2):
        assert by_engine(recording, kind, limit) == brute_force(made, kind, limit)


IN_PUSD, OUT_PUSD = 2_500_000, 10_000_000  # gpt-4o: 2.50 and 10 USD per million tokens


@pytest.fixture(scope="module")
def spans_and_calls() -> tuple[list[Any], list[Made]]:
    """Raw spans, and the same calls as the brute force takes them."""
    choose = random.Random(6)  # noqa: S311 - test data
    spans, calls = [], []
    for each in random_calls(6, 150):
        trace, number = int(each.trace_id[1:]) + 1, int(each.span_id[1:]) + 1
        input_tokens, output_tokens = choose.randint(1, 5_000), choose.randint(0, 2_000)
        is_free = choose.random() < 0.2
        cost = 0 if is_free else input_tokens * IN_PUSD + output_tokens * OUT_PUSD
        spans.append((trace, number, (each.start, each.end), input_tokens, output_tokens, is_free))
        total = input_tokens + output_tokens
        calls.append(
            Made(f"{trace:032x}", f"{number:016x}", each.start, each.end, cost, total, 1, is_free)
        )
    return spans, calls


@pytest.mark.parametrize("kind", KINDS)
def test_spans_in_a_file_are_replayed_as_the_rules_say(
    kind: LimitKind,
    spans_and_calls: tuple[list[Any], list[Made]],
    span: Callable[..., Any],
    usage: Callable[..., dict[str, Any]],
    counted: Callable[..., Loaded],
) -> None:
    raw, made = spans_and_calls
    free = {"gen_ai.provider.name": "ollama", "gen_ai.request.model": "llama3.2:3b"}
    loaded = counted(
        span(
            trace, number, 999, at=at, **(usage(tokens_in, tokens_out) | (free if is_free else {}))
        )
        for trace, number, at, tokens_in, tokens_out, is_free in raw
    )
    recording = recorded(loaded.store, loaded.book, [Budget(cost_usd=0)], UnknownModel.ALLOW)

    assert (len(recording.calls), recording.timeless) == (len(made), [])
    for limit in limits_at_the_edges(made, kind, most=2):
        assert by_engine(recording, kind, limit) == brute_force(made, kind, limit)
    assert_sweep_agrees(loaded.store, recording, made, kind)
