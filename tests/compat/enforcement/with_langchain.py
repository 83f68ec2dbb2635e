"""LangChain and LangGraph over the openai and anthropic SDKs."""

from typing import Any

from tests.compat.enforcement import sdk_anthropic, sdk_openai
from tests.compat.enforcement.scenario import Scenario, Stage, package, with_variants

SDK = "langchain_openai"
MODEL = "gpt-4o"


def model(stage: Stage, *, streams_usage: bool = True, **options: Any) -> Any:
    """A chat model as users make it, retries included; it loads no certificates."""
    openai = package("openai")
    return package("langchain_openai").ChatOpenAI(
        model=MODEL,
        base_url=f"{stage.url}/v1",
        api_key="none",
        stream_usage=streams_usage,
        http_client=openai.DefaultHttpxClient(verify=False),
        http_async_client=openai.DefaultAsyncHttpxClient(verify=False),
        **options,
    )


def _anthropic(stage: Stage) -> Any:
    return package("langchain_anthropic").ChatAnthropic(
        model=sdk_anthropic.MODEL, base_url=stage.url, api_key="none", max_tokens=1_000
    )


def _invoke(stage: Stage) -> None:
    model(stage).invoke("hello")


async def _ainvoke(stage: Stage) -> None:
    await model(stage).ainvoke("hello")


def _stream(stage: Stage) -> None:
    list(model(stage).stream("hello"))


async def _astream(stage: Stage) -> None:
    [_ async for _ in model(stage).astream("hello")]


def _first_error(answers: list[Any]) -> None:
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer


_ONE_BY_ONE: dict[str, Any] = {"config": {"max_concurrency": 1}, "return_exceptions": True}


def _batch(stage: Stage) -> None:
    _first_error(model(stage).batch(["one", "two", "three"], **_ONE_BY_ONE))


async def _abatch(stage: Stage) -> None:
    _first_error(await model(stage).abatch(["one", "two", "three"], **_ONE_BY_ONE))


def _responses(stage: Stage) -> None:
    model(stage, use_responses_api=True).invoke("hello")


def _structured(stage: Stage) -> None:
    model(stage).with_structured_output(sdk_openai.answer_model()).invoke("hello")


def _with_retry(stage: Stage) -> None:
    model(stage).with_retry(stop_after_attempt=3, wait_exponential_jitter=False).invoke("hello")


async def _with_retry_async(stage: Stage) -> None:
    retrying = model(stage).with_retry(stop_after_attempt=3, wait_exponential_jitter=False)
    await retrying.ainvoke("hello")


def _with_fallbacks(stage: Stage) -> None:
    model(stage).with_fallbacks([model(stage)]).invoke("hello")


async def _with_fallbacks_async(stage: Stage) -> None:
    await model(stage).with_fallbacks([model(stage)]).ainvoke("hello")


def _anthropic_invoke(stage: Stage) -> None:
    _anthropic(stage).invoke("hello")


async def _anthropic_astream(stage: Stage) -> None:
    [_ async for _ in _anthropic(stage).astream("hello")]


def _graph(first: Any, second: Any) -> Any:
    graph = package("langgraph.graph")
    retry = package("langgraph.types").RetryPolicy(max_attempts=3)
    builder = graph.StateGraph(dict)
    builder.add_node("first", first, retry_policy=retry)
    builder.add_node("second", second, retry_policy=retry)
    builder.add_edge(graph.START, "first")
    builder.add_edge("first", "second")
    return builder.compile()


def _two_nodes(stage: Stage) -> None:
    def ask(_: dict[str, Any]) -> dict[str, Any]:
        return {"said": model(stage).invoke("hello").content}

    _graph(ask, ask).invoke({})


async def _two_nodes_async(stage: Stage) -> None:
    async def ask(_: dict[str, Any]) -> dict[str, Any]:
        return {"said": (await model(stage).ainvoke("hello")).content}

    await _graph(ask, ask).ainvoke({})


def _agent(stage: Stage) -> Any:
    def search(query: str) -> str:
        """Search for something."""
        return f"found {query}"

    return package("langchain.agents").create_agent(model(stage), tools=[search])


_ASKED = {"messages": [{"role": "user", "content": "hello"}]}


def _create_agent(stage: Stage) -> None:
    _agent(stage).invoke(_ASKED)


async def _create_agent_async(stage: Stage) -> None:
    await _agent(stage).ainvoke(_ASKED)


def _create_agent_stream(stage: Stage) -> None:
    list(_agent(stage).stream(_ASKED))


async def _create_agent_astream(stage: Stage) -> None:
    [_ async for _ in _agent(stage).astream(_ASKED, stream_mode="messages")]


_RETRIED = "as often as the caller's `with_retry` tries"
_TWICE = "the model and its fallback are refused"
_EACH = "each input is a call of its own"

SCENARIOS = (
    *with_variants(
        Scenario("ChatOpenAI.invoke", _invoke),
        Scenario("ChatOpenAI.astream", _astream),
    ),
    Scenario("ChatOpenAI.ainvoke", _ainvoke),
    Scenario("ChatOpenAI.stream", _stream),
    Scenario("ChatOpenAI.batch", _batch, refusals=(1, 3), note=_EACH),
    Scenario("ChatOpenAI.abatch", _abatch, refusals=(1, 3), note=_EACH),
    Scenario("ChatOpenAI use_responses_api", _responses),
    Scenario("ChatOpenAI.with_structured_output", _structured, text='{"number": 7}'),
    Scenario("ChatOpenAI.with_retry invoke", _with_retry, refusals=(3, 3), note=_RETRIED),
    Scenario("ChatOpenAI.with_retry ainvoke", _with_retry_async, refusals=(3, 3), note=_RETRIED),
    Scenario("ChatOpenAI.with_fallbacks invoke", _with_fallbacks, refusals=(2, 2), note=_TWICE),
    Scenario(
        "ChatOpenAI.with_fallbacks ainvoke", _with_fallbacks_async, refusals=(2, 2), note=_TWICE
    ),
    Scenario("ChatAnthropic.invoke", _anthropic_invoke),
    Scenario("ChatAnthropic.astream", _anthropic_astream),
    Scenario("LangGraph two nodes with RetryPolicy", _two_nodes, trips_at=3),
    Scenario("LangGraph two nodes with RetryPolicy async", _two_nodes_async, trips_at=3),
    Scenario("create_agent invoke", _create_agent, trips_at=3, asks_for_tool=True),
    Scenario("create_agent ainvoke", _create_agent_async, trips_at=3, asks_for_tool=True),
    Scenario("create_agent stream", _create_agent_stream, trips_at=3, asks_for_tool=True),
    Scenario("create_agent astream", _create_agent_astream, trips_at=3, asks_for_tool=True),
)
