"""What was spent on what, for those who ask where the money went."""

from collections.abc import Mapping

from otelbudget.budgets.config import LimitKind
from otelbudget.genai.usage import TokenUsage
from otelbudget.pricing.billing import Charge

TOKEN_CLASSES = {
    LimitKind.INPUT_TOKENS: 0,
    LimitKind.OUTPUT_TOKENS: 1,
    LimitKind.CACHE_READ_INPUT_TOKENS: 2,
    LimitKind.CACHE_WRITE_INPUT_TOKENS: 3,
    LimitKind.REASONING_OUTPUT_TOKENS: 4,
}
"""The limit kinds that count one class of tokens, and their place in `token_classes`."""

_MAX_PARTS = 64
_MAX_LATEST = 5

Part = tuple[str, str, str]
"""Model, agent and operation."""

OTHERS: Part = ("(other models)", "(other agents)", "(other operations)")
"""What is beyond the bound."""

Amounts = tuple[int, ...]
"""Pico-USD, the estimated part of it, tokens, and tokens by class."""

_NO_USAGE = TokenUsage(0, 0)


def amounts_of(charge: Charge, sign: int = 1) -> Amounts:
    """What a charge adds to an account, or takes back where `sign` is -1."""
    cost = charge.list_cost_pusd
    estimated = charge.estimated_pusd if cost is None else 0
    usage = charge.usage or _NO_USAGE
    return (
        sign * (estimated if cost is None else cost),
        sign * estimated,
        sign * charge.tokens,
        sign * usage.input_tokens,
        sign * usage.output_tokens,
        sign * usage.cache_read_input_tokens,
        sign * usage.cache_write_input_tokens,
        sign * usage.reasoning_output_tokens,
    )


def part_of(charge: Charge) -> Part:
    """What a charge is for."""
    return (
        charge.model or "(unnamed)",
        charge.agent or "(unnamed)",
        charge.operation or "(unnamed)",
    )


class Spent:
    """Pico-USD and calls by model, agent and operation, and the latest calls.

    Bounded: beyond 64 parts the rest is one part.

    Attributes:
        parts: [pico-USD, calls] by (model, agent, operation).
        latest: The charges added last, the newest first, at most five.
    """

    __slots__ = ("latest", "parts")

    def __init__(self) -> None:
        self.parts: dict[Part, list[int]] = {}
        self.latest: tuple[Charge, ...] = ()

    def add(self, charge: Charge) -> Part:
        """Add what one call used; the part it is counted in."""
        self.latest = (charge, *self.latest[: _MAX_LATEST - 1])
        return self.change(part_of(charge), charge.counted_pusd, 1)

    def take_back(self, charge: Charge) -> Part:
        """Undo `add`; the part it is counted in."""
        self.latest = tuple(each for each in self.latest if each is not charge)
        return self.change(part_of(charge), -charge.counted_pusd, -1)

    def change(self, part: Part, cost_pusd: int, calls: int) -> Part:
        """Add to a part; nothing goes below zero, and a part without calls goes.

        Returns:
            The part, or the one for all others.
        """
        spent = self.parts.get(part)
        if spent is None:
            if len(self.parts) >= _MAX_PARTS or calls < 0:
                part = OTHERS
            if calls < 0 and part not in self.parts:
                return part
            spent = self.parts.setdefault(part, [0, 0])
        spent[0] = max(0, spent[0] + cost_pusd)
        spent[1] += calls
        if spent[1] <= 0:
            del self.parts[part]
        return part

    def by(self, index: int) -> Mapping[str, int]:
        """Pico-USD by model (0), agent (1) or operation (2)."""
        sums: dict[str, int] = {}
        for part, (cost, _) in list(self.parts.items()):  # other threads add to it meanwhile
            sums[part[index]] = sums.get(part[index], 0) + cost
        return sums
