"""Windows: the stretch of time that a budget counts, by a time zone's calendar or rolling."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from enum import StrEnum
from zoneinfo import ZoneInfo, available_timezones

from otelbudget.errors import BudgetConfigError

DEFAULT_TIMEZONE = "UTC"

_SECOND_NS = 10**9
_HOUR = 3600
_SECONDS_OF = {"s": 1, "m": 60, "h": _HOUR, "d": 24 * _HOUR}
_LONGEST = 366 * 24 * _HOUR
_LENGTH = re.compile(r"([1-9][0-9]{0,8})([smhd])")
_NEVER = (0, 0)


class CalendarUnit(StrEnum):
    """What a calendar window is as long as.

    Attributes:
        HOUR: From a full hour to the next.
        DAY: From midnight to midnight.
        WEEK: Seven days from Monday.
        MONTH: A month of the calendar.
    """

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class CalendarWindow:
    """Windows that follow each other without gap or overlap, as a time zone's calendar has them.

    A day is as long as the zone makes it: 23 or 25 hours where clocks change. A midnight that the
    clocks skip is the first instant after it; of a midnight that comes twice the first counts. An
    hour that comes twice is two windows.

    Attributes:
        unit: What a window is as long as.
        timezone: Name of the zone in the IANA database, such as "Europe/Berlin".
    """

    unit: CalendarUnit
    timezone: str = DEFAULT_TIMEZONE
    _zone: ZoneInfo = field(init=False, repr=False, compare=False)
    _last: tuple[int, int] = field(init=False, repr=False, compare=False, default=_NEVER)

    def __post_init__(self) -> None:
        object.__setattr__(self, "unit", CalendarUnit(self.unit))
        object.__setattr__(self, "_zone", _zone(self.timezone))

    def __str__(self) -> str:
        return str(self.unit)

    def bounds(self, at_ns: int) -> tuple[int, int]:
        """The window that holds an instant.

        Args:
            at_ns: The instant in unix nanoseconds.

        Returns:
            Its start, and its end that is not part of it, in unix nanoseconds.
        """
        last = self._last
        if last[0] <= at_ns < last[1]:
            return last
        at = at_ns // _SECOND_NS
        if self.unit is CalendarUnit.HOUR:
            start, end = _hour(at, self._zone)
        else:
            start, end = _days(at, self._zone, _FIRST_DAY[self.unit], _NEXT_FIRST_DAY[self.unit])
        found = start * _SECOND_NS, end * _SECOND_NS
        # Another thread may put its own here; either is right for some instant.
        object.__setattr__(self, "_last", found)
        return found

    def label(self, start_ns: int) -> str:
        """A window for sentences, such as "day 2026-01-05" or "week of 2026-01-05".

        Args:
            start_ns: Its start in unix nanoseconds.
        """
        local = _local(start_ns // _SECOND_NS, self._zone)
        match self.unit:
            case CalendarUnit.HOUR:
                is_twice = local.replace(fold=1 - local.fold).utcoffset() != local.utcoffset()
                return f"hour {local:%Y-%m-%d %H:%M}{_offset(local) if is_twice else ''}"
            case CalendarUnit.DAY:
                return f"day {local:%Y-%m-%d}"
            case CalendarUnit.WEEK:
                return f"week of {local:%Y-%m-%d}"
            case CalendarUnit.MONTH:
                return f"month {local:%Y-%m}"


@dataclass(frozen=True, slots=True)
class RollingWindow:
    """The stretch of a fixed length that ends now.

    Attributes:
        length_ns: Its length in nanoseconds.
        written: The length as the user wrote it.
    """

    length_ns: int
    written: str = field(default="", compare=False)

    def __str__(self) -> str:
        return self.written or f"{self.length_ns // _SECOND_NS}s"

    def label(self, start_ns: int) -> str:
        """The window for sentences, such as "last 15m"; it is the same whenever it starts."""
        return f"last {self}"


Window = CalendarWindow | RollingWindow


def parse_window(text: object, timezone: object = None) -> Window:
    """A window as a budgets file writes it.

    Args:
        text: "hour", "day", "week", "month", or a length from 1s to 366d, such as "15m".
        timezone: Name of the time zone of a calendar window; None: UTC.

    Raises:
        BudgetConfigError: One of them is not allowed; the error's key names it.
    """
    if isinstance(text, str) and text in list(CalendarUnit):
        zone = DEFAULT_TIMEZONE if timezone is None else timezone
        if not isinstance(zone, str):
            raise BudgetConfigError(_unknown_zone(zone), key="timezone")
        return CalendarWindow(CalendarUnit(text), zone)
    length = _LENGTH.fullmatch(text) if isinstance(text, str) else None
    seconds = int(length[1]) * _SECONDS_OF[length[2]] if length else 0
    if not isinstance(text, str) or not 1 <= seconds <= _LONGEST:
        raise BudgetConfigError(
            f"is {_short(text)}, allowed are hour, day, week, month, or a length from 1s to 366d "
            "that rolls, such as 15m, 24h or 7d",
            key="window",
        )
    if timezone is not None:
        raise BudgetConfigError(
            f"needs a calendar window (hour, day, week or month), and {text!r} rolls",
            key="timezone",
        )
    return RollingWindow(seconds * _SECOND_NS, text)


def optional_window(text: object, timezone: object) -> Window | None:
    """The same, where both may be left out.

    Raises:
        BudgetConfigError: One of them is not allowed, or there is a time zone alone.
    """
    if text is not None:
        return parse_window(text, timezone)
    if timezone is not None:
        raise BudgetConfigError(
            "needs a calendar window; write window: hour, day, week or month", key="timezone"
        )
    return None


def zone_of(window: Window | None) -> str | None:
    """The time zone that a budgets file must name for a window; None: it may leave it out."""
    if isinstance(window, CalendarWindow) and window.timezone != DEFAULT_TIMEZONE:
        return window.timezone
    return None


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise BudgetConfigError(_unknown_zone(name), key="timezone") from error


def _unknown_zone(name: object) -> str:
    known = {zone.lower(): zone for zone in available_timezones()}
    near = get_close_matches(str(name).lower()[:100], known, n=1, cutoff=0.75)
    guess = f"did you mean {known[near[0]]!r}; " if near else ""
    return (
        f"is {_short(name)}, {guess}allowed are names of the IANA database such as 'UTC', "
        "'Europe/Berlin' and 'America/New_York'"
    )


def _short(value: object) -> str:
    shown = repr(value) if isinstance(value, str | int | None) else f"a {type(value).__name__}"
    return shown if len(shown) <= 60 else f"{shown[:59]}…"  # noqa: PLR2004 - the width of a sentence


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _local(at: int, zone: ZoneInfo) -> datetime:
    return (_EPOCH + timedelta(seconds=at)).astimezone(zone)


def _utc_offset(at: int, zone: ZoneInfo) -> int:
    """What clocks in the zone are ahead of UTC by at a unix time, in seconds."""
    offset = _local(at, zone).utcoffset()
    return 0 if offset is None else int(offset.total_seconds())


def _offset(local: datetime) -> str:
    """The clock's offset from UTC as +HH:MM."""
    return local.isoformat()[19:25]


def _hour(at: int, zone: ZoneInfo) -> tuple[int, int]:
    """Hours start at full hours of the local clock; a change by a part of an hour ends one early."""
    offset = _utc_offset(at, zone)
    start = at - (at + offset) % _HOUR
    end = start + _HOUR
    if (_utc_offset(start, zone) - offset) % _HOUR:
        start = _change(start, at, zone)
    if (_utc_offset(end - 1, zone) - offset) % _HOUR:
        end = _change(at, end - 1, zone)
    return start, end


def _change(before: int, after: int, zone: ZoneInfo) -> int:
    """The first second at which clocks are as they are after, not as before: one change between."""
    ahead = _utc_offset(after, zone)
    while after - before > 1:
        middle = (before + after) // 2
        if _utc_offset(middle, zone) == ahead:
            after = middle
        else:
            before = middle
    return after


def _days(
    at: int, zone: ZoneInfo, first: Callable[[date], date], following: Callable[[date], date]
) -> tuple[int, int]:
    """The window of whole days that holds a unix time, by its first day and the one after it."""
    day = first(_local(at, zone).date())
    end = _midnight(following(day), zone)
    while end <= at:  # clocks that went back over midnight show a day that had already ended
        day = following(day)
        end = _midnight(following(day), zone)
    return _midnight(day, zone), end


def _midnight(day: date, zone: ZoneInfo) -> int:
    """Unix time at which a day starts: the first instant at which the clock shows it or a later."""
    wall = datetime(day.year, day.month, day.day, tzinfo=zone)
    at, other = (_unix(wall.replace(fold=fold)) for fold in (0, 1))
    if other < at:  # clocks skipped midnight at a change between the two
        return _change(other, at, zone)
    return at


def _unix(local: datetime) -> int:
    return (local - _EPOCH) // timedelta(seconds=1)


def _next_month(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1)


_FIRST_DAY: dict[CalendarUnit, Callable[[date], date]] = {
    CalendarUnit.DAY: lambda day: day,
    CalendarUnit.WEEK: lambda day: day - timedelta(days=day.weekday()),
    CalendarUnit.MONTH: lambda day: day.replace(day=1),
}
_NEXT_FIRST_DAY: dict[CalendarUnit, Callable[[date], date]] = {
    CalendarUnit.DAY: lambda day: day + timedelta(days=1),
    CalendarUnit.WEEK: lambda day: day + timedelta(days=7),
    CalendarUnit.MONTH: _next_month,
}
