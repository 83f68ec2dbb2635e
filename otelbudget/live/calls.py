"""A model call that passes a gate: admitted before its request leaves, settled by its response."""

from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum, auto

import msgspec
from opentelemetry.trace import Span

from otelbudget.budgets.decisions import Admission
from otelbudget.budgets.scopes import Place
from otelbudget.genai.usage import ModelCall
from otelbudget.live.estimates import Estimate
from otelbudget.live.request import Request
from otelbudget.pricing.billing import Charge


class CallState(Enum):
    """How far a gated call has come.

    Attributes:
        OPEN: Its response is not there yet, or still streams.
        SETTLED: Its usage is known and charged, by itself or by a span around it.
        UNKNOWN: It ended and its usage could not be read, so it is charged at an estimate; a span
            may still tell.
        RELEASED: The provider cannot have billed it.
    """

    OPEN = auto()
    SETTLED = auto()
    UNKNOWN = auto()
    RELEASED = auto()


@dataclass(slots=True, eq=False)
class GatedCall:
    """One call at one gate, as one processor sees it.

    Attributes:
        call_id: Written on the spans that belong to the call, so that replay can tell them.
        owner: The gatekeeper that admitted it.
        span: The span current at the gate; let go when the call ends.
        trace_id: Trace of that span, 0 outside any trace.
        span_id: Id of that span, 0 outside any trace.
        is_orphan: That span has no parent, so spans of other traces may tell of the same call.
        admission: What to settle.
        request: What is asked of whom.
        start_time_unix_nano: When the call was admitted.
        end_time_unix_nano: When it was settled, None while open.
        response_id: The provider's id of the response.
        state: How far it has come.
        told_by_span: What a span inside its gate told of it while it was open.
        is_broken: Its response was seen in part only, so spans tell no more of it than that part.
        was_billed: An attempt before counts at its estimate.
        has_inner: The request that another SDK makes for it has left.
        is_recorded: The application told of it afterwards.
        place: What it belongs to.
        agent: Name of the agent that makes it, None where not known.
        operation: What the application calls what it does, None where not known.
        held: What is held for it, None where no budget reserves.
        is_wrap_up: It wraps its run up.
        owns_span: It is written on a span of its own, because it is made outside any.
    """

    call_id: str
    owner: object
    span: Span | None
    trace_id: int
    span_id: int
    is_orphan: bool
    admission: Admission
    request: Request
    start_time_unix_nano: int
    end_time_unix_nano: int | None = None
    response_id: str | None = None
    state: CallState = CallState.OPEN
    told_by_span: ModelCall | None = None
    is_broken: bool = False
    was_billed: bool = False
    has_inner: bool = False
    is_recorded: bool = False
    place: Place | None = None
    agent: str | None = None
    operation: str | None = None
    held: Estimate | None = None
    is_wrap_up: bool = False
    owns_span: bool = False

    def at_estimate(self, estimate: Estimate) -> Charge:
        """What it counts as while its usage is unknown."""
        charge = estimate.charge(self.request.model)
        operation = self.operation or self.request.operation
        return msgspec.structs.replace(charge, agent=self.agent, operation=operation)

    def filled_in(self, call: ModelCall | None, *, is_whole: bool) -> tuple[ModelCall | None, bool]:
        """What was read of it, with the usage that a span inside its gate told; is that whole.

        Of a response that broke off, a span has seen no more than the gate.
        """
        told = self.told_by_span
        if told is None or (call is not None and not is_whole):
            return call, is_whole
        self.told_by_span = None
        response_id = None if call is None else call.response_id
        return msgspec.structs.replace(told, response_id=response_id or told.response_id), True

    def is_open_to(self, *, is_known: bool) -> bool:
        """Whether a settlement still counts: the first one, or a known one after an estimate."""
        return self.state is CallState.OPEN or (is_known and self.state is CallState.UNKNOWN)


# The calls whose gate the running code is inside of: empty outside of any gate.
IN_GATE: ContextVar[tuple[GatedCall, ...]] = ContextVar("otelbudget_in_gate", default=())


def calls_around() -> tuple[GatedCall, ...]:
    """The open calls whose gate the running code is inside of.

    A task that was started inside a gate keeps that context for life, so calls that have ended are
    left out.
    """
    return tuple(call for call in IN_GATE.get() if call.state is CallState.OPEN)
