"""What a call may cost at most, before it leaves; and what it counts as where that is never told."""

from collections import deque

import msgspec

from otelbudget.budgets.decisions import Hold
from otelbudget.genai.usage import ModelCall, TokenUsage
from otelbudget.live.request import Request, Size, size_of
from otelbudget.pricing.billing import Charge, UnknownModel
from otelbudget.pricing.book import PriceBook
from otelbudget.pricing.price import Price, PriceConfidence

DEFAULT_OUTPUT_TOKENS = 4_096
_MIN_SEEN = 20
_MAX_SEEN = 256
_MAX_MODELS = 256
_PERCENTILE = 0.95


class Estimate(msgspec.Struct, frozen=True):
    """What one call may use.

    Attributes:
        input_tokens: Input tokens at most.
        output_tokens: Output tokens at most, or what is assumed where nothing caps them.
        cost_pusd: What that costs in pico-USD.
        guesses: Why the call may use more: "no cap on output", "media", "server tools", "kept
            context", "no known price". Empty: it is an upper bound.
    """

    input_tokens: int
    output_tokens: int
    cost_pusd: int
    guesses: tuple[str, ...] = ()

    @property
    def hold(self) -> Hold:
        """What is held for the call."""
        tokens = self.input_tokens + self.output_tokens
        return Hold(self.cost_pusd, tokens, self.input_tokens, self.output_tokens)

    def times(self, count: int) -> "Estimate":
        """The estimate for a request that was sent several times."""
        return Estimate(
            self.input_tokens * count,
            self.output_tokens * count,
            self.cost_pusd * count,
            self.guesses,
        )

    def charge(self, model: str | None) -> Charge:
        """What the call counts as while its usage is unknown."""
        tokens = self.input_tokens + self.output_tokens
        usage = TokenUsage(self.input_tokens, self.output_tokens)
        return Charge(model, tokens, None, self.cost_pusd, PriceConfidence.ESTIMATED, usage)


class Estimator:
    """Estimates calls by their requests, and learns how long answers are.

    Output that a request does not cap is taken as the 95th percentile of what the model has
    answered to this process, once there are twenty answers, else as 4,096 tokens.

    Not safe for threads by itself: its owner holds a lock around `learn` and `estimate`.

    Args:
        book: Prices.
        unknown_model: What a model without a known price counts as.
    """

    def __init__(self, book: PriceBook, unknown_model: UnknownModel) -> None:
        self._book = book
        self._unknown_model = unknown_model
        self._seen: dict[str, deque[int]] = {}
        self._answered: dict[str, str] = {}

    def learn(self, call: ModelCall) -> None:
        """Note how long an answer was."""
        model = call.request_model
        if model is None or call.usage is None:
            return
        seen = self._seen.get(model)
        if seen is None:
            if len(self._seen) >= _MAX_MODELS:
                return
            seen = self._seen[model] = deque(maxlen=_MAX_SEEN)
        seen.append(call.usage.output_tokens)
        if call.response_model is not None:
            self._answered[model] = call.response_model

    def estimate(self, request: Request, at_ns: int, told: TokenUsage | None = None) -> Estimate:
        """What a request may use, sent once.

        Args:
            request: The request.
            at_ns: When it is priced, in unix ns.
            told: What an answer that broke off had told of its usage by then.
        """
        size = size_of(request)
        output_tokens, guesses = size.output_tokens, size.unbounded
        if output_tokens is None:
            output_tokens = self._usual_output(request.model) * size.choices
            guesses = (*guesses, "no cap on output")
        input_tokens = size.input_tokens
        if told is not None:
            input_tokens = told.input_tokens
            output_tokens = max(output_tokens, told.output_tokens)
        cost_pusd = self._cost_pusd(request, size, TokenUsage(input_tokens, output_tokens), at_ns)
        if cost_pusd is None:
            return Estimate(input_tokens, output_tokens, 0, (*guesses, "no known price"))
        return Estimate(input_tokens, output_tokens, cost_pusd, guesses)

    def _usual_output(self, model: str | None) -> int:
        seen = self._seen.get(model or "")
        if seen is None or len(seen) < _MIN_SEEN:
            return DEFAULT_OUTPUT_TOKENS
        return sorted(seen)[int(_PERCENTILE * len(seen))]

    def _cost_pusd(self, request: Request, size: Size, usage: TokenUsage, at_ns: int) -> int | None:
        """The dearest way to bill tokens: as plain input, or as input that is written to a cache.

        A name without a price, such as that of a deployment, is priced as what answered to it last.
        """
        price = self._price(request, size, request.model, at_ns) or self._price(
            request, size, self._answered.get(request.model or ""), at_ns
        )
        if price is None:
            if self._unknown_model is UnknownModel.ALLOW:
                return None
            price = self._book.ceiling(request.provider, at_ns)
        replace, written = msgspec.structs.replace, usage.input_tokens
        variants = [usage, replace(usage, cache_write_input_tokens=written)]
        if size.is_cached_for_an_hour:
            variants.append(replace(variants[1], cache_write_1h_input_tokens=written))
        return max(price.list_cost_pusd(variant) for variant in variants)

    def _price(self, request: Request, size: Size, model: str | None, at_ns: int) -> Price | None:
        return self._book.price(request.provider, model, at_ns, size.service_tier)
