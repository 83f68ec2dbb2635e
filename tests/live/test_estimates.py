"""What requests may cost, by their bodies."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelbudget.genai.usage import ModelCall, TokenUsage
from otelbudget.live.estimates import DEFAULT_OUTPUT_TOKENS, Estimator
from otelbudget.live.request import Request, size_of
from otelbudget.pricing.billing import UnknownModel
from otelbudget.pricing.book import PriceBook

NOW_NS = 1_795_000_000_000_000_000
HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def book() -> PriceBook:
    return PriceBook.load()


def request(model: str | None = "gpt-4o", **body: Any) -> Request:
    return Request("openai", model, "chat", body)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"max_tokens": 50}, id="chat"),
        pytest.param({"max_completion_tokens": 50, "max_tokens": None}, id="reasoning"),
        pytest.param({"max_output_tokens": 50}, id="responses"),
        pytest.param({"generationConfig": {"maxOutputTokens": 50}}, id="gemini"),
        pytest.param({"inferenceConfig": {"maxTokens": 50}}, id="converse"),
        pytest.param({"textGenerationConfig": {"maxTokenCount": 50}}, id="titan"),
        pytest.param({"max_gen_len": 50}, id="llama"),
    ],
)
def test_a_cap_on_output_is_found_where_each_api_keeps_it(body: dict[str, Any]) -> None:
    assert size_of(request(**body)).output_tokens == 50
    encoded = json.dumps(body).encode()
    assert size_of(Request("aws.bedrock", "m", "chat", encoded)).output_tokens == 50


def test_each_choice_may_use_the_whole_cap() -> None:
    assert size_of(request(max_tokens=50, n=3)).output_tokens == 150


def test_embeddings_have_no_output() -> None:
    size = size_of(Request("openai", "text-embedding-3-small", "embeddings", {"input": "hello"}))

    assert size.output_tokens == 0


@given(st.text(max_size=300))
def test_input_has_at_most_a_token_for_each_byte(text: str) -> None:
    """The byte is the smallest piece of text that tokenizers of language models know."""
    size = size_of(request(messages=[{"role": "user", "content": text}]))

    assert size.input_tokens >= len(text.encode("utf-8", "replace"))


def test_a_picture_counts_as_tokens_not_as_bytes() -> None:
    url = "data:image/png;base64," + "A" * 1_000_000
    picture = {"type": "image_url", "image_url": {"url": url}}
    size = size_of(request(messages=[{"role": "user", "content": [picture]}]))

    assert 2_000 <= size.input_tokens < 3_000
    assert size.unbounded == ("media",)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"tools": [{"type": "web_search"}]}, "server tools"),
        ({"tools": [{"type": "code_execution_20250825", "name": "code"}]}, "server tools"),
        ({"tools": [{"googleSearch": {}}]}, "server tools"),
        ({"previous_response_id": "resp_1"}, "kept context"),
        ({"prompt": {"id": "pmpt_1"}}, "kept context"),
        ({"modalities": ["text", "audio"]}, "media"),
    ],
)
def test_what_no_estimate_can_bound_is_named(body: dict[str, Any], why: str) -> None:
    assert size_of(request(**body)).unbounded == (why,)


@pytest.mark.parametrize(
    "body",
    [
        {"tools": [{"type": "function", "function": {"name": "search"}}]},
        {"tools": [{"name": "search", "input_schema": {}}]},
        {"tools": [{"functionDeclarations": [{"name": "search"}]}]},
        {"prompt": "once upon a time"},
        {"modalities": ["text"]},
    ],
)
def test_functions_and_text_are_bounded(body: dict[str, Any]) -> None:
    assert size_of(request(**body)).unbounded == ()


@pytest.mark.parametrize("body", [None, b"\xff", [], object(), {"a": object()}, "text", b"", {}])
def test_whatever_a_body_is_has_a_size(body: object) -> None:
    assert size_of(Request("openai", "m", "chat", body)).output_tokens is None


def test_the_name_of_a_deployment_is_priced_as_the_model_that_answers_to_it(
    book: PriceBook,
) -> None:
    estimator = Estimator(book, UnknownModel.CEILING)
    asked = request("our-deployment", messages=HELLO, max_tokens=1_000)
    before = estimator.estimate(asked, NOW_NS)
    estimator.learn(
        ModelCall(
            request_model="our-deployment", response_model="gpt-4o", usage=TokenUsage(10, 100)
        )
    )
    after = estimator.estimate(asked, NOW_NS)

    known = estimator.estimate(request(messages=HELLO, max_tokens=1_000), NOW_NS)
    assert before.cost_pusd > after.cost_pusd == known.cost_pusd


def test_an_unknown_model_that_is_allowed_is_held_at_nothing_and_named(book: PriceBook) -> None:
    estimate = Estimator(book, UnknownModel.ALLOW).estimate(request("no-such-model"), NOW_NS)

    assert estimate.cost_pusd == 0
    assert estimate.output_tokens == DEFAULT_OUTPUT_TOKENS
    assert estimate.guesses == ("no cap on output", "no known price")


def test_a_cache_for_an_hour_is_held_at_its_dearer_rate(book: PriceBook) -> None:
    estimator = Estimator(book, UnknownModel.CEILING)

    def held(ttl: str) -> int:
        system = [{"type": "text", "text": "x", "cache_control": {"ttl": ttl}}]
        body = {"max_tokens": 0, "system": system, "messages": HELLO}
        asked = Request("anthropic", "claude-haiku-4-5", "chat", body)
        estimate = estimator.estimate(asked, NOW_NS)
        return estimate.cost_pusd // estimate.input_tokens

    # claude-haiku-4-5 writes to a cache at 1.25 USD/Mtok, and for an hour at 2 USD/Mtok;
    # 1 USD/Mtok is 10^6 pico-USD a token.
    assert (held("5m"), held("1h")) == (1_250_000, 2_000_000)
