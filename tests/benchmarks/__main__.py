"""Measures the paths that must be fast, each beside its anchor, in interleaved rounds.

Machines are shared and noisy: the best of several rounds is shown, and ratios count.
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from itertools import count
from pathlib import Path

import duckdb
import genai_prices
from genai_prices import Usage
from opentelemetry.sdk.trace import Span, TracerProvider
from opentelemetry.trace import set_span_in_context
from rich.console import Console
from rich.table import Table

from otelbudget import Budget, BudgetSpanProcessor
from otelbudget.audit.calls import build_model_calls
from otelbudget.audit.replay import recorded_calls, replay
from otelbudget.audit.sweep import log_spaced, sweep
from otelbudget.budgets.config import Budgets, LimitKind
from otelbudget.budgets.decisions import Admission
from otelbudget.budgets.engine import Engine
from otelbudget.genai.reading import read_call
from otelbudget.genai.usage import TokenUsage
from otelbudget.ingest import ReadReport, read_traces
from otelbudget.live.gates.gated import Passage
from otelbudget.live.request import Request
from otelbudget.pricing.billing import Charge, UnknownModel
from otelbudget.pricing.book import PriceBook
from otelbudget.store.spans import Content, SpanRow
from otelbudget.store.store import Store

ROUNDS = 5
SPANS_IN_A_TRACE = 50
SAMPLE = Path(__file__).parent.parent.parent / "sample_traces" / "traces.jsonl"
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
PLAIN = '{"http.request.method":"POST","server.address":"api.openai.com","http.response.status_code":200}'
Measured = dict[str, float]


def seconds_per(work: Callable[[], object], times: int) -> float:
    """Seconds for one of many repetitions."""
    start = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - start) / times


def best(works: dict[str, tuple[Callable[[], object], int]]) -> Measured:
    """The best round of each work, all works taking turns in every round."""
    results: Measured = {}
    for _ in range(ROUNDS):
        for name, (work, times) in works.items():
            results[name] = min(results.get(name, 1e9), seconds_per(work, times))
    return results


@contextmanager
def budget_processor() -> Iterator[BudgetSpanProcessor]:
    processor = BudgetSpanProcessor(Budget(cost_usd="9000000", warn_at=()))
    try:
        yield processor
    finally:
        processor.shutdown()


def live(table: Table) -> None:
    """The processor's and the gate's part of an application's time."""
    number = count()
    bare = TracerProvider(shutdown_on_exit=False)
    watched = TracerProvider(shutdown_on_exit=False)
    with budget_processor() as processor:
        watched.add_span_processor(processor)

        def span(provider: TracerProvider, *, is_llm: bool) -> Callable[[], object]:
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

        results = best(
            {
                "span": (span(bare, is_llm=False), 5_000),
                "span watched": (span(watched, is_llm=False), 5_000),
                "llm span": (span(bare, is_llm=True), 5_000),
                "llm span watched": (span(watched, is_llm=True), 5_000),
                "gate": (pass_gate, 5_000),
                "engine": (admit_and_settle(), 5_000),
            }
        )
    row(
        table, "processor, span without GenAI attributes", results["span watched"] - results["span"]
    )
    row(table, "  anchor: the SDK's own create and end", results["span"])
    row(
        table,
        "processor, LLM span: read, bill, settle",
        results["llm span watched"] - results["llm span"],
    )
    row(table, "  anchor: the SDK's own create, attributes and end", results["llm span"])
    row(table, "gate: admission and release, one budget", results["gate"])
    row(table, "engine: admission and settlement", results["engine"])


def pass_gate() -> None:
    passage = Passage.open(Request("openai", "gpt-4o", "chat"))
    if passage is not None:
        passage.release()


def admit_and_settle() -> Callable[[], object]:
    engine = Engine([Budget(cost_usd="9000000", warn_at=())])
    charge = Charge("gpt-4o", 1500, 10**9)

    def work() -> None:
        decision = engine.admit("a" * 32)
        if isinstance(decision, Admission):
            engine.settle(decision, charge)

    return work


def prices(table: Table) -> None:
    """Reading and pricing one call."""
    book = PriceBook.load()
    usage = TokenUsage(1200, 300)
    at = 1_795_000_000_000_000_000
    attributes = {**CHAT, **USED}
    results = best(
        {
            "price": (lambda: book.price("openai", "gpt-4o", at).list_cost_pusd(usage), 20_000),  # type: ignore[union-attr] # gpt-4o has a price
            "anchor": (
                lambda: genai_prices.calc_price(
                    Usage(input_tokens=1200, output_tokens=300), "gpt-4o", provider_id="openai"
                ),
                200,
            ),
            "read": (lambda: read_call(attributes), 10_000),
        }
    )
    row(table, "price of a call", results["price"])
    row(table, "  anchor: genai_prices.calc_price", results["anchor"])
    row(table, "  ratio", results["anchor"] / results["price"], unit="x")
    row(table, "read_call", results["read"])


def store(table: Table, folder: Path) -> None:
    """Import, count, replay and sweep; lean spans."""
    lines = SAMPLE.read_bytes()
    file = folder / "spans.jsonl"
    file.write_bytes(lines * 20)
    content = Content(b"k" * 32)
    rows: list[SpanRow] = []
    start = time.perf_counter()
    for batch in read_traces([str(file)], content, ReadReport()):
        rows += batch
    read_seconds = time.perf_counter() - start
    start = time.perf_counter()
    Store().append(rows)
    append_seconds = time.perf_counter() - start
    some = rows[:1_000]
    connection = duckdb.connect(str(folder / "anchor.duckdb"))
    columns = ", ".join(f"c{index} varchar" for index in range(len(some[0])))
    connection.execute(f"create table anchor ({columns})")
    marks = ", ".join("?" * len(some[0]))
    start = time.perf_counter()
    connection.executemany(f"insert into anchor values ({marks})", some)
    many_seconds = (time.perf_counter() - start) / len(some)
    start = time.perf_counter()
    for line in file.read_bytes().splitlines():
        json.loads(line)
    json_seconds = time.perf_counter() - start
    row(table, "import: OTLP JSON to rows", len(rows) / read_seconds, unit="spans/s")
    row(table, "  anchor: json.loads of the same lines", len(rows) / json_seconds, unit="spans/s")
    row(table, "store: append", len(rows) / append_seconds, unit="spans/s")
    row(table, "  anchor: executemany", 1 / many_seconds, unit="spans/s")
    row(table, "  ratio", many_seconds * len(rows) / append_seconds, unit="x")
    audit(table, rows)


def audit(table: Table, rows: list[SpanRow]) -> None:
    """Model calls, replay and sweep of a store of distinct spans."""
    distinct = a_million_spans(rows[:1841])
    spans = distinct.count()
    book = PriceBook.load()
    start = time.perf_counter()
    build_model_calls(distinct, book)
    row(
        table,
        "model_calls from 1M spans, half of them plain",
        spans / (time.perf_counter() - start),
        unit="spans/s",
    )
    calls, _ = recorded_calls(distinct, book, UnknownModel.CEILING)
    start = time.perf_counter()
    replay(calls, Budgets((Budget(cost_usd="0.5"),)))
    row(table, "replay by the engine", len(calls) / (time.perf_counter() - start), unit="calls/s")
    kind = LimitKind.COST_USD
    limits = log_spaced(kind, Decimal("0.01"), Decimal(5), 1_000)
    start = time.perf_counter()
    sweep(distinct, calls, kind, limits)
    row(
        table, f"sweep of 1,000 limits, {len(calls):,} calls", time.perf_counter() - start, unit="s"
    )


def a_million_spans(rows: list[SpanRow]) -> Store:
    """The sample traces many times over, each with ids of its own and a plain span below each span."""
    store = Store()
    store.append(rows)
    store.append(
        [
            row._replace(
                span_id=f"{row.span_id[1:]}x",
                parent_span_id=row.span_id,
                attributes=PLAIN,
                events=None,
            )
            for row in rows
        ]
    )
    copies = 1_000_000 // store.count()
    store.execute("create table sample as from spans; truncate spans")
    store.execute(
        "insert into spans select sample.* replace (md5(trace_id || number) as trace_id, replace("
        "attributes, '\"gen_ai.response.id\":\"', '\"gen_ai.response.id\":\"' || number || '-')"
        f" as attributes) from sample, range({copies}) copies(number)"
    )
    store.execute("drop table sample")
    return store


def row(table: Table, name: str, value: float, *, unit: str = "us") -> None:
    """Adds a line; "us" turns seconds into microseconds."""
    if unit == "us":
        shown = f"{value * 1e6:,.2f}"
    else:
        shown = f"{value:,.2f}" if value < 100 else f"{value:,.0f}"
    table.add_row(name, shown, unit)


def main() -> None:
    table = Table("path", "figure", "unit", box=None)
    live(table)
    prices(table)
    with tempfile.TemporaryDirectory() as folder:
        store(table, Path(folder))
    Console().print(table)


if __name__ == "__main__":
    main()
