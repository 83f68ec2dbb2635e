"""Which row of a price book a call's names mean."""

from collections.abc import Iterator
from typing import NamedTuple

from otelbudget.pricing import names
from otelbudget.pricing.records import BookFile, ModelRow, ProviderRow

_CHOSEN_NAMES = frozenset({"azure"})
"""Providers whose customers name their own deployments."""


class Found(NamedTuple):
    """The row that prices a call.

    Attributes:
        owner: Whose row it is.
        row: The row.
        is_exact: Whether the book has the model under the very name of the call, at its provider.
        is_resold: Whether the call went to another provider than the row's owner.
    """

    owner: ProviderRow
    row: ModelRow
    is_exact: bool
    is_resold: bool


class Catalogue:
    """The providers and models of a book, found by the names that spans carry."""

    def __init__(self, file: BookFile) -> None:
        self._providers = {provider.id: provider for provider in file.providers}

    def find(self, provider: str | None, model: str) -> Found | None:
        """The row that prices a call, None where the book has none."""
        for reading in names.readings(provider, model):
            found = self._row(reading)
            if found is not None:
                owner, row = found
                is_resold = reading.provider is not None and owner is not self.provider(
                    reading.provider
                )
                is_exact = reading.model == model.strip().lower() and not is_resold
                return Found(owner, row, is_exact, is_resold)
        return self._find_elsewhere(provider, model)

    def provider(self, name: str) -> ProviderRow | None:
        """The provider of a name in the book's spelling, or in one that the book recognises."""
        if name in self._providers:
            return self._providers[name]
        for owner in self._providers.values():
            if owner.provider_match is not None and owner.provider_match.matches(name):
                return owner
        return None

    def owners(self, provider: str) -> list[ProviderRow]:
        """The provider and those whose models it resells; empty where the book has none."""
        owner = self.provider(provider)
        if owner is None:
            return []
        return [owner, *(self._providers[name] for name in owner.fallback)]

    def rows(self) -> Iterator[tuple[ProviderRow, ModelRow]]:
        """Every row, with its owner."""
        for owner in self._providers.values():
            for row in owner.models:
                yield owner, row

    def _find_elsewhere(self, provider: str | None, model: str) -> Found | None:
        """A model that a provider the book has never heard of serves."""
        host = names.provider_id(provider)
        if host is None or self.provider(host) is not None:
            return None
        for reading in names.readings(None, model):
            found = self._row(reading)
            if found is not None:
                return Found(*found, is_exact=False, is_resold=True)
        return None

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
            return self.owners(reading.provider)
        return [
            owner
            for owner in self._providers.values()
            if owner.model_match is not None and owner.model_match.matches(reading.model)
        ]
