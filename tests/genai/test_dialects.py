"""One call, as each instrumentation of 2026-11 writes it, is read as the same call."""

from typing import Any, NamedTuple

import pytest

from otelbudget.genai.reading import read_call
from otelbudget.genai.usage import CacheRule, TokenUsage

# 3,010 input tokens, of which 2,500 read from the cache and 500 written to it; 200 output tokens.
CACHED = TokenUsage(3010, 200, 2500, 500)
# 2,400 input tokens, of which 1,800 read from the cache; 120 output tokens, of which 64 reasoning.
REASONED = TokenUsage(2400, 120, 1800, 0, 64)


class Written(NamedTuple):
    """What an instrumentation writes, and what is to be read."""

    scope: str
    attributes: dict[str, Any]
    usage: TokenUsage
    rule: CacheRule
    provider: str | None = "anthropic"
    operation: str = "chat"


def gen_ai(**usage: object) -> dict[str, Any]:
    """A chat span with `gen_ai.usage.*`; a double underscore stands for a dot."""
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude-sonnet-5",
        "gen_ai.response.model": "claude-sonnet-5",
    } | {f"gen_ai.usage.{key.replace('__', '.')}": value for key, value in usage.items()}


INCLUSIVE: dict[str, Any] = {"input_tokens": 3010, "output_tokens": 200}
EXCLUSIVE: dict[str, Any] = {"input_tokens": 10, "output_tokens": 200}
READ: dict[str, Any] = {"cache_read__input_tokens": 2500}
WRITE: dict[str, Any] = {"cache_write__input_tokens": 500}
CREATION: dict[str, Any] = {"cache_creation__input_tokens": 500}
OPENINFERENCE = {
    "openinference.span.kind": "LLM",
    "llm.provider": "anthropic",
    "llm.model_name": "claude-sonnet-5",
    "llm.token_count.prompt": 3010,
    "llm.token_count.prompt_details.cache_read": 2500,
    "llm.token_count.prompt_details.cache_write": 500,
    "llm.token_count.completion": 200,
    "llm.token_count.total": 3210,
}

WRITTEN = {
    "otel-genai": Written(
        "opentelemetry.instrumentation.genai.anthropic",
        gen_ai(**INCLUSIVE, **READ, **WRITE),
        CACHED,
        CacheRule.CONVENTION,
    ),
    "otel-genai-reasoning": Written(
        "opentelemetry.instrumentation.genai.openai",
        gen_ai(
            input_tokens=2400,
            output_tokens=120,
            cache_read__input_tokens=1800,
            reasoning__output_tokens=64,
        ),
        REASONED,
        CacheRule.CONVENTION,
    ),
    "otel-bedrock": Written(
        "opentelemetry.instrumentation.genai.bedrock",
        gen_ai(**EXCLUSIVE, **READ, **WRITE),
        CACHED,
        CacheRule.PROOF,
    ),
    "otel-botocore-large-input": Written(
        "opentelemetry.instrumentation.botocore.bedrock-runtime",
        gen_ai(input_tokens=5000, output_tokens=200, cache_read__input_tokens=2500),
        TokenUsage(7500, 200, 2500),
        CacheRule.SCOPE,
    ),
    "anthropic-sdk": Written(
        "com.anthropic.sdk.python",
        gen_ai(**INCLUSIVE, **READ, **WRITE)
        | {
            "anthropic.usage.cache_creation.ephemeral_5m_input_tokens": 200,
            "anthropic.usage.cache_creation.ephemeral_1h_input_tokens": 300,
            "anthropic.response.service_tier": "standard",
        },
        TokenUsage(3010, 200, 2500, 500, 0, 300),
        CacheRule.CONVENTION,
    ),
    "anthropic-sdk-compaction": Written(
        "com.anthropic.sdk.python",
        gen_ai(**INCLUSIVE)
        | {
            "anthropic.usage.compaction.input_tokens": 90,
            "anthropic.usage.compaction.output_tokens": 7,
        },
        TokenUsage(3100, 207),
        CacheRule.NONE,
    ),
    "traceloop": Written(
        "opentelemetry.instrumentation.anthropic",
        gen_ai(**INCLUSIVE, **READ, **CREATION, total_tokens=3210),
        CACHED,
        CacheRule.TOTAL,
    ),
    "traceloop-legacy": Written(
        "opentelemetry.instrumentation.openai.v1",
        {
            "gen_ai.system": "OpenAI",
            "llm.request.type": "chat",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.usage.prompt_tokens": 2400,
            "gen_ai.usage.completion_tokens": 120,
            "gen_ai.usage.cache_read_input_tokens": 1800,
            "llm.usage.reasoning_tokens": 64,
            "llm.usage.total_tokens": 2520,
        },
        REASONED,
        CacheRule.TOTAL,
        "OpenAI",
    ),
    "openinference": Written(
        "openinference.instrumentation.anthropic", OPENINFERENCE, CACHED, CacheRule.TOTAL
    ),
    "openinference-both-namespaces": Written(
        "openinference.instrumentation.anthropic",
        OPENINFERENCE | gen_ai(**INCLUSIVE, **READ, **CREATION),
        CACHED,
        CacheRule.TOTAL,
    ),
    "openlit-anthropic": Written(
        "openlit.otel.tracing",
        gen_ai(**EXCLUSIVE, **READ, **CREATION, total_tokens=210, cost=0.0056),
        CACHED,
        CacheRule.PROOF,
    ),
    "openlit-anthropic-large-input": Written(
        "openlit.otel.tracing",
        gen_ai(
            input_tokens=5000, output_tokens=200, cache_read__input_tokens=2500, total_tokens=5200
        ),
        TokenUsage(7500, 200, 2500),
        CacheRule.SCOPE,
    ),
    "openlit-openai": Written(
        "openlit.otel.tracing",
        gen_ai(
            input_tokens=2400,
            output_tokens=120,
            cache_read__input_tokens=1800,
            cache_creation__input_tokens=0,
            total_tokens=2520,
            completion_tokens_details__reasoning_tokens=64,
        )
        | {"gen_ai.provider.name": "openai"},
        REASONED,
        CacheRule.TOTAL,
        "openai",
    ),
    "langfuse-buckets": Written(
        "langfuse-sdk",
        {
            "langfuse.observation.type": "generation",
            "langfuse.observation.model.name": "claude-sonnet-5",
            "langfuse.observation.usage_details": (
                '{"input":10,"input_cache_read":2500,"input_cache_creation":500,"output":200}'
            ),
        },
        CACHED,
        CacheRule.BUCKETS,
        None,
    ),
    "langfuse-buckets-reasoning": Written(
        "langfuse-sdk",
        {
            "langfuse.observation.type": "generation",
            "langfuse.observation.usage_details": (
                '{"input":600,"input_cached_tokens":1800,"output":56,"output_reasoning":64}'
            ),
        },
        REASONED,
        CacheRule.BUCKETS,
        None,
    ),
    "langfuse-openai": Written(
        "langfuse-sdk",
        {
            "langfuse.observation.type": "generation",
            "langfuse.observation.usage_details": (
                '{"prompt_tokens":2400,"completion_tokens":120,"total_tokens":2520,'
                '"prompt_tokens_details":{"cached_tokens":1800},'
                '"completion_tokens_details":{"reasoning_tokens":64}}'
            ),
        },
        REASONED,
        CacheRule.TOTAL,
        None,
    ),
    "pydantic-ai": Written(
        "pydantic-ai",
        gen_ai(
            **INCLUSIVE,
            **READ,
            **CREATION,
            details__cache_read_tokens=2500,
            details__cache_write_tokens=500,
        )
        | {"operation.cost": 0.0056},
        CACHED,
        CacheRule.CONVENTION,
    ),
    "strands": Written(
        "strands.telemetry.tracer",
        gen_ai(
            **INCLUSIVE,
            **READ,
            **CREATION,
            prompt_tokens=3010,
            completion_tokens=200,
            total_tokens=3210,
            cache_read_input_tokens=2500,
            cache_write_input_tokens=500,
        )
        | {"gen_ai.provider.name": "strands-agents"},
        CACHED,
        CacheRule.TOTAL,
        None,
    ),
    "strands-before-it-counted-caches": Written(
        "strands.telemetry.tracer",
        gen_ai(input_tokens=4000, output_tokens=200, total_tokens=6700, **READ),
        TokenUsage(6500, 200, 2500),
        CacheRule.TOTAL,
    ),
    "litellm": Written(
        "litellm",
        gen_ai(**INCLUSIVE, **READ, **CREATION) | {"litellm.cost.total": 0.0056},
        CACHED,
        CacheRule.CONVENTION,
    ),
    "claude-code": Written(
        "com.anthropic.claude_code.tracing",
        {
            "span.type": "llm_request",
            "gen_ai.system": "anthropic",
            "model": "claude-opus-5",
            "input_tokens": "10",
            "output_tokens": "200",
            "cache_read_tokens": "2500",
            "cache_creation_tokens": "500",
        },
        CACHED,
        CacheRule.PROOF,
    ),
    "codex": Written(
        "codex_cli_rs",
        {
            "model": "gpt-5.5",
            "codex.turn.token_usage.input_tokens": 2400,
            "codex.turn.token_usage.cached_input_tokens": 1800,
            "codex.turn.token_usage.non_cached_input_tokens": 600,
            "codex.turn.token_usage.output_tokens": 120,
            "codex.turn.token_usage.reasoning_output_tokens": 64,
        },
        REASONED,
        CacheRule.PROOF,
        None,
        "",
    ),
    "gemini-cli": Written(
        "gemini-cli",
        gen_ai(input_tokens=767, output_tokens=30) | {"gen_ai.operation.name": "llm_call"},
        TokenUsage(767, 30),
        CacheRule.NONE,
    ),
    "vercel-ai": Written(
        "ai",
        {
            "ai.operationId": "ai.streamText.doStream",
            "ai.model.provider": "anthropic",
            "ai.model.id": "claude-sonnet-5",
            "ai.usage.inputTokens": 3010,
            "ai.usage.inputTokenDetails.noCacheTokens": 10,
            "ai.usage.inputTokenDetails.cacheReadTokens": 2500,
            "ai.usage.inputTokenDetails.cacheWriteTokens": 500,
            "ai.usage.outputTokens": 200,
            "ai.usage.cachedInputTokens": 0,
        },
        CACHED,
        CacheRule.PROOF,
    ),
    "vercel-ai-5-anthropic": Written(
        "ai",
        {
            "ai.operationId": "ai.generateText.doGenerate",
            "ai.model.provider": "anthropic.messages",
            "ai.model.id": "claude-sonnet-5",
            "ai.usage.inputTokens": 5000,
            "ai.usage.outputTokens": 200,
            "ai.usage.totalTokens": 5200,
            "ai.usage.cachedInputTokens": 2500,
            "ai.response.providerMetadata": (
                '{"anthropic":{"usage":{"input_tokens":5000,"cache_creation_input_tokens":500,'
                '"cache_read_input_tokens":2500,"output_tokens":1},"cacheCreationInputTokens":500}}'
            ),
        },
        TokenUsage(8000, 200, 2500, 500),
        CacheRule.PROOF,
        "anthropic.messages",
    ),
    "vercel-ai-5-bedrock": Written(
        "ai",
        {
            "ai.operationId": "ai.generateText.doGenerate",
            "ai.model.provider": "amazon-bedrock",
            "ai.usage.inputTokens": 10,
            "ai.usage.outputTokens": 200,
            "ai.response.providerMetadata": (
                '{"bedrock":{"usage":{"cacheReadInputTokens":2500,"cacheWriteInputTokens":500}}}'
            ),
        },
        CACHED,
        CacheRule.PROOF,
        "amazon-bedrock",
    ),
    "vercel-ai-4-openai": Written(
        "ai",
        {
            "ai.operationId": "ai.streamText.doStream",
            "ai.model.provider": "openai.chat",
            "ai.usage.promptTokens": 2400,
            "ai.usage.completionTokens": 120,
            "ai.response.providerMetadata": (
                '{"openai":{"reasoningTokens":64,"cachedPromptTokens":1800}}'
            ),
        },
        REASONED,
        CacheRule.CONVENTION,
        "openai.chat",
    ),
    "semantic-kernel-legacy": Written(
        "semantic_kernel",
        {
            "gen_ai.operation.name": "chat.completions",
            "gen_ai.system": "openai",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.response.prompt_tokens": 16,
            "gen_ai.response.completion_tokens": 28,
        },
        TokenUsage(16, 28),
        CacheRule.NONE,
        "openai",
    ),
    "langsmith-details": Written(
        "langsmith",
        gen_ai(
            input_tokens=2400,
            output_tokens=120,
            total_tokens=2520,
        )
        | {
            "gen_ai.usage.input_token_details": '{"cache_read":1800,"audio":0}',
            "gen_ai.usage.output_token_details": '{"reasoning":64}',
        },
        REASONED,
        CacheRule.TOTAL,
    ),
    "langsmith-metadata": Written(
        "langsmith",
        {
            "langsmith.span.kind": "llm",
            "gen_ai.system": "openai",
            "langsmith.usage_metadata": (
                '{"input_tokens":2400,"output_tokens":120,"total_tokens":2520,'
                '"input_token_details":{"cache_read":1800},'
                '"output_token_details":{"reasoning":64}}'
            ),
        },
        REASONED,
        CacheRule.TOTAL,
        "openai",
        "",
    ),
    "mlflow": Written(
        "mlflow.anthropic",
        {
            "mlflow.chat.tokenUsage": (
                '{"input_tokens":10,"output_tokens":200,"total_tokens":210,'
                '"cache_read_input_tokens":2500,"cache_creation_input_tokens":500}'
            )
        },
        CACHED,
        CacheRule.PROOF,
        None,
        "",
    ),
    "livekit": Written(
        "livekit-agents",
        gen_ai(
            input_tokens=2400,
            output_tokens=120,
            input_cached_tokens=1800,
            input_audio_tokens=300,
            output_audio_tokens=20,
        ),
        TokenUsage(2400, 120, 1800, audio_input_tokens=300, audio_output_tokens=20),
        CacheRule.CONVENTION,
    ),
    "mastra": Written(
        "mastra",
        gen_ai(input_tokens=2400, output_tokens=120, cached_input_tokens=1800, reasoning_tokens=64),
        REASONED,
        CacheRule.CONVENTION,
    ),
    "pydantic-ai-1": Written(
        "pydantic-ai",
        gen_ai(
            **INCLUSIVE,
            details__cache_read_input_tokens=2500,
            details__cache_creation_input_tokens=500,
        ),
        CACHED,
        CacheRule.CONVENTION,
    ),
    "cache-tokens-without-input": Written(
        "my.app",
        gen_ai(**EXCLUSIVE, cache_read_tokens=2500, cache_creation_tokens=500),
        CACHED,
        CacheRule.PROOF,
    ),
    "sentry-responses": Written(
        "sentry",
        gen_ai(input_tokens=2400, output_tokens=120) | {"gen_ai.operation.name": "responses"},
        TokenUsage(2400, 120),
        CacheRule.NONE,
    ),
    "openllmetry-first-names": Written(
        "opentelemetry.instrumentation.openai",
        {
            "llm.request.type": "chat",
            "llm.request.model": "gpt-4o",
            "llm.usage.prompt_tokens": 200,
            "llm.usage.completion_tokens": 55,
        },
        TokenUsage(200, 55),
        CacheRule.NONE,
        None,
    ),
    "sentry": Written(
        "sentry",
        gen_ai(
            input_tokens=3010,
            output_tokens=200,
            input_tokens__cached=2500,
            input_tokens__cache_write=500,
        ),
        CACHED,
        CacheRule.CONVENTION,
    ),
    "smolagents": Written(
        "openinference.instrumentation.smolagents",
        OPENINFERENCE | {"llm.provider": "smolagents"},
        CACHED,
        CacheRule.TOTAL,
        None,
    ),
    "modalities": Written(
        "opentelemetry.instrumentation.google_genai",
        gen_ai(
            input_tokens=900,
            output_tokens=210,
            audio__input_tokens=300,
            audio__output_tokens=20,
            image__input_tokens=200,
            image__output_tokens=30,
            audio__cache_read__input_tokens=10,
            cache_read__input_tokens=10,
            web_search_requests=2,
        ),
        TokenUsage(
            900,
            210,
            10,
            audio_input_tokens=300,
            audio_output_tokens=20,
            image_input_tokens=200,
            image_output_tokens=30,
            audio_cache_read_input_tokens=10,
            web_searches=2,
        ),
        CacheRule.CONVENTION,
    ),
}
each = pytest.mark.parametrize(
    "written", [pytest.param(each, id=name) for name, each in WRITTEN.items()]
)


@each
def test_each_dialect_is_read_and_says_how(written: Written) -> None:
    call = read_call(written.attributes, scope_name=written.scope)

    assert call is not None
    assert (call.usage, call.cache_rule) == (written.usage, written.rule)
    assert (call.provider, call.operation) == (written.provider, written.operation)
    assert call.faults == ()


@each
def test_numbers_may_arrive_as_texts(written: Written) -> None:
    texts = {
        key: str(value) if isinstance(value, int | float) else value
        for key, value in written.attributes.items()
    }

    assert read_call(texts, scope_name=written.scope) == read_call(
        written.attributes, scope_name=written.scope
    )


def test_bare_names_are_only_read_where_they_are_meant() -> None:
    attributes = {"input_tokens": 10, "output_tokens": 200}

    assert read_call(attributes, scope_name="my.app") is None
    assert read_call(attributes, scope_name="com.anthropic.claude_coder") is None
    assert read_call(attributes, scope_name="com.anthropic.claude_code") is not None


@pytest.mark.parametrize(
    ("attributes", "cost"),
    [
        ({"gen_ai.usage.cost": 0}, None),
        ({"gen_ai.usage.cost": 0.0056}, "0.0056"),
        ({"operation.cost": 0}, "0"),
        ({"operation.cost": "0.0056"}, "0.0056"),
        ({"gen_ai.usage.cost.amount": 0.1, "gen_ai.usage.cost.currency": "USD"}, "0.1"),
        ({"gen_ai.usage.cost.amount": 0.1, "gen_ai.usage.cost.currency": "EUR"}, None),
        ({"langfuse.observation.cost_details": '{"total": 0.0004}'}, "0.0004"),
        ({"github.copilot.cost": 1}, None),
        ({"operation.cost": "NaN"}, None),
        ({"operation.cost": True}, None),
        ({"operation.cost": -1}, None),
    ],
)
def test_a_cost_is_kept_where_it_is_known_and_in_dollars(
    attributes: dict[str, Any], cost: str | None
) -> None:
    call = read_call(gen_ai(**INCLUSIVE) | attributes)

    assert call is not None
    assert call.reported_cost_usd == cost


def test_a_response_id_and_caches_are_read_from_the_providers_metadata() -> None:
    call = read_call(
        {
            "ai.operationId": "ai.generateText",
            "ai.usage.promptTokens": 10,
            "ai.usage.completionTokens": 200,
            "ai.response.providerMetadata": (
                '{"gateway":{},"anthropic":{"responseId":"msg_1","cacheCreationInputTokens":500,'
                '"usage":{"service_tier":"Batch","cache_read_input_tokens":2500}}}'
            ),
        }
    )

    assert call is not None
    assert (call.response_id, call.service_tier, call.usage) == ("msg_1", "batch", CACHED)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"a":[{"b":1}]}', "[" * 5000])
def test_a_document_that_is_none_says_nothing(text: str) -> None:
    call = read_call(gen_ai(**INCLUSIVE) | {"ai.response.providerMetadata": text})

    assert call is not None
    assert (call.usage, call.response_id) == (TokenUsage(3010, 200), None)


def test_a_zero_or_a_fault_never_hides_a_count() -> None:
    attributes = {
        "gen_ai.usage.input_tokens": 0,
        "gen_ai.usage.prompt_tokens": "NaN",
        "llm.token_count.prompt": 100,
    }
    for ordered in (attributes, dict(reversed(attributes.items()))):
        call = read_call(ordered)

        assert call is not None
        assert call.usage == TokenUsage(100, 0)
        assert call.faults == ("gen_ai.usage.prompt_tokens",)


def test_a_framework_never_hides_a_provider() -> None:
    call = read_call(gen_ai(**INCLUSIVE) | {"gen_ai.provider.name": "langchain", "llm.system": "x"})

    assert call is not None
    assert call.provider == "x"


def test_the_first_names_of_models_are_read() -> None:
    asked = {"llm.request.model": "gpt-4o", "llm.usage.prompt_tokens": 200}
    answered = read_call(asked | {"llm.response.model": "gpt-4o-2024-08-06"})

    assert answered is not None
    assert (answered.request_model, answered.response_model) == ("gpt-4o", "gpt-4o-2024-08-06")
