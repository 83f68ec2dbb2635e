"""What the application is called for before a budget stops it."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from threading import RLock

from otelbudget.budgets.decisions import Notice, NoticeKind, Refusal
from otelbudget.budgets.ledger import Account, MemoryLedger
from otelbudget.budgets.runs import RunAccount
from otelbudget.budgets.scopes import Place
from otelbudget.errors import BudgetConfigError, BudgetFacts
from otelbudget.live.current import RUNS, current_span
from otelbudget.live.emitter import Emitter
from otelbudget.live.places import hex_trace_id

Callback = Callable[[BudgetFacts], object]


class Callbacks:
    """The functions of an application that hear of budgets.

    Args:
        on_warning: Called when a warning threshold is reached.
        on_exceeded: Called when a limit is used up, or has no room for a call.

    Raises:
        BudgetConfigError: One of them is no function, or a coroutine function, which nobody would
            await.
    """

    def __init__(
        self, on_warning: Callback | None = None, on_exceeded: Callback | None = None
    ) -> None:
        self._by_kind = {
            NoticeKind.WARNING: _checked("on_warning", on_warning),
            NoticeKind.EXCEEDED: _checked("on_exceeded", on_exceeded),
        }

    def __bool__(self) -> bool:
        return any(self._by_kind.values())

    def call(self, kind: NoticeKind, facts: BudgetFacts, emitter: Emitter) -> None:
        """Call the function for one kind of notice; an error that it raises is logged once."""
        callback = self._by_kind.get(kind)
        if callback is None:
            return
        try:
            callback(facts)
        except Exception as error:  # noqa: BLE001 - the application's own, which must not stop its call
            name = getattr(callback, "__qualname__", type(callback).__name__)
            emitter.once(
                f"callback {kind} {name} {type(error).__name__}",
                "The callback on_%s, %s, raised %r; budgets go on without what it was to do.",
                kind,
                name,
                error,
            )


class Listener:
    """A run that is open, and whose callbacks hear of every budget that its calls count on.

    Args:
        run_id: The run.
        callbacks: Its callbacks.
        accounts: What each processor counts for it.
    """

    def __init__(self, run_id: str, callbacks: Callbacks, accounts: Sequence[RunAccount]) -> None:
        self.run_id = run_id
        self.callbacks = callbacks
        self._accounts = accounts

    def hears(self, account: Account) -> bool:
        """Whether a call of the run has been counted on an account."""
        return any(own.charged is not None and account in own.charged for own in self._accounts)


class _Listening:
    """The open runs of this process that have callbacks, in the order they were opened."""

    def __init__(self) -> None:
        self.listeners: tuple[Listener, ...] = ()
        self._lock = RLock()

    def add(self, listener: Listener) -> None:
        with self._lock:
            self.listeners = (*self.listeners, listener)

    def remove(self, listener: Listener) -> None:
        with self._lock:
            self.listeners = tuple(each for each in self.listeners if each is not listener)


_listening = _Listening()


def listen(listener: Listener) -> None:
    """Let an open run hear of its budgets."""
    _listening.add(listener)


def hang_up(listener: Listener) -> None:
    """Let a run that was left hear no more."""
    _listening.remove(listener)


class Caller:
    """Calls the callbacks of a processor and of open runs. Used without any lock.

    Args:
        ledger: What is counted.
        emitter: Logs callbacks that fail.

    Attributes:
        callbacks: Those of the processor.
    """

    def __init__(self, ledger: MemoryLedger, emitter: Emitter) -> None:
        self._ledger = ledger
        self._emitter = emitter
        self.callbacks = Callbacks()

    def tell(self, notices: Sequence[Notice]) -> None:
        """Call for each notice those who asked to hear of it."""
        for notice in notices:
            # Of a limit without room for a call they have heard when that was refused.
            is_news = notice.kind is NoticeKind.WARNING or (
                notice.kind is NoticeKind.EXCEEDED and notice.limit_kind not in notice.account.asked
            )
            if is_news and self._hearing(notice.account):
                trace_id = current_span().get_span_context().trace_id
                facts = notice.facts(trace_id=hex_trace_id(trace_id) if trace_id else None)
                self.call(notice.kind, facts, notice.account)

    def ask(self, refusal: Refusal, place: Place) -> Sequence[Notice]:
        """Call before the first refusal by a limit of which nobody has been told.

        Args:
            refusal: The refusal.
            place: Where the refused call belongs.

        Returns:
            What is to be told where the limit is used up, by time alone, and not only without room.
        """
        account, kind = refusal.account, refusal.kind
        with self._ledger.lock:
            if kind in account.exceeded or kind in account.asked:
                return ()
            if refusal.hold is None:
                return account.limits.tell(account)
            account.asked = (*account.asked, kind)
        facts = refusal.facts(trace_id=place.trace_id, run_id=place.run_id)
        self.call(NoticeKind.EXCEEDED, facts, account)
        return ()

    def call(self, kind: NoticeKind, facts: BudgetFacts, account: Account) -> None:
        """Call those who asked to hear of an account.

        Args:
            kind: What there is to tell.
            facts: The details.
            account: What it is about.
        """
        around = next((run.id for run in reversed(RUNS.get()) if not run.is_trace), None)
        for callbacks, run_id in self._hearing(account):
            told = replace(facts, run_id=facts.run_id or run_id or around)
            callbacks.call(kind, told, self._emitter)

    def _hearing(self, account: Account) -> Sequence[tuple[Callbacks, str | None]]:
        """Whom to call about an account, and for which run: the innermost run first."""
        listeners = [each for each in reversed(_listening.listeners) if each.hears(account)]
        hearing = [(each.callbacks, each.run_id) for each in listeners]
        return [*hearing, (self.callbacks, None)] if self.callbacks else hearing


def _checked(name: str, callback: object) -> Callback | None:
    if callback is None:
        return None
    is_coroutine = inspect.iscoroutinefunction(callback) or inspect.iscoroutinefunction(
        getattr(callback, "__call__", None)  # noqa: B004 - the method itself
    )
    if not callable(callback) or is_coroutine:
        raise BudgetConfigError(
            f"is {callback!r}; give a plain function that takes BudgetFacts, which is called "
            "before the stop and not awaited",
            key=name,
        )
    return callback
