"""Where calls belong, as spans, baggage, resources and runs tell it while they happen."""

import os
from collections.abc import Mapping, Sequence
from secrets import token_hex
from typing import Any

from opentelemetry import baggage
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import get_current_span

from otelbudget.budgets.scopes import NONE, PROCESS, Place, RunScope, look_up
from otelbudget.genai import semconv
from otelbudget.live.current import RUNS
from otelbudget.live.request import Request

_TIER, _RUN_ID = semconv.TIER, semconv.RUN_ID
_NOTHING: Mapping[str, Any] = {}
_NO_CONTEXT = Context()


class Places:
    """Finds the place of each span and call; those that tell nothing new share that of their parent.

    Args:
        keys: The keys that budgets name.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = tuple(keys)
        self._names = [(key, semconv.SCOPE_PREFIX + key) for key in keys if key != PROCESS]
        self._asks_request = not semconv.REQUEST_KEYS.isdisjoint(keys)
        self._resource: Resource | None = None
        self._of_resource: dict[str, str] = {}
        self.renew_after_fork()

    def renew_after_fork(self) -> None:
        """Be another process from now on."""
        self._process = f"{os.getpid()}-{token_hex(4)}"
        self._resource, self._of_resource = None, self._ambient(None)

    def of_span(
        self,
        trace_id: int,
        parent: Place | None,
        attributes: Mapping[str, Any],
        resource: Resource | None,
        context: Context | None,
    ) -> Place:
        """The place of a span that starts.

        Args:
            trace_id: Its trace.
            parent: The place of its parent, None where that is not known here.
            attributes: Its own.
            resource: What its provider says of the process.
            context: What it starts in; None: the current one.
        """
        if parent is not None and not self._names and _TIER not in attributes:
            opened = RUNS.get()
            if (not opened or opened is parent.runs) and _RUN_ID not in attributes:
                return parent  # as nearly all spans do
        if resource is not None and resource is not self._resource:
            self._of_resource, self._resource = self._ambient(resource), resource
        if self._names and parent is not None:
            # The parent may have told more since it started.
            above = getattr(get_current_span(context), "attributes", None) or _NOTHING
            attributes = {key: above[key] for key, _ in self._names if key in above} | {
                **attributes
            }
        return self._place(trace_id, parent, attributes, context)

    def of_call(
        self, trace_id: int, around: Place | None, span: Mapping[str, Any], request: Request | None
    ) -> Place:
        """The place of a call.

        Args:
            trace_id: Its trace, 0 outside any.
            around: The place of the span around it, None where there is none.
            span: The attributes of that span by now.
            request: What is asked of whom.
        """
        if not self._names:
            if around is not None and not RUNS.get():
                return around
            return self._place(trace_id, around, _NOTHING, None)
        # What was written when the span started is in `around`; it may have told more since.
        told = {key: span[key] for key, _ in self._names if key in span}
        if self._asks_request and request is not None:
            asked = {
                semconv.REQUEST_MODEL: request.model,
                semconv.PROVIDER_NAME: request.provider,
                semconv.OPERATION_NAME: request.operation,
            }
            told |= {key: value for key, value in asked.items() if value is not None}
        if request is not None and request.agent is not None:
            told[semconv.SCOPE_PREFIX + semconv.AGENT_NAME] = request.agent
        return self._place(trace_id, around, told, None)

    def at_end(self, place: Place, attributes: Mapping[str, Any]) -> Place:
        """The place of a span that has ended: it may have told more than when it started."""
        if not self._names:
            return place
        values = self._values(place, (), attributes, _NO_CONTEXT)
        return (
            place
            if values == place.values
            else Place(place.trace_id, place.runs, values, place.resource)
        )

    def _place(
        self,
        trace_id: int,
        parent: Place | None,
        attributes: Mapping[str, Any],
        context: Context | None,
    ) -> Place:
        runs = self._runs(trace_id, parent, attributes)
        values = self._values(parent, runs, attributes, context) if self._names else _NOTHING
        if parent is not None and runs == parent.runs and values == parent.values:
            return parent
        trace = hex_trace_id(trace_id) if parent is None else parent.trace_id
        return Place(trace, runs, values, self._of_resource)

    def _runs(
        self, trace_id: int, parent: Place | None, attributes: Mapping[str, Any]
    ) -> tuple[RunScope, ...]:
        """The runs around: those of the running code, else those of the parent."""
        opened = RUNS.get()
        if parent is not None and (not opened or _are_inside(parent.runs, opened)):
            opened = parent.runs
        elif not opened:
            opened = (RunScope(hex_trace_id(trace_id), is_trace=True),)
        tier, run_id = attributes.get(semconv.TIER), attributes.get(semconv.RUN_ID)
        if isinstance(run_id, str) and all(run.id != run_id for run in opened):
            outer = () if opened[-1].is_trace else opened
            opened = (*outer, RunScope(run_id))
        if isinstance(tier, str) and opened[-1].tier is None:
            opened = (*opened[:-1], opened[-1]._replace(tier=tier))
        return opened

    def _values(
        self,
        parent: Place | None,
        runs: Sequence[RunScope],
        attributes: Mapping[str, Any],
        context: Context | None,
    ) -> Mapping[str, str]:
        known = () if parent is None else parent.runs
        inherited = {} if parent is None else dict(parent.values)
        for run in runs:
            if run.values and all(run.id != each.id for each in known):
                inherited |= dict(run.values)
        carried = baggage.get_all(context)
        values = inherited
        for key, written in self._names:
            was = inherited.get(key)
            value = look_up(
                attributes.get(written), attributes.get(key), was, carried.get(key), None
            )
            if value not in {was, NONE}:
                values = {**values, key: value}
        return values

    def _ambient(self, resource: Resource | None) -> dict[str, str]:
        """What the process says of itself, for the keys that budgets name."""
        attributes: Mapping[str, Any] = {} if resource is None else resource.attributes
        told = {
            key: look_up(None, None, None, None, attributes[key])
            for key in self.keys
            if key in attributes
        }
        return told | ({PROCESS: self._process} if PROCESS in self.keys else {})


def _are_inside(runs: Sequence[RunScope], opened: Sequence[RunScope]) -> bool:
    """Whether the runs of a parent begin with those that are open around the running code."""
    return len(runs) >= len(opened) and all(
        run.id == each.id for run, each in zip(runs, opened, strict=False)
    )


def hex_trace_id(trace_id: int) -> str:
    """A trace id as 32 hex digits; "(none)" for what is outside any trace, which is one scope."""
    return format(trace_id, "032x") if trace_id else NONE
