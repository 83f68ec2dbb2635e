"""How a call is asked for: where it belongs, and whether a budget refuses it."""

from opentelemetry.trace import Span

from otelbudget.budgets.decisions import Admission, Attempt, Hold, Refusal
from otelbudget.budgets.scopes import Place
from otelbudget.live.accounting import Accounting
from otelbudget.live.current import IS_WRAPPING_UP
from otelbudget.live.request import Request
from otelbudget.live.spans import Link

# How often a callback may extend the limits that refuse one call.
_MOST_EXTENSIONS = 10


def place_in(
    accounting: Accounting, span: Span, request: Request | None = None
) -> tuple[Link | None, Place]:
    """The link of a span, and where a call belongs that is made in it."""
    context = span.get_span_context()
    with accounting.lock:
        link = accounting.links.link(context.trace_id, context.span_id)
        around = accounting.links.place(context.trace_id, link)
    told = getattr(span, "attributes", None) or {} if accounting.places.keys else {}
    return link, accounting.places.of_call(context.trace_id, around, told, request)


def admit(
    accounting: Accounting, place: Place, request: Request, hold: Hold | None = None
) -> Admission | Refusal:
    """Decide about a call that is about to start; called without the lock.

    The application is told before the first refusal by a limit, and may extend it.
    """
    if accounting.news.is_due:
        accounting.news.tell()
    accounting.unmatched.look(place)
    decision = _decide(accounting, place, request, hold)
    for _ in range(_MOST_EXTENSIONS):
        if not isinstance(decision, Refusal) or not is_extended(accounting, decision, place):
            break
        decision = _decide(accounting, place, request, hold)
    if isinstance(decision, Admission):
        if decision.audited is not None:
            _tell(accounting, decision.audited, place)
        if decision.notices:
            accounting.caller.tell(decision.notices)
    return decision


def is_extended(accounting: Accounting, refusal: Refusal, place: Place) -> bool:
    """Tell of a limit that has refused a call, where nobody has been told of it yet.

    Called without the lock.

    Returns:
        Whether the application has raised the limit for that, so that the refusal counts no more
        and the call is to be asked for again.
    """
    is_raised = _tell(accounting, refusal, place)
    if is_raised:
        with accounting.lock:
            refusal.account.denied -= 1
    return is_raised


def peek(accounting: Accounting, place: Place) -> tuple[int, Refusal | None]:
    """When it was looked, in unix ns, and what would refuse a call now; counts nothing."""
    at_ns, refusal = _peek(accounting, place)
    if refusal is not None and _tell(accounting, refusal, place):
        return _peek(accounting, place)
    return at_ns, refusal


def _peek(accounting: Accounting, place: Place) -> tuple[int, Refusal | None]:
    with accounting.lock:
        at_ns = accounting.now()
        accounts = accounting.engine.accounts(place, at_ns)
        attempt = Attempt(at_ns, is_wrap_up=IS_WRAPPING_UP.get())
        return at_ns, accounting.engine.peek(accounts, attempt)


def _tell(accounting: Accounting, refusal: Refusal, place: Place) -> bool:
    """Tell of a limit that refuses; whether it was raised for that."""
    limits = refusal.account.limits
    accounting.tell_notices([*refusal.notices, *accounting.caller.ask(refusal, place)])
    return refusal.account.limits is not limits


def _decide(
    accounting: Accounting, place: Place, request: Request, hold: Hold | None
) -> Admission | Refusal:
    is_wrap_up, engine = IS_WRAPPING_UP.get(), accounting.engine
    with accounting.lock:
        at_ns = accounting.now()
        accounts = engine.accounts(place, at_ns)
        # Only then it is asked for: calls are admitted also where prices cannot be read.
        is_closed = any(account.is_closed for _, account in accounts)
        is_free = is_closed and accounting.is_free(request, at_ns)
        return engine.admit(accounts, Attempt(at_ns, hold, is_free, is_wrap_up))
