"""What one processor keeps: engine, prices and span links, and how a call goes through them."""

from collections.abc import Callable
from threading import RLock

from otelbudget.budgets.config import Mode
from otelbudget.budgets.engine import Admission, Engine, Refusal
from otelbudget.genai.usage import ModelCall
from otelbudget.live.emitter import Emitter
from otelbudget.live.spans import SpanLinks
from otelbudget.pricing.billing import UnknownModel, bill
from otelbudget.pricing.book import PriceBook


class Accounting:
    """Admits, settles and releases calls of a trace, and tells what that brought about.

    Attributes:
        engine: Decides and keeps count.
        emitter: Tells the user.
        links: Open spans and gated calls; held with `lock`.
        lock: Held around every use of `links`; reentrant, as the ledger's.
        clock: Unix nanoseconds.
    """

    def __init__(
        self,
        engine: Engine,
        emitter: Emitter,
        *,
        unknown_model: UnknownModel,
        clock: Callable[[], int],
    ) -> None:
        self.engine = engine
        self.emitter = emitter
        self.links = SpanLinks()
        self.lock = RLock()
        self.clock = clock
        self._book = PriceBook.load()
        self._unknown_model = unknown_model

    def admit(self, trace_id: int) -> Admission | Refusal:
        """Decide about a call that is about to start."""
        return self.engine.admit(hex_trace_id(trace_id), self._tier(trace_id))

    def count(self, trace_id: int) -> Admission:
        """Count a call that nobody asked about before it was made."""
        return self.engine.count(hex_trace_id(trace_id), self._tier(trace_id))

    def settle(self, admission: Admission, call: ModelCall) -> None:
        """Price a call that has ended and charge it."""
        charge = bill(call, self._book, self._unknown_model)
        notices = self.engine.settle(admission, charge)
        self.emitter.charged(call, charge, admission.accounts)
        self.emitter.tell(notices)

    def is_denied_model(self, provider: str | None, model: str | None) -> bool:
        """Whether a model is refused because it has no known price."""
        return (
            self._unknown_model is UnknownModel.DENY
            and any(budget.mode is Mode.ENFORCE for budget in self.engine.budgets)
            and self._book.price(provider, model, self.clock()) is None
        )

    def renew_locks(self) -> None:
        """Replace the locks: after a fork nobody is left to give them back."""
        self.lock = RLock()
        self.engine.ledger.renew_lock()
        self.emitter.renew_lock()

    def _tier(self, trace_id: int) -> str | None:
        with self.lock:
            return self.links.tier(trace_id)


def hex_trace_id(trace_id: int) -> str:
    """A trace id as 32 hex digits."""
    return format(trace_id, "032x")
