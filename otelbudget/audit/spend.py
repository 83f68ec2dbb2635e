"""What was spent, on what, and what the numbers do not say."""

from collections.abc import Sequence
from decimal import Decimal
from functools import partial

import msgspec

from otelbudget.audit.answers import answered
from otelbudget.audit.findings import Finding, findings
from otelbudget.audit.keys import Keys, check_told
from otelbudget.budgets.windows import DEFAULT_TIMEZONE
from otelbudget.pricing.book import PriceBook
from otelbudget.store import sql
from otelbudget.store.store import Store

_load = partial(sql.load, "otelbudget.audit")


class Totals(msgspec.Struct, frozen=True):
    """Sums over model calls.

    Attributes:
        traces: Traces; in a group, those with a call of the group.
        model_calls: Calls with usage, each counted once.
        input_tokens: Input tokens, cache reads and writes included.
        output_tokens: Output tokens, reasoning included.
        cache_read_input_tokens: Input tokens read from the provider's cache.
        cache_write_input_tokens: Input tokens written to the provider's cache.
        reasoning_output_tokens: Output tokens that were reasoning.
        cache_write_1h_input_tokens: Cache writes that are kept for an hour.
        audio_input_tokens: Input tokens that were audio.
        audio_output_tokens: Output tokens that were audio.
        image_input_tokens: Input tokens that were images.
        image_output_tokens: Output tokens that were images.
        web_searches: Searches that providers made and bill each.
        list_cost_pusd: Cost at list price in pico-USD, None where no call has a price.
        reported_cost_usd: What the spans themselves say, in USD, None where none says anything.
        unpriced_calls: Calls whose model has no known price; not in `list_cost_pusd`.
        unpriced_input_tokens: Their input tokens.
        unpriced_output_tokens: Their output tokens.
        calls_without_usage: Calls that did not fail and report no usage; not in `model_calls`.
        calls_without_time: Calls with usage whose start is unknown.
    """

    traces: int = 0
    model_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_write_input_tokens: int = 0
    reasoning_output_tokens: int = 0
    cache_write_1h_input_tokens: int = 0
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0
    image_input_tokens: int = 0
    image_output_tokens: int = 0
    web_searches: int = 0
    list_cost_pusd: int | None = None
    reported_cost_usd: Decimal | None = None
    unpriced_calls: int = 0
    unpriced_input_tokens: int = 0
    unpriced_output_tokens: int = 0
    calls_without_usage: int = 0
    calls_without_time: int = 0


class Group(msgspec.Struct, frozen=True):
    """The totals of the calls that share a key.

    Attributes:
        key: Value by key name; "(none)" where the calls carry none.
        totals: Their sums.
    """

    key: dict[str, str]
    totals: Totals


class InputFacts(msgspec.Struct, frozen=True):
    """What the spans that were read are like.

    Attributes:
        deliveries: Spans as they were delivered.
        distinct_spans: Spans by trace and span id.
        traces: Traces.
        period_start: Earliest start, unix ns, None without times.
        period_end: Latest end, unix ns, None without times.
        is_sampled: Whether a sampler says that it left traces out.
    """

    deliveries: int
    distinct_spans: int
    traces: int
    period_start: int | None
    period_end: int | None
    is_sampled: bool


class PricedShare(msgspec.Struct, frozen=True):
    """The calls whose prices are equally sure.

    Attributes:
        confidence: A `PriceConfidence`, or "unknown" where there is no price.
        model_calls: Calls with usage.
        list_cost_pusd: What they cost in pico-USD, None for those without a price.
    """

    confidence: str
    model_calls: int
    list_cost_pusd: int | None


class Spend(msgspec.Struct, frozen=True):
    """The answer of an audit.

    Attributes:
        input: What the spans are like.
        totals: Sums over all calls.
        groups: Sums by key, the dearest first.
        findings: What the totals do not say.
        confidence: How sure the prices are, the most calls first.
        groups_count: How many groups there are, those that were not asked for included.
        keys_without_values: Keys of which no call has a value.
        timezone: Whose calendar hours, days, weeks and months are.
        first_call_at: When the first call started, unix ns, None without times.
        last_call_at: When the last call started, unix ns, None without times.
    """

    input: InputFacts
    totals: Totals
    groups: tuple[Group, ...]
    findings: tuple[Finding, ...]
    confidence: tuple["PricedShare", ...] = ()
    groups_count: int = 0
    keys_without_values: tuple[str, ...] = ()
    timezone: str = DEFAULT_TIMEZONE
    first_call_at: int | None = None
    last_call_at: int | None = None


def spend(
    store: Store,
    by: Keys | Sequence[str] = ("model",),
    *,
    book: PriceBook | None = None,
    most: int | None = None,
) -> Spend:
    """What the store's model calls spent.

    Args:
        store: A store on which `build_model_calls` has run.
        by: What to group by: names of keys, or `Keys` where the calendar is not UTC.
        book: Prices by which findings say what would have been saved; None: they do not.
        most: How many groups to give, None for all.

    Raises:
        UnknownKeyError: A plain word that is no key, and that no span carries.
        BudgetConfigError: There is no such time zone.
    """
    keys = by if isinstance(by, Keys) else Keys(tuple(by))
    grouped = group_calls(store, keys, most)
    check_told(grouped.keys_without_values)
    [whole] = group_calls(store, Keys(())).groups
    (traces,) = store.row(_load("count_traces"))
    totals = msgspec.structs.replace(whole.totals, traces=traces)
    first, _, last = answered(
        store,
        tuple[int | None, int | None, int | None],
        ("call period",),
        lambda: store.row(_load("call_period")),
    )
    return Spend(
        input=input_facts(store),
        totals=totals,
        groups=grouped.groups,
        groups_count=grouped.count,
        findings=findings(store, book),
        confidence=_confidence(store),
        keys_without_values=grouped.keys_without_values,
        timezone=keys.timezone,
        first_call_at=first,
        last_call_at=last,
    )


class GroupedSpend(msgspec.Struct, frozen=True):
    """Sums by keys.

    Attributes:
        groups: The sums, the dearest first.
        count: How many groups there are, those that were not asked for included.
        keys_without_values: Keys of which no call has a value.
    """

    groups: tuple[Group, ...]
    count: int
    keys_without_values: tuple[str, ...]


def group_calls(store: Store, keys: Keys, most: int | None = None) -> GroupedSpend:
    """What the store's model calls spent by some keys; no keys give one group.

    Args:
        store: A store on which `build_model_calls` has run.
        keys: What to group by.
        most: How many groups to give, None for all.

    Raises:
        BudgetConfigError: There is no such time zone.
    """
    if most is None and keys.names:  # as many groups as calls, it may be: too many to keep
        return _group_calls(store, keys, most)
    question = ("groups", *keys, most)
    return answered(store, GroupedSpend, question, lambda: _group_calls(store, keys, most))


def _group_calls(store: Store, keys: Keys, most: int | None) -> GroupedSpend:
    prepared = keys.prepare(store)
    count = len(keys.names)
    rows = store.rows(prepared.statement, {"most": most})
    groups = (
        Group(dict(zip(keys.names, row[:count], strict=True)), Totals(*row[count:-1]))
        for row in rows
    )
    return GroupedSpend(tuple(groups), rows[0][-1] if rows else 0, prepared.without_values)


def input_facts(store: Store) -> InputFacts:
    """What the store's spans are like."""
    return answered(
        store, InputFacts, ("input",), lambda: InputFacts(*store.row(_load("input_facts")))
    )


def _confidence(store: Store) -> tuple[PricedShare, ...]:
    return answered(
        store,
        tuple[PricedShare, ...],
        ("confidence",),
        lambda: tuple(PricedShare(*row) for row in store.rows(_load("price_confidence"))),
    )
