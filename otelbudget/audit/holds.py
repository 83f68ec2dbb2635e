"""What budgets that reserve hold for recorded calls."""

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from otelbudget.budgets.decisions import Hold
from otelbudget.genai import semconv
from otelbudget.genai.usage import TokenUsage
from otelbudget.pricing.billing import UnknownModel, pusd
from otelbudget.pricing.book import PriceBook

DEFAULT_OUTPUT_TOKENS = 4_096


class Holds:
    """Finds what is held for calls: as recorded, else assumed from what they used.

    Args:
        book: Prices.
        unknown_model: What a model without a known price counts as.

    Attributes:
        names: Attributes of spans that tell of it.
        assumed: Calls for which nothing was recorded.
    """

    names = (
        semconv.ESTIMATED_COST_USD,
        semconv.ESTIMATED_INPUT_TOKENS,
        semconv.ESTIMATED_OUTPUT_TOKENS,
        semconv.REQUEST_MAX_TOKENS,
    )

    def __init__(self, book: PriceBook, unknown_model: UnknownModel) -> None:
        self._book = book
        self._unknown_model = unknown_model
        self.assumed = 0

    @staticmethod
    def told(known: Mapping[str, Any]) -> Hold | None:
        """The estimate that was recorded, None where none was."""
        counts = [
            known.get(name)
            for name in (semconv.ESTIMATED_INPUT_TOKENS, semconv.ESTIMATED_OUTPUT_TOKENS)
        ]
        try:
            cost_pusd = pusd(Decimal(str(known[semconv.ESTIMATED_COST_USD])))
        except (KeyError, ValueError, InvalidOperation):
            return None
        inputs, outputs = (each if isinstance(each, int) else 0 for each in counts)
        return Hold(cost_pusd, inputs + outputs, inputs, outputs)

    def of_attempt(self, known: Mapping[str, Any]) -> Hold | None:
        """What is held for a call that was refused: nothing, where nothing was recorded."""
        hold = self.told(known)
        self.assumed += hold is None
        return hold

    def of_call(
        self,
        known: Mapping[str, Any],
        asked: Sequence[str | None],
        at_ns: int,
        usage: TokenUsage,
    ) -> Hold:
        """What is held for a call that was made.

        Args:
            known: What was written of it.
            asked: Provider, model that is priced, and model that was asked for.
            at_ns: When it started, in unix ns.
            usage: What it used.
        """
        hold = self.told(known)
        if hold is not None:
            return hold
        self.assumed += 1
        cap = known.get(semconv.REQUEST_MAX_TOKENS)
        inputs = usage.input_tokens
        outputs = max(cap if isinstance(cap, int) else DEFAULT_OUTPUT_TOKENS, usage.output_tokens)
        cost_pusd = self._cost_pusd(asked, TokenUsage(inputs, outputs), at_ns)
        return Hold(cost_pusd, inputs + outputs, inputs, outputs)

    def _cost_pusd(self, asked: Sequence[str | None], usage: TokenUsage, at_ns: int) -> int:
        """The dearest way to bill tokens: as plain input, or as input that is written to a cache."""
        provider, model, requested = asked
        price = self._book.price(provider, requested or model, at_ns) or self._book.price(
            provider, model, at_ns
        )
        if price is None:
            if self._unknown_model is UnknownModel.ALLOW:
                return 0
            price = self._book.ceiling(provider, at_ns)
        written = msgspec.structs.replace(usage, cache_write_input_tokens=usage.input_tokens)
        return max(price.list_cost_pusd(usage), price.list_cost_pusd(written))
