"""What traces tell of calls, as replay takes it: calls, refused attempts, tools and raised limits."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any, NamedTuple

import msgspec

from otelbudget.audit.happenings import Extension, Fate, RecordedCall, Recording, ToolCall
from otelbudget.audit.holds import Holds
from otelbudget.audit.memory import uncollected
from otelbudget.audit.places import RecordedPlaces
from otelbudget.budgets.config import Budget, LimitKind
from otelbudget.budgets.engine import Engine
from otelbudget.budgets.scopes import Place
from otelbudget.budgets.spent import TOKEN_CLASSES
from otelbudget.genai import dialects, semconv
from otelbudget.genai.reading import read_tool
from otelbudget.genai.usage import ModelCall, TokenUsage
from otelbudget.pricing.billing import Charge, UnknownModel, bill, pusd
from otelbudget.pricing.book import PriceBook
from otelbudget.pricing.price import PriceConfidence
from otelbudget.store import sql
from otelbudget.store.store import Store

_load = partial(sql.load, "otelbudget.audit")
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_NOTHING: Mapping[str, Any] = {}

_ADMITTED = (str(semconv.Decision.ALLOWED), str(semconv.Decision.AUDITED))
_EVENTS = (semconv.DENIED_EVENT, semconv.TOOL_EVENT, semconv.EXTENDED_EVENT)
_TOOLS = (
    semconv.EXECUTE_TOOL_OPERATION,
    *(
        name
        for name, operation in dialects.OPERATION_ALIASES.items()
        if operation == semconv.EXECUTE_TOOL_OPERATION
    ),
)


class _Event(msgspec.Struct):
    name: str
    attributes: dict[str, Any] = {}
    time_unix_nano: int | None = None


_decode_events = msgspec.json.Decoder(list[_Event]).decode


def recorded(
    store: Store,
    book: PriceBook,
    budgets: Sequence[Budget],
    unknown_model: UnknownModel,
    keys: Sequence[str] = (),
) -> Recording:
    """What the store's spans tell of the calls that budgets decide about.

    Args:
        store: A store on which `build_model_calls` has run.
        book: Prices.
        budgets: What will be replayed; what none of them asks for is not read.
        unknown_model: What a model without a known price counts as.
        keys: Further keys whose values are asked for.
    """
    with uncollected():
        return _Reader(store, book, Engine(budgets), unknown_model, keys).recording()


class _Mark(NamedTuple):
    """A span that tells of tools, refusals or raised limits."""

    span_row: int
    trace_id: str
    span_id: str
    parent_row: int | None
    scope_name: str
    start: int | None
    attributes: dict[str, Any]
    events: list[_Event]


class _Reader:
    """Reads a store once."""

    def __init__(
        self,
        store: Store,
        book: PriceBook,
        engine: Engine,
        unknown_model: UnknownModel,
        keys: Sequence[str],
    ) -> None:
        self._store, self._book, self._unknown_model = store, book, unknown_model
        self._has_classes = any(
            not TOKEN_CLASSES.keys().isdisjoint(each.limits) for each in engine.budgets
        )
        self._limits_tools = engine.is_limiting_tools
        self._is_timed = engine.is_limiting_seconds
        self._marks = list(self._marked())
        self._places = RecordedPlaces(
            store,
            tuple(dict.fromkeys([*engine.keys, *keys])),
            [mark.span_row for mark in self._marks],
            is_timed=engine.is_limiting_seconds,
        )
        self._holds = Holds(book, unknown_model) if engine.is_reserving else None
        self._timeless: list[Charge] = []

    def recording(self) -> Recording:
        calls = [*self._calls(), *self._attempts()]
        tools = [*self._tool_spans(), *self._tool_events()]
        return Recording(
            calls,
            self._timeless,
            tools,
            list(self._extensions()),
            dict(self._places.starts()) if self._is_timed else {},
            0 if self._holds is None else self._holds.assumed,
        )

    def _marked(self) -> Iterator[_Mark]:
        inputs = {
            "events": [f'"{name}"' for name in _EVENTS],
            "tools": [f'"{name}"' for name in _TOOLS] if self._limits_tools else [],
        }
        for *row, attributes, events in self._store.rows(_load("marked_spans"), inputs):
            told = _decode_events(events) if events else []
            yield _Mark._make((*row, _decode(attributes), told))

    def _calls(self) -> Iterator[RecordedCall]:
        facts = self._facts()
        for row in self._store.rows(_load("calls_to_replay")):
            call_row, span_row, trace_id, span_id, *asked, start, end = row[:9]
            has_usage, is_failed, told, cost = row[9:13]
            event = None if told is None else _decode(told)
            known = facts.get(call_row, _NOTHING)
            if event:
                known = {**known, **event}
            usage = TokenUsage(*row[13:])
            charge = self._charge(asked, start, usage, cost) if has_usage else _estimated(known)
            was_admitted = known.get(semconv.DECISION) in _ADMITTED
            if charge is None and not (is_failed and event) and not was_admitted:
                continue
            charge = charge or Charge()
            at_ns = known.get(semconv.CALL_START, start)
            if not isinstance(at_ns, int):
                self._timeless.append(charge)
                continue
            provider, _, requested = asked
            fate = Fate.RECORDED if known.get(semconv.CALL_RECORDED) is True else Fate.SETTLED
            if is_failed and not has_usage:
                fate = Fate.RELEASED
            yield RecordedCall(
                trace_id,
                span_id,
                at_ns,
                max(end or 0, at_ns + 1),
                charge,
                self._places.of(span_row, trace_id, event),
                None if self._holds is None else self._holds.of_call(known, asked, at_ns, usage),
                not charge.counted_pusd and self._book.is_free(provider, requested, at_ns),
                known.get(semconv.WRAP_UP) is True,
                fate,
            )

    def _facts(self) -> Mapping[int, Mapping[str, Any]]:
        """What was written on the spans of model calls, by call."""
        names = [semconv.CALL_START, semconv.WRAP_UP, semconv.DECISION]
        if self._holds is not None:
            names += self._holds.names
        inputs = {
            "names": [f'"{name}"' for name in names],
            "paths": [f"/{name}" for name in names],
        }
        rows = self._store.rows(_load("facts_of_calls"), inputs)
        return {
            row: {
                name: msgspec.json.decode(value)
                for name, value in zip(names, values, strict=True)
                if value is not None
            }
            for row, values in rows
        }

    def _charge(
        self, asked: Sequence[str | None], start: int | None, usage: TokenUsage, cost: int | None
    ) -> Charge:
        provider, model, _ = asked
        if cost is None:
            call = ModelCall(provider, model, start_time_unix_nano=start, usage=usage)
            return bill(call, self._book, self._unknown_model)
        classes = usage if self._has_classes else None
        return Charge(model, usage.total_tokens, cost, usage=classes)

    def _attempts(self) -> Iterator[RecordedCall]:
        """The calls that were refused: their usage is unknown."""
        for mark, event, at_ns in self._refusals(is_tool=False):
            told = event.attributes
            provider, model = told.get(semconv.PROVIDER_NAME), told.get(semconv.REQUEST_MODEL)
            yield RecordedCall(
                mark.trace_id,
                mark.span_id,
                at_ns,
                at_ns + 1,
                Charge(model),
                self._places.of(mark.span_row, mark.trace_id, told),
                None if self._holds is None else self._holds.of_attempt(told),
                self._book.is_free(provider, model, at_ns),
                told.get(semconv.WRAP_UP) is True,
                Fate.DENIED,
            )

    def _refusals(self, *, is_tool: bool) -> Iterator[tuple[_Mark, _Event, int]]:
        """Each refusal and its time; those beyond what events tell follow the last that is told of."""
        for mark in self._marks:
            told = [each for each in mark.events if _is_attempt(each)]
            untold = mark.attributes.get(semconv.DENIED_COUNT, 0) - len(told)
            last = told[-1:] if isinstance(untold, int) else []
            copies = [(each, more) for each in last for more in range(1, untold + 1)]
            for event, later in [*((each, 0) for each in told), *copies]:
                at_ns = event.attributes.get(semconv.CALL_START, event.time_unix_nano)
                if _is_tool(event.attributes) is is_tool and isinstance(at_ns, int):
                    yield mark, event, at_ns + later

    def _tool_spans(self) -> Iterator[ToolCall]:
        """Calls of tools that have spans; one below another of the same tool is the same call."""
        names = {mark.span_row: read_tool(mark.attributes) for mark in self._marks}
        for mark in self._marks if self._limits_tools else ():
            tool = names[mark.span_row]
            is_repeated = bool(tool) and names.get(mark.parent_row or -1) == tool
            was_denied = mark.attributes.get(semconv.DECISION) == semconv.Decision.DENIED
            if tool is None or is_repeated or mark.start is None or was_denied:
                continue
            is_stoppable = not semconv.is_scope(mark.scope_name, semconv.INSTRUMENTATION_SCOPES)
            place = self._places.of(mark.span_row, mark.trace_id)
            yield ToolCall(mark.trace_id, mark.span_id, mark.start, tool, place, is_stoppable)

    def _tool_events(self) -> Iterator[ToolCall]:
        """Calls of tools without a span of their own, and refused ones."""
        if not self._limits_tools:
            return
        for mark in self._marks:
            for event in mark.events:
                at_ns = event.attributes.get(semconv.CALL_START, event.time_unix_nano)
                if event.name == semconv.TOOL_EVENT and isinstance(at_ns, int):
                    yield self._tool(mark, event.attributes, at_ns)
        for mark, event, at_ns in self._refusals(is_tool=True):
            # A span that was refused is in time with the other spans.
            is_own = mark.attributes.get(semconv.DECISION) == semconv.Decision.DENIED
            yield self._tool(mark, event.attributes, mark.start or at_ns if is_own else at_ns)

    def _tool(self, mark: _Mark, told: Mapping[str, Any], at_ns: int) -> ToolCall:
        place = self._places.of(mark.span_row, mark.trace_id, told)
        tool = told.get(semconv.TOOL_NAME)
        return ToolCall(
            mark.trace_id, mark.span_id, at_ns, tool if isinstance(tool, str) else "", place
        )

    def _extensions(self) -> Iterator[Extension]:
        for mark in self._marks:
            for event in mark.events:
                if event.name == semconv.EXTENDED_EVENT and event.time_unix_nano is not None:
                    place = self._places.of(mark.span_row, mark.trace_id, event.attributes)
                    yield from _extension(event.attributes, event.time_unix_nano, place)


def _is_attempt(event: _Event) -> bool:
    return event.name == semconv.DENIED_EVENT and semconv.OPERATION_NAME in event.attributes


def _is_tool(told: Mapping[str, Any]) -> bool:
    return bool(told[semconv.OPERATION_NAME] == semconv.EXECUTE_TOOL_OPERATION)


def _estimated(known: Mapping[str, Any]) -> Charge | None:
    """What a call of unknown usage counts as; None where nobody has estimated it."""
    hold = Holds.told(known)
    if hold is None:
        return None
    usage = TokenUsage(hold.input_tokens, hold.output_tokens)
    model = known.get(semconv.REQUEST_MODEL)
    return Charge(model, hold.tokens, None, hold.cost_pusd, PriceConfidence.ESTIMATED, usage)


def _extension(told: Mapping[str, Any], at_ns: int, place: Place) -> Iterable[Extension]:
    try:
        kind = LimitKind(told.get(semconv.LIMIT_KIND, ""))
        by = Decimal(str(told.get(semconv.EXTENDED_BY)))
        more = _amount(kind, by)
    except (ValueError, InvalidOperation):
        return ()
    return (
        Extension(at_ns, place, told.get(semconv.RUN_ID), kind, more, told.get(semconv.BUDGET)),
    )


def _amount(kind: LimitKind, by: Decimal) -> int:
    match kind:
        case LimitKind.COST_USD:
            return pusd(by)
        case LimitKind.SECONDS:
            return int(by.scaleb(9))
        case _:
            return int(by)
