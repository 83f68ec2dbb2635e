"""What the source of the price book gets wrong, and what the published price was instead.

An entry is never overwritten: a new price is a new dated entry, so that old spans keep theirs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import msgspec

from otelbudget.pricing.records import Clause, DatedRates, ModelRow, ProviderRow, TierRates

_PUSD_PER_TOKEN = 1_000_000
_WEB_SEARCH_AT_10_USD_PER_1000 = 10**10


def _per_mtok(
    valid_from: date | None,
    input_usd: str,
    output_usd: str,
    cache_read_usd: str | None = None,
    *,
    cache_write_usd: str | None = None,
    **others: int | tuple[TierRates, ...],
) -> DatedRates:
    """Rates as price lists print them, in USD per million tokens; others as they are."""
    stated = {
        "input": input_usd,
        "output": output_usd,
        "cache_read": cache_read_usd,
        "cache_write": cache_write_usd,
    }
    rates = {
        name: int(Decimal(value) * _PUSD_PER_TOKEN)
        for name, value in stated.items()
        if value is not None
    }
    return msgspec.convert({"valid_from": valid_from, **rates, **others}, DatedRates)


def _above_128k(input_usd: str, output_usd: str, cache_read_usd: str) -> TierRates:
    """Rates of the larger requests of gemini-1.5-pro, in USD per million tokens."""
    rates = _per_mtok(None, input_usd, output_usd, cache_read_usd)
    return TierRates(
        above_input_tokens=128_000,
        input=rates.input,
        output=rates.output,
        cache_read=rates.cache_read,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """Rates that the source has wrong or does not have.

    Attributes:
        provider: Provider in the source.
        row: Row of the source, or a new one where the source has none of this name.
        source_says: First rates of the row, "input/output" in USD per million tokens: where the
            source says something else, it has changed and the correction is not applied. "": the
            source has no such row.
        names: Model names of the row that are meant; empty: all of them.
        rates: Rates that are added; one with the first day of one of the source's replaces it.
        undated_from: Day from which the rates hold that the source gives without one; None: they
            are the first.
        reason: What is wrong.
        reference: Where the right price is published.
        as_of: Day of that publication.
    """

    provider: str
    row: str
    source_says: str
    rates: tuple[DatedRates, ...]
    reason: str
    reference: str
    as_of: date
    names: tuple[str, ...] = ()
    undated_from: date | None = None

    @property
    def text(self) -> str:
        """Reason and reference in one sentence."""
        return f"{self.reason}; {self.reference}, {self.as_of.isoformat()}"


_OPENAI = "https://openai.com/api/pricing"
_DEEPSEEK = "https://api-docs.deepseek.com/quick_start/pricing"
_DEEPSEEK_REASON = "the source has the night discount of 2025 on every date, and no later price"
_DEEPSEEK_SINCE_V3_1 = (
    _per_mtok(date(2025, 9, 5), "0.56", "1.68", "0.07"),
    _per_mtok(date(2025, 9, 29), "0.28", "0.42", "0.028"),
    # Since the release of V4 both names mean its Flash.
    _per_mtok(date(2026, 4, 24), "0.14", "0.28", "0.0028"),
)
_MISTRAL = "https://mistral.ai/news/september-24-release"

CORRECTIONS = (
    Correction(
        provider="openai",
        row="gpt-4o",
        names=("gpt-4o",),
        source_says="2.5/10",
        rates=(_per_mtok(date(2024, 5, 13), "5", "15"),),
        undated_from=date(2024, 10, 2),
        reason="until 2024-10-02 gpt-4o meant gpt-4o-2024-05-13",
        reference="https://platform.openai.com/docs/models/gpt-4o",
        as_of=date(2024, 10, 2),
    ),
    Correction(
        provider="openai",
        row="o3",
        source_says="10/40",
        rates=(_per_mtok(None, "10", "40", "2.50", web_search=_WEB_SEARCH_AT_10_USD_PER_1000),),
        reason="until 2025-06-10 cached input was 2.50, not 0.50 USD per million tokens",
        reference=_OPENAI,
        as_of=date(2025, 4, 16),
    ),
    Correction(
        provider="openai",
        row="ft:gpt-4o",
        source_says="3.75/15",
        rates=(_per_mtok(None, "3.75", "15", "1.875"),),
        reason="the source has no rate for cached input",
        reference=_OPENAI,
        as_of=date(2025, 8, 1),
    ),
    Correction(
        provider="openai",
        row="ft:gpt-4o-mini",
        source_says="0.3/1.2",
        rates=(_per_mtok(None, "0.30", "1.20", "0.15"),),
        reason="the source has no rate for cached input",
        reference=_OPENAI,
        as_of=date(2025, 8, 1),
    ),
    Correction(
        provider="fireworks",
        row="accounts/fireworks/models/llama-v3p3-70b-instruct",
        names=(
            "accounts/fireworks/models/llama-v3p3-70b-instruct",
            "llama-v3p3-70b-instruct",
        ),
        source_says="",
        rates=(_per_mtok(None, "0.90", "0.90"),),
        reason="the source has no row for it",
        reference="https://fireworks.ai/pricing",
        as_of=date(2025, 8, 1),
    ),
    Correction(
        provider="openrouter",
        row="anthropic/claude-3.7-sonnet",
        source_says="3/15",
        rates=(_per_mtok(None, "3", "15", "0.30", cache_write_usd="3.75"),),
        reason="the source has no rates for caches",
        reference="https://openrouter.ai/anthropic/claude-3.7-sonnet",
        as_of=date(2025, 8, 1),
    ),
    Correction(
        provider="anthropic",
        row="claude-3-5-haiku-latest",
        source_says="0.8/4",
        rates=(_per_mtok(date(2024, 11, 4), "1", "5", "0.10", cache_write_usd="1.25"),),
        undated_from=date(2024, 12, 3),
        reason="the price was lowered from 1/5 USD per million tokens a month after the release",
        reference="https://www.anthropic.com/news/trainium2-and-distillation",
        as_of=date(2024, 12, 3),
    ),
    Correction(
        provider="anthropic",
        row="claude-instant-1.2",
        names=("claude-instant-1.2",),
        source_says="",
        rates=(_per_mtok(None, "0.80", "2.40"),),
        reason="the source has no row for it",
        reference="https://www.anthropic.com/pricing",
        as_of=date(2023, 11, 21),
    ),
    Correction(
        provider="google",
        row="gemini-1.5-pro",
        source_says="1.25/5",
        rates=(
            _per_mtok(
                date(2024, 6, 1), "3.50", "10.50", "0.875", tiers=(_above_128k("7", "21", "1.75"),)
            ),
            _per_mtok(
                date(2024, 10, 1),
                "1.25",
                "5",
                "0.3125",
                tiers=(_above_128k("2.50", "10", "0.625"),),
            ),
        ),
        undated_from=date(2024, 10, 1),
        reason="the price was lowered from 3.50/10.50 USD per million tokens; no cache rate is given",
        reference="https://developers.googleblog.com/updated-gemini-models-reduced-15-pro-pricing",
        as_of=date(2024, 9, 24),
    ),
    Correction(
        provider="google",
        row="gemini-2.5-flash",
        source_says="0.3/2.5",
        rates=(
            _per_mtok(
                date(2025, 4, 17),
                "0.15",
                "0.60",
                "0.0375",
                reasoning_output=3_500_000,
                audio_input=_PUSD_PER_TOKEN,
                web_search=35 * 10**9,
            ),
        ),
        undated_from=date(2025, 6, 17),
        reason="the preview was 0.15/0.60 USD per million tokens, thinking 3.50",
        reference="https://ai.google.dev/gemini-api/docs/pricing",
        as_of=date(2025, 6, 17),
    ),
    Correction(
        provider="mistral",
        row="mistral-large",
        names=("mistral-large-2407",),
        source_says="2/6",
        rates=(_per_mtok(date(2024, 7, 24), "3", "9"),),
        undated_from=date(2024, 9, 17),
        reason="the price was lowered from 3/9 USD per million tokens",
        reference=_MISTRAL,
        as_of=date(2024, 9, 17),
    ),
    Correction(
        provider="mistral",
        row="mistral-large",
        names=("mistral-large-latest",),
        source_says="2/6",
        rates=(
            _per_mtok(date(2024, 7, 24), "3", "9"),
            _per_mtok(date(2025, 12, 2), "0.50", "1.50", "0.05"),
        ),
        undated_from=date(2024, 9, 17),
        reason="the name means mistral-large-2512 since 2025-12-02; the source has the older model",
        reference="https://mistral.ai/news/mistral-3",
        as_of=date(2025, 12, 2),
    ),
    Correction(
        provider="deepseek",
        row="deepseek-chat",
        source_says="0.135/0.55",
        rates=(_per_mtok(None, "0.27", "1.10", "0.07"), *_DEEPSEEK_SINCE_V3_1),
        reason=_DEEPSEEK_REASON,
        reference=_DEEPSEEK,
        as_of=date(2025, 9, 1),
    ),
    Correction(
        provider="deepseek",
        row="deepseek-reasoner",
        source_says="0.135/0.55",
        rates=(_per_mtok(None, "0.55", "2.19", "0.14"), *_DEEPSEEK_SINCE_V3_1),
        reason=_DEEPSEEK_REASON,
        reference=_DEEPSEEK,
        as_of=date(2025, 9, 1),
    ),
)
"""Judged against genai-prices 0.2.3."""

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


def corrected(providers: tuple[ProviderRow, ...]) -> tuple[ProviderRow, ...]:
    """The source's providers with every correction that still applies."""
    return tuple(_corrected_provider(provider) for provider in providers)


def applies(correction: Correction, rows: Mapping[str, ModelRow]) -> bool:
    """Whether the source still says what the correction is about."""
    row = rows.get(correction.row)
    if row is None or not row.rates:
        return not correction.source_says
    first = row.rates[0]
    return correction.source_says == f"{_usd(first.input)}/{_usd(first.output)}"


def _usd(rate: int | None) -> str:
    return f"{(Decimal(rate or 0) / _PUSD_PER_TOKEN).normalize():f}"


def _corrected_provider(provider: ProviderRow) -> ProviderRow:
    rows = {row.id: row for row in provider.models}
    named: list[ModelRow] = []
    for correction in CORRECTIONS:
        if correction.provider == provider.id and applies(correction, rows):
            row = _corrected_row(correction, rows.get(correction.row))
            if correction.names:
                named.append(row)
            else:
                rows[row.id] = row
    # The first row that matches a name prices it.
    return msgspec.structs.replace(provider, models=(*named, *rows.values()))


def _corrected_row(correction: Correction, row: ModelRow | None) -> ModelRow:
    old = () if row is None else row.rates
    by_day = {rates.valid_from: rates for rates in old}
    if correction.undated_from is not None:
        # The undated rates also stay: a call from before the model was there has a wrong clock.
        by_day[correction.undated_from] = msgspec.structs.replace(
            by_day[None], valid_from=correction.undated_from
        )
    by_day |= {rates.valid_from: rates for rates in correction.rates}
    names = tuple(Clause(equals=name) for name in correction.names)
    base = row or ModelRow(id=correction.row, match=Clause(any_of=names))
    return msgspec.structs.replace(
        base,
        match=Clause(any_of=names) if names else base.match,
        rates=tuple(by_day[day] for day in sorted(by_day, key=lambda day: day or date.min)),
        correction=correction.text,
    )
