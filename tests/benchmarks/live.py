"""What an application pays for being watched: spans, gates, streams, threads and memory."""

import threading
import time
import tracemalloc
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from itertools import count
from typing import Any

from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
from opentelemetry.trace import set_span_in_context
from rich.table import Table

from otelbudget import Budget, Budgets, BudgetSpanProcessor
from otelbudget.budgets.decisions import Admission, Attempt, Hold
from otelbudget.budgets.engine import Engine
from otelbudget.budgets.scopes import Place
from otelbudget.genai.usage import TokenUsage
from otelbudget.live.gates.gated import Passage
from otelbudget.live.request import Request
from otelbudget.pricing.billing import Charge
from tests.benchmarks.peers import peers
from tests.benchmarks.timing import ROUNDS, Rounds, measure, row

SPANS_IN_A_TRACE = 50
TRACES, OPEN_SPANS = 2_000, 5
NUMBERS = (1, 5, 20)
TENANT = {"tenant.id": "acme"}
CHUNKS = 1_000
CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "server.address": "api.openai.com",
}
USED: dict[str, str | int] = {
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.response.id": "chatcmpl-1",
    "gen_ai.usage.input_tokens": 1200,
    "gen_ai.usage.output_tokens": 300,
}
# A conversation of 8 kB.
BODY = {
    "model": "gpt-4o",
    "max_completion_tokens": 1_000,
    "messages": [{"role": "user", "content": "word " * 80} for _ in range(20)],
}
CHUNK = {
    "id": "chatcmpl-1",
    "model": "gpt-4o",
    "choices": [{"index": 0, "delta": {"content": "word"}, "finish_reason": None}],
}


@contextmanager
def watched_by(
    budgets: Sequence[Budget] | None = None, **options: Any
) -> Iterator[BudgetSpanProcessor]:
    """A processor whose budgets are never used up, gates that ask it, and a run around."""
    one = (Budget(cost_usd="9000000", warn_at=(), **options),)
    processor = BudgetSpanProcessor(Budgets(tuple(budgets or one)))
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    try:
        with provider.get_tracer("app").start_as_current_span("run", attributes=TENANT):
            yield processor
    finally:
        processor.shutdown()


def spans_of(processor: SpanProcessor | None, *, is_llm: bool) -> Callable[[], object]:
    """Makes and ends one span in a trace of fifty."""
    provider = TracerProvider(shutdown_on_exit=False)
    if processor is not None:
        provider.add_span_processor(processor)
    number = count()
    tracer = provider.get_tracer("opentelemetry.instrumentation.genai.openai")
    root = tracer.start_span("root")
    context = set_span_in_context(root)
    left = SPANS_IN_A_TRACE

    def make() -> None:
        nonlocal root, context, left
        left -= 1
        if not left:
            root.end()
            root, left = tracer.start_span("root"), SPANS_IN_A_TRACE
            context = set_span_in_context(root)
        made = tracer.start_span("s", context, attributes=CHAT if is_llm else None)
        if is_llm and isinstance(made, Span):
            made.set_attributes({**USED, "gen_ai.response.id": f"chatcmpl-{next(number)}"})
        made.end()

    return make


def spans(table: Table) -> None:
    """What the processor adds to a span, beside the SDK's own time and other processors."""
    with watched_by() as processor:
        works = {
            "bare": (spans_of(None, is_llm=False), 5_000),
            "ours": (spans_of(processor, is_llm=False), 5_000),
            "bare llm": (spans_of(None, is_llm=True), 5_000),
            "ours llm": (spans_of(processor, is_llm=True), 5_000),
        }
        others = peers()
        for name, other in others.items():
            works[name] = (spans_of(other, is_llm=False), 5_000)
            works[f"{name} llm"] = (spans_of(other, is_llm=True), 5_000)
        results = measure(works)
    for kind, title in (("", "span without GenAI attributes"), (" llm", "LLM span: read, settle")):
        bare = results[f"bare{kind}"]
        ours = results[f"ours{kind}"] - bare
        row(table, f"processor, {title}", ours)
        row(table, "  anchor: the SDK's own create and end", bare, ours=ours)
        for name in others:
            row(table, f"  anchor: {name}", results[f"{name}{kind}"] - bare, ours=ours)
    for other in others.values():
        other.shutdown()


def gates(table: Table) -> None:
    """What a gate adds to a call, and a tap to a chunk of a stream."""
    seconds: dict[str, Rounds] = {}
    for title, body in (("", None), (", 8 kB of request estimated and held", BODY)):
        with watched_by(reserve=body is not None):
            admit, end = passages(body)
            measured = measure({"admit": (admit, 2_000), "end": (end, 2_000)})
        row(table, f"gate: admission{title}", measured["admit"])
        row(table, "  and later: answer read, charged, told to the span", measured["end"])
    with watched_by():
        seconds |= measure({"tap": (tap, 5), "loop": (loop, 5)})
    row(table, "stream tap, a chunk", (seconds["tap"] - seconds["loop"]) / CHUNKS)


def many_budgets(table: Table) -> None:
    """What a call costs with one, five and twenty budgets of all kinds: at a gate, in the engine."""
    for number in NUMBERS:
        with watched_by(some_budgets(number)):
            admit, end = passages(BODY)
            seconds = measure({"admit": (admit, 1_000), "end": (end, 1_000)})
        row(table, f"gate: admission, {budgets_in_words(number)}", seconds["admit"])
    works = {
        f"{number} {hold is not None}": (admit_and_settle(number, hold), 10_000 // number)
        for number in NUMBERS
        for hold in (None, Hold(10**9, 2_200))
    }
    seconds = measure(works)
    for number in NUMBERS:
        named = f"engine: admission and settlement, {budgets_in_words(number)}"
        row(table, named, seconds[f"{number} False"])
        row(table, "  the same with a hold", seconds[f"{number} True"])
    most, fewest = NUMBERS[-1], NUMBERS[0]
    more = (seconds[f"{most} False"] - seconds[f"{fewest} False"]) / (most - fewest)
    row(table, "  a budget more", more)


def some_budgets(number: int) -> list[Budget]:
    """Budgets that are never used up, of all kinds in turn."""
    never = 10**15
    kinds: tuple[dict[str, Any], ...] = (
        {"cost_usd": 9_000_000},
        {"cost_usd": 9_000_000, "per": "tenant.id", "window": "day"},
        {"tokens": never, "per": "run"},
        {"calls": never, "per": ["tenant.id", "user.id"]},
        {"cost_usd": 9_000_000, "reserve": True, "shares": {"tenant.id": {"acme": "0.5"}}},
        {"input_tokens": never, "output_tokens": never},
        {"seconds": 10**8, "calls": never},
        {"tokens": never, "per": "tenant.id", "window": "1h"},
        {"tokens": never, "per": "process", "mode": "audit"},
        {"cost_usd": 9_000_000, "where": {"tenant.id": "acme"}},
    )
    return [Budget(name=f"b{at}", **kinds[at % len(kinds)]) for at in range(number)]


def budgets_in_words(number: int) -> str:
    return "one budget" if number == 1 else f"{number} budgets of all kinds"


def passages(body: Mapping[str, object] | None) -> tuple[Callable[[], None], Callable[[], None]]:
    """Admits a call at a gate; and ends the oldest that is open."""
    opened: deque[Passage] = deque()
    number = count()

    def admit() -> None:
        passage = Passage.open(Request("openai", "gpt-4o", "chat", body))
        if passage is not None:
            opened.append(passage)

    def end() -> None:
        each = next(number)
        usage = {"prompt_tokens": each, "completion_tokens": 300}
        opened.popleft().read({"id": f"chatcmpl-{each}", "model": "gpt-4o", "usage": usage})

    return admit, end


def gated_calls() -> Callable[[], None]:
    admit, end = passages(None)

    def call() -> None:
        admit()
        end()

    return call


def tap() -> None:
    passage = Passage.open(Request("openai", "gpt-4o", "chat"))
    if passage is not None:
        for _ in passage.tap_sync([CHUNK] * CHUNKS):
            pass


def loop() -> None:
    for _ in iter([CHUNK] * CHUNKS):
        pass


def admit_and_settle(number: int, hold: Hold | None) -> Callable[[], object]:
    """Admits and settles a call of one tenant, a millisecond after the last."""
    engine = Engine(some_budgets(number))
    usage = TokenUsage(1_200, 300)
    charge, place = Charge("gpt-4o", 1_500, 10**9, usage=usage), Place("a" * 32, (), TENANT)
    times = count(1_767_225_600 * 10**9, 10**6)

    def work() -> None:
        at_ns = next(times)
        decision = engine.admit(engine.accounts(place, at_ns), Attempt(at_ns, hold))
        if isinstance(decision, Admission):
            engine.settle(decision, charge)

    return work


def threads(table: Table) -> None:
    """How many LLM spans and gated calls a second many threads make, beside the bare SDK."""
    with watched_by() as processor:
        for number in (1, 8):
            works = {
                "bare": lambda: spans_of(None, is_llm=True),
                "ours": lambda: spans_of(processor, is_llm=True),
                "calls": gated_calls,
            }
            rates: dict[str, list[float]] = {name: [] for name in works}
            for _ in range(ROUNDS):
                for name, make in works.items():
                    rates[name].append(in_threads(number, make))
            done = {name: Rounds(tuple(values)) for name, values in rates.items()}
            row(table, f"LLM spans, {number} threads", done["ours"], "spans/s")
            row(table, "  anchor: the bare SDK", done["bare"], "spans/s", ours=done["ours"])
            row(table, f"gated calls, {number} threads", done["calls"], "calls/s")


def in_threads(number: int, make_work: Callable[[], Callable[[], object]]) -> float:
    """Repetitions a second of a work over a number of threads, each with a work of its own."""
    times = 16_000 // number
    works = [(copy_context(), make_work()) for _ in range(number)]

    def repeat(work: Callable[[], object]) -> None:
        for _ in range(times):
            work()

    workers = [threading.Thread(target=run.run, args=(repeat, work)) for run, work in works]
    start = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return number * times / (time.perf_counter() - start)


def memory(table: Table) -> None:
    """What is kept of traces: those that are over, and spans that are open."""
    with watched_by() as processor:
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(processor)
        tracer = provider.get_tracer("opentelemetry.instrumentation.genai.openai")
        tracemalloc.start()
        empty = tracemalloc.get_traced_memory()[0]
        for _ in range(TRACES):
            span = tracer.start_span("chat", attributes=CHAT)
            if isinstance(span, Span):
                span.set_attributes({**USED, "gen_ai.response.id": f"chatcmpl-{id(span)}"})
            span.end()
        del span
        ended = tracemalloc.get_traced_memory()[0]
        row(table, "memory, a trace that is over", Rounds.of((ended - empty) / TRACES), "B")
        row(table, "  the budget's account of it alone", Rounds.of(account_bytes()), "B")
        own, bare = open_spans(processor), open_spans(None)
        tracemalloc.stop()
        row(table, "memory, an open span of a trace of five", Rounds.of(own - bare), "B")


def account_bytes() -> float:
    """Bytes of the account of one of many traces with a call each."""
    engine, charge = Engine([Budget(cost_usd="9000000")]), Charge("gpt-4o", 1_500, 10**9)
    before = tracemalloc.get_traced_memory()[0]
    for number in range(TRACES):
        decision = engine.admit(engine.accounts(Place(f"{number:032x}"), 1), Attempt(1))
        if isinstance(decision, Admission):
            engine.settle(decision, charge)
    return (tracemalloc.get_traced_memory()[0] - before) / TRACES


def open_spans(processor: BudgetSpanProcessor | None) -> float:
    """Bytes of one of many open spans."""
    provider = TracerProvider(shutdown_on_exit=False)
    if processor is not None:
        provider.add_span_processor(processor)
    tracer = provider.get_tracer("app")
    before = tracemalloc.get_traced_memory()[0]
    kept = []
    for _ in range(TRACES):
        root = tracer.start_span("root")
        context = set_span_in_context(root)
        kept += [root, *(tracer.start_span("s", context) for _ in range(OPEN_SPANS - 1))]
    bytes_each = (tracemalloc.get_traced_memory()[0] - before) / len(kept)
    for span in kept:
        span.end()
    return bytes_each
