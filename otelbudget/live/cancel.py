"""Ends calls that wait inside a gate on asyncio, when the budget they count on is used up."""

import asyncio
from collections.abc import Awaitable
from typing import Any

from otelbudget.errors import BudgetExceededError


class InFlight:
    """One call on asyncio that a used-up budget may end.

    Only the task that awaits the call, only while it does, and never once the answer is there: what
    it awaits is cancelled, and the `CancelledError` that this brings is turned into the error. A
    cancellation by the caller's own code stays what it is.

    Args:
        task: The task that makes the call.

    Attributes:
        has_ended: The call was ended while it was under way.
        is_over: The call has ended, so nothing is to be ended any more.
    """

    __slots__ = (
        "_error",
        "_has_cancelled",
        "_is_waiting",
        "_loop",
        "_task",
        "has_ended",
        "is_over",
    )

    def __init__(self, task: "asyncio.Task[Any]") -> None:
        self._task = task
        self._loop = task.get_loop()
        self._error: BudgetExceededError | None = None
        self._is_waiting = False
        self._has_cancelled = False
        self.has_ended = False
        self.is_over = False

    @classmethod
    def here(cls) -> "InFlight | None":
        """The call of the running task; None where no asyncio task runs, as under trio."""
        try:
            task = asyncio.current_task()
        except RuntimeError:
            return None
        return None if task is None else cls(task)

    def end(self, error: BudgetExceededError) -> None:
        """Let the call end with an error, soon; from any thread."""
        if self._error is not None or self.is_over:
            return
        self._error = error
        try:
            self._loop.call_soon_threadsafe(self._cancel)
        except RuntimeError:  # its loop is closed, so nothing waits any more
            return

    async def wait(self, awaitable: Awaitable[Any]) -> Any:
        """What an awaitable of the call gives.

        Raises:
            BudgetExceededError: The budget was used up before that.
        """
        if self._error is not None and not self.is_over:
            close = getattr(awaitable, "close", None)
            if close is not None:
                close()
            raise self._error
        self._task = asyncio.current_task() or self._task  # streams may be read by another task
        self._loop = self._task.get_loop()
        self._is_waiting = True
        try:
            return await awaitable
        except asyncio.CancelledError:
            if self._has_cancelled and not self._uncancel() and self._error is not None:
                self.has_ended = True
                raise self._error from None
            raise
        finally:
            self._is_waiting = False
            if self._has_cancelled:
                self._uncancel()

    def _cancel(self) -> None:
        """Cancel the wait; called on the loop of its task."""
        if not self._is_waiting or self._has_cancelled or self.is_over:
            return
        awaited = getattr(self._task, "_fut_waiter", None)
        if awaited is None or awaited.done():
            # The task is about to run with what it has been waiting for: an answer must not be
            # thrown away. If it waits again after that, it has no answer yet.
            self._loop.call_soon(self._cancel)
            return
        self._has_cancelled = self._task.cancel()

    def _uncancel(self) -> int:
        """Take our cancellation back; how many others there are."""
        self._has_cancelled = False
        return self._task.uncancel()
