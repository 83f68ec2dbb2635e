"""Numbers and times as text, the same in every format."""

from datetime import UTC, datetime
from decimal import Decimal

from otelbudget.budgets.config import LimitKind
from otelbudget.budgets.values import written_limit
from otelbudget.errors import display_usd
from otelbudget.pricing.billing import usd

_NS = 10**9


def money(amount_pusd: int) -> str:
    """Pico-USD as an exact decimal string of USD with at least two decimals."""
    return display_usd(usd(amount_pusd))


def optional_money(amount_pusd: int | None) -> str | None:
    """As `money`; None stays None: what is unknown is not zero."""
    return None if amount_pusd is None else money(amount_pusd)


def decimal_money(amount_usd: Decimal | None) -> str | None:
    """USD as an exact decimal string; None stays None."""
    return None if amount_usd is None else display_usd(amount_usd)


def amount(kind: LimitKind, value: int) -> str:
    """A limit or usage: USD for "cost_usd", seconds, else a count."""
    return str(written_limit(kind, value))


def time(unix_nano: int | None) -> str | None:
    """Unix nanoseconds as RFC 3339 in UTC with nanoseconds; None stays None."""
    if unix_nano is None:
        return None
    seconds, nanos = divmod(unix_nano, _NS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanos:09d}Z"


def day(unix_nano: int | None) -> str:
    """Unix nanoseconds as a date in UTC; "?" for None."""
    return (time(unix_nano) or "?")[:10]


def short_money(amount_pusd: int | None) -> str:
    """Pico-USD for people: two decimals from a dollar on, else three significant digits."""
    if amount_pusd is None:
        return "unknown"
    value = usd(amount_pusd)
    if value == 0:
        return "$0.00"
    if abs(value) >= 1:
        return f"${value:,.2f}"
    return f"${display_usd(round(value, 2 - value.adjusted()))}"


def short_amount(kind: LimitKind, value: int) -> str:
    """A limit or usage for people."""
    match kind:
        case LimitKind.COST_USD:
            return short_money(value)
        case LimitKind.SECONDS:
            return f"{amount(kind, value)} seconds"
        case _:
            return f"{value:,} {kind}"
