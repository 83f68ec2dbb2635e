"""What the audit log tells: when runs begin and end, what they cost, and what budgets did."""

import atexit
import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping
from decimal import Decimal
from multiprocessing import parent_process, util
from typing import Any

import msgspec
from opentelemetry import trace

from otelbudget.budgets.decisions import Notice, Refusal, amount
from otelbudget.budgets.engine import Engine
from otelbudget.budgets.kinds import LimitKind
from otelbudget.budgets.ledger import Account
from otelbudget.budgets.runs import RunAccounts
from otelbudget.budgets.scopes import NONE, RUN, TRACE, Place, RunScope, Scope
from otelbudget.live.audit_log import AuditLog
from otelbudget.live.current import RUNS
from otelbudget.live.metrics import part_of
from otelbudget.live.places import hex_trace_id
from otelbudget.live.written import Asked
from otelbudget.pricing.billing import Charge, usd

_MAX_OPEN = 10_000
_NO_MONEY: tuple[None, None] = None, None


class _Open(msgspec.Struct, eq=False):
    """A run that has begun and has not ended.

    Attributes:
        run: The run.
        place: Where its calls belong.
        agent: The agent that made its first call, None where not known.
        is_entered: The application says when it ends; else it ends with its trace.
    """

    run: RunScope
    place: Place
    agent: str | None
    is_entered: bool


class AuditTrail:
    """Writes to an audit log what happens to runs and budgets.

    A run that the application opens by name begins and ends as it says. Any other run, and a trace
    in which none was opened, begins with its first call and ends when its trace is quiet.

    Safe to use from many threads, with the ledger's lock held or not.

    Args:
        engine: Its budgets, and what each run has used.
        log: Where it is written.
        clock: Unix nanoseconds.
    """

    def __init__(self, engine: Engine, log: AuditLog, clock: Callable[[], int]) -> None:
        self._engine = engine
        self._runs = engine.runs = engine.runs or RunAccounts()
        self._runs.keeps_traces = True
        self._log = log
        self._clock = clock
        self._open: OrderedDict[Scope, _Open] = OrderedDict()
        self._by_trace: dict[str, list[Scope]] = {}
        _trails.add(self)

    def called(self, place: Place, agent: str | None) -> None:
        """A call is made: the runs around it have begun."""
        for run in place.runs:
            if run.scope not in self._open:
                self._begin(run, place, agent, is_entered=False)

    def run_started(self, place: Place, agent: str | None) -> None:
        """The innermost run of a place has begun."""
        self._begin(place.runs[-1], place, agent, is_entered=True)

    def run_ended(self, place: Place, agent: str | None) -> None:
        """The innermost run of a place has ended."""
        with self._engine.ledger.lock:
            begun = self._open.pop(place.runs[-1].scope, None)
        if begun is not None:
            begun.agent = begun.agent or agent
            self._end(begun)

    def trace_ended(self, trace_id: str) -> None:
        """A trace is quiet, so the runs end that nobody else ends."""
        if trace_id not in self._by_trace:
            return
        with self._engine.ledger.lock:
            scopes = self._by_trace.pop(trace_id, [])
            ended = [begun for scope in scopes if (begun := self._open.pop(scope, None))]
        for begun in reversed(ended):
            self._end(begun)

    def noticed(self, notice: Notice, window: str | None) -> None:
        """A budget has something to say."""
        limit_kind = notice.limit_kind
        facts = {
            **_around(notice.scope),
            **_limit(notice.account, limit_kind, notice.limit, notice.usage, window),
            "threshold": notice.threshold,
            "mode": str(notice.budget.mode),
        }
        self._log.write(self._clock(), str(notice.kind), facts)

    def refused(self, refusal: Refusal, asked: Asked, window: str | None) -> None:
        """A budget has refused a call, or would have."""
        account, kind, request, place = refusal.account, refusal.kind, asked.request, asked.place
        limit, usage = account.limits.by_kind[kind], account.usage(kind)
        facts: dict[str, Any] = {
            **(_around(account.scope) if place is None else _ids(place.trace_id, place.run_id)),
            **_limit(account, kind, limit, usage, window),
            "operation": asked.operation,
            "provider": None if request is None else request.provider,
            "model": None if request is None else request.model,
            "tool": asked.tool,
        }
        if asked.estimate is not None:
            facts["estimated_cost"] = usd(asked.estimate.cost_pusd)
        self._log.write(asked.at_ns, "denied", facts)

    def unknown_price(self, provider: str | None, model: str | None, charge: Charge) -> None:
        """A call was charged whose model has no known price."""
        facts = {"provider": provider, "model": model, "estimated_cost": usd(charge.estimated_pusd)}
        self._log.write(self._clock(), "unknown_price", {**_around(()), **facts})

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until all is written; False where that takes longer."""
        return self._log.flush(timeout_seconds)

    def close(self) -> None:
        """End the runs that have not ended, and write what waits."""
        with self._engine.ledger.lock:
            left = list(self._open.values())
            self._open.clear()
            self._by_trace.clear()
        for begun in reversed(left):
            self._end(begun)
        self._log.close()

    def renew_after_fork(self) -> None:
        """Begin anew in a forked child: the runs that had begun end in the parent."""
        self._open.clear()
        self._by_trace.clear()
        self._log.renew_after_fork()

    def _begin(self, run: RunScope, place: Place, agent: str | None, *, is_entered: bool) -> None:
        begun = _Open(run, place, agent, is_entered)
        oldest = None
        with self._engine.ledger.lock:
            if run.scope in self._open:
                return
            self._open[run.scope] = begun
            if not is_entered:
                self._by_trace.setdefault(place.trace_id, []).append(run.scope)
            if len(self._open) > _MAX_OPEN:
                _, oldest = self._open.popitem(last=False)
                if not oldest.is_entered:
                    self._by_trace.pop(oldest.place.trace_id, None)
            limit, _ = self._money(begun)
            facts = {**_ids(place.trace_id, _name(run)), "tier": run.tier, "agent_id": agent}
            self._log.write(
                self._clock(), "budget_monitoring_start", {"budget_limit": limit, **facts}
            )
        if oldest is not None:
            self._end(oldest)

    def _end(self, begun: _Open) -> None:
        run = begun.run
        with self._engine.ledger.lock:
            _, own = self._runs.account(run, self._clock())
            limit, remaining = self._money(begun)
            total_pusd, operations = own.cost_pusd, own.calls
            by_operation = {name: usd(cost) for name, cost in own.spent.by(2).items()}
        facts = {
            "total_cost": usd(total_pusd),
            "budget_limit": limit,
            "budget_remaining": remaining,
            "operations": operations,
            "cost_by_operation": by_operation,
            "agent_id": begun.agent,
            **_ids(begun.place.trace_id, _name(run)),
            "tier": run.tier,
        }
        self._log.write(self._clock(), "budget_monitoring_end", facts)

    def _money(self, begun: _Open) -> tuple[Decimal | None, Decimal | None]:
        """The tightest limit on money that a run's calls count toward, and the least that is left."""
        accounts = [
            account
            for budget, account in self._engine.accounts(begun.place, self._clock())
            if LimitKind.COST_USD in account.limits.by_kind
            and part_of(budget, account.scope) is None
        ]
        if not accounts:
            return _NO_MONEY
        limits = [account.limits.by_kind[LimitKind.COST_USD] for account in accounts]
        left = (limit - account.cost_pusd for limit, account in zip(limits, accounts, strict=True))
        return usd(min(limits)), usd(max(0, min(left)))


def _name(run: RunScope) -> str | None:
    return None if run.is_trace else run.id


def _ids(trace_id: str | None, run_id: str | None) -> Mapping[str, str | None]:
    return {"run_id": run_id, "trace_id": None if trace_id == NONE else trace_id}


def _around(scope: Scope) -> Mapping[str, str | None]:
    """Run and trace of a scope, else those of the running code."""
    known, runs = dict(scope), RUNS.get()
    context = trace.get_current_span().get_span_context()
    trace_id = hex_trace_id(context.trace_id)
    return _ids(known.get(TRACE, trace_id), known.get(RUN, runs[-1].id if runs else None))


def _limit(
    account: Account, kind: LimitKind, limit: int, usage: int, window: str | None
) -> Mapping[str, Any]:
    return {
        "budget": account.key[0],
        "scope": dict(account.scope),
        "window": window,
        "kind": str(kind),
        "limit": amount(kind, limit),
        "usage": amount(kind, usage),
    }


_trails: weakref.WeakSet[AuditTrail] = weakref.WeakSet()


def _at_exit() -> None:
    for trail in list(_trails):
        trail.close()


def _stop_before_worker_exit(_: object) -> None:
    """In a process of multiprocessing, which may run no `atexit`, stop where it ends its work."""
    if parent_process() is not None:
        util.Finalize(None, _at_exit, exitpriority=_AFTER_OTHERS)


_AFTER_OTHERS = -100
atexit.register(_at_exit)
util.register_after_fork(_trails, _stop_before_worker_exit)
_stop_before_worker_exit(None)
