"""The price book as it lies in its file: providers, their models, and dated rates in pico-USD."""

import re
from collections.abc import Mapping
from datetime import date
from functools import cache

import msgspec

SCHEMA = 2
"""Version of this file format; a book with another schema is not read."""


class Clause(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a name is recognised; exactly one attribute is set.

    Texts are lower case, and so must be the names they are held against.

    Attributes:
        equals: The whole name.
        starts_with: The name's beginning.
        ends_with: The name's end.
        contains: A text anywhere in the name.
        regex: A regular expression found anywhere in the name.
        any_of: At least one of these holds.
        all_of: All of these hold.
    """

    equals: str | None = None
    starts_with: str | None = None
    ends_with: str | None = None
    contains: str | None = None
    regex: str | None = None
    any_of: tuple["Clause", ...] | None = None
    all_of: tuple["Clause", ...] | None = None

    def matches(self, name: str, *, inside: bool = True) -> bool:
        """Whether the name is recognised.

        Args:
            name: The name in lower case.
            inside: Whether a text inside or at the end of the name is enough; False where the
                name may be of a customer's choosing.
        """
        if self.any_of is not None:
            return any(clause.matches(name, inside=inside) for clause in self.any_of)
        if self.all_of is not None:
            return all(clause.matches(name, inside=inside) for clause in self.all_of)
        if self.equals is not None:
            return name == self.equals
        if self.starts_with is not None:
            return name.startswith(self.starts_with)
        return self._matches_regex(name) or (inside and self._matches_inside(name))

    def _matches_regex(self, name: str) -> bool:
        return self.regex is not None and _compiled(self.regex).search(name) is not None

    def _matches_inside(self, name: str) -> bool:
        if self.ends_with is not None:
            return name.endswith(self.ends_with)
        return self.contains is not None and self.contains in name


@cache
def _compiled(regex: str) -> re.Pattern[str]:
    return re.compile(regex)


class Rates(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Rates in pico-USD, per token unless said otherwise; None where the source states none.

    Attributes:
        input: All input that is not named below.
        output: All output that is not named below.
        cache_read: Input read from the provider's cache.
        cache_write: Input written to the provider's cache.
        cache_write_1h: Input written to the provider's cache to be kept for an hour.
        audio_input: Audio input.
        audio_cache_read: Audio input read from the provider's cache.
        audio_output: Audio output.
        image_input: Image input.
        image_cache_read: Image input read from the provider's cache.
        image_output: Image output.
        reasoning_output: Output that is reasoning.
        web_search: One web search that the provider makes for the call.
        request: One request, beside its tokens.
    """

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    audio_input: int | None = None
    audio_cache_read: int | None = None
    audio_output: int | None = None
    image_input: int | None = None
    image_cache_read: int | None = None
    image_output: int | None = None
    reasoning_output: int | None = None
    web_search: int | None = None
    request: int | None = None


class TierRates(Rates, frozen=True, omit_defaults=True, kw_only=True):
    """Rates of a whole request whose input exceeds a size.

    Attributes:
        above_input_tokens: The request's input must be larger than this, in tokens.
    """

    above_input_tokens: int


class DatedRates(Rates, frozen=True, omit_defaults=True, kw_only=True):
    """Rates in force from a day on, until the model's next dated rates.

    Attributes:
        valid_from: First day, from 00:00 UTC; None where the source does not know it.
        tiers: Rates of larger requests, by ascending size.
    """

    valid_from: date | None = None
    tiers: tuple[TierRates, ...] = ()


class ModelRow(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One model of a provider.

    Attributes:
        id: Name of the row.
        match: Which model names it prices.
        rates: Its rates by ascending `valid_from`; empty where it is not billed by token.
        variants: Its rates in tiers of service other than the standard one, by tier, such as
            "flex" or "batch", each by ascending `valid_from`.
        is_deprecated: Whether the provider has withdrawn the model or said that it will.
        correction: Why and by which source the rates are not those of the book's source, or None.
    """

    id: str
    match: Clause
    rates: tuple[DatedRates, ...] = ()
    variants: Mapping[str, tuple[DatedRates, ...]] = {}
    is_deprecated: bool = False
    correction: str | None = None


class ProviderRow(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One provider.

    Attributes:
        id: Name of the provider in the source.
        models: Its models; the first that matches a name prices it.
        provider_match: Other names of the provider, or None.
        model_match: Model names that belong to the provider where none is named, or None.
        fallback: Providers whose models it resells, in order of preference.
    """

    id: str
    models: tuple[ModelRow, ...]
    provider_match: Clause | None = None
    model_match: Clause | None = None
    fallback: tuple[str, ...] = ()


class BookFile(msgspec.Struct, frozen=True, kw_only=True):
    """A whole price book.

    Attributes:
        schema: Version of the file format.
        source: Where the prices come from, such as "genai-prices".
        version: Version of the source.
        compiled_on: Day the book was compiled.
        history_from: First day on which the book knows of a new rate; an undated rate may have
            been another before it.
        content_hash: SHA-256 of the providers as JSON with sorted keys, in hexadecimal.
        providers: The providers, in the source's order.
    """

    schema: int
    source: str
    version: str
    compiled_on: date
    history_from: date
    content_hash: str
    providers: tuple[ProviderRow, ...]
