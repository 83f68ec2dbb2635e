"""What a budget can limit, and what it does about it."""

from enum import StrEnum

TRACE, RUN, PROCESS = "trace", "run", "process"
"""What a budget may be counted by that is no key of spans, baggage or resources."""


class Mode(StrEnum):
    """What a used-up budget does.

    Attributes:
        OFF: Nothing; it is not even counted.
        AUDIT: It is reported once per scope, and every call goes on.
        ENFORCE: The next call is refused with `BudgetExceededError`.
    """

    OFF = "off"
    AUDIT = "audit"
    ENFORCE = "enforce"


class OnStoreError(StrEnum):
    """What a budget in a shared ledger does while the ledger cannot be reached.

    Attributes:
        ALLOW: Calls go on and are not counted.
        BLOCK: Calls are refused.
        LOCAL: Calls are counted in this process, against a stated part of the limit.
    """

    ALLOW = "allow"
    BLOCK = "block"
    LOCAL = "local"


class LimitKind(StrEnum):
    """What a limit counts.

    Attributes:
        COST_USD: List cost, known when a call ends.
        TOKENS: Input and output tokens, known when a call ends.
        INPUT_TOKENS: Input tokens with those read from and written to caches.
        OUTPUT_TOKENS: Output tokens with those of reasoning.
        CACHE_READ_INPUT_TOKENS: Input tokens that were read from a cache.
        CACHE_WRITE_INPUT_TOKENS: Input tokens that were written to a cache.
        REASONING_OUTPUT_TOKENS: Output tokens of reasoning.
        CALLS: Model calls, known when a call starts.
        TOOL_CALLS: Calls of tools, known when a call starts.
        SECONDS: Time since the scope's first span started.
    """

    COST_USD = "cost_usd"
    TOKENS = "tokens"
    INPUT_TOKENS = "input_tokens"
    OUTPUT_TOKENS = "output_tokens"
    CACHE_READ_INPUT_TOKENS = "cache_read_input_tokens"
    CACHE_WRITE_INPUT_TOKENS = "cache_write_input_tokens"
    REASONING_OUTPUT_TOKENS = "reasoning_output_tokens"
    CALLS = "calls"
    TOOL_CALLS = "tool_calls"
    SECONDS = "seconds"
