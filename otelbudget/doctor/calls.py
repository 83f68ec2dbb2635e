"""How each SDK calls a model; run in a process of its own, on the fake provider.

SDKs are imported by name, where they are called: any of them may be missing.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from importlib import import_module
from typing import Any

Call = Callable[[str], object]
"""Makes one call of the provider at a URL, with the SDK's defaults, and reads all of its answer."""

_OPENAI_MODEL = "gpt-4o"
_EMBEDDING_MODEL = "text-embedding-3-small"
_ANTHROPIC_MODEL = "claude-haiku-4-5"
_GOOGLE_MODEL = "gemini-2.5-flash"
_BEDROCK_MODEL = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
PROVIDERS = {
    _OPENAI_MODEL: "openai",
    _EMBEDDING_MODEL: "openai",
    _ANTHROPIC_MODEL: "anthropic",
    _GOOGLE_MODEL: "gcp.gemini",
    _BEDROCK_MODEL: "aws.bedrock",
}
"""Whose prices hold, by model."""

_KEY = "none"
_HELLO = [{"role": "user", "content": "hello"}]
_LOOP = asyncio.Runner()  # one for all calls: some SDKs keep connections from call to call


def _run(coroutine: Coroutine[Any, Any, object]) -> object:
    return _LOOP.run(coroutine)


def _openai(api: str, *, is_streamed: bool = False, is_async: bool = False) -> Call:
    arguments: dict[str, Any] = {"model": _OPENAI_MODEL}
    if api == "embeddings":
        arguments = {"model": _EMBEDDING_MODEL, "input": "hello"}
    elif api == "responses":
        arguments["input"] = "hello"
    else:
        arguments["messages"] = _HELLO
    if is_streamed:
        arguments["stream"] = True
        if api == "chat.completions":
            arguments["stream_options"] = {"include_usage": True}

    def call(url: str) -> object:
        sdk = import_module("openai")
        options = {"base_url": f"{url}/v1", "api_key": _KEY}
        if is_async:
            return _run(_ask_async(sdk.AsyncOpenAI(**options), api, arguments))
        return _ask(sdk.OpenAI(**options), api, arguments)

    return call


def _anthropic(form: str, *, is_async: bool = False) -> Call:
    arguments: dict[str, Any] = {
        "model": _ANTHROPIC_MODEL,
        "max_tokens": 200,
        "messages": _HELLO,
    }
    if form == "streamed":
        arguments["stream"] = True

    def call(url: str) -> object:
        sdk = import_module("anthropic")
        options = {"base_url": url, "api_key": _KEY}
        client = sdk.AsyncAnthropic(**options) if is_async else sdk.Anthropic(**options)
        if is_async:
            ask = _helped_async if form == "helper" else _ask_async
            return _run(ask(client, "messages", arguments))
        if form == "helper":
            with client, client.messages.stream(**arguments) as stream:
                return list(stream)
        return _ask(client, "messages", arguments)

    return call


def _ask(client: Any, api: str, arguments: Mapping[str, Any]) -> object:
    with client:
        answer = _resource(client, api).create(**arguments)
        return list(answer) if "stream" in arguments else answer


async def _ask_async(client: Any, api: str, arguments: Mapping[str, Any]) -> object:
    async with client:
        answer = await _resource(client, api).create(**arguments)
        return [event async for event in answer] if "stream" in arguments else answer


async def _helped_async(client: Any, api: str, arguments: Mapping[str, Any]) -> object:
    async with client, _resource(client, api).stream(**arguments) as stream:
        return [event async for event in stream]


def _resource(client: Any, api: str) -> Any:
    for name in api.split("."):
        client = getattr(client, name)
    return client


def _google(*, is_streamed: bool = False, is_async: bool = False) -> Call:
    arguments = {"model": _GOOGLE_MODEL, "contents": "hello"}
    method = "generate_content_stream" if is_streamed else "generate_content"

    async def ask(client: Any) -> object:
        answer = await getattr(client.aio.models, method)(**arguments)
        return [part async for part in answer] if is_streamed else answer

    def call(url: str) -> object:
        options = import_module("google.genai.types").HttpOptions(base_url=url)
        client = import_module("google.genai").Client(api_key=_KEY, http_options=options)
        if is_async:
            return _run(ask(client))
        answer = getattr(client.models, method)(**arguments)
        return list(answer) if is_streamed else answer

    return call


def _bedrock(operation: str) -> Call:
    words: dict[str, Any] = {"messages": [{"role": "user", "content": [{"text": "hello"}]}]}
    if operation.startswith("invoke"):
        body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 200, "messages": _HELLO}
        words = {"body": json.dumps(body)}

    def call(url: str) -> object:
        client = (
            import_module("botocore.session")
            .Session()
            .create_client(
                "bedrock-runtime",
                region_name="us-east-1",
                endpoint_url=url,
                aws_access_key_id=_KEY,
                aws_secret_access_key=_KEY,
            )
        )
        answer = getattr(client, operation)(modelId=_BEDROCK_MODEL, **words)
        if operation.endswith("stream"):
            return list(answer["stream" if "messages" in words else "body"])
        return answer["body"].read() if "body" in words else answer

    return call


def _litellm(model: str, *, is_streamed: bool = False, is_async: bool = False) -> Call:
    provider = PROVIDERS[model]
    arguments: dict[str, Any] = {
        "model": f"{provider}/{model}",
        "messages": _HELLO,
        "max_tokens": 200,
        "api_key": _KEY,
    }
    if is_streamed:
        arguments |= {"stream": True, "stream_options": {"include_usage": True}}

    async def ask(base: str) -> object:
        answer = await import_module("litellm").acompletion(api_base=base, **arguments)
        return [part async for part in answer] if is_streamed else answer

    def call(url: str) -> object:
        base = f"{url}/v1" if provider == "openai" else url
        if is_async:
            return _run(ask(base))
        answer = import_module("litellm").completion(api_base=base, **arguments)
        return list(answer) if is_streamed else answer

    return call


def _chat_openai(url: str) -> Any:
    return import_module("langchain_openai").ChatOpenAI(
        model=_OPENAI_MODEL, base_url=f"{url}/v1", api_key=_KEY, stream_usage=True
    )


def _chat_anthropic(url: str) -> Any:
    return import_module("langchain_anthropic").ChatAnthropic(
        model=_ANTHROPIC_MODEL, base_url=url, api_key=_KEY, max_tokens=200
    )


def _langchain(make: Callable[[str], Any]) -> dict[str, Call]:
    async def astream(url: str) -> object:
        return [chunk async for chunk in make(url).astream("hello")]

    return {
        "invoke": lambda url: make(url).invoke("hello"),
        "stream": lambda url: list(make(url).stream("hello")),
        "ainvoke": lambda url: _run(make(url).ainvoke("hello")),
        "astream": lambda url: _run(astream(url)),
    }


def _graph(url: str) -> Any:
    """A graph of one node that asks a model, with LangGraph's policy of retries."""
    model = _chat_openai(url)

    def ask(_: object) -> dict[str, str]:
        return {"answer": str(model.invoke("hello").content)}

    graph = import_module("langgraph.graph").StateGraph(dict)
    policy = import_module("langgraph.types").RetryPolicy()
    graph.add_node("ask", ask, retry_policy=policy)
    graph.set_entry_point("ask")
    graph.set_finish_point("ask")
    return graph.compile()


def _agents(kind: str, *, is_streamed: bool = False) -> Call:
    async def ask(url: str) -> object:
        agents = import_module("agents")
        client = import_module("openai").AsyncOpenAI(base_url=f"{url}/v1", api_key=_KEY)
        async with client:
            model = getattr(agents, kind)(_OPENAI_MODEL, openai_client=client)
            agent = agents.Agent(name="probe", model=model)
            if is_streamed:
                streamed = agents.Runner.run_streamed(agent, "hello")
                return [event async for event in streamed.stream_events()]
            return await agents.Runner.run(agent, "hello")

    return lambda url: _run(ask(url))


def _pydantic_agent(url: str) -> Any:
    provider = import_module("pydantic_ai.providers.openai").OpenAIProvider(
        base_url=f"{url}/v1", api_key=_KEY
    )
    model = import_module("pydantic_ai.models.openai").OpenAIChatModel(
        _OPENAI_MODEL, provider=provider
    )
    return import_module("pydantic_ai").Agent(model)


async def _run_streamed(url: str) -> object:
    async with _pydantic_agent(url).run_stream("hello") as stream:
        return [part async for part in stream.stream_text()]


CALLS: Mapping[str, Mapping[str, Call]] = {
    "openai": {
        "chat": _openai("chat.completions"),
        "chat, streamed": _openai("chat.completions", is_streamed=True),
        "chat, async": _openai("chat.completions", is_async=True),
        "chat, async streamed": _openai("chat.completions", is_async=True, is_streamed=True),
        "responses": _openai("responses"),
        "responses, async streamed": _openai("responses", is_async=True, is_streamed=True),
        "embeddings": _openai("embeddings"),
    },
    "anthropic": {
        "messages": _anthropic("plain"),
        "messages, streamed": _anthropic("streamed"),
        "messages, async": _anthropic("plain", is_async=True),
        "messages, async streamed": _anthropic("streamed", is_async=True),
        "messages.stream()": _anthropic("helper"),
        "messages.stream(), async": _anthropic("helper", is_async=True),
    },
    "google-genai": {
        "generate_content": _google(),
        "generate_content_stream": _google(is_streamed=True),
        "generate_content, async": _google(is_async=True),
        "generate_content_stream, async": _google(is_async=True, is_streamed=True),
    },
    "botocore": {
        "converse": _bedrock("converse"),
        "converse_stream": _bedrock("converse_stream"),
        "invoke_model": _bedrock("invoke_model"),
        "invoke_model, streamed": _bedrock("invoke_model_with_response_stream"),
    },
    "litellm": {
        "openai": _litellm(_OPENAI_MODEL),
        "openai, streamed": _litellm(_OPENAI_MODEL, is_streamed=True),
        "openai, async": _litellm(_OPENAI_MODEL, is_async=True),
        "anthropic": _litellm(_ANTHROPIC_MODEL),
        "anthropic, async streamed": _litellm(_ANTHROPIC_MODEL, is_async=True, is_streamed=True),
    },
    "langchain-openai": _langchain(_chat_openai),
    "langchain-anthropic": _langchain(_chat_anthropic),
    "langgraph": {
        "invoke": lambda url: _graph(url).invoke({}),
        "ainvoke": lambda url: _run(_graph(url).ainvoke({})),
    },
    "openai-agents": {
        "responses": _agents("OpenAIResponsesModel"),
        "responses, streamed": _agents("OpenAIResponsesModel", is_streamed=True),
        "chat": _agents("OpenAIChatCompletionsModel"),
    },
    "pydantic-ai-slim": {
        "run": lambda url: _pydantic_agent(url).run_sync("hello"),
        "run_stream": lambda url: _run(_run_streamed(url)),
    },
}
"""By SDK, then by form."""


def prepare(sdk: str) -> None:
    """Keep an SDK from sending reports of its own to its maker."""
    if sdk == "openai-agents":
        import_module("agents").set_trace_processors([])
