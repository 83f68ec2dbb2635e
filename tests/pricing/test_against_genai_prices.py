"""genai-prices itself is the oracle for what was compiled from it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from genai_prices import Usage, calc_price
from genai_prices import types as source
from genai_prices.data import providers
from hypothesis import given, settings
from hypothesis import strategies as st

from otelbudget.genai.usage import TokenUsage
from otelbudget.pricing.book import PriceBook, PriceConfidence
from otelbudget.pricing.corrections import CORRECTIONS, STANDARD_OUTSIDE_WINDOWS

JUDGED = {(each.provider, each.row) for each in CORRECTIONS} | STANDARD_OUTSIDE_WINDOWS
UNITS = {
    "input_mtok",
    "output_mtok",
    "cache_read_mtok",
    "cache_write_mtok",
    "cache_write_1h_mtok",
    "input_audio_mtok",
    "cache_audio_read_mtok",
    "output_audio_mtok",
    "input_image_mtok",
    "cache_image_read_mtok",
    "output_image_mtok",
    "output_reasoning_mtok",
    "web_searches_kcount",
    "requests_kcount",
}
# Charged beside the tokens, and never for tokens alone.
OTHERS = {"storage_searches_kcount", "output_citation_mtok", "input_video_mtok"}


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
    """Usage whose parts fit into their wholes."""
    small, large = st.integers(0, 20_000), st.integers(0, 600_000)
    some = st.one_of(st.just(0), small)
    text, text_read, written, written_1h = draw(large), draw(some), draw(some), draw(some)
    audio, audio_read, image, image_read = (draw(some) for _ in range(4))
    text_out, reasoning, audio_out, image_out = (draw(some) for _ in range(4))
    return TokenUsage(
        input_tokens=text
        + text_read
        + written
        + written_1h
        + audio
        + audio_read
        + image
        + image_read,
        output_tokens=text_out + reasoning + audio_out + image_out,
        cache_read_input_tokens=text_read + audio_read + image_read,
        cache_write_input_tokens=written + written_1h,
        reasoning_output_tokens=reasoning,
        cache_write_1h_input_tokens=written_1h,
        audio_input_tokens=audio + audio_read,
        audio_output_tokens=audio_out,
        image_input_tokens=image + image_read,
        image_output_tokens=image_out,
        audio_cache_read_input_tokens=audio_read,
        image_cache_read_input_tokens=image_read,
        web_searches=draw(st.integers(0, 5)),
    )


def their_cost_pusd(
    provider: str,
    model: str,
    usage: TokenUsage,
    start: datetime,
    price_context: dict[str, str] | None = None,
) -> Decimal:
    """What genai-prices says."""
    theirs = calc_price(
        Usage(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cache_read_input_tokens,
            cache_write_tokens=usage.cache_write_input_tokens,
            cache_write_1h_tokens=usage.cache_write_1h_input_tokens,
            input_audio_tokens=usage.audio_input_tokens,
            cache_audio_read_tokens=usage.audio_cache_read_input_tokens,
            output_audio_tokens=usage.audio_output_tokens,
            input_image_tokens=usage.image_input_tokens,
            cache_image_read_tokens=usage.image_cache_read_input_tokens,
            output_image_tokens=usage.image_output_tokens,
            output_reasoning_tokens=usage.reasoning_output_tokens,
            web_searches=usage.web_searches,
            storage_searches=0,
            output_citation_tokens=0,
        ),
        model,
        provider_id=provider,
        genai_request_timestamp=start,
        price_context=price_context,
    )
    return theirs.total_price * 10**12


def ns(start: datetime) -> int:
    return (start - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1_000


def allowed_pusd(usage: TokenUsage) -> float:
    """28 rates of the source are not whole pico-USD per token: each is off by half of one."""
    return (usage.input_tokens + usage.output_tokens) / 2


def test_the_oracle_knows_thousands_of_names() -> None:
    assert len(NAMES) > 2_000


@settings(max_examples=500, deadline=None)
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

    ours = PriceBook.load().price(provider, model, ns(start))

    assert ours is not None
    difference = ours.list_cost_pusd(usage) - their_cost_pusd(provider, model, usage, start)
    assert abs(difference) <= allowed_pusd(usage)


SPECIAL = sorted(
    (provider.id, model.id)
    for provider in providers
    for model in provider.models
    if is_billed_by_token(model)
    and (provider.id, model.id) not in JUDGED
    and provider.find_model(model.id) is model
    and any(
        getattr(model.get_prices(datetime(2026, 11, 1, tzinfo=UTC)), unit) is not None
        for unit in UNITS
        if "audio" in unit or "image" in unit or "reasoning" in unit or "kcount" in unit
    )
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SPECIAL), usages())
def test_audio_images_reasoning_and_searches_cost_what_genai_prices_says(
    name: tuple[str, str], usage: TokenUsage
) -> None:
    start = datetime(2026, 11, 1, tzinfo=UTC)

    ours = PriceBook.load().price(*name, ns(start))

    assert ours is not None
    difference = ours.list_cost_pusd(usage) - their_cost_pusd(*name, usage, start)
    assert abs(difference) <= allowed_pusd(usage)


CONTEXTS = {
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
    "fast": {"service_tier": "fast", "speed": "fast"},
    "batch": {"processing": "batch"},
}
VARIANTS = sorted(
    (provider.id, model.id, tier)
    for provider in providers
    for model in provider.models
    if is_billed_by_token(model) and provider.find_model(model.id) is model
    for tier, context in CONTEXTS.items()
    if any(variant.when.items() <= context.items() for variant in model.price_variants or ())
)


def test_every_tier_of_service_of_the_source_is_tried() -> None:
    assert len({(provider, model) for provider, model, _ in VARIANTS}) > 90


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(VARIANTS),
    usages(),
    st.datetimes(datetime(2026, 10, 16), datetime(2027, 6, 1)),  # noqa: DTZ001 - made UTC below
)
def test_a_tier_of_service_costs_what_genai_prices_says(
    variant: tuple[str, str, str], usage: TokenUsage, naive_start: datetime
) -> None:
    provider, model, tier = variant
    start = naive_start.replace(tzinfo=UTC)

    ours = PriceBook.load().price(provider, model, ns(start), tier)

    assert ours is not None
    if ours.confidence is PriceConfidence.BEFORE_HISTORY:
        return  # genai-prices gives the standard price then
    theirs = their_cost_pusd(provider, model, usage, start, CONTEXTS[tier])
    assert (ours.service_tier, abs(ours.list_cost_pusd(usage) - theirs) <= allowed_pusd(usage)) == (
        tier,
        True,
    )
