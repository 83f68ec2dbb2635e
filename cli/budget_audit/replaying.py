"""From the sources on the command line to recorded calls that budgets can be replayed over."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click

from budget_audit import loading, noting, supposing
from budget_audit.formats.values import counted
from otelbudget.audit.graduation import Graduation, graduations
from otelbudget.audit.happenings import Recording
from otelbudget.audit.judging import Verdicts, false_stops, judge
from otelbudget.audit.outcomes import Replay
from otelbudget.audit.recorded import recorded
from otelbudget.audit.replay import OnStop, replay
from otelbudget.audit.whatif import WhatIf
from otelbudget.budgets.config import Budget, Budgets, Mode
from otelbudget.ingest import ReadReport
from otelbudget.store.store import Store

_ASSUMED = {
    OnStop.CALL: "A run would have gone on as it was recorded up to its stop.",
    OnStop.RUN: "A run would have gone on as it was recorded up to its first refused call, and then "
    "have ended.",
}


NO_CALLS = "no call to judge; check the sources, --where, --since and --until"


class Asked(NamedTuple):
    """What is asked of recorded calls.

    Attributes:
        budgets: What is replayed.
        swept: The budget of which many limits are tried, None without a sweep.
        where: Keys and values that calls must belong to.
        since: Traces whose first call starts before this time are left out, unix ns.
        until: So are those whose first call starts then or later.
        success: Attribute of the root span, and its value, that say that a run was good.
        has_tiers: The budgets are those of a file, so runs that ask for a tier mean one of them.
        what_if: How the calls would have been others than they were.
        on_stop: What a refused call ends.
    """

    budgets: Budgets
    swept: Budget | None = None
    where: Sequence[tuple[str, str]] = ()
    since: int | None = None
    until: int | None = None
    success: tuple[str, str] | None = None
    has_tiers: bool = False
    what_if: WhatIf = WhatIf()
    on_stop: OnStop = OnStop.CALL


class Replayable(NamedTuple):
    """Recorded calls, and what reading them found.

    Attributes:
        asked: What is asked of them.
        store: The spans.
        report: What reading them found.
        recording: The calls.
        verdicts: Which runs were good.
        as_recorded: The calls as they were, where they are asked about as they would have been.
        supposed: What is taken to be true of these calls alone, one sentence each.
    """

    asked: Asked
    store: Store
    report: ReadReport
    recording: Recording
    verdicts: Verdicts
    as_recorded: Recording | None = None
    supposed: Sequence[str] = ()

    @property
    def assumptions(self) -> Sequence[str]:
        """What the answer takes to be true, one sentence each."""
        return (*assumptions(self.asked), *self.supposed)

    def base(self) -> Replay | None:
        """What the budgets would have done to the calls as they were; None without a what-if."""
        if self.as_recorded is None:
            return None
        return replay(self.as_recorded, self.asked.budgets, self.asked.on_stop)

    def replay(self, budgets: Budgets) -> Replay:
        """What budgets would have done; what is not known of that becomes a warning."""
        result = replay(self.recording, budgets, self.asked.on_stop)
        nothing = self.nothing(result)
        if nothing:
            self.report.warn("no_calls", nothing)
        if result.attempts_unknown:
            self.report.warn(
                "attempts_unknown",
                "calls that were refused when they were recorded go through here; what they would "
                "have used is unknown and counts nothing",
                result.attempts_unknown,
            )
        return result

    def nothing(self, result: Replay) -> str | None:
        """Why budgets had nothing to judge, None where they had."""
        calls = self.recording.calls
        if not (calls or self.recording.tools):
            return NO_CALLS
        if result.limits and not (result.runs or self.recording.tools):
            return f"no call to judge: no budget counts any of {counted(len(calls), 'call')}"
        return None

    def if_enforced(self) -> Replay | None:
        """What the budgets would have done if those in audit mode enforced; None: none is in it."""
        budgets = self.asked.budgets
        if all(budget.mode is not Mode.AUDIT for budget in budgets.budgets):
            return None
        enforced = tuple(
            each.with_mode(Mode.ENFORCE) if each.mode is Mode.AUDIT else each
            for each in budgets.budgets
        )
        enforcing = Budgets(enforced, budgets.unknown_model)
        return replay(self.recording, enforcing, self.asked.on_stop)

    def say_unused_tiers(self) -> None:
        """Write to standard error which tiers of the file no run asks for."""
        unused = noting.unused_tiers(self.recording, self.asked.budgets)
        if self.asked.has_tiers and unused:
            click.echo(f"note: {unused}", err=True)

    def false_stops(self, result: Replay) -> int | None:
        """Stopped runs that were good, None where no run can be judged."""
        return false_stops(self.verdicts, result.runs_stopped)

    def graduations(self) -> Sequence[Graduation]:
        """Whether enforcing each budget is safe."""
        return graduations(self.recording, self.asked.budgets, self.verdicts)


def assumptions(asked: Asked) -> Sequence[str]:
    """What an answer takes to be true, one sentence each."""
    return (_ASSUMED[asked.on_stop], *asked.what_if.assumptions)


def load(sources: Sequence[str], prices_file: Path | None, asked: Asked) -> Replayable:
    """Read all sources, count their model calls and find what is asked about.

    Raises:
        TraceReadError: Nothing in them could be read.
        StoreError: A store cannot be read.
        BudgetConfigError: A key or value of the prices is not allowed.
    """
    return of(loading.load(sources, loading.own_book(prices_file, asked.budgets)), asked)


def of(loaded: loading.Loaded, asked: Asked) -> Replayable:
    """What is asked about of what was loaded."""
    budgets = asked.budgets
    store, report, _ = loaded
    swept = [] if asked.swept is None else [asked.swept]
    as_recorded = None
    supposed: Sequence[str] = ()
    if asked.what_if.is_asked:
        as_recorded = _recorded(loaded, asked)
        supposed = supposing.suppose_loaded(loaded, asked.what_if)
    recording = _recorded(loaded, asked)
    noting.note_unpriced(report, recording, budgets)
    noting.note_assumed(report, recording)
    noting.note_keys(report, recording, (*budgets.budgets, *swept))
    if asked.has_tiers:
        noting.note_tiers(report, recording, budgets)
    verdicts = judge(store, asked.success)
    known = {run: verdicts[run] for run in recording.runs & verdicts.keys()}
    return Replayable(asked, store, report, recording, known, as_recorded, supposed)


def _recorded(loaded: loading.Loaded, asked: Asked) -> Recording:
    """The calls that are asked about."""
    budgets = asked.budgets.budgets
    if asked.swept is not None:
        budgets = (*budgets, asked.swept)
    keys = tuple(dict.fromkeys(key for key, _ in asked.where))
    recording = recorded(loaded.store, loaded.book, budgets, asked.budgets.unknown_model, keys)
    return recording.where(asked.where).between(asked.since, asked.until)
