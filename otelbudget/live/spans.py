"""Which spans a trace has, whose child each is, and which model calls they already stand for.

A span that ends later can show that one above it, ended or not, only repeats its usage; so links
are kept after a span's end, until its trace is quiet. Memory is bounded: at most `MAX_TRACES`
traces and `MAX_LINKS` spans in each; ended spans go first, and those of a trace in which nothing
has started for ten minutes go too. What is let go while its trace lives is counted in `overflow`.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator

import msgspec

from otelbudget.budgets.decisions import Admission
from otelbudget.budgets.scopes import Place
from otelbudget.live.calls import CallState, GatedCall
from otelbudget.live.told import Told, UsageTwins

MAX_TRACES = 10_000
MAX_LINKS = 4_096
_MAX_UNREAD = 1_024
_MAX_UNKNOWN = 1_024
_SWEEP_NS = 5 * 60 * 10**9


class Link(msgspec.Struct, eq=False):
    """A span, open or ended.

    Attributes:
        parent: Its parent, None where that is not known here.
        agent: Name of the agent it belongs to, its own or the nearest ancestor's.
        is_open: It has not ended.
        is_explained: Usage was told below it, so its own repeats that.
        explains: It told of usage as a model call, so calls of unknown usage below it are that one.
        has_unknown: A model call of unknown usage was told of below it.
        told: What it told of a call when it ended, while that may still change.
        inside: The gated call inside which it started, or None.
        unread: The last gated call at or below it, which it fills in where that is still unknown.
        admission: The call that was admitted when it started, for spans that are stopped there.
        tool: Name of the tool whose counted call it is, "" where it has none; None for other spans.
        place: What its calls belong to.
        operation: What the application calls what it does: the name of its own innermost span.
    """

    parent: "Link | None" = None
    inside: GatedCall | None = None
    agent: str | None = None
    is_open: bool = True
    is_explained: bool = False
    explains: bool = False
    has_unknown: bool = False
    told: Told | None = None
    unread: GatedCall | None = None
    admission: Admission | None = None
    tool: str | None = None
    place: Place | None = None
    operation: str | None = None

    def lineage(self) -> Iterator["Link"]:
        """The span and its ancestors, innermost first."""
        link: Link | None = self
        while link is not None:
            yield link
            link = link.parent

    def explain(self) -> list[Told]:
        """Mark the span and its ancestors as repeating usage that was told below them.

        Returns:
            What they had told of calls themselves, which counts no more.
        """
        withdrawn: list[Told] = []
        link: Link | None = self
        while link is not None and not link.is_explained:
            link.is_explained = True
            if link.told is not None:
                withdrawn.append(link.told)
                link.told = None
            link = link.parent
        return withdrawn

    def note_unknown_below(self) -> list[Told]:
        """Mark the span and its ancestors as being above a model call of unknown usage.

        Returns:
            What those of them had told that told of no usage either; it counts no more.
        """
        withdrawn: list[Told] = []
        link: Link | None = self
        while link is not None and not link.has_unknown:
            link.has_unknown = True
            if link.told is not None and link.told.call.usage is None:
                withdrawn.append(link.told)
                link.told = None
            link = link.parent
        return withdrawn

    def is_below_explaining(self) -> bool:
        """Whether an ancestor has told of usage as a model call."""
        link = self.parent
        while link is not None:
            if link.explains:
                return True
            link = link.parent
        return False

    def is_below(self, ancestor: "Link") -> bool:
        """Whether another span is an ancestor of this one."""
        return self is not ancestor and any(link is ancestor for link in self.lineage())


class OpenTrace:
    """What is kept of a trace until it is quiet.

    Attributes:
        links: Spans by span id, the earliest first.
        open_spans: How many of them are open.
        in_flight: Gated calls that have not ended, None while there never was one.
        twins: Finds spans that repeat another teller by time and tokens, None until one may.
        unknown: Spans that count as calls of unknown usage, None while there are none.
        borrowed: Spans with a call that a library wrote onto them, and that call.
        place: What calls of spans that are not linked belong to: the place of its first span.
        period: When a span last started, in periods of the sweep.
    """

    __slots__ = (
        "borrowed",
        "in_flight",
        "links",
        "open_spans",
        "period",
        "place",
        "twins",
        "unknown",
    )

    def __init__(self) -> None:
        self.links: dict[int, Link] = {}
        self.open_spans = 0
        self.in_flight: set[GatedCall] | None = None
        self.twins: UsageTwins | None = None
        self.unknown: list[Link] | None = None
        self.borrowed: tuple[tuple[Link, Told], ...] = ()
        self.place: Place | None = None
        self.period = 0

    def find_twins(self, newest: Told | None = None) -> UsageTwins:
        """What finds spans that repeat another teller; made of all but the newest when first needed."""
        if self.twins is None:
            self.twins = UsageTwins()
            for link in self.links.values():
                told = link.told
                if told is not None and told is not newest and told.call.usage is not None:
                    self.twins.add(told, {})
        return self.twins

    def borrow(self, link: Link, told: Told) -> Link | None:
        """A place below a span for a call that a library wrote onto it.

        Returns:
            None where a call of the same tokens is below the span already: it is that one.
        """
        tokens = told.tokens
        if self.twins is not None and self.twins.has_gate(tokens):
            return None
        for each in self.links.values():
            if each.told is not None and each.told.tokens == tokens and each.is_below(link):
                return None
        if len(self.borrowed) < _MAX_UNKNOWN:
            self.borrowed += ((link, told),)
        return Link(link, agent=link.agent, place=link.place, operation=link.operation)

    def give_back(self, link: Link, told: Told) -> list[Told]:
        """The borrowed calls that a call below them turns out to be; they count no more."""
        given = [
            borrowed
            for above, borrowed in self.borrowed
            if borrowed is not told and borrowed.tokens == told.tokens and link.is_below(above)
        ]
        if given:
            self.borrowed = tuple(pair for pair in self.borrowed if pair[1] not in given)
        return given

    def add_unknown(self, link: Link) -> None:
        """Note a span that counts as a call of unknown usage."""
        if self.unknown is None:
            self.unknown = []
        if len(self.unknown) < _MAX_UNKNOWN:
            self.unknown.append(link)

    def take_unknown_below(self, ancestor: Link) -> list[Told]:
        """What the calls of unknown usage below a span were told by; they count no more."""
        taken: list[Told] = []
        for link in self.unknown or ():
            if link.told is not None and link.is_below(ancestor):
                taken.append(link.told)
                link.told = None
        if taken and self.unknown is not None:
            self.unknown = [link for link in self.unknown if link.told is not None]
        return taken

    def shed(self, *, at_least: int) -> int:
        """Let links of ended spans go, the earliest first; returns how many."""
        ended = [span_id for span_id, link in self.links.items() if not link.is_open]
        for span_id in ended[: max(at_least, len(ended) // 2)]:
            del self.links[span_id]
        return min(len(ended), max(at_least, len(ended) // 2))


class SpanLinks:
    """The traces that have open spans or calls in flight.

    Not safe for threads by itself: its owner holds a lock around each method.

    Args:
        clock: Unix nanoseconds.

    Attributes:
        overflow: Spans and traces that were let go because a bound was reached.
        unread: Gated calls of unknown usage by response id and trace; trace 0 stands for any, for
            calls whose span has no parent.
        on_quiet: Called with the id of a trace that is let go; or None.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self.overflow = 0
        self.on_quiet: Callable[[int], None] | None = None
        self._clock = clock
        self._period = 0
        self._next_sweep_ns = clock() + _SWEEP_NS
        self._traces: OrderedDict[int, OpenTrace] = OrderedDict()
        self.unread: OrderedDict[tuple[str, int], GatedCall] = OrderedDict()

    def open(self, trace_id: int, span_id: int, parent_id: int, inside: GatedCall | None) -> Link:
        """Link a span that has started."""
        trace = self._traces.get(trace_id)
        if trace is None:
            trace = self._open_trace(trace_id)
        else:
            self._traces.move_to_end(trace_id)
        trace.period = self._period
        links = trace.links
        parent = links.get(parent_id)
        link = Link(parent, inside)
        if parent is not None:
            link.agent, link.place, link.operation = parent.agent, parent.place, parent.operation
        else:
            link.place = trace.place
        if len(links) >= MAX_LINKS:
            self.overflow += trace.shed(at_least=1) or 1
        if len(links) < MAX_LINKS:
            links[span_id] = link
            trace.open_spans += 1
        return link

    def trace(self, trace_id: int) -> OpenTrace | None:
        """What is kept of a trace."""
        return self._traces.get(trace_id)

    def link(self, trace_id: int, span_id: int) -> Link | None:
        """The span with an id, open or ended."""
        trace = self._traces.get(trace_id)
        return None if trace is None else trace.links.get(span_id)

    def close(self, trace_id: int, span_id: int) -> Link | None:
        """Note that a span has ended; None where it was never linked."""
        trace = self._traces.get(trace_id)
        if trace is None:
            return None
        link = trace.links.get(span_id)
        if link is None or not link.is_open:
            return None
        link.is_open = False
        trace.open_spans -= 1
        return link

    def drop_if_quiet(self, trace_id: int) -> None:
        """Forget a trace that has no open spans and no call in flight."""
        trace = self._traces.get(trace_id)
        if trace is not None and not trace.open_spans and not trace.in_flight:
            self._let_go(trace_id)

    def _let_go(self, trace_id: int) -> None:
        del self._traces[trace_id]
        if self.on_quiet is not None:
            self.on_quiet(trace_id)

    def place(self, trace_id: int, link: Link | None) -> Place | None:
        """What the calls of a span belong to; those of an unlinked one to where its trace does."""
        if link is not None:
            return link.place
        trace = self._traces.get(trace_id)
        return None if trace is None else trace.place

    def take_admission(self, link: Link | None) -> Admission | None:
        """The unused admission of a span or of its nearest ancestor that has one."""
        for each in link.lineage() if link is not None else ():
            if each.admission is not None:
                admission, each.admission = each.admission, None
                return admission
        return None

    def begin_call(self, call: GatedCall) -> None:
        """Keep a gated call that is about to start."""
        trace = self._traces.get(call.trace_id)
        if trace is None:
            return
        if trace.in_flight is None:
            trace.in_flight = set()
            trace.find_twins()
        trace.in_flight.add(call)
        link = trace.links.get(call.span_id)
        for each in link.lineage() if link is not None else ():
            each.unread = call

    def end_call(self, call: GatedCall) -> None:
        """Note that a gated call has ended."""
        trace = self._traces.get(call.trace_id)
        if trace is not None and trace.in_flight is not None:
            trace.in_flight.discard(call)
        if call.response_id is None:
            return
        key = call.response_id, 0 if call.is_orphan else call.trace_id
        if call.state is CallState.UNKNOWN:
            self.unread[key] = call
            if len(self.unread) > _MAX_UNREAD:
                self.unread.popitem(last=False)
        else:
            self.unread.pop(key, None)

    def forget_calls(self) -> None:
        """Let go of the calls in flight, which another process will end."""
        for trace in self._traces.values():
            if trace.in_flight:
                trace.in_flight.clear()

    def unread_call(self, trace_id: int, response_id: str) -> GatedCall | None:
        """The gated call of unknown usage with a response id."""
        unread = self.unread
        return unread.get((response_id, trace_id)) or unread.get((response_id, 0))

    def _open_trace(self, trace_id: int) -> OpenTrace:
        if self._clock() >= self._next_sweep_ns:
            self._sweep()
        trace = self._traces[trace_id] = OpenTrace()
        if len(self._traces) > MAX_TRACES:
            self._let_go(next(iter(self._traces)))
            self.overflow += 1
        return trace

    def _sweep(self) -> None:
        """Let the ended spans go of traces in which nothing has started for two periods."""
        self._next_sweep_ns = self._clock() + _SWEEP_NS
        for trace in self._traces.values():
            if trace.period < self._period - 1:
                self.overflow += trace.shed(at_least=MAX_LINKS)
        self._period += 1
