"""From spans to model calls: read, priced and counted once, by the code that also runs live."""

from collections.abc import Iterable
from functools import partial
from typing import Any

import msgspec

from otelbudget.audit.cycles import cut_cycles
from otelbudget.audit.twins import drop_twins
from otelbudget.genai import dialects, semconv
from otelbudget.genai.reading import read_call
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
    """Make the tables `span_once`, `model_calls` and `trace_roots` from the store's spans.

    A span that carries usage counts when none below it does; several spans that tell of one call
    count once. Parents that go round in a circle are cut at the earliest span.

    Returns:
        How many attributes held a token count that is none, such as NaN, and were ignored.
    """
    for table in ("create_span_once", "create_reported_calls", "create_span_agents"):
        store.execute(_load(table))
    cut_cycles(store)
    faults = 0
    for rows in store.batches(_load("candidate_spans")):
        reported, agents, faulty = _read(rows, book)
        faults += faulty
        store.fill("reported_calls", reported)
        store.fill("span_agents", agents)
    for table in ("create_usage_path", "create_counted_calls"):
        store.execute(_load(table))
    drop_twins(store)
    for table in ("insert_calls_without_usage", "create_trace_roots", "create_model_calls"):
        store.execute(_load(table))
    return faults


def distinct_spans(store: Store) -> None:
    """Make the table `span_once`: of several deliveries of a span the more complete one."""
    store.execute(_load("create_span_once"))


def _read(
    rows: list[tuple[Any, ...]], book: PriceBook
) -> tuple[list[tuple[Any, ...]], list[tuple[str, str, str]], int]:
    """Rows of `reported_calls` and `span_agents`, and the number of faulty counts."""
    reported: list[tuple[Any, ...]] = []
    agents: list[tuple[str, str, str]] = []
    faults = 0
    for trace_id, span_id, scope_name, start, end, status_code, text, events in rows:
        attributes = _decode(text)
        is_error = status_code == _STATUS_ERROR
        if attributes.get(semconv.DECISION) != semconv.Decision.DENIED:
            call = read_call(
                attributes,
                scope_name=scope_name,
                start_time_unix_nano=start,
                end_time_unix_nano=end,
            )
            if call is not None:
                faults += len(call.faults)
                call_id = attributes.get(semconv.CALL_ID)
                reported.append(
                    _row(trace_id, span_id, call_id, call, book, is_gate=False, is_error=is_error)
                )
        reported.extend(
            _event_row(trace_id, span_id, event, book) for event in _call_events(events)
        )
        agent = read_agent(attributes)
        if agent is not None:
            agents.append((trace_id, span_id, agent))
    return reported, agents, faults


_STATUS_ERROR = 2


def _call_events(text: str | None) -> Iterable[_Event]:
    """What gates wrote on a span, once for each call: every processor that watches writes it."""
    told: dict[object, _Event] = {}
    for event in _decode_events(text) if text else ():
        if event.name == semconv.CALL_EVENT:
            call_id = event.attributes.get(semconv.CALL_ID)
            if call_id not in told or semconv.INPUT_TOKENS in event.attributes:
                told[call_id] = event
    return told.values()


def read_agent(attributes: dict[str, Any]) -> str | None:
    """The agent that a span's attributes name."""
    for key in dialects.FIELDS["agent"]:
        value = attributes.get(key)
        if isinstance(value, str) and value:
            return value
    return None


def _event_row(trace_id: str, span_id: str, event: _Event, book: PriceBook) -> tuple[Any, ...]:
    """A call that a gate read off a response, as a leaf below the span that was current there."""
    attributes = event.attributes
    start = attributes.get(semconv.CALL_START)
    call = read_call(
        attributes,
        start_time_unix_nano=start if isinstance(start, int) else event.time_unix_nano,
        end_time_unix_nano=event.time_unix_nano,
    )
    call_id = attributes.get(semconv.CALL_ID)
    return _row(trace_id, span_id, call_id, call or ModelCall(), book, is_gate=True, is_error=False)


def _row(  # noqa: PLR0913 - the columns of a table
    trace_id: str,
    span_id: str,
    call_id: object,
    call: ModelCall,
    book: PriceBook,
    *,
    is_gate: bool,
    is_error: bool,
) -> tuple[Any, ...]:
    usage = call.usage or TokenUsage(0, 0)
    charge = bill(call, book, UnknownModel.ALLOW)
    return (
        trace_id,
        span_id,
        call_id if isinstance(call_id, str) else None,
        is_gate,
        call.usage is not None,
        call.is_model_operation,
        is_error,
        call.operation,
        call.provider,
        call.request_model,
        call.response_model,
        call.response_id,
        call.start_time_unix_nano,
        call.end_time_unix_nano,
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_input_tokens,
        usage.cache_write_input_tokens,
        usage.reasoning_output_tokens,
        str(call.cache_rule),
        charge.list_cost_pusd,
        call.reported_cost_usd,
    )
