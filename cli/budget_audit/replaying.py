"""From the sources on the command line to recorded calls that budgets can be replayed over."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from budget_audit import loading
from otelbudget.audit.graduation import Graduation, graduations
from otelbudget.audit.happenings import Recording
from otelbudget.audit.judging import Verdicts, false_stops, judge
from otelbudget.audit.outcomes import Replay
from otelbudget.audit.recorded import recorded
from otelbudget.audit.replay import replay
from otelbudget.budgets.config import Budget, Budgets
from otelbudget.ingest import ReadReport
from otelbudget.pricing.billing import UnknownModel
from otelbudget.store.store import Store


class Asked(NamedTuple):
    """What is asked of recorded calls.

    Attributes:
        budgets: What is replayed.
        swept: The budget of which many limits are tried, None without a sweep.
        where: Keys and values that calls must belong to.
        since: Traces whose first call starts before this time are left out, unix ns.
        until: So are those whose first call starts then or later.
        success: Attribute of the root span, and its value, that say that a run was good.
    """

    budgets: Budgets
    swept: Budget | None = None
    where: Sequence[tuple[str, str]] = ()
    since: int | None = None
    until: int | None = None
    success: tuple[str, str] | None = None


class Replayable(NamedTuple):
    """Recorded calls, and what reading them found.

    Attributes:
        asked: What is asked of them.
        store: The spans.
        report: What reading them found.
        recording: The calls.
        verdicts: Which runs were good.
    """

    asked: Asked
    store: Store
    report: ReadReport
    recording: Recording
    verdicts: Verdicts

    def replay(self, budgets: Budgets) -> Replay:
        """What budgets would have done; what is not known of that becomes a warning."""
        result = replay(self.recording, budgets)
        if result.attempts_unknown:
            self.report.warn(
                "attempts_unknown",
                "calls that were refused when they were recorded go through here; what they would "
                "have used is unknown and counts nothing",
                result.attempts_unknown,
            )
        return result

    def false_stops(self, result: Replay) -> int | None:
        """Stopped runs that were good, None where no run can be judged."""
        return false_stops(self.verdicts, result.runs_stopped)

    def graduations(self, result: Replay) -> Sequence[Graduation]:
        """Whether enforcing each budget is safe."""
        return graduations(self.recording, self.asked.budgets, result, self.verdicts)


def load(sources: Sequence[str], prices_file: Path | None, asked: Asked) -> Replayable:
    """Read all sources, count their model calls and find what is asked about.

    Raises:
        TraceReadError: Nothing in them could be read.
        StoreError: A store cannot be read.
        BudgetConfigError: A key or value of the prices is not allowed.
    """
    budgets = asked.budgets
    store, report, book = loading.load(sources, loading.own_book(prices_file, budgets))
    swept = [] if asked.swept is None else [asked.swept]
    keys = tuple(dict.fromkeys(key for key, _ in asked.where))
    recording = recorded(store, book, (*budgets.budgets, *swept), budgets.unknown_model, keys)
    recording = recording.where(asked.where).between(asked.since, asked.until)
    _note_unpriced(report, recording, budgets)
    _note_assumed(report, recording)
    verdicts = judge(store, asked.success)
    known = {run: verdicts[run] for run in recording.runs & verdicts.keys()}
    return Replayable(asked, store, report, recording, known)


def _note_unpriced(report: ReadReport, recording: Recording, budgets: Budgets) -> None:
    unpriced = [
        call.charge.model
        for call in recording.calls
        if call.charge.tokens and call.charge.list_cost_pusd is None
    ]
    if unpriced:
        counts = "nothing" if budgets.unknown_model is UnknownModel.ALLOW else "a ceiling price"
        report.warn(
            "unpriced_calls",
            f"calls of {unpriced[0]!r} have no known price and count {counts} toward money limits",
            len(unpriced),
        )


def _note_assumed(report: ReadReport, recording: Recording) -> None:
    if recording.estimates_assumed:
        report.warn(
            "estimates_assumed",
            "nobody recorded what was held for calls; it is assumed from the input they had and "
            "the cap of their output, or 4,096 tokens",
            recording.estimates_assumed,
        )
