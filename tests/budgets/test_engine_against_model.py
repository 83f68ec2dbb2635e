"""The engine beside a model without any cleverness, in whatever order things happen."""

from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from otelbudget.budgets.config import LimitKind, Mode
from otelbudget.budgets.decisions import Admission, Attempt, Notice, NoticeKind, Refusal
from otelbudget.budgets.engine import Engine
from otelbudget.budgets.ledger import Account
from otelbudget.budgets.windows import CalendarWindow, RollingWindow
from otelbudget.pricing.billing import Charge
from tests.budgets.drawn import (
    PLACES,
    SECOND,
    START,
    STEPS,
    THREE_EACH,
    budget_lists,
    charge_of,
    hold_of,
    usages,
    within,
)
from tests.budgets.plain_model import (
    CLASSES,
    HELD,
    NOTHING,
    SPENT,
    Amounts,
    Counted,
    Event,
    Over,
    PlainModel,
    window_label,
)


class _Call:
    """A call that was admitted, or charged at once: what the engine has of it, and the model."""

    def __init__(self, admission: Admission, event: Event, hold: Amounts | None) -> None:
        self.admission = admission
        self.event = event
        self.hold = hold
        self.estimate: Amounts | None = None


class _Engines(RuleBasedStateMachine):
    """Random budgets, and random calls, tools, settlements and steps of time."""

    is_bounded = False
    open_calls = Bundle("open_calls")
    estimated = Bundle("estimated")
    charged = Bundle("charged")

    @initialize(data=st.data())
    def start(self, data: st.DataObject) -> None:
        budgets = data.draw(budget_lists(is_bounded=self.is_bounded))
        self.engine, self.model = Engine(budgets), PlainModel(budgets)
        self.places = [make() for make in PLACES]
        self.now = START
        self.denied = 0
        self.told: set[tuple[Counted, NoticeKind, LimitKind, object]] = set()

    # Steps of time

    @rule(step=st.sampled_from(STEPS), times=st.integers(1, 5))
    def pass_time(self, step: int, times: int) -> None:
        self.now += step * times

    @rule(index=st.integers(0, 3), beside=st.integers(-1, 1))
    def come_to_an_edge(self, index: int, beside: int) -> None:
        window = self.model.budgets[index % len(self.model.budgets)].window
        if isinstance(window, CalendarWindow):
            self.now = max(self.now, window.bounds(self.now)[1] + beside)
        elif isinstance(window, RollingWindow) and self.model.events:
            starts = [event.at + window.length_ns + beside for event in self.model.events]
            self.now = min((at for at in starts if at >= self.now), default=self.now)

    # Calls

    @rule(
        target=open_calls,
        place=st.integers(0, len(PLACES) - 1),
        hold=st.none() | usages(),
        is_free=st.booleans(),
        is_wrap_up=st.booleans(),
    )
    def admit(
        self, place: int, hold: Amounts | None, *, is_free: bool, is_wrap_up: bool
    ) -> _Call | None:
        return self._admit(place, hold, is_free=is_free, is_wrap_up=is_wrap_up)

    def _admit(
        self, place: int, hold: Amounts | None, *, is_free: bool, is_wrap_up: bool
    ) -> _Call | None:
        if self.is_bounded:
            hold, is_free, is_wrap_up = hold or THREE_EACH, False, False
        hold = hold and {kind: hold[kind] for kind in HELD}
        on = self._on(place)
        asked = [each for each in on if not (is_wrap_up and self.model.has_grace(each))]
        refusals = self.model.refusals(asked, Mode.ENFORCE, hold, self.now, is_free=is_free)
        audits = self.model.refusals(asked, Mode.AUDIT, hold, self.now, is_free=is_free)
        attempt = Attempt(self.now, hold_of(hold), is_free=is_free, is_wrap_up=is_wrap_up)
        decision = self.engine.admit(self.engine.accounts(self.places[place], self.now), attempt)
        if isinstance(decision, Refusal):
            self._named(decision, refusals)
            self.denied += 1
            return None
        assert not refusals
        self._named(decision.audited, audits)
        event = Event(self.now, on, calls=1, is_free=is_free)
        if is_wrap_up:
            event.graced = [
                each for each in on if each not in asked and self._refuses(each, hold, event)
            ]
        for each in event.graced:
            self.model.graced[each] = self.model.graced.get(each, 0) + 1
        event.held = hold or NOTHING
        self.model.events.append(event)
        self._tell(decision.notices)
        return _Call(decision, event, hold)

    def _refuses(self, counted: Counted, hold: Amounts | None, event: Event) -> bool:
        mode = counted.budget.mode
        found = self.model.refusals([counted], mode, hold, self.now, is_free=event.is_free)
        return bool(found)

    @rule(call=consumes(open_calls), used=usages(), model=st.sampled_from(["m", "n"]))
    def settle(self, call: _Call | None, used: Amounts, model: str) -> None:
        self._settle(call, used, model)

    @rule(place=st.integers(0, len(PLACES) - 1), used=usages(), is_free=st.booleans())
    def call(self, place: int, used: Amounts, *, is_free: bool) -> None:
        call = self._admit(place, used, is_free=is_free, is_wrap_up=False)
        self._settle(call, used, "m")

    def _settle(self, call: _Call | None, used: Amounts, model: str) -> None:
        if call is not None:
            used = within(used, call.hold or NOTHING) if self.is_bounded else used
            call.event.held = NOTHING
            call.event.charges.append(used)
            self._tell(self.engine.settle(call.admission, charge_of(used, model)))

    @rule(target=estimated, call=consumes(open_calls), used=usages())
    def settle_at_estimate(self, call: _Call | None, used: Amounts) -> _Call | None:
        if call is not None:
            call.estimate = within(used, call.hold or NOTHING) if self.is_bounded else used
            call.event.held = NOTHING
            call.event.charges.append(call.estimate)
            charge = charge_of(call.estimate, is_estimate=True)
            self._tell(self.engine.settle_at_estimate(call.admission, charge))
        return call

    @rule(call=consumes(estimated), used=usages())
    def learn(self, call: _Call | None, used: Amounts) -> None:
        if call is not None and call.estimate is not None:
            used = within(used, call.hold or NOTHING) if self.is_bounded else used
            call.event.charges.remove(call.estimate)
            call.event.charges.append(used)
            self._tell(self.engine.settle(call.admission, charge_of(used)))

    @rule(call=consumes(open_calls))
    def release(self, call: _Call | None) -> None:
        self._release(call)

    @rule(call=consumes(estimated))
    def release_after_the_estimate(self, call: _Call | None) -> None:
        self._release(call)

    def _release(self, call: _Call | None) -> None:
        if call is not None:
            call.event.calls, call.event.held = 0, NOTHING
            if call.estimate is not None:
                call.event.charges.remove(call.estimate)
            for each in call.event.graced:
                self.model.graced[each] -= 1
            self.engine.release(call.admission)

    @precondition(lambda self: not self.is_bounded)
    @rule(target=open_calls, call=consumes(open_calls), used=st.none() | usages())
    def repeat(self, call: _Call | None, used: Amounts | None) -> _Call | None:
        if call is None:
            return None
        event = call.event
        if used is not None:
            event.charges.append(used)
        self.model.look(event.on, self.now)
        asked = [each for each in event.on if each not in event.graced]

        def past(kind: LimitKind) -> int | None:
            is_unasked = event.is_free and kind is LimitKind.COST_USD
            return 0 if kind in SPENT and not is_unasked else None

        refusals = self.model.over(asked, Mode.ENFORCE, past, self.now)
        refusals = refusals or self.model.full(
            asked, Mode.ENFORCE, NOTHING, self.now, is_free=event.is_free
        )
        charge = None if used is None else charge_of(used)
        decision = self.engine.repeat(call.admission, charge, self.now)
        self._named(decision if isinstance(decision, Refusal) else None, refusals)
        if isinstance(decision, Refusal):
            self.denied += 1
            self._forgive(event.on)
        else:
            self._tell(decision)
        return call

    @precondition(lambda self: not self.is_bounded)
    @rule(
        target=charged,
        place=st.integers(0, len(PLACES) - 1),
        used=usages(),
        late=st.sampled_from([0, 1, 10 * SECOND, 3_600 * SECOND]),
    )
    def charge(self, place: int, used: Amounts, late: int) -> tuple[Any, Charge, Event]:
        at = self.now - late
        on = self.model.counted(self.places[place], at)
        self.model.look(on, at)
        accounts = self.engine.accounts(self.places[place], at)
        charge, event = charge_of(used), Event(at, on, calls=1, charges=[used])
        self.model.events.append(event)
        with self.engine.ledger.lock:
            _, notices = self.engine.charge(accounts, charge, at)
        self._tell(notices)
        return accounts, charge, event

    @rule(each=consumes(charged))
    def take_back(self, each: tuple[Any, Charge, Event]) -> None:
        accounts, charge, event = each
        self.model.events.remove(event)
        self.engine.take_back(accounts, charge, event.at)

    # Tools and runs

    @precondition(lambda self: not self.is_bounded)
    @rule(
        place=st.integers(0, len(PLACES) - 1),
        tool=st.sampled_from(["search", "other"]),
        is_asked=st.booleans(),
    )
    def call_tool(self, place: int, tool: str, *, is_asked: bool) -> None:
        on = self._on(place, tool)
        accounts = self.engine.tool_accounts(self.places[place], self.now, tool)
        if is_asked:
            kinds = (LimitKind.TOOL_CALLS, LimitKind.SECONDS)
            refusals = self.model.over(
                on, Mode.ENFORCE, lambda kind: 0 if kind in kinds else None, self.now
            )
            decision = self.engine.admit_tool(accounts, self.now)
            self._named(decision if isinstance(decision, Refusal) else None, refusals)
            if isinstance(decision, Refusal):
                self.denied += 1
                return
        else:
            decision = self.engine.count_tool(accounts, self.now)
        self.model.events.append(Event(self.now, on, tool_calls=1))
        self._tell(decision)

    @precondition(lambda self: not self.is_bounded)
    @rule(
        place=st.integers(0, len(PLACES) - 1),
        kind=st.sampled_from([LimitKind.COST_USD, LimitKind.CALLS, LimitKind.TOKENS]),
        by=st.integers(1, 20),
    )
    def extend(self, place: int, kind: LimitKind, by: int) -> None:
        run = self.places[place].runs[-1]
        on = self._on(place, is_asked=False)
        accounts = self.engine.accounts(self.places[place], self.now)
        raised = [
            each
            for each in on
            if each.scope == run.scope and each.share is None and kind in self.model.limits(each)
        ]
        notices = self.engine.extend(accounts, run, kind, by)
        assert [each.budget.name for each in notices] == [each.name for each in raised]
        for each in raised:
            self.model.raised[each, kind] = self.model.raised.get((each, kind), 0) + by
            self._forgive([each], is_all=True)

    # What must hold

    def _on(self, place: int, tool: str | None = None, *, is_asked: bool = True) -> list[Counted]:
        on = self.model.counted(self.places[place], self.now, tool)
        if is_asked:
            self.model.look(on, self.now)
        return on

    def _named(self, refusal: Refusal | None, expected: list[Over]) -> None:
        """A refusal names one of the limits that are furthest over."""
        if refusal is None:
            assert not expected
            return
        key = refusal.account.key
        named = key[0], key[1], self._label(refusal.account), refusal.kind
        assert named in [
            (each.counted.name, each.counted.scope, each.counted.window, each.kind)
            for each in expected
        ]

    def _label(self, account: Account) -> str:
        budget = next(each for each in self.model.budgets if each.name == account.key[0])
        return window_label(budget, account.key[2])

    def _tell(self, notices: Sequence[Notice]) -> None:
        """Nothing is told twice of a scope and window; of those that roll it may be told anew."""
        for notice in notices:
            account = notice.account
            counted = self._counted(account)
            mark = counted, notice.kind, notice.limit_kind, notice.threshold
            if account.entries is None:
                assert mark not in self.told
            self.told.add(mark)
            assert notice.usage >= notice.threshold * notice.limit

    def _forgive(self, counted: Sequence[Counted], *, is_all: bool = False) -> None:
        """What was raised may be told of again once it is reached anew."""
        if is_all:
            names = {(each.name, each.scope) for each in counted}
            self.told = {
                mark
                for mark in self.told
                if (mark[0].name, mark[0].scope) not in names
                and (mark[0].name, mark[0].scope[:-1]) not in names
            }

    def _counted(self, account: Account) -> Counted:
        return self.model.known[account.key[0], account.key[1], self._label(account)]

    @rule()
    def look(self) -> None:
        """What has left the windows that roll counts no more."""
        for _, account in self.engine.ledger.accounts():
            if account.entries is not None:
                account.pass_time(self.now)
                self._is_as_in_the_model(account)
                assert account.is_closed is account.limits.are_reached(account)

    @invariant()
    def every_sum_is_that_of_the_model(self) -> None:
        for _, account in self.engine.ledger.accounts():
            if account.entries is None:
                self._is_as_in_the_model(account)
                assert account.is_closed is account.limits.are_reached(account)
        denied = sum(account.denied for _, account in self.engine.ledger.accounts())
        assert denied == self.denied

    def _is_as_in_the_model(self, account: Account) -> None:
        on = self._counted(account)
        for kind in LimitKind:
            is_counted = kind not in (*CLASSES, LimitKind.SECONDS) or kind in account.limits.by_kind
            if is_counted:
                assert account.usage(kind) == self.model.usage(on, kind, self.now), kind
                assert account.held(kind) == self.model.held(on, kind), kind
        assert sum(account.spent_by_model.values()) == account.cost_pusd
        assert dict(account.limits.by_kind) == self.model.limits(on)
        if self.is_bounded:
            for kind, limit in account.limits.by_kind.items():
                assert account.usage(kind) + account.held(kind) <= limit


class _BoundedEngines(_Engines):
    """Only calls whose holds are upper bounds, in budgets that reserve."""

    is_bounded = True


_SETTINGS = settings(
    max_examples=80,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def test_the_engine_decides_names_and_counts_as_the_model_does() -> None:
    run_state_machine_as_test(_Engines, settings=_SETTINGS)


def test_no_interleaving_passes_a_limit_that_the_holds_bound() -> None:
    run_state_machine_as_test(_BoundedEngines, settings=_SETTINGS)
