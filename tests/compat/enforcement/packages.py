"""Which packages are run with which scenarios, and in which environment."""

from collections.abc import Iterator
from enum import StrEnum, auto
from importlib import import_module
from importlib.metadata import version
from typing import NamedTuple

from tests.compat.enforcement.scenario import Scenario

MAIN, OPENAI_2 = "main", "openai2"
ORDERS = ("before", "after")
_SUITES = "tests.compat.enforcement"


class Package(NamedTuple):
    """Something around the SDKs that tells of their calls.

    Attributes:
        key: Name of the worker that runs it.
        title: Heading of its table.
        suites: Modules of this folder with the scenarios.
        instrumentors: Classes with `instrument`, as "module:class".
        distributions: What its table names the versions of.
        environment: Where it is installed.
    """

    key: str
    title: str
    suites: tuple[str, ...]
    instrumentors: tuple[str, ...] = ()
    distributions: tuple[str, ...] = ()
    environment: str = MAIN

    @property
    def sdks(self) -> tuple[str, ...]:
        """The modules whose calls are stopped."""
        return tuple(import_module(f"{_SUITES}.{suite}").SDK for suite in self.suites)

    @property
    def scenarios(self) -> tuple[Scenario, ...]:
        """What it is run with."""
        return tuple(
            scenario
            for suite in self.suites
            for scenario in import_module(f"{_SUITES}.{suite}").SCENARIOS
        )


_SDKS = ("sdk_openai", "sdk_anthropic")
_LANGCHAIN = ("langchain", "langchain-openai", "langchain-anthropic", "langgraph", "openai")
_AGENTS = ("openai-agents", "openai")

PACKAGES = (
    Package("none", "No instrumentation", _SDKS, (), ("openai", "anthropic")),
    Package(
        "genai",
        "OpenTelemetry GenAI",
        _SDKS,
        (
            "opentelemetry.instrumentation.genai.openai:OpenAIInstrumentor",
            "opentelemetry.instrumentation.genai.anthropic:AnthropicInstrumentor",
        ),
        (
            "opentelemetry-instrumentation-genai-openai",
            "opentelemetry-instrumentation-genai-anthropic",
            "openai",
            "anthropic",
        ),
    ),
    Package(
        "traceloop",
        "Traceloop",
        _SDKS,
        (
            "opentelemetry.instrumentation.openai:OpenAIInstrumentor",
            "opentelemetry.instrumentation.anthropic:AnthropicInstrumentor",
        ),
        (
            "opentelemetry-instrumentation-openai",
            "opentelemetry-instrumentation-anthropic",
            "openai",
            "anthropic",
        ),
    ),
    Package(
        "openinference",
        "OpenInference",
        _SDKS,
        (
            "openinference.instrumentation.openai:OpenAIInstrumentor",
            "openinference.instrumentation.anthropic:AnthropicInstrumentor",
        ),
        (
            "openinference-instrumentation-openai",
            "openinference-instrumentation-anthropic",
            "openai",
            "anthropic",
        ),
    ),
    Package("langchain", "LangChain and LangGraph", ("with_langchain",), (), _LANGCHAIN),
    Package(
        "langchain-genai",
        "LangChain and LangGraph under OpenTelemetry GenAI",
        ("with_langchain",),
        ("opentelemetry.instrumentation.genai.langchain:LangChainInstrumentor",),
        ("opentelemetry-instrumentation-genai-langchain", *_LANGCHAIN),
    ),
    Package(
        "langchain-traceloop",
        "LangChain and LangGraph under Traceloop",
        ("with_langchain",),
        ("opentelemetry.instrumentation.langchain:LangchainInstrumentor",),
        ("opentelemetry-instrumentation-langchain", *_LANGCHAIN),
    ),
    Package(
        "langchain-openinference",
        "LangChain and LangGraph under OpenInference",
        ("with_langchain",),
        ("openinference.instrumentation.langchain:LangChainInstrumentor",),
        ("openinference-instrumentation-langchain", *_LANGCHAIN),
    ),
    Package("agents", "openai-agents", ("with_agents",), (), _AGENTS),
    Package(
        "agents-genai",
        "openai-agents under OpenTelemetry GenAI",
        ("with_agents",),
        (
            "opentelemetry.instrumentation.genai.openai_agents:OpenAIAgentsInstrumentor",
            "opentelemetry.instrumentation.genai.openai:OpenAIInstrumentor",
        ),
        (
            "opentelemetry-instrumentation-genai-openai-agents",
            "opentelemetry-instrumentation-genai-openai",
            *_AGENTS,
        ),
    ),
    Package(
        "agents-traceloop",
        "openai-agents under Traceloop",
        ("with_agents",),
        ("opentelemetry.instrumentation.openai_agents:OpenAIAgentsInstrumentor",),
        ("opentelemetry-instrumentation-openai-agents", *_AGENTS),
    ),
    Package(
        "agents-openinference",
        "openai-agents under OpenInference",
        ("with_agents",),
        ("openinference.instrumentation.openai_agents:OpenAIAgentsInstrumentor",),
        ("openinference-instrumentation-openai-agents", *_AGENTS),
    ),
    Package(
        "pydantic-ai",
        "pydantic-ai",
        ("with_pydantic_ai",),
        (),
        ("pydantic-ai-slim", "openai", "anthropic"),
    ),
    Package("google", "google-genai", ("sdk_google",), (), ("google-genai",)),
    Package(
        "google-otel",
        "google-genai under OpenTelemetry",
        ("sdk_google",),
        ("opentelemetry.instrumentation.google_genai:GoogleGenAiSdkInstrumentor",),
        ("opentelemetry-instrumentation-google-genai", "google-genai"),
    ),
    Package(
        "google-openinference",
        "google-genai under OpenInference",
        ("sdk_google",),
        ("openinference.instrumentation.google_genai:GoogleGenAIInstrumentor",),
        ("openinference-instrumentation-google-genai", "google-genai"),
    ),
    Package("bedrock", "botocore", ("sdk_bedrock",), (), ("boto3",)),
    Package(
        "bedrock-otel",
        "botocore under OpenTelemetry",
        ("sdk_bedrock",),
        ("opentelemetry.instrumentation.botocore:BotocoreInstrumentor",),
        ("opentelemetry-instrumentation-botocore", "boto3"),
    ),
    Package(
        "bedrock-openinference",
        "botocore under OpenInference",
        ("sdk_bedrock",),
        ("openinference.instrumentation.bedrock:BedrockInstrumentor",),
        ("openinference-instrumentation-bedrock", "boto3"),
    ),
    Package("none-openai2", "No instrumentation", _SDKS, (), ("openai", "anthropic"), OPENAI_2),
    Package(
        "openlit",
        "OpenLIT",
        _SDKS,
        ("openlit",),
        ("openlit", "openai", "anthropic"),
        OPENAI_2,
    ),
    Package("litellm", "litellm", ("sdk_litellm",), (), ("litellm",), OPENAI_2),
    Package(
        "litellm-otel",
        'litellm with callbacks = ["otel"]',
        ("sdk_litellm",),
        ("litellm otel",),
        ("litellm",),
        OPENAI_2,
    ),
    Package(
        "litellm-traceloop",
        "litellm under Traceloop",
        ("sdk_litellm",),
        ("opentelemetry.instrumentation.litellm:LiteLLMInstrumentor",),
        ("opentelemetry-instrumentation-litellm", "litellm"),
        OPENAI_2,
    ),
    Package(
        "litellm-openinference",
        "litellm under OpenInference",
        ("sdk_litellm",),
        ("openinference.instrumentation.litellm:LiteLLMInstrumentor",),
        ("openinference-instrumentation-litellm", "litellm"),
        OPENAI_2,
    ),
)


class Subject(StrEnum):
    """What is asked of a cell.

    Attributes:
        REQUESTS: No request leaves after the trip.
        ERROR: The caller gets the error, from one refusal for each call it made.
        SPANS: Every span is ended, and the run's span is current again.
        CHARGE: The charge is the bill.
        AUDIT: The audit of the exported spans is the bill.
    """

    REQUESTS = auto()
    ERROR = auto()
    SPANS = auto()
    CHARGE = auto()
    AUDIT = auto()


class Fault(NamedTuple):
    """Cells that cannot pass in one respect.

    Attributes:
        package: Key of the package.
        scenarios: Names of the scenarios.
        subject: In which respect.
        reason: Why.
    """

    package: str
    scenarios: tuple[str, ...]
    subject: Subject
    reason: str


class Cell(NamedTuple):
    """One package, order of installation and scenario."""

    package: Package
    order: str
    scenario: Scenario

    @property
    def worker(self) -> str:
        """The process it is run in."""
        return f"{self.package.key}-{self.order}"

    @property
    def id(self) -> str:
        """The cell in words; what comes before the colon shares a process."""
        return f"{self.worker}:{self.scenario.slug}"

    def fault(self, subject: Subject) -> str | None:
        """Why this cell cannot pass in one respect; None where it does."""
        for fault in FAULTS:
            if (fault.package, fault.subject) == (self.package.key, subject) and (
                self.scenario.name in fault.scenarios
            ):
                return fault.reason
        return None


_HELPER = ("messages.stream", "messages.stream async", "messages.stream text_stream")
_BEDROCK_STREAMS = ("converse_stream", "invoke_model_with_response_stream")
FAULTS = (
    Fault(
        "traceloop",
        _HELPER,
        Subject.SPANS,
        "Traceloop ends the span of messages.stream on no error",
    ),
    Fault(
        "openlit",
        _HELPER,
        Subject.SPANS,
        "OpenLIT ends the span of messages.stream on no error, and leaves it current",
    ),
    Fault(
        "langchain-traceloop",
        ("ChatOpenAI.with_retry ainvoke", "ChatOpenAI.with_fallbacks ainvoke"),
        Subject.SPANS,
        "Traceloop leaves an ended span current after an awaited chain fails",
    ),
    Fault(
        "bedrock-otel",
        _BEDROCK_STREAMS,
        Subject.SPANS,
        "The instrumentation ends the span of a stream on no error but botocore's ClientError",
    ),
    Fault(
        "bedrock-openinference",
        ("converse_stream",),
        Subject.SPANS,
        "OpenInference ends the span of converse_stream on no error but botocore's ClientError",
    ),
)


def cells(environment: str | None = None) -> Iterator[Cell]:
    """Every cell of the matrix, or those of an environment."""
    for package in PACKAGES:
        if environment in (None, package.environment):
            for order in ORDERS:
                for scenario in package.scenarios:
                    yield Cell(package, order, scenario)


def environment() -> str:
    """The environment that this is, by its openai SDK."""
    return OPENAI_2 if version("openai").startswith("2.") else MAIN
