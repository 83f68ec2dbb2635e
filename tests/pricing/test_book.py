import subprocess
import sys
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelbudget.genai.usage import TokenUsage
from otelbudget.pricing.book import Price, PriceBook, PriceConfidence, Tier

PUSD_PER_USD = 10**12


def at(day: str) -> int:
    """00:00 UTC of a day in unix nanoseconds."""
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 10**9


def price_of(provider: str | None, model: str | None, day: str = "2026-11-01") -> Price:
    price = PriceBook.load().price(provider, model, at(day))
    assert price is not None
    return price


def flat_price(*, cache_read: int | None = None, cache_write: int | None = None) -> Price:
    """2 USD/Mtok in, 10 USD/Mtok out."""
    return Price(
        provider="openai",
        model="gpt-test",
        confidence=PriceConfidence.EXACT,
        input_pusd_per_token=2_000_000,
        output_pusd_per_token=10_000_000,
        cache_read_pusd_per_token=cache_read,
        cache_write_pusd_per_token=cache_write,
    )


def test_input_and_output_are_charged_at_their_rates() -> None:
    # 2 USD/Mtok * 1_000 tokens = 0.002 USD; 10 USD/Mtok * 100 tokens = 0.001 USD
    cost = flat_price().list_cost_pusd(TokenUsage(1_000, 100))

    assert cost == 3 * PUSD_PER_USD // 1_000


def test_cache_reads_and_writes_are_taken_out_of_the_input() -> None:
    price = flat_price(cache_read=200_000, cache_write=2_500_000)
    usage = TokenUsage(1_000, 0, cache_read_input_tokens=600, cache_write_input_tokens=300)

    # 2 USD/Mtok * 100 tokens = 200 µUSD; 0.2 USD/Mtok * 600 tokens = 120 µUSD;
    # 2.5 USD/Mtok * 300 tokens = 750 µUSD
    assert price.list_cost_pusd(usage) == 1_070 * PUSD_PER_USD // 10**6


def test_cache_tokens_without_a_rate_cost_what_input_costs() -> None:
    usage = TokenUsage(1_000, 0, cache_read_input_tokens=600, cache_write_input_tokens=300)

    # 2 USD/Mtok * 1_000 tokens = 0.002 USD
    assert flat_price().list_cost_pusd(usage) == 2 * PUSD_PER_USD // 1_000


def test_cache_tokens_beyond_the_input_leave_no_negative_rest() -> None:
    usage = TokenUsage(100, 0, cache_read_input_tokens=1_000)

    # 0.2 USD/Mtok * 1_000 tokens = 200 µUSD, and nothing for the rest of the input
    assert flat_price(cache_read=200_000).list_cost_pusd(usage) == 200 * PUSD_PER_USD // 10**6


@pytest.mark.parametrize(
    ("input_tokens", "cost_micro_usd"),
    [
        # 2 USD/Mtok * 200_000 tokens
        pytest.param(200_000, 400_000, id="at the threshold"),
        # 4 USD/Mtok * 200_001 tokens
        pytest.param(200_001, 800_004, id="above the threshold"),
        # 8 USD/Mtok * 500_001 tokens
        pytest.param(500_001, 4_000_008, id="above the next threshold"),
    ],
)
def test_a_request_above_a_tier_is_charged_as_a_whole_at_its_rates(
    input_tokens: int, cost_micro_usd: int
) -> None:
    price = Price(
        provider="google",
        model="gemini-test",
        confidence=PriceConfidence.EXACT,
        input_pusd_per_token=2_000_000,
        output_pusd_per_token=10_000_000,
        tiers=(
            Tier(
                above_input_tokens=200_000,
                input_pusd_per_token=4_000_000,
                output_pusd_per_token=15_000_000,
            ),
            Tier(
                above_input_tokens=500_000,
                input_pusd_per_token=8_000_000,
                output_pusd_per_token=15_000_000,
            ),
        ),
    )

    assert price.list_cost_pusd(TokenUsage(input_tokens, 0)) == cost_micro_usd * 10**6


@given(
    st.tuples(*[st.integers(0, 10**7)] * 4),
    st.sampled_from(
        [("openai", "gpt-4o"), ("google", "gemini-2.5-pro"), ("anthropic", "claude-2")]
    ),
)
def test_a_cost_is_never_negative(tokens: tuple[int, int, int, int], name: tuple[str, str]) -> None:
    assert price_of(*name).list_cost_pusd(TokenUsage(*tokens)) >= 0


def test_gpt_4o_has_its_published_rates() -> None:
    price = price_of("openai", "gpt-4o-2024-08-06")

    # 2.50, 10.00 and 1.25 USD/Mtok
    assert (
        price.matched,
        price.confidence,
        price.input_pusd_per_token,
        price.output_pusd_per_token,
        price.cache_read_pusd_per_token,
        price.cache_write_pusd_per_token,
    ) == ("openai/gpt-4o", PriceConfidence.EXACT, 2_500_000, 10_000_000, 1_250_000, None)


def test_a_price_applies_from_midnight_utc_of_its_first_day() -> None:
    """gpt-5.6-sol went from 5/30 to 4/20 USD/Mtok on 2026-08-21."""
    change_ns = at("2026-08-21")
    prices = [PriceBook.load().price("openai", "gpt-5.6-sol", change_ns + ns) for ns in (-1, 0)]

    assert [
        price and (price.input_pusd_per_token, price.output_pusd_per_token, price.valid_from)
        for price in prices
    ] == [(5_000_000, 30_000_000, None), (4_000_000, 20_000_000, date(2026, 8, 21))]


def test_a_call_older_than_the_known_history_gets_the_first_price_and_says_so() -> None:
    price = price_of("openai", "gpt-4o-mini", "2024-09-01")

    assert (price.input_pusd_per_token, price.confidence, price.valid_from) == (
        150_000,
        PriceConfidence.BEFORE_HISTORY,
        None,
    )


def test_o3_before_its_first_dated_price_has_the_price_it_had() -> None:
    price = price_of("openai", "o3", "2025-05-01")

    # 10 and 40 USD/Mtok until 2025-06-10
    assert (price.input_pusd_per_token, price.output_pusd_per_token, price.confidence) == (
        10_000_000,
        40_000_000,
        PriceConfidence.BEFORE_HISTORY,
    )


@pytest.mark.parametrize(
    ("time", "input_usd_per_mtok"),
    [
        pytest.param("2026-06-01T02:00", "0.14", id="at two in the morning before peak pricing"),
        pytest.param("2026-06-01T12:00", "0.14", id="at noon before peak pricing"),
        pytest.param("2026-09-01T02:00", "0.22", id="in a peak window"),
        pytest.param("2026-10-01T12:00", "0.15", id="after the cut of September 2026"),
    ],
)
def test_deepseek_flash_has_its_standard_price_at_any_hour(
    time: str, input_usd_per_mtok: str
) -> None:
    price = price_of("deepseek", "deepseek-v4-flash", time)

    assert price.input_pusd_per_token == int(input_usd_per_mtok.replace(".", "")) * 10_000


@pytest.mark.parametrize(
    ("time", "rates"),
    [
        pytest.param("2025-08-01T20:00", (270_000, 1_100_000, 70_000), id="V3 at night"),
        pytest.param("2025-09-10T20:00", (560_000, 1_680_000, 70_000), id="V3.1"),
        pytest.param("2026-01-01T20:00", (280_000, 420_000, 28_000), id="V3.2"),
        pytest.param("2026-11-01T20:00", (140_000, 280_000, 2_800), id="V4 Flash"),
    ],
)
def test_deepseek_chat_has_the_price_of_the_model_it_meant(
    time: str, rates: tuple[int, int, int]
) -> None:
    price = price_of("deepseek", "deepseek-chat", time)

    assert (
        price.input_pusd_per_token,
        price.output_pusd_per_token,
        price.cache_read_pusd_per_token,
    ) == rates


@pytest.mark.parametrize("model", ["whisper-1", "omni-moderation-latest", "tts-1"])
def test_a_model_that_is_not_billed_by_token_has_no_price(model: str) -> None:
    assert PriceBook.load().price("openai", model, at("2026-11-01")) is None


@pytest.mark.parametrize(
    ("provider", "input_usd_per_mtok", "output_usd_per_mtok"),
    [
        pytest.param("openai", 150, 600, id="o1-pro"),
        pytest.param("anthropic", 15, 75, id="claude-opus-4-1"),
        pytest.param("x_ai", 5, 25, id="a semantic convention's spelling"),
        pytest.param("azure.ai.openai", 150, 600, id="a reseller: also what it resells"),
        pytest.param("nobody", 150, 600, id="unknown: OpenAI, Anthropic and Google"),
        pytest.param(None, 150, 600, id="missing"),
    ],
)
def test_a_ceiling_is_the_dearest_current_rate_of_the_provider(
    provider: str | None, input_usd_per_mtok: int, output_usd_per_mtok: int
) -> None:
    ceiling = PriceBook.load().ceiling(provider, at("2026-11-01"))

    assert (
        ceiling.model,
        ceiling.confidence,
        ceiling.input_pusd_per_token,
        ceiling.output_pusd_per_token,
    ) == (
        "(ceiling)",
        PriceConfidence.ESTIMATED,
        input_usd_per_mtok * 10**6,
        output_usd_per_mtok * 10**6,
    )


@given(
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.sampled_from(["gpt-5", "gpt-4o-mini", "o1-pro", "gpt-5.5", "gpt-6-astra"]),
)
def test_no_current_model_costs_more_than_the_ceiling(
    input_tokens: int, output_tokens: int, model: str
) -> None:
    book, now_ns = PriceBook.load(), at("2026-11-01")
    usage = TokenUsage(input_tokens, output_tokens, 0, input_tokens // 2)

    cost = price_of("openai", model).list_cost_pusd(usage)

    assert cost <= book.ceiling("openai", now_ns).list_cost_pusd(usage)


def test_ten_thousand_names_leave_at_most_4096_in_memory() -> None:
    book = PriceBook.load()
    for number in range(10_000):
        book.price("mistral", f"ft:mistral-small:{number}", 0)

    assert len(book._histories) == 4_096  # noqa: SLF001 - memory has no public face


def test_the_book_says_where_it_comes_from() -> None:
    book = PriceBook.load()

    assert (book.source, book.version) == ("genai-prices", "0.2.3")
    assert date.fromisoformat(book.compiled_on) >= date(2026, 11, 1)
    assert book.fingerprint().startswith("genai-prices 0.2.3 ")


def test_importing_the_book_reads_no_file_and_no_genai_prices() -> None:
    program = (
        "import sys, otelbudget.pricing.book as book;"
        "sys.exit('genai_prices' in sys.modules or book.newest_file.cache_info().currsize)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False)

    assert done.returncode == 0
