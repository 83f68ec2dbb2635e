"""Money that may have been spent for nothing: repeats, loops, retries, lost caches, dear models."""

import re
from collections.abc import Iterator
from functools import partial
from string import Template

import msgspec

from otelbudget.genai import semconv
from otelbudget.pricing.book import PriceBook
from otelbudget.pricing.price import Price
from otelbudget.store import sql
from otelbudget.store.store import Store

_load = partial(sql.load, "otelbudget.audit")

TINY_TOKENS = 16
"""The most output tokens of an answer that is tiny."""
RETRY_WITHIN_NS = 300 * 10**9
"""How long after a failed call the next one is its retry, where no content says that it is."""
_SMALLER = (
    ("opus", "haiku"),
    ("sonnet", "haiku"),
    ("-pro", "-flash"),
    ("-large", "-small"),
    ("", "-mini"),
)
_ASKED = "|".join(
    re.escape(prefix)
    for prefix in semconv.CONTENT_PREFIXES
    if re.search("input|prompt|request|system", prefix)
)
_PATTERNS = {
    "asked": f'"({_ASKED})',
    "message": r'"gen_ai[.](system|user|assistant|tool)[.]message|"gen_ai[.]client[.]inference',
}


class Found(msgspec.Struct, frozen=True):
    """What was found, in all.

    Attributes:
        count: How often.
        amount_pusd: What it amounts to in pico-USD, None where that cannot be said.
        trace_ids: At most 20 traces, those where it amounts to most first.
    """

    count: int
    amount_pusd: int | None
    trace_ids: tuple[str, ...]


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


def find(store: Store, statement: str, inputs: dict[str, object] | None = None) -> Found:
    """Sum what the statement "finding_CODE" finds by trace."""
    summed = Template(_load("sum_finding")).substitute(statement=_load(statement))
    count, amount, trace_ids = store.row(summed, inputs)
    return Found(count, None if amount is None else int(amount), tuple(trace_ids or ()))


def waste(store: Store, book: PriceBook | None = None) -> Iterator[Finding]:
    """What may have been spent for nothing.

    Args:
        store: A store on which `build_model_calls` has run.
        book: The prices by which savings are counted; None: none are.
    """
    store.execute(_load("create_sibling_calls"))
    store.execute(_load("create_call_contents"), _PATTERNS)
    store.execute(_load("create_repeats"))
    store.execute(_load("create_loops"))
    yield from _repeats(store, "finding_loops")
    yield from _repeats(store, "finding_repeated_calls")
    yield from _retries(store)
    store.execute(_load("create_cheaper_rates"))
    smaller = _fill_rates(store, book) if book else {}
    calls, captured = store.row(_load("sample_content"), _PATTERNS)
    yield from _lost_caches(store, has_content=captured > 0)
    yield from _tiny_answers(store, smaller)
    if calls and not captured:
        yield _no_content(calls)


_SAID = {
    "finding_loops": (
        "loops",
        "Loops: the same call made five times or more in a row without an error",
        "stop them with a limit on calls or tool calls of a run",
    ),
    "finding_repeated_calls": (
        "repeated_calls",
        "Calls made again under the same parent, to the same model",
        "keep the first answer, or give the calls different content",
    ),
}


def _repeats(store: Store, statement: str) -> Iterator[Finding]:
    """Equal calls, by their content where it was captured, else by their tokens."""
    code, what, remedy = _SAID[statement]
    proven, likely = (find(store, statement, {"is_proven": by}) for by in (True, False))
    count = proven.count + likely.count
    if not count:
        return
    evidence = "by equal content"
    if likely.count:
        part = f"{likely.count:,} of them" if proven.count else "judged"
        evidence = (
            f"{part} by equal token counts alone, as no content was captured, so they may differ"
        )
    amounts = [each.amount_pusd for each in (proven, likely) if each.amount_pusd is not None]
    yield Finding(
        code,
        "warn" if proven.count else "info",
        f"{what}: {count:,}, {evidence}; {remedy}.",
        count,
        tuple(dict.fromkeys((*proven.trace_ids, *likely.trace_ids)))[:20],
        sum(amounts) if amounts else None,
    )


def _calls(count: int) -> str:
    return "1 call" if count == 1 else f"{count:,} calls"


def _retries(store: Store) -> Iterator[Finding]:
    found = find(store, "finding_retries", {"within_ns": RETRY_WITHIN_NS})
    if found.count:
        text = (
            f"Retries: {_calls(found.count)} right after a failed one of the same parent and model; "
            "what the failed ones cost is known only where they report usage."
        )
        yield Finding("retries", "info", text, *_facts(found))


def _lost_caches(store: Store, *, has_content: bool) -> Iterator[Finding]:
    store.execute(_load("create_lost_caches"))
    if has_content:
        store.execute(_load("insert_repeated_prefixes"), {"asked": _PATTERNS["asked"]})
    found = find(store, "finding_lost_caches")
    if found.count:
        text = (
            f"Cache misses: {_calls(found.count)} read nothing from the cache though what they begin "
            "with repeats that of the call before; keep the start of prompts the same, and mark it "
            "for caching where the provider asks for that."
        )
        yield Finding("cache_misses", "warn", text, *_facts(found))


def _tiny_answers(store: Store, smaller: dict[str, str]) -> Iterator[Finding]:
    found = find(store, "finding_dear_tiny_answers", {"tiny_tokens": TINY_TOKENS})
    if found.count:
        pairs = ", ".join(f"{small} for {model}" for model, small in sorted(smaller.items()))
        text = (
            f"Answers of at most {TINY_TOKENS} tokens by dear models: {found.count:,}; if a smaller "
            f"one gives the same ({pairs}), this is what the same tokens cost less: try it on some."
        )
        yield Finding("dear_tiny_answers", "info", text, *_facts(found))


def _no_content(calls: int) -> Finding:
    text = (
        "No content of calls was captured, so repeats are judged by token counts and lost caches "
        "only by what the cache reports; where an instrumentation captures content, its hashes are "
        "kept, not its text."
    )
    return Finding("no_content", "info", text, calls)


def _facts(found: Found) -> tuple[int, tuple[str, ...], int | None]:
    return found.count, found.trace_ids, found.amount_pusd


def _fill_rates(store: Store, book: PriceBook) -> dict[str, str]:
    """Fill `cheaper_rates`; returns the smaller model by each for which one is known."""
    smaller: dict[str, str] = {}
    rows = []
    for provider, model, tier, start in store.rows(_load("models_of_calls")):
        at_ns = book.compiled_at_ns if start is None else start
        price = book.price(provider, model, at_ns, tier)
        if price is None:
            continue
        small = _smaller(book, provider, price, at_ns, tier)
        rates: tuple[int | None, ...] = (None, None, None)
        if small is not None:
            smaller[price.model] = small.model
            rates = (small.input_pusd_per_token, _read_rate(small), small.output_pusd_per_token)
        saves = max(price.input_pusd_per_token - _read_rate(price), 0)
        rows.append((provider, model, tier, saves, *rates))
    store.fill("cheaper_rates", rows)
    return smaller


def _smaller(
    book: PriceBook, provider: str | None, price: Price, at_ns: int, tier: str | None
) -> Price | None:
    """A smaller model of the family, where the book knows one at half the price or less."""
    for word, smaller in _SMALLER:
        name = price.model.replace(word, smaller, 1) if word else price.model + smaller
        found = book.price(provider, name, at_ns, tier) if name != price.model else None
        if (
            found is not None
            and found.model == name
            and 2 * found.input_pusd_per_token <= price.input_pusd_per_token
            and 2 * found.output_pusd_per_token <= price.output_pusd_per_token
        ):
            return found
    return None


def _read_rate(price: Price) -> int:
    rate = price.cache_read_pusd_per_token
    return price.input_pusd_per_token if rate is None else rate
