"""Numbers and times as text, the same in every format."""

from decimal import Decimal

from otelbudget.budgets.config import Budget, LimitKind
from otelbudget.budgets.scopes import Scope
from otelbudget.budgets.values import written_limit
from otelbudget.budgets.windows import CalendarWindow
from otelbudget.errors import described, display_usd, unit
from otelbudget.genai.times import rfc3339
from otelbudget.pricing.billing import usd


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
    return None if unix_nano is None else rfc3339(unix_nano)


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
    """A limit or usage for people, money rounded."""
    return short_money(value) if kind is LimitKind.COST_USD else exact_amount(kind, value)


def exact_amount(kind: LimitKind, value: int) -> str:
    """A limit or usage for people with its unit: "0.50 USD", "20,000 tokens" or "1 call"."""
    match kind:
        case LimitKind.COST_USD:
            return f"{money(value)} USD"
        case LimitKind.SECONDS:
            seconds = amount(kind, value)
            return "1 second" if seconds == "1" else f"{seconds} seconds"
        case _:
            return counted(value, unit(kind).removesuffix("s"))


def counted(count: int, noun: str) -> str:
    """A number of things for people: "1 call", "2,000 calls"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def one_line(text: str) -> str:
    """Text of users in one line, for tables and sentences: what is no printable character is a blank."""
    if text.isprintable():
        return text
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def scope_and_window(scope: Scope, budget: Budget, window_start: int | None) -> str:
    """A scope for people: "tenant.id acme, day 2026-11-22 Europe/Berlin".

    Args:
        scope: Keys and values that it is counted by.
        budget: What counts it.
        window_start: Start of its window in unix ns, None where it has none or rolls.
    """
    window = budget.window
    label = None if window is None else window.label(window_start or 0)
    if isinstance(window, CalendarWindow):
        label = f"{label} {window.timezone}"
    return one_line(described(dict(scope), label))
