"""What a call costs: every class of tokens at its own rate, and never less for more."""

from dataclasses import fields, replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelbudget.genai.usage import TokenUsage
from otelbudget.pricing.price import Price, PriceConfidence, Tier, TokenRates

MICRO_USD = 10**6
PLAIN = Price(
    provider="openai",
    model="gpt-test",
    confidence=PriceConfidence.EXACT,
    input_pusd_per_token=2_000_000,
    output_pusd_per_token=10_000_000,
)
# USD/Mtok: audio 32 in, 64 out, 0.5 from the cache; images 5 in, 40 out, 0.6 from the cache.
RICH = replace(
    PLAIN,
    cache_read_pusd_per_token=400_000,
    cache_write_pusd_per_token=2_500_000,
    cache_write_1h_pusd_per_token=4_000_000,
    audio_input_pusd_per_token=32_000_000,
    audio_cache_read_pusd_per_token=500_000,
    audio_output_pusd_per_token=64_000_000,
    image_input_pusd_per_token=5_000_000,
    image_cache_read_pusd_per_token=600_000,
    image_output_pusd_per_token=40_000_000,
    reasoning_output_pusd_per_token=12_000_000,
    pusd_per_web_search=10**10,
    pusd_per_request=5 * 10**9,
)


@pytest.mark.parametrize(
    ("usage", "micro_usd"),
    [
        # Each with 0.005 USD for the request.
        pytest.param(TokenUsage(0, 0), 5_000, id="the request alone"),
        # 4 USD/Mtok * 100 + 2.5 USD/Mtok * 300 + 2 USD/Mtok * 600
        pytest.param(
            TokenUsage(1_000, 0, 0, 400, cache_write_1h_input_tokens=100),
            5_000 + 400 + 750 + 1_200,
            id="cache writes for five minutes and for an hour",
        ),
        # 32 USD/Mtok * 200 + 2 USD/Mtok * 800
        pytest.param(
            TokenUsage(1_000, 0, audio_input_tokens=200), 5_000 + 6_400 + 1_600, id="audio input"
        ),
        # 0.5 USD/Mtok * 100 + 32 USD/Mtok * 100 + 0.4 USD/Mtok * 200 + 2 USD/Mtok * 600
        pytest.param(
            TokenUsage(1_000, 0, 300, audio_input_tokens=200, audio_cache_read_input_tokens=100),
            5_000 + 50 + 3_200 + 80 + 1_200,
            id="audio of which a part is cached, beside cached text",
        ),
        # 0.6 USD/Mtok * 100 + 5 USD/Mtok * 100 + 2 USD/Mtok * 800
        pytest.param(
            TokenUsage(1_000, 0, 100, image_input_tokens=200, image_cache_read_input_tokens=100),
            5_000 + 60 + 500 + 1_600,
            id="images of which a part is cached",
        ),
        # 64 USD/Mtok * 10 + 40 USD/Mtok * 20 + 12 USD/Mtok * 30 + 10 USD/Mtok * 40
        pytest.param(
            TokenUsage(
                0, 100, audio_output_tokens=10, image_output_tokens=20, reasoning_output_tokens=30
            ),
            5_000 + 640 + 800 + 360 + 400,
            id="every class of output",
        ),
        # 10 USD per 1,000 searches * 3
        pytest.param(TokenUsage(0, 0, web_searches=3), 5_000 + 30_000, id="web searches"),
    ],
)
def test_each_class_is_charged_once_at_its_own_rate(usage: TokenUsage, micro_usd: int) -> None:
    assert RICH.list_cost_pusd(usage) == micro_usd * MICRO_USD


def test_a_class_without_a_rate_costs_what_it_is_a_part_of() -> None:
    usage = TokenUsage(1_000, 100, 300, 200, 50, 100, 80, 20, 70, 30, 10, 10, 4)

    # 2 USD/Mtok * 1_000 + 10 USD/Mtok * 100; searches that nobody stated a price of: nothing
    assert PLAIN.list_cost_pusd(usage) == 3_000 * MICRO_USD


def test_an_hours_cache_write_costs_what_other_cache_writes_do_where_it_has_no_rate() -> None:
    price = replace(RICH, cache_write_1h_pusd_per_token=None, pusd_per_request=0)
    usage = TokenUsage(400, 0, 0, 400, cache_write_1h_input_tokens=400)

    # 2.5 USD/Mtok * 400
    assert price.list_cost_pusd(usage) == 1_000 * MICRO_USD


@pytest.mark.parametrize(
    ("usage", "as_if"),
    [
        pytest.param(
            TokenUsage(100, 0, audio_input_tokens=500),
            TokenUsage(100, 0, audio_input_tokens=100),
            id="more audio than input",
        ),
        pytest.param(
            TokenUsage(100, 0, 0, 50, cache_write_1h_input_tokens=500),
            TokenUsage(100, 0, 0, 50, cache_write_1h_input_tokens=50),
            id="more of an hour than is written",
        ),
        pytest.param(
            TokenUsage(100, 0, 40, audio_input_tokens=60, audio_cache_read_input_tokens=500),
            TokenUsage(100, 0, 40, audio_input_tokens=60, audio_cache_read_input_tokens=40),
            id="more cached audio than is cached",
        ),
        pytest.param(
            TokenUsage(0, 100, audio_output_tokens=80, reasoning_output_tokens=90),
            TokenUsage(0, 100, audio_output_tokens=80, reasoning_output_tokens=20),
            id="more audio and reasoning than output",
        ),
    ],
)
def test_a_part_that_exceeds_its_whole_is_cut_to_it(usage: TokenUsage, as_if: TokenUsage) -> None:
    assert RICH.list_cost_pusd(usage) == RICH.list_cost_pusd(as_if)


def test_all_rates_are_those_of_the_tier_that_the_request_reaches() -> None:
    tier = Tier(
        above_input_tokens=1_000,
        input_pusd_per_token=4_000_000,
        output_pusd_per_token=20_000_000,
        cache_read_pusd_per_token=800_000,
        audio_input_pusd_per_token=64_000_000,
    )
    price = replace(PLAIN, tiers=(tier,))
    usage = TokenUsage(2_000, 10, 500, audio_input_tokens=100)

    # 4 USD/Mtok * 1_400 + 64 USD/Mtok * 100 + 0.8 USD/Mtok * 500 + 20 USD/Mtok * 10
    assert price.list_cost_pusd(usage) == (5_600 + 6_400 + 400 + 200) * MICRO_USD


RATES = [each.name for each in fields(TokenRates) if each.init]
counts = st.integers(0, 10**7)


@st.composite
def prices(draw: st.DrawFn) -> Price:
    """A price in which parts cost what they cost: any, or none of their own."""
    rate = st.integers(0, 10**9)
    needed = ("input_pusd_per_token", "output_pusd_per_token", "pusd_per_web_search")
    rates: dict[str, Any] = {
        name: draw(rate if name in (*needed, "pusd_per_request") else st.none() | rate)
        for name in RATES
    }
    return replace(PLAIN, **rates)


@given(prices(), st.tuples(*[counts] * 13))
def test_no_usage_whatever_costs_less_than_nothing(price: Price, numbers: tuple[int, ...]) -> None:
    assert price.list_cost_pusd(TokenUsage(*numbers)) >= 0


# A class, and the wholes that grow with it.
CLASSES = [
    ("input_tokens",),
    ("output_tokens",),
    ("cache_read_input_tokens", "input_tokens"),
    ("cache_write_input_tokens", "input_tokens"),
    ("cache_write_1h_input_tokens", "cache_write_input_tokens", "input_tokens"),
    ("reasoning_output_tokens", "output_tokens"),
    ("audio_input_tokens", "input_tokens"),
    ("audio_output_tokens", "output_tokens"),
    ("image_input_tokens", "input_tokens"),
    ("image_output_tokens", "output_tokens"),
    (
        "audio_cache_read_input_tokens",
        "audio_input_tokens",
        "cache_read_input_tokens",
        "input_tokens",
    ),
    ("web_searches",),
]


@given(
    prices(),
    st.lists(st.tuples(st.sampled_from(CLASSES), st.integers(0, 10**6)), max_size=8),
    st.sampled_from(CLASSES),
    st.integers(1, 10**6),
)
def test_more_of_a_class_never_costs_less(
    price: Price,
    used: list[tuple[tuple[str, ...], int]],
    more: tuple[str, ...],
    tokens: int,
) -> None:
    numbers = dict.fromkeys(TokenUsage.__struct_fields__, 0)
    for names, count in used:
        for name in names:
            numbers[name] += count
    usage = TokenUsage(**numbers)
    larger = msgspec.structs.replace(usage, **{name: numbers[name] + tokens for name in more})

    assert price.list_cost_pusd(larger) >= price.list_cost_pusd(usage)
