"""Counts calls of tools: by spans that tell of one, and by checks of the application."""

from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.trace import Span

from otelbudget.budgets.decisions import Notice, Refusal
from otelbudget.budgets.scopes import Place
from otelbudget.genai import semconv
from otelbudget.genai.reading import read_tool
from otelbudget.live.accounting import Accounting
from otelbudget.live.spans import Link
from otelbudget.live.written import Asked, write_tool


class ToolCalls:
    """Counts each call of a tool once, when its span starts or, unnamed till then, when it ends.

    A span below another one of the same tool is taken for the same call: frameworks and
    instrumentations may both make one.

    Args:
        accounting: What is counted on.
    """

    def __init__(self, accounting: Accounting) -> None:
        self._accounting = accounting
        self._engine = accounting.engine

    @property
    def is_limited(self) -> bool:
        """Whether calls of tools are counted at all: else spans need not be looked at."""
        return self._engine.is_limiting_tools

    def start(
        self, attributes: Mapping[str, Any], place: Place, link: Link, *, is_stoppable: bool
    ) -> Refusal | None:
        """Count a span that has started, if a tool's; a refused one is not counted."""
        if not self._is_new(attributes, link):
            return None
        engine = self._engine
        with self._accounting.lock:
            at_ns = self._accounting.now()
            accounts = engine.tool_accounts(place, at_ns, link.tool or "")
            decision = (
                engine.admit_tool(accounts, at_ns)
                if is_stoppable
                else engine.count_tool(accounts, at_ns)
            )
        if isinstance(decision, Refusal):
            return decision
        self._accounting.tell_notices(decision)
        return None

    def end(self, attributes: Mapping[str, Any], link: Link | None) -> Sequence[Notice]:
        """Count a span that has ended, if it is a tool's and did not say so when it started.

        Called with the lock held; returns what is to be told once it is not.
        """
        if link is None or link.place is None or not self._is_new(attributes, link):
            return ()
        at_ns = self._accounting.now()
        accounts = self._engine.tool_accounts(link.place, at_ns, link.tool or "")
        return self._engine.count_tool(accounts, at_ns)

    def check(
        self, place: Place, link: Link | None, span: Span, name: str | None
    ) -> tuple[Refusal | None, Asked]:
        """Count a call of a tool that the application tells of, unless its span was counted.

        Args:
            place: Where it belongs.
            link: The span it is made in, None where that is not linked.
            span: That span, on which the call is written where it was counted.
            name: Name of the tool, None: what the span names.

        Returns:
            The budget that refuses it, or None, and what that was asked about.
        """
        accounting = self._accounting
        decision: Refusal | Sequence[Notice] | None
        told = getattr(span, "attributes", None) or {}
        with accounting.lock:
            at_ns = accounting.now()
            if link is not None and link.tool is not None:
                accounts = self._engine.tool_accounts(place, at_ns, link.tool)
                decision, asked = self._engine.peek_tool(accounts, at_ns), Asked(at_ns, place)
            else:
                tool = name or str(told.get(semconv.TOOL_NAME, ""))
                accounts = self._engine.tool_accounts(place, at_ns, tool)
                decision = self._engine.admit_tool(accounts, at_ns)
                asked = Asked(at_ns, place, tool=tool)
        if isinstance(decision, Refusal):
            return decision, asked
        # Without a limit on tools their spans are not looked at; replay does, and counts them.
        if asked.is_attempt and read_tool(told) is None:
            write_tool(span, asked, accounting.places.keys)
        accounting.tell_notices(decision or ())
        return None, asked

    def _is_new(self, attributes: Mapping[str, Any], link: Link) -> bool:
        """Whether a span tells of a call of a tool that is not counted; it is from now on."""
        if link.tool is not None:
            return False
        tool = read_tool(attributes)
        if tool is None:
            return False
        link.tool = tool
        above = link.parent
        return above is None or above.tool != tool or not tool
