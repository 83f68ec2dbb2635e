"""What happened, as replay takes it: calls, calls of tools, raised limits, and when runs began."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum, auto
from typing import NamedTuple

import msgspec

from otelbudget.audit.outcomes import Run
from otelbudget.audit.select import is_in
from otelbudget.budgets.config import LimitKind
from otelbudget.budgets.decisions import Hold
from otelbudget.budgets.scopes import Place
from otelbudget.pricing.billing import Charge


class Fate(Enum):
    """How a recorded call ended.

    Attributes:
        SETTLED: It was made; its usage is known, or estimated.
        RELEASED: It was let through, and the provider cannot have billed it.
        RECORDED: The application told of it afterwards, so nothing could refuse it.
        DENIED: It was refused, so nobody knows what it would have used.
    """

    SETTLED = auto()
    RELEASED = auto()
    RECORDED = auto()
    DENIED = auto()


class RecordedCall(NamedTuple):
    """A call as it was recorded.

    Attributes:
        trace_id: Its trace.
        span_id: Its span.
        start_time_unix_nano: Start.
        end_time_unix_nano: End, after the start.
        charge: What it cost.
        place: What it belongs to; None: its trace.
        hold: What is held for it by budgets that reserve, None where nothing is.
        is_free: It is known to cost nothing.
        is_wrap_up: It wraps its run up.
        fate: How it ended.
    """

    trace_id: str
    span_id: str
    start_time_unix_nano: int
    end_time_unix_nano: int
    charge: Charge
    place: Place | None = None
    hold: Hold | None = None
    is_free: bool = False
    is_wrap_up: bool = False
    fate: Fate = Fate.SETTLED


class ToolCall(NamedTuple):
    """A call of a tool, made or refused.

    Attributes:
        trace_id: Its trace.
        span_id: Its span.
        at_ns: When it started, in unix ns.
        tool: Name of the tool, "" where not known.
        place: What it belongs to.
        is_stoppable: A refusal reaches the code that makes it; else it is counted all the same.
    """

    trace_id: str
    span_id: str
    at_ns: int
    tool: str
    place: Place
    is_stoppable: bool = True


class Extension(NamedTuple):
    """A limit that was raised while a run was under way.

    Attributes:
        at_ns: When, in unix ns.
        place: Where.
        run_id: Id of the run; None: the trace is the run.
        kind: The kind of limit.
        by: How much more may be used, in the unit of the kind.
        budget: Name of the budget, None where all that limit the run were raised.
    """

    at_ns: int
    place: Place
    run_id: str | None
    kind: LimitKind
    by: int
    budget: str | None


class Recording(msgspec.Struct, frozen=True):
    """What traces tell of the calls that budgets decide about.

    Attributes:
        calls: Calls with a start, in any order.
        timeless: Charges of calls without a start: spent, never refused.
        tools: Calls of tools.
        extensions: Limits that were raised.
        starts: When the first span of each place started, in unix ns, where that matters.
        estimates_assumed: Calls for which nobody recorded what was held.
    """

    calls: Sequence[RecordedCall]
    timeless: Sequence[Charge] = ()
    tools: Sequence[ToolCall] = ()
    extensions: Sequence[Extension] = ()
    starts: Mapping[Place, int] = {}
    estimates_assumed: int = 0

    @property
    def runs(self) -> frozenset[Run]:
        """The runs with a call."""
        return frozenset(
            (call.place or Place(call.trace_id)).runs[0].scope[0] for call in self.calls
        )

    def places(self) -> Iterator[Place]:
        """What is told of places, each as often as it is told of."""
        yield from (call.place for call in self.calls if call.place is not None)
        yield from (tool.place for tool in self.tools)
        yield from (each.place for each in self.extensions)
        yield from self.starts

    def where(self, conditions: Iterable[tuple[str, str]]) -> "Recording":
        """What belongs to a value of each of some keys; places are known where these were asked for."""
        wanted = list(conditions)
        if not wanted:
            return self
        return msgspec.structs.replace(
            self,
            calls=[
                each for each in self.calls if each.place is not None and is_in(each.place, wanted)
            ],
            tools=[each for each in self.tools if is_in(each.place, wanted)],
            extensions=[each for each in self.extensions if is_in(each.place, wanted)],
            starts={place: at for place, at in self.starts.items() if is_in(place, wanted)},
        )

    def between(self, since: int | None, until: int | None) -> "Recording":
        """The traces whose first call starts in [since, until), unix ns, whole."""
        if since is None and until is None:
            return self
        firsts: dict[str, int] = {}
        for call in self.calls:
            at_ns = call.start_time_unix_nano
            firsts[call.trace_id] = min(firsts.get(call.trace_id, at_ns), at_ns)
        kept = {
            trace_id
            for trace_id, first in firsts.items()
            if (since is None or first >= since) and (until is None or first < until)
        }
        return msgspec.structs.replace(
            self,
            calls=[each for each in self.calls if each.trace_id in kept],
            timeless=[],
            tools=[each for each in self.tools if each.trace_id in kept],
            extensions=[each for each in self.extensions if each.place.trace_id in kept],
            starts={place: at for place, at in self.starts.items() if place.trace_id in kept},
        )
