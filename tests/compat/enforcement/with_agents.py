"""openai-agents, by chat completions and by responses."""

from typing import Any

from tests.compat.enforcement import sdk_openai
from tests.compat.enforcement.scenario import Scenario, Stage, package, with_variants

SDK = "agents"
_MAX_STEPS = 6


def _agent(stage: Stage, kind: str, *, asks_inside: bool = False) -> Any:
    """An agent whose tool may itself ask a model."""
    agents = package("agents")

    async def search(query: str) -> str:
        """Search for something."""
        if asks_inside:
            async with sdk_openai.async_client(stage) as openai:
                await openai.chat.completions.create(**sdk_openai.CHAT)
        return f"found {query}"

    model = getattr(agents, kind)(
        model=sdk_openai.MODEL, openai_client=sdk_openai.async_client(stage)
    )
    settings = agents.ModelSettings(include_usage=True)
    tools = [agents.function_tool(search)]
    return agents.Agent(name="searcher", model=model, model_settings=settings, tools=tools)


_CHAT, _RESPONSES = "OpenAIChatCompletionsModel", "OpenAIResponsesModel"


def _run_sync(stage: Stage) -> None:
    package("agents").Runner.run_sync(_agent(stage, _CHAT), "hello", max_turns=_MAX_STEPS)


def _run_sync_responses(stage: Stage) -> None:
    package("agents").Runner.run_sync(_agent(stage, _RESPONSES), "hello", max_turns=_MAX_STEPS)


async def _run(stage: Stage) -> None:
    await package("agents").Runner.run(_agent(stage, _CHAT), "hello", max_turns=_MAX_STEPS)


async def _run_responses(stage: Stage) -> None:
    await package("agents").Runner.run(_agent(stage, _RESPONSES), "hello", max_turns=_MAX_STEPS)


async def _streamed(stage: Stage, kind: str) -> None:
    runner = package("agents").Runner
    result = runner.run_streamed(_agent(stage, kind), "hello", max_turns=_MAX_STEPS)
    [_ async for _ in result.stream_events()]


async def _run_streamed(stage: Stage) -> None:
    await _streamed(stage, _CHAT)


async def _run_streamed_responses(stage: Stage) -> None:
    await _streamed(stage, _RESPONSES)


async def _inside(stage: Stage) -> None:
    agent = _agent(stage, _CHAT, asks_inside=True)
    await package("agents").Runner.run(agent, "hello", max_turns=_MAX_STEPS)


async def _inside_responses(stage: Stage) -> None:
    agent = _agent(stage, _RESPONSES, asks_inside=True)
    await package("agents").Runner.run(agent, "hello", max_turns=_MAX_STEPS)


_SWALLOWED = "the tool's own call is refused first, and the agent swallows that error"

SCENARIOS = (
    *with_variants(
        Scenario("Runner.run chat", _run, trips_at=3, asks_for_tool=True),
        Scenario(
            "Runner.run_streamed responses", _run_streamed_responses, trips_at=3, asks_for_tool=True
        ),
    ),
    Scenario("Runner.run responses", _run_responses, trips_at=3, asks_for_tool=True),
    Scenario("Runner.run_sync chat", _run_sync, trips_at=3, asks_for_tool=True),
    Scenario("Runner.run_sync responses", _run_sync_responses, trips_at=3, asks_for_tool=True),
    Scenario("Runner.run_streamed chat", _run_streamed, trips_at=3, asks_for_tool=True),
    Scenario(
        "Runner.run chat with a tool that asks a model",
        _inside,
        trips_at=3,
        asks_for_tool=True,
        refusals=(2, 1),
        note=_SWALLOWED,
    ),
    Scenario(
        "Runner.run responses with a tool that asks a model",
        _inside_responses,
        trips_at=3,
        asks_for_tool=True,
        refusals=(2, 1),
        note=_SWALLOWED,
    ),
)
