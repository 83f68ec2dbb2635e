"""Compile the installed genai-prices into the packaged price book.

    python -m otelbudget.pricing.compile_book --date 2026-11-22

The same genai-prices and the same date give the same book, byte for byte. Rates become integers of
pico-USD per token (USD per million tokens * 1,000,000), rounded half even once, here.
"""

import argparse
import hashlib
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from importlib.metadata import version
from pathlib import Path
from typing import assert_never

import msgspec
from genai_prices import types as source
from genai_prices.data import providers as source_providers

from otelbudget.pricing.corrections import CORRECTIONS, STANDARD_OUTSIDE_WINDOWS, corrected
from otelbudget.pricing.files import encode_book
from otelbudget.pricing.records import (
    SCHEMA,
    BookFile,
    Clause,
    DatedRates,
    ModelRow,
    ProviderRow,
    TierRates,
)
from otelbudget.pricing.second_opinion import Listed

SOURCE = "genai-prices"

_Value = Decimal | source.TieredPrices | None

_UNITS = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
    "audio_input": "input_audio_mtok",
    "audio_cache_read": "cache_audio_read_mtok",
    "audio_output": "output_audio_mtok",
    "image_input": "input_image_mtok",
    "image_cache_read": "cache_image_read_mtok",
    "image_output": "output_image_mtok",
    "reasoning_output": "output_reasoning_mtok",
    "web_search": "web_searches_kcount",
    "request": "requests_kcount",
}
_PUSD_PER_USD = 10**12

_VARIANTS = {
    ("service_tier", "flex"): "flex",
    ("service_tier", "priority"): "priority",
    ("service_tier", "fast"): "fast",
    ("speed", "fast"): "fast",
    ("processing", "batch"): "batch",
}
"""Conditions of the source's variants that are tiers of service, and the tier's name in the book.

Left out: "default", which is the standard price, and conditions that no span tells of (the search
type of Perplexity, the route of OpenRouter).
"""


def compile_book(compiled_on: date) -> BookFile:
    """The price book of the installed genai-prices.

    Args:
        compiled_on: The day to put into the book's header.
    """
    uncorrected = tuple(_provider_row(provider) for provider in source_providers)
    rows = corrected(uncorrected)
    content = msgspec.json.encode(rows, order="sorted")
    return BookFile(
        schema=SCHEMA,
        source=SOURCE,
        version=source_version(),
        compiled_on=compiled_on,
        history_from=min(_start_dates(uncorrected)),
        content_hash=hashlib.sha256(content).hexdigest(),
        providers=rows,
    )


def source_version() -> str:
    """Version of the installed genai-prices."""
    return version(SOURCE)


def source_rows(at_ns: int) -> Iterator[Listed]:
    """Every model that genai-prices itself prices by token at a time, by the name of its row."""
    at = datetime.fromtimestamp(at_ns // 10**9, UTC)
    for provider in source_providers:
        for model in provider.models:
            rates = _rates(vars(model.get_prices(at)), 0)
            if "input" in rates and provider.find_model(model.id) is model:
                yield Listed(
                    provider.id,
                    model.id,
                    rates["input"],
                    rates.get("output", 0),
                    rates.get("cache_read"),
                )


def unexplained_windows() -> list[str]:
    """Models priced by time of day that nobody has judged yet, as "provider/model"."""
    judged = {(each.provider, each.row) for each in CORRECTIONS} | STANDARD_OUTSIDE_WINDOWS
    return [
        f"{provider.id}/{model.id}"
        for provider in source_providers
        for model in provider.models
        if any(_is_window(price) for price in _conditional_prices(model))
        and (provider.id, model.id) not in judged
    ]


def _start_dates(providers: Iterable[ProviderRow]) -> Iterator[date]:
    for provider in providers:
        for model in provider.models:
            for rates in model.rates:
                if rates.valid_from is not None:
                    yield rates.valid_from


def _provider_row(provider: source.Provider) -> ProviderRow:
    return ProviderRow(
        id=provider.id,
        models=tuple(_model_row(model) for model in provider.models),
        provider_match=_optional_clause(provider.provider_match),
        model_match=_optional_clause(provider.model_match),
        fallback=tuple(provider.fallback_model_providers or ()),
    )


def _model_row(model: source.ModelInfo) -> ModelRow:
    return ModelRow(
        id=model.id,
        match=_clause(model.match),
        rates=_standard_rates(model),
        variants=dict(_variants(model)),
        is_deprecated=bool(model.deprecated),
    )


def _standard_rates(model: source.ModelInfo) -> tuple[DatedRates, ...]:
    prices = _dated_prices(model)
    if _is_free(model.id, prices):
        return (DatedRates(input=0, output=0),)
    return _priced(_dated_rates(day, vars(price)) for day, price in prices)


def _variants(model: source.ModelInfo) -> Iterator[tuple[str, tuple[DatedRates, ...]]]:
    """The rates of each tier of service from the first day on which the source knows them."""
    standard = _dated_prices(model)
    by_tier: dict[str, list[source.PriceVariant]] = {}
    for variant in model.price_variants or ():
        for condition in variant.when.items():
            if len(variant.when) == 1 and condition in _VARIANTS:
                by_tier.setdefault(_VARIANTS[condition], []).append(variant)
    for tier, variants in sorted(by_tier.items()):
        first = min(_first_day(variant) or date.min for variant in variants)
        days = {_first_day(variant) or date.min for variant in variants}
        days |= {day for day, _ in standard if day is not None and day > first}
        rates = _priced(
            _dated_rates(None if day == date.min else day, _merged(standard, variants, day))
            for day in sorted(days)
        )
        if rates:
            yield tier, rates


def _first_day(variant: source.PriceVariant) -> date | None:
    constraint = variant.constraint
    return constraint.start_date if isinstance(constraint, source.StartDateConstraint) else None


def _merged(
    standard: Sequence[tuple[date | None, source.ModelPrice]],
    variants: Iterable[source.PriceVariant],
    day: date,
) -> dict[str, _Value]:
    """Prices on a day: the variants', the first that names a unit deciding, else the standard."""
    begun = [price for start, price in standard if start is None or start <= day]
    merged: dict[str, _Value] = dict(vars(begun[-1] if begun else standard[0][1]))
    overrides: dict[str, _Value] = {}
    for variant in variants:
        if (_first_day(variant) or date.min) <= day:
            for unit, value in vars(variant.prices).items():
                if value is not None:
                    overrides.setdefault(unit, value)
    return merged | overrides


def _priced(rows: Iterable[DatedRates]) -> tuple[DatedRates, ...]:
    """The rows that have a price for tokens, the earliest first."""
    priced = (row for row in rows if row.input is not None)
    return tuple(sorted(priced, key=lambda row: row.valid_from or date.min))


def _dated_prices(model: source.ModelInfo) -> list[tuple[date | None, source.ModelPrice]]:
    """The source's prices by first day, those of certain hours left out."""
    return [
        (
            price.constraint.start_date
            if isinstance(price.constraint, source.StartDateConstraint)
            else None,
            price.prices,
        )
        for price in _conditional_prices(model)
        if not _is_window(price)
    ]


def _conditional_prices(model: source.ModelInfo) -> Sequence[source.ConditionalPrice]:
    if isinstance(model.prices, source.ModelPrice):
        return [source.ConditionalPrice(prices=model.prices)]
    return model.prices


def _is_window(price: source.ConditionalPrice) -> bool:
    return isinstance(price.constraint, source.TimeOfDateConstraint)


def _is_free(model_id: str, prices: Iterable[tuple[date | None, source.ModelPrice]]) -> bool:
    """Whether the source leaves the price out because there is none to pay."""
    has_no_price = all(value is None for _, price in prices for value in vars(price).values())
    return has_no_price and model_id.endswith(":free")


def _dated_rates(valid_from: date | None, prices: Mapping[str, _Value]) -> DatedRates:
    starts = sorted(
        {
            tier.start
            for unit in _UNITS.values()
            if isinstance(value := prices.get(unit), source.TieredPrices)
            for tier in value.tiers
        }
    )
    return DatedRates(
        valid_from=valid_from,
        tiers=tuple(
            TierRates(above_input_tokens=start, **_rates(prices, start + 1)) for start in starts
        ),
        **_rates(prices, 0),
    )


def _rates(prices: Mapping[str, _Value], input_tokens: int) -> dict[str, int]:
    """Rates in pico-USD of a request with so many input tokens, those that are stated."""
    rates = {}
    for name, unit in _UNITS.items():
        value = prices.get(unit)
        if isinstance(value, source.TieredPrices):
            value = _tier_price(value, input_tokens)
        if value is not None:
            per = 1_000 if unit.endswith("_kcount") else 1_000_000
            rates[name] = _pusd_each(value, per)
    return rates


def _pusd_each(price_usd: Decimal, per: int) -> int:
    """A price of so many units as pico-USD of one, rounded half even."""
    return int((price_usd * (_PUSD_PER_USD // per)).to_integral_value(rounding=ROUND_HALF_EVEN))


def _tier_price(tiered: source.TieredPrices, input_tokens: int) -> Decimal:
    reached = [tier.price for tier in tiered.tiers if input_tokens > tier.start]
    return reached[-1] if reached else tiered.base


def _optional_clause(match: source.MatchLogic | None) -> Clause | None:
    return None if match is None else _clause(match)


def _clause(match: source.MatchLogic) -> Clause:
    match match:
        case source.ClauseEquals():
            clause = Clause(equals=match.equals.lower())
        case source.ClauseStartsWith():
            clause = Clause(starts_with=match.starts_with.lower())
        case source.ClauseEndsWith():
            clause = Clause(ends_with=match.ends_with.lower())
        case source.ClauseContains():
            clause = Clause(contains=match.contains.lower())
        case source.ClauseRegex():
            clause = Clause(regex=match.regex)
        case source.ClauseOr():
            clause = Clause(any_of=tuple(_clause(part) for part in match.or_))
        case source.ClauseAnd():
            clause = Clause(all_of=tuple(_clause(part) for part in match.and_))
        case _:
            assert_never(match)
    return clause


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the book; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--date", required=True, type=date.fromisoformat, help="day of compiling")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("book.json.gz"))
    options = parser.parse_args(arguments)
    options.output.write_bytes(encode_book(compile_book(options.date)))
    for name in unexplained_windows():
        sys.stderr.write(
            f"{name} is priced by time of day, which the book leaves out; judge it and add it to "
            "CORRECTIONS or STANDARD_OUTSIDE_WINDOWS in corrections.py\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
