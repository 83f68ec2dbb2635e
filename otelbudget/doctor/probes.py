"""The table of probes: what may be installed, and what of it goes with what."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sdk:
    """Something that calls models; `calls.CALLS` says how.

    Attributes:
        name: Its distribution, which is its name in the report.
        needs: Distributions that must be there beside it.
    """

    name: str
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Instrumentation:
    """Something that tells of the calls of SDKs.

    Attributes:
        name: Its distribution.
        target: "module:name" of an instrumentor class, or of a function that instruments.
        sdks: The SDKs that it instruments.
    """

    name: str
    target: str
    sdks: tuple[str, ...]


SDKS = (
    Sdk("openai"),
    Sdk("anthropic"),
    Sdk("google-genai"),
    Sdk("botocore"),
    Sdk("litellm"),
    Sdk("langchain-openai"),
    Sdk("langchain-anthropic"),
    Sdk("langgraph", needs=("langchain-openai",)),
    Sdk("openai-agents"),
    Sdk("pydantic-ai-slim", needs=("openai",)),
)

_OTEL, _GENAI = "opentelemetry.instrumentation", "opentelemetry.instrumentation.genai"
_OPENINFERENCE = "openinference.instrumentation"
_LANGCHAIN = ("langchain-openai", "langchain-anthropic", "langgraph")

INSTRUMENTATIONS = tuple(
    Instrumentation(*each)
    for each in (
        # of OpenTelemetry
        (
            "opentelemetry-instrumentation-genai-openai",
            f"{_GENAI}.openai:OpenAIInstrumentor",
            ("openai",),
        ),
        (
            "opentelemetry-instrumentation-genai-anthropic",
            f"{_GENAI}.anthropic:AnthropicInstrumentor",
            ("anthropic",),
        ),
        (
            "opentelemetry-instrumentation-genai-bedrock",
            f"{_GENAI}.bedrock:BedrockInstrumentor",
            ("botocore",),
        ),
        (
            "opentelemetry-instrumentation-genai-langchain",
            f"{_GENAI}.langchain:LangChainInstrumentor",
            _LANGCHAIN,
        ),
        (
            "opentelemetry-instrumentation-genai-openai-agents",
            f"{_GENAI}.openai_agents:OpenAIAgentsInstrumentor",
            ("openai-agents",),
        ),
        (
            "opentelemetry-instrumentation-google-genai",
            f"{_OTEL}.google_genai:GoogleGenAiSdkInstrumentor",
            ("google-genai",),
        ),
        (
            "opentelemetry-instrumentation-botocore",
            f"{_OTEL}.botocore:BotocoreInstrumentor",
            ("botocore",),
        ),
        (
            "opentelemetry-instrumentation-openai-v2",
            f"{_OTEL}.openai_v2:OpenAIInstrumentor",
            ("openai",),
        ),
        # of traceloop
        (
            "opentelemetry-instrumentation-openai",
            f"{_OTEL}.openai:OpenAIInstrumentor",
            ("openai",),
        ),
        (
            "opentelemetry-instrumentation-anthropic",
            f"{_OTEL}.anthropic:AnthropicInstrumentor",
            ("anthropic",),
        ),
        (
            "opentelemetry-instrumentation-google-generativeai",
            f"{_OTEL}.google_generativeai:GoogleGenerativeAiInstrumentor",
            ("google-genai",),
        ),
        (
            "opentelemetry-instrumentation-bedrock",
            f"{_OTEL}.bedrock:BedrockInstrumentor",
            ("botocore",),
        ),
        (
            "opentelemetry-instrumentation-litellm",
            f"{_OTEL}.litellm:LiteLLMInstrumentor",
            ("litellm",),
        ),
        (
            "opentelemetry-instrumentation-langchain",
            f"{_OTEL}.langchain:LangchainInstrumentor",
            _LANGCHAIN,
        ),
        (
            "opentelemetry-instrumentation-openai-agents",
            f"{_OTEL}.openai_agents:OpenAIAgentsInstrumentor",
            ("openai-agents",),
        ),
        # of OpenInference
        (
            "openinference-instrumentation-openai",
            f"{_OPENINFERENCE}.openai:OpenAIInstrumentor",
            ("openai",),
        ),
        (
            "openinference-instrumentation-anthropic",
            f"{_OPENINFERENCE}.anthropic:AnthropicInstrumentor",
            ("anthropic",),
        ),
        (
            "openinference-instrumentation-google-genai",
            f"{_OPENINFERENCE}.google_genai:GoogleGenAIInstrumentor",
            ("google-genai",),
        ),
        (
            "openinference-instrumentation-bedrock",
            f"{_OPENINFERENCE}.bedrock:BedrockInstrumentor",
            ("botocore",),
        ),
        (
            "openinference-instrumentation-litellm",
            f"{_OPENINFERENCE}.litellm:LiteLLMInstrumentor",
            ("litellm",),
        ),
        (
            "openinference-instrumentation-langchain",
            f"{_OPENINFERENCE}.langchain:LangChainInstrumentor",
            _LANGCHAIN,
        ),
        (
            "openinference-instrumentation-openai-agents",
            f"{_OPENINFERENCE}.openai_agents:OpenAIAgentsInstrumentor",
            ("openai-agents",),
        ),
        # of others
        (
            "openlit",
            "openlit:init",
            ("openai", "anthropic", "google-genai", "botocore", "litellm", *_LANGCHAIN),
        ),
        (
            "pydantic-ai-slim",
            "pydantic_ai:Agent.instrument_all",
            ("pydantic-ai-slim",),
        ),
    )
)

# SDKs that send model calls past every gate.
UNGATED = (
    "ai21",
    "aleph-alpha-client",
    "azure-ai-inference",
    "cerebras-cloud-sdk",
    "cohere",
    "dashscope",
    "fireworks-ai",
    "google-cloud-aiplatform",
    "google-generativeai",
    "groq",
    "ibm-watsonx-ai",
    "mistralai",
    "ollama",
    "replicate",
    "together",
    "writer-sdk",
    "xai-sdk",
)

# Instrumentations of model calls that no probe knows are found by how their names begin.
INSTRUMENTATION_PREFIXES = (
    "openinference-instrumentation-",
    "opentelemetry-instrumentation-genai-",
)
