"""The price table of tokencost, as a second opinion: its prices froze in 2025-09.

Only its file is read: importing tokencost takes seconds and imports other SDKs.
"""

from collections.abc import Iterator
from decimal import Decimal
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple, Self

import msgspec

from otelbudget.pricing import names
from otelbudget.pricing.price import Price, PriceConfidence

FROZE = "2025-09"
"""The month of tokencost's last update of prices. Source: its repository, 2026-11-22."""

_PUSD_PER_USD = 10**12


class TokencostMissingError(ImportError):
    """The extra `tokencost` is not installed."""


class _Entry(msgspec.Struct):
    """One row of the table; prices in US dollars per token."""

    litellm_provider: str | None = None
    mode: str | None = None
    input_cost_per_token: Decimal | None = None
    output_cost_per_token: Decimal | None = None
    cache_read_input_token_cost: Decimal | None = None
    cache_creation_input_token_cost: Decimal | None = None


class Listed(NamedTuple):
    """A model of another price table, with its rates in pico-USD per token.

    Attributes:
        provider: Provider as that table names it.
        model: Model as that table names it.
        input: Rate of input.
        output: Rate of output.
        cache_read: Rate of cache reads, None where it states none.
    """

    provider: str | None
    model: str
    input: int
    output: int
    cache_read: int | None


class TokencostPrices:
    """The prices of the installed tokencost.

    Attributes:
        version: Version of tokencost.
        name: Name and version.
    """

    def __init__(self, version: str, entries: dict[str, _Entry]) -> None:
        self.version = version
        self.name = f"tokencost {version}"
        self._entries = entries

    @classmethod
    def load(cls) -> Self:
        """Read the table of the installed tokencost, without importing it.

        Raises:
            TokencostMissingError: It is not installed.
        """
        try:
            installed = distribution("tokencost")
            text = Path(str(installed.locate_file("tokencost/model_prices.json"))).read_bytes()
        except (PackageNotFoundError, OSError) as error:
            raise TokencostMissingError(
                "tokencost is not installed; run: pip install 'otelbudget[tokencost]'"
            ) from error
        raw: dict[str, msgspec.Raw] = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        entries = {name.lower(): entry for name, part in raw.items() if (entry := _entry(part))}
        return cls(installed.version, entries)

    def price(self, provider: str | None, model: str) -> Price | None:
        """The price of a model, with confidence FALLBACK; None where tokencost has none."""
        found = self._find(names.provider_id(provider), model.strip().lower())
        if found is None:
            return None
        name, entry = found
        return Price(
            provider="tokencost",
            model=name,
            confidence=PriceConfidence.FALLBACK,
            source=f"{self.name}, whose prices froze in {FROZE}",
            input_pusd_per_token=_pusd(entry.input_cost_per_token) or 0,
            output_pusd_per_token=_pusd(entry.output_cost_per_token) or 0,
            cache_read_pusd_per_token=_pusd(entry.cache_read_input_token_cost),
            cache_write_pusd_per_token=_pusd(entry.cache_creation_input_token_cost),
        )

    def rows(self) -> Iterator[Listed]:
        """Every model that is billed by token."""
        for name, entry in self._entries.items():
            yield Listed(
                entry.litellm_provider,
                name,
                _pusd(entry.input_cost_per_token) or 0,
                _pusd(entry.output_cost_per_token) or 0,
                _pusd(entry.cache_read_input_token_cost),
            )

    def _find(self, host: str | None, name: str) -> tuple[str, _Entry] | None:
        """The row of a name; where the call names its provider, the row must be of the same one."""
        tail = name.rpartition("/")[2]
        own = [key for key in self._entries if key.endswith(f"/{name}")] if host else []
        for key in (name, *own, *((tail,) if host == "aws" else ())):
            entry = self._entries.get(key)
            if entry is not None and host in {None, names.provider_id(entry.litellm_provider)}:
                return key, entry
        return None


def _entry(part: msgspec.Raw) -> _Entry | None:
    try:
        entry = msgspec.json.decode(part, type=_Entry)
    except msgspec.ValidationError:  # such as the sample that explains the columns
        return None
    if entry.input_cost_per_token is None or entry.output_cost_per_token is None:
        return None
    # A free model of the table may be one that nobody knew the price of.
    return entry if entry.input_cost_per_token or entry.output_cost_per_token else None


def _pusd(usd_per_token: Decimal | None) -> int | None:
    return None if usd_per_token is None else round(usd_per_token * _PUSD_PER_USD)
