"""The prices of one model over time, made from the rates of a price book."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from otelbudget.pricing.price import Price, PriceConfidence, Tier, TokenRates
from otelbudget.pricing.records import DatedRates, Rates

History = tuple[tuple[int, ...], tuple[Price | None, ...]]
"""Starts in unix nanoseconds, ascending, and the prices before, between and after them."""

UNKNOWN: History = ((), (None,))

NS_PER_DAY = 86_400 * 10**9
_EPOCH = date(1970, 1, 1)
_KNOWN_THEN = (PriceConfidence.EXACT, PriceConfidence.NORMALISED)

# The name of each rate in the file and in a price.
RATES: Mapping[str, str] = {
    "input": "input_pusd_per_token",
    "output": "output_pusd_per_token",
    "cache_read": "cache_read_pusd_per_token",
    "cache_write": "cache_write_pusd_per_token",
    "cache_write_1h": "cache_write_1h_pusd_per_token",
    "audio_input": "audio_input_pusd_per_token",
    "audio_cache_read": "audio_cache_read_pusd_per_token",
    "audio_output": "audio_output_pusd_per_token",
    "image_input": "image_input_pusd_per_token",
    "image_cache_read": "image_cache_read_pusd_per_token",
    "image_output": "image_output_pusd_per_token",
    "reasoning_output": "reasoning_output_pusd_per_token",
    "web_search": "pusd_per_web_search",
    "request": "pusd_per_request",
}


def start_ns(day: date) -> int:
    """00:00 UTC of a day in unix nanoseconds."""
    return (day - _EPOCH).days * NS_PER_DAY


def history_of(
    rates: Iterable[DatedRates], template: Price, *, undated_from_ns: int, stale_from_ns: int
) -> History:
    """The prices of a model over time.

    Args:
        rates: Its rates by ascending first day.
        template: Provider, model, confidence and source of the prices.
        undated_from_ns: From when on rates without a first day are known to hold.
        stale_from_ns: From when on the book is too old to be sure.
    """
    prices = [(each.valid_from, _price(each, template)) for each in rates]
    if not prices:
        return UNKNOWN
    first = prices[0][1]
    before = (
        first
        if first.confidence in (PriceConfidence.FREE, PriceConfidence.OVERRIDE)
        else replace(first, confidence=PriceConfidence.BEFORE_HISTORY)
    )
    steps = [(undated_from_ns if day is None else start_ns(day), price) for day, price in prices]
    if len(steps) > 1 and steps[0][0] >= steps[1][0]:
        # What is undated was replaced before anything is known of it.
        del steps[0]
    return stale_after(_joined(before, steps), stale_from_ns)


def stale_after(history: History, stale_from_ns: int) -> History:
    """The same prices, with doubt about those from a time on."""
    starts, prices = history
    then = prices[bisect_right(starts, stale_from_ns)]
    steps = list(zip(starts, prices[1:], strict=True))
    return _joined(
        prices[0],
        [
            *(step for step in steps if step[0] < stale_from_ns),
            (stale_from_ns, _stale(then)),
            *((start, _stale(price)) for start, price in steps if start > stale_from_ns),
        ],
    )


def _joined(before: Price | None, steps: Iterable[tuple[int, Price | None]]) -> History:
    """A history in which each step differs from the one before it."""
    starts: list[int] = []
    prices = [before]
    for start, price in steps:
        if price != prices[-1]:
            starts.append(start)
            prices.append(price)
    return tuple(starts), tuple(prices)


def _stale(price: Price | None) -> Price | None:
    if price is None or price.confidence not in _KNOWN_THEN:
        return price
    return replace(price, confidence=PriceConfidence.STALE)


def _price(rates: DatedRates, template: Price) -> Price:
    is_free = rates.input == 0 and rates.output == 0
    return replace(
        template,
        confidence=PriceConfidence.FREE if is_free else template.confidence,
        valid_from=rates.valid_from,
        tiers=tuple(
            Tier(above_input_tokens=tier.above_input_tokens, **token_rates(tier))
            for tier in rates.tiers
        ),
        **token_rates(rates),
    )


def token_rates(rates: Rates) -> dict[str, Any]:
    """The arguments of `TokenRates` for the rates of a book."""
    # Embedding models have no output and no rate for it.
    at_least_zero = ("input", "output", "web_search", "request")
    return {
        argument: (getattr(rates, name) or 0) if name in at_least_zero else getattr(rates, name)
        for name, argument in RATES.items()
    }


def replaced(listed: History, rates: Iterable[DatedRates], template: Price) -> History:
    """List prices, and from the first day of the user's own rates on these."""
    own = [(each.valid_from, _price(each, template)) for each in rates]
    first_day, first = own[0]
    if first_day is None:
        before: Price | None = first
        kept = []
    else:
        starts, prices = listed
        kept = [
            step for step in zip(starts, prices[1:], strict=True) if step[0] < start_ns(first_day)
        ]
        before = prices[0] or replace(first, confidence=PriceConfidence.BEFORE_HISTORY)
    return _joined(before, [*kept, *((start_ns(day), price) for day, price in own if day)])


def multiplied(history: History, factor: Decimal) -> History:
    """The same prices times a factor, which the user has stated."""
    if factor == 1:
        return history
    starts, prices = history
    return starts, tuple(_multiplied(price, factor) for price in prices)


def as_override(history: History) -> History:
    """The same prices for a name that the user has declared."""
    starts, prices = history
    return starts, tuple(_declared(price) for price in prices)


def _multiplied(price: Price | None, factor: Decimal) -> Price | None:
    if price is None or price.confidence is PriceConfidence.FREE:
        return price
    tiers = tuple(replace(tier, **_scaled(tier, factor)) for tier in price.tiers)
    source = f"{price.source}, times {factor}"
    return _declared(replace(price, tiers=tiers, source=source, **_scaled(price, factor)))


def _scaled(rates: TokenRates, factor: Decimal) -> dict[str, Any]:
    """A price's rates times a factor, rounded half even to whole pico-USD."""
    return {
        argument: int((rate * factor).to_integral_value(rounding=ROUND_HALF_EVEN))
        for argument in RATES.values()
        if (rate := getattr(rates, argument)) is not None
    }


def _declared(price: Price | None) -> Price | None:
    if price is None or price.confidence not in _KNOWN_THEN:
        return price
    return replace(price, confidence=PriceConfidence.OVERRIDE)
