"""The user's own prices: dated, exact, and stronger than the book."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from otelbudget.budgets.config import Budgets, read_prices
from otelbudget.errors import BudgetConfigError
from otelbudget.genai.usage import TokenUsage
from otelbudget.pricing.book import Price, PriceBook, PriceConfidence
from otelbudget.pricing.overrides import PriceOverrides


def at(day: str) -> int:
    """00:00 UTC of a day in unix nanoseconds."""
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 10**9


def book_of(section: dict[str, Any]) -> PriceBook:
    return PriceBook.load(PriceOverrides.from_config(section))


def price_of(
    section: dict[str, Any], provider: str | None, model: str, day: str = "2026-11-01"
) -> Price | None:
    return book_of(section).price(provider, model, at(day))


OWN = {
    "models": {
        "openai/gpt-4o": [
            {"from": "2026-01-01", "input_usd_per_mtok": "2.00", "output_usd_per_mtok": "8.00"},
            {"from": "2026-07-01", "input_usd_per_mtok": "1.50", "output_usd_per_mtok": "6.00"},
        ]
    }
}


@pytest.mark.parametrize(
    ("day", "input_pusd", "confidence"),
    [
        pytest.param("2025-12-31", 2_500_000, PriceConfidence.EXACT, id="the list price before"),
        pytest.param("2026-01-01", 2_000_000, PriceConfidence.OVERRIDE, id="the first day"),
        pytest.param("2026-06-30", 2_000_000, PriceConfidence.OVERRIDE, id="the last day"),
        pytest.param("2026-07-01", 1_500_000, PriceConfidence.OVERRIDE, id="the next price"),
        pytest.param("2030-01-01", 1_500_000, PriceConfidence.OVERRIDE, id="never stale"),
    ],
)
def test_a_dated_price_holds_from_its_day_on(
    day: str, input_pusd: int, confidence: PriceConfidence
) -> None:
    price = price_of(OWN, "openai", "gpt-4o", day)

    assert price is not None
    assert (price.input_pusd_per_token, price.confidence) == (input_pusd, confidence)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "GPT-4o"),
        (None, "gpt-4o"),
        (None, "openai/gpt-4o"),
        ("openai", "gpt-4o-2024-11-20"),
        ("openai.responses", "gpt-4o"),
    ],
)
def test_a_price_covers_every_name_that_means_the_model(provider: str | None, model: str) -> None:
    price = price_of(OWN, provider, model)

    assert price is not None
    assert price.confidence is PriceConfidence.OVERRIDE


def test_a_price_at_one_provider_is_none_at_another() -> None:
    price = price_of(OWN, "azure.ai.openai", "gpt-4o")

    assert price is not None
    assert price.input_pusd_per_token == 2_500_000


def test_a_model_nobody_knows_can_be_given_a_price() -> None:
    section = {
        "models": {
            "mycloud/llm-1": {
                "input_usd_per_mtok": "0.10",
                "output_usd_per_mtok": "0.20",
                "cache_read_usd_per_mtok": "0.01",
                "web_search_usd_per_1000": "5",
            }
        }
    }
    price = price_of(section, "mycloud", "LLM-1", "2020-01-01")

    assert price is not None
    assert (price.matched, price.confidence, price.valid_from) == (
        "mycloud/llm-1",
        PriceConfidence.OVERRIDE,
        None,
    )
    # 0.10 USD/Mtok * 900 + 0.01 USD/Mtok * 100 + 0.20 USD/Mtok * 10 + 5 USD / 1_000 * 2
    usage = TokenUsage(1_000, 10, 100, web_searches=2)
    assert price.list_cost_pusd(usage) == (90 + 1 + 2 + 10_000) * 10**6


def test_a_price_for_a_tier_of_service_leaves_the_others_alone() -> None:
    entry = {"input_usd_per_mtok": "1", "output_usd_per_mtok": "2", "service_tier": "flex"}
    book = book_of({"models": {"openai/gpt-5": [entry]}})
    rates = {
        tier: price.input_pusd_per_token
        for tier in (None, "flex", "priority")
        if (price := book.price("openai", "gpt-5", at("2026-11-01"), tier)) is not None
    }

    assert rates == {None: 1_250_000, "flex": 1_000_000, "priority": 2_500_000}


@pytest.mark.parametrize(
    ("key", "provider", "model", "input_pusd"),
    [
        # 2.50 USD/Mtok less 15 %
        pytest.param("azure", "azure.ai.openai", "gpt-4o", 2_125_000, id="a provider"),
        pytest.param("azure.ai.openai", "azure", "gpt-4o", 2_125_000, id="spelled otherwise"),
        pytest.param("openai/gpt-4o", None, "gpt-4o-2024-08-06", 2_125_000, id="a model"),
        pytest.param("openai/gpt-*", "openai", "gpt-4o", 2_125_000, id="models"),
        pytest.param("openai", "azure", "gpt-4o", 2_500_000, id="not of who resells it"),
        pytest.param("openai/gpt-5", "openai", "gpt-4o", 2_500_000, id="not another model"),
    ],
)
def test_a_discount_lowers_every_rate(
    key: str, provider: str | None, model: str, input_pusd: int
) -> None:
    price = price_of({"discounts": {key: "0.15"}}, provider, model)

    assert price is not None
    assert price.input_pusd_per_token == input_pusd


def test_a_multiplier_raises_every_rate_of_every_size_of_request() -> None:
    """gemini-2.5-pro: 1.25 USD/Mtok, above 200,000 tokens 2.50; times 1.1."""
    price = price_of({"multipliers": {"google": "1.1"}}, "google", "gemini-2.5-pro")

    assert price is not None
    assert price.input_pusd_per_token == 1_375_000
    assert price.rates_of(200_001).input_pusd_per_token == 2_750_000


def test_the_most_specific_factor_decides() -> None:
    section = {"discounts": {"openai": "0.10", "openai/gpt-4o": "0.50", "openai/gpt-*": "0.20"}}
    rates = [
        price.input_pusd_per_token
        for model in ("gpt-4o", "gpt-4.1", "o3")
        if (price := price_of(section, "openai", model)) is not None
    ]

    # 2.50 less 50 %, 2.00 less 20 %, 2.00 less 10 %
    assert rates == [1_250_000, 1_600_000, 1_800_000]


@pytest.mark.parametrize(
    ("provider", "model", "is_free"),
    [
        ("gateway", "gpt-4o", True),
        ("openai", "gpt-4o", False),
        ("house", "llama-3", True),
        ("house", "qwen-3", False),
    ],
)
def test_what_is_declared_free_is_free(provider: str, model: str, *, is_free: bool) -> None:
    price = price_of({"free": ["gateway", "house/llama-*"]}, provider, model)

    assert (price is not None and price.confidence is PriceConfidence.FREE) is is_free


PROFILE = "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc"


@pytest.mark.parametrize(
    ("provider", "model", "row"),
    [
        ("azure.ai.openai", "chat-eastus2", "openai/gpt-4o"),
        ("aws.bedrock", PROFILE, "aws/regional.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("openai", "Team-Model", "openai/gpt-4o-mini"),
    ],
)
def test_an_alias_is_priced_as_what_it_means(provider: str, model: str, row: str) -> None:
    section = {
        "aliases": {
            "chat-eastus2": "azure/gpt-4o",
            PROFILE: "aws/anthropic.claude-sonnet-4-5",
            "openai/team-model": "openai/gpt-4o-mini",
        }
    }
    price = price_of(section, provider, model)

    assert price is not None
    assert (price.matched, price.confidence) == (row, PriceConfidence.OVERRIDE)


def test_an_alias_may_mean_a_model_of_ones_own_price() -> None:
    section = {
        "aliases": {"prod": "house/big"},
        "models": {"house/big": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2}},
    }
    price = price_of(section, "azure", "prod")

    assert price is not None
    assert price.output_pusd_per_token == 2_000_000


def test_the_fingerprint_changes_with_what_is_said_and_only_then() -> None:
    plain, own = PriceBook.load(), book_of(OWN)
    more = book_of({**OWN, "free": ["house"]})

    assert plain.overrides_hash is None
    assert own.overrides_hash == book_of(dict(OWN)).overrides_hash
    assert len({plain.fingerprint(), own.fingerprint(), more.fingerprint()}) == 3


ONE_USD = "{input_usd_per_mtok: 1, output_usd_per_mtok: 1}"
WRONG: dict[str, tuple[str, str, str]] = {
    "unknown part": ("model: {}", "model", "allowed are aliases, free, discounts, multipliers"),
    "empty": ("{}", "", "must hold keys with values"),
    "not a mapping": ("- 1", "", "must hold keys with values"),
    "an alias without provider": (
        "aliases: {prod: gpt-4o}",
        "aliases.prod",
        "allowed is provider/model",
    ),
    "free is a text": ("free: ollama", "free", "allowed is a list"),
    "a discount above one": ("discounts: {azure: 15}", "discounts.azure", "from 0 to 1"),
    "a discount that is no number": ("discounts: {azure: x}", "discounts.azure", "from 0 to 1"),
    "a discount that is not finite": ("discounts: {azure: nan}", "discounts.azure", "from 0 to 1"),
    "a negative multiplier": ("multipliers: {azure: -1}", "multipliers.azure", "from 0 to 1000"),
    "an unknown rate": (
        "models: {openai/x: {input_usd_per_mtok: 1, output_usd_per_mtok: 1, price: 1}}",
        "models.openai/x.price",
        "allowed are from, service_tier, input_usd_per_mtok",
    ),
    "a missing rate": (
        "models: {openai/x: {input_usd_per_mtok: 1}}",
        "models.openai/x.output_usd_per_mtok",
        "is missing",
    ),
    "a negative rate": (
        "models: {openai/x: {input_usd_per_mtok: -1, output_usd_per_mtok: 1}}",
        "models.openai/x.input_usd_per_mtok",
        "allowed are US dollars from 0",
    ),
    "a rate too fine": (
        "models: {openai/x: {input_usd_per_mtok: 0.0000001, output_usd_per_mtok: 1}}",
        "models.openai/x.input_usd_per_mtok",
        "at most six decimals",
    ),
    "a day that is none": (
        "models: {openai/x: {from: soon, input_usd_per_mtok: 1, output_usd_per_mtok: 1}}",
        "models.openai/x.from",
        "allowed is a day such as 2026-01-01",
    ),
    "one day twice": (
        f"models: {{openai/x: [{ONE_USD}, {ONE_USD}]}}",
        "models.openai/x.from",
        "two entries of one day",
    ),
    "a model without provider": (
        "models: {gpt-4o: {input_usd_per_mtok: 1, output_usd_per_mtok: 1}}",
        "models.gpt-4o",
        "allowed is provider/model",
    ),
}


@pytest.mark.parametrize(("text", "key", "reason"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named_with_file_and_key(
    text: str, key: str, reason: str, tmp_path: Path
) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text(text, "utf-8")
    with pytest.raises(BudgetConfigError) as caught:
        read_prices(file)

    assert caught.value.path == str(file)
    assert (caught.value.key or "") == key
    assert reason in caught.value.reason


def test_an_alias_of_what_has_no_price_is_refused() -> None:
    with pytest.raises(BudgetConfigError, match="which has no known price") as caught:
        book_of({"aliases": {"prod": "openai/gpt-99"}})

    assert caught.value.key == "aliases.prod"


BUDGETS = """
version: 1
budgets:
  per-run: {per: trace, max_cost_usd: 0.50}
prices:
  discounts: {azure: 0.15}
  models:
    openai/gpt-4o:
      - {from: 2026-01-01, input_usd_per_mtok: 2.00, output_usd_per_mtok: 8.00}
"""


def test_a_budgets_file_carries_prices_and_is_a_prices_file(tmp_path: Path) -> None:
    file = tmp_path / "budgets.yaml"
    file.write_text(BUDGETS, "utf-8")
    budgets = Budgets.from_yaml(file)

    assert budgets.prices is not None
    assert budgets.prices.models["openai/gpt-4o"][0].rates.valid_from == date(2026, 1, 1)
    assert budgets.prices.fingerprint() == read_prices(file).fingerprint()
    assert budgets.as_config()["prices"]["discounts"] == {"azure": "0.15"}


def test_a_budgets_file_names_the_key_that_is_wrong_in_its_prices(tmp_path: Path) -> None:
    file = tmp_path / "budgets.yaml"
    file.write_text(BUDGETS.replace("0.15", "2"), "utf-8")
    with pytest.raises(BudgetConfigError) as caught:
        Budgets.from_yaml(file)

    assert (caught.value.path, caught.value.key) == (str(file), "prices.discounts.azure")
