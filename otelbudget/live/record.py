"""A call of a model that the application has made, and tells of afterwards."""

from decimal import Decimal
from secrets import token_hex

import msgspec

from otelbudget.budgets.values import money, whole
from otelbudget.errors import BudgetConfigError
from otelbudget.genai.usage import ModelCall, TokenUsage
from otelbudget.live.gates import active
from otelbudget.live.gates.gated import asked, passage_around
from otelbudget.live.gates.returned import read_returned
from otelbudget.live.track import TrackedPassage, request_of, with_provider


def record(  # noqa: PLR0913 - what one call may have used
    model: str | None = None,
    *,
    provider: str | None = None,
    input_tokens: int = 0,
    output_tokens: int = 0,
    cache_read_input_tokens: int = 0,
    cache_write_input_tokens: int = 0,
    reasoning_output_tokens: int = 0,
    cost_usd: str | int | Decimal | None = None,
    response: object = None,
    response_id: str | None = None,
    operation: str | None = None,
    agent: str | None = None,
) -> None:
    """Count a call that has been made; it is never refused.

    Inside a tracked function it is that function's call. A response that was counted already, by a
    gate, a span or an earlier `record`, is known by its id and not counted again. Without an active
    processor it does nothing.

    Args:
        model: Model that was called.
        provider: Provider; by default what the model's name tells.
        input_tokens: All input, read from and written to a cache included.
        output_tokens: All output, reasoning included.
        cache_read_input_tokens: Part of the input that was read from a cache.
        cache_write_input_tokens: Part of the input that was written to a cache.
        reasoning_output_tokens: Part of the output that was reasoning.
        cost_usd: What it cost in US dollars, as text, int or Decimal, in place of the list price of
            its tokens; for pages, seconds of a GPU, and models at a price of your own.
        response: What the provider answered; usage, model and id are read off it.
        response_id: The provider's id of the response.
        operation: As for `track`.
        agent: As for `track`.

    Raises:
        BudgetConfigError: A count is none, `cost_usd` is no exact amount, or nothing is told.
    """
    counts = {
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "cache_read_input_tokens": cache_read_input_tokens,
        "cache_write_input_tokens": cache_write_input_tokens,
        "reasoning_output_tokens": reasoning_output_tokens,
    }
    usage = _usage(**{name: whole(count, name) for name, count in counts.items()})
    cost_pusd = None if cost_usd is None else money(cost_usd, "cost_usd")
    if model is None and response is None and usage is None and cost_usd is None:
        raise BudgetConfigError(
            "record() was told nothing of the call; give model and tokens, response=, or cost_usd="
        )
    call = asked(lambda: _call(response, usage, response_id, cost_pusd))
    if call is None:
        return
    request = request_of(model, provider, operation, agent)
    if model is None:
        request = with_provider(request, call.response_model)
    passage = passage_around()
    if isinstance(passage, TrackedPassage):
        passage.recorded.append(call)
    call_id = token_hex(16)
    for index, gatekeeper in enumerate(active.gatekeepers()):
        try:
            gatekeeper.settle_dropped()
            unread = gatekeeper.recorded.count(call_id, request, call, owns_span=not index)
            if unread is not None:
                gatekeeper.settle(unread, call)
        except Exception:  # noqa: BLE001 - a fault of ours must not stop the application
            gatekeeper.failed("recording a call")


def _call(
    response: object, usage: TokenUsage | None, response_id: str | None, cost_pusd: int | None
) -> ModelCall:
    """What is known of a recorded call: what is stated, else what its response tells."""
    call = (None if response is None else read_returned(response)[0]) or ModelCall()
    nothing = TokenUsage(0, 0) if cost_pusd is not None else None
    return msgspec.structs.replace(
        call,
        response_id=response_id or call.response_id,
        usage=usage or call.usage or nothing,
        list_cost_pusd=cost_pusd,
    )


def _usage(
    input_tokens: int,
    output_tokens: int,
    cache_read_input_tokens: int,
    cache_write_input_tokens: int,
    reasoning_output_tokens: int,
) -> TokenUsage | None:
    """Usage as it is stated, None where none is; parts that exceed the whole come beside it."""
    cached = cache_read_input_tokens + cache_write_input_tokens
    if input_tokens < cached:
        input_tokens += cached
    if output_tokens < reasoning_output_tokens:
        output_tokens += reasoning_output_tokens
    if not input_tokens and not output_tokens:
        return None
    return TokenUsage(
        input_tokens,
        output_tokens,
        cache_read_input_tokens,
        cache_write_input_tokens,
        reasoning_output_tokens,
    )
