"""The sample app: it runs the plan with real SDKs and instrumentations against a fake provider.

Spans are made by the app's own tracer, by opentelemetry-instrumentation-genai-openai and
-genai-anthropic, and by the anthropic SDK itself. Their ids and times come from the plan.
"""

import asyncio
import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, replace
from importlib.metadata import version

import plan
from anthropic import Anthropic
from openai import APIStatusError, AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionMessageParam
from opentelemetry.context import Context
from opentelemetry.instrumentation.genai.anthropic import AnthropicInstrumentor
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import SpanKind, Status, StatusCode

from otelbudget.testing import Billed, FakeProvider, Reply, Request

_STEP_HEADER = "x-sample-step"
_TWICE_INSTRUMENTED = 6
_PROMPT: list[ChatCompletionMessageParam] = [{"role": "user", "content": "A question."}]


@dataclass(slots=True)
class _Place:
    """Where in the plan the program is.

    Attributes:
        run: Key of the run.
        key: Key of the step.
        start_ns: When the step starts.
        end_ns: When the step ends.
        span_count: Number of spans started for the step so far.
    """

    run: str
    key: str
    start_ns: int
    end_ns: int
    span_count: int = 0


@dataclass(frozen=True, slots=True)
class RecordedSpan:
    """A span with the times of the plan.

    Attributes:
        span: The span as the SDK ended it.
        start_ns: When it starts, in unix nanoseconds.
        end_ns: When it ends, in unix nanoseconds.
    """

    span: ReadableSpan
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """What one run left behind.

    Attributes:
        run: The run as planned.
        spans: Its spans, ordered by start time.
        billed: What the provider billed for it.
    """

    run: plan.Run
    spans: list[RecordedSpan]
    billed: list[Billed]


_place: ContextVar[_Place] = ContextVar("place")


def record(runs: list[plan.Run]) -> list[RecordedRun]:
    """Run every run in turn."""
    replies = {step.key: _reply(step) for run in runs for step in plan.model_steps(run)}

    def reply_to(request: Request) -> Reply:
        return replies[request.headers[_STEP_HEADER]]

    recorder = _Recorder()
    tracers = TracerProvider(
        resource=_resource(), id_generator=_PlannedIds(), shutdown_on_exit=False
    )
    tracers.add_span_processor(_NameLocalProvider())
    tracers.add_span_processor(recorder)
    with (
        FakeProvider(reply_to) as provider,
        _instrumented(tracers),
        closing(_App(provider, tracers)) as app,
    ):
        return [_record_run(app, run, recorder, provider) for run in runs]


def _record_run(
    app: "_App", run: plan.Run, recorder: "_Recorder", provider: FakeProvider
) -> RecordedRun:
    billed_before = len(provider.billed)
    app.run(run)
    return RecordedRun(run, recorder.take(), provider.billed[billed_before:])


class _App:
    """The agents, with a client for each provider."""

    def __init__(self, provider: FakeProvider, tracers: TracerProvider) -> None:
        self._url = provider.openai_base_url
        self._tracer = tracers.get_tracer("sample-app", "1.0.0")
        self._openai = OpenAI(base_url=self._url, api_key="none", max_retries=0)
        self._anthropic = {
            is_native: Anthropic(
                base_url=provider.anthropic_base_url,
                api_key="none",
                max_retries=0,
                open_telemetry={
                    "tracer_provider": tracers,
                    "traces": {"enabled": is_native},
                },
            )
            for is_native in (False, True)
        }

    def run(self, run: plan.Run) -> None:
        """Run an agent under its own span."""
        attributes = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": run.agent,
            "tenant.id": run.tenant,
            "sample.workflow": run.workflow,
        }
        with (
            _at(_Place(run.key, run.step_key, run.start_ns, run.end_ns)),
            self._tracer.start_as_current_span(
                f"invoke_agent {run.agent}", kind=SpanKind.INTERNAL, attributes=attributes
            ) as span,
        ):
            for stage in run.stages:
                self._stage(run, stage)
            if run.failure:
                span.set_status(Status(StatusCode.ERROR, run.failure))

    def close(self) -> None:
        """Close the clients."""
        self._openai.close()
        for client in self._anthropic.values():
            client.close()

    def _stage(self, run: plan.Run, stage: tuple[plan.Step, ...]) -> None:
        if len(stage) == 1:
            self._step(run, stage[0])
        elif run.variant % 2:
            asyncio.run(self._at_once(run, stage))
        else:
            with ThreadPoolExecutor(len(stage)) as pool:
                for done in [
                    pool.submit(copy_context().run, self._step, run, step) for step in stage
                ]:
                    done.result()

    def _step(self, run: plan.Run, step: plan.Step) -> None:
        with _at(_Place(run.key, step.key, step.start_ns, step.end_ns)):
            if step.reply is None:
                self._tool(step)
            elif step.name == plan.SONNET:
                self._message(run, step)
            else:
                self._completion(step)

    def _tool(self, step: plan.Step) -> None:
        attributes = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": step.name,
            "gen_ai.tool.type": "function",
        }
        self._tracer.start_span(f"execute_tool {step.name}", attributes=attributes).end()

    def _completion(self, step: plan.Step) -> None:
        headers = {_STEP_HEADER: step.key}
        create = self._openai.chat.completions.create
        try:
            if step.is_streamed:
                stream = create(
                    model=step.name,
                    messages=_PROMPT,
                    extra_headers=headers,
                    stream=True,
                    stream_options={"include_usage": True},
                )
                list(stream)
            else:
                create(model=step.name, messages=_PROMPT, extra_headers=headers)
        except APIStatusError as error:
            if step.reply is None or error.status_code != step.reply.status:
                raise

    def _message(self, run: plan.Run, step: plan.Step) -> None:
        is_native = run.variant < _TWICE_INSTRUMENTED
        self._anthropic[is_native].messages.create(
            model=step.name,
            max_tokens=2_048,
            messages=[{"role": "user", "content": "A question."}],
            extra_headers={_STEP_HEADER: step.key},
        )

    async def _at_once(self, run: plan.Run, stage: tuple[plan.Step, ...]) -> None:
        async with AsyncOpenAI(base_url=self._url, api_key="none", max_retries=0) as client:

            async def call(step: plan.Step) -> None:
                with _at(_Place(run.key, step.key, step.start_ns, step.end_ns)):
                    await client.chat.completions.create(
                        model=step.name,
                        messages=_PROMPT,
                        extra_headers={_STEP_HEADER: step.key},
                    )

            await asyncio.gather(*(call(step) for step in stage))


class _PlannedIds(IdGenerator):
    """Ids made from the place in the plan, whatever order threads come in."""

    def generate_trace_id(self) -> int:
        return int(_hex(_place.get().run)[:32], 16)

    def generate_span_id(self) -> int:
        place = _place.get()
        place.span_count += 1
        return int(_hex(f"{place.key}#{place.span_count}")[:16], 16)


class _Recorder(SpanProcessor):
    """Keeps ended spans with the times of the plan."""

    def __init__(self) -> None:
        self._times: dict[int, tuple[int, int]] = {}
        self._spans: list[RecordedSpan] = []

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        place = _place.get()
        inset_ns = (place.span_count - 1) * plan.MILLISECOND_NS  # twins lie inside each other
        times = (place.start_ns + inset_ns, place.end_ns - inset_ns)
        self._times[_span_id(span)] = times

    def on_end(self, span: ReadableSpan) -> None:
        start_ns, end_ns = self._times.pop(_span_id(span))
        self._spans.append(RecordedSpan(span, start_ns, end_ns))

    def take(self) -> list[RecordedSpan]:
        """The spans since the last time, ordered by start time."""
        spans, self._spans = self._spans, []
        return sorted(spans, key=lambda one: (one.start_ns, _span_id(one.span)))


class _NameLocalProvider(SpanProcessor):
    """Names the local server, which the openai client's instrumentation takes for OpenAI."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        if (span.attributes or {}).get("gen_ai.request.model") == plan.LLAMA:
            span.set_attribute("gen_ai.provider.name", "ollama")


@contextmanager
def _at(place: _Place) -> Iterator[None]:
    token = _place.set(place)
    try:
        yield
    finally:
        _place.reset(token)


@contextmanager
def _instrumented(tracers: TracerProvider) -> Iterator[None]:
    instrumentors = (OpenAIInstrumentor(), AnthropicInstrumentor())
    for instrumentor in instrumentors:
        instrumentor.instrument(tracer_provider=tracers)
    try:
        yield
    finally:
        for instrumentor in instrumentors:
            instrumentor.uninstrument()


def _reply(step: plan.Step) -> Reply:
    if step.reply is None:
        raise ValueError(f"step {step.key} is a tool, it has no reply")
    return replace(step.reply, model=plan.ANSWERED_AS[step.name], key=_hex(step.key)[:24])


def _resource() -> Resource:
    return Resource(
        {
            "service.name": "sample-app",
            "service.version": "1.0.0",
            "telemetry.sdk.language": "python",
            "telemetry.sdk.name": "opentelemetry",
            "telemetry.sdk.version": version("opentelemetry-sdk"),
        }
    )


def _span_id(span: ReadableSpan) -> int:
    context = span.get_span_context()
    if context is None:
        raise ValueError(f"span {span.name} has no context")
    return context.span_id


def _hex(key: str) -> str:
    return hashlib.sha256(f"{plan.SEED}/{key}".encode()).hexdigest()
