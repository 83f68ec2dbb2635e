"""What the totals do not say: each a count, example traces and, where it can be said, an amount."""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from otelbudget.audit.answers import answered
from otelbudget.audit.waste import Finding, find, waste
from otelbudget.pricing.book import PriceBook
from otelbudget.pricing.price import PriceConfidence
from otelbudget.store import sql
from otelbudget.store.store import Store

_load = partial(sql.load, "otelbudget.audit")

__all__ = ["Finding", "findings"]


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
        "finding_differing_duplicates",
        "warn",
        "Ended spans that were delivered again with other attributes",
        "the delivery that tells more counts; see who changes spans on their way",
    ),
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
_STREAMS = _Kind(
    "finding_streams_without_usage",
    "warn",
    "Streams without usage, among the calls without it",
    "most providers tell it in the last event of a stream only where that is asked for",
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


def findings(store: Store, book: PriceBook | None = None) -> tuple[Finding, ...]:
    """What is found in a store on which `build_model_calls` has run.

    Args:
        store: The store.
        book: The prices by which savings are counted; None: none are.
    """
    question = ("findings", None if book is None else book.fingerprint())
    return answered(store, tuple[Finding, ...], question, lambda: _find(store, book))


def _find(store: Store, book: PriceBook | None) -> tuple[Finding, ...]:
    store.execute(_load("create_repeated_usage"))
    found = [_finding(store, kind) for kind in _KINDS]
    if any(each.count for each in found if each.code == "calls_without_usage"):
        found.insert(1, _finding(store, _STREAMS))
    found += [
        _finding(store, kind, "finding_doubtful_prices", confidence=str(confidence))
        for confidence, kind in _PRICES.items()
    ]
    found += waste(store, book)
    found += _no_model_calls(store)
    return tuple(finding for finding in found if finding.count)


def _no_model_calls(store: Store) -> Iterator[Finding]:
    """What there is instead, where no span of all is a model call: silence could be our fault."""
    if store.is_narrowed:
        return
    for count, names in store.rows(_load("finding_no_model_calls")):
        text = (
            f"No model call among {count:,} spans; attributes seen: {', '.join(names or ['none'])}; "
            "calls are known by the attributes of the GenAI conventions and their dialects."
        )
        yield Finding("no_model_calls", "warn", text, count)


def _finding(store: Store, kind: _Kind, statement: str | None = None, **inputs: object) -> Finding:
    found = find(store, statement or kind.name, inputs)
    return Finding(
        kind.name.removeprefix("finding_"),
        kind.severity,
        f"{kind.what}: {found.count:,}; {kind.meaning}.",
        found.count,
        found.trace_ids,
        found.amount_pusd,
    )
