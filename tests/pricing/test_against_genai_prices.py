"""genai-prices itself is the oracle for what was compiled from it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from genai_prices import Usage, calc_price
from genai_prices import types as source
from genai_prices.data import providers
from hypothesis import given, settings
from hypothesis import strategies as st

from otelbudget.genai.usage import TokenUsage
from otelbudget.pricing.book import PriceBook
from otelbudget.pricing.compile_book import CORRECTIONS, STANDARD_OUTSIDE_WINDOWS

JUDGED = CORRECTIONS.keys() | STANDARD_OUTSIDE_WINDOWS
UNITS = {"input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok", "cache_write_1h_mtok"}
# Charged beside the tokens, and never for tokens alone.
OTHERS = {"web_searches_kcount", "storage_searches_kcount"}


def is_billed_by_token(model: source.ModelInfo) -> bool:
    prices = (
        [model.prices]
        if isinstance(model.prices, source.ModelPrice)
        else [price.prices for price in model.prices]
    )
    return all(
        "input_mtok" in stated and stated <= UNITS | OTHERS
        for stated in ({unit for unit, value in vars(price).items() if value} for price in prices)
    )


def names_of(clause: source.MatchLogic) -> Iterator[str]:
    match clause:
        case source.ClauseEquals():
            yield clause.equals
        case source.ClauseStartsWith():
            yield clause.starts_with
        case source.ClauseContains():
            yield clause.contains
        case source.ClauseEndsWith():
            yield clause.ends_with
        case source.ClauseOr():
            for part in clause.or_:
                yield from names_of(part)
        case _:
            pass


NAMES = sorted(
    {
        (provider.id, name)
        for provider in providers
        # Azure's customers choose names, so the book reads fewer of them.
        if provider.id != "azure"
        for model in provider.models
        if is_billed_by_token(model) and (provider.id, model.id) not in JUDGED
        for name in names_of(model.match)
        if (found := provider.find_model(name)) is not None
        and is_billed_by_token(found)
        and (provider.id, found.id) not in JUDGED
    }
)


@st.composite
def usages(draw: st.DrawFn) -> TokenUsage:
    input_tokens = draw(st.integers(0, 1_000_000))
    read_tokens = draw(st.integers(0, input_tokens))
    write_tokens = draw(st.integers(0, input_tokens - read_tokens))
    return TokenUsage(input_tokens, draw(st.integers(0, 100_000)), read_tokens, write_tokens)


def test_the_oracle_knows_thousands_of_names() -> None:
    assert len(NAMES) > 2_000


@settings(max_examples=600, deadline=None)
@given(
    st.sampled_from(NAMES),
    usages(),
    st.datetimes(datetime(2024, 1, 1), datetime(2027, 6, 1)),  # noqa: DTZ001 - made UTC below
)
def test_costs_equal_those_of_genai_prices(
    name: tuple[str, str], usage: TokenUsage, naive_start: datetime
) -> None:
    provider, model = name
    start = naive_start.replace(tzinfo=UTC)
    theirs = calc_price(
        Usage(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cache_read_input_tokens,
            cache_write_tokens=usage.cache_write_input_tokens,
        ),
        model,
        provider_id=provider,
        genai_request_timestamp=start,
    )

    start_ns = (start - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1_000
    ours = PriceBook.load().price(provider, model, start_ns)

    assert ours is not None
    # 28 rates of the source are not whole pico-USD per token: each is off by half of one at most.
    allowed_pusd = (usage.input_tokens + usage.output_tokens) / 2
    assert abs(ours.list_cost_pusd(usage) - theirs.total_price * 10**12) <= allowed_pusd
