"""What the totals do not say: each a count, example traces and, where it can be said, an amount."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from otelbudget.pricing.book import PriceConfidence
from otelbudget.store import sql
from otelbudget.store.store import Store

_load = partial(sql.load, "otelbudget.audit")
_MAX_TRACE_IDS = 20


class Finding(msgspec.Struct, frozen=True):
    """Something about the traces that a reader of the totals should know.

    Attributes:
        code: Stable name.
        severity: "info" or "warn".
        text: One sentence with the remedy where there is one.
        count: How often.
        trace_ids: At most 20 traces where it is found.
        amount_pusd: What it amounts to in pico-USD, None where that cannot be said.
    """

    code: str
    severity: str
    text: str
    count: int
    trace_ids: tuple[str, ...] = ()
    amount_pusd: int | None = None


class _Kind(NamedTuple):
    """A kind of finding: its code, or the statement "finding_CODE" that looks for it."""

    name: str
    severity: str
    what: str
    meaning: str


_KINDS = (
    _Kind(
        "finding_calls_without_usage",
        "warn",
        "Calls without usage",
        "the totals are too low; for streams of chat completions set "
        "stream_options={'include_usage': true}",
    ),
    _Kind("finding_failed_calls", "info", "Failed calls", "they report no usage"),
    _Kind(
        "finding_unpriced_calls",
        "warn",
        "Unpriced calls",
        "their cost is missing, not zero; give their models a price or an alias with --prices",
    ),
    _Kind(
        "finding_reported_cost_differs",
        "info",
        "Calls that report another cost",
        "more than 1 % away from the list price",
    ),
    _Kind(
        "finding_unreadable_counts",
        "warn",
        "Token counts that are none, such as NaN",
        "they were ignored",
    ),
    _Kind(
        "finding_aggregates_differ",
        "info",
        "Spans that disagree with the calls below them",
        "the calls count",
    ),
    _Kind(
        "finding_repeated_usage",
        "info",
        "Spans that repeat the usage of calls below them",
        "not added again",
    ),
    _Kind(
        "finding_twin_calls",
        "info",
        "Spans that tell of a call which another instrumentation tells of",
        "not added again",
    ),
    _Kind("finding_duplicate_spans", "info", "Spans that were delivered again", "they count once"),
    _Kind(
        "finding_sampled_traces",
        "warn",
        "Sampled traces",
        "others were left out, so the totals are too low by about what is said here",
    ),
    _Kind(
        "finding_orphan_spans",
        "info",
        "Spans whose parent is missing",
        "what it carried may be missing too",
    ),
    _Kind(
        "finding_parent_cycles",
        "warn",
        "Parents that go round in a circle",
        "the earliest span counts as the top",
    ),
)
_PRICES = {
    PriceConfidence.ESTIMATED: _Kind(
        "estimated_prices",
        "warn",
        "Calls priced by a stand-in",
        "no price is known for their tier of service",
    ),
    PriceConfidence.FALLBACK: _Kind(
        "fallback_prices",
        "warn",
        "Calls priced by tokencost, whose prices froze in 2025-09",
        "the price book does not know their models",
    ),
    PriceConfidence.STALE: _Kind(
        "stale_prices",
        "warn",
        "Calls that began over 30 days after the prices were compiled",
        "refresh the prices",
    ),
    PriceConfidence.BEFORE_HISTORY: _Kind(
        "prices_before_history",
        "info",
        "Calls older than the first known price of their model",
        "it may have been another then",
    ),
}


def findings(store: Store) -> tuple[Finding, ...]:
    """What is found in a store on which `build_model_calls` has run."""
    found = [_finding(kind, store.rows(_load(kind.name))) for kind in _KINDS]
    found += [
        _finding(
            kind, store.rows(_load("finding_doubtful_prices"), {"confidence": str(confidence)})
        )
        for confidence, kind in _PRICES.items()
    ]
    return tuple(finding for finding in found if finding.count)


def _finding(kind: _Kind, rows: Sequence[tuple[str, int, int | None]]) -> Finding:
    count = sum(each for _, each, _ in rows)
    amounts = [amount for _, _, amount in rows if amount is not None]
    return Finding(
        kind.name.removeprefix("finding_"),
        kind.severity,
        f"{kind.what}: {count:,}; {kind.meaning}.",
        count,
        tuple(trace_id for trace_id, _, _ in rows[:_MAX_TRACE_IDS]),
        int(sum(amounts)) if amounts else None,
    )
