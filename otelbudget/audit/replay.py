"""What limits would have done: recorded calls go through the engine that decides live.

A call occupies [start, end); its end is at least a nanosecond after its start, and at equal times
ends come before starts. Calls count when they start, money and tokens when they end. It is assumed
that a run would have gone on as recorded up to its stop.

Most calls are far from every limit. Those whose scopes stay below all of their limits even with all
that was recorded are only added up; all others go through the engine one by one, in time.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import IntEnum, StrEnum
from itertools import chain
from typing import Any

from otelbudget.audit.happenings import Extension, Fate, RecordedCall, Recording, ToolCall
from otelbudget.audit.headroom import Headroom
from otelbudget.audit.memory import uncollected
from otelbudget.audit.outcomes import Alone, Replay, Run
from otelbudget.audit.tallies import Tallies, refused_by
from otelbudget.budgets.config import Budgets, Mode
from otelbudget.budgets.decisions import Accounts, Admission, Attempt, Refusal
from otelbudget.budgets.engine import Engine
from otelbudget.budgets.ledger import MemoryLedger
from otelbudget.budgets.limits import CALL_KINDS, UNPAID_KINDS, tightest
from otelbudget.budgets.scopes import Place, RunScope
from otelbudget.budgets.windows import RollingWindow


class OnStop(StrEnum):
    """What a refused call ends.

    Attributes:
        CALL: Itself; later calls of its run are asked about as recorded.
        RUN: Its run: later calls of that are not made. They count as refused by what ended it, and
            in no other budget.
    """

    CALL = "call"
    RUN = "run"


def replay(recording: Recording, budgets: Budgets, on_stop: OnStop = OnStop.CALL) -> Replay:
    """Send what was recorded through an engine with `budgets`.

    Args:
        recording: What happened.
        budgets: What applies to it; a tier to the runs that asked for it.
        on_stop: What a refusal ends.
    """
    return _replay(recording, budgets, on_stop, None)


def _replay(
    recording: Recording, budgets: Budgets, on_stop: OnStop, alone: Mapping[str, Alone] | None
) -> Replay:
    for place in recording.places():
        place.accounts = None  # those of another replay
    with uncollected():
        run = _Run(budgets, on_stop, alone)
        near = run.add_up_far(recording)
        for at_ns, phase, _, _, number, happening in sorted(_in_time(recording, near)):
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
        return run.result(recording, near)


def audited(recording: Recording, budgets: Budgets) -> tuple[Replay, Mapping[str, Alone]]:
    """What was recorded, counted by budgets that refuse nothing.

    Args:
        recording: What happened.
        budgets: The budgets, whatever their mode; those that are off are left out.

    Returns:
        What that came to, and by budget what it would have refused by itself, which is so for
        those without feedback.
    """
    kept = [each for each in budgets.budgets if each.mode is not Mode.OFF]
    alone = {each.name: Alone(set(), set()) for each in kept}
    enforcing = Budgets(tuple(each.with_mode(Mode.ENFORCE) for each in kept), budgets.unknown_model)
    return _replay(recording, enforcing, OnStop.CALL, alone), alone


class _Phase(IntEnum):
    """What comes first of what happens at one time."""

    ENDS = 0
    OPENS = 1
    EXTENDS = 2
    USES_TOOL = 3
    STARTS = 4


def _in_time(
    recording: Recording, near: Iterable[int]
) -> Iterator[tuple[int, int, str, str, int, Any]]:
    """Time, phase, trace, span and number of each start and end; no two are equal up to there."""
    calls = [(number, recording.calls[number]) for number in near]
    starts = (
        (call.start_time_unix_nano, _Phase.STARTS, call.trace_id, call.span_id, number, call)
        for number, call in calls
    )
    ends = (
        (call.end_time_unix_nano, _Phase.ENDS, call.trace_id, call.span_id, number, call)
        for number, call in calls
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

    def __init__(
        self, budgets: Budgets, on_stop: OnStop, alone: Mapping[str, Alone] | None
    ) -> None:
        self._alone = alone
        self._engine = Engine(budgets.budgets, MemoryLedger(max_scopes=sys.maxsize))
        self._rolls = any(isinstance(each.window, RollingWindow) for each in self._engine.budgets)
        self._ends_runs = on_stop is OnStop.RUN
        self._ended: dict[Run, Refusal] = {}
        self._admissions: dict[int, Admission] = {}
        self._refused: set[int] = set()
        self._tallies = Tallies(self._engine)
        self._uncounted: set[str] = set()
        self._runs: set[Run] = set()
        self._audited = self._released = self._unknown = self._tools_denied = 0
        self._estimated_pusd = 0

    def add_up_far(self, recording: Recording) -> Sequence[int]:
        """Add up the calls that no limit can refuse; returns the numbers of all others."""
        if self._engine.is_limiting_seconds or recording.extensions:
            return range(len(recording.calls))
        headroom = Headroom(self._engine, recording.calls, has_whole_runs=self._ends_runs)
        for group in headroom.far:
            group.add_up()
            self._released += group.released
            self._unknown += group.unknown
            self._estimated_pusd += group.estimated_pusd
            if group.accounts:
                self._runs.add(group.run)
                for budget, _ in group.accounts:
                    if self._alone is not None:
                        self._alone[budget.name].runs.add(group.run)
            else:
                self._uncounted |= group.trace_ids
        return headroom.near

    def open(self, place: Place, at_ns: int) -> None:
        """The first span of a place starts."""
        self._engine.accounts(place, at_ns)

    def start(self, number: int, call: RecordedCall) -> None:
        """A call asks for admission."""
        at_ns = call.start_time_unix_nano
        place = call.place or Place(call.trace_id)
        run = place.runs[0].scope[0]
        if run in self._ended:
            self._refuse(number, call, place, self._ended[run])
            return
        accounts = self._engine.accounts(place, at_ns)
        if accounts:
            self._runs.add(run)
        else:
            self._uncounted.add(call.trace_id)
        attempt = Attempt(at_ns, call.hold, call.is_free, call.is_wrap_up)
        if self._alone is not None:
            self._ask_alone(self._alone, accounts, attempt, run, call)
        if call.fate is Fate.RECORDED or self._alone is not None:
            decision: Admission | Refusal = self._engine.count(accounts, attempt)
        else:
            decision = self._engine.admit(accounts, attempt)
        if isinstance(decision, Refusal):
            self._refuse(number, call, place, decision)
            return
        self._admissions[number] = decision
        self._audited += decision.is_audited
        self._unknown += call.fate is Fate.DENIED
        self._note(accounts)

    def _ask_alone(
        self,
        alone: Mapping[str, Alone],
        accounts: Accounts,
        attempt: Attempt,
        run: Run,
        call: RecordedCall,
    ) -> None:
        """Note which budgets would refuse a call by themselves."""
        for budget, account in accounts:
            found = alone[budget.name]
            found.runs.add(run)
            if account.limits.is_timed:
                account.pass_time(attempt.at_ns)
            if call.fate is not Fate.RECORDED and account.is_closed:
                kinds = UNPAID_KINDS if attempt.is_free else CALL_KINDS
                refusal = tightest([(budget, account)], Mode.ENFORCE, kinds)
                if refusal is not None:
                    found.refused.add(refused_by(refusal, run))

    def _refuse(self, number: int, call: RecordedCall, place: Place, refusal: Refusal) -> None:
        self._refused.add(number)
        self._tallies.refused(refusal, place, call.charge.list_cost_pusd or 0)
        self._end_run(place, refusal)

    def _end_run(self, place: Place, refusal: Refusal) -> None:
        if self._ends_runs:
            self._ended.setdefault(place.runs[0].scope[0], refusal)

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
        ended = self._ended.get(call.place.runs[0].scope[0])
        if ended is not None:
            self._refuse_tool(call, ended)
            return
        accounts = self._engine.tool_accounts(call.place, call.at_ns, call.tool)
        if not call.is_stoppable or self._alone is not None:
            self._engine.count_tool(accounts, call.at_ns)
        else:
            decision = self._engine.admit_tool(accounts, call.at_ns)
            if isinstance(decision, Refusal):
                self._refuse_tool(call, decision)
        self._note(accounts)

    def _refuse_tool(self, call: ToolCall, refusal: Refusal) -> None:
        self._tools_denied += 1
        self._tallies.refused(refusal, call.place, None)
        self._end_run(call.place, refusal)

    def extend(self, extension: Extension) -> None:
        """A limit is raised: one that counts the run by its id, or its trace."""
        place, run_id = extension.place, extension.run_id
        accounts = self._engine.accounts(place, extension.at_ns)
        named = [] if run_id is None else [RunScope(run_id)]
        for run in (*named, RunScope(place.trace_id, is_trace=True)):
            kind, by, budget = extension.kind, extension.by, extension.budget
            if self._engine.extend(accounts, run, kind, by, budget):
                break

    def result(self, recording: Recording, near: Iterable[int]) -> Replay:
        """What the whole came to; `near` are the calls that went through the engine."""
        calls = recording.calls
        refused = [calls[number].charge.list_cost_pusd or 0 for number in self._refused]
        total = sum(call.charge.list_cost_pusd or 0 for call in calls)
        timeless = sum(charge.list_cost_pusd or 0 for charge in recording.timeless)
        self._tally_allowed(calls, near)
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
            refused_calls=frozenset(self._refused),
        )

    def _tally_allowed(self, calls: Sequence[RecordedCall], near: Iterable[int]) -> None:
        """Tell the scopes that were stopped which of their calls went through."""
        if not self._tallies.has_stopped:
            return
        for number in near:
            call = calls[number]
            if number not in self._refused and call.fate is not Fate.RELEASED:
                place = call.place or Place(call.trace_id)
                accounts = self._engine.accounts(place, call.start_time_unix_nano)
                self._tallies.allowed(accounts, call.charge.list_cost_pusd or 0)

    def _note(self, accounts: Accounts) -> None:
        """Remember the most that windows which roll have held."""
        if self._rolls:
            self._tallies.note_peaks(accounts)
