"""What instrumentations write, as data: adding a dialect means adding its words here.

The same tables are read live and turned into SQL for the auditor. Source: the released
instrumentations of the vendors, run or read in 2026-11.
"""

from collections.abc import Mapping

from otelbudget.genai import semconv

FIELDS: Mapping[str, tuple[str, ...]] = {
    "operation": (
        semconv.OPERATION_NAME,
        semconv.SPAN_KIND_OPENINFERENCE,
        "traceloop.span.kind",
        "langfuse.observation.type",
        "llm.request.type",
        "gen_ai.operation.type",
        "span.type",
        "ai.operationId",
    ),
    "provider": (
        semconv.PROVIDER_NAME,
        "gen_ai.system",
        "llm.provider",
        "llm.system",
        "ai.model.provider",
        "mlflow.llm.provider",
    ),
    "request_model": (
        semconv.REQUEST_MODEL,
        "ai.model.id",
        "llm.request.model_name",
        "llm.request.model",
        "llm.model_name",
        "mlflow.llm.model",
        "embedding.model_name",
        "reranker.model_name",
        "langfuse.observation.model.name",
        "traceloop.association.properties.ls_model_name",
        "ai.model_id",
        "model_name",
        "model",
    ),
    "response_model": (
        semconv.RESPONSE_MODEL,
        "llm.response.model_name",
        "llm.response.model",
        "ai.response.model",
    ),
    "response_id": (semconv.RESPONSE_ID, "ai.response.id", "llm.response.id"),
    "agent": (semconv.AGENT_NAME, "agent.name", "agent_name"),
    "service_tier": (
        "openai.response.service_tier",
        "gen_ai.openai.response.service_tier",
        "anthropic.response.service_tier",
        "gen_ai.response.service_tier",
        "openai.request.service_tier",
        "gen_ai.openai.request.service_tier",
    ),
    "conversation": (
        "gen_ai.conversation.id",
        "session.id",
        "gcp.vertex.agent.session_id",
        "langfuse.session.id",
        "traceloop.association.properties.session_id",
        "ai.telemetry.metadata.sessionId",
    ),
    "user": (
        "user.id",
        "gen_ai.user",
        "llm.user",
        "enduser.id",
        "langfuse.user.id",
        "traceloop.association.properties.user_id",
        "ai.telemetry.metadata.userId",
    ),
    "input": (
        semconv.INPUT_TOKENS,
        "ai.usage.inputTokens",
        "ai.usage.promptTokens",
        "ai.usage.tokens",
        "codex.turn.token_usage.input_tokens",
        "gen_ai.usage.prompt_tokens",
        "llm.token_count.prompt",
        "llm.usage.prompt_tokens",
        "ai.prompt_tokens.used",
        "gen_ai.response.prompt_tokens",
        "decision.token_count.input",
        "input_tokens",
    ),
    "output": (
        semconv.OUTPUT_TOKENS,
        "ai.usage.outputTokens",
        "ai.usage.completionTokens",
        "codex.turn.token_usage.output_tokens",
        "gen_ai.usage.completion_tokens",
        "llm.token_count.completion",
        "llm.usage.completion_tokens",
        "ai.completion_tokens.used",
        "gen_ai.response.completion_tokens",
        "decision.token_count.output",
        "output_tokens",
    ),
    "cache_read": (
        semconv.CACHE_READ_INPUT_TOKENS,
        "ai.usage.cachedInputTokens",
        "ai.usage.inputTokenDetails.cacheReadTokens",
        "codex.turn.token_usage.cached_input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "llm.token_count.prompt_details.cache_read",
        "llm.token_count.prompt_details.cache_input",
        "gen_ai.usage.prompt_tokens_details.cached_tokens",
        "gen_ai.usage.input_tokens.cached",
        "gen_ai.usage.details.cache_read_tokens",
        "gen_ai.usage.details.cache_read_input_tokens",
        "gen_ai.usage.details.cached_tokens",
        "gen_ai.usage.cached_input_tokens",
        "gen_ai.usage.input_cached_tokens",
        "gen_ai.usage.cache_read_tokens",
        "gen_ai.usage.cached_tokens",
        "cache_read_tokens",
    ),
    "cache_write": (
        semconv.CACHE_WRITE_INPUT_TOKENS,
        "ai.usage.inputTokenDetails.cacheWriteTokens",
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.cache_write_input_tokens",
        "llm.token_count.prompt_details.cache_write",
        "gen_ai.usage.prompt_tokens_details.cache_creation_tokens",
        "gen_ai.usage.input_tokens.cache_write",
        "gen_ai.usage.details.cache_write_tokens",
        "gen_ai.usage.details.cache_creation_input_tokens",
        "gen_ai.usage.cache_write_tokens",
        "gen_ai.usage.cache_creation_tokens",
        "cache_creation_tokens",
    ),
    "reasoning": (
        semconv.REASONING_OUTPUT_TOKENS,
        "gen_ai.usage.reasoning_tokens",
        "ai.usage.reasoningTokens",
        "ai.usage.outputTokenDetails.reasoningTokens",
        "llm.token_count.completion_details.reasoning",
        "gen_ai.usage.completion_tokens_details.reasoning_tokens",
        "gen_ai.usage.details.reasoning_tokens",
        "gen_ai.usage.details.thinking_tokens",
        "gen_ai.usage.output_tokens.reasoning",
        "llm.usage.reasoning_tokens",
        "codex.turn.token_usage.reasoning_output_tokens",
    ),
    "total": (
        "gen_ai.usage.total_tokens",
        "llm.token_count.total",
        "llm.usage.total_tokens",
        "ai.usage.totalTokens",
        "codex.turn.token_usage.total_tokens",
    ),
    "uncached": (
        "ai.usage.inputTokenDetails.noCacheTokens",
        "codex.turn.token_usage.non_cached_input_tokens",
    ),
    "cache_write_1h": (semconv.CACHE_WRITE_1H_INPUT_TOKENS,),
    "audio_input": (
        "gen_ai.usage.audio.input_tokens",
        "llm.token_count.prompt_details.audio",
        "gen_ai.usage.details.input_audio_tokens",
        "gen_ai.usage.prompt_tokens_details.audio_tokens",
        "gen_ai.usage.input_audio_tokens",
    ),
    "audio_output": (
        "gen_ai.usage.audio.output_tokens",
        "llm.token_count.completion_details.audio",
        "gen_ai.usage.details.output_audio_tokens",
        "gen_ai.usage.completion_tokens_details.audio_tokens",
        "gen_ai.usage.output_audio_tokens",
    ),
    "image_input": ("gen_ai.usage.image.input_tokens",),
    "image_output": ("gen_ai.usage.image.output_tokens",),
    "audio_cache_read": (
        "gen_ai.usage.audio.cache_read.input_tokens",
        "gen_ai.usage.details.cache_audio_read_tokens",
    ),
    "image_cache_read": ("gen_ai.usage.image.cache_read.input_tokens",),
    "web_searches": (
        semconv.WEB_SEARCHES,
        "gen_ai.usage.web_search_requests",
        "gen_ai.usage.details.web_search_requests",
        "gen_ai.usage.server_tool_use.web_search_requests",
        "anthropic.usage.server_tool_use.web_search_requests",
    ),
    "extra_input": ("anthropic.usage.compaction.input_tokens",),
    "extra_output": ("anthropic.usage.compaction.output_tokens",),
    "reported_cost": (
        "gen_ai.usage.cost.amount",
        "operation.cost",
        "litellm.cost.total",
        "gen_ai.cost.total_cost",
        "llm.cost.total",
        semconv.ZERO_COST_IS_UNKNOWN,
    ),
    "currency": ("gen_ai.usage.cost.currency",),
    "usage_document": (
        "langfuse.observation.usage_details",
        "langsmith.usage_metadata",
        "mlflow.chat.tokenUsage",
    ),
    "input_document": ("gen_ai.usage.input_token_details",),
    "output_document": ("gen_ai.usage.output_token_details",),
    "cost_document": ("langfuse.observation.cost_details",),
    "response_document": ("ai.response.providerMetadata",),
}
"""Canonical field: the attributes that may carry it, best first.

A value that says nothing (0, "unknown", no count) never hides a further attribute's. Fields named
`…_document` hold JSON texts; `DOCUMENTS` says what is read from them.
"""

USAGE: Mapping[str, str] = {
    "input_tokens": FIELDS["input"][0],
    "output_tokens": FIELDS["output"][0],
    "cache_read_input_tokens": FIELDS["cache_read"][0],
    "cache_write_input_tokens": FIELDS["cache_write"][0],
    "reasoning_output_tokens": FIELDS["reasoning"][0],
    "cache_write_1h_input_tokens": FIELDS["cache_write_1h"][0],
    "audio_input_tokens": FIELDS["audio_input"][0],
    "audio_output_tokens": FIELDS["audio_output"][0],
    "image_input_tokens": FIELDS["image_input"][0],
    "image_output_tokens": FIELDS["image_output"][0],
    "audio_cache_read_input_tokens": FIELDS["audio_cache_read"][0],
    "image_cache_read_input_tokens": FIELDS["image_cache_read"][0],
    "web_searches": FIELDS["web_searches"][0],
}
"""Each part of a `TokenUsage` and the attribute that it is written as."""

DOCUMENTS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "usage_document": {
        "input": ("prompt_tokens", "input_tokens", "input"),
        "output": ("completion_tokens", "output_tokens", "output"),
        "cache_read": (
            "input_cache_read",
            "input_cached_tokens",
            "cache_read_input_tokens",
            "prompt_tokens_details.cached_tokens",
            "input_tokens_details.cached_tokens",
            "input_token_details.cache_read",
        ),
        "cache_write": (
            "input_cache_creation",
            "input_cache_write",
            "cache_creation_input_tokens",
            "cache_write_input_tokens",
            "input_token_details.cache_creation",
        ),
        "reasoning": (
            "output_reasoning",
            "output_reasoning_tokens",
            "completion_tokens_details.reasoning_tokens",
            "output_tokens_details.reasoning_tokens",
            "output_token_details.reasoning",
        ),
        "total": ("total_tokens", "total"),
        "audio_input": ("input_audio", "prompt_tokens_details.audio_tokens"),
        "audio_output": ("output_audio", "completion_tokens_details.audio_tokens"),
    },
    "input_document": {
        "cache_read": ("cache_read",),
        "cache_write": ("cache_creation",),
        "audio_input": ("audio",),
    },
    "output_document": {"reasoning": ("reasoning",), "audio_output": ("audio",)},
    "cost_document": {"reported_cost": ("total",)},
    "response_document": {
        "response_id": ("*.responseId",),
        "service_tier": ("*.serviceTier", "*.usage.service_tier"),
        "cache_write": (
            "*.cacheCreationInputTokens",
            "*.usage.cache_creation_input_tokens",
            "*.usage.cacheWriteInputTokens",
        ),
        "cache_read": (
            "*.cacheReadInputTokens",
            "*.usage.cache_read_input_tokens",
            "*.usage.cacheReadInputTokens",
            "*.cachedPromptTokens",
        ),
        "uncached": ("*.usage.input_tokens",),
        "reasoning": ("*.reasoningTokens",),
        "cache_write_1h": ("*.usage.cache_creation.ephemeral_1h_input_tokens",),
    },
}
"""What JSON attributes hold: canonical field to paths, best first; `*` is any key.

Langfuse's `input` and `output` are what is left beside further buckets; see `BUCKETS`.
"""

BUCKETS: Mapping[str, str] = {"input": "input_tokens", "output": "output_tokens"}
"""Keys of a usage document to which all others that hold this word are to be added, but for one."""

CACHE_EXCLUSIVE_DOCUMENTS = frozenset({"anthropic", "bedrock"})
"""Keys of a document with the words of a provider whose input leaves cached tokens out."""

TOOL_NAMES = (semconv.TOOL_NAME, "tool.name", "traceloop.entity.name", "ai.toolCall.name")
"""What names the tool that a span calls."""

ONLY_WITH: Mapping[str, tuple[str, ...]] = {
    "input_tokens": ("com.anthropic.claude_code", "claude_code"),
    "output_tokens": ("com.anthropic.claude_code", "claude_code"),
    "cache_read_tokens": ("com.anthropic.claude_code", "claude_code"),
    "cache_creation_tokens": ("com.anthropic.claude_code", "claude_code"),
}
"""Attributes whose names anyone may use: read only in these scopes, or beside `semconv.SPAN_TYPE`."""

# A value that names no model or provider: the emitter did not know.
_UNNAMED = ("unknown", "none", "null")
UNNAMED = frozenset({"", *_UNNAMED, *map(str.title, _UNNAMED), *map(str.upper, _UNNAMED)})

OPERATION_ALIASES: Mapping[str, str] = {
    "LLM": "chat",
    "EMBEDDING": "embeddings",
    "AGENT": "invoke_agent",
    "TOOL": "execute_tool",
    "RERANKER": "rerank",
    "completion": "text_completion",
    "acompletion": "chat",
    "ai_client": "chat",
    "chat.completions": "chat",
    "responses": "chat",
    "chat.streaming_completions": "chat",
    "text.completions": "text_completion",
    "text.streaming_completions": "text_completion",
    "embedding": "embeddings",
    "aembedding": "embeddings",
    "generation": "chat",
    "llm_call": "chat",
    "llm_request": "chat",
    "agent": "invoke_agent",
    "tool": "execute_tool",
    "ai.generateText": "invoke_agent",
    "ai.streamText": "invoke_agent",
    "ai.generateObject": "invoke_agent",
    "ai.streamObject": "invoke_agent",
    "ai.generateText.doGenerate": "chat",
    "ai.streamText.doStream": "chat",
    "ai.generateObject.doGenerate": "chat",
    "ai.streamObject.doStream": "chat",
    "ai.embed": "embeddings",
    "ai.embed.doEmbed": "embeddings",
    "ai.embedMany": "embeddings",
    "ai.embedMany.doEmbed": "embeddings",
    "ai.toolCall": "execute_tool",
}

# Scopes whose input count leaves cached tokens out, whatever the conventions say, and the providers
# for which they do; none named: for all.
CACHE_EXCLUSIVE_SCOPES: Mapping[str, frozenset[str]] = {
    "opentelemetry.instrumentation.genai.bedrock": frozenset(),
    "opentelemetry.instrumentation.bedrock": frozenset(),
    "opentelemetry.instrumentation.botocore": frozenset(),
    "com.anthropic.claude_code": frozenset(),
    "claude_code": frozenset(),
    "openlit.otel.tracing": frozenset({"anthropic", "aws.bedrock"}),
    "openlit.instrumentation.anthropic": frozenset(),
    "openlit.instrumentation.bedrock": frozenset(),
}

# What the provider itself says about a call that its client's span tells of already.
PLATFORM_SCOPES = ("com.anthropic.claude-platform",)
PLATFORM_SERVICES = ("claude-platform",)

BORROWED: Mapping[str, tuple[str, ...]] = {
    "litellm.call_id": ("litellm",),
    "gen_ai.cost.total_cost": ("litellm",),
}
"""Attributes that a library writes, with the usage of one call, onto its caller's span: those of
other scopes than its own."""

# Attributes by which a span without a scope, as ConsoleSpanExporter writes them, is recognised.
SCOPE_BY_ATTRIBUTE: Mapping[str, str] = {
    semconv.ZERO_COST_IS_UNKNOWN: "openlit.otel.tracing",
    "cache_creation_tokens": "com.anthropic.claude_code",
}

PARTS_OF_ATTRIBUTES = (
    "gen_ai.",
    "oken",
    "llm.",
    "openinference.",
    "langfuse.",
    "langsmith.",
    "traceloop.",
    "ai.",
    "agent",
)
"""Every attribute that makes a span a call, or names its agent, holds one of these texts."""

READ_KEYS = frozenset(key for keys in FIELDS.values() for key in keys)
"""Attributes that are kept whatever their length: a call is read from them."""
