"""Attribute names of OpenTelemetry's conventions and our own, and what scopes and values mean.

What the dialects of other vendors call things is in `dialects`; no other module spells out an
attribute.

Source: OpenTelemetry GenAI semantic conventions (open-telemetry/semantic-conventions-genai, schema
1.42.0), read 2026-11.
"""

from collections.abc import Iterable
from enum import StrEnum

# --- what otelbudget itself writes (never under gen_ai.*) -----------------------------------------

TIER = "otelbudget.tier"
DECISION = "otelbudget.decision"
BUDGET = "otelbudget.budget"
ESTIMATED_COST_USD = "otelbudget.estimated_cost_usd"
ESTIMATE_GUESSES = "otelbudget.estimate.guesses"
REFUSED_AT_START = "otelbudget.refused_at_start"
CALL_ID = "otelbudget.call.id"
CALL_START = "otelbudget.call.start_time_unix_nano"
CALL_RELEASED = "otelbudget.call.released"
CALL_RECORDED = "otelbudget.call.recorded"
CALL_EVENT = "otelbudget.call"
COST_USD = "otelbudget.cost_usd"
WEB_SEARCHES = "otelbudget.web_searches"
EXCEEDED_EVENT = "otelbudget.exceeded"
DENIED_EVENT = "otelbudget.denied"
WARNING_EVENT = "otelbudget.warning"
UNKNOWN_PRICE_EVENT = "otelbudget.unknown_price"
LIMIT_KIND = "otelbudget.limit.kind"
LIMIT = "otelbudget.limit"
USAGE = "otelbudget.usage"
THRESHOLD = "otelbudget.threshold"
WINDOW = "otelbudget.window"
SCOPE_PREFIX = "otelbudget.scope."
RUN_ID = "otelbudget.run.id"
OUTER_RUN_IDS = "otelbudget.run.outer_ids"
OUTER_TIERS = "otelbudget.run.outer_tiers"
SCOPE_PREFIXES = (SCOPE_PREFIX, "otelbudget.run.", TIER)
"""What says where a call belongs."""
WRAP_UP = "otelbudget.wrap_up"
ESTIMATED_INPUT_TOKENS = "otelbudget.estimated_input_tokens"
ESTIMATED_OUTPUT_TOKENS = "otelbudget.estimated_output_tokens"
DENIED_COUNT = "otelbudget.denied.count"
DENIED_CHECKS = "otelbudget.denied.checks"
EXTENDED_EVENT = "otelbudget.extended"
EXTENDED_BY = "otelbudget.extended.by"
TOOL_EVENT = "otelbudget.tool"


OWN_SCOPE = "otelbudget"


class Decision(StrEnum):
    """What a gate or `on_start` decided; written as `otelbudget.decision`."""

    ALLOWED = "allowed"
    DENIED = "denied"
    AUDITED = "audited"


METRIC_COST = "otelbudget.cost.usd"
METRIC_TOKENS = "otelbudget.tokens"
METRIC_CALLS = "otelbudget.calls"
METRIC_DENIED = "otelbudget.denied"
METRIC_CORRECTED = "otelbudget.calls.corrected"
METRIC_LIMIT = "otelbudget.limit"
METRIC_USAGE = "otelbudget.usage"
METRIC_HELD = "otelbudget.held"
METRIC_EVENTS = "otelbudget.events"

# --- the current conventions ----------------------------------------------------------------------

SERVICE_NAME = "service.name"
TENANT_ID = "tenant.id"
SERVICE_INSTANCE_ID = "service.instance.id"
HOST_NAME = "host.name"
PROCESS_PID = "process.pid"
OPERATION_NAME = "gen_ai.operation.name"
PROVIDER_NAME = "gen_ai.provider.name"
REQUEST_MAX_TOKENS = "gen_ai.request.max_tokens"
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
SPAN_TYPE = "span.type"
CACHE_WRITE_1H_INPUT_TOKENS = "anthropic.usage.cache_creation.ephemeral_1h_input_tokens"
ZERO_COST_IS_UNKNOWN = "gen_ai.usage.cost"
FUNCTION_ID = "ai.telemetry.functionId"

# Frameworks and gateways that instrumentations write where the provider belongs.
FRAMEWORK_PROVIDERS = frozenset(
    {
        "ag2",
        "agent_framework",
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

BEDROCK = "aws.bedrock"
PROVIDER_OF = {"aws": BEDROCK, "google": "gcp.gemini", "mistral": "mistral_ai", "x-ai": "x_ai"}
"""The conventions' words for providers that the price book calls otherwise."""
EMBEDDINGS_OPERATION = "embeddings"
EXECUTE_TOOL_OPERATION = "execute_tool"
REQUEST_KEYS = frozenset({REQUEST_MODEL, PROVIDER_NAME, OPERATION_NAME})
"""What a request tells of itself, whether a span does or not."""
MODEL_CALL_OPERATIONS = frozenset(
    {"chat", "text_completion", "generate_content", EMBEDDINGS_OPERATION}
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
INPUT_MESSAGES = "gen_ai.input.messages"
CONTENT_PREFIXES = (
    INPUT_MESSAGES,
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


def is_scope(scope_name: str, prefixes: Iterable[str]) -> bool:
    """Whether a scope is one of `prefixes` or below one, on a dot boundary."""
    return any(scope_name == prefix or scope_name.startswith(prefix + ".") for prefix in prefixes)
