"""What days to come will use: the interval holds the truth as often as it says."""

import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from budget_audit.loading import Loaded

from otelbudget.audit.days import Ahead, days_of, predict, t_quantile
from otelbudget.audit.forecast import forecast
from otelbudget.budgets.config import Budget

Make = Callable[..., Any]
DAY = 86_400 * 10**9
# START_NS of the spans is 2026-05-28T20:26:40Z; the first full day is the 29th, a Friday.
MIDNIGHT = 1_780_012_800 * 10**9
START = 1_780_000_000 * 10**9
CALL_PUSD = 3_500_000_000  # 1,000 * 2.50 + 100 * 10 USD/Mtok


def ahead(count: int, first_weekday: int = 0) -> list[Ahead]:
    return [Ahead((first_weekday + n) % 7, n * DAY, (n + 1) * DAY, 1.0) for n in range(count)]


@pytest.mark.parametrize(
    ("freedom", "quantile"), [(6, 1.9432), (13, 1.7709), (29, 1.6991), (364, 1.6490)]
)
def test_the_quantile_is_that_of_printed_tables(freedom: int, quantile: float) -> None:
    assert t_quantile(freedom) == pytest.approx(quantile, rel=0.002)


def test_equal_days_go_on_without_doubt() -> None:
    assert predict(days_of([100] * 10, 0), ahead(3)) == (300, 300, 300)


def test_weekdays_differ_from_four_weeks_on() -> None:
    """Weekends use nothing: from Friday on, three days use what one does."""
    weeks = [70, 70, 70, 70, 70, 0, 0] * 4

    assert predict(days_of(weeks, 0), ahead(3, first_weekday=4)).expected == 70
    assert predict(days_of(weeks[:21], 0), ahead(3, first_weekday=4)).expected == 150


@pytest.mark.parametrize("count", [7, 14, 30, 60])
@pytest.mark.parametrize("spread", [0.2, 0.7])
def test_the_interval_holds_the_truth_as_often_as_it_says(count: int, spread: float) -> None:
    """Days drawn from a lognormal distribution, the sum of the next ten; 90 % is asked for.

    A week of days as uneven as with a spread of 0.7 does not yet show how dear a day can be.
    """
    draw = random.Random(7)  # noqa: S311 - days, no secret
    held = 0
    for _ in range(1_000):
        days = [round(10**9 * draw.lognormvariate(0, spread)) for _ in range(count + 10)]
        found = predict(days_of(days[:count], 0), ahead(10, count))
        held += found.lower <= sum(days[count:]) <= found.upper

    assert (800 if count == 7 else 850) <= held <= 960


@pytest.fixture
def calls(counted: Callable[..., Loaded], span: Make, usage: Make) -> Callable[[int], Loaded]:
    """Four calls on each full day, and one on the day before and six hours into the day after."""

    def calls(full_days: int) -> Loaded:
        quarter = DAY // 4
        starts = [0, MIDNIGHT - START + full_days * DAY + quarter]
        starts += [MIDNIGHT - START + n * quarter + 1 for n in range(full_days * 4)]
        return counted(
            [
                span(n, 1, at=(at, at + 1), **usage(), **{"tenant.id": "acme"})
                for n, at in enumerate(starts, 1)
            ]
        )

    return calls


def test_too_few_days_are_said_instead_of_a_number(calls: Callable[[int], Loaded]) -> None:
    found = forecast(calls(6).store)

    assert (found.full_days, found.windows) == (6, ())
    assert found.why_not == "7 full days are needed, 6 are there"


def test_a_window_is_what_was_used_and_what_is_to_come(calls: Callable[[int], Loaded]) -> None:
    """Friday 2026-05-29 to Thursday 06-04 are full; it is 06:00 on Friday 06-05, one call in."""
    found = forecast(calls(7).store)
    day, week, month = found.windows

    assert found.per_day_pusd == 4 * CALL_PUSD
    # Three quarters of the day are to come.
    assert (day.used, day.expected) == (CALL_PUSD, 4 * CALL_PUSD)
    # From Monday 06-01: four days and a call; 2.75 days are to come.
    assert (week.used, week.expected) == (17 * CALL_PUSD, 28 * CALL_PUSD)
    # From 06-01 too; 25.75 days are to come.
    assert (month.used, month.expected) == (17 * CALL_PUSD, 120 * CALL_PUSD)
    assert week.start == int(datetime(2026, 6, 1, tzinfo=UTC).timestamp()) * 10**9


def test_a_limit_is_used_up_when_the_days_come_to_it(calls: Callable[[int], Loaded]) -> None:
    """17 calls this week, four a day: the 20th is reached three quarters of a day later."""
    budgets = [
        Budget(name="week", per="tenant.id", window="week", calls=20),
        Budget(name="wide", per="tenant.id", window="week", calls=29),
        Budget(name="spent", per="tenant.id", calls=30),
        Budget(name="run", per="trace", calls=1),
        Budget(name="rolls", per="tenant.id", window="24h", calls=1),
    ]
    found = forecast(calls(7).store, budgets=budgets)
    ends = {each.budget: each for each in found.exhaustions}
    as_of = found.as_of or 0

    assert ends["week"].usage == 17
    assert ends["week"].at == pytest.approx(as_of + 3 * DAY // 4, abs=10**9)
    assert (ends["wide"].at, ends["wide"].earliest) == (None, None)
    assert (ends["spent"].usage, ends["spent"].at) == (30, as_of)
    assert ends["week"].scope == (("tenant.id", "acme"),)
    assert set(found.not_forecast) == {"run", "rolls"}


def test_the_budgets_that_are_used_up_first_come_first(calls: Callable[[int], Loaded]) -> None:
    limits = [
        Budget(name=str(calls), per="tenant.id", window="week", calls=calls)
        for calls in (40, 27, 20)
    ]
    found = forecast(calls(7).store, budgets=limits)

    assert [each.budget for each in found.exhaustions] == ["20", "27", "40"]


def test_calls_without_times_have_no_forecast(counted: Make, span: Make, usage: Make) -> None:
    found = forecast(counted([span(1, 1, at=None, **usage())]).store)

    assert found.why_not == "no call has a time"
