"""When several spans or gates tell of one call: the rules that live counting and the audit share."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol, TypeVar

from otelbudget.genai import dialects, semconv
from otelbudget.genai.usage import TokenUsage

# Clocks of a gate and of a span are read at different moments.
TOLERANCE_NS = 5_000_000


class Teller(Protocol):
    """What one span, or one gate, tells of a call.

    Ids may be of any type that sorts, as long as all tellers use the same one.
    """

    @property
    def trace_id(self) -> Any:
        """Its trace."""

    @property
    def span_id(self) -> Any:
        """Its span."""

    @property
    def call_id(self) -> str | None:
        """Id of the gated call it belongs to, None without one."""

    @property
    def is_gate(self) -> bool:
        """A gate tells it, from the response itself."""

    @property
    def scope_name(self) -> str:
        """Instrumentation scope of the span."""

    @property
    def source(self) -> str:
        """What tells it: scope and span name, "" for a gate."""

    @property
    def response_id(self) -> str | None:
        """The provider's id of the response, None where not told."""

    @property
    def response_model(self) -> str | None:
        """The model that answered, None where not told."""

    @property
    def tokens(self) -> tuple[int, int]:
        """Input and output."""

    @property
    def detail(self) -> int:
        """How many kinds of cached tokens it tells; see `detail_of`."""

    @property
    def start(self) -> int | None:
        """Start in unix ns, None where unknown."""

    @property
    def end(self) -> int | None:
        """End in unix ns, None where unknown."""


T = TypeVar("T", bound=Teller)


def detail_of(usage: TokenUsage) -> int:
    """How many kinds of cached tokens a usage tells; of twins the one that tells more stays."""
    return (
        (usage.cache_read_input_tokens > 0)
        + (usage.cache_write_input_tokens > 0)
        + (usage.cache_write_1h_input_tokens > 0)
    )


def age(teller: Teller) -> tuple[int, Any, Any, str]:
    """Sorts by start, then by ids."""
    return teller.start or 0, teller.trace_id, teller.span_id, teller.call_id or ""


def merit(teller: Teller) -> tuple[bool, int, int, Any, Any, str]:
    """Sorts the best teller first: a gate, then more detail, then the later start."""
    start, trace_id, span_id, call_id = age(teller)
    return not teller.is_gate, -teller.detail, -start, trace_id, span_id, call_id


def period_of(teller: Teller) -> tuple[int, int]:
    """Start and end of a teller; both 0 where unknown."""
    start = teller.start or 0
    return start, max(start, teller.end or 0)


def periods(tellers: Sequence[T]) -> Iterator[list[T]]:
    """Runs of tellers that overlap in time, or touch; `tellers` are sorted by `age`."""
    period: list[T] = []
    latest = 0
    for each in tellers:
        start, end = period_of(each)
        if period and start > latest:
            yield period
            period = []
        latest = max(latest, end)
        period.append(each)
    if period:
        yield period


def repeats(period: Iterable[T], copies: Mapping[int, int] | None = None) -> Iterator[T]:
    """Of tellers with one response id that overlap in time, those that repeat a better one.

    Some servers give every response one id, so tellers of one source that tell of different tokens
    tell of different calls, and each gate is a call of its own.

    Args:
        period: Tellers with one response id; see `periods`.
        copies: By `id` of the teller: the number of its trace among those that hold the same span,
            where traces may be copies of each other.
    """
    ranked = sorted(period, key=merit)
    kept: set[tuple[int, int, int]] = set()
    for each in ranked:
        call = (*each.tokens, 1 if copies is None else copies[id(each)])
        if not each.is_gate and (each.source != ranked[0].source or call in kept):
            yield each
        kept.add(call)


def repeats_by_usage(tellers: Iterable[T]) -> list[T]:
    """Of tellers in one trace with the same tokens, those without response id that repeat another.

    What they may repeat is a gate or, where both are of instrumentation libraries, a span with a
    response id and another scope. That one ended within the span, the response models are not known
    to differ, and it is repeated by at most one span of a scope; the nearest ends find each other.
    """
    told = list(tellers)
    spans = [
        each
        for each in told
        if not each.is_gate and each.response_id is None and each.start and each.end
    ]
    pairs = [
        (_distance(anchor.end, span), age(anchor), anchor_index, span_index)
        for anchor_index, anchor in enumerate(told)
        if anchor.end is not None and (anchor.is_gate or anchor.response_id is not None)
        for span_index, span in enumerate(spans)
        if _may_repeat(span, anchor) and _is_within(anchor.end, span)
    ]
    repeating: dict[int, T] = {}
    repeated: set[tuple[int, str]] = set()
    for _, _, anchor_index, span_index in sorted(pairs):
        place = anchor_index, spans[span_index].scope_name
        if span_index not in repeating and place not in repeated:
            repeating[span_index] = spans[span_index]
            repeated.add(place)
    return list(repeating.values())


def may_be_repeated_by_usage(teller: Teller) -> bool:
    """Whether a span that tells of a response id may be repeated by one that does not."""
    return _is_instrumentation(teller.scope_name)


@lru_cache(maxsize=1024)
def _is_instrumentation(scope_name: str) -> bool:
    return semconv.is_scope(scope_name, semconv.INSTRUMENTATION_SCOPES)


def _may_repeat(span: Teller, anchor: Teller) -> bool:
    if len({span.response_model, anchor.response_model} - {None}) > 1:
        return False
    return anchor.is_gate or (
        span.scope_name != anchor.scope_name
        and _is_instrumentation(span.scope_name)
        and _is_instrumentation(anchor.scope_name)
    )


def _distance(moment: int, span: Teller) -> tuple[int, int, Any]:
    start, end = period_of(span)
    return abs(end - moment), start, span.span_id


def _is_within(moment: int, span: Teller) -> bool:
    start, end = span.start or 0, span.end or 0
    return start - TOLERANCE_NS <= moment <= end + TOLERANCE_NS


def is_borrowed(attributes: Mapping[str, Any], scope_name: str) -> bool:
    """Whether a library wrote the span's call onto it; see `dialects.BORROWED`."""
    return any(
        key in attributes and not semconv.is_scope(scope_name, scopes)
        for key, scopes in dialects.BORROWED.items()
    )
