"""What a call belongs to: its trace, its runs, and the values of the keys that budgets name."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from otelbudget.budgets.config import Budget
from otelbudget.budgets.kinds import PROCESS, RUN, TRACE
from otelbudget.genai import semconv

__all__ = ["NONE", "PROCESS", "RUN", "TRACE", "Place", "RunScope", "Scope", "look_up"]

NONE = "(none)"
"""The value of a scope that nothing tells."""

Scope = tuple[tuple[str, str], ...]
"""What one account counts: keys with their values, in the order of the budget."""

_MAX_LENGTH = 200


def look_up(
    written: object, attribute: object, inherited: object, baggage: object, resource: object
) -> str:
    """A scope's value, live and in replay alike: the first that is told, as text.

    Args:
        written: What otelbudget wrote on the span.
        attribute: The span's own attribute.
        inherited: The nearest ancestor's value, written or its attribute.
        baggage: What the context carries; known live only, and then written.
        resource: The resource's attribute.

    Returns:
        At most 200 characters; "(none)" where nothing is told.
    """
    for value in (written, attribute, inherited, baggage, resource):
        if value is not None:
            return value[:_MAX_LENGTH] if isinstance(value, str) else _text(value)[:_MAX_LENGTH]
    return NONE


def _text(value: object) -> str:
    """An attribute that is no text, as JSON writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


class RunScope(NamedTuple):
    """A run that a call belongs to.

    Attributes:
        id: Its id.
        tier: The tier that it asked for, or None.
        is_trace: It was not opened by name: its trace is the run.
        values: Values of keys that hold for all of it.
        budget: A budget of its own, that no other run has.
    """

    id: str
    tier: str | None = None
    is_trace: bool = False
    values: tuple[tuple[str, str], ...] = ()
    budget: Budget | None = None

    @property
    def scope(self) -> Scope:
        """What is counted for it."""
        return ((TRACE if self.is_trace else RUN, self.id),)


class Place:
    """What the calls of a span, and of those below it that tell nothing else, belong to.

    Attributes:
        trace_id: 32 hex digits, or "(none)" outside any trace.
        runs: The runs around it, the outermost first; where none was opened, its trace.
        values: Values that spans, baggage or the application tell, by key.
        resource: Values of the resource, by key.
        accounts: What the engine counts its calls on; the engine's own.
        since: The earliest start of a call that is counted there, unix ns.
        until: The end of that time.
    """

    __slots__ = ("_written", "accounts", "resource", "runs", "since", "trace_id", "until", "values")

    def __init__(
        self,
        trace_id: str,
        runs: Sequence[RunScope] = (),
        values: Mapping[str, str] | None = None,
        resource: Mapping[str, str] | None = None,
        tier: str | None = None,
    ) -> None:
        self.trace_id = trace_id
        self.runs = tuple(runs) or (RunScope(trace_id, tier, is_trace=True),)
        self.values = values or {}
        self.resource = resource or {}
        self.accounts: Any = None
        self.since = self.until = 0
        self._written: dict[str, Any] | None = None

    def value(self, key: str) -> str:
        """The value of a key; "(none)" where nothing tells it."""
        if key == TRACE:
            return self.trace_id
        if key == RUN:
            return self.runs[-1].id
        return look_up(None, None, self.values.get(key), None, self.resource.get(key))

    @property
    def run_id(self) -> str | None:
        """Id of the innermost run that was opened by name."""
        run = self.runs[-1]
        return None if run.is_trace else run.id

    @property
    def tier(self) -> str | None:
        """The tier of the innermost run."""
        return self.runs[-1].tier

    def written(self, keys: Sequence[str]) -> Mapping[str, Any]:
        """The attributes by which replay knows the place.

        Args:
            keys: The keys that budgets name.
        """
        if self._written is None:
            told: dict[str, Any] = {semconv.SCOPE_PREFIX + key: self.value(key) for key in keys}
            if self.run_id is not None:
                told[semconv.RUN_ID] = self.run_id
            if self.tier is not None:
                told[semconv.TIER] = self.tier
            outer = self.runs[:-1]
            if outer:
                told[semconv.OUTER_RUN_IDS] = tuple(run.id for run in outer)
                told[semconv.OUTER_TIERS] = tuple(run.tier or "" for run in outer)
            self._written = told
        return self._written
