"""What was spent on what, for those who ask where the money went."""

from collections.abc import Mapping
from functools import lru_cache

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

NOTHING: Amounts = (0,) * (3 + len(TOKEN_CLASSES))

_NO_USAGE = TokenUsage(0, 0)


def amounts_of(charge: Charge) -> Amounts:
    """What a charge adds to an account."""
    cost, estimated = charge.list_cost_pusd, 0
    if cost is None:
        cost = estimated = charge.estimated_pusd
    usage = charge.usage or _NO_USAGE
    return (
        cost,
        estimated,
        charge.tokens,
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_input_tokens,
        usage.cache_write_input_tokens,
        usage.reasoning_output_tokens,
    )


def part_of(charge: Charge) -> Part:
    """What a charge is for."""
    return _part(charge.model, charge.agent, charge.operation)


@lru_cache(256)  # one object for the accounts of all traces
def _part(model: str | None, agent: str | None, operation: str | None) -> Part:
    return model or "(unnamed)", agent or "(unnamed)", operation or "(unnamed)"


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

    def add(self, charge: Charge, part: Part, cost_pusd: int, *, leaves: bool) -> Part:
        """Add what one call used.

        Args:
            charge: What it used.
            part: What that is for.
            cost_pusd: Its cost in pico-USD.
            leaves: It leaves again, with a window that rolls and knows in which part it is.

        Returns:
            The part it is counted in, or the one for all others.
        """
        self.latest = (charge, *self.latest[: _MAX_LATEST - 1])
        spent = self.parts.get(part)
        if spent is None:
            # Where nothing leaves, a part stays one of the others as long as there are others, so
            # that what is taken back is known to be there.
            is_other = not leaves and OTHERS in self.parts
            return self.change(OTHERS if is_other else part, cost_pusd, 1)
        spent[0] += cost_pusd
        spent[1] += 1
        return part

    def forget(self, charge: Charge) -> None:
        """Take a charge from the latest."""
        self.latest = tuple(each for each in self.latest if each is not charge)

    def change(self, part: Part, cost_pusd: int, calls: int) -> Part:
        """Add to a part, or take from it; one without calls goes.

        Returns:
            The part, or the one for all others.
        """
        spent = self.parts.get(part)
        if spent is None:
            if len(self.parts) >= _MAX_PARTS or calls < 0:
                part = OTHERS
            spent = self.parts.setdefault(part, [0, 0])
        spent[0] += cost_pusd
        spent[1] += calls
        if not spent[1]:
            del self.parts[part]
        return part

    def by(self, index: int) -> Mapping[str, int]:
        """Pico-USD by model (0), agent (1) or operation (2)."""
        sums: dict[str, int] = {}
        for part, (cost, _) in list(self.parts.items()):  # other threads add to it meanwhile
            sums[part[index]] = sums.get(part[index], 0) + cost
        return sums
