"""One trace as a tree: what each span used and cost, and what of it does not count, and why."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec

from otelbudget.audit.spend import input_facts
from otelbudget.errors import OtelBudgetError
from otelbudget.genai import semconv
from otelbudget.genai.reading import read_agent, read_tool
from otelbudget.store import sql
from otelbudget.store.store import Store

_load = partial(sql.load, "otelbudget.audit")
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_NEVER = 2**63

DENIED = "refused by a budget"
AGGREGATE = "repeats what is told below"
OF_THE_GATE = "told by its gate"
OF_THE_PLATFORM = "told by the client too"
TWIN = "another span tells of the same call"
WITHOUT_USAGE = "no usage reported"
TOLD_ABOVE = "no usage reported, but by a span above"
FAILED = "failed without usage"
UNPRICED = "no known price"


class TraceNotFoundError(OtelBudgetError, LookupError):
    """No trace, or more than one, has an id that begins so.

    Attributes:
        trace_id: What was looked for.
        found: Some ids that begin so.
        count: How many traces there are.
    """

    def __init__(self, trace_id: str, found: Sequence[str], count: int) -> None:
        if found:
            ids = ", ".join(found)
            sentence = f"Several traces begin with {trace_id!r}: {ids}; give more of the id."
        elif count:
            sentence = (
                f"No trace of the {count:,} in these sources begins with {trace_id!r}; "
                "`budget-audit audit --by trace` lists them."
            )
        else:
            sentence = f"No trace begins with {trace_id!r}: the sources hold no span."
        super().__init__(sentence)
        self.trace_id = trace_id
        self.found = tuple(found)
        self.count = count


class CallUsage(msgspec.Struct, frozen=True):
    """What a model call used.

    Attributes:
        is_gate: A gate told of it, as a leaf below the span that was current there.
        has_usage: Its usage is known; else every count is 0.
        is_error: It failed.
        operation: Operation in the words of the conventions; "" where unknown.
        provider: Provider, None where not named.
        model: Model that answered, else the one asked for; None where not named.
        agent: The agent that it belongs to, None where not known.
        start_time_unix_nano: Start, None where unknown.
        end_time_unix_nano: End, None where unknown.
        input_tokens: All input.
        output_tokens: All output.
        cache_read_input_tokens: Part of the input read from the cache.
        cache_write_input_tokens: Part of the input written to the cache.
        reasoning_output_tokens: Part of the output that was reasoning.
        list_cost_pusd: List cost in pico-USD, None where unknown.
        confidence: A `PriceConfidence`, None where there is no price.
    """

    is_gate: bool
    has_usage: bool
    is_error: bool
    operation: str | None
    provider: str | None
    model: str | None
    agent: str | None
    start_time_unix_nano: int | None
    end_time_unix_nano: int | None
    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int
    cache_write_input_tokens: int
    reasoning_output_tokens: int
    list_cost_pusd: int | None
    confidence: str | None


class Node(msgspec.Struct):
    """A span of the tree, or a call that a gate told of below it.

    Attributes:
        span_id: Its span.
        parent: Place of its parent in the list of nodes, None at the top.
        depth: How many nodes lie above it.
        kind: "model call", "tool", "agent" or "span".
        name: Name of the span, or the operation and model of a call that a gate told of.
        service: Service that it comes from, None where not named.
        agent: Agent that it names or belongs to, None where not known.
        start_time_unix_nano: Start, None where unknown.
        end_time_unix_nano: End, None where unknown or not ended.
        is_error: It failed.
        error: What its status says, "" where nothing.
        is_orphan: Its parent is not among the spans.
        is_cut: Its parents go round in a circle, which is cut here.
        call: The model call that is counted for it, None for other spans.
        not_counted: Why what it tells is not counted, or not in full; None where all of it is.
        told_tokens: Tokens that it tells of and that are not counted.
        running_pusd: What the calls of the trace cost up to this one by their start, itself included,
            in pico-USD; None for spans that are no counted call with a price.
    """

    span_id: str
    parent: int | None
    depth: int
    kind: str
    name: str
    service: str | None
    agent: str | None
    start_time_unix_nano: int | None
    end_time_unix_nano: int | None
    is_error: bool
    error: str
    is_orphan: bool = False
    is_cut: bool = False
    call: CallUsage | None = None
    not_counted: str | None = None
    told_tokens: int = 0
    running_pusd: int | None = None


class TraceTree(NamedTuple):
    """A trace.

    Attributes:
        trace_id: Its id.
        nodes: Parents before their children, these by their start.
    """

    trace_id: str
    nodes: Sequence[Node]

    @property
    def calls(self) -> Iterator[CallUsage]:
        """The model calls that count, with usage or without."""
        return (node.call for node in self.nodes if node.call is not None)


def find_trace(store: Store, trace_id: str) -> str:
    """The trace whose id begins so.

    Raises:
        TraceNotFoundError: None does, or several do.
    """
    wanted = trace_id.strip().lower()
    rows = store.rows(_load("traces_like"), {"trace_id": wanted})
    found = [each for (each,) in rows if wanted]
    if wanted in found or len(found) == 1:
        return wanted if wanted in found else str(found[0])
    raise TraceNotFoundError(trace_id, found, input_facts(store).traces)


def trace_tree(store: Store, trace_id: str) -> TraceTree:
    """The spans of a trace, and what they used.

    Args:
        store: A store on which `build_model_calls` has run.
        trace_id: The whole id.
    """
    asked = {"trace_id": trace_id}
    spans = [_Span._make(row) for row in store.rows(_load("trace_spans"), asked)]
    told: dict[int, list[CallUsage]] = defaultdict(list)
    for _, span_row, *call in store.rows(_load("trace_calls"), asked):
        told[span_row].append(CallUsage(*call))
    tree = _Tree(spans, told)
    nodes = list(tree.nodes())
    uncounted = [_Uncounted._make(row) for row in store.rows(_load("trace_uncounted"), asked)]
    tree.mark(nodes, uncounted, trace_id)
    _add_up(nodes)
    return TraceTree(trace_id, nodes)


class _Span(NamedTuple):
    """A row of `trace_spans`."""

    span_row: int
    span_id: str
    parent_row: int | None
    parent_span_id: str | None
    is_orphan: bool
    name: str
    service: str | None
    start: int | None
    end: int | None
    is_error: bool
    status_message: str | None
    attributes: str
    has_denials: bool


class _Uncounted(NamedTuple):
    """A row of `trace_uncounted`."""

    span_row: int
    has_usage: bool
    is_platform: bool
    is_told_by_gate: bool
    counted_in: str | None
    input_tokens: int
    output_tokens: int


class _Tree:
    """Puts spans in order."""

    def __init__(self, spans: Sequence[_Span], told: Mapping[int, Sequence[CallUsage]]) -> None:
        self._told = told
        self._below: dict[int | None, list[_Span]] = defaultdict(list)
        for span in spans:
            self._below[span.parent_row].append(span)
        self._places: dict[int, int] = {}

    def nodes(self) -> Iterator[Node]:
        """Parents before their children; without recursion, since traces may be deep."""
        waiting = [(span, None, 0) for span in reversed(self._below[None])]
        place = 0
        while waiting:
            span, parent, depth = waiting.pop()
            self._places[span.span_row] = here = place
            yield self._node(span, parent, depth)
            place += 1
            for call in self._told.get(span.span_row, ()):
                if call.is_gate:
                    yield _leaf(span, call, here, depth + 1)
                    place += 1
            children = reversed(self._below.get(span.span_row, ()))
            waiting += [(child, here, depth + 1) for child in children]  # type: ignore[misc]  # int | None

    def mark(self, nodes: Sequence[Node], uncounted: Iterable[_Uncounted], trace_id: str) -> None:
        """Say of each node what does not count, and why."""
        above = self._above_usage(nodes)
        for row in uncounted:
            place = self._places.get(row.span_row)
            if place is None or (place in above and not row.has_usage):
                continue
            node = nodes[place]
            node.told_tokens += row.input_tokens + row.output_tokens
            node.not_counted = node.not_counted or _why(row, trace_id, is_above=place in above)
            node.kind = "model call" if node.kind == "span" else node.kind

    def _above_usage(self, nodes: Sequence[Node]) -> set[int]:
        """The places of the nodes with usage below them."""
        above: set[int] = set()
        for node in nodes:
            if node.call is None or not node.call.has_usage:
                continue
            at = node.parent
            while at is not None and at not in above:
                above.add(at)
                at = nodes[at].parent
        return above

    def _node(self, span: _Span, parent: int | None, depth: int) -> Node:
        attributes = _decode(span.attributes)
        call = next((each for each in self._told.get(span.span_row, ()) if not each.is_gate), None)
        agent, tool = read_agent(attributes), read_tool(attributes)
        is_denied = attributes.get(semconv.DECISION) == semconv.Decision.DENIED
        kind = "span"
        if call is not None:
            kind, agent = "model call", agent or call.agent
        elif tool is not None:
            kind = "tool"
        elif agent is not None:
            kind = "agent"
        return Node(
            span.span_id,
            parent,
            depth,
            kind,
            span.name,
            span.service,
            agent,
            span.start,
            span.end,
            span.is_error,
            span.status_message or "",
            span.is_orphan,
            span.parent_row is None and bool(span.parent_span_id) and not span.is_orphan,
            call,
            DENIED if is_denied or span.has_denials else _lacking(call),
        )


def _leaf(span: _Span, call: CallUsage, parent: int, depth: int) -> Node:
    """A call that a gate told of."""
    return Node(
        span.span_id,
        parent,
        depth,
        "model call",
        f"{call.operation or 'call'} {call.model or ''}".strip(),
        span.service,
        call.agent,
        call.start_time_unix_nano,
        call.end_time_unix_nano,
        call.is_error,
        "",
        call=call,
        not_counted=_lacking(call),
    )


def _lacking(call: CallUsage | None) -> str | None:
    """Why a call's cost is not known, None where it is."""
    if call is None:
        return None
    if not call.has_usage:
        return FAILED if call.is_error else WITHOUT_USAGE
    return UNPRICED if call.list_cost_pusd is None else None


def _why(row: _Uncounted, trace_id: str, *, is_above: bool) -> str:
    if not row.has_usage:
        return TOLD_ABOVE
    if row.is_platform:
        return OF_THE_PLATFORM
    if row.is_told_by_gate:
        return OF_THE_GATE
    if is_above:
        return AGGREGATE
    if row.counted_in is not None and row.counted_in != trace_id:
        return f"{TWIN}, in trace {row.counted_in}"
    return TWIN


def _add_up(nodes: Sequence[Node]) -> None:
    """Write on each counted call what the trace had cost with it, by start."""
    calls = [node for node in nodes if node.call is not None and node.call.has_usage]
    running = 0
    for node in sorted(calls, key=lambda node: (node.start_time_unix_nano or _NEVER, node.span_id)):
        cost = None if node.call is None else node.call.list_cost_pusd
        running += cost or 0
        node.running_pusd = None if cost is None else running
