"""What responses of the Anthropic API say beside their totals: fast mode and compactions."""

from datetime import UTC, datetime
from typing import Any

import pytest
from anthropic.types.beta import (
    BetaMessage,
    BetaRawMessageDeltaEvent,
    BetaRawMessageStartEvent,
    BetaUsage,
)

from otelbudget.genai.usage import ModelCall, TokenUsage
from otelbudget.live.gates.response import merged, read_response
from otelbudget.pricing.book import PriceBook

A_THOUSAND = {"input_tokens": 1_000, "output_tokens": 1_000}
COMPACTION = {
    "type": "compaction",
    "input_tokens": 180_000,
    "output_tokens": 3_500,
    "cache_creation_input_tokens": 50,
    "cache_read_input_tokens": 400,
    "cache_creation": {"ephemeral_1h_input_tokens": 20, "ephemeral_5m_input_tokens": 30},
}
MESSAGE = A_THOUSAND | {
    "type": "message",
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
}


def _message(usage: dict[str, Any]) -> BetaMessage:
    return BetaMessage.model_validate(
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude-opus-4-8",
            "content": [],
            "usage": usage,
        }
    )


def _delta(usage: dict[str, Any]) -> BetaRawMessageDeltaEvent:
    return BetaRawMessageDeltaEvent.model_validate(
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}
    )


def _read(body: object) -> ModelCall:
    call = read_response(body)
    assert call is not None
    return call


def _usage(body: object) -> TokenUsage:
    usage = _read(body).usage
    assert usage is not None
    return usage


@pytest.mark.parametrize(
    ("told", "tier"),
    [
        ({"speed": "fast", "service_tier": "standard"}, "fast"),
        ({"speed": "fast"}, "fast"),
        ({"speed": "standard", "service_tier": "priority"}, "priority"),
        ({"speed": None, "service_tier": "standard"}, "standard"),
        ({}, None),
    ],
)
def test_fast_mode_is_a_tier_of_service_and_others_stay_as_told(
    told: dict[str, Any], tier: str | None
) -> None:
    assert _read(_message(A_THOUSAND | told)).service_tier == tier


def test_fast_mode_has_its_own_price() -> None:
    call = _read(_message(A_THOUSAND | {"speed": "fast", "service_tier": "standard"}))
    at_ns = int(datetime(2026, 11, 2, tzinfo=UTC).timestamp()) * 10**9
    price = PriceBook.load().price("anthropic", call.model, at_ns, call.service_tier)

    assert call.usage is not None
    assert price is not None
    # claude-opus-4-8, fast: 10 USD/Mtok * 1_000 + 50 USD/Mtok * 1_000 = 0.01 USD + 0.05 USD
    assert price.list_cost_pusd(call.usage) == 60_000_000_000


def test_fast_mode_is_known_to_the_end_of_a_stream() -> None:
    start = BetaRawMessageStartEvent(
        message=_message(A_THOUSAND | {"speed": "fast", "service_tier": "standard"}),
        type="message_start",
    )

    assert merged(_read(start), _read(_delta({"output_tokens": 1_000}))).service_tier == "fast"


def test_compactions_are_added_to_totals_that_leave_them_out() -> None:
    usage = _usage(_message(A_THOUSAND | {"iterations": [COMPACTION, COMPACTION, MESSAGE]}))

    assert usage == TokenUsage(
        input_tokens=1_000 + 2 * (180_000 + 400 + 50),
        output_tokens=1_000 + 2 * 3_500,
        cache_read_input_tokens=2 * 400,
        cache_write_input_tokens=2 * 50,
        cache_write_1h_input_tokens=2 * 20,
    )


def test_messages_among_iterations_are_in_the_totals_already() -> None:
    usage = _usage(_message(A_THOUSAND | {"iterations": [MESSAGE]}))

    assert usage == TokenUsage(1_000, 1_000)


def test_compactions_leave_searches_as_they_are() -> None:
    searched = {"server_tool_use": {"web_search_requests": 3, "web_fetch_requests": 0}}
    usage = _usage(_message(A_THOUSAND | searched | {"iterations": [COMPACTION, MESSAGE]}))

    assert usage.web_searches == 3


def test_an_object_and_its_json_tell_the_same() -> None:
    message = _message(A_THOUSAND | {"speed": "fast", "iterations": [COMPACTION, MESSAGE]})

    assert isinstance(message.usage, BetaUsage)
    assert read_response(message) == read_response(message.model_dump(mode="json"))


def test_compactions_are_added_once_in_a_stream() -> None:
    start = BetaRawMessageStartEvent(
        message=_message({"input_tokens": 1_000, "output_tokens": 1}), type="message_start"
    )
    totals = A_THOUSAND | {"iterations": [COMPACTION, MESSAGE]}
    once = _read(_delta(totals))

    usage = merged(merged(_read(start), once), once).usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (1_000 + 180_450, 1_000 + 3_500)
