"""From spans to model calls: read, priced and counted once, by the code that also runs live."""

import sys
from collections.abc import Iterable, Iterator
from functools import partial
from hashlib import blake2b
from importlib.resources import files
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec

from otelbudget.audit.cycles import cut_cycles
from otelbudget.audit.reading import create_read_spans
from otelbudget.audit.twins import drop_twins
from otelbudget.budgets.values import money
from otelbudget.errors import BudgetConfigError
from otelbudget.genai import semconv
from otelbudget.genai.reading import read_agent, read_call
from otelbudget.genai.usage import ModelCall, TokenUsage
from otelbudget.pricing.billing import UnknownModel, bill
from otelbudget.pricing.book import PriceBook
from otelbudget.store import sql
from otelbudget.store.store import Store

_load = partial(sql.load, "otelbudget.audit")
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class _Event(msgspec.Struct):
    name: str
    attributes: dict[str, Any] = {}
    time_unix_nano: int | None = None


_decode_events = msgspec.json.Decoder(list[_Event]).decode


def build_model_calls(store: Store, book: PriceBook) -> int:
    """Make the tables `model_calls` and `trace_roots`, and what they stand on, from the store's spans.

    A span that carries usage counts when none below it does; several spans that tell of one call
    count once. Parents that go round in a circle are cut at the earliest span.

    Returns:
        How many attributes held a token count that is none, such as NaN, and were ignored.
    """
    store.make_once(lambda: f"{_program()} {book.fingerprint()}", lambda: _build(store, book))
    (faults,) = store.row(_load("count_faulty_values"))
    return int(faults)


def _program() -> str:
    """A hash of all code that what is made of spans depends on."""
    code = blake2b(digest_size=16)
    for room in ("genai", "pricing", "store", "audit"):
        for folder in (files("otelbudget") / room, files("otelbudget") / room / "sql"):
            if folder.is_dir():
                for file in sorted(folder.iterdir(), key=lambda each: each.name):
                    if file.name.endswith((".py", ".sql")):
                        code.update(file.read_bytes())
    return code.hexdigest()


def _build(store: Store, book: PriceBook) -> None:
    distinct_spans(store)
    _run(store, "create_building", "create_span_links")
    cut_cycles(store)
    _read_calls(store, book)
    _run(store, "create_told_below", "create_counted_calls")
    has_platform, has_borrowed, any_without_id = store.row(_load("rare_calls"))
    if has_platform:
        _run(store, "insert_platform_calls")
    if has_borrowed:
        _run(store, "delete_repeated_borrowed")
    drop_twins(store, any_without_id=any_without_id)
    _run(store, "insert_calls_without_usage", "create_trace_roots", "create_call_parents")
    _run(store, "create_model_calls", "create_uncounted_calls", "drop_building")


def distinct_spans(store: Store) -> None:
    """Make the view `span_once`: of several deliveries of a span the more complete one."""
    _run(store, "create_repeated_deliveries", "create_span_once")


def _run(store: Store, *statements: str) -> None:
    for name in statements:
        store.execute(_load(name))


def _read_calls(store: Store, book: PriceBook) -> None:
    """Make the view `reported_calls` and the tables that it stands on.

    What is regular is read and priced in SQL, the rest by the library.
    """
    _run(store, "create_attribute_names")
    attributes = (key for (key,) in store.rows(_load("attribute_names")))
    store.execute(create_read_spans(attributes, priced_at=book.compiled_at_ns))
    _run(store, "create_rates", "create_priced_spans", "create_span_agents")
    models = store.rows(_load("models_to_price"))
    store.fill("memory.building.rates", [row for model in models for row in _rates(book, *model)])
    _run(store, "create_library_spans", "leave_to_library")
    _run(store, "create_library_calls", "create_faulty_values")
    _run(store, "create_reported_calls", "create_reported_costs")
    count = 0
    for rows in store.batches(_load("spans_to_read")):
        reported, agents, faulty = _read([SpanToRead(*row) for row in rows], book)
        store.fill("faulty_values", faulty)
        numbered = [(-1 - count - number, *row) for number, row in enumerate(reported)]
        count += len(reported)
        store.fill("library_calls", numbered)
        store.fill("span_agents", agents)


_EARLIEST, _LATEST = -(2**63), 2**63 - 1


def _rates(book: PriceBook, provider: str, model: str, tier: str) -> Iterator[tuple[Any, ...]]:
    """Rows of `rates`: what a model costs, by when."""
    starts, prices = book.history(provider or None, model or None, tier or None)
    for (start, end), price in zip(pairwise((_EARLIEST, *starts, _LATEST)), prices, strict=True):
        if price is None:
            continue
        rate = price.input_pusd_per_token
        write_rate = _or(price.cache_write_pusd_per_token, rate)
        yield (
            provider,
            model,
            tier,
            start,
            end,
            min((tier.above_input_tokens for tier in price.tiers), default=sys.maxsize),
            price.has_special,
            str(price.confidence),
            price.pusd_per_request,
            rate,
            price.output_pusd_per_token,
            _or(price.cache_read_pusd_per_token, rate),
            write_rate,
            _or(price.cache_write_1h_pusd_per_token, write_rate),
        )


def _or(rate: int | None, otherwise: int) -> int:
    return otherwise if rate is None else rate


class SpanToRead(NamedTuple):
    """A span that the library reads.

    Attributes:
        row: Its place among the spans.
        reads_span: Whether for what it tells itself, and not only for what gates wrote on it.
        trace_id: Its trace.
        span_id: Its id.
        service: Service that it comes from, None where not named.
        is_platform: The provider's platform made it.
        is_borrowed: A library wrote its own call onto it.
        is_error: It failed.
        scope_name: Its instrumentation scope.
        start: Start in unix ns, None where unknown.
        end: End in unix ns, None where unknown.
        attributes: Its attributes as JSON.
        events: Its events as JSON where a gate wrote on it, else None.
    """

    row: int
    reads_span: bool
    trace_id: str
    span_id: str
    service: str | None
    is_platform: bool
    is_borrowed: bool
    is_error: bool
    scope_name: str
    start: int | None
    end: int | None
    attributes: str
    events: str | None


def _read(
    spans: Iterable[SpanToRead], book: PriceBook
) -> tuple[list[tuple[Any, ...]], list[tuple[int, str]], list[tuple[int, str]]]:
    """Rows of `library_calls` (each but for its number), `span_agents` and `faulty_values`."""
    reported: list[tuple[Any, ...]] = []
    agents: list[tuple[int, str]] = []
    faults: list[tuple[int, str]] = []
    for span in spans:
        reported.extend(_event_row(span, event, book) for event in _call_events(span.events))
        if not span.reads_span:
            continue
        attributes = _decode(span.attributes)
        agent = read_agent(attributes)
        if agent is not None:
            agents.append((span.row, agent))
        if attributes.get(semconv.DECISION) == semconv.Decision.DENIED:
            continue
        call = read_call(
            attributes,
            scope_name=span.scope_name,
            start_time_unix_nano=span.start,
            end_time_unix_nano=span.end,
        )
        if call is not None:
            faults += ((span.row, key) for key in call.faults)
            call_id = attributes.get(semconv.CALL_ID)
            reported.append(_row(span, call_id, call, book, is_gate=False))
    return reported, agents, faults


def _call_events(text: str | None) -> Iterable[_Event]:
    """What gates wrote on a span, once for each call: every processor that watches writes it."""
    told: dict[object, _Event] = {}
    for event in _decode_events(text) if text else ():
        if event.name == semconv.CALL_EVENT:
            call_id = event.attributes.get(semconv.CALL_ID)
            if call_id not in told or semconv.INPUT_TOKENS in event.attributes:
                told[call_id] = event
    return told.values()


def _event_row(span: SpanToRead, event: _Event, book: PriceBook) -> tuple[Any, ...]:
    """A call that a gate read off a response, as a leaf below the span that was current there."""
    attributes = event.attributes
    start = attributes.get(semconv.CALL_START)
    call = read_call(
        attributes,
        start_time_unix_nano=start if isinstance(start, int) else event.time_unix_nano,
        end_time_unix_nano=event.time_unix_nano,
    )
    call = _with_stated_cost(call or ModelCall(), attributes.get(semconv.COST_USD))
    call_id = attributes.get(semconv.CALL_ID)
    is_failed = attributes.get(semconv.CALL_RELEASED) is True
    row = _row(span._replace(is_error=is_failed), call_id, call, book, is_gate=True)
    return (*row[:-1], msgspec.json.encode(attributes).decode())


def _with_stated_cost(call: ModelCall, cost_usd: object) -> ModelCall:
    """A call with the list cost that the application stated, where it is an amount."""
    if cost_usd is None:
        return call
    try:
        cost_pusd = money(cost_usd, semconv.COST_USD)
    except BudgetConfigError:
        return call
    usage = call.usage or TokenUsage(0, 0)
    return msgspec.structs.replace(call, usage=usage, list_cost_pusd=cost_pusd)


def _row(
    span: SpanToRead, call_id: object, call: ModelCall, book: PriceBook, *, is_gate: bool
) -> tuple[Any, ...]:
    """A row of `library_calls` but for its number."""
    usage = call.usage or TokenUsage(0, 0)
    charge = bill(call, book, UnknownModel.ALLOW)
    return (
        span.row,
        span.trace_id,
        span.span_id,
        span.service,
        call_id if isinstance(call_id, str) else None,
        is_gate,
        span.is_borrowed and not is_gate,
        span.is_platform and not is_gate,
        call.usage is not None,
        call.is_model_operation,
        span.is_error,
        call.operation,
        call.provider,
        call.request_model,
        call.response_model,
        call.response_id,
        call.service_tier,
        call.conversation,
        call.user,
        call.start_time_unix_nano,
        call.end_time_unix_nano,
        *msgspec.structs.astuple(usage),
        str(call.cache_rule),
        charge.list_cost_pusd,
        None if charge.confidence is None else str(charge.confidence),
        call.reported_cost_usd,
        None,
    )
