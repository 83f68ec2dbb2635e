"""What calls would have cost with another model, at other prices, or with more of the input cached."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec

from otelbudget.errors import OtelBudgetError
from otelbudget.genai import semconv
from otelbudget.genai.times import rfc3339
from otelbudget.genai.usage import ModelCall, TokenUsage
from otelbudget.pricing.billing import UnknownModel, bill
from otelbudget.pricing.book import PriceBook
from otelbudget.pricing.price import PriceConfidence
from otelbudget.store import sql
from otelbudget.store.store import Store

_load = partial(sql.load, "otelbudget.audit")
_Model = tuple[str | None, str | None]


class NoPriceError(OtelBudgetError, ValueError):
    """Calls cannot be priced as those of a model that has no known price.

    Attributes:
        model: The model, as it was given.
    """

    def __init__(self, model: str) -> None:
        super().__init__(
            f"Model {model!r} has no known price, so calls cannot be priced as its; name a model "
            f"that 'budget-audit prices show' knows, or give its price with --prices."
        )
        self.model = model


class WhatIf(msgspec.Struct, frozen=True):
    """How calls would have been others than they were.

    Attributes:
        reprice: Models, and the models that would have been called in their place; each "MODEL" or
            "PROVIDER/MODEL".
        prices_at: Time whose prices hold for every call, unix ns; None: each call's start.
        cache_hit: Share of the input that was not cached, from 0 to 1, which would have been read
            from the cache; None: what was recorded.
    """

    reprice: tuple[tuple[str, str], ...] = ()
    prices_at: int | None = None
    cache_hit: Decimal | None = None

    @property
    def is_asked(self) -> bool:
        """Whether anything would have been otherwise."""
        return bool(self.reprice) or self.prices_at is not None or self.cache_hit is not None

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What is taken to be true, one sentence each."""
        said = [
            f"Calls of {old} are priced as calls of {new} with the same tokens: the answers, their "
            "length and the way text becomes tokens are taken to be the same."
            for old, new in self.reprice
        ]
        if self.prices_at is not None:
            said.append(f"Every call is priced at the rates of {rfc3339(self.prices_at)[:10]}.")
        if self.cache_hit is not None:
            said.append(
                f"{(100 * self.cache_hit).normalize():f} % of the input tokens that were neither read from nor "
                "written to the cache would have been cache reads, where the model has a rate for "
                "them; what was recorded as read or written stays."
            )
        if said:
            said.append(
                "A cost that the application stated itself, and what was recorded as held for a "
                "call, stay as they are."
            )
        return tuple(said)


class Repriced(msgspec.Struct, frozen=True):
    """What came of asking what if.

    Attributes:
        calls: Model calls that are priced anew.
        stated: Calls left as they are because the application stated their cost.
        unused: Models to be replaced of which there is no call.
        before_history: Calls priced by the first known price of a model though the day is older.
    """

    calls: int
    stated: int
    unused: tuple[str, ...]
    before_history: int


def suppose(store: Store, book: PriceBook, what_if: WhatIf) -> Repriced:
    """Make `model_calls` what they would have been, for every later question to this store.

    What is kept on disk stays as it is.

    Args:
        store: A store on which `build_model_calls` has run.
        book: Prices.
        what_if: What would have been otherwise.

    Raises:
        NoPriceError: A model that would have been called has no known price.
    """
    supposing = _Supposing(book, what_if)
    store.execute(_load("create_repriced_calls"))
    for rows in store.batches(_load("calls_to_reprice")):
        store.fill("repriced_calls", list(supposing.changed(rows)))
    store.execute(_load("create_supposed_calls"))
    store.execute(_load("suppose_model_calls"))
    store.is_narrowed = True  # what is made of these calls is for this question alone
    return supposing.result()


class _Supposing:
    """Prices calls anew, and counts them."""

    def __init__(self, book: PriceBook, what_if: WhatIf) -> None:
        self._book, self._what_if = book, what_if
        self._swaps = [
            (old, _split(old), _known(book, new, what_if.prices_at)) for old, new in what_if.reprice
        ]
        self._found: dict[tuple[str | None, ...], _Model | None] = {}
        self._used: set[str] = set()
        self._calls = self._stated = self._before_history = 0

    def result(self) -> Repriced:
        unused = (old for old, _ in self._what_if.reprice if old not in self._used)
        return Repriced(self._calls, self._stated, tuple(unused), self._before_history)

    def changed(self, rows: Iterable[tuple[Any, ...]]) -> Iterable[tuple[Any, ...]]:
        """Rows of `repriced_calls`."""
        is_about_all = self._what_if.prices_at is not None or self._what_if.cache_hit is not None
        for call_row, provider, model, requested, tier, start, end, told, *counts in rows:
            other = self._other(provider, model, requested)
            if other is None and not is_about_all:
                continue
            if told is not None and semconv.COST_USD in msgspec.json.decode(told):
                self._stated += 1
                continue
            host, name = other or (provider, model)
            at_ns = start if self._what_if.prices_at is None else self._what_if.prices_at
            call = ModelCall(
                host,
                name,
                start_time_unix_nano=at_ns,
                end_time_unix_nano=end,
                usage=TokenUsage(*counts),
                service_tier=tier,
            )
            call = self._cached(call)
            charge = bill(call, self._book, UnknownModel.ALLOW)
            self._calls += 1
            self._before_history += charge.confidence is PriceConfidence.BEFORE_HISTORY
            yield (
                call_row,
                host,
                name,
                requested if other is None else name,
                call.usage.cache_read_input_tokens if call.usage else 0,
                charge.list_cost_pusd,
                None if charge.confidence is None else str(charge.confidence),
            )

    def _cached(self, call: ModelCall) -> ModelCall:
        """The call with the share of its input cached, where its model has a rate for that."""
        usage, share = call.usage, self._what_if.cache_hit
        if share is None or usage is None:
            return call
        at_ns = call.start_time_unix_nano or call.end_time_unix_nano or self._book.compiled_at_ns
        price = self._book.price(call.provider, call.model, at_ns, call.service_tier)
        if price is None or price.rates_of(usage.input_tokens).cache_read_pusd_per_token is None:
            return call
        read, written = usage.cache_read_input_tokens, usage.cache_write_input_tokens
        more = int(max(usage.input_tokens - read - written, 0) * share)
        usage = msgspec.structs.replace(usage, cache_read_input_tokens=read + more)
        return msgspec.structs.replace(call, usage=usage)

    def _other(self, *named: str | None) -> _Model | None:
        """The model that would have been called instead of (provider, model, request model)."""
        if not self._swaps:
            return None
        if named not in self._found:
            self._found[named] = self._search(*named)
        return self._found[named]

    def _search(
        self, provider: str | None, model: str | None, requested: str | None
    ) -> _Model | None:
        rows = _rows(self._book, [(provider, model)])
        called = {(name or "").lower() for name in (model, requested)}
        for old, meant, new in self._swaps:
            is_named = any(
                host in (None, provider) and (name or "").lower() in called for host, name in meant
            )
            if is_named or rows & _rows(self._book, meant):
                self._used.add(old)
                return new
        return None


def _split(name: str) -> Sequence[_Model]:
    """What a name may mean: a model, or a provider's model."""
    host, slash, model = name.partition("/")
    return [(None, name), (host, model)] if slash else [(None, name)]


def _known(book: PriceBook, name: str, at_ns: int | None) -> _Model:
    """The model with a known price that a name means.

    Raises:
        NoPriceError: There is none.
    """
    at_ns = book.compiled_at_ns if at_ns is None else at_ns
    for host, model in reversed(_split(name)):
        if book.price(host, model, at_ns) is not None:
            return host, model
    raise NoPriceError(name)


def _rows(book: PriceBook, models: Iterable[_Model]) -> set[str]:
    """The rows of the book that models are priced by."""
    prices = (book.price(host, model, book.compiled_at_ns) for host, model in models)
    return {
        price.matched
        for price in prices
        if price is not None and price.confidence is not PriceConfidence.FREE
    }
