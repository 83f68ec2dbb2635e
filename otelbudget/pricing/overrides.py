"""The user's own prices: what a `prices` section of a budgets file says."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any, Self

import msgspec

from otelbudget.errors import BudgetConfigError
from otelbudget.pricing import names
from otelbudget.pricing.records import DatedRates

_KEYS = ("aliases", "free", "discounts", "multipliers", "models")
_MOST_USD = 10**6
_MOST_FACTOR = 1000
_MOST_DECIMALS = 12


@dataclass(frozen=True, slots=True)
class _RateKey:
    """A rate's name in the book, and of how many units its price is written."""

    name: str
    per: int = 1_000_000


_RATE_KEYS: Mapping[str, _RateKey] = {
    "input_usd_per_mtok": _RateKey("input"),
    "output_usd_per_mtok": _RateKey("output"),
    "cache_read_usd_per_mtok": _RateKey("cache_read"),
    "cache_write_usd_per_mtok": _RateKey("cache_write"),
    "cache_write_1h_usd_per_mtok": _RateKey("cache_write_1h"),
    "audio_input_usd_per_mtok": _RateKey("audio_input"),
    "audio_cache_read_usd_per_mtok": _RateKey("audio_cache_read"),
    "audio_output_usd_per_mtok": _RateKey("audio_output"),
    "image_input_usd_per_mtok": _RateKey("image_input"),
    "image_cache_read_usd_per_mtok": _RateKey("image_cache_read"),
    "image_output_usd_per_mtok": _RateKey("image_output"),
    "reasoning_output_usd_per_mtok": _RateKey("reasoning_output"),
    "web_search_usd_per_1000": _RateKey("web_search", 1_000),
    "request_usd_per_1000": _RateKey("request", 1_000),
}
_NEEDED = ("input_usd_per_mtok", "output_usd_per_mtok")
_ENTRY_KEYS = ("from", "service_tier", *_RATE_KEYS)


@dataclass(frozen=True, slots=True)
class OverrideRates:
    """Rates of a model that the user states.

    Attributes:
        rates: The rates, with their first day.
        service_tier: The tier of service they are for; None: every tier that has none of its own.
    """

    rates: DatedRates
    service_tier: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceOverrides:
    """The user's own prices.

    Attributes:
        aliases: Names of calls, as "model" or "provider/model", and the "provider/model" they mean.
        free: What costs nothing: a provider, or "provider/model" in which * stands for anything.
        factors: What list prices are multiplied by, by provider or "provider/model" as in `free`.
        models: Rates by "provider/model".
        path: The file they were read from, for errors; None where they were made in code.
        prefix: Key of the section in that file, with a dot, or "".
    """

    aliases: Mapping[str, str] = field(default_factory=dict)
    free: tuple[str, ...] = ()
    factors: Mapping[str, Decimal] = field(default_factory=dict)
    models: Mapping[str, tuple[OverrideRates, ...]] = field(default_factory=dict)
    path: str | None = None
    prefix: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_config(cls, section: object, *, path: str | None = None, prefix: str = "") -> Self:
        """Prices from the mapping that a `prices` section holds.

        Raises:
            BudgetConfigError: A key or value is not allowed; the error names file and key.
        """
        read = _Reader(path, prefix)
        given = read.mapping(section, prefix.rstrip("."))
        read.known(given, _KEYS, prefix)
        factors: dict[str, Decimal] = {}
        for name, value in read.part(given, "discounts"):
            factors[_pattern(name)] = 1 - read.ratio(value, f"discounts.{name}", 1)
        for name, value in read.part(given, "multipliers"):
            factor = read.ratio(value, f"multipliers.{name}", _MOST_FACTOR)
            factors[_pattern(name)] = factors.get(_pattern(name), Decimal(1)) * factor
        return cls(
            aliases={
                _lower(name): read.target(value, f"aliases.{name}")
                for name, value in read.part(given, "aliases")
            },
            free=tuple(_pattern(name) for name in read.names(given.get("free", []), "free")),
            factors=factors,
            models={
                read.target(name, f"models.{name}"): read.entries(value, f"models.{name}")
                for name, value in read.part(given, "models")
            },
            path=path,
            prefix=prefix,
            config=_plain(given),
        )

    def __bool__(self) -> bool:
        return bool(self.aliases or self.free or self.factors or self.models)

    def fingerprint(self) -> str:
        """Changes whenever what they say does: 16 hexadecimal digits."""
        said = [
            dict(self.aliases),
            self.free,
            {name: str(factor) for name, factor in self.factors.items()},
            dict(self.models),
        ]
        return hashlib.sha256(msgspec.json.encode(said, order="sorted")).hexdigest()[:16]

    def alias(self, provider: str | None, model: str) -> tuple[str, str] | None:
        """Provider and model that a call's names are an alias of."""
        name = _lower(model)
        for spelled in (*(f"{host}/{name}" for host in _hosts(provider)), name):
            if spelled in self.aliases:
                host, _, target = self.aliases[spelled].partition("/")
                return host, target
        return None

    def rates(
        self, provider: str | None, model: str, row: str | None, tier: str | None
    ) -> tuple[tuple[DatedRates, ...], str | None]:
        """The rates that are stated for a call's names, or else for the book's row of them.

        Returns:
            The rates by ascending first day, none where none are stated, and the tier of service
            that they are for, None where they are for every tier.
        """
        for key in (*_spellings(provider, model), row):
            if key is not None and key in self.models:
                entries = self.models[key]
                of_tier = [entry.rates for entry in entries if entry.service_tier == tier]
                every = [entry.rates for entry in entries if entry.service_tier is None]
                return tuple(of_tier or every), tier if of_tier else None
        return (), None

    def is_free(self, provider: str | None, model: str | None) -> bool:
        """Whether a call costs nothing."""
        return any(_matches(pattern, provider, model) for pattern in self.free)

    def factor(self, provider: str | None, model: str | None, row: str | None) -> Decimal:
        """What a call's list prices are multiplied by; the most specific key decides."""
        matching = [key for key in self.factors if _matches(key, provider, model, row)]
        specific = max(matching, key=lambda key: ("/" in key, "*" not in key, len(key)), default="")
        return self.factors.get(specific, Decimal(1))


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads parts of a section; its errors name file and key."""

    path: str | None
    prefix: str

    def fail(self, reason: str, key: str) -> BudgetConfigError:
        return BudgetConfigError(reason, path=self.path, key=self.prefix + key)

    def mapping(self, value: object, key: str) -> Mapping[str, Any]:
        if isinstance(value, Mapping) and value:
            return {str(name): inner for name, inner in value.items()}
        raise BudgetConfigError("must hold keys with values", path=self.path, key=key or None)

    def known(self, given: Mapping[str, Any], known: Sequence[str], where: str) -> None:
        for key in given:
            if key not in known:
                raise BudgetConfigError(
                    f"is not a key this version knows; allowed are {', '.join(known)}",
                    path=self.path,
                    key=where + key,
                )

    def part(self, given: Mapping[str, Any], key: str) -> Iterator[tuple[str, Any]]:
        """The entries of a part that is a mapping, none where it is not given."""
        if key in given:
            yield from self.mapping(given[key], self.prefix + key).items()

    def names(self, value: object, key: str) -> Sequence[str]:
        is_list = isinstance(value, Sequence) and not isinstance(value, str)
        if not is_list or not all(isinstance(name, str) and name for name in value):  # type: ignore[attr-defined] # it is a sequence then
            raise self.fail(
                f"is {value!r}, allowed is a list of providers and provider/model, such as "
                "[ollama, 'vllm/*']",
                key,
            )
        return value  # type: ignore[return-value] # checked above

    def target(self, value: object, key: str) -> str:
        host, slash, model = _lower(value).partition("/") if isinstance(value, str) else ("",) * 3
        if not (host and slash and model):
            raise self.fail(f"is {value!r}, allowed is provider/model, such as openai/gpt-4o", key)
        return f"{names.provider_id(host) or host}/{model}"

    def decimal(self, value: object, reason: str, key: str) -> Decimal:
        if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
            raise self.fail(f"is {value!r}, {reason}", key)
        try:
            number = Decimal(value)
        except ArithmeticError as error:
            raise self.fail(f"is {value!r}, {reason}", key) from error
        if not number.is_finite():
            raise self.fail(f"is {value!r}, {reason}", key)
        return number

    def ratio(self, value: object, key: str, most: int) -> Decimal:
        reason = f"allowed are numbers from 0 to {most} as text or exact, such as 0.15"
        number = self.decimal(value, reason, key)
        if not 0 <= number <= most:
            raise self.fail(f"is {value!r}, {reason}", key)
        return number

    def rate(self, value: object, key: str, per: int) -> int:
        """A price of so many units as pico-USD of one."""
        reason = f"allowed are US dollars from 0 to {_MOST_USD} with at most six decimals"
        number = self.decimal(value, reason, key)
        each = number * (10**_MOST_DECIMALS // per)
        if not 0 <= number <= _MOST_USD or each != each.to_integral_value():
            raise self.fail(f"is {value!r}, {reason}", key)
        return int(each)

    def entries(self, value: object, key: str) -> tuple[OverrideRates, ...]:
        """The dated rates of a model: one mapping, or a list of them."""
        listed = value if isinstance(value, list | tuple) else [value]
        found: dict[tuple[str | None, date | None], OverrideRates] = {}
        for entry in listed:
            read = self.entry(entry, key)
            which = read.service_tier, read.rates.valid_from
            if which in found:
                raise self.fail("has two entries of one day; keep one", f"{key}.from")
            found[which] = read
        if not found:
            raise self.fail("must hold rates", key)
        return tuple(sorted(found.values(), key=lambda each: each.rates.valid_from or date.min))

    def entry(self, value: object, key: str) -> OverrideRates:
        given = self.mapping(value, self.prefix + key)
        self.known(given, _ENTRY_KEYS, f"{self.prefix}{key}.")
        for needed in _NEEDED:
            if needed not in given:
                raise self.fail("is missing; write 0 where there is nothing", f"{key}.{needed}")
        rates = {
            _RATE_KEYS[name].name: self.rate(stated, f"{key}.{name}", _RATE_KEYS[name].per)
            for name, stated in given.items()
            if name in _RATE_KEYS
        }
        tier = given.get("service_tier")
        return OverrideRates(
            msgspec.structs.replace(
                DatedRates(valid_from=self.day(given.get("from"), f"{key}.from")), **rates
            ),
            None if tier is None else names.service_tier(str(tier)),
        )

    def day(self, value: object, key: str) -> date | None:
        if value is None or (isinstance(value, date) and not isinstance(value, datetime)):
            return value
        try:
            return date.fromisoformat(str(value))
        except ValueError as error:
            raise self.fail(f"is {value!r}, allowed is a day such as 2026-01-01", key) from error


def _lower(name: str) -> str:
    return name.strip().lower()


def _pattern(name: str) -> str:
    """A provider or "provider/model" with the provider in the book's spelling."""
    host, slash, model = _lower(name).partition("/")
    return f"{names.provider_id(host) or host}{slash}{model}"


def _hosts(provider: str | None) -> Iterator[str]:
    """The provider as the call has it, and in the book's spelling."""
    if provider is not None:
        yield _lower(provider)
        yield names.provider_id(provider) or _lower(provider)


def _spellings(provider: str | None, model: str | None) -> Iterator[str]:
    """Every way to write a call's names as "provider/model"."""
    name = _lower(model or "")
    for host in _hosts(provider):
        yield f"{host}/{name}"
    if model is None:
        return
    for reading in names.readings(provider, model):
        if reading.provider is not None:
            yield f"{reading.provider}/{reading.model}"


def _matches(pattern: str, provider: str | None, model: str | None, row: str | None = None) -> bool:
    spellings = [*_spellings(provider, model), *(() if row is None else (row,))]
    if "/" not in pattern:
        return any(spelled.partition("/")[0] == pattern for spelled in spellings)
    return any(fnmatchcase(spelled, pattern) for spelled in spellings)


def _plain(value: Any) -> Any:
    """A section as a budgets file holds it, its numbers and days as text."""
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value if isinstance(value, str | int) else str(value)
