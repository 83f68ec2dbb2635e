"""What is otherwise only counted, told once per cause when no lock is held."""

import logging

from otelbudget.budgets.ledger import MemoryLedger
from otelbudget.live.emitter import Emitter
from otelbudget.live.processes import tell_forked
from otelbudget.live.spans import MAX_LINKS, MAX_TRACES, SpanLinks


class News:
    """Logs what bounds have cost and what was guessed, once per cause.

    Args:
        emitter: Tells the user.
        links: The spans that are kept.
        ledger: The accounts that are kept.

    Attributes:
        matched_by_usage: Spans that were taken for a call already told of by usage and time only.
        is_due: There may be something to tell.
    """

    def __init__(self, emitter: Emitter, links: SpanLinks, ledger: MemoryLedger) -> None:
        self._emitter = emitter
        self._links = links
        self._ledger = ledger
        self._told_overflow = self._told_dropped = 0
        self._forked_from: int | None = None
        self.matched_by_usage = 0
        self.is_due = False

    def matched(self) -> None:
        """A span was taken for a call already told of."""
        self.matched_by_usage += 1
        self.is_due = True

    def forked(self, parent: int) -> None:
        """This process was forked from another one."""
        self._forked_from = parent
        self.is_due = True

    def tell(self) -> None:
        """Tell what there is. Called without the lock, once a call or span has ended."""
        overflow, dropped = self._links.overflow, self._ledger.dropped_scopes
        if not (self.is_due or overflow != self._told_overflow or dropped != self._told_dropped):
            return
        self.is_due = False
        self._told_overflow, self._told_dropped = overflow, dropped
        if self._forked_from is not None:
            tell_forked(self._emitter, self._forked_from)
            self._forked_from = None
        if overflow:
            self._emitter.once(
                "overflow",
                "More spans were open or kept than otelbudget links (%d in a trace, %d traces), so "
                "spans that repeat the usage of others may be charged too; see processor.stats.",
                MAX_LINKS,
                MAX_TRACES,
            )
        if self.matched_by_usage:
            self._emitter.once(
                "matched by usage",
                "A span without response id was taken for a call that a gate or another "
                "instrumentation told of, because its time and tokens are the same; see "
                "processor.stats.",
                level=logging.INFO,
            )
        if dropped:
            self._emitter.once(
                "dropped scopes",
                "More scopes of a budget are being counted than the ledger keeps, so the one "
                "unused for longest was dropped and starts at zero if it goes on; see "
                "processor.stats.",
            )
