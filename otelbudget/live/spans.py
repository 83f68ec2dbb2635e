"""Which spans are open, whose child each is, and which model calls they already stand for.

Memory is bounded: at most `MAX_TRACES` traces, `MAX_LINKS` spans or calls in each; what does not
fit is counted in `overflow` and then simply not linked.
"""

from collections import OrderedDict, deque
from collections.abc import Iterator
from itertools import chain

from otelbudget.budgets.engine import Admission
from otelbudget.genai.usage import ModelCall
from otelbudget.live.calls import CallState, GatedCall

MAX_TRACES = 10_000
MAX_LINKS = 4_096
_MAX_ORPHANS = 1_024
_MAX_RESPONSES = 8_192
_TOLERANCE_NS = 5_000_000


class OpenSpan:
    """A span that has started and not ended.

    Attributes:
        parent_id: Span id of its parent, 0 for a root.
        is_explained: A charged call is at or below it, so its own usage repeats that call's.
        inside: The gated call inside which it started, or None.
        unread: The last gated call at or below it, which it fills in where that is still unknown.
        admission: The call that was admitted when it started, for spans that are stopped there.
        agent: Name of the agent it belongs to, its own or the nearest ancestor's.
    """

    __slots__ = ("admission", "agent", "inside", "is_explained", "parent_id", "unread")

    def __init__(self, parent_id: int, inside: GatedCall | None, agent: str | None) -> None:
        self.parent_id = parent_id
        self.is_explained = False
        self.inside = inside
        self.unread: GatedCall | None = None
        self.admission: Admission | None = None
        self.agent = agent


class OpenTrace:
    """What is kept of a trace while it has open spans.

    Attributes:
        spans: Open spans by span id.
        calls: Gated calls of the trace, the latest last.
        tier: The tier its run asked for, or None.
    """

    __slots__ = ("calls", "spans", "tier")

    def __init__(self) -> None:
        self.spans: dict[int, OpenSpan] = {}
        self.calls: list[GatedCall] = []
        self.tier: str | None = None


class SpanLinks:
    """Parent links of the open spans of all traces, and the gated calls among them.

    Not safe for threads by itself: its owner holds a lock around each method.

    Attributes:
        overflow: Spans, calls and traces that were not kept because a bound was reached.
    """

    def __init__(self) -> None:
        self.overflow = 0
        self._traces: OrderedDict[int, OpenTrace] = OrderedDict()
        self._orphans: deque[GatedCall] = deque(maxlen=_MAX_ORPHANS)
        # By response id and trace; trace 0 stands for any, for calls whose span has no parent.
        self._by_response: OrderedDict[tuple[str, int], GatedCall] = OrderedDict()

    def open(
        self, trace_id: int, span_id: int, parent_id: int, inside: GatedCall | None
    ) -> OpenSpan:
        """Link a span that has started."""
        trace = self._traces.get(trace_id)
        if trace is not None:
            self._traces.move_to_end(trace_id)
        else:
            trace = self._traces[trace_id] = OpenTrace()
            if len(self._traces) > MAX_TRACES:
                self._traces.popitem(last=False)
                self.overflow += 1
        parent = trace.spans.get(parent_id)
        span = OpenSpan(parent_id, inside, parent.agent if parent is not None else None)
        if len(trace.spans) < MAX_LINKS:
            trace.spans[span_id] = span
        else:
            self.overflow += 1
        return span

    def close(self, trace_id: int, span_id: int) -> OpenSpan | None:
        """Unlink a span that has ended; None where it was never linked."""
        trace = self._traces.get(trace_id)
        return None if trace is None else trace.spans.pop(span_id, None)

    def drop_if_quiet(self, trace_id: int) -> None:
        """Forget a trace that has no open spans and no call in flight."""
        trace = self._traces.get(trace_id)
        if trace is None or trace.spans:
            return
        if not any(call.state is CallState.OPEN for call in trace.calls):
            self._traces.pop(trace_id, None)

    def tier(self, trace_id: int) -> str | None:
        """The tier that the run of a trace asked for."""
        trace = self._traces.get(trace_id)
        return None if trace is None else trace.tier

    def set_tier(self, trace_id: int, tier: str) -> None:
        """Note the tier that the run of a trace asks for; the first one counts."""
        trace = self._traces.get(trace_id)
        if trace is not None and trace.tier is None:
            trace.tier = tier

    def open_span(self, trace_id: int, span_id: int) -> OpenSpan | None:
        """The open span with an id."""
        trace = self._traces.get(trace_id)
        return None if trace is None else trace.spans.get(span_id)

    def lineage(self, trace_id: int, span_id: int) -> Iterator[OpenSpan]:
        """An open span and its open ancestors, innermost first."""
        trace = self._traces.get(trace_id)
        spans = {} if trace is None else trace.spans
        span = spans.get(span_id)
        for _ in range(len(spans)):
            if span is None:
                return
            yield span
            span = spans.get(span.parent_id)

    def explain(self, trace_id: int, span_id: int) -> None:
        """Mark a span and its ancestors as standing for a call that has been charged."""
        for span in self.lineage(trace_id, span_id):
            if span.is_explained:
                return
            span.is_explained = True

    def take_admission(self, trace_id: int, span_id: int) -> Admission | None:
        """The unused admission of a span or of its nearest ancestor that has one."""
        for span in self.lineage(trace_id, span_id):
            if span.admission is not None:
                admission, span.admission = span.admission, None
                return admission
        return None

    def add_call(self, call: GatedCall) -> None:
        """Keep a gated call, so that spans that tell of it can be recognised."""
        trace = self._traces.get(call.trace_id)
        if trace is not None:
            if len(trace.calls) >= MAX_LINKS:
                del trace.calls[: MAX_LINKS // 2]
                self.overflow += MAX_LINKS // 2
            trace.calls.append(call)
            for span in self.lineage(call.trace_id, call.span_id):
                span.unread = call
        if call.is_orphan:
            self._orphans.append(call)

    def add_response(self, call: GatedCall) -> None:
        """Keep the response id of a gated call, now that it is known."""
        if call.response_id is not None:
            key = call.response_id, 0 if call.is_orphan else call.trace_id
            self._by_response[key] = call
            if len(self._by_response) > _MAX_RESPONSES:
                self._by_response.popitem(last=False)

    def gated_twin(
        self, trace_id: int, call: ModelCall, scope_name: str
    ) -> tuple[GatedCall, bool] | None:
        """The gated call that a usage-bearing span of another branch or trace tells of.

        Returns:
            The gated call, and whether it was matched by usage and time only (rule R4) instead of
            by response id (rule R3); None where there is none.
        """
        if call.response_id is not None:
            known = self._by_response
            told = known.get((call.response_id, trace_id)) or known.get((call.response_id, 0))
            return None if told is None else (told, False)
        trace = self._traces.get(trace_id)
        own = trace.calls if trace is not None else []
        for gated in chain(reversed(own), reversed(self._orphans)):
            if (
                _is_within(gated, call)
                and _is_same_usage(gated, call)
                and scope_name not in gated.explained_scopes
            ):
                return gated, True
        return None


def _is_within(gated: GatedCall, call: ModelCall) -> bool:
    """Whether a gated call ended within the interval of a span."""
    end = gated.end_time_unix_nano
    if end is None or call.start_time_unix_nano is None or call.end_time_unix_nano is None:
        return False
    return (
        call.start_time_unix_nano - _TOLERANCE_NS <= end <= call.end_time_unix_nano + _TOLERANCE_NS
    )


def _is_same_usage(gated: GatedCall, call: ModelCall) -> bool:
    if gated.state is not CallState.SETTLED or gated.usage is None or call.usage is None:
        return False
    if (gated.usage.input_tokens, gated.usage.output_tokens) != (
        call.usage.input_tokens,
        call.usage.output_tokens,
    ):
        return False
    models = {gated.response_model, call.response_model} - {None}
    return len(models) <= 1
