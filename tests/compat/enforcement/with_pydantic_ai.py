"""pydantic-ai, which writes spans of its own, over the openai and anthropic SDKs."""

from typing import Any

from tests.compat.enforcement import sdk_anthropic, sdk_openai
from tests.compat.enforcement.scenario import Scenario, Stage, package, with_variants

SDK = "pydantic_ai"


def _openai(stage: Stage, kind: str) -> Any:
    provider = package("pydantic_ai.providers.openai").OpenAIProvider(
        openai_client=sdk_openai.async_client(stage)
    )
    return getattr(package("pydantic_ai.models.openai"), kind)(sdk_openai.MODEL, provider=provider)


def _anthropic(stage: Stage) -> Any:
    provider = package("pydantic_ai.providers.anthropic").AnthropicProvider(
        anthropic_client=sdk_anthropic.async_client(stage)
    )
    return package("pydantic_ai.models.anthropic").AnthropicModel(
        sdk_anthropic.MODEL, provider=provider
    )


def _agent(stage: Stage, model: Any) -> Any:
    agent = package("pydantic_ai").Agent(model)
    agent.instrument = package("pydantic_ai.models.instrumented").InstrumentationSettings(
        tracer_provider=stage.tracing
    )

    def search(query: str) -> str:
        return f"found {query}"

    agent.tool_plain(search)
    return agent


def _chat(stage: Stage) -> Any:
    return _agent(stage, _openai(stage, "OpenAIChatModel"))


def _responses(stage: Stage) -> Any:
    return _agent(stage, _openai(stage, "OpenAIResponsesModel"))


def _messages(stage: Stage) -> Any:
    return _agent(stage, _anthropic(stage))


def _run_sync(stage: Stage) -> None:
    _chat(stage).run_sync("hello")


def _run_sync_responses(stage: Stage) -> None:
    _responses(stage).run_sync("hello")


async def _run(stage: Stage) -> None:
    await _chat(stage).run("hello")


async def _run_responses(stage: Stage) -> None:
    await _responses(stage).run("hello")


async def _run_messages(stage: Stage) -> None:
    await _messages(stage).run("hello")


async def _streamed(agent: Any) -> None:
    async with agent.run_stream("hello") as stream:
        [_ async for _ in stream.stream_text()]


async def _run_stream(stage: Stage) -> None:
    await _streamed(_chat(stage))


async def _run_stream_responses(stage: Stage) -> None:
    await _streamed(_responses(stage))


async def _run_stream_messages(stage: Stage) -> None:
    await _streamed(_messages(stage))


SCENARIOS = (
    *with_variants(
        Scenario("Agent.run chat", _run, trips_at=3, asks_for_tool=True),
        Scenario("Agent.run_stream chat", _run_stream, trips_at=3, asks_for_tool=True),
    ),
    Scenario("Agent.run_sync chat", _run_sync, trips_at=3, asks_for_tool=True),
    Scenario("Agent.run_sync responses", _run_sync_responses, trips_at=3, asks_for_tool=True),
    Scenario("Agent.run responses", _run_responses, trips_at=3, asks_for_tool=True),
    Scenario("Agent.run_stream responses", _run_stream_responses, trips_at=3, asks_for_tool=True),
    Scenario("Agent.run messages", _run_messages, trips_at=3, asks_for_tool=True),
    Scenario("Agent.run_stream messages", _run_stream_messages, trips_at=3, asks_for_tool=True),
    Scenario("Agent.run_stream chat without a tool", _run_stream),
)
