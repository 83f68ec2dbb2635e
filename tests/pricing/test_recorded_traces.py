"""The book prices every call of the recorded third-party traces as two independent readers did."""

import json
import os
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pytest

from otelbudget.genai.usage import TokenUsage
from otelbudget.pricing.book import PriceBook

TRACES = Path(
    os.environ.get(
        "OTELBUDGET_TRACES", Path(__file__).parents[2].joinpath("..", "shared", "traces")
    )
)
WHERE_THERE_IS_NO_TIME_NS = int(datetime(2026, 8, 22, tzinfo=UTC).timestamp()) * 10**9


class RecordedCall(NamedTuple):
    """A call as the independent readers found it; `cost_usd` is None where it has no price."""

    model: str
    start_ns: int
    usage: TokenUsage
    cost_usd: float | None
    matched: str | None


def recorded_calls() -> list[RecordedCall]:
    calls = []
    for path in sorted(TRACES.glob("expected/[!_]*.json")):
        for file in json.loads(path.read_bytes())["files"]:
            for call in file["calls"]:
                usage = TokenUsage(
                    int(call["input_incl_cache"]),
                    int(call["output"]),
                    int(call["cache_read"]),
                    int(call["cache_write"]),
                )
                calls.append(
                    RecordedCall(
                        call["model"],
                        call["start_ns"] or WHERE_THERE_IS_NO_TIME_NS,
                        usage,
                        call["cost_usd"],
                        file["per_model"].get(call["model"], {}).get("matched"),
                    )
                )
    return calls


def is_what_was_recorded(found: tuple[str, int] | None, call: RecordedCall) -> bool:
    """Whether row and cost in pico-USD are the recorded ones, to 1e-9 dollars."""
    if found is None or call.cost_usd is None:
        return found is None and call.cost_usd is None
    matched, cost_pusd = found
    difference_usd = Decimal(cost_pusd).scaleb(-12) - Decimal(call.cost_usd)
    return matched == call.matched and abs(difference_usd) <= Decimal("1e-9")


needs_traces = pytest.mark.skipif(
    not TRACES.joinpath("expected").is_dir(),
    reason=f"no recorded traces at {TRACES}; set OTELBUDGET_TRACES to their folder",
)


@needs_traces
def test_every_recorded_call_costs_what_the_independent_readers_found() -> None:
    book = PriceBook.load()
    differing = []
    for call in recorded_calls():
        price = book.price(None, call.model, call.start_ns)
        found = None if price is None else (price.matched, price.list_cost_pusd(call.usage))
        if not is_what_was_recorded(found, call):
            differing.append((call, found))

    assert differing == []


@needs_traces
def test_the_recorded_traces_hold_dozens_of_priced_calls() -> None:
    assert sum(call.cost_usd is not None for call in recorded_calls()) > 50
