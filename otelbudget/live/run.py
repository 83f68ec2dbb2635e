"""Runs that the application opens by name: what budgets count by, and what they tell it."""

import functools
import logging
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from decimal import Decimal
from secrets import token_hex
from types import TracebackType
from typing import Self

from opentelemetry import context, trace
from opentelemetry.trace import Span, Status, StatusCode, TracerProvider

from otelbudget.budgets import values
from otelbudget.budgets.config import Budget, LimitKind
from otelbudget.budgets.decisions import Notice, amount
from otelbudget.budgets.runs import RunAccounts, checked_budget
from otelbudget.budgets.scopes import NONE, RunScope, look_up
from otelbudget.errors import BudgetConfigError, OtelBudgetError, display
from otelbudget.genai import semconv
from otelbudget.live.breakdown import Breakdown, RunUsage, breakdown_of, remaining_of
from otelbudget.live.callbacks import Callback, Callbacks, Listener, hang_up, listen
from otelbudget.live.current import IS_WRAPPING_UP, RUNS
from otelbudget.live.gatekeeper import Gatekeeper
from otelbudget.live.gates import active
from otelbudget.live.keeping import KeptRun
from otelbudget.live.siblings import REFUSED_IN, RefusedIn
from otelbudget.live.within import Within

logger = logging.getLogger("otelbudget")

_MOST_ID = 200


class Run:
    """A run of the application: the code inside its `with` block, and the tasks started there.

    Made by `otelbudget.run`. Use it once, with `with` or `async with`.

    Attributes:
        id: Its id.
        name: What it is called.
        tier: The tier that it asks for, or None.
    """

    def __init__(
        self,
        name: str,
        scope: RunScope,
        callbacks: Callbacks,
        tracer_provider: TracerProvider | None,
    ) -> None:
        self.id = scope.id
        self.name = name
        self.tier = scope.tier
        self._scope = scope
        self._callbacks = callbacks
        self._tracer_provider = tracer_provider
        self._kept: Sequence[KeptRun] = ()
        self._refused = RefusedIn()
        self._opened: _Opened | None = None
        self._listener: Listener | None = None

    @property
    def usage(self) -> RunUsage:
        """What the run has used, whatever budgets count it; nothing where no processor counts."""
        counted = self._counted()
        return RunUsage() if counted is None else counted.usage

    @property
    def remaining(self) -> Mapping[str, Decimal | None]:
        """What its budgets leave, by kind of limit, such as `run.remaining["cost_usd"]`.

        The least that is left by any budget that counts the run's calls, in US dollars for
        "cost_usd" and in seconds for "seconds"; never below 0, and None where there is no limit.
        """
        counted = self._counted()
        return remaining_of(()) if counted is None else counted.remaining

    def breakdown(self) -> Breakdown:
        """What the run cost, by operation, model and agent, and what its budgets leave."""
        counted = self._counted()
        if counted is not None:
            return counted.breakdown()
        return breakdown_of(RunAccounts().account(self._scope, 0)[1], ())

    def extend(
        self,
        *,
        cost_usd: str | int | Decimal | None = None,
        tokens: int | None = None,
        calls: int | None = None,
        tool_calls: int | None = None,
        seconds: str | int | Decimal | None = None,
        budget: str | None = None,
    ) -> None:
        """Raise the limits that count this run; a run that was stopped goes on.

        Of nested runs each has limits of its own. The outermost run of a trace also raises those
        of budgets that count the trace. What was raised is written on the run's span.

        Args:
            cost_usd: How much more may be spent, in US dollars, as text or Decimal.
            tokens: How many more tokens may be used.
            calls: How many more model calls may be made.
            tool_calls: How many more calls of tools may be made.
            seconds: How much longer the run may take.
            budget: Name of the only budget to extend; None: all that limit the run.

        Raises:
            BudgetConfigError: An amount is not allowed, or no budget limits that kind for the run.
        """
        given = {
            LimitKind.COST_USD: cost_usd,
            LimitKind.TOKENS: tokens,
            LimitKind.CALLS: calls,
            LimitKind.TOOL_CALLS: tool_calls,
            LimitKind.SECONDS: seconds,
        }
        by = values.limits_by_kind(given)
        self._check_extension(by, budget)
        for kept in self._kept:
            for notice, more in kept.extend(by, budget):
                self._write_extension(notice, more)

    def wrap_up(self) -> Within[bool]:
        """Let the calls inside the block pass used-up budgets, as many as their `grace` says.

        For `with` and `async with`.
        """
        return Within(IS_WRAPPING_UP, True)  # noqa: FBT003 - the variable's value

    def __enter__(self) -> Self:
        if self._opened is not None:
            raise OtelBudgetError(
                f"Run {self.id!r} was entered before; call otelbudget.run(...) for each run."
            )
        keepers = active.gatekeepers()
        outer = keepers[0].runs.around() if keepers else RUNS.get()
        scopes = _inside(outer, self._scope)
        self._scope = scopes[-1]
        self._keep(keepers)
        self._opened = _Opened(self, scopes, self._refused)
        self._opened.start(self._tracer_provider, self._written())
        for kept in self._kept:
            kept.start(self.name)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        refusal = None if error is None else self._refused.behind(error)
        if self._listener is not None:
            hang_up(self._listener)
        for kept in self._kept:
            kept.end()
        if self._opened is not None:
            self._opened.end(refusal or error)
        if refusal is not None:
            raise refusal from error

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, traceback)

    def _keep(self, keepers: Sequence[Gatekeeper]) -> None:
        """Let each processor count the run."""
        if not keepers:
            _tell_unlimited()
            return
        is_heard = bool(self._callbacks)
        kept_by = (keeper.runs.keep(self._scope, is_heard=is_heard) for keeper in keepers)
        self._kept = [kept for kept in kept_by if kept is not None]
        if (
            self.tier is not None
            and self._kept
            and all(self.tier not in kept.tiers for kept in self._kept)
        ):
            self._kept[0].note_unknown_tier()
        if is_heard:
            self._listener = Listener(self.id, self._callbacks, [each.own for each in self._kept])
            listen(self._listener)

    def _counted(self) -> KeptRun | None:
        """What the processor counts that has seen the most: each counts all by itself."""
        return max(self._kept, key=lambda kept: kept.own.calls, default=None)

    def _written(self) -> Mapping[str, str]:
        """The attributes of the run's span."""
        tier = {} if self.tier is None else {semconv.TIER: self.tier}
        return {semconv.RUN_ID: self.id, **tier, **dict(self._scope.values)}

    def _check_extension(self, by: Mapping[LimitKind, int], budget: str | None) -> None:
        limits = [pair for kept in self._kept for pair in kept.extendable(budget)]
        known = {kind for _, account in limits for kind in account.limits.by_kind}
        missing = [kind for kind in by if kind not in known]
        if by and not missing and all(by.values()):
            return
        shown = [
            f"{each.name!r} {kind} {display(kind, amount(kind, limit))}"
            for each, account in limits
            for kind, limit in account.limits.by_kind.items()
        ]
        names = {each.name for kept in self._kept for each, _ in kept.extendable(None)}
        if budget is not None and budget not in names:
            those = f"; those are {', '.join(map(repr, sorted(names)))}" if names else ""
            raise BudgetConfigError(f"{budget!r} is no budget of run {self.id!r} itself{those}")
        wanted = f"no limit on {', '.join(missing)}" if missing else "nothing"
        where = "" if budget is None else f" in budget {budget!r}"
        raise BudgetConfigError(
            f"run {self.id!r} has {wanted} to extend{where}; "
            + (f"what can be raised, by more than 0, is {', '.join(shown)}" if shown else _NO_LIMIT)
        )

    def _write_extension(self, notice: Notice, more: int) -> None:
        kind = notice.limit_kind
        facts = {
            semconv.BUDGET: notice.budget.name,
            semconv.LIMIT_KIND: str(kind),
            semconv.EXTENDED_BY: display(kind, amount(kind, more)),
            semconv.LIMIT: display(kind, amount(kind, notice.limit)),
        }
        if notice.scope == self._scope.scope:
            facts[semconv.RUN_ID] = self.id
        span = trace.get_current_span() if self._opened is None else self._opened.span
        if not span.is_recording():
            span = trace.get_current_span()
        span.add_event(semconv.EXTENDED_EVENT, facts)


class _Opened:
    """The span of a run, and what its context holds.

    Args:
        run: The run.
        scopes: The runs around, the innermost last.
        refused: Where refusals inside are noted.
    """

    def __init__(self, run: Run, scopes: tuple[RunScope, ...], refused: RefusedIn) -> None:
        self._name = run.name
        self._withins = (
            Within(REFUSED_IN, (*REFUSED_IN.get(), refused)),
            Within(_CURRENT, run),
            Within(RUNS, scopes),
        )
        self.span: Span = trace.INVALID_SPAN
        self._outer = trace.get_current_span()

    def start(self, tracer_provider: TracerProvider | None, written: Mapping[str, str]) -> None:
        for within in self._withins:
            within.__enter__()
        tracer = trace.get_tracer(semconv.OWN_SCOPE, tracer_provider=tracer_provider)
        self.span = tracer.start_span(self._name, attributes=written)
        self._token = context.attach(trace.set_span_in_context(self.span))

    def end(self, error: BaseException | None) -> None:
        if isinstance(error, Exception) and self.span.is_recording():
            self.span.record_exception(error)
            self.span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
        self.span.end()
        is_here = [within.leave() for within in reversed(self._withins)]
        if all(is_here):
            context.detach(self._token)
        elif trace.get_current_span() is self.span:
            context.attach(trace.set_span_in_context(self._outer))


_CURRENT: ContextVar[Run | None] = ContextVar("otelbudget_run", default=None)
_NO_LIMIT = "no budget limits the run itself: give one with per: run or per: trace, or a tier"


def run(  # noqa: PLR0913 - one argument for each setting
    name: str = "run",
    *,
    id: str | None = None,  # noqa: A002 - the run's id, and nothing else
    tier: str | None = None,
    tenant: str | None = None,
    scope: Mapping[str, str] | None = None,
    budget: Budget | None = None,
    on_warning: Callback | None = None,
    on_exceeded: Callback | None = None,
    tracer_provider: TracerProvider | None = None,
) -> Run:
    """Open a run, for `with` or `async with`.

    It opens a span below the current one, and what is called inside counts on the run, in other
    tasks and threads of its context too, with or without spans. A run inside a run counts on both.

    A `BudgetExceededError` that ends one of several tasks cancels the others; where the block ends
    by that cancellation, or by a group of such errors, the run raises the `BudgetExceededError`.

    Args:
        name: Name of the span.
        id: Id of the run, of up to 200 characters; a new one by default. An id that was used before
            goes on with what budgets have counted for it.
        tier: Name of the tier, a budget without `per`, that limits the run.
        tenant: The same as `scope={"tenant.id": tenant}`.
        scope: Values of keys that budgets name, for all that is called inside.
        budget: A budget of this run alone. It has neither `per` nor window, conditions, shares or
            limits on single tools, and replay does not know it.
        on_warning: Called when a warning threshold is reached of a budget that counts the run, once
            per scope, window and limit.
        on_exceeded: Called before the stop, when such a limit is used up or has no room for a call.
            Where it extends the run, the call goes on.
        tracer_provider: Makes the span; the global one by default.

    Raises:
        BudgetConfigError: An argument is not allowed.
    """
    run_id = f"run-{token_hex(8)}" if id is None else _checked_text("id", id)
    told = {} if tenant is None else {semconv.TENANT_ID: tenant}
    pairs = tuple(
        (_checked_text("scope", key), look_up(None, value, None, None, None))
        for key, value in {**(scope or {}), **told}.items()
    )
    run_scope = RunScope(
        run_id,
        None if tier is None else _checked_text("tier", tier),
        values=pairs,
        budget=None if budget is None else checked_budget(budget),
    )
    return Run(name, run_scope, Callbacks(on_warning, on_exceeded), tracer_provider)


def current_run() -> Run | None:
    """The innermost run around the running code; None outside of any."""
    return _CURRENT.get()


def _inside(outer: tuple[RunScope, ...], run: RunScope) -> tuple[RunScope, ...]:
    """The runs around a run and the run itself; one that is opened again inside itself is one."""
    same = next((each for each in outer if each.id == run.id), None)
    if same is None:
        return (*outer, run)
    merged = same._replace(
        tier=run.tier or same.tier,
        values=tuple((dict(same.values) | dict(run.values)).items()),
        budget=run.budget or same.budget,
    )
    return (*(each for each in outer if each is not same), merged)


def _checked_text(key: str, value: object) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= _MOST_ID or value == NONE:
        raise BudgetConfigError(f"is {value!r}, allowed is text of 1 to {_MOST_ID}", key=key)
    return value


@functools.cache
def _tell_unlimited() -> None:
    logger.info(
        "Nothing limits this run, or counts it: no BudgetSpanProcessor is active. Add one to the "
        "tracer provider before the run is opened."
    )
