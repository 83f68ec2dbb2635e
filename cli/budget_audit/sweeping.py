"""Sweeps over plain traces, answered by the database: no call is read into this program."""

from collections.abc import Sequence

from budget_audit import noting, replaying
from budget_audit.formats.simulations import Simulation
from budget_audit.formats.values import counted
from budget_audit.loading import Loaded
from otelbudget.audit.outcomes import Replay
from otelbudget.audit.replay import OnStop
from otelbudget.audit.sweep import Untouched, sweep_traces, untouched
from otelbudget.audit.usages import is_plain
from otelbudget.budgets.config import LimitKind
from otelbudget.budgets.scopes import TRACE
from otelbudget.pricing.billing import UnknownModel


def is_for_database(loaded: Loaded, asked: replaying.Asked, kind: LimitKind) -> bool:
    """Whether a sweep is over all calls, by trace, and traces tell nothing that needs the engine."""
    return (
        asked.swept is not None
        and asked.swept.per == (TRACE,)
        and not asked.budgets.budgets
        and not (asked.where or asked.what_if.is_asked)
        and asked.since is asked.until is None
        and asked.on_stop is OnStop.CALL
        and kind not in (LimitKind.TOOL_CALLS, LimitKind.SECONDS)
        and is_plain(loaded.store)
    )


def swept(
    loaded: Loaded, asked: replaying.Asked, kind: LimitKind, limits: Sequence[int]
) -> Simulation:
    """What each limit would have done."""
    calls = untouched(loaded.store)
    if calls.unpriced:
        noting.warn_unpriced(
            loaded.report, calls.unpriced_model, calls.unpriced, UnknownModel.ALLOW
        )
    if not calls.calls:
        loaded.report.warn("no_calls", replaying.NO_CALLS)
    points = sweep_traces(loaded.store, loaded.book, kind, limits, asked.success)
    return Simulation(
        _replay(calls),
        asked.budgets,
        counted(calls.traces, "trace"),
        points,
        false_stops=None if points[0].false_stops is None else 0,
        graduations=(),
        enforced=None,
        assumptions=replaying.assumptions(asked),
        base=None,
    )


def _replay(calls: Untouched) -> Replay:
    """A replay of no budgets."""
    return Replay(
        scopes=calls.traces,
        scopes_reached=0,
        scopes_stopped=0,
        calls=calls.calls,
        calls_denied=0,
        calls_audited=0,
        tool_calls_denied=0,
        calls_without_time=calls.calls_without_time,
        attempts_unknown=0,
        estimates_assumed=0,
        spent_pusd=calls.spent_pusd,
        avoided_pusd=0,
        estimated_pusd=0,
        limits=(),
        stopped=(),
        runs=frozenset(),
        refused=frozenset(),
        denials={},
        usages=(),
    )
