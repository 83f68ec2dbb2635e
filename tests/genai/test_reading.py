"""Reading one model call from a span's attributes."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelbudget.genai import dialects, semconv
from otelbudget.genai.reading import read_call
from otelbudget.genai.usage import CacheRule, ModelCall, TokenUsage

# What instrumentations of several vendors write today for one call of 100 input, 20 output tokens.
DIALECTS: dict[str, dict[str, Any]] = {
    "current": {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
    },
    "semconv-1.26": {
        "gen_ai.operation.name": "chat",
        "gen_ai.system": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.usage.prompt_tokens": 100,
        "gen_ai.usage.completion_tokens": 20,
    },
    "openinference": {
        "openinference.span.kind": "LLM",
        "llm.provider": "openai",
        "gen_ai.request.model": "gpt-4o",
        "llm.response.model_name": "gpt-4o-2024-08-06",
        "llm.response.id": "chatcmpl-1",
        "llm.token_count.prompt": 100,
        "llm.token_count.completion": 20,
    },
    "vercel-ai": {
        "gen_ai.operation.name": "chat",
        "ai.model.provider": "openai",
        "ai.model.id": "gpt-4o",
        "ai.response.model": "gpt-4o-2024-08-06",
        "ai.response.id": "chatcmpl-1",
        "ai.usage.promptTokens": 100,
        "ai.usage.completionTokens": 20,
    },
    "traceloop": {
        "llm.request.type": "chat",
        "gen_ai.system": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
        "llm.usage.total_tokens": 120,
    },
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_each_dialect_is_read_as_the_same_call(dialect: str) -> None:
    call = read_call(DIALECTS[dialect], start_time_unix_nano=1, end_time_unix_nano=2)

    assert call == ModelCall(
        "openai",
        "gpt-4o",
        "gpt-4o-2024-08-06",
        "chatcmpl-1",
        "chat",
        None,
        1,
        2,
        TokenUsage(100, 20),
    )


@pytest.mark.parametrize(
    "attributes",
    [
        pytest.param({}, id="empty"),
        pytest.param({"http.request.method": "POST"}, id="http"),
        pytest.param({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "x"}, id="tool"),
        pytest.param({"gen_ai.operation.name": "invoke_agent"}, id="agent-without-usage"),
        pytest.param({"gen_ai.request.model": "gpt-4o"}, id="model-only"),
        pytest.param({"gen_ai.usage.input_tokens": 0}, id="zero-usage"),
    ],
)
def test_a_span_without_usage_that_asks_no_model_is_no_call(attributes: dict[str, Any]) -> None:
    assert read_call(attributes) is None


def test_a_model_call_without_usage_has_unknown_usage() -> None:
    call = read_call({"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 0})

    assert call is not None
    assert call.usage is None


def test_aliases_are_not_added_up() -> None:
    call = read_call(
        {
            "gen_ai.usage.input_tokens": 100,
            "gen_ai.usage.prompt_tokens": 100,
            "llm.token_count.prompt": 100,
        }
    )

    assert call is not None
    assert call.usage == TokenUsage(100, 0)


def test_the_best_name_of_an_attribute_wins_in_any_order() -> None:
    attributes = {"gen_ai.usage.input_tokens": 100, "llm.token_count.prompt": 7}

    for ordered in (attributes, dict(reversed(attributes.items()))):
        call = read_call(ordered)
        assert call is not None
        assert call.usage == TokenUsage(100, 0)


@pytest.mark.parametrize(
    ("attributes", "scope_name", "expected", "rule"),
    [
        pytest.param({}, "", TokenUsage(100, 20), CacheRule.NONE, id="nothing-cached"),
        pytest.param(
            {semconv.CACHE_READ_INPUT_TOKENS: 60},
            "",
            TokenUsage(100, 20, 60),
            CacheRule.CONVENTION,
            id="contained",
        ),
        pytest.param(
            {semconv.CACHE_READ_INPUT_TOKENS: 160, semconv.CACHE_WRITE_INPUT_TOKENS: 40},
            "",
            TokenUsage(300, 20, 160, 40),
            CacheRule.PROOF,
            id="more-cached-than-input",
        ),
        pytest.param(
            {semconv.CACHE_READ_INPUT_TOKENS: 60},
            "com.anthropic.claude_code.events",
            TokenUsage(160, 20, 60),
            CacheRule.SCOPE,
            id="scope-leaves-them-out",
        ),
        pytest.param(
            {semconv.CACHE_READ_INPUT_TOKENS: 60, "llm.usage.total_tokens": 120},
            "",
            TokenUsage(100, 20, 60),
            CacheRule.TOTAL,
            id="total-contains",
        ),
        pytest.param(
            {semconv.CACHE_READ_INPUT_TOKENS: 60, "llm.usage.total_tokens": 180},
            "",
            TokenUsage(160, 20, 60),
            CacheRule.TOTAL,
            id="total-adds",
        ),
    ],
)
def test_cached_tokens_are_told_apart_by_the_first_rule_that_decides(
    attributes: dict[str, Any], scope_name: str, expected: TokenUsage, rule: CacheRule
) -> None:
    usage = {"gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 20}
    call = read_call({**usage, **attributes}, scope_name=scope_name)

    assert call is not None
    assert (call.usage, call.cache_rule) == (expected, rule)


@pytest.mark.parametrize(
    "value",
    [True, -1, 1.5, math.nan, math.inf, -math.inf, 10**400, "", "many", "1e999", [1], (2, 3)],
)
def test_a_value_that_is_no_count_is_a_fault_and_counts_nothing(value: object) -> None:
    call = read_call(
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.usage.input_tokens": value,
            "gen_ai.usage.output_tokens": 20,
        }
    )

    assert call is not None
    assert call.usage == TokenUsage(0, 20)
    assert call.faults == ("gen_ai.usage.input_tokens",)


@pytest.mark.parametrize("value", [100, 100.0, "100", "100.0"], ids=repr)
def test_a_count_may_be_written_as_a_float_or_as_text(value: object) -> None:
    call = read_call({"gen_ai.usage.input_tokens": value})

    assert call is not None
    assert call.usage == TokenUsage(100, 0)
    assert not call.faults


@pytest.mark.parametrize("name", ["", "unknown", "None", "NULL"])
def test_a_name_that_names_nothing_is_none(name: str) -> None:
    call = read_call({"gen_ai.request.model": name, "gen_ai.usage.input_tokens": 1})

    assert call is not None
    assert call.model is None


def test_a_framework_is_no_provider() -> None:
    call = read_call({"gen_ai.system": "langchain", "gen_ai.usage.input_tokens": 1})

    assert call is not None
    assert call.provider is None


_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=10**300, max_value=10**310),
    st.floats(),
    st.text(max_size=20),
    st.from_regex(r"-?[0-9]{1,30}(\.[0-9]{1,3})?(e[0-9]{1,4})?", fullmatch=True),
    st.lists(st.one_of(st.integers(), st.text(max_size=3)), max_size=3),
    st.binary(max_size=4),
)


@given(
    st.dictionaries(
        st.one_of(st.sampled_from(sorted(dialects.READ_KEYS)), st.text(max_size=8)), _VALUES
    ),
    st.sampled_from(["", "app", *dialects.CACHE_EXCLUSIVE_SCOPES]),
)
def test_no_attributes_make_reading_fail(attributes: dict[str, Any], scope_name: str) -> None:
    call = read_call(attributes, scope_name=scope_name)

    if call is not None and call.usage is not None:
        usage = call.usage
        assert usage.total_tokens > 0
        assert min(usage.input_tokens, usage.output_tokens, usage.cache_read_input_tokens) >= 0
        assert usage.cache_read_input_tokens + usage.cache_write_input_tokens <= usage.input_tokens
