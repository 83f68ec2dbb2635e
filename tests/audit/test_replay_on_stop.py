"""What a refused call ends: itself or its run, against lists that are summed from scratch."""

from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelbudget.audit.happenings import RecordedCall, Recording
from otelbudget.audit.replay import OnStop, replay
from otelbudget.budgets.config import Budget, Budgets
from otelbudget.budgets.scopes import Place
from otelbudget.pricing.billing import Charge

HOUR = 3_600 * 10**9


class Did(NamedTuple):
    """A call of a trace for a tenant; times in ns."""

    trace: str
    tenant: str
    start: int
    length: int
    cost: int


def brute_force(calls: Sequence[Did], per_trace: int, per_hour: int, on_stop: OnStop) -> set[int]:
    """The calls that are not made, where traces and hours of tenants are limited, by number."""
    made: list[Did] = []
    ended: set[str] = set()
    refused: set[int] = set()
    for number in sorted(range(len(calls)), key=lambda at: (calls[at].start, at)):
        call = calls[number]
        known = [each for each in made if each.start + max(each.length, 1) <= call.start]
        of_trace = sum(each.cost for each in known if each.trace == call.trace)
        of_hour = sum(
            each.cost
            for each in known
            if each.tenant == call.tenant and each.start // HOUR == call.start // HOUR
        )
        if call.trace in ended or of_trace >= per_trace or of_hour >= per_hour:
            refused.add(number)
            if on_stop is OnStop.RUN:
                ended.add(call.trace)
        else:
            made.append(call)
    return refused


def recording_of(calls: Sequence[Did]) -> Recording:
    places: dict[tuple[str, str], Place] = {}
    return Recording(
        [
            RecordedCall(
                "",
                f"{number:04}",
                call.start,
                call.start + max(call.length, 1),
                Charge("m", 1, call.cost),
                places.setdefault(
                    (call.trace, call.tenant),
                    Place(call.trace, values={"tenant": call.tenant}),
                ),
            )
            for number, call in enumerate(calls)
        ]
    )


def budgets(per_trace: int, per_hour: int) -> Budgets:
    """Two limits in pico-USD."""
    written = {
        "run": {"per": "trace", "max_cost_usd": f"0.{per_trace:012}"},
        "hourly": {"per": "tenant", "window": "hour", "max_cost_usd": f"0.{per_hour:012}"},
    }
    return Budgets.from_config({"budgets": written})


calls_made = st.builds(
    Did,
    trace=st.sampled_from(["1", "2", "3"]),
    tenant=st.sampled_from(["acme", "birch"]),
    start=st.sampled_from([0, 1, 2, HOUR - 1, HOUR, HOUR + 1]),
    length=st.sampled_from([0, 1, HOUR]),
    cost=st.integers(0, 4),
)


@pytest.mark.parametrize("on_stop", OnStop)
@settings(max_examples=150, deadline=None)
@given(
    calls=st.lists(calls_made, max_size=14), per_trace=st.integers(0, 9), per_hour=st.integers(0, 9)
)
def test_replay_refuses_what_lists_refuse(
    on_stop: OnStop, calls: list[Did], per_trace: int, per_hour: int
) -> None:
    refused = brute_force(calls, per_trace, per_hour, on_stop)

    result = replay(recording_of(calls), budgets(per_trace, per_hour), on_stop)

    avoided = sum(calls[number].cost for number in refused)
    assert result.calls_denied == len(refused)
    assert result.avoided_pusd == avoided
    assert result.spent_pusd == sum(call.cost for call in calls) - avoided
    assert sum(scope.avoided_pusd for scope in result.stopped) == avoided


def test_a_run_that_has_ended_makes_no_call_in_the_next_window_either() -> None:
    calls = [Did("1", "acme", 0, 1, 5), Did("1", "acme", 9, 1, 1), Did("1", "acme", HOUR, 1, 2)]

    by_call, by_run = (
        replay(recording_of(calls), budgets(999, 5), on_stop)
        for on_stop in (OnStop.CALL, OnStop.RUN)
    )

    assert (by_call.calls_denied, by_call.avoided_pusd) == (1, 1)
    assert (by_run.calls_denied, by_run.avoided_pusd) == (2, 1 + 2)


@settings(max_examples=100, deadline=None)
@given(calls=st.lists(calls_made, max_size=14), limit=st.integers(0, 9))
def test_both_are_equal_per_trace_without_windows(calls: list[Did], limit: int) -> None:
    alone = Budgets((Budget(cost_usd=f"0.{limit:012}"),))

    by_call, by_run = (replay(recording_of(calls), alone, on_stop) for on_stop in OnStop)

    assert by_call == by_run
