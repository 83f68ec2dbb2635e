"""Measures the paths that must be fast, each beside its anchor, in interleaved rounds.

Machines are shared and noisy: the best of several rounds is shown, and ratios count.
"""

import json
import tempfile
import time
from decimal import Decimal
from pathlib import Path

import duckdb
import genai_prices
from genai_prices import Usage
from rich.console import Console
from rich.table import Table

from otelbudget import Budget
from otelbudget.audit.calls import build_model_calls
from otelbudget.audit.judging import judge
from otelbudget.audit.recorded import recorded
from otelbudget.audit.replay import replay
from otelbudget.audit.sweep import log_spaced, sweep
from otelbudget.budgets.config import Budgets, LimitKind
from otelbudget.genai.reading import read_call
from otelbudget.genai.usage import TokenUsage
from otelbudget.ingest import ReadReport, read_traces
from otelbudget.pricing.billing import UnknownModel
from otelbudget.pricing.book import PriceBook
from otelbudget.store.spans import Content, SpanRow
from otelbudget.store.store import Store
from tests.benchmarks import live
from tests.benchmarks.timing import best, row

SAMPLE = Path(__file__).parent.parent.parent / "sample_traces" / "traces.jsonl"
PLAIN = '{"http.request.method":"POST","server.address":"api.openai.com","http.response.status_code":200}'


def prices(table: Table) -> None:
    """Reading and pricing one call."""
    book = PriceBook.load()
    usage = TokenUsage(1200, 300)
    at = 1_795_000_000_000_000_000
    attributes = {**live.CHAT, **live.USED}
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
    budget = Budget(cost_usd="0.5")
    recording = recorded(distinct, book, [budget], UnknownModel.CEILING)
    calls = len(recording.calls)
    start = time.perf_counter()
    replay(recording, Budgets((budget,)))
    row(table, "replay by the engine", calls / (time.perf_counter() - start), unit="calls/s")
    kind = LimitKind.COST_USD
    limits = log_spaced(kind, Decimal("0.01"), Decimal(5), 1_000)
    verdicts = judge(distinct)
    start = time.perf_counter()
    sweep(distinct, recording, budget, kind, limits, verdicts)
    row(table, f"sweep of 1,000 limits, {calls:,} calls", time.perf_counter() - start, unit="s")


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


def main() -> None:
    table = Table("path", "figure", "unit", box=None)
    live.spans(table)
    live.gates(table)
    live.many_budgets(table)
    live.threads(table)
    live.memory(table)
    prices(table)
    with tempfile.TemporaryDirectory() as folder:
        store(table, Path(folder))
    Console().print(table)


if __name__ == "__main__":
    main()
