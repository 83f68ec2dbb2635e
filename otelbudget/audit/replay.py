"""What limits would have done: recorded calls go through the engine that decides live.

A call occupies [start, end); its end is at least a nanosecond after its start, and at equal times
ends come before starts. Calls count when they start, money and tokens when they end. It is assumed
that a run would have gone on as recorded up to its stop.
"""

import sys
from collections.abc import Iterator, Sequence
from enum import IntEnum
from itertools import chain
from typing import Any

from otelbudget.audit.happenings import Extension, Fate, RecordedCall, Recording, ToolCall
from otelbudget.audit.outcomes import Replay, Run
from otelbudget.audit.tallies import Tallies
from otelbudget.budgets.config import Budgets
from otelbudget.budgets.decisions import Accounts, Admission, Attempt, Refusal
from otelbudget.budgets.engine import Engine
from otelbudget.budgets.ledger import MemoryLedger
from otelbudget.budgets.scopes import Place, RunScope
from otelbudget.budgets.windows import RollingWindow


def replay(recording: Recording, budgets: Budgets) -> Replay:
    """Send what was recorded through an engine with `budgets`.

    Args:
        recording: What happened.
        budgets: What applies to it; a tier to the runs that asked for it.
    """
    for place in recording.places():
        place.accounts = None  # those of another replay
    run = _Run(budgets)
    for at_ns, phase, _, _, number, happening in sorted(_in_time(recording)):
        match phase:
            case _Phase.ENDS:
                run.end(number, happening)
            case _Phase.OPENS:
                run.open(happening, at_ns)
            case _Phase.EXTENDS:
                run.extend(happening)
            case _Phase.USES_TOOL:
                run.use_tool(happening)
            case _:
                run.start(number, happening)
    return run.result(recording)


class _Phase(IntEnum):
    """What comes first of what happens at one time."""

    ENDS = 0
    OPENS = 1
    EXTENDS = 2
    USES_TOOL = 3
    STARTS = 4


def _in_time(recording: Recording) -> Iterator[tuple[int, int, str, str, int, Any]]:
    """Time, phase, trace, span and number of each start and end; no two are equal up to there."""
    starts = (
        (call.start_time_unix_nano, _Phase.STARTS, call.trace_id, call.span_id, number, call)
        for number, call in enumerate(recording.calls)
    )
    ends = (
        (call.end_time_unix_nano, _Phase.ENDS, call.trace_id, call.span_id, number, call)
        for number, call in enumerate(recording.calls)
    )
    tools = (
        (tool.at_ns, _Phase.USES_TOOL, tool.trace_id, tool.span_id, number, tool)
        for number, tool in enumerate(recording.tools)
    )
    extensions = (
        (each.at_ns, _Phase.EXTENDS, each.place.trace_id, "", number, each)
        for number, each in enumerate(recording.extensions)
    )
    opened = (
        (at_ns, _Phase.OPENS, place.trace_id, "", number, place)
        for number, (place, at_ns) in enumerate(recording.starts.items())
    )
    return chain(starts, ends, tools, extensions, opened)


class _Run:
    """One replay under way."""

    def __init__(self, budgets: Budgets) -> None:
        self._engine = Engine(budgets.budgets, MemoryLedger(max_scopes=sys.maxsize))
        self._rolls = any(isinstance(each.window, RollingWindow) for each in self._engine.budgets)
        self._admissions: dict[int, Admission] = {}
        self._refused: set[int] = set()
        self._tallies = Tallies(self._engine)
        self._uncounted: set[str] = set()
        self._runs: set[Run] = set()
        self._audited = self._released = self._unknown = self._tools_denied = 0
        self._estimated_pusd = 0

    def open(self, place: Place, at_ns: int) -> None:
        """The first span of a place starts."""
        self._engine.accounts(place, at_ns)

    def start(self, number: int, call: RecordedCall) -> None:
        """A call asks for admission."""
        at_ns = call.start_time_unix_nano
        place = call.place or Place(call.trace_id)
        accounts = self._engine.accounts(place, at_ns)
        if accounts:
            self._runs.add(place.runs[0].scope[0])
        else:
            self._uncounted.add(call.trace_id)
        attempt = Attempt(at_ns, call.hold, call.is_free, call.is_wrap_up)
        if call.fate is Fate.RECORDED:
            decision: Admission | Refusal = self._engine.count(accounts, attempt)
        else:
            decision = self._engine.admit(accounts, attempt)
        if isinstance(decision, Refusal):
            self._refused.add(number)
            self._tallies.refused(decision, place, call.charge.list_cost_pusd or 0)
            return
        self._admissions[number] = decision
        self._audited += decision.is_audited
        self._unknown += call.fate is Fate.DENIED
        self._note(accounts)

    def end(self, number: int, call: RecordedCall) -> None:
        """A call ends; nothing happens where it was refused."""
        admission = self._admissions.pop(number, None)
        if admission is None:
            return
        if call.fate is Fate.RELEASED:
            self._engine.release(admission)
            self._released += 1
            return
        self._engine.settle(admission, call.charge)
        if call.charge.list_cost_pusd is None:
            self._estimated_pusd += call.charge.estimated_pusd
        self._note(admission.accounts)

    def use_tool(self, call: ToolCall) -> None:
        """A tool is called."""
        accounts = self._engine.tool_accounts(call.place, call.at_ns, call.tool)
        if not call.is_stoppable:
            self._engine.count_tool(accounts, call.at_ns)
        else:
            decision = self._engine.admit_tool(accounts, call.at_ns)
            if isinstance(decision, Refusal):
                self._tools_denied += 1
                self._tallies.refused(decision, call.place, None)
        self._note(accounts)

    def extend(self, extension: Extension) -> None:
        """A limit is raised: one that counts the run by its id, or its trace."""
        place, run_id = extension.place, extension.run_id
        accounts = self._engine.accounts(place, extension.at_ns)
        named = [] if run_id is None else [RunScope(run_id)]
        for run in (*named, RunScope(place.trace_id, is_trace=True)):
            kind, by, budget = extension.kind, extension.by, extension.budget
            if self._engine.extend(accounts, run, kind, by, budget):
                break

    def result(self, recording: Recording) -> Replay:
        """What the whole came to."""
        calls = recording.calls
        refused = [calls[number].charge.list_cost_pusd or 0 for number in self._refused]
        total = sum(call.charge.list_cost_pusd or 0 for call in calls)
        timeless = sum(charge.list_cost_pusd or 0 for charge in recording.timeless)
        self._tally_allowed(calls)
        tallies = self._tallies
        return Replay(
            scopes=len(tallies.scopes()) + len(self._uncounted),
            scopes_reached=len(tallies.scopes_reached()),
            scopes_stopped=len(tallies.scopes_stopped()),
            calls=len(calls) - self._released,
            calls_denied=len(refused),
            calls_audited=self._audited,
            tool_calls_denied=self._tools_denied,
            calls_without_time=len(recording.timeless),
            attempts_unknown=self._unknown,
            estimates_assumed=recording.estimates_assumed,
            spent_pusd=total - sum(refused) + timeless,
            avoided_pusd=sum(refused),
            estimated_pusd=self._estimated_pusd,
            limits=tallies.limits(),
            stopped=tallies.stopped(),
            runs=frozenset(self._runs),
            refused=tallies.refusals(),
            denials=tallies.denials(),
            usages=tallies.usages(),
        )

    def _tally_allowed(self, calls: Sequence[RecordedCall]) -> None:
        """Tell the scopes that were stopped which of their calls went through."""
        if not self._tallies.has_stopped:
            return
        for number, call in enumerate(calls):
            if number not in self._refused and call.fate is not Fate.RELEASED:
                place = call.place or Place(call.trace_id)
                accounts = self._engine.accounts(place, call.start_time_unix_nano)
                self._tallies.allowed(accounts, call.charge.list_cost_pusd or 0)

    def _note(self, accounts: Accounts) -> None:
        """Remember the most that windows which roll have held."""
        if self._rolls:
            self._tallies.note_peaks(accounts)
