"""From a model call to what it costs: the one place where tokens become money."""

from decimal import Context, Decimal
from enum import StrEnum

import msgspec

from otelbudget.genai.usage import ModelCall, TokenUsage
from otelbudget.pricing.book import PriceBook
from otelbudget.pricing.price import PriceConfidence

PUSD_PER_USD = 10**12


class UnknownModel(StrEnum):
    """What a model without a known price counts as toward a money limit.

    Attributes:
        CEILING: The dearest current rates of its provider; the amount is marked as estimated.
        DENY: Such a call is refused before it is made; one made all the same counts as CEILING.
        ALLOW: Nothing. Limits on tokens and calls still hold.
    """

    CEILING = "ceiling"
    DENY = "deny"
    ALLOW = "allow"


class Charge(msgspec.Struct, frozen=True, gc=False):
    """What one model call adds to an account.

    Attributes:
        model: The priced model, None where no span names it.
        tokens: Input and output tokens; 0 where usage is unknown.
        list_cost_pusd: Cost at list price in pico-USD, None where usage or price is unknown.
        estimated_pusd: What counts toward a money limit in place of an unknown list cost, pico-USD.
        confidence: How sure the price is; ESTIMATED for a ceiling, None where usage or price is
            unknown.
        usage: Tokens by class, None where unknown.
        agent: Name of the agent that made the call, None where not known.
        operation: What the application calls what it did, None where not known.
    """

    model: str | None = None
    tokens: int = 0
    list_cost_pusd: int | None = None
    estimated_pusd: int = 0
    confidence: PriceConfidence | None = None
    usage: TokenUsage | None = None
    agent: str | None = None
    operation: str | None = None

    @property
    def counted_pusd(self) -> int:
        """What counts toward a money limit, in pico-USD."""
        return self.list_cost_pusd if self.list_cost_pusd is not None else self.estimated_pusd


def bill(
    call: ModelCall,
    book: PriceBook,
    unknown_model: UnknownModel,
    *,
    agent: str | None = None,
    operation: str | None = None,
) -> Charge:
    """What a call adds to an account, priced at its start and by its tier of service.

    A call without usage adds nothing that is known: no tokens, no cost. One without times is priced
    at the day the book was compiled. A list cost that the application states stands as it is.

    Args:
        call: The call.
        book: Prices.
        unknown_model: What a model without a known price counts as.
        agent: The agent that made it, where the call itself does not say.
        operation: What the application calls what it did.
    """
    usage, agent = call.usage, call.agent or agent
    if usage is None:
        return Charge(call.model, agent=agent, operation=operation)
    at_ns = call.start_time_unix_nano or call.end_time_unix_nano or book.compiled_at_ns
    price = book.price(call.provider, call.model, at_ns, call.service_tier)
    tokens = usage.total_tokens
    list_cost_pusd = call.list_cost_pusd
    estimated_pusd, confidence = 0, None
    if list_cost_pusd is not None:
        confidence = PriceConfidence.OVERRIDE
    elif price is not None:
        list_cost_pusd, confidence = price.list_cost_pusd(usage), price.confidence
    elif unknown_model is not UnknownModel.ALLOW:
        ceiling = book.ceiling(call.provider, at_ns)
        estimated_pusd, confidence = ceiling.list_cost_pusd(usage), ceiling.confidence
    return Charge(
        call.model, tokens, list_cost_pusd, estimated_pusd, confidence, usage, agent, operation
    )


# Apart from the application's own decimal context, which may round.
_EXACT = Context(prec=100)


def usd(amount_pusd: int) -> Decimal:
    """Pico-USD as exact US dollars, without trailing zeros."""
    whole, decimals = divmod(abs(amount_pusd), PUSD_PER_USD)
    digits = f"{whole}.{decimals:012d}".rstrip("0").rstrip(".")
    return Decimal(f"-{digits}" if amount_pusd < 0 else digits)


def pusd(amount_usd: Decimal) -> int:
    """US dollars as pico-USD.

    Raises:
        ValueError: The amount is not finite or has more than twelve decimals.
    """
    amount = amount_usd.scaleb(12, context=_EXACT)
    if not amount.is_finite() or amount != amount.to_integral_value(context=_EXACT):
        raise ValueError(f"{amount_usd} USD is finer than a pico-dollar")
    return int(amount)
