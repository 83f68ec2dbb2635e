"""What is written on spans, for audit and replay: calls, decisions, refusals and calls of tools."""

from collections.abc import Sequence
from threading import RLock
from typing import Any

import msgspec
from opentelemetry.context import Context
from opentelemetry.trace import Span, get_tracer, set_span_in_context

from otelbudget.budgets.decisions import Admission, Notice, Refusal, amount
from otelbudget.budgets.kinds import LimitKind
from otelbudget.budgets.ledger import Account
from otelbudget.budgets.scopes import Place, Scope
from otelbudget.errors import display, display_usd
from otelbudget.genai import dialects, semconv
from otelbudget.genai.usage import ModelCall
from otelbudget.live.calls import CallState, GatedCall
from otelbudget.live.current import IS_WRAPPING_UP
from otelbudget.live.estimates import Estimate
from otelbudget.live.request import Request
from otelbudget.pricing.billing import usd

Attributes = dict[str, Any]

_ALWAYS_WRITTEN = ("input_tokens", "output_tokens")
# The SDK keeps the latest 128 events of a span: refusals must not push out what was spent.
_MAX_REFUSED = 32
_MAX_EVENTS, _KEPT_FOR_OTHERS = 128, 2 * _MAX_REFUSED


class Asked(msgspec.Struct, frozen=True):
    """What a budget was asked about, and refused.

    Attributes:
        at_ns: When, in unix ns.
        place: Where it belongs, None where that is not known.
        request: The request of a model call; None: it was none.
        tool: Name of the tool whose call it was, "" where it has none; None: it was none.
        estimate: What was to be held for it, None where no budget reserves.
    """

    at_ns: int
    place: Place | None = None
    request: Request | None = None
    tool: str | None = None
    estimate: Estimate | None = None

    @property
    def is_attempt(self) -> bool:
        """Whether a call was refused, and not only asked about."""
        return self.request is not None or self.tool is not None

    @property
    def operation(self) -> str | None:
        """What was refused, in the words of the conventions; None where nothing was attempted."""
        if self.request is not None:
            return self.request.operation
        return None if self.tool is None else semconv.EXECUTE_TOOL_OPERATION

    def facts(self, keys: Sequence[str]) -> Attributes:
        """What replay must know to ask again.

        Args:
            keys: The keys that budgets name.
        """
        facts: Attributes = {semconv.CALL_START: self.at_ns}
        if self.place is not None:
            facts |= self.place.written(keys)
        facts[semconv.OPERATION_NAME] = self.operation
        facts[semconv.TOOL_NAME] = self.tool or None
        if self.request is not None:
            facts[semconv.PROVIDER_NAME] = self.request.provider
            facts[semconv.REQUEST_MODEL] = self.request.model
        if self.estimate is not None:
            facts |= _estimated(self.estimate)
        if IS_WRAPPING_UP.get():
            facts[semconv.WRAP_UP] = True
        return {key: value for key, value in facts.items() if value is not None}


class Refusals:
    """Writes refusals on spans: the first 32 of each as events, and how many there were.

    Args:
        keys: The keys that budgets name.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = tuple(keys)
        self.renew_after_fork()

    def renew_after_fork(self) -> None:
        """Begin anew in a forked child, where nobody is left to give the lock back."""
        # Not the ledger's: a span's own lock is taken inside of it.
        self._lock = RLock()

    def write(self, span: Span, refusal: Refusal, asked: Asked) -> None:
        """Write a refusal on the span that is current there, or below it where it has ended."""
        if not span.is_recording():
            self._write_below(span, refusal, asked)
            return
        key = semconv.DENIED_COUNT if asked.is_attempt else semconv.DENIED_CHECKS
        with self._lock:
            told = (getattr(span, "attributes", None) or {}).get(key)
            count = 1 + (told if isinstance(told, int) else 0)
            span.set_attribute(key, count)
        if count <= _MAX_REFUSED:
            account, kind = refusal.account, refusal.kind
            limit, usage = account.limits.by_kind[kind], account.usage(kind)
            facts = {
                semconv.DECISION: str(semconv.Decision.DENIED),
                **limit_facts(account, kind, limit=limit, usage=usage),
                **asked.facts(self._keys),
            }
            span.add_event(semconv.DENIED_EVENT, facts, timestamp=asked.at_ns)

    def _write_below(self, span: Span, refusal: Refusal, asked: Asked) -> None:
        if span.get_span_context().trace_flags.sampled:
            around = set_span_in_context(span, Context())
            own = get_tracer(semconv.OWN_SCOPE).start_span(semconv.DENIED_EVENT, around)
            if own.is_recording():
                self.write(own, refusal, asked)
                own.end()


def limit_facts(account: Account, kind: LimitKind, *, limit: int, usage: int) -> dict[str, str]:
    """A budget's name, and a limit of its with what is used of it, as attributes."""
    return {
        semconv.BUDGET: account.key[0],
        semconv.LIMIT_KIND: str(kind),
        semconv.LIMIT: display(kind, amount(kind, limit)),
        semconv.USAGE: display(kind, amount(kind, usage)),
    }


def write_notice(span: Span, name: str, notice: Notice, window: str | None) -> None:
    """Write a notice as an event on a span.

    Args:
        span: The span.
        name: Name of the event.
        notice: The notice.
        window: The window it is about, for people; None without one.
    """
    facts = limit_facts(notice.account, notice.limit_kind, limit=notice.limit, usage=notice.usage)
    facts[semconv.THRESHOLD] = str(notice.threshold)
    if window is not None:
        facts[semconv.WINDOW] = window
    span.add_event(name, facts | scope_facts(notice.scope))


def scope_facts(scope: Scope) -> dict[str, str]:
    """What a budget is counted by, as attributes."""
    return {semconv.SCOPE_PREFIX + key: value for key, value in scope}


def write_decision(span: Span, admission: Admission, estimate: Estimate | None = None) -> None:
    """Write on a model call's span whether it was allowed, or would have been refused."""
    if is_model_span(span):
        decision = semconv.Decision.AUDITED if admission.is_audited else semconv.Decision.ALLOWED
        span.set_attribute(semconv.DECISION, str(decision))
        if admission.audited is not None:
            span.set_attribute(semconv.BUDGET, admission.audited.budget.name)
        if estimate is not None:
            span.set_attributes(_estimated(estimate))
        if IS_WRAPPING_UP.get():
            span.set_attribute(semconv.WRAP_UP, value=True)


def write_refusal(span: Span, refusal: Refusal) -> None:
    """Write on a span that is refused which budget does."""
    span.set_attribute(semconv.DECISION, str(semconv.Decision.DENIED))
    span.set_attribute(semconv.BUDGET, refusal.budget.name)


def write_tool(span: Span, asked: Asked, keys: Sequence[str]) -> None:
    """Write a call of a tool that was counted without a span of its own.

    Args:
        span: The span that is current there.
        asked: The call.
        keys: The keys that budgets name.
    """
    if span.is_recording():
        span.add_event(semconv.TOOL_EVENT, asked.facts(keys), timestamp=asked.at_ns)


def _estimated(estimate: Estimate) -> Attributes:
    cost: Attributes = {
        semconv.ESTIMATED_COST_USD: display_usd(usd(estimate.cost_pusd)),
        semconv.ESTIMATED_INPUT_TOKENS: estimate.input_tokens,
        semconv.ESTIMATED_OUTPUT_TOKENS: estimate.output_tokens,
    }
    return {**cost, **({semconv.ESTIMATE_GUESSES: estimate.guesses} if estimate.guesses else {})}


def is_model_span(span: Span) -> bool:
    """Whether a span is open and says that it is a model call."""
    attributes = getattr(span, "attributes", None) or {}
    return (
        span.is_recording()
        and attributes.get(semconv.OPERATION_NAME) in semconv.MODEL_CALL_OPERATIONS
    )


def complete(gated: GatedCall, call: ModelCall | None) -> ModelCall:
    """The call as its gate knows it, filled up with what was read.

    On Bedrock the model that is asked for says more than the one that answers: its region, by which
    the price differs.
    """
    read = call or ModelCall()
    asked = gated.request.model
    if gated.request.provider == semconv.BEDROCK and asked is not None:
        read = msgspec.structs.replace(read, response_model=None)
    return msgspec.structs.replace(
        read,
        response_id=gated.response_id,
        provider=gated.request.provider,
        request_model=gated.request.model,
        operation=gated.request.operation,
        start_time_unix_nano=gated.start_time_unix_nano,
        end_time_unix_nano=gated.end_time_unix_nano,
    )


def write_call(
    gated: GatedCall, call: ModelCall, keys: Sequence[str], estimate: Estimate | None = None
) -> None:
    """Write the call on the span that was current at the gate, for audit and replay.

    Args:
        gated: The call.
        call: What is known of it.
        keys: The keys that budgets name.
        estimate: What it is charged where its usage is unknown.
    """
    span = gated.span
    is_closed = span is not None and (not span.is_recording() or _is_full(span))
    own = _own_span(gated) if gated.owns_span or is_closed else None
    if own is not None and own.is_recording():
        span = own
    if span is None or not span.is_recording():
        return
    attributes: Attributes = {
        semconv.CALL_ID: gated.call_id,
        semconv.CALL_START: gated.start_time_unix_nano,
        semconv.OPERATION_NAME: call.operation,
        semconv.PROVIDER_NAME: call.provider,
        semconv.REQUEST_MODEL: call.request_model,
        semconv.RESPONSE_MODEL: call.response_model,
        semconv.RESPONSE_ID: call.response_id,
        dialects.FIELDS["service_tier"][0]: call.service_tier,
        semconv.AGENT_NAME: gated.request.agent,
        semconv.CALL_RELEASED: True if gated.state is CallState.RELEASED else None,
        semconv.CALL_RECORDED: gated.is_recorded or None,
        semconv.WRAP_UP: gated.is_wrap_up or None,
    }
    if gated.place is not None:
        attributes |= gated.place.written(keys)
    known_estimate = estimate or gated.held
    if known_estimate is not None:
        attributes |= _estimated(known_estimate)
    if call.usage is not None:
        counts = msgspec.structs.asdict(call.usage)
        attributes |= {
            key: counts[part] or (None if part not in _ALWAYS_WRITTEN else 0)
            for part, key in dialects.USAGE.items()
        }
    if call.list_cost_pusd is not None:
        attributes[semconv.COST_USD] = format(usd(call.list_cost_pusd), "f")
    known = {key: value for key, value in attributes.items() if value is not None}
    span.add_event(semconv.CALL_EVENT, known, timestamp=gated.end_time_unix_nano)
    if span is own:
        gated.owns_span = False
        span.end(gated.end_time_unix_nano)


def _is_full(span: Span) -> bool:
    """Whether a span that gets more events soon lets earlier ones go, as the SDK's do."""
    events, limits = getattr(span, "_events", ()), getattr(span, "_limits", None)
    most = getattr(limits, "max_events", None) or _MAX_EVENTS
    return len(events) >= most - _KEPT_FOR_OTHERS


def _own_span(gated: GatedCall) -> Span:
    """A span for a call outside any, or in one that is full or has ended."""
    agent, around = gated.request.agent, gated.span
    return get_tracer(semconv.OWN_SCOPE).start_span(
        semconv.CALL_EVENT,
        context=Context() if around is None else set_span_in_context(around, Context()),
        attributes=None if agent is None else {semconv.AGENT_NAME: agent},
        start_time=gated.start_time_unix_nano,
    )
