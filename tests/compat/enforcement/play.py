"""Plays one scenario until the budget trips and once more, and says what came of it."""

import asyncio
import gc
import inspect
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from budget_audit.loading import load
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_ON,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import format_trace_id

from otelbudget import Budget, BudgetSpanProcessor, DuckDBSpanExporter
from otelbudget.audit.spend import spend
from otelbudget.testing import Billed, FakeProvider, Reply, ToolCall
from tests.compat.enforcement.scenario import Scenario, Stage

LIMIT_USD = "0.05"
_LIMIT_PUSD = 50_000_000_000
_MAX_TURNS = 6
_NOT_SAMPLED = "run that is not sampled"
_SEARCH = ToolCall("search", {"query": "x"})


class Rates(NamedTuple):
    """Pico-USD per token, which are USD/Mtok times a million."""

    input: int
    output: int
    cache_read: int


RATES = {
    # 2.50 USD/Mtok in, 10 out, 1.25 from the cache.
    "gpt-4o": Rates(2_500_000, 10_000_000, 1_250_000),
    # 0.13 USD/Mtok in.
    "text-embedding-3-large": Rates(130_000, 0, 0),
    # 3 USD/Mtok in, 15 out, 0.30 from the cache.
    "claude-sonnet-4-5": Rates(3_000_000, 15_000_000, 300_000),
    # 0.30 USD/Mtok in, 2.50 out, 0.03 from the cache.
    "gemini-2.5-flash": Rates(300_000, 2_500_000, 30_000),
    # 1 USD/Mtok in, 5 out, 0.10 from the cache.
    "global.anthropic.claude-haiku-4-5-20251001-v1:0": Rates(1_000_000, 5_000_000, 100_000),
    # 0.80 USD/Mtok in, 3.20 out, 0.20 from the cache.
    "amazon.nova-pro-v1:0": Rates(800_000, 3_200_000, 200_000),
}


class Result(msgspec.Struct, frozen=True):
    """What came of one cell.

    Attributes:
        package: Key of the package.
        order: "before" or "after": when instrumentation was installed, seen from the gate.
        scenario: Name of the scenario.
        requests: Requests that the provider got.
        requests_after_trip: Those of them that came after its answers had used the budget up;
            None where they never did.
        errors: What the caller got from the turns that failed, in order.
        refusals: How often the gate refused, for each of these turns.
        unended: Names of spans that were started and not ended.
        is_context_clean: The run's span was current again after each turn.
        billed_pusd: What the provider bills, in pico-USD.
        charged_pusd: What the processor charged and knows, in pico-USD.
        estimated_pusd: What it charged besides at an estimate, in pico-USD.
        audited_pusd: What an audit of the exported spans says, in pico-USD; None where there are
            none because the trace was not sampled.
        unclear_calls: Calls of which the audit cannot say what they used or cost.
        versions: Versions of the packages that took part, by name.
    """

    package: str
    order: str
    scenario: str
    requests: int
    requests_after_trip: int | None
    errors: tuple[str, ...]
    refusals: tuple[int, ...]
    unended: tuple[str, ...]
    is_context_clean: bool
    billed_pusd: int
    charged_pusd: int
    estimated_pusd: int
    audited_pusd: int | None = None
    unclear_calls: int = 0
    versions: dict[str, str] = {}


def list_cost_pusd(call: Billed) -> int:
    """What a call costs by the rates above."""
    usage, rates = call.usage, RATES[call.model]
    read = usage.cache_read_input_tokens
    return (
        (usage.input_tokens - read) * rates.input
        + usage.output_tokens * rates.output
        + read * rates.cache_read
    )


def described(error: BaseException) -> str:
    """The type of an error, with those inside a group or under a cause where it is not ours."""
    name = type(error).__name__
    if isinstance(error, BaseExceptionGroup):
        return f"{name}[{', '.join(map(described, error.exceptions))}]"
    cause = error.__cause__ or error.__context__
    if name != "BudgetExceededError" and cause is not None:
        return f"{name} from {described(cause)}"
    return name


class _Spans(SpanProcessor):
    """Keeps which spans have started and not ended, and in which traces."""

    def __init__(self) -> None:
        self._open: dict[int, str] = {}
        self._traces: set[int] = set()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        context = span.get_span_context()
        self._open[context.span_id] = span.name
        self._traces.add(context.trace_id)

    def on_end(self, span: ReadableSpan) -> None:
        context = span.get_span_context()
        if context is not None:
            self._open.pop(context.span_id, None)

    def take(self) -> tuple[tuple[str, ...], frozenset[str]]:
        """Names of the spans that are open, and the traces seen; they are forgotten."""
        names = tuple(sorted(self._open.values()))
        traces = frozenset(format_trace_id(trace_id) for trace_id in self._traces)
        self._open.clear()
        self._traces.clear()
        return names, traces


class _ByName(Sampler):
    """Samples no trace whose root says so, by the SDK's own sampler at ratio 0."""

    def __init__(self) -> None:
        self._never = TraceIdRatioBased(0.0)

    def should_sample(
        self, parent_context: Context | None, trace_id: int, name: str, *args: Any, **kwargs: Any
    ) -> SamplingResult:
        sampler = self._never if name == _NOT_SAMPLED else ALWAYS_ON
        return sampler.should_sample(parent_context, trace_id, name, *args, **kwargs)

    def get_description(self) -> str:
        return "by the name of the root"


class _Replies:
    """Answers with a different usage each, of which one uses the budget up."""

    def __init__(self) -> None:
        self._total = 0
        self._scenario: Scenario | None = None
        self._asked = 0

    def start(self, scenario: Scenario) -> None:
        """Answer for another scenario."""
        self._scenario, self._asked = scenario, 0

    def __call__(self, _: object) -> Reply:
        scenario = self._scenario
        assert scenario is not None
        self._total += 1
        self._asked += 1
        is_large = self._asked == scenario.trips_at
        tokens = (scenario.large_input_tokens if is_large else 1_000) + 7 * self._total
        return Reply(
            tokens,
            100 + 3 * self._total,
            cache_read_input_tokens=256 if self._asked == 1 else 0,
            text="" if scenario.asks_for_tool else scenario.text or "This is an answer.",
            tool_calls=(_SEARCH,) if scenario.asks_for_tool else (),
        )


class Theatre:
    """One process's provider, tracing and budget, in which scenarios play one after another.

    Args:
        folder: For the store that is audited.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "spans.duckdb"
        self._replies, self._spans = _Replies(), _Spans()
        self._traces: list[frozenset[str]] = []
        self._errors: list[str] = []
        self._refusals: list[int] = []
        self._is_context_clean = True
        self._processor: BudgetSpanProcessor | None = None
        self.provider = FakeProvider(self._replies)
        self.tracing = TracerProvider(sampler=ParentBased(_ByName()))
        self.tracing.add_span_processor(self._spans)
        self.tracing.add_span_processor(BatchSpanProcessor(DuckDBSpanExporter(self._path)))
        trace.set_tracer_provider(self.tracing)

    def watch(self) -> None:
        """Add the processor, which puts the gates in place."""
        self._processor = BudgetSpanProcessor(Budget(cost_usd=LIMIT_USD))
        self.tracing.add_span_processor(self._processor)

    def play(self, package: str, order: str, scenario: Scenario) -> Result:
        """Play a scenario until the budget trips and once more."""
        billed_before, asked_before = len(self.provider.billed), self.provider.request_count
        charged_before, estimated_before, _ = self._accounts()
        self._replies.start(scenario)
        self._run(scenario)
        gc.collect()
        self.tracing.force_flush()
        bill = [list_cost_pusd(call) for call in self.provider.billed[billed_before:]]
        charged, estimated, _ = self._accounts()
        requests = self.provider.request_count - asked_before
        unended, traces = self._spans.take()
        self._traces.append(traces)
        return Result(
            package=package,
            order=order,
            scenario=scenario.name,
            requests=requests,
            requests_after_trip=_after_trip(requests, bill),
            errors=tuple(self._errors),
            refusals=tuple(self._refusals),
            unended=unended,
            is_context_clean=self._is_context_clean,
            billed_pusd=sum(bill),
            charged_pusd=charged - charged_before - (estimated - estimated_before),
            estimated_pusd=estimated - estimated_before,
        )

    def audited(self, results: Sequence[Result]) -> list[Result]:
        """The results of every scenario played, with what an audit of the exported spans says."""
        self.tracing.shutdown()
        groups = spend(load([str(self._path)]).store, ["trace"]).groups
        totals = {group.key["trace"]: group.totals for group in groups}
        return [
            msgspec.structs.replace(
                result,
                audited_pusd=sum(each.list_cost_pusd or 0 for each in theirs) if traces else None,
                unclear_calls=sum(
                    each.calls_without_usage + each.unpriced_calls for each in theirs
                ),
            )
            for result, traces in zip(results, self._traces, strict=True)
            for theirs in ([totals[trace_id] for trace_id in traces if trace_id in totals],)
        ]

    def _run(self, scenario: Scenario) -> None:
        self._errors, self._refusals, self._is_context_clean = [], [], True
        stage = Stage(self.provider.url, self.tracing)
        name = _NOT_SAMPLED if scenario.is_sampled_out else "run"
        with (
            self.tracing.get_tracer("app").start_as_current_span(name),
            _suppressed() if scenario.is_suppressed else nullcontext(),
        ):
            if inspect.iscoroutinefunction(scenario.turn):
                asyncio.run(self._play_async(scenario, stage))
            else:
                self._play(scenario, stage)
        self._is_context_clean &= not trace.get_current_span().get_span_context().is_valid

    def _play(self, scenario: Scenario, stage: Stage) -> None:
        for _ in range(_MAX_TURNS):
            with self._one_turn():
                scenario.turn(stage)
            if len(self._errors) == 2:
                return

    async def _play_async(self, scenario: Scenario, stage: Stage) -> None:
        for _ in range(_MAX_TURNS):
            with self._one_turn():
                turn: Any = scenario.turn(stage)
                await turn
            if len(self._errors) == 2:
                return

    @contextmanager
    def _one_turn(self) -> Iterator[None]:
        run = trace.get_current_span()
        _, _, denied = self._accounts()
        try:
            yield
        except Exception as error:  # noqa: BLE001 - which one is what is asked
            self._errors.append(described(error))
            self._refusals.append(self._accounts()[2] - denied)
        self._is_context_clean &= trace.get_current_span() is run

    def _accounts(self) -> tuple[int, int, int]:
        """Pico-USD charged, of them estimated, and refusals, over all scopes."""
        assert self._processor is not None
        accounts = [account for _, account in self._processor.engine.ledger.accounts()]
        return (
            sum(account.cost_pusd for account in accounts),
            sum(account.estimated_pusd for account in accounts),
            sum(account.denied for account in accounts),
        )


def _suppressed() -> AbstractContextManager[object]:
    from opentelemetry.instrumentation.utils import suppress_instrumentation  # noqa: PLC0415

    return suppress_instrumentation()


def _after_trip(requests: int, bill: Sequence[int]) -> int | None:
    """Requests beyond the one whose answer used the budget up."""
    spent = 0
    for number, cost in enumerate(bill, 1):
        spent += cost
        if spent >= _LIMIT_PUSD:
            return requests - number
    return None
