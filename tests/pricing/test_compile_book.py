import gzip
from datetime import date
from importlib import resources
from pathlib import Path

import msgspec
import pytest

from otelbudget.pricing.compile_book import compile_book, main, unexplained_windows
from otelbudget.pricing.corrections import CORRECTIONS, corrected
from otelbudget.pricing.files import encode_book
from otelbudget.pricing.records import (
    SCHEMA,
    BookFile,
    Clause,
    DatedRates,
    ModelRow,
    ProviderRow,
    Rates,
)


def committed_book() -> bytes:
    return resources.files("otelbudget.pricing").joinpath("book.json.gz").read_bytes()


def model_row(provider: str, model: str) -> ModelRow:
    book = msgspec.json.decode(gzip.decompress(committed_book()), type=BookFile)
    models = next(row.models for row in book.providers if row.id == provider)
    return next(row for row in models if row.id == model)


def test_the_committed_book_is_what_the_script_compiles() -> None:
    committed = gzip.decompress(committed_book())
    header = msgspec.json.decode(committed, type=BookFile)

    # Compressed bytes may differ between versions of zlib; what is in them must not.
    assert gzip.decompress(encode_book(compile_book(header.compiled_on))) == committed


def test_compiling_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    paths = [tmp_path / "first.gz", tmp_path / "second.gz"]
    for path in paths:
        assert main(["--date", "2026-11-22", "--output", str(path)]) == 0

    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_the_hash_tells_the_rates_and_not_the_day() -> None:
    first, second = compile_book(date(2026, 11, 22)), compile_book(date(2026, 11, 23))

    assert first.schema == SCHEMA
    assert first.content_hash == second.content_hash


def test_every_model_priced_by_time_of_day_is_judged() -> None:
    assert unexplained_windows() == []


def test_every_correction_still_applies_to_the_source() -> None:
    book = msgspec.json.decode(gzip.decompress(committed_book()), type=BookFile)
    applied = {row.correction for provider in book.providers for row in provider.models}

    assert {correction.text for correction in CORRECTIONS} <= applied


def test_a_correction_is_not_applied_where_the_source_says_something_else() -> None:
    provider = ProviderRow(
        id="openai",
        models=(
            ModelRow(
                id="o3",
                match=Clause(equals="o3"),
                rates=(DatedRates(input=9_000_000, output=40_000_000, cache_read=2_500_000),),
            ),
        ),
    )

    (row,) = [row for row in corrected((provider,))[0].models if row.id == "o3"]
    assert (row.correction, row.rates) == (None, provider.models[0].rates)


def test_every_tier_of_service_of_the_source_is_in_the_book() -> None:
    book = msgspec.json.decode(gzip.decompress(committed_book()), type=BookFile)
    models = [row for provider in book.providers for row in provider.models if row.variants]

    # 111 models have variants; those by search type and route, and of voices, pages and hours,
    # are no tiers of service of tokens.
    assert len(models) >= 100
    assert {tier for row in models for tier in row.variants} == {
        "batch",
        "fast",
        "flex",
        "priority",
    }


def test_a_tier_states_all_rates_of_the_larger_request() -> None:
    rates = model_row("google", "gemini-2.5-pro").rates[-1]

    # 1.25 / 10 USD/Mtok, above 200,000 input tokens 2.50 / 15 USD/Mtok
    assert (rates.input, rates.output) == (1_250_000, 10_000_000)
    assert [(tier.above_input_tokens, tier.input, tier.output) for tier in rates.tiers] == [
        (200_000, 2_500_000, 15_000_000)
    ]


def test_rates_finer_than_a_nano_dollar_are_exact() -> None:
    # 0.0028 USD/Mtok = 2_800 pico-USD per token
    assert model_row("deepseek", "deepseek-v4-flash").rates[0].cache_read == 2_800


@pytest.mark.parametrize("unit", Rates.__struct_fields__)
def test_no_rate_is_negative(unit: str) -> None:
    book = msgspec.json.decode(gzip.decompress(committed_book()), type=BookFile)
    rates = [
        getattr(rate, unit)
        for provider in book.providers
        for model in provider.models
        for dated in (*model.rates, *(each for tier in model.variants.values() for each in tier))
        for rate in (dated, *dated.tiers)
    ]

    assert min(rate for rate in rates if rate is not None) >= 0
