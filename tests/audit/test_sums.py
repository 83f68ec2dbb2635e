"""Sums do not depend on the order of spans, on how they are batched, nor on the number of workers."""

import random
from pathlib import Path

import pytest

from otelbudget.audit.calls import build_model_calls
from otelbudget.audit.spend import Spend, spend
from otelbudget.ingest import ReadReport, read_traces
from otelbudget.pricing.book import PriceBook
from otelbudget.store.spans import Content, SpanRow
from otelbudget.store.store import Store

SAMPLE = Path(__file__).parent.parent.parent / "sample_traces" / "traces.jsonl"
BOOK = PriceBook.load()
BY = ("model", "agent", "workflow")


@pytest.fixture(scope="module")
def spans() -> list[SpanRow]:
    """The sample traces, with deliveries that repeat each other and one that is still open."""
    rows = [
        row for rows in read_traces([str(SAMPLE)], Content(b"k" * 32), ReadReport()) for row in rows
    ]
    again = [row._replace(attributes=row.attributes.replace("1", "2")) for row in rows[::97]]
    still_open = [row._replace(end_time_unix_nano=None) for row in rows[::89]]
    return [*rows, *again, *still_open]


def answer(spans: list[SpanRow], *, batch: int, workers: int) -> Spend:
    store = Store()
    store.execute(f"set threads = {workers}")
    for start in range(0, len(spans), batch):
        store.append(spans[start : start + batch])
    build_model_calls(store, BOOK)
    result = spend(store, BY)
    store.close()
    return result


@pytest.mark.parametrize("workers", [1, 8])
@pytest.mark.parametrize(("seed", "batch"), [(0, 7), (1, 100), (2, 1_000), (3, 10**6)])
def test_sums_are_equal_to_the_last_pico_dollar(
    spans: list[SpanRow], seed: int, batch: int, workers: int
) -> None:
    expected = answer(spans, batch=10**6, workers=2)
    shuffled = list(spans)
    random.Random(seed).shuffle(shuffled)  # noqa: S311 - an order, no secret

    assert answer(shuffled, batch=batch, workers=workers) == expected
    assert expected.totals.list_cost_pusd is not None
