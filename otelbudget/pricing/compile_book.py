"""Compile the installed genai-prices into the packaged price book.

    python -m otelbudget.pricing.compile_book --date 2026-11-22

The same genai-prices and the same date give the same book, byte for byte. Rates become integers of
pico-USD per token (USD per million tokens * 1,000,000), rounded half even once, here.
"""

import argparse
import gzip
import hashlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from importlib.metadata import version
from pathlib import Path
from typing import assert_never

import msgspec
from genai_prices import types as source
from genai_prices.data import providers as source_providers

from otelbudget.pricing.records import (
    SCHEMA,
    BookFile,
    Clause,
    DatedRates,
    ModelRow,
    ProviderRow,
    Rates,
    TierRates,
)

_UNITS = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
}


def _per_mtok(
    valid_from: date | None, input_usd: str, output_usd: str, cache_read_usd: str
) -> DatedRates:
    return DatedRates(
        valid_from=valid_from,
        input=_pusd_per_token(Decimal(input_usd)),
        output=_pusd_per_token(Decimal(output_usd)),
        cache_read=_pusd_per_token(Decimal(cache_read_usd)),
    )


def _pusd_per_token(usd_per_mtok: Decimal) -> int:
    return int((usd_per_mtok * 1_000_000).to_integral_value(rounding=ROUND_HALF_EVEN))


_DEEPSEEK_CHAT_AND_REASONER = (
    _per_mtok(date(2025, 9, 5), "0.56", "1.68", "0.07"),
    _per_mtok(date(2025, 9, 29), "0.28", "0.42", "0.028"),
    _per_mtok(date(2026, 4, 24), "0.14", "0.28", "0.0028"),
)

CORRECTIONS = {
    # genai-prices 0.2.3 gives these two their night discount of 2025-02-26 to 2025-09-05 on every
    # date, and no later price. Here: the standard price, then each change.
    # Source: https://api-docs.deepseek.com/quick_start/pricing as of 2025-09-01 (the price list
    # from 2025-09-05 16:00 UTC, "cancel the nighttime discount"), the news of 2025-09-29
    # (V3.2-Exp), and the release of V4 on 2026-04-24, whose Flash both names have meant since.
    ("deepseek", "deepseek-chat"): (
        _per_mtok(None, "0.27", "1.10", "0.07"),
        *_DEEPSEEK_CHAT_AND_REASONER,
    ),
    ("deepseek", "deepseek-reasoner"): (
        _per_mtok(None, "0.55", "2.19", "0.14"),
        *_DEEPSEEK_CHAT_AND_REASONER,
    ),
}
"""Rates that replace a row of the source that is wrong, by provider and model, with the reason."""

STANDARD_OUTSIDE_WINDOWS = frozenset(
    {
        # Off-peak is the standard price: peak is seven hours on working days, twice the price, and
        # only since 2026-08-17, which a window of genai-prices 0.2.3 cannot say. Without its
        # windows the row holds the right off-peak price of every date.
        # Source: https://api-docs.deepseek.com/quick_start/pricing as of 2026-09-11.
        ("deepseek", "deepseek-flash"),
        ("deepseek", "deepseek-v4-flash"),
        ("deepseek", "deepseek-v4-pro"),
    }
)
"""Models whose prices by time of day are left out on purpose, by provider and model."""


def compile_book(compiled_on: date) -> BookFile:
    """The price book of the installed genai-prices.

    Args:
        compiled_on: The day to put into the book's header.
    """
    rows = tuple(_provider_row(provider) for provider in source_providers)
    content = msgspec.json.encode(rows, order="sorted")
    return BookFile(
        schema=SCHEMA,
        source="genai-prices",
        version=version("genai-prices"),
        compiled_on=compiled_on,
        history_from=min(_start_dates(rows)),
        content_hash=hashlib.sha256(content).hexdigest(),
        providers=rows,
    )


def encode_book(book: BookFile) -> bytes:
    """The book as gzipped JSON with sorted keys and no time in the gzip header."""
    return gzip.compress(msgspec.json.encode(book, order="sorted"), compresslevel=9, mtime=0)


def unexplained_windows() -> list[str]:
    """Models priced by time of day that nobody has judged yet, as "provider/model"."""
    judged = CORRECTIONS.keys() | STANDARD_OUTSIDE_WINDOWS
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
        models=tuple(_model_row(provider.id, model) for model in provider.models),
        provider_match=_optional_clause(provider.provider_match),
        model_match=_optional_clause(provider.model_match),
        fallback=tuple(provider.fallback_model_providers or ()),
    )


def _model_row(provider_id: str, model: source.ModelInfo) -> ModelRow:
    return ModelRow(
        id=model.id,
        match=_clause(model.match),
        rates=_model_rates(provider_id, model),
        is_deprecated=bool(model.deprecated),
    )


def _model_rates(provider_id: str, model: source.ModelInfo) -> tuple[DatedRates, ...]:
    key = (provider_id, model.id)
    if key in CORRECTIONS:
        return CORRECTIONS[key]
    prices = [price for price in _conditional_prices(model) if not _is_window(price)]
    if _is_free(model.id, prices):
        return (DatedRates(input=0, output=0),)
    rows = [_dated_rates(price) for price in prices]
    priced = [row for row in rows if row.input is not None]
    return tuple(sorted(priced, key=lambda row: row.valid_from or date.min))


def _conditional_prices(model: source.ModelInfo) -> Sequence[source.ConditionalPrice]:
    if isinstance(model.prices, source.ModelPrice):
        return [source.ConditionalPrice(prices=model.prices)]
    return model.prices


def _is_window(price: source.ConditionalPrice) -> bool:
    return isinstance(price.constraint, source.TimeOfDateConstraint)


def _is_free(model_id: str, prices: Iterable[source.ConditionalPrice]) -> bool:
    """Whether the source leaves the price out because there is none to pay."""
    has_no_price = all(value is None for price in prices for value in vars(price.prices).values())
    return has_no_price and model_id.endswith(":free")


def _dated_rates(price: source.ConditionalPrice) -> DatedRates:
    constraint = price.constraint
    starts = sorted(
        {
            tier.start
            for unit in _UNITS.values()
            if isinstance(value := getattr(price.prices, unit), source.TieredPrices)
            for tier in value.tiers
        }
    )
    return DatedRates(
        valid_from=constraint.start_date
        if isinstance(constraint, source.StartDateConstraint)
        else None,
        tiers=tuple(
            TierRates(above_input_tokens=start, **_rates(price.prices, start + 1))
            for start in starts
        ),
        **_rates(price.prices, 0),
    )


def _rates(price: source.ModelPrice, input_tokens: int) -> dict[str, int]:
    """Rates in pico-USD per token of a request with so many input tokens, those that are stated."""
    rates = {}
    for name in Rates.__struct_fields__:
        value: Decimal | source.TieredPrices | None = getattr(price, _UNITS[name])
        if isinstance(value, source.TieredPrices):
            value = _tier_price(value, input_tokens)
        if value is not None:
            rates[name] = _pusd_per_token(value)
    return rates


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
            "CORRECTIONS or STANDARD_OUTSIDE_WINDOWS in compile_book.py\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
