"""Prices as JSON objects and tables."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from budget_audit.formats.values import money, time
from otelbudget.pricing.price import Price, TokenRates

_TOKENS = 1_000_000
_REQUESTS = 1_000

# Key in JSON and in a prices file, attribute of a price, and units that the key is for.
_RATES = (
    ("input_usd_per_mtok", "input_pusd_per_token", _TOKENS),
    ("output_usd_per_mtok", "output_pusd_per_token", _TOKENS),
    ("cache_read_usd_per_mtok", "cache_read_pusd_per_token", _TOKENS),
    ("cache_write_usd_per_mtok", "cache_write_pusd_per_token", _TOKENS),
    ("cache_write_1h_usd_per_mtok", "cache_write_1h_pusd_per_token", _TOKENS),
    ("audio_input_usd_per_mtok", "audio_input_pusd_per_token", _TOKENS),
    ("audio_cache_read_usd_per_mtok", "audio_cache_read_pusd_per_token", _TOKENS),
    ("audio_output_usd_per_mtok", "audio_output_pusd_per_token", _TOKENS),
    ("image_input_usd_per_mtok", "image_input_pusd_per_token", _TOKENS),
    ("image_cache_read_usd_per_mtok", "image_cache_read_pusd_per_token", _TOKENS),
    ("image_output_usd_per_mtok", "image_output_pusd_per_token", _TOKENS),
    ("reasoning_output_usd_per_mtok", "reasoning_output_pusd_per_token", _TOKENS),
    ("web_search_usd_per_1000", "pusd_per_web_search", _REQUESTS),
    ("request_usd_per_1000", "pusd_per_request", _REQUESTS),
)
_ALWAYS = 4


class Shown(NamedTuple):
    """A price, and what was asked.

    Attributes:
        provider: Provider that was asked for, or the one found.
        model: Model that was asked for.
        at_ns: Time of the price, unix nanoseconds.
        price: The price.
        service_tiers: Prices in other tiers of service, by tier.
    """

    provider: str
    model: str
    at_ns: int
    price: Price
    service_tiers: Mapping[str, Price]


class Difference(NamedTuple):
    """A model that another price table prices otherwise.

    Attributes:
        provider: Provider as that table names it.
        model: Model as that table names it.
        matched: The row of the book.
        ours: Rates of input, output and cache reads in pico-USD per token; None: not stated.
        theirs: The same of the other table.
    """

    provider: str | None
    model: str
    matched: str
    ours: tuple[int, int, int | None]
    theirs: tuple[int, int, int | None]


class Comparison(NamedTuple):
    """Two price tables side by side.

    Attributes:
        ours: Name and version of the book's source.
        ours_dated: Day the book was compiled.
        theirs: Name and version of the other table.
        theirs_dated: When its prices were last brought up to date, None where it does not say.
        same: Models that both price alike.
        not_in_book: Models that only the other table prices.
        differences: Models that they price differently.
    """

    ours: str
    ours_dated: str
    theirs: str
    theirs_dated: str | None
    same: int
    not_in_book: int
    differences: Sequence[Difference]


def show(shown: Shown) -> dict[str, Any]:
    """The object of `budget-audit prices show --format json`."""
    price = shown.price
    return {
        "schema": "otelbudget.prices/1",
        "provider": shown.provider,
        "model": shown.model,
        "at": time(shown.at_ns),
        "matched": price.matched,
        "confidence": str(price.confidence),
        "source": price.source,
        "valid_from": _day(price.valid_from),
        "service_tier": price.service_tier,
        "rates": _rates(price),
        "tiers": [
            {"above_input_tokens": tier.above_input_tokens, "rates": _rates(tier)}
            for tier in price.tiers
        ],
        "service_tiers": {
            name: {
                "confidence": str(other.confidence),
                "valid_from": _day(other.valid_from),
                "rates": _rates(other),
            }
            for name, other in shown.service_tiers.items()
        },
    }


def show_table(shown: Shown) -> RenderableType:
    """A price for people: what it is, where it comes from, its rates."""
    price = shown.price
    since = f", since {_day(price.valid_from)}" if price.valid_from else ""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("rate")
    columns: list[tuple[str, TokenRates]] = [(price.service_tier or "standard", price)]
    columns += [(f"above {tier.above_input_tokens:,} tokens", tier) for tier in price.tiers]
    columns += list(shown.service_tiers.items())
    for name, _ in columns:
        table.add_column(name, justify="right")
    for key, attribute, units in _RATES:
        cells = [_cell(getattr(rates, attribute), units) for _, rates in columns]
        if any(cells):
            table.add_row(key, *cells)
    return Group(
        Text.assemble((price.matched, "bold"), f" ({price.confidence}{since})"),
        Text(f"source: {price.source}", style="dim"),
        "",
        table,
    )


def show_rows(shown: Shown) -> list[dict[str, Any]]:
    """The rates of a price as rows: standard, larger requests, other tiers of service."""
    price = shown.price
    start = {"provider": shown.provider, "model": shown.model, "matched": price.matched}
    rows: list[tuple[str, int, TokenRates]] = [(price.service_tier or "standard", 0, price)]
    rows += [
        (price.service_tier or "standard", tier.above_input_tokens, tier) for tier in price.tiers
    ]
    rows += [(name, 0, other) for name, other in shown.service_tiers.items()]
    return [
        {**start, "service_tier": name, "above_input_tokens": above, **_all_rates(rates)}
        for name, above, rates in rows
    ]


def diff(comparison: Comparison) -> dict[str, Any]:
    """The object of `budget-audit prices diff --format json`."""
    return {
        "schema": "otelbudget.prices-diff/1",
        "ours": {"source": comparison.ours, "dated": comparison.ours_dated},
        "theirs": {"source": comparison.theirs, "dated": comparison.theirs_dated},
        "same": comparison.same,
        "not_in_book": comparison.not_in_book,
        "differences": diff_rows(comparison),
    }


def diff_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """Each model that is priced differently."""
    return [
        {
            "provider": each.provider,
            "model": each.model,
            "matched": each.matched,
            **_triple("ours", each.ours),
            **_triple("theirs", each.theirs),
        }
        for each in comparison.differences
    ]


def diff_table(comparison: Comparison) -> RenderableType:
    """Two price tables side by side, for people."""
    table = Table(
        title="USD per million tokens: input / output / cache read",
        title_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        header_style="bold",
    )
    for name in ("model", "ours", "theirs"):
        table.add_column(name, justify="left" if name == "model" else "right")
    for each in comparison.differences:
        table.add_row(f"{each.provider}: {each.model}", _slashed(each.ours), _slashed(each.theirs))
    dated = comparison.theirs_dated or "not dated"
    headline = Text.assemble(
        (f"{len(comparison.differences):,} models differ", "bold"),
        f", {comparison.same:,} are alike, {comparison.not_in_book:,} are not in the book",
    )
    return Group(
        headline,
        Text(f"ours: {comparison.ours} ({comparison.ours_dated})", style="dim"),
        Text(f"theirs: {comparison.theirs} ({dated})", style="dim"),
        "",
        *((table,) if comparison.differences else ()),
    )


def _rates(rates: TokenRates) -> dict[str, str | None]:
    """The rates that are stated; the first four always, null where they are not."""
    return {
        key: value
        for position, (key, value) in enumerate(_all_rates(rates).items())
        if position < _ALWAYS or value is not None
    }


def _all_rates(rates: TokenRates) -> dict[str, str | None]:
    return {
        key: _cell(getattr(rates, attribute), units) or None for key, attribute, units in _RATES
    }


def _cell(rate: int | None, units: int) -> str:
    """A rate in US dollars; "" where there is none, which a charge of 0 per request is too."""
    return "" if rate is None or (rate == 0 and units == _REQUESTS) else money(rate * units)


def _triple(prefix: str, rates: tuple[int, int, int | None]) -> dict[str, str | None]:
    keys = [key for key, _, _ in _RATES[:3]]
    values = [None if rate is None else money(rate * _TOKENS) for rate in rates]
    return {f"{prefix}_{key}": value for key, value in zip(keys, values, strict=True)}


def _slashed(rates: tuple[int, int, int | None]) -> str:
    return " / ".join("-" if rate is None else money(rate * _TOKENS) for rate in rates)


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
