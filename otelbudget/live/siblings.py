"""Tells a cancellation that a budget's refusal brought about from one of the caller's own."""

import asyncio
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from otelbudget.errors import BudgetExceededError, BudgetFacts


class RefusedIn:
    """The latest refusal inside a run, and the task that it ended.

    Where a refusal ends one of several tasks, the others are cancelled, and what the run sees may
    be that cancellation, or a group of errors, instead of the refusal.
    """

    __slots__ = ("_facts", "_task_id")

    def __init__(self) -> None:
        self._facts: BudgetFacts | None = None
        self._task_id = 0

    def note(self, facts: BudgetFacts) -> None:
        """Note a refusal, in the task whose call is refused."""
        self._facts, self._task_id = facts, id(_current_task())

    def behind(self, ended_by: BaseException) -> BudgetExceededError | None:
        """The refusal behind what ends a run; None where that stands for itself.

        Args:
            ended_by: What the run ends by. A group of errors stands for the refusal where it holds
                refusals and cancellations only; a cancellation where nobody has cancelled the task
                of the run itself, and another task was refused.
        """
        if isinstance(ended_by, BaseExceptionGroup):
            return _of_group(ended_by)
        task = _current_task()
        if (
            not isinstance(ended_by, asyncio.CancelledError)
            or self._facts is None
            or task is None
            or task.cancelling()
            or id(task) == self._task_id
        ):
            return None
        return BudgetExceededError(self._facts)


REFUSED_IN: ContextVar[tuple[RefusedIn, ...]] = ContextVar("otelbudget_refused_in", default=())
"""What was refused in each of the runs around the running code."""


def note_refusal(error: BudgetExceededError) -> BudgetExceededError:
    """Note for the runs around that a call is refused; returns the error."""
    for refused in REFUSED_IN.get():
        refused.note(error.facts)
    return error


def _current_task() -> "asyncio.Task[Any] | None":
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def _of_group(group: BaseExceptionGroup[BaseException]) -> BudgetExceededError | None:
    first: BudgetExceededError | None = None
    for leaf in _leaves(group):
        if isinstance(leaf, BudgetExceededError):
            first = first or BudgetExceededError(leaf.facts)
        elif not isinstance(leaf, asyncio.CancelledError):
            return None
    return first


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for each in group.exceptions:
        if isinstance(each, BaseExceptionGroup):
            yield from _leaves(each)
        else:
            yield each
