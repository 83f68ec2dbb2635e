"""What a model's tokens cost on a given day, from the packaged price book."""

import gzip
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cache
from importlib import resources
from threading import Lock
from typing import Self, TypedDict, TypeVar

import msgspec

from otelbudget.genai.usage import TokenUsage
from otelbudget.pricing import names
from otelbudget.pricing.records import BookFile, DatedRates, ModelRow, ProviderRow, Rates

_CACHED_NAMES = 4096
_NS_PER_DAY = 86_400 * 10**9
_EPOCH = date(1970, 1, 1)
_CEILING_PROVIDERS = ("openai", "anthropic", "google")
_CHOSEN_NAMES = frozenset({"azure"})
"""Providers whose customers name their own deployments."""


class PriceConfidence(StrEnum):
    """How sure it is that a price is the one the call was billed at."""

    EXACT = "exact"
    """The book knows the model by the name the call has."""
    NORMALISED = "normalised"
    """The name had to be rewritten, or the price is that of the provider whose model is resold."""
    BEFORE_HISTORY = "before_history"
    """The call is older than the book's knowledge of this price, which may have been another."""
    ESTIMATED = "estimated"
    """A ceiling stands in for a price that is not known."""
    FREE = "free"
    """Known to cost nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRates:
    """Rates in pico-USD per token.

    Attributes:
        input_pusd_per_token: Input that is neither read from nor written to a cache.
        output_pusd_per_token: Output, including reasoning.
        cache_read_pusd_per_token: Cache reads; None: the input rate applies.
        cache_write_pusd_per_token: Cache writes; None: the input rate applies.
    """

    input_pusd_per_token: int
    output_pusd_per_token: int
    cache_read_pusd_per_token: int | None = None
    cache_write_pusd_per_token: int | None = None


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
        valid_from: First day of these rates; None where the book does not know it.
        tiers: Rates of larger requests, by ascending size.
    """

    provider: str
    model: str
    confidence: PriceConfidence
    valid_from: date | None = None
    tiers: tuple[Tier, ...] = ()

    @property
    def matched(self) -> str:
        """Provider and row of the book, such as "openai/gpt-4o"."""
        return f"{self.provider}/{self.model}"

    def list_cost_pusd(self, usage: TokenUsage) -> int:
        """List cost of one call in pico-USD.

        Cache reads and writes are part of the input and taken out of it. Where they exceed it, which
        is a reading fault, the rest of the input is 0: the cost is never negative.
        """
        rates = self._rates_of(usage.input_tokens) if self.tiers else self
        read_tokens = usage.cache_read_input_tokens
        write_tokens = usage.cache_write_input_tokens
        input_rate = rates.input_pusd_per_token
        cost = usage.output_tokens * rates.output_pusd_per_token
        if not (read_tokens or write_tokens):
            return cost + usage.input_tokens * input_rate
        read_rate = rates.cache_read_pusd_per_token
        write_rate = rates.cache_write_pusd_per_token
        return (
            cost
            + max(usage.input_tokens - read_tokens - write_tokens, 0) * input_rate
            + read_tokens * (input_rate if read_rate is None else read_rate)
            + write_tokens * (input_rate if write_rate is None else write_rate)
        )

    def _rates_of(self, input_tokens: int) -> TokenRates:
        for tier in reversed(self.tiers):
            if input_tokens > tier.above_input_tokens:
                return tier
        return self


_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
_History = tuple[tuple[int, ...], tuple[Price | None, ...]]
"""Starts in unix nanoseconds, ascending, and the prices before, between and after them."""

_UNKNOWN: _History = ((), (None,))
_FREE: _History = (
    (),
    (
        Price(
            provider="local",
            model="free",
            confidence=PriceConfidence.FREE,
            input_pusd_per_token=0,
            output_pusd_per_token=0,
        ),
    ),
)


class PriceBook:
    """List prices of models by day.

    Looking a price up is safe from any number of threads. A name is searched for once and then
    remembered, also when it is unknown; the memory holds 4,096 names.

    Attributes:
        source: Where the prices come from, such as "genai-prices".
        version: Version of the source.
        compiled_on: Day the book was compiled, as "2026-11-22".
    """

    def __init__(self, file: BookFile) -> None:
        self.source = file.source
        self.version = file.version
        self.compiled_on = file.compiled_on.isoformat()
        self._content_hash = file.content_hash
        self._history_from_ns = _start_ns(file.history_from)
        self._providers = {provider.id: provider for provider in file.providers}
        self._histories: dict[tuple[str | None, str | None], _History] = {}
        self._ceilings: dict[tuple[str | None, int], Price] = {}
        self._lock = Lock()

    @classmethod
    def load(cls) -> Self:
        """The packaged book, read once per process."""
        return cls(_packaged_file())

    def fingerprint(self) -> str:
        """Changes whenever a price may have: version of the source and hash of the content."""
        return f"{self.source} {self.version} {self._content_hash[:16]}"

    def price(self, provider: str | None, model: str | None, at_ns: int) -> Price | None:
        """The list price of a model at a time.

        Args:
            provider: Provider as the span names it, None where it does not.
            model: Model as the span names it.
            at_ns: Start of the call in unix nanoseconds.

        Returns:
            The price, or None where it is unknown; an unknown price is never 0.
        """
        history = self._histories.get((provider, model))
        if history is None:
            history = self._search(provider, model)
            self._remember(self._histories, (provider, model), history)
        starts, prices = history
        return prices[bisect_right(starts, at_ns)]

    def ceiling(self, provider: str | None, at_ns: int) -> Price:
        """The dearest current rates of a provider, to stand in for a price that is not known.

        Args:
            provider: Provider as the span names it; where the book does not know it, the dearest of
                OpenAI, Anthropic and Google is given.
            at_ns: Start of the call in unix nanoseconds.
        """
        key = (provider, at_ns // _NS_PER_DAY)
        found = self._ceilings.get(key)
        if found is None:
            found = self._dearest(provider, at_ns)
            self._remember(self._ceilings, key, found)
        return found

    def _remember(self, memory: dict[_Key, _Value], key: _Key, value: _Value) -> None:
        with self._lock:
            if len(memory) >= _CACHED_NAMES:
                del memory[next(iter(memory))]
            memory[key] = value

    def _search(self, provider: str | None, model: str | None) -> _History:
        if names.is_local(provider, model):
            return _FREE
        if model is None:
            return _UNKNOWN
        for reading in names.readings(provider, model):
            found = self._row(reading)
            if found is not None:
                owner, row = found
                is_exact = reading.model == model.strip().lower() and not self._is_resold(
                    reading, owner
                )
                return self._history(owner, row, is_exact=is_exact)
        return self._search_elsewhere(provider, model)

    def _search_elsewhere(self, provider: str | None, model: str) -> _History:
        """The list price of a model that a provider the book has never heard of serves."""
        host = names.provider_id(provider)
        if host is None or self._provider(host) is not None:
            return _UNKNOWN
        for reading in names.readings(None, model):
            found = self._row(reading)
            if found is not None:
                return self._history(*found, is_exact=False)
        return _UNKNOWN

    def _row(self, reading: names.ModelName) -> tuple[ProviderRow, ModelRow] | None:
        """The row that prices a name, and its provider."""
        inside = reading.provider not in _CHOSEN_NAMES
        for owner in self._candidates(reading):
            for row in owner.models:
                if row.match.matches(reading.model, inside=inside):
                    return owner, row
        return None

    def _candidates(self, reading: names.ModelName) -> list[ProviderRow]:
        """Providers that may sell the model, best first."""
        if reading.provider is not None:
            return self._owners(reading.provider)
        return [
            owner
            for owner in self._providers.values()
            if owner.model_match is not None and owner.model_match.matches(reading.model)
        ]

    def _is_resold(self, reading: names.ModelName, owner: ProviderRow) -> bool:
        return reading.provider is not None and owner is not self._provider(reading.provider)

    def _owners(self, provider: str) -> list[ProviderRow]:
        """The provider and those whose models it resells; empty where the book has none."""
        owner = self._provider(provider)
        if owner is None:
            return []
        return [owner, *(self._providers[name] for name in owner.fallback)]

    def _provider(self, name: str) -> ProviderRow | None:
        if name in self._providers:
            return self._providers[name]
        for owner in self._providers.values():
            if owner.provider_match is not None and owner.provider_match.matches(name):
                return owner
        return None

    def _history(self, owner: ProviderRow, row: ModelRow, *, is_exact: bool) -> _History:
        if not row.rates:
            return _UNKNOWN
        confidence = PriceConfidence.EXACT if is_exact else PriceConfidence.NORMALISED
        starts = tuple(
            self._history_from_ns if rates.valid_from is None else _start_ns(rates.valid_from)
            for rates in row.rates
        )
        before = _price(owner, row, row.rates[0], PriceConfidence.BEFORE_HISTORY)
        return starts, (before, *(_price(owner, row, rates, confidence) for rates in row.rates))

    def _dearest(self, provider: str | None, at_ns: int) -> Price:
        name = names.provider_id(provider)
        owners = [] if name is None else self._owners(name)
        rates = list(_current_rates(owners, at_ns))
        if not rates:
            owners = [self._providers[name] for name in _CEILING_PROVIDERS]
            rates = list(_current_rates(owners, at_ns))
        return Price(
            provider=owners[0].id,
            model="(ceiling)",
            confidence=PriceConfidence.ESTIMATED,
            input_pusd_per_token=max(rate.input or 0 for rate in rates),
            output_pusd_per_token=max(rate.output or 0 for rate in rates),
            cache_write_pusd_per_token=max(rate.cache_write or rate.input or 0 for rate in rates),
        )


def _current_rates(owners: list[ProviderRow], at_ns: int) -> Iterator[Rates]:
    """Rates and tiers at a time of the owners' text models, those they have withdrawn left out."""
    for owner in owners:
        for row in owner.models:
            if row.is_deprecated:
                continue
            started = [
                rates
                for rates in row.rates
                if rates.valid_from is None or _start_ns(rates.valid_from) <= at_ns
            ]
            if started and started[-1].input is not None and started[-1].output is not None:
                yield started[-1]
                yield from started[-1].tiers


def _price(
    owner: ProviderRow, row: ModelRow, rates: DatedRates, confidence: PriceConfidence
) -> Price:
    is_free = rates.input == 0 and rates.output == 0
    return Price(
        provider=owner.id,
        model=row.id,
        confidence=PriceConfidence.FREE if is_free else confidence,
        valid_from=rates.valid_from,
        tiers=tuple(
            Tier(above_input_tokens=tier.above_input_tokens, **_token_rates(tier))
            for tier in rates.tiers
        ),
        **_token_rates(rates),
    )


class _TokenRates(TypedDict):
    input_pusd_per_token: int
    output_pusd_per_token: int
    cache_read_pusd_per_token: int | None
    cache_write_pusd_per_token: int | None


def _token_rates(rates: Rates) -> _TokenRates:
    return {
        "input_pusd_per_token": rates.input or 0,
        # Embedding models have no output and no rate for it.
        "output_pusd_per_token": rates.output or 0,
        "cache_read_pusd_per_token": rates.cache_read,
        "cache_write_pusd_per_token": rates.cache_write,
    }


def _start_ns(day: date) -> int:
    return (day - _EPOCH).days * _NS_PER_DAY


@cache
def _packaged_file() -> BookFile:
    packed = resources.files("otelbudget.pricing").joinpath("book.json.gz").read_bytes()
    return msgspec.json.decode(gzip.decompress(packed), type=BookFile)
