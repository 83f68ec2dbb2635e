"""What the engine is asked, decides and tells: attempts, admissions, refusals and notices."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from enum import StrEnum

import msgspec

from otelbudget.budgets.config import Budget, LimitKind, Mode
from otelbudget.budgets.ledger import Account
from otelbudget.budgets.scopes import RUN, Scope
from otelbudget.budgets.spent import TOKEN_CLASSES
from otelbudget.budgets.windows import CalendarWindow
from otelbudget.errors import BudgetFacts, SpentCall
from otelbudget.pricing.billing import Charge, usd

Accounts = Sequence[tuple[Budget, Account]]

SPENT_KINDS = frozenset({LimitKind.COST_USD, LimitKind.TOKENS, *TOKEN_CLASSES})
"""What calls use, as against how many there are and how long it takes."""


class NoticeKind(StrEnum):
    """What a notice tells.

    Attributes:
        WARNING: A warning threshold has been reached.
        EXCEEDED: A limit is used up; told once per scope and window.
        EXTENDED: A limit was raised.
    """

    WARNING = "warning"
    EXCEEDED = "exceeded"
    EXTENDED = "extended"


@dataclass(frozen=True, slots=True)
class Notice:
    """Something about a budget that is told once per scope and window.

    Attributes:
        kind: What it tells.
        budget: The budget.
        account: The account that it is about.
        limit_kind: The limit it is about.
        limit: The limit, in the kind's unit.
        usage: What has been used, in the same unit.
        threshold: The utilization that was reached: 1 for an exceeded limit.
        calls_in_flight: Calls of the scope that had not ended: what they use is still to come.
        is_repeated: Another limit of the budget was used up before, of which the user was told.
    """

    kind: NoticeKind
    budget: Budget
    account: Account
    limit_kind: LimitKind
    limit: int
    usage: int
    threshold: Decimal
    calls_in_flight: int = 0
    is_repeated: bool = False

    @property
    def scope(self) -> Scope:
        """Keys and values that the budget is counted by."""
        return self.account.scope

    @property
    def ends_calls(self) -> bool:
        """Whether an enforcing budget is used up by what calls used, not by how many there are."""
        return (
            self.kind is NoticeKind.EXCEEDED
            and self.budget.mode is Mode.ENFORCE
            and self.limit_kind in SPENT_KINDS
        )

    def facts(self, *, trace_id: str | None = None, agent: str | None = None) -> BudgetFacts:
        """What a callback is told."""
        return _facts(self.budget, self.account, self.limit_kind, trace_id=trace_id, agent=agent)


class Hold(msgspec.Struct, frozen=True, gc=False):
    """What a call may use at most, as it is known before it leaves.

    Attributes:
        cost_pusd: Pico-USD.
        tokens: Input and output tokens.
        input_tokens: Input tokens.
        output_tokens: Output tokens.
    """

    cost_pusd: int
    tokens: int
    input_tokens: int = 0
    output_tokens: int = 0

    def amount(self, kind: LimitKind) -> int:
        """The amount in the unit of a limit kind; 0 for what is not estimated."""
        match kind:
            case LimitKind.COST_USD:
                return self.cost_pusd
            case LimitKind.TOKENS:
                return self.tokens
            case LimitKind.INPUT_TOKENS:
                return self.input_tokens
            case LimitKind.OUTPUT_TOKENS:
                return self.output_tokens
            case _:
                return 0


class Attempt(msgspec.Struct, frozen=True, gc=False):
    """A call that asks for admission.

    Attributes:
        at_ns: When it starts, in unix ns.
        hold: What budgets that reserve hold for it, None where nothing is known.
        is_free: It is known to cost nothing, so no limit on money refuses it.
        is_wrap_up: It wraps its run up, so budgets with `grace` let it pass.
    """

    at_ns: int = 0
    hold: Hold | None = None
    is_free: bool = False
    is_wrap_up: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """A budget that is used up, and the account that says so.

    Attributes:
        budget: The budget.
        account: The account of the scope.
        kind: The limit that is used up.
        hold: What the refused call would have held, where only that does not fit any more.
        at_ns: When the refused call would have started, in unix ns.
        notices: What counting the attempt brought about that failed before.
    """

    budget: Budget
    account: Account
    kind: LimitKind
    hold: Hold | None = None
    at_ns: int = 0
    notices: Sequence[Notice] = ()

    def facts(
        self, *, trace_id: str | None = None, agent: str | None = None, run_id: str | None = None
    ) -> BudgetFacts:
        """What the error tells its reader."""
        estimate = amount(self.kind, self.hold.amount(self.kind)) if self.hold else None
        return _facts(
            self.budget,
            self.account,
            self.kind,
            trace_id=trace_id,
            agent=agent,
            run_id=run_id,
            estimate=estimate,
            at_ns=self.at_ns,
        )


def _facts(  # noqa: PLR0913 - what a call was refused by, and which call
    budget: Budget,
    account: Account,
    kind: LimitKind,
    *,
    trace_id: str | None,
    agent: str | None,
    run_id: str | None = None,
    estimate: Decimal | None = None,
    at_ns: int = 0,
) -> BudgetFacts:
    window, ends_at, entries = budget.window, account.ends_at or None, account.entries
    label = None
    if window is not None:
        label = window.label(account.key[2])
    if entries is not None:
        ends_at = entries.next_leaves_at
    spent = account.spent
    return BudgetFacts(
        budget=budget.name,
        scope=dict(account.scope),
        kind=str(kind),
        limit=amount(kind, account.limits.by_kind[kind]),
        usage=amount(kind, account.usage(kind)),
        trace_id=trace_id,
        run_id=run_id or dict(account.scope).get(RUN),
        agent=agent,
        window=label,
        timezone=window.timezone if isinstance(window, CalendarWindow) else None,
        resets_at_unix_nano=ends_at,
        refused_at_unix_nano=at_ns or None,
        spent_by_model={name: usd(cost) for name, cost in spent.by(0).items()},
        spent_by_agent={name: usd(cost) for name, cost in spent.by(1).items()},
        spent_by_operation={name: usd(cost) for name, cost in spent.by(2).items()},
        last_calls=tuple(
            SpentCall(each.model, each.agent, each.operation, usd(each.counted_pusd), each.tokens)
            for each in spent.latest
        ),
        estimated_usd=usd(account.estimated_pusd),
        held=amount(kind, account.held(kind)),
        estimate=estimate,
        calls_in_flight=account.in_flight,
    )


class Admission(msgspec.Struct, eq=False):
    """A call that was let through, and the accounts it will be settled on.

    Attributes:
        accounts: The accounts, with their budgets, fixed when the call started.
        at_ns: When it started, in unix ns.
        audited: What an auditing budget would have refused it by, or None.
        notices: What the start of the call brought about.
        hold: What is held for it, None where no budget reserves and once it has ended.
        is_in_flight: Whether it has not ended.
        is_free: It is known to cost nothing, so no limit on money refuses it.
        forks: How often the process had been forked when it started: what it held is forgotten
            in a forked child.
        estimate: What it was charged at its end in place of a usage that is unknown, or None.
        graced: The accounts whose limit it passed to wrap up.
    """

    accounts: Accounts
    at_ns: int = 0
    audited: Refusal | None = None
    notices: Sequence[Notice] = ()
    hold: Hold | None = None
    is_in_flight: bool = False
    estimate: Charge | None = None
    graced: Sequence[Account] = ()
    is_free: bool = False
    forks: int = 0

    @property
    def is_audited(self) -> bool:
        """Whether an enforcing budget would have refused it."""
        return self.audited is not None


# Apart from the application's own decimal context, which may round.
_EXACT, _NS_PER_SECOND = Context(prec=100), 10**9


def amount(kind: LimitKind, value: int) -> Decimal:
    """A limit or usage for people: US dollars for "cost_usd", seconds, else a count."""
    if kind is LimitKind.COST_USD:
        return usd(value)
    if kind is LimitKind.SECONDS:
        return _EXACT.divide(Decimal(value), Decimal(_NS_PER_SECOND))
    return Decimal(value)
