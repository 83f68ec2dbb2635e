"""A call is priced by the tier of service that answered it."""

from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta

import pytest

from otelbudget.genai.usage import ModelCall, TokenUsage
from otelbudget.pricing.billing import UnknownModel, bill
from otelbudget.pricing.book import PriceBook, PriceConfidence


def at(day: str) -> int:
    """00:00 UTC of a day in unix nanoseconds."""
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 10**9


def call(tier: str | None, *, model: str = "gpt-5", day: str = "2026-11-01") -> ModelCall:
    return ModelCall(
        provider="openai",
        request_model=model,
        start_time_unix_nano=at(day),
        usage=TokenUsage(1_000, 100),
        service_tier=tier,
    )


@pytest.mark.parametrize(
    ("tier", "micro_usd", "confidence"),
    [
        # gpt-5: 1.25 USD/Mtok * 1_000 + 10 USD/Mtok * 100
        pytest.param(None, 2_250, PriceConfidence.EXACT, id="not named"),
        pytest.param("default", 2_250, PriceConfidence.EXACT, id="default"),
        pytest.param("standard", 2_250, PriceConfidence.EXACT, id="standard"),
        pytest.param("auto", 2_250, PriceConfidence.EXACT, id="auto"),
        pytest.param("scale", 2_250, PriceConfidence.EXACT, id="scale"),
        # 0.625 USD/Mtok * 1_000 + 5 USD/Mtok * 100
        pytest.param("flex", 1_125, PriceConfidence.EXACT, id="flex"),
        pytest.param("batch", 1_125, PriceConfidence.EXACT, id="batch"),
        # 2.50 USD/Mtok * 1_000 + 20 USD/Mtok * 100
        pytest.param("priority", 4_500, PriceConfidence.EXACT, id="priority"),
        pytest.param("PRIORITY", 4_500, PriceConfidence.EXACT, id="upper case"),
        pytest.param("on_demand_priority", 4_500, PriceConfidence.EXACT, id="in Vertex's words"),
        pytest.param("reserved", 2_250, PriceConfidence.ESTIMATED, id="nobody knows its price"),
    ],
)
def test_a_call_costs_what_its_tier_costs(
    tier: str | None, micro_usd: int, confidence: PriceConfidence
) -> None:
    charge = bill(call(tier), PriceBook.load(), UnknownModel.CEILING)

    assert (charge.list_cost_pusd, charge.confidence) == (micro_usd * 10**6, confidence)


def test_a_call_from_before_its_tiers_known_price_gets_that_price_and_says_so() -> None:
    """The tiers of gpt-5 are known from 2026-10-12 on."""
    charge = bill(call("flex", day="2026-01-01"), PriceBook.load(), UnknownModel.CEILING)

    assert (charge.list_cost_pusd, charge.confidence) == (
        1_125 * 10**6,
        PriceConfidence.BEFORE_HISTORY,
    )


def test_a_reseller_has_tiers_of_its_own() -> None:
    price = PriceBook.load().price("azure.ai.openai", "gpt-5", at("2026-11-01"), "priority")

    assert price is not None
    assert (price.input_pusd_per_token, price.confidence, price.service_tier) == (
        1_250_000,
        PriceConfidence.ESTIMATED,
        None,
    )


def test_a_long_request_in_a_tier_of_service_has_that_tiers_long_rates() -> None:
    """gpt-5.4 flex: 1.25/7.50 USD/Mtok, above 272,000 input tokens 2.50/11.25."""
    price = PriceBook.load().price("openai", "gpt-5.4", at("2026-11-01"), "flex")

    assert price is not None
    # 2.50 USD/Mtok * 300_000 + 11.25 USD/Mtok * 1_000
    assert price.list_cost_pusd(TokenUsage(300_000, 1_000)) == (750_000 + 11_250) * 10**6


def test_an_unknown_model_is_charged_a_ceiling_in_any_tier() -> None:
    charge = bill(call("flex", model="gpt-99"), PriceBook.load(), UnknownModel.CEILING)

    assert charge.list_cost_pusd is None
    assert charge.estimated_pusd > 0
    assert charge.confidence is PriceConfidence.ESTIMATED


def test_a_call_without_times_costs_what_it_did_when_the_book_was_compiled() -> None:
    book = PriceBook.load()
    timeless = ModelCall(provider="openai", request_model="gpt-4o", usage=TokenUsage(1_000, 0))

    # 2.50 USD/Mtok * 1_000, and not the 5.00 of 2024
    assert bill(timeless, book, UnknownModel.ALLOW).list_cost_pusd == 2_500 * 10**6


@pytest.mark.parametrize("tier", [None, "flex", "batch"])
@pytest.mark.parametrize("model", ["gpt-4o", "o3", "gpt-5.6-sol", "no-such-model"])
def test_a_history_holds_the_price_of_every_time(model: str, tier: str | None) -> None:
    book = PriceBook.load()
    starts, prices = book.history("openai", model, tier)

    assert list(starts) == sorted(set(starts))
    assert len(prices) == len(starts) + 1
    for time_ns in (0, *starts, *(start - 1 for start in starts), at("2030-01-01")):
        price = prices[bisect_right(starts, time_ns)]
        assert price == book.price("openai", model, time_ns, tier)


def test_a_call_thirty_days_after_the_book_has_a_stale_price() -> None:
    book = PriceBook.load()
    compiled = date.fromisoformat(book.compiled_on)
    confidences = []
    for days in (30, 31):
        price = book.price("openai", "gpt-4o", at((compiled + timedelta(days=days)).isoformat()))
        assert price is not None
        confidences.append(price.confidence)

    assert confidences == [PriceConfidence.EXACT, PriceConfidence.STALE]


def test_a_book_says_when_it_is_too_old() -> None:
    book = PriceBook.load()
    compiled = date.fromisoformat(book.compiled_on)

    assert book.staleness(at((compiled + timedelta(days=30)).isoformat())) is None
    sentence = book.staleness(at((compiled + timedelta(days=45)).isoformat()))
    assert sentence is not None
    assert sentence.startswith("the prices are 45 days old (genai-prices 0.2.3, ")
