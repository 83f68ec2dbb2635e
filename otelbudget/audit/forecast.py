"""What will be spent if the days go on as they did, and when budgets will be used up by then."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from otelbudget.audit.days import Ahead, Days, Interval, days_of, predict
from otelbudget.audit.keys import Keys, date_of
from otelbudget.audit.spend import Totals, group_calls
from otelbudget.budgets.config import Budget, LimitKind
from otelbudget.budgets.scopes import RUN, TRACE, Scope
from otelbudget.budgets.windows import DEFAULT_TIMEZONE, CalendarUnit, CalendarWindow
from otelbudget.store import sql
from otelbudget.store.store import Store

_load = partial(sql.load, "otelbudget.audit")

MIN_DAYS = 7
"""The fewest full days from which anything is said."""
_FARTHEST_DAYS = 366
_MOST_SCOPES = 100


class Prediction(msgspec.Struct, frozen=True):
    """What a window will have used by its end, in the unit of what is counted.

    Attributes:
        unit: Day, week or month.
        start: Start of the window in unix ns.
        end: Its end in unix ns.
        used: What was used of it so far.
        expected: What will have been used by its end.
        lower: Lower end of the interval.
        upper: Its upper end.
    """

    unit: CalendarUnit
    start: int
    end: int
    used: int
    expected: int
    lower: int
    upper: int


class Exhaustion(msgspec.Struct, frozen=True):
    """When a limit of a scope will be used up at the rate so far.

    Attributes:
        budget: Name of the budget.
        kind: What its limit counts.
        limit: The limit, in the unit of its kind.
        scope: Keys and values that it is counted by.
        window_start: Start of the current window in unix ns, None where it has none.
        usage: What was used of it, in the same unit.
        at: When usage will have come to the limit, unix ns; None: not before the window ends.
        earliest: When it may at the upper end of the interval, None as for `at`.
    """

    budget: str
    kind: LimitKind
    limit: int
    scope: Scope
    window_start: int | None
    usage: int
    at: int | None
    earliest: int | None


class Forecast(msgspec.Struct, frozen=True):
    """What will be spent if the days go on as they did.

    Attributes:
        as_of: The end of what was recorded in unix ns, None without times.
        full_days: Days that were recorded whole: all but the first and the last.
        why_not: Why nothing is predicted, None where it is.
        per_day_pusd: List cost of a full day on average, pico-USD.
        has_weekdays: Each weekday has a mean of its own.
        windows: The current day, week and month, in pico-USD.
        exhaustions: The limits that will be used up soonest first, those that will not be last.
        not_forecast: Why budgets are not among them, by name.
    """

    as_of: int | None
    full_days: int
    why_not: str | None = None
    per_day_pusd: int | None = None
    has_weekdays: bool = False
    windows: tuple[Prediction, ...] = ()
    exhaustions: tuple[Exhaustion, ...] = ()
    not_forecast: Mapping[str, str] = {}


class _Calendar(NamedTuple):
    """The days of a time zone from the first call to the last.

    Attributes:
        window: The zone's days.
        days: The days, the first and the last in part.
        as_of: End of the last call, unix ns.
    """

    window: CalendarWindow
    days: Sequence[tuple[int, int]]
    as_of: int

    @property
    def full(self) -> Sequence[tuple[int, int]]:
        """The days that were recorded whole."""
        return self.days[1:-1]

    def sums(self, by_date: Mapping[str, int]) -> Days:
        """What the full days used, where a date that is not there used nothing."""
        full = self.full
        used = [by_date.get(date_of(self.window, start), 0) for start, _ in full]
        return days_of(used, self.weekday(full[0][0]) if full else 0)

    def used_since(self, by_date: Mapping[str, int], start: int) -> int:
        """What was used from the start of a day on."""
        first = date_of(self.window, start)
        return sum(value for date, value in by_date.items() if date >= first)

    def ahead(self, until: int) -> Iterator[Ahead]:
        """The days to come, the first and the last of them in part."""
        at = self.as_of
        while at < until:
            start, end = self.window.bounds(at)
            stop = min(end, until)
            yield Ahead(self.weekday(start), at, stop, (stop - at) / (end - start))
            at = stop

    def weekday(self, at: int) -> int:
        """The day of the week, 0 is Monday."""
        week = CalendarWindow(CalendarUnit.WEEK, self.window.timezone)
        return (at - week.bounds(at)[0] + 43_200 * 10**9) // (86_400 * 10**9)


def _calendar(store: Store, timezone: str) -> _Calendar | None:
    first, as_of, _ = store.row(_load("call_period"))
    if first is None:
        return None
    window = CalendarWindow(CalendarUnit.DAY, timezone)
    days, at = [], first
    while at <= as_of:
        bounds = window.bounds(at)
        days.append(bounds)
        at = bounds[1]
    return _Calendar(window, days, as_of)


def forecast(
    store: Store, timezone: str = DEFAULT_TIMEZONE, budgets: Iterable[Budget] = ()
) -> Forecast:
    """What will be spent if the days go on as they did.

    Args:
        store: A store on which `build_model_calls` has run.
        timezone: Whose days, weeks and months are meant.
        budgets: Budgets of which is said when they will be used up.

    Raises:
        BudgetConfigError: There is no such time zone.
    """
    calendar = _calendar(store, timezone)
    if calendar is None:
        return Forecast(None, 0, "no call has a time")
    full_days = len(calendar.full)
    if full_days < MIN_DAYS:
        why_not = f"{MIN_DAYS} full days are needed, {full_days} are there"
        return Forecast(calendar.as_of, full_days, why_not)
    by_date = _used_by_date(store, timezone, (), _cost).get((), {})
    days = calendar.sums(by_date)
    exhaustions: list[Exhaustion] = []
    not_forecast: dict[str, str] = {}
    for budget in budgets:
        reason = _why_not(budget)
        if reason is None:
            exhaustions += _exhaustions(store, budget)
        else:
            not_forecast[budget.name] = reason
    exhaustions.sort(key=lambda each: (each.at is None, each.at, -each.usage / max(each.limit, 1)))
    return Forecast(
        calendar.as_of,
        full_days,
        None,
        round(sum(days.sums) / full_days),
        days.has_weekdays,
        tuple(_prediction(unit, calendar, by_date, days) for unit in _UNITS),
        tuple(exhaustions),
        not_forecast,
    )


_UNITS = (CalendarUnit.DAY, CalendarUnit.WEEK, CalendarUnit.MONTH)


def _prediction(
    unit: CalendarUnit, calendar: _Calendar, by_date: Mapping[str, int], days: Days
) -> Prediction:
    start, end = CalendarWindow(unit, calendar.window.timezone).bounds(calendar.as_of)
    used = calendar.used_since(by_date, start)
    rest = predict(days, list(calendar.ahead(end)))
    sums = Interval(*(used + each for each in rest))
    return Prediction(unit, start, end, used, *sums)


def _cost(totals: Totals) -> int:
    return int(totals.list_cost_pusd or 0)


_USED: Mapping[LimitKind, Callable[[Totals], int]] = {
    LimitKind.COST_USD: _cost,
    LimitKind.TOKENS: lambda totals: totals.input_tokens + totals.output_tokens,
    LimitKind.INPUT_TOKENS: lambda totals: totals.input_tokens,
    LimitKind.OUTPUT_TOKENS: lambda totals: totals.output_tokens,
    LimitKind.CACHE_READ_INPUT_TOKENS: lambda totals: totals.cache_read_input_tokens,
    LimitKind.CACHE_WRITE_INPUT_TOKENS: lambda totals: totals.cache_write_input_tokens,
    LimitKind.REASONING_OUTPUT_TOKENS: lambda totals: totals.reasoning_output_tokens,
    LimitKind.CALLS: lambda totals: totals.model_calls + totals.calls_without_usage,
}


def _why_not(budget: Budget) -> str | None:
    """Why a budget is not forecast, None where it is."""
    if budget.per is None or {TRACE, RUN, "process"} & {*budget.per}:
        return "it limits single runs, whatever a day brings"
    if budget.window is not None and (
        not isinstance(budget.window, CalendarWindow) or budget.window.unit is CalendarUnit.HOUR
    ):
        return "its window is no day, week or month"
    if not _USED.keys() & budget.limits.keys():
        return "it limits neither cost nor tokens nor calls"
    return None


def _used_by_date(
    store: Store,
    timezone: str,
    keys: Sequence[str],
    used: Callable[[Totals], int],
    where: Mapping[str, tuple[str, ...]] | None = None,
) -> Mapping[Scope, Mapping[str, int]]:
    """What each scope used on each day."""
    where = where or {}
    names = tuple(dict.fromkeys((*keys, *where, CalendarUnit.DAY.value)))
    found: dict[Scope, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for group in group_calls(store, Keys(names, timezone)).groups:
        if all(group.key[key] in values for key, values in where.items()):
            scope = tuple((key, group.key[key]) for key in keys)
            found[scope][group.key[CalendarUnit.DAY]] += used(group.totals)
    return found


def _exhaustions(store: Store, budget: Budget) -> Iterator[Exhaustion]:
    """When each limit of a budget will be used up, for the scopes that use most of it."""
    window = budget.window if isinstance(budget.window, CalendarWindow) else None
    timezone = window.timezone if window else DEFAULT_TIMEZONE
    calendar = _calendar(store, timezone)
    if calendar is None:
        return
    start, end = window.bounds(calendar.as_of) if window else (None, None)
    for kind, limit in budget.limits.items():
        if kind not in _USED:
            continue
        scopes = _used_by_date(store, timezone, budget.per or (), _USED[kind], budget.where)
        dearest = sorted(scopes.items(), key=lambda each: -sum(each[1].values()))[:_MOST_SCOPES]
        for scope, by_date in dearest:
            since = calendar.days[0][0] if start is None else start
            usage = calendar.used_since(by_date, since)
            ahead = list(calendar.ahead(end or calendar.as_of + _FARTHEST_DAYS * 86_400 * 10**9))
            days = calendar.sums(by_date)
            left = limit - usage
            yield Exhaustion(
                budget.name,
                kind,
                limit,
                scope,
                start,
                usage,
                _reached(days, ahead, left, lambda interval: interval.expected),
                _reached(days, ahead, left, lambda interval: interval.upper),
            )


def _reached(
    days: Days, ahead: Sequence[Ahead], left: int, of: Callable[[Interval], int]
) -> int | None:
    """When days to come will have used so much, unix ns; None: not in these days."""
    if not ahead or of(predict(days, ahead)) < left:
        return None
    low, high = 0, len(ahead)  # after `low` days it is not used up, after `high` days it is
    while high - low > 1:
        middle = (low + high) // 2
        is_used_up = of(predict(days, ahead[:middle])) >= left
        low, high = (low, middle) if is_used_up else (middle, high)
    last = ahead[low]
    before = of(predict(days, ahead[:low])) if low else 0
    after = of(predict(days, ahead[:high]))
    part = max(left - before, 0) / max(after - before, 1)
    return last.start + round(min(part, 1.0) * (last.end - last.start))
