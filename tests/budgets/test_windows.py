"""Windows follow the calendar of their zone through every change of its clocks."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from threading import Barrier
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelbudget import BudgetConfigError
from otelbudget.budgets.windows import (
    CalendarUnit,
    CalendarWindow,
    RollingWindow,
    parse_window,
)

SECOND = 10**9
HOUR = 3_600 * SECOND
DAY = 24 * HOUR


def at(text: str) -> int:
    """Unix nanoseconds of a time in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND


def told(unit: str, zone: str, when: str) -> tuple[str, str, str]:
    """Label, start and end in UTC of the window that holds a time in UTC."""
    window = CalendarWindow(CalendarUnit(unit), zone)
    start, end = window.bounds(at(when))
    edges = [datetime.fromtimestamp(edge // SECOND, UTC) for edge in (start, end)]
    return (window.label(start), *(f"{edge:%Y-%m-%d %H:%M}" for edge in edges))  # type: ignore[return-value] # two edges


@pytest.mark.parametrize(
    ("unit", "zone", "when", "label", "start", "end"),
    [
        pytest.param(
            *("day", "UTC", "2026-01-05 23:59:59"),
            *("day 2026-01-05", "2026-01-05 00:00", "2026-01-06 00:00"),
            id="day",
        ),
        pytest.param(
            *("week", "UTC", "2026-01-01"),
            *("week of 2025-12-29", "2025-12-29 00:00", "2026-01-05 00:00"),
            id="week-begins-on-monday",
        ),
        pytest.param(
            *("month", "UTC", "2028-02-29"),
            *("month 2028-02", "2028-02-01 00:00", "2028-03-01 00:00"),
            id="month-of-29-days",
        ),
        pytest.param(
            *("month", "UTC", "2026-12-31 23:00"),
            *("month 2026-12", "2026-12-01 00:00", "2027-01-01 00:00"),
            id="month-at-the-end-of-a-year",
        ),
        pytest.param(
            *("hour", "UTC", "2026-01-05 14:59"),
            *("hour 2026-01-05 14:00", "2026-01-05 14:00", "2026-01-05 15:00"),
            id="hour",
        ),
        pytest.param(
            *("day", "UTC", "1969-12-31 12:00"),
            *("day 1969-12-31", "1969-12-31 00:00", "1970-01-01 00:00"),
            id="before-1970",
        ),
        pytest.param(
            *("day", "Europe/Berlin", "2026-03-29 12:00"),
            *("day 2026-03-29", "2026-03-28 23:00", "2026-03-29 22:00"),
            id="day-of-23-hours",
        ),
        pytest.param(
            *("day", "Europe/Berlin", "2026-10-25 12:00"),
            *("day 2026-10-25", "2026-10-24 22:00", "2026-10-25 23:00"),
            id="day-of-25-hours",
        ),
        pytest.param(
            *("week", "Europe/Berlin", "2026-03-29 21:59"),
            *("week of 2026-03-23", "2026-03-22 23:00", "2026-03-29 22:00"),
            id="week-of-167-hours",
        ),
        pytest.param(
            *("month", "America/New_York", "2026-03-01 05:00"),
            *("month 2026-03", "2026-03-01 05:00", "2026-04-01 04:00"),
            id="month-with-a-change",
        ),
        pytest.param(
            *("hour", "Europe/Berlin", "2026-10-25 00:30"),
            *("hour 2026-10-25 02:00+02:00", "2026-10-25 00:00", "2026-10-25 01:00"),
            id="hour-that-comes-twice-first",
        ),
        pytest.param(
            *("hour", "Europe/Berlin", "2026-10-25 01:30"),
            *("hour 2026-10-25 02:00+01:00", "2026-10-25 01:00", "2026-10-25 02:00"),
            id="hour-that-comes-twice-second",
        ),
        pytest.param(
            *("hour", "Europe/Berlin", "2026-03-29 01:30"),
            *("hour 2026-03-29 03:00", "2026-03-29 01:00", "2026-03-29 02:00"),
            id="hour-after-a-skipped-one",
        ),
        pytest.param(
            *("hour", "Asia/Kolkata", "2026-01-05 14:40"),
            *("hour 2026-01-05 20:00", "2026-01-05 14:30", "2026-01-05 15:30"),
            id="hour-of-a-half-hour-zone",
        ),
        pytest.param(  # 02:00 at +11:00 becomes 01:30 at +10:30
            *("hour", "Australia/Lord_Howe", "2026-04-04 14:59"),
            *("hour 2026-04-05 01:00", "2026-04-04 14:00", "2026-04-04 15:00"),
            id="hour-before-clocks-go-back-half-an-hour",
        ),
        pytest.param(
            *("hour", "Australia/Lord_Howe", "2026-04-04 15:00"),
            *("hour 2026-04-05 01:30+10:30", "2026-04-04 15:00", "2026-04-04 15:30"),
            id="half-an-hour-that-comes-again",
        ),
        pytest.param(  # 02:00 at +10:30 becomes 02:30 at +11:00
            *("hour", "Australia/Lord_Howe", "2026-10-03 15:45"),
            *("hour 2026-10-04 02:30", "2026-10-03 15:30", "2026-10-03 16:00"),
            id="half-an-hour-that-is-left",
        ),
        pytest.param(  # 02:30 at -04:30 becomes 03:00 at -04:00
            *("hour", "America/Caracas", "2016-05-01 06:45"),
            *("hour 2016-05-01 02:00", "2016-05-01 06:30", "2016-05-01 07:00"),
            id="hour-that-ends-half-way",
        ),
        pytest.param(  # 23:30 becomes 00:30 of the next day
            *("day", "America/Toronto", "1919-03-31 12:00"),
            *("day 1919-03-31", "1919-03-31 04:30", "1919-04-01 04:00"),
            id="midnight-in-the-midst-of-what-is-skipped",
        ),
        pytest.param(
            *("day", "America/Sao_Paulo", "2018-11-04 12:00"),
            *("day 2018-11-04", "2018-11-04 03:00", "2018-11-05 02:00"),
            id="midnight-that-is-skipped-in-sao-paulo",
        ),
        pytest.param(
            *("day", "America/Sao_Paulo", "2018-11-04 02:59"),
            *("day 2018-11-03", "2018-11-03 03:00", "2018-11-04 03:00"),
            id="day-before-a-midnight-that-is-skipped",
        ),
        pytest.param(
            *("day", "Asia/Beirut", "2022-03-27 12:00"),
            *("day 2022-03-27", "2022-03-26 22:00", "2022-03-27 21:00"),
            id="midnight-that-is-skipped-in-beirut",
        ),
        pytest.param(
            *("day", "Africa/Cairo", "2024-04-26 12:00"),
            *("day 2024-04-26", "2024-04-25 22:00", "2024-04-26 21:00"),
            id="midnight-that-is-skipped-in-cairo",
        ),
        pytest.param(
            *("day", "America/Havana", "2026-03-08 12:00"),
            *("day 2026-03-08", "2026-03-08 05:00", "2026-03-09 04:00"),
            id="midnight-that-is-skipped-in-havana",
        ),
        pytest.param(  # 01:00 becomes 00:00, an hour after the day began
            *("day", "America/Havana", "2026-11-01 05:30"),
            *("day 2026-11-01", "2026-11-01 04:00", "2026-11-02 05:00"),
            id="midnight-that-comes-twice",
        ),
        pytest.param(  # 00:01 of the 28th becomes 23:01 of the 27th, and it is the 28th already
            *("day", "America/St_Johns", "1990-10-28 02:45"),
            *("day 1990-10-28", "1990-10-28 02:30", "1990-10-29 03:30"),
            id="clocks-that-go-back-over-midnight",
        ),
        pytest.param(  # the 30th was left out
            *("day", "Pacific/Apia", "2011-12-30 09:59"),
            *("day 2011-12-29", "2011-12-29 10:00", "2011-12-30 10:00"),
            id="day-before-one-that-is-skipped",
        ),
        pytest.param(
            *("day", "Pacific/Apia", "2011-12-30 10:00"),
            *("day 2011-12-31", "2011-12-30 10:00", "2011-12-31 10:00"),
            id="day-after-one-that-is-skipped",
        ),
    ],
)
def test_a_window_is_the_one_of_the_zones_calendar(
    unit: str, zone: str, when: str, label: str, start: str, end: str
) -> None:
    assert told(unit, zone, when) == (label, start, end)


ZONES = st.sampled_from(sorted(available_timezones()))
UNITS = st.sampled_from(list(CalendarUnit))
INSTANTS = st.integers(0, at("2100-01-01") - 1)


def changes(zone: ZoneInfo, since: datetime, days: int) -> list[int]:
    """Unix seconds at which clocks of a zone change, found by looking at every minute."""
    found = []
    before = since.astimezone(zone).utcoffset()
    for hour in range(days * 24):
        offset = (since + timedelta(hours=hour + 1)).astimezone(zone).utcoffset()
        if offset != before:
            found.append(int((since + timedelta(hours=hour)).timestamp()))
        before = offset
    return found


@settings(max_examples=500, deadline=None)
@given(ZONES, UNITS, INSTANTS)
def test_windows_tile_time_without_gap_or_overlap(zone: str, unit: CalendarUnit, ns: int) -> None:
    start, end = CalendarWindow(unit, zone).bounds(ns)

    def bounds(instant: int) -> tuple[int, int]:
        return CalendarWindow(unit, zone).bounds(instant)

    assert start <= ns < end
    assert bounds(start) == bounds(end - 1) == (start, end)
    assert bounds(end)[0] == end
    assert bounds(start - 1)[1] == start


@settings(max_examples=60, deadline=None)
@given(ZONES, UNITS, st.integers(1970, 2099), st.data())
def test_windows_tile_time_where_clocks_change(
    zone: str, unit: CalendarUnit, year: int, data: st.DataObject
) -> None:
    """Instants within two hours of a change, where there is one that year."""
    found = changes(ZoneInfo(zone), datetime(year, 1, 1, tzinfo=UTC), 366)
    near = data.draw(st.sampled_from(found or [0]))
    ns = (near + data.draw(st.integers(-7_200, 7_200))) * SECOND
    window = CalendarWindow(unit, zone)
    start, end = window.bounds(ns)

    assert start <= ns < end
    assert window.bounds(start) == window.bounds(end - 1) == (start, end)
    assert window.bounds(end)[0] == end
    assert window.bounds(start - 1)[1] == start


@settings(max_examples=300, deadline=None)
@given(ZONES, INSTANTS)
def test_a_window_of_days_begins_when_the_clock_first_shows_its_date(zone: str, ns: int) -> None:
    window = CalendarWindow(CalendarUnit.DAY, zone)
    start, _ = window.bounds(ns)
    shown = date.fromisoformat(window.label(start).removeprefix("day "))

    def local(instant: int) -> date:
        return datetime.fromtimestamp(instant // SECOND, UTC).astimezone(ZoneInfo(zone)).date()

    assert local(start) == shown
    assert local(start - 1) < shown


@settings(max_examples=300, deadline=None)
@given(ZONES, st.sampled_from([CalendarUnit.WEEK, CalendarUnit.MONTH]), INSTANTS)
def test_weeks_and_months_are_made_of_whole_days(zone: str, unit: CalendarUnit, ns: int) -> None:
    days = CalendarWindow(CalendarUnit.DAY, zone)
    start, end = CalendarWindow(unit, zone).bounds(ns)

    assert days.bounds(start)[0] == start
    assert days.bounds(end)[0] == end


@settings(max_examples=300, deadline=None)
@given(ZONES, INSTANTS)
def test_an_hour_is_never_longer_than_an_hour(zone: str, ns: int) -> None:
    start, end = CalendarWindow(CalendarUnit.HOUR, zone).bounds(ns)

    assert 0 < end - start <= HOUR


@settings(max_examples=200, deadline=None)
@given(UNITS, st.lists(st.integers(0, 40 * DAY), min_size=1, max_size=20))
def test_the_last_answer_does_not_colour_the_next(unit: CalendarUnit, later: list[int]) -> None:
    """One window asked in any order answers as a fresh one does each time."""
    start = at("2026-10-10")
    asked = CalendarWindow(unit, "Europe/Berlin")

    for ns in later:
        fresh = CalendarWindow(unit, "Europe/Berlin")
        assert asked.bounds(start + ns) == fresh.bounds(start + ns)


def test_threads_may_ask_one_window_at_once() -> None:
    window = CalendarWindow(CalendarUnit.HOUR)
    threads = 4
    together = Barrier(threads)

    def ask(thread: int) -> list[int]:
        together.wait(30)
        hours = [(thread + step) % 7 for step in range(2_000)]
        return [window.bounds(hour * HOUR + 1)[0] - hour * HOUR for hour in hours]

    with ThreadPoolExecutor(threads) as pool:
        differences = [each for answer in pool.map(ask, range(threads)) for each in answer]

    assert set(differences) == {0}


@pytest.mark.parametrize(
    ("text", "length_ns"),
    [
        ("1s", SECOND),
        ("90s", 90 * SECOND),
        ("15m", 900 * SECOND),
        ("24h", DAY),
        ("7d", 7 * DAY),
        ("366d", 366 * DAY),
        ("31622400s", 366 * DAY),
    ],
)
def test_a_length_rolls(text: str, length_ns: int) -> None:
    window = parse_window(text)

    assert window == RollingWindow(length_ns)
    assert (str(window), window.label(0)) == (text, f"last {text}")


def test_a_length_in_code_is_written_in_seconds() -> None:
    assert str(RollingWindow(90 * SECOND)) == "90s"


@pytest.mark.parametrize("unit", list(CalendarUnit))
def test_a_calendar_window_is_written_as_it_is_read(unit: CalendarUnit) -> None:
    assert str(parse_window(str(unit), "Europe/Berlin")) == unit
    assert parse_window(str(unit)) == CalendarWindow(unit, "UTC")


def test_windows_are_equal_whatever_they_were_asked() -> None:
    first, second = (CalendarWindow(CalendarUnit.DAY, "Asia/Tokyo") for _ in range(2))
    first.bounds(0)

    assert first == second
    assert hash(first) == hash(second)
    assert pickle.loads(pickle.dumps(first)) == second  # noqa: S301 - our own bytes


@pytest.mark.parametrize(
    "text",
    [
        *("", "days", "Day", "0s", "0d", "367d", "31622401s", "-1h", "1.5h", "15 m", "15M", "1w"),
        *("٣h", "9999999999s", "15m\n", None, 15, ["day"]),
    ],
)
def test_what_is_no_window_is_answered_with_what_is(text: object) -> None:
    with pytest.raises(BudgetConfigError, match="allowed are hour, day, week, month") as refusal:
        parse_window(text)

    assert refusal.value.key == "window"


@pytest.mark.parametrize(
    "zone",
    [
        *("Mars/Olympus", "", ".", "..", "../etc/passwd", "/etc/passwd", "Europe", "a\0b"),
        *("\udcff", "x" * 5_000, "europe/berlin ", 5, ["UTC"], b"UTC"),
    ],
)
def test_what_is_no_time_zone_is_answered_with_examples(zone: object) -> None:
    with pytest.raises(BudgetConfigError, match="such as 'UTC', 'Europe/Berlin'") as refusal:
        parse_window("day", zone)

    assert refusal.value.key == "timezone"
    assert len(str(refusal.value)) < 300


def test_a_time_zone_spelt_otherwise_is_guessed() -> None:
    with pytest.raises(BudgetConfigError, match="did you mean 'America/New_York'"):
        parse_window("day", "america/new york")


def test_a_rolling_window_has_no_time_zone() -> None:
    with pytest.raises(BudgetConfigError, match="needs a calendar window") as refusal:
        parse_window("24h", "UTC")

    assert refusal.value.key == "timezone"
