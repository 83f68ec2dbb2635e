"""Attribute names: the only place in this code base where one is spelled out.

`FIELDS` is the dialect table. It says for each fact about a model call which attributes may carry
it, best first; aliases are never added up. Reading a further dialect means adding its keys here.

Source: OpenTelemetry GenAI semantic conventions (open-telemetry/semantic-conventions-genai, schema
1.42.0) and, for the other vendors, what their released instrumentations write (2026-11).
"""

from collections.abc import Mapping
from enum import StrEnum

# --- what otelbudget itself writes (never under gen_ai.*) -----------------------------------------

TIER = "otelbudget.tier"
DECISION = "otelbudget.decision"
BUDGET = "otelbudget.budget"
REFUSED_AT_START = "otelbudget.refused_at_start"
CALL_ID = "otelbudget.call.id"
CALL_START = "otelbudget.call.start_time_unix_nano"
CALL_EVENT = "otelbudget.call"
EXCEEDED_EVENT = "otelbudget.exceeded"
DENIED_EVENT = "otelbudget.denied"
WARNING_EVENT = "otelbudget.warning"
UNKNOWN_PRICE_EVENT = "otelbudget.unknown_price"
LIMIT_KIND = "otelbudget.limit.kind"
LIMIT = "otelbudget.limit"
USAGE = "otelbudget.usage"
SCOPE_PREFIX = "otelbudget.scope."


class Decision(StrEnum):
    """What a gate or `on_start` decided; written as `otelbudget.decision`."""

    ALLOWED = "allowed"
    DENIED = "denied"
    AUDITED = "audited"


METRIC_COST = "otelbudget.cost.usd"
METRIC_TOKENS = "otelbudget.tokens"
METRIC_CALLS = "otelbudget.calls"
METRIC_DENIED = "otelbudget.denied"
METRIC_LIMIT = "otelbudget.limit"
METRIC_USAGE = "otelbudget.usage"

# --- the current conventions ----------------------------------------------------------------------

SERVICE_NAME = "service.name"
OPERATION_NAME = "gen_ai.operation.name"
PROVIDER_NAME = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
RESPONSE_MODEL = "gen_ai.response.model"
RESPONSE_ID = "gen_ai.response.id"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CACHE_READ_INPUT_TOKENS = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE_INPUT_TOKENS = "gen_ai.usage.cache_write.input_tokens"
REASONING_OUTPUT_TOKENS = "gen_ai.usage.reasoning.output_tokens"
AGENT_NAME = "gen_ai.agent.name"
TOOL_NAME = "gen_ai.tool.name"
SPAN_KIND_OPENINFERENCE = "openinference.span.kind"

FIELDS: Mapping[str, tuple[str, ...]] = {
    "operation": (OPERATION_NAME, SPAN_KIND_OPENINFERENCE, "llm.request.type"),
    "provider": (PROVIDER_NAME, "gen_ai.system", "llm.provider", "llm.system", "ai.model.provider"),
    "request_model": (
        REQUEST_MODEL,
        "ai.model.id",
        "llm.request.model_name",
        "llm.model_name",
        "embedding.model_name",
        "traceloop.association.properties.ls_model_name",
        "model_name",
    ),
    "response_model": (RESPONSE_MODEL, "llm.response.model_name", "ai.response.model"),
    "response_id": (RESPONSE_ID, "ai.response.id", "llm.response.id", "litellm.call_id"),
    "input": (
        INPUT_TOKENS,
        "ai.usage.inputTokens",
        "ai.usage.promptTokens",
        "ai.usage.tokens",
        "codex.turn.token_usage.input_tokens",
        "gen_ai.usage.prompt_tokens",
        "llm.token_count.prompt",
        "llm.usage.prompt_tokens",
    ),
    "output": (
        OUTPUT_TOKENS,
        "ai.usage.outputTokens",
        "ai.usage.completionTokens",
        "codex.turn.token_usage.output_tokens",
        "gen_ai.usage.completion_tokens",
        "llm.token_count.completion",
        "llm.usage.completion_tokens",
    ),
    "cache_read": (
        CACHE_READ_INPUT_TOKENS,
        "ai.usage.cachedInputTokens",
        "ai.usage.inputTokenDetails.cacheReadTokens",
        "codex.turn.token_usage.cached_input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "llm.token_count.prompt_details.cache_read",
        "llm.token_count.prompt_details.cache_input",
        "gen_ai.usage.prompt_tokens_details.cached_tokens",
        "gen_ai.usage.input_tokens.cached",
        "gen_ai.usage.details.cache_read_tokens",
    ),
    "cache_write": (
        CACHE_WRITE_INPUT_TOKENS,
        "ai.usage.inputTokenDetails.cacheWriteTokens",
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.cache_write_input_tokens",
        "llm.token_count.prompt_details.cache_write",
        "gen_ai.usage.prompt_tokens_details.cache_creation_tokens",
        "gen_ai.usage.input_tokens.cache_write",
        "gen_ai.usage.details.cache_write_tokens",
    ),
    "reasoning": (
        REASONING_OUTPUT_TOKENS,
        "gen_ai.usage.reasoning_tokens",
        "ai.usage.reasoningTokens",
        "llm.token_count.completion_details.reasoning",
        "gen_ai.usage.completion_tokens_details.reasoning_tokens",
        "gen_ai.usage.details.reasoning_tokens",
        "gen_ai.usage.output_tokens.reasoning",
        "llm.usage.reasoning_tokens",
        "codex.turn.token_usage.reasoning_output_tokens",
    ),
    "total": ("gen_ai.usage.total_tokens", "llm.token_count.total", "llm.usage.total_tokens"),
    "reported_cost": (
        "gen_ai.usage.cost.amount",
        "operation.cost",
        "litellm.cost.total",
        "gen_ai.cost.total_cost",
        "llm.cost.total",
        "gen_ai.usage.cost",
    ),
    "agent": (AGENT_NAME, "agent.name", "agent_name"),
    "tool": (TOOL_NAME, "tool.name"),
}

# A value that names no model or provider: the emitter did not know.
UNNAMED = frozenset({"", "unknown", "none", "null"})

# Frameworks and gateways that instrumentations write where the provider belongs.
FRAMEWORK_PROVIDERS = frozenset(
    {
        "ag2",
        "agno",
        "autogen",
        "crewai",
        "custom_openai",
        "dspy",
        "gateway",
        "gcp.vertex.agent",
        "google-adk",
        "google_adk",
        "haystack",
        "helicone",
        "langchain",
        "langgraph",
        "litellm",
        "litellm_proxy",
        "llama_index",
        "llamaindex",
        "openai-agents",
        "openai_agents",
        "openai_like",
        "portkey",
        "pydantic-ai",
        "pydantic_ai",
        "semantic_kernel",
        "smolagents",
        "strands",
        "strands-agents",
        "unknown",
        "vercel",
        "vercel_ai_gateway",
    }
)

MODEL_CALL_OPERATIONS = frozenset({"chat", "text_completion", "generate_content", "embeddings"})
OPERATION_ALIASES: Mapping[str, str] = {
    "LLM": "chat",
    "EMBEDDING": "embeddings",
    "AGENT": "invoke_agent",
    "TOOL": "execute_tool",
    "completion": "text_completion",
    "embedding": "embeddings",
}

# Scopes whose input count leaves cached tokens out, whatever the conventions say.
CACHE_EXCLUSIVE_SCOPES = (
    "opentelemetry.instrumentation.genai.bedrock",
    "opentelemetry.instrumentation.bedrock",
    "opentelemetry.instrumentation.botocore",
    "com.anthropic.claude_code",
)

# Tracers of instrumentation libraries. Many catch what a span processor raises and go on without
# a span, so a stop must never be raised inside them.
INSTRUMENTATION_SCOPES = (
    "opentelemetry.instrumentation",
    "opentelemetry.util.genai",
    "openinference.instrumentation",
    "com.anthropic",
    "openlit",
    "traceloop",
    "langfuse-sdk",
    "logfire",
    "pydantic-ai",
    "litellm",
    "strands",
    "gcp.vertex.agent",
    "crewai",
    "autogen",
    "autogen-core",
    "smolagents",
    "agent_framework",
    "semantic_kernel",
    "haystack",
    "llama_index",
    "gen_ai",
    "ai",
)

# Attributes that hold what people and models said. They are personal data: stored only on request.
CONTENT_PREFIXES = (
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.system_instructions",
    "gen_ai.prompt",
    "gen_ai.completion",
    "gen_ai.content",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
    "gen_ai.event.content",
    "llm.input_messages",
    "llm.output_messages",
    "llm.prompts",
    "llm.completions",
    "llm.prompt_template",
    "input.value",
    "output.value",
    "tool.parameters",
    "tool_arguments",
    "tool_response",
    "traceloop.entity.input",
    "traceloop.entity.output",
    "gcp.vertex.agent.llm_request",
    "gcp.vertex.agent.llm_response",
    "gcp.vertex.agent.tool_call_args",
    "gcp.vertex.agent.tool_response",
    "ai.prompt",
    "ai.response.text",
    "ai.response.object",
    "ai.response.toolCalls",
    "ai.value",
    "ai.toolCall.args",
    "ai.toolCall.result",
    "pydantic_ai.all_messages",
    "all_messages_events",
    "final_result",
    "retrieval.documents",
    "embedding.embeddings",
    "db.statement",
    "db.query.text",
    "exception.message",
    "exception.stacktrace",
)

READ_KEYS = frozenset(key for keys in FIELDS.values() for key in keys)


def is_scope(scope_name: str, prefixes: tuple[str, ...]) -> bool:
    """Whether a scope is one of `prefixes` or below one, on a dot boundary."""
    return any(scope_name == prefix or scope_name.startswith(prefix + ".") for prefix in prefixes)
