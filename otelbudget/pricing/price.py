"""The list price of a model at a time, and what a call costs by it."""

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from otelbudget.genai.usage import TokenUsage


class PriceConfidence(StrEnum):
    """How sure it is that a price is the one the call was billed at."""

    OVERRIDE = "override"
    """The user's own prices say so."""
    EXACT = "exact"
    """The book knows the model by the name the call has."""
    NORMALISED = "normalised"
    """The name had to be rewritten, or the price is that of the provider whose model is resold."""
    BEFORE_HISTORY = "before_history"
    """The call is older than the book's knowledge of this price, which may have been another."""
    STALE = "stale"
    """The call began over 30 days after the book was compiled; the price may have changed since."""
    FALLBACK = "fallback"
    """The book does not know the model; another source that was asked for does."""
    ESTIMATED = "estimated"
    """Another price stands in for one that is not known: a ceiling for a model, or the standard
    price for a tier of service."""
    FREE = "free"
    """Known to cost nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRates:
    """Rates in pico-USD per token, and what is charged beside the tokens.

    Attributes:
        input_pusd_per_token: Input that no other rate applies to.
        output_pusd_per_token: Output that no other rate applies to.
        cache_read_pusd_per_token: Cache reads; None: the input rate applies.
        cache_write_pusd_per_token: Cache writes; None: the input rate applies.
        cache_write_1h_pusd_per_token: Cache writes kept for an hour; None: as other cache writes.
        audio_input_pusd_per_token: Audio input; None: the input rate applies.
        audio_cache_read_pusd_per_token: Audio read from the cache; None: as other cache reads, and
            where these have no rate either, as audio input.
        audio_output_pusd_per_token: Audio output; None: the output rate applies.
        image_input_pusd_per_token: Image input; None: the input rate applies.
        image_cache_read_pusd_per_token: Images read from the cache; None: as for audio.
        image_output_pusd_per_token: Image output; None: the output rate applies.
        reasoning_output_pusd_per_token: Reasoning; None: the output rate applies.
        pusd_per_web_search: A web search, in pico-USD; 0 where no rate is known.
        pusd_per_request: The request itself, in pico-USD.
        has_special: Whether audio, images or reasoning have rates of their own; set by itself.
        is_free: Whether nothing is charged for anything; set by itself.
    """

    input_pusd_per_token: int
    output_pusd_per_token: int
    cache_read_pusd_per_token: int | None = None
    cache_write_pusd_per_token: int | None = None
    cache_write_1h_pusd_per_token: int | None = None
    audio_input_pusd_per_token: int | None = None
    audio_cache_read_pusd_per_token: int | None = None
    audio_output_pusd_per_token: int | None = None
    image_input_pusd_per_token: int | None = None
    image_cache_read_pusd_per_token: int | None = None
    image_output_pusd_per_token: int | None = None
    reasoning_output_pusd_per_token: int | None = None
    pusd_per_web_search: int = 0
    pusd_per_request: int = 0

    has_special: bool = field(init=False, repr=False, compare=False)
    is_free: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        special = (
            self.audio_input_pusd_per_token,
            self.audio_cache_read_pusd_per_token,
            self.audio_output_pusd_per_token,
            self.image_input_pusd_per_token,
            self.image_cache_read_pusd_per_token,
            self.image_output_pusd_per_token,
            self.reasoning_output_pusd_per_token,
        )
        has_special = any(rate is not None for rate in special)
        object.__setattr__(self, "has_special", has_special)
        rates = (
            self.input_pusd_per_token,
            self.output_pusd_per_token,
            self.cache_read_pusd_per_token,
            self.cache_write_pusd_per_token,
            self.cache_write_1h_pusd_per_token,
            self.pusd_per_web_search,
            self.pusd_per_request,
            *special,
        )
        object.__setattr__(self, "is_free", not any(rates))

    def cost_pusd(self, usage: TokenUsage) -> int:
        """Cost of one call at these rates, in pico-USD.

        Each token is charged once, at the most specific rate that applies to it. A part that
        exceeds its whole, which is a reading fault, is cut to it; only cache reads and writes are
        charged in full, and leave no negative rest.
        """
        beside = self.pusd_per_request
        if usage.web_searches:
            beside += usage.web_searches * self.pusd_per_web_search
        if self.has_special and _is_special(usage):
            return beside + self._input_pusd(usage) + self._output_pusd(usage)
        read, written = usage.cache_read_input_tokens, usage.cache_write_input_tokens
        rate = self.input_pusd_per_token
        cost = beside + usage.output_tokens * self.output_pusd_per_token
        if not (read or written):
            return cost + usage.input_tokens * rate
        fresh = usage.input_tokens - read - written
        if fresh > 0:
            cost += fresh * rate
        if read:
            read_rate = self.cache_read_pusd_per_token
            cost += read * (rate if read_rate is None else read_rate)
        return cost + self._written_pusd(usage) if written else cost

    def _input_pusd(self, usage: TokenUsage) -> int:
        rate = self.input_pusd_per_token
        audio_rate = _or(self.audio_input_pusd_per_token, rate)
        image_rate = _or(self.image_input_pusd_per_token, rate)
        read_rate = self.cache_read_pusd_per_token
        read, written = usage.cache_read_input_tokens, usage.cache_write_input_tokens
        audio_read = min(usage.audio_cache_read_input_tokens, usage.audio_input_tokens, read)
        image_read = min(
            usage.image_cache_read_input_tokens, usage.image_input_tokens, read - audio_read
        )
        fresh = max(usage.input_tokens - read - written, 0)
        # What is left of audio and images may also lie in the cache writes: those are charged.
        audio = min(usage.audio_input_tokens - audio_read, fresh)
        image = min(usage.image_input_tokens - image_read, fresh - audio)
        return (
            (fresh - audio - image) * rate
            + audio * audio_rate
            + image * image_rate
            + (read - audio_read - image_read) * _or(read_rate, rate)
            + audio_read * _or(self.audio_cache_read_pusd_per_token, _or(read_rate, audio_rate))
            + image_read * _or(self.image_cache_read_pusd_per_token, _or(read_rate, image_rate))
            + self._written_pusd(usage)
        )

    def _written_pusd(self, usage: TokenUsage) -> int:
        written = usage.cache_write_input_tokens
        for_an_hour = min(usage.cache_write_1h_input_tokens, written)
        rate = _or(self.cache_write_pusd_per_token, self.input_pusd_per_token)
        rate_1h = _or(self.cache_write_1h_pusd_per_token, rate)
        return (written - for_an_hour) * rate + for_an_hour * rate_1h

    def _output_pusd(self, usage: TokenUsage) -> int:
        rate = self.output_pusd_per_token
        audio = min(usage.audio_output_tokens, usage.output_tokens)
        image = min(usage.image_output_tokens, usage.output_tokens - audio)
        rest = usage.output_tokens - audio - image
        reasoning = min(usage.reasoning_output_tokens, rest)
        return (
            (rest - reasoning) * rate
            + audio * _or(self.audio_output_pusd_per_token, rate)
            + image * _or(self.image_output_pusd_per_token, rate)
            + reasoning * _or(self.reasoning_output_pusd_per_token, rate)
        )


def _is_special(usage: TokenUsage) -> bool:
    return bool(
        usage.audio_input_tokens
        or usage.audio_output_tokens
        or usage.reasoning_output_tokens
        or usage.image_input_tokens
        or usage.image_output_tokens
    )


def _or(rate: int | None, otherwise: int) -> int:
    return otherwise if rate is None else rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier(TokenRates):
    """Rates that apply to a whole request once its input is large.

    Attributes:
        above_input_tokens: The input, in tokens, that the request must exceed.
    """

    above_input_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Price(TokenRates):
    """The list price of a model at a time.

    Attributes:
        provider: Provider whose rates these are, such as "openai"; "local" where a model is free.
        model: Row of the book, such as "gpt-4o"; "(ceiling)" for a ceiling.
        confidence: How sure the price is.
        source: Where the rates come from, such as "genai-prices 0.2.3".
        valid_from: First day of these rates; None where the book does not know it.
        service_tier: Tier of service that the rates are for, such as "flex"; None: the standard.
        tiers: Rates of larger requests, by ascending size.
    """

    provider: str
    model: str
    confidence: PriceConfidence
    source: str = ""
    valid_from: date | None = None
    service_tier: str | None = None
    tiers: tuple[Tier, ...] = ()

    @property
    def matched(self) -> str:
        """Provider and row of the book, such as "openai/gpt-4o"."""
        return f"{self.provider}/{self.model}"

    def list_cost_pusd(self, usage: TokenUsage) -> int:
        """List cost of one call in pico-USD; never negative."""
        if self.tiers:
            return self.rates_of(usage.input_tokens).cost_pusd(usage)
        return self.cost_pusd(usage)

    def rates_of(self, input_tokens: int) -> TokenRates:
        """The rates of a whole request with so many input tokens."""
        for tier in reversed(self.tiers):
            if input_tokens > tier.above_input_tokens:
                return tier
        return self
