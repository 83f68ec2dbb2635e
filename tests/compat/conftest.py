"""One run of a cell of the table: a real SDK, a real instrumentation, and what it was billed."""

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import anthropic
import openai
import openai.resources.chat
import openai.resources.responses
import pytest
from budget_audit.loading import load
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # it has no types

from otelbudget import Budget, BudgetSpanProcessor, DuckDBSpanExporter
from otelbudget.audit.spend import spend
from otelbudget.testing import Billed, FakeProvider, Reply, ToolCall
from tests.compat.enforcement.packages import OPENAI_2, environment

# Each file is collected in the environment that has its packages; none is skipped.
collect_ignore = (
    ["test_spend.py", "test_uninstrument.py"]
    if environment() == OPENAI_2
    else ["test_aiobotocore_gate.py", "test_litellm_gate.py"]
)

SEARCH = ToolCall("search", {"query": "x"})

# The replies of each conversation, in order; no two calls of a run use the same.
CONVERSATIONS: dict[str, list[list[Reply]]] = {
    "usage": [
        [Reply(1_000, 100)],
        [Reply(10_000, 40, cache_write_input_tokens=9_000)],
        [Reply(10_300, 61, cache_read_input_tokens=9_000, cache_write_input_tokens=1_200)],
        [Reply(1_500, 900, reasoning_output_tokens=700)],
        [Reply(1_200, 90, text="", tool_calls=(SEARCH,)), Reply(1_400, 130)],
    ],
    "one-hour-cache": [
        [Reply(8_000, 30, cache_write_input_tokens=7_000, cache_write_1h_input_tokens=7_000)],
        [
            Reply(
                8_900,
                47,
                cache_read_input_tokens=7_000,
                cache_write_input_tokens=1_500,
                cache_write_1h_input_tokens=600,
            )
        ],
    ],
    "failed": [[Reply(status=400)], [Reply(1_100, 70)], [Reply(status=500)]],
}


class Rates(NamedTuple):
    """Pico-USD per token, which are USD/Mtok times a million."""

    input: int
    output: int
    cache_read: int
    cache_write: int
    cache_write_1h: int


MODELS = {"chat": "gpt-5.6-cyber", "responses": "gpt-5.6-cyber", "messages": "claude-haiku-4-5"}
RATES = {
    # 12.50 USD/Mtok in, 75 out, 1.25 from the cache, 15.625 into it.
    "gpt-5.6-cyber": Rates(12_500_000, 75_000_000, 1_250_000, 15_625_000, 0),
    # 1 USD/Mtok in, 5 out, 0.10 from the cache, 1.25 into it, 2 for an hour.
    "claude-haiku-4-5": Rates(1_000_000, 5_000_000, 100_000, 1_250_000, 2_000_000),
}


class Spent(NamedTuple):
    """What calls with usage came to, by one account of them."""

    calls: int
    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int
    cache_write_input_tokens: int
    cost_pusd: int


class Outcome(NamedTuple):
    """What one run cost by the bill, by the processor and by the audit of its spans.

    Attributes:
        bill: What the fake provider billed.
        live: What the processor counted; calls are those it admitted.
        audited: What an audit of the run's spans says.
        unclear_calls: Calls of which the audit cannot say what they used or cost.
    """

    bill: Spent
    live: Spent
    audited: Spent
    unclear_calls: int


def billed(calls: list[Billed]) -> Spent:
    """What a provider bills for calls."""
    usages = [call.usage for call in calls]
    return Spent(
        len(usages),
        sum(usage.input_tokens for usage in usages),
        sum(usage.output_tokens for usage in usages),
        sum(usage.cache_read_input_tokens for usage in usages),
        sum(usage.cache_write_input_tokens for usage in usages),
        sum(_list_cost_pusd(call) for call in calls),
    )


def _list_cost_pusd(call: Billed) -> int:
    usage, rates = call.usage, RATES[call.model]
    for_an_hour = usage.cache_write_1h_input_tokens
    written = usage.cache_write_input_tokens
    read = usage.cache_read_input_tokens
    return (
        (usage.input_tokens - read - written) * rates.input
        + usage.output_tokens * rates.output
        + read * rates.cache_read
        + (written - for_an_hour) * rates.cache_write
        + for_an_hour * rates.cache_write_1h
    )


def counted(processor: BudgetSpanProcessor, reader: InMemoryMetricReader) -> Spent:
    """What a processor has counted, save what it charged at an estimate.

    Accounts hold sums, its metrics the kinds of tokens.
    """
    accounts = [account for _, account in processor.engine.ledger.accounts()]
    metrics = reader.get_metrics_data()
    tokens: dict[object, int] = {}
    for resource in metrics.resource_metrics if metrics else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                if metric.name == "otelbudget.tokens":
                    for point in metric.data.data_points:
                        kind = (point.attributes or {}).get("token_type")
                        tokens[kind] = tokens.get(kind, 0) + int(getattr(point, "value", 0))
    read, written = tokens.get("cache_read", 0), tokens.get("cache_write", 0)
    return Spent(
        sum(account.calls for account in accounts),
        tokens.get("input", 0) + read + written,
        tokens.get("output", 0),
        read,
        written,
        sum(account.cost_pusd - account.estimated_pusd for account in accounts),
    )


def audited(path: Path) -> tuple[Spent, int]:
    """What an audit of a store counts, and how many calls it could not say everything of."""
    totals = spend(load([str(path)]).store).totals
    spent = Spent(
        totals.model_calls,
        totals.input_tokens,
        totals.output_tokens,
        totals.cache_read_input_tokens,
        totals.cache_write_input_tokens,
        totals.list_cost_pusd or 0,
    )
    return spent, totals.calls_without_usage + totals.unpriced_calls


# The SDKs and how each is asked.

HELLO = {"role": "user", "content": "hello"}
SCHEMA = {"type": "object", "properties": {"query": {"type": "string"}}}


def chat_arguments(turn: int) -> dict[str, Any]:
    """Arguments of `chat.completions.create`, with the tool's answer from the second turn on."""
    function = {"name": "search", "arguments": '{"query": "x"}'}
    answered: list[dict[str, Any]] = [
        {
            "role": "assistant",
            "tool_calls": [{"id": "1", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "1", "content": "found"},
    ]
    return {
        "model": MODELS["chat"],
        "messages": [HELLO, *(answered if turn else ())],
        "tools": [{"type": "function", "function": {"name": "search", "parameters": SCHEMA}}],
    }


def responses_arguments(turn: int) -> dict[str, Any]:
    """Arguments of `responses.create`, with the tool's answer from the second turn on."""
    answered = [
        {"type": "function_call", "call_id": "1", "name": "search", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "1", "output": "found"},
    ]
    return {
        "model": MODELS["responses"],
        "input": [HELLO, *(answered if turn else ())],
        "tools": [{"type": "function", "name": "search", "parameters": SCHEMA, "strict": False}],
    }


def messages_arguments(turn: int) -> dict[str, Any]:
    """Arguments of `messages.create`, with the tool's answer from the second turn on."""
    call = {"type": "tool_use", "id": "1", "name": "search", "input": {"query": "x"}}
    answer = {"type": "tool_result", "tool_use_id": "1", "content": "found"}
    answered: list[dict[str, Any]] = [
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [answer]},
    ]
    return {
        "model": MODELS["messages"],
        "max_tokens": 1_000,
        "messages": [HELLO, *(answered if turn else ())],
        "tools": [{"name": "search", "input_schema": SCHEMA}],
    }


ARGUMENTS: dict[str, Callable[[int], dict[str, Any]]] = {
    "chat": chat_arguments,
    "responses": responses_arguments,
    "messages": messages_arguments,
}
INSTRUMENTORS = {
    ("openai", "genai"): "opentelemetry.instrumentation.genai.openai:OpenAIInstrumentor",
    ("openai", "traceloop"): "opentelemetry.instrumentation.openai:OpenAIInstrumentor",
    ("openai", "openinference"): "openinference.instrumentation.openai:OpenAIInstrumentor",
    ("anthropic", "genai"): "opentelemetry.instrumentation.genai.anthropic:AnthropicInstrumentor",
    ("anthropic", "traceloop"): "opentelemetry.instrumentation.anthropic:AnthropicInstrumentor",
    ("anthropic", "openinference"): "openinference.instrumentation.anthropic:AnthropicInstrumentor",
}


def _load(name: str) -> Any:
    """Something of a package of the dependency group `compat`; skips the test without it."""
    module, _, attribute = name.partition(":")
    return getattr(pytest.importorskip(module), attribute)


@contextmanager
def _openai_restored() -> Iterator[None]:
    """Take off the wrappers that traceloop's instrumentor leaves on the classes of openai."""
    classes = [
        value
        for name, module in list(sys.modules.items())
        if name.startswith("openai.resources")
        for value in vars(module).values()
        if isinstance(value, type)
    ]
    before = [(each, dict(vars(each))) for each in classes]
    yield
    for each, attributes in before:
        for name, value in attributes.items():
            if vars(each).get(name) is not value:
                setattr(each, name, value)


@dataclass(frozen=True)
class Run:
    """One run: who calls what how, and who tells of it.

    Attributes:
        api: "chat", "responses" or "messages".
        package: Instrumentation, or "pydantic-ai", or "none".
        form: "plain", "streamed" or, for messages, "helper": `messages.stream`.
        case: Key of `CONVERSATIONS`.
        is_async: Whether the asynchronous client is used.
        has_native_spans: Whether the anthropic SDK writes spans of its own.
        has_root: Whether a span of the application's own is around the calls.
    """

    api: str
    package: str
    form: str
    case: str
    is_async: bool
    has_native_spans: bool
    has_root: bool

    @property
    def sdk(self) -> str:
        """The package that sends the requests."""
        return "anthropic" if self.api == "messages" else "openai"

    def outcome(self, folder: Path) -> Outcome:
        """Hold all conversations of the case, once, with a store in `folder`."""
        path, reader = folder / "spans.duckdb", InMemoryMetricReader()
        processor = BudgetSpanProcessor(
            Budget(cost_usd=1_000), meter_provider=MeterProvider([reader])
        )
        tracing = TracerProvider()
        tracing.add_span_processor(BatchSpanProcessor(DuckDBSpanExporter(path)))
        tracing.add_span_processor(processor)
        try:
            bill = self._bill(tracing)
            live = counted(processor, reader)
        finally:
            tracing.shutdown()
        return Outcome(bill, live, *audited(path))

    def _bill(self, tracing: TracerProvider) -> Spent:
        conversations = CONVERSATIONS[self.case]
        with FakeProvider([reply for each in conversations for reply in each]) as provider:
            with self._instrumented(tracing), self._root(tracing):
                converse = self._converse_with(provider, tracing)
                for conversation in conversations:
                    converse(len(conversation))
            assert provider.request_count == sum(len(each) for each in conversations)
            return billed(provider.billed)

    def _root(self, tracing: TracerProvider) -> AbstractContextManager[object]:
        tracer = tracing.get_tracer("app")
        return tracer.start_as_current_span("run") if self.has_root else nullcontext()

    @contextmanager
    def _instrumented(self, tracing: TracerProvider) -> Iterator[None]:
        name = INSTRUMENTORS.get((self.sdk, self.package))
        if name is None:
            yield
            return
        instrumentor = _load(name)()
        with _openai_restored():
            instrumentor.instrument(tracer_provider=tracing)
            try:
                yield
            finally:
                instrumentor.uninstrument()

    def _converse_with(
        self, provider: FakeProvider, tracing: TracerProvider
    ) -> Callable[[int], None]:
        if self.package == "pydantic-ai":
            return lambda _: self._run_agent(provider, tracing)
        if self.is_async:
            return lambda turns: asyncio.run(self._ask_async(provider, tracing, turns))
        return lambda turns: self._ask(provider, tracing, turns)

    def _client(self, provider: FakeProvider, tracing: TracerProvider, *, is_async: bool) -> Any:
        """A client of the SDK that does not retry and loads no certificates."""
        options: dict[str, Any] = {"api_key": "none", "max_retries": 0}
        if self.sdk == "openai":
            options["base_url"] = provider.openai_base_url
            if is_async:
                http = openai.DefaultAsyncHttpxClient(verify=False)
                return openai.AsyncOpenAI(http_client=http, **options)
            return openai.OpenAI(http_client=openai.DefaultHttpxClient(verify=False), **options)
        options["base_url"] = provider.anthropic_base_url
        options["open_telemetry"] = {"traces": self.has_native_spans, "tracer_provider": tracing}
        if is_async:
            http = anthropic.DefaultAsyncHttpxClient(verify=False)
            return anthropic.AsyncAnthropic(http_client=http, **options)
        return anthropic.Anthropic(
            http_client=anthropic.DefaultHttpxClient(verify=False), **options
        )

    def _call(self, client: Any, turn: int) -> Any:
        """The answer of one call, as the client gives it."""
        arguments = ARGUMENTS[self.api](turn)
        if self.form == "helper":
            return client.messages.stream(**arguments)
        if self.form == "streamed":
            arguments["stream"] = True
            if self.api == "chat":
                arguments["stream_options"] = {"include_usage": True}
        resource = client.chat.completions if self.api == "chat" else getattr(client, self.api)
        return resource.create(**arguments)

    def _ask(self, provider: FakeProvider, tracing: TracerProvider, turns: int) -> None:
        with self._client(provider, tracing, is_async=False) as client:
            for turn in range(turns):
                with suppress(openai.APIStatusError, anthropic.APIStatusError):
                    answer = self._call(client, turn)
                    if self.form == "helper":
                        with answer as stream:
                            list(stream)
                    elif self.form == "streamed":
                        list(answer)

    async def _ask_async(self, provider: FakeProvider, tracing: TracerProvider, turns: int) -> None:
        async with self._client(provider, tracing, is_async=True) as client:
            for turn in range(turns):
                with suppress(openai.APIStatusError, anthropic.APIStatusError):
                    answer = self._call(client, turn)
                    if self.form == "helper":
                        async with answer as stream:
                            [_ async for _ in stream]
                    elif self.form == "streamed":
                        [_ async for _ in await answer]
                    else:
                        await answer

    def _run_agent(self, provider: FakeProvider, tracing: TracerProvider) -> None:
        """Let an agent of pydantic-ai answer; it calls the tool by itself."""
        with suppress(_load("pydantic_ai.exceptions:ModelHTTPError")):
            if self.is_async:
                asyncio.run(self._run_agent_async(provider, tracing))
            elif self.form == "streamed":
                list(self._agent(provider, tracing).run_stream_sync("hello").stream_text())
            else:
                self._agent(provider, tracing).run_sync("hello")

    async def _run_agent_async(self, provider: FakeProvider, tracing: TracerProvider) -> None:
        agent = self._agent(provider, tracing)
        if self.form == "streamed":
            async with agent.run_stream("hello") as stream:
                [_ async for _ in stream.stream_text()]
        else:
            await agent.run("hello")

    def _agent(self, provider: FakeProvider, tracing: TracerProvider) -> Any:
        client = self._client(provider, tracing, is_async=True)
        if self.sdk == "openai":
            backend = _load("pydantic_ai.providers.openai:OpenAIProvider")(openai_client=client)
            kind = "OpenAIChatModel" if self.api == "chat" else "OpenAIResponsesModel"
            model = _load(f"pydantic_ai.models.openai:{kind}")(MODELS[self.api], provider=backend)
        else:
            backend = _load("pydantic_ai.providers.anthropic:AnthropicProvider")(
                anthropic_client=client
            )
            model = _load("pydantic_ai.models.anthropic:AnthropicModel")(
                MODELS[self.api], provider=backend
            )
        settings = _load("pydantic_ai.models.instrumented:InstrumentationSettings")
        agent = _load("pydantic_ai:Agent")(model)
        agent.instrument = settings(tracer_provider=tracing)

        def search(query: str) -> str:
            return f"found {query}"

        agent.tool_plain(search)
        return agent


class _ByProcess(LoadScopeScheduling):  # type: ignore[misc]  # as above
    """Gives all tests that look at one process, or at one run, to one worker.

    xdist's own "loadgroup" writes groups into node ids, which pytest 9.2 does not let it do.
    """

    def _split_scope(self, nodeid: str) -> str:
        file, _, parameter = nodeid.partition("[")
        return parameter.partition(":")[0] or file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return _ByProcess(config, log)


@pytest.fixture(scope="session")
def outcome_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Outcome]:
    """Gives the outcome of a run, described by what `Run` takes; none is made twice."""

    @cache
    def outcome(*run: Any) -> Outcome:
        return Run(*run).outcome(tmp_path_factory.mktemp("run"))

    return outcome
