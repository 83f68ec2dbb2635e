"""What a model's tokens cost on a given day, from the packaged price book."""

from bisect import bisect_right
from collections.abc import Iterator
from threading import Lock
from typing import Any, Protocol, Self, TypeVar

from otelbudget.errors import BudgetConfigError
from otelbudget.pricing import names
from otelbudget.pricing.catalogue import Catalogue, Found
from otelbudget.pricing.files import newest_file, packaged_file
from otelbudget.pricing.histories import (
    NS_PER_DAY,
    RATES,
    UNKNOWN,
    History,
    as_override,
    history_of,
    multiplied,
    replaced,
    start_ns,
)
from otelbudget.pricing.overrides import PriceOverrides
from otelbudget.pricing.price import Price, PriceConfidence, Tier, TokenRates
from otelbudget.pricing.records import BookFile, DatedRates, ProviderRow, Rates

__all__ = ["Price", "PriceBook", "PriceConfidence", "Tier", "TokenRates"]

STALE_DAYS = 30
_CACHED_NAMES = 4096
_CEILING_PROVIDERS = ("openai", "anthropic", "google")
_FREE: History = (
    (),
    (
        Price(
            provider="local",
            model="free",
            confidence=PriceConfidence.FREE,
            source="a server of one's own",
            input_pusd_per_token=0,
            output_pusd_per_token=0,
        ),
    ),
)

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Fallback(Protocol):
    """Another source of prices, asked for models that the book does not know.

    Attributes:
        name: Name and version of the source.
    """

    name: str

    def price(self, provider: str | None, model: str) -> Price | None:
        """The price of a model, with confidence FALLBACK; None where it is unknown."""


class PriceBook:
    """List prices of models by day and tier of service.

    Looking a price up is safe from any number of threads. A name is searched for once and then
    remembered, also when it is unknown; the memory holds 4,096 names.

    Attributes:
        source: Where the prices come from, such as "genai-prices".
        version: Version of the source.
        compiled_on: Day the book was compiled, as "2026-11-22".
        compiled_at_ns: 00:00 UTC of that day in unix nanoseconds.
        overrides_hash: Changes with the user's own prices; None where there are none.
    """

    def __init__(
        self,
        file: BookFile,
        overrides: PriceOverrides | None = None,
        *,
        fallback: Fallback | None = None,
    ) -> None:
        self.source = file.source
        self.version = file.version
        self.compiled_on = file.compiled_on.isoformat()
        self.compiled_at_ns = start_ns(file.compiled_on)
        self._content_hash = file.content_hash
        self._history_from_ns = start_ns(file.history_from)
        self._stale_from_ns = self.compiled_at_ns + (STALE_DAYS + 1) * NS_PER_DAY
        self._catalogue = Catalogue(file)
        self._histories: dict[tuple[str | None, str | None, str | None], History] = {}
        self._ceilings: dict[tuple[str | None, int], Price] = {}
        self._lock = Lock()
        self._overrides = overrides or None
        self._fallback = fallback
        self.overrides_hash = None if self._overrides is None else self._overrides.fingerprint()

    @classmethod
    def load(
        cls, overrides: PriceOverrides | None = None, *, fallback: Fallback | None = None
    ) -> Self:
        """The packaged book, or the user's own where `prices refresh` made a newer one.

        Its file is read once per process.

        Args:
            overrides: The user's own prices.
            fallback: Gives prices of models that the book does not know.

        Raises:
            BudgetConfigError: An alias means a model that has no price.
        """
        book = cls(newest_file(), overrides, fallback=fallback)
        for name, target in (overrides.aliases if overrides else {}).items():
            host, _, model = target.partition("/")
            if book.price(host, model, book.compiled_at_ns) is None:
                raise BudgetConfigError(
                    f"is {target!r}, which has no known price; name a model that has one, or give "
                    "its price under models",
                    path=overrides.path if overrides else None,
                    key=f"{overrides.prefix if overrides else ''}aliases.{name}",
                )
        return book

    @classmethod
    def packaged(cls) -> Self:
        """The book that is part of otelbudget, whatever else there is."""
        return cls(packaged_file())

    def fingerprint(self) -> str:
        """Changes whenever a price may have: version of the source, hashes of what is in it."""
        own = "" if self.overrides_hash is None else f" overrides {self.overrides_hash}"
        other = "" if self._fallback is None else f" fallback {self._fallback.name}"
        return f"{self.source} {self.version} {self._content_hash[:16]}{own}{other}"

    def staleness(self, now_ns: int) -> str | None:
        """A sentence where the prices are over 30 days old at a time, else None."""
        if now_ns < self._stale_from_ns:
            return None
        days = (now_ns - self.compiled_at_ns) // NS_PER_DAY
        return (
            f"the prices are {days} days old ({self.source} {self.version}, {self.compiled_on}); "
            "update otelbudget, or see: budget-audit prices refresh"
        )

    def price(
        self,
        provider: str | None,
        model: str | None,
        at_ns: int,
        service_tier: str | None = None,
    ) -> Price | None:
        """The list price of a model at a time.

        Args:
            provider: Provider as the span names it, None where it does not.
            model: Model as the span names it.
            at_ns: Start of the call in unix nanoseconds.
            service_tier: Tier of service that answered, such as "flex", "priority" or "batch";
                None, "default", "standard" and the like are the standard one.

        Returns:
            The price, or None where it is unknown; an unknown price is never 0.
        """
        history = self._histories.get((provider, model, service_tier))
        if history is None:
            history = self.history(provider, model, service_tier)
        starts, prices = history
        return prices[bisect_right(starts, at_ns)]

    def history(
        self, provider: str | None, model: str | None, service_tier: str | None = None
    ) -> History:
        """All prices of a model over time; the arguments are those of `price`.

        Returns:
            Starts in unix nanoseconds, ascending, and one price more: `prices[0]` holds before
            `starts[0]`, `prices[i]` from `starts[i - 1]` on and before `starts[i]`. A price is None
            where it is unknown. `price` at a time is `prices[bisect_right(starts, at_ns)]`.
        """
        key = (provider, model, service_tier)
        history = self._histories.get(key)
        if history is None:
            history = self._search(provider, model, names.service_tier(service_tier))
            self._remember(self._histories, key, history)
        return history

    def is_free(self, provider: str | None, model: str | None, at_ns: int) -> bool:
        """Whether a model is known to cost nothing, however it is used."""
        price = self.price(provider, model, at_ns)
        return price is not None and price.is_free and all(tier.is_free for tier in price.tiers)

    def ceiling(self, provider: str | None, at_ns: int) -> Price:
        """The dearest current rates of a provider, to stand in for a price that is not known.

        Args:
            provider: Provider as the span names it; where the book does not know it, the dearest of
                OpenAI, Anthropic and Google is given.
            at_ns: Start of the call in unix nanoseconds.
        """
        key = (provider, at_ns // NS_PER_DAY)
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

    def _search(self, provider: str | None, model: str | None, tier: str | None) -> History:
        own = self._overrides
        if own is None:
            return self._listed(provider, model, tier, None)
        alias = None if model is None else own.alias(provider, model)
        if alias is None:
            return self._listed(provider, model, tier, own)
        return as_override(self._listed(*alias, tier, own))

    def _listed(
        self, provider: str | None, model: str | None, tier: str | None, own: PriceOverrides | None
    ) -> History:
        """The history of names that are no alias."""
        found = None if model is None else self._catalogue.find(provider, model)
        if own is not None and own.is_free(provider, model):
            return _FREE
        if own is None or model is None:
            return self._unchanged(provider, model, tier, found)
        row = None if found is None or found.is_resold else f"{found.owner.id}/{found.row.id}"
        stated, stated_tier = own.rates(provider, model, row, tier)
        if not stated:
            listed = self._unchanged(provider, model, tier, found)
            return multiplied(listed, own.factor(provider, model, row))
        host, _, name = (row or "").partition("/")
        template = Price(
            provider=host or names.provider_id(provider) or "unknown",
            model=name or model.strip().lower(),
            confidence=PriceConfidence.OVERRIDE,
            source=f"overrides {self.overrides_hash}",
            service_tier=stated_tier,
            input_pusd_per_token=0,
            output_pusd_per_token=0,
        )
        return replaced(self._unchanged(provider, model, tier, found), stated, template)

    def _unchanged(
        self, provider: str | None, model: str | None, tier: str | None, found: Found | None
    ) -> History:
        if names.is_local(provider, model):
            return _FREE
        if found is not None and found.row.rates:
            return self._history_of(found, tier)
        if self._fallback is not None and model is not None:
            price = self._fallback.price(provider, model)
            return UNKNOWN if price is None else ((), (price,))
        return UNKNOWN

    def _history_of(self, found: Found, tier: str | None) -> History:
        rates = found.row.rates
        confidence = PriceConfidence.EXACT if found.is_exact else PriceConfidence.NORMALISED
        if tier is not None:
            # Whoever resells a model has tiers of service of its own.
            variant = None if found.is_resold else found.row.variants.get(tier)
            if variant is None:
                confidence = PriceConfidence.ESTIMATED
                tier = None
            else:
                rates = variant
        note = found.row.correction
        template = Price(
            provider=found.owner.id,
            model=found.row.id,
            confidence=confidence,
            source=f"{self.source} {self.version}" + (f", corrected: {note}" if note else ""),
            service_tier=tier,
            input_pusd_per_token=0,
            output_pusd_per_token=0,
        )
        return history_of(
            rates,
            template,
            undated_from_ns=self._history_from_ns,
            stale_from_ns=self._stale_from_ns,
        )

    def _dearest(self, provider: str | None, at_ns: int) -> Price:
        name = names.provider_id(provider)
        owners = [] if name is None else self._catalogue.owners(name)
        rates = list(_current_rates(owners, at_ns))
        if not rates:
            owners = [
                owner
                for name in _CEILING_PROVIDERS
                if (owner := self._catalogue.provider(name)) is not None
            ]
            rates = list(_current_rates(owners, at_ns))
        dearest: dict[str, Any] = {
            argument: max((_effective(each, rate) for each in rates), default=0)
            for rate, argument in RATES.items()
            if rate not in _CHEAPER
        }
        return Price(
            provider=owners[0].id,
            model="(ceiling)",
            confidence=PriceConfidence.ESTIMATED,
            source=f"dearest of {owners[0].id}, {self.source} {self.version}",
            **dearest,
        )


# Kept out of a ceiling: without a rate, cache reads cost what input costs, which is never less; a
# price per request is that of a few special models.
_CHEAPER = frozenset({"cache_read", "audio_cache_read", "image_cache_read", "request"})
_PLAIN = {
    "cache_write": ("input",),
    "cache_write_1h": ("cache_write", "input"),
    "audio_input": ("input",),
    "audio_output": ("output",),
    "image_input": ("input",),
    "image_output": ("output",),
    "reasoning_output": ("output",),
}


def _effective(rates: Rates, name: str) -> int:
    """The rate that a class of tokens is charged at: its own, else the plain one."""
    for each in (name, *_PLAIN.get(name, ())):
        value: int | None = getattr(rates, each)
        if value is not None:
            return value
    return 0


def _current_rates(owners: list[ProviderRow], at_ns: int) -> Iterator[Rates]:
    """Rates and tiers at a time of the owners' text models, those they have withdrawn left out."""
    for owner in owners:
        for row in owner.models:
            if not row.is_deprecated:
                started = [rates for rates in row.rates if _has_begun(rates, at_ns)]
                if started and started[-1].input is not None and started[-1].output is not None:
                    yield started[-1]
                    yield from started[-1].tiers


def _has_begun(rates: DatedRates, at_ns: int) -> bool:
    return rates.valid_from is None or start_ns(rates.valid_from) <= at_ns
