"""Forecasts, for programs and for people."""

from collections.abc import Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from budget_audit.formats.tables import MAX_ROWS, more, titled_table
from budget_audit.formats.values import (
    amount,
    money,
    optional_money,
    short_amount,
    short_money,
    time,
)
from otelbudget.audit.days import COVERAGE
from otelbudget.audit.forecast import Exhaustion, Forecast, Prediction
from otelbudget.budgets.windows import CalendarWindow
from otelbudget.errors import described

METHOD = "Student's t interval of a sum of days like the full days before; no trend is assumed"


def document(found: Forecast) -> dict[str, Any]:
    """The object under "forecast" of `audit --forecast`."""
    return {
        "as_of": time(found.as_of),
        "full_days": found.full_days,
        "why_not": found.why_not,
        "method": METHOD,
        "confidence": COVERAGE,
        "by_weekday": found.has_weekdays,
        "list_cost_usd_per_day": optional_money(found.per_day_pusd),
        "windows": [_window(each) for each in found.windows],
        "limits": [_limit(each) for each in found.exhaustions],
        "not_forecast": [
            {"budget": name, "reason": reason} for name, reason in found.not_forecast.items()
        ],
    }


def _window(each: Prediction) -> dict[str, Any]:
    return {
        "window": str(each.unit),
        "start": time(each.start),
        "end": time(each.end),
        "used_usd": money(each.used),
        "expected_usd": money(each.expected),
        "interval": [money(each.lower), money(each.upper)],
    }


def _limit(each: Exhaustion) -> dict[str, Any]:
    return {
        "budget": each.budget,
        "kind": str(each.kind),
        "limit": amount(each.kind, each.limit),
        "scope": dict(each.scope),
        "window_start": time(each.window_start),
        "usage": amount(each.kind, each.usage),
        "used_up_at": time(each.at),
        "used_up_at_the_earliest": time(each.earliest),
    }


def tables(found: Forecast, timezone: str) -> list[RenderableType]:
    """What windows will have used by their end, and when limits will be used up."""
    if found.why_not is not None:
        return ["", Text(f"No forecast: {found.why_not}.", style="dim")]
    return [
        "",
        _windows(found, timezone),
        Text(_basis(found), style="dim"),
        *(_limits(found) if found.exhaustions else []),
        *(
            Text(f"Budget {name}: {reason}.", style="dim")
            for name, reason in found.not_forecast.items()
        ),
    ]


def _windows(found: Forecast, timezone: str) -> Table:
    table = titled_table("window", title=f"Forecast, {short_money(found.per_day_pusd)} a day")
    for name in ("so far", "by its end", f"{100 * COVERAGE:.0f} % interval"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in found.windows:
        table.add_row(
            CalendarWindow(each.unit, timezone).label(each.start),
            short_money(each.used),
            Text(short_money(each.expected), style="bold"),
            f"{short_money(each.lower)} to {short_money(each.upper)}",
        )
    return table


def _basis(found: Forecast) -> str:
    like = "their weekdays" if found.has_weekdays else "them"
    return (
        f"As of {_minute(found.as_of)} UTC, by {found.full_days} full days and days to come like "
        f"{like}; no trend is assumed."
    )


def _limits(found: Forecast) -> Sequence[RenderableType]:
    table = titled_table("budget", "scope", title="When limits are used up, at this rate")
    for name in ("limit", "used", "used up", "earliest"):
        table.add_column(name, justify="right")
    for each in found.exhaustions[:MAX_ROWS]:
        table.add_row(
            each.budget,
            described(dict(each.scope), None),
            short_amount(each.kind, each.limit),
            short_amount(each.kind, each.usage),
            _when(each, each.at),
            _when(each, each.earliest),
        )
    return ["", table, *more(found.exhaustions, MAX_ROWS)]


def _when(each: Exhaustion, at: int | None) -> str:
    if each.usage >= each.limit:
        return "is used up"
    if at is None:
        return "not within a year" if each.window_start is None else "not in this window"
    return _minute(at)


def _minute(at: int | None) -> str:
    return (time(at) or "?")[:16].replace("T", " ")
