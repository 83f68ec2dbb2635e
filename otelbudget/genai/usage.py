"""What one model call used: tokens by class, who was asked, and how the counts were read."""

from enum import StrEnum

import msgspec

from otelbudget.genai import semconv


class TokenUsage(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one model call, and what else it is billed for.

    Attributes:
        input_tokens: All input, including cache reads and cache writes.
        output_tokens: All output, including reasoning.
        cache_read_input_tokens: Part of the input that was read from the provider's cache.
        cache_write_input_tokens: Part of the input that was written to the provider's cache.
        reasoning_output_tokens: Part of the output that was reasoning.
        cache_write_1h_input_tokens: Part of the cache writes that is kept for an hour.
        audio_input_tokens: Part of the input that was audio.
        audio_output_tokens: Part of the output that was audio.
        image_input_tokens: Part of the input that was images.
        image_output_tokens: Part of the output that was images.
        audio_cache_read_input_tokens: Part of the audio input that was read from the cache.
        image_cache_read_input_tokens: Part of the image input that was read from the cache.
        web_searches: Searches that the provider made for the call and bills each.
    """

    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int = 0
    cache_write_input_tokens: int = 0
    reasoning_output_tokens: int = 0
    cache_write_1h_input_tokens: int = 0
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0
    image_input_tokens: int = 0
    image_output_tokens: int = 0
    audio_cache_read_input_tokens: int = 0
    image_cache_read_input_tokens: int = 0
    web_searches: int = 0

    @property
    def total_tokens(self) -> int:
        """Input and output together; what a limit on `tokens` counts."""
        return self.input_tokens + self.output_tokens


class CacheRule(StrEnum):
    """What decided whether a reported input count contains the cached tokens.

    Attributes:
        NONE: Nothing was cached, so there was nothing to decide.
        PROOF: Reported input is smaller than the cached part, so it cannot contain it; or the part
            that was not cached is reported too, and says so.
        SCOPE: The instrumentation is known to leave cached tokens out.
        BUCKETS: The counts are Langfuse's, which lists each kind of token once.
        TOTAL: The reported total equals one of the two sums.
        CONVENTION: The conventions say that input contains the cached tokens.
    """

    NONE = "none"
    PROOF = "proof"
    SCOPE = "scope"
    BUCKETS = "buckets"
    TOTAL = "total"
    CONVENTION = "convention"


class ModelCall(msgspec.Struct, frozen=True, gc=False):
    """One call of a model, wherever it was seen: on a span, in a response, or in an export.

    Attributes:
        provider: Provider as named by the span, None where it names none or only a framework.
        request_model: Model that was asked for, None where not named.
        response_model: Model that answered, None where not named.
        response_id: The provider's id of the response, None where not given.
        operation: Operation in the words of the conventions, such as "chat"; "" where unknown.
        agent: Name of the agent that made the call, None where not named.
        start_time_unix_nano: Start, None where unknown.
        end_time_unix_nano: End, None where unknown.
        usage: Tokens, None where none are reported. Unknown is never zero.
        cache_rule: How the cached tokens were told apart from the input.
        reported_cost_usd: What the emitter itself says the call cost, in USD as text, or None.
        service_tier: Tier of service that answered, such as "flex", "priority" or "batch", in lower
            case; None where not named.
        conversation: Id of the conversation or session, None where not given.
        user: Id of the user, None where not given.
        faults: Attributes whose value is no count of tokens and was ignored.
        list_cost_pusd: What the application states as its list cost, in pico-USD; None: its tokens
            are priced.
    """

    provider: str | None = None
    request_model: str | None = None
    response_model: str | None = None
    response_id: str | None = None
    operation: str = ""
    agent: str | None = None
    start_time_unix_nano: int | None = None
    end_time_unix_nano: int | None = None
    usage: TokenUsage | None = None
    cache_rule: CacheRule = CacheRule.NONE
    reported_cost_usd: str | None = None
    service_tier: str | None = None
    conversation: str | None = None
    user: str | None = None
    faults: tuple[str, ...] = ()
    list_cost_pusd: int | None = None

    @property
    def model(self) -> str | None:
        """The model that is priced: the one that answered, else the one that was asked for."""
        return self.response_model or self.request_model

    @property
    def is_model_operation(self) -> bool:
        """Whether the operation asks a model, as opposed to running an agent or a tool."""
        return self.operation in semconv.MODEL_CALL_OPERATIONS
