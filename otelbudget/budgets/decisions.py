"""What the engine decides and tells: admissions, refusals and notices."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

import msgspec

from otelbudget.budgets.config import Budget, LimitKind, Mode
from otelbudget.budgets.ledger import Account
from otelbudget.errors import BudgetFacts
from otelbudget.pricing.billing import Charge, usd

Accounts = Sequence[tuple[Budget, Account]]

SPENT_KINDS = frozenset({LimitKind.COST_USD, LimitKind.TOKENS})
"""What calls use, as against how many there are."""


class NoticeKind(StrEnum):
    """What a notice tells.

    Attributes:
        WARNING: A warning threshold has been reached.
        EXCEEDED: A limit is used up; told once per scope.
    """

    WARNING = "warning"
    EXCEEDED = "exceeded"


@dataclass(frozen=True, slots=True)
class Notice:
    """Something about a budget that is told once per scope.

    Attributes:
        kind: What it tells.
        budget: The budget.
        scope: Value of the budget's `per` key.
        limit_kind: The limit it is about.
        limit: The limit, pico-USD or a count.
        usage: What has been used, in the same unit.
        threshold: The utilization that was reached: 1 for an exceeded limit.
        calls_in_flight: Calls of the scope that had not ended: what they use is still to come.
        is_repeated: Another limit of the budget was used up before, of which the user was told.
    """

    kind: NoticeKind
    budget: Budget
    scope: str
    limit_kind: LimitKind
    limit: int
    usage: int
    threshold: Decimal
    calls_in_flight: int = 0
    is_repeated: bool = False

    @property
    def ends_calls(self) -> bool:
        """Whether an enforcing budget is used up by what calls used, not by how many there are."""
        return (
            self.kind is NoticeKind.EXCEEDED
            and self.budget.mode is Mode.ENFORCE
            and self.limit_kind in SPENT_KINDS
        )


class Hold(msgspec.Struct, frozen=True, gc=False):
    """What a call may use at most, as it is known before it leaves.

    Attributes:
        cost_pusd: Pico-USD.
        tokens: Input and output tokens.
    """

    cost_pusd: int
    tokens: int

    def amount(self, kind: LimitKind) -> int:
        """The amount in the unit of a limit kind; 0 for counts."""
        match kind:
            case LimitKind.COST_USD:
                return self.cost_pusd
            case LimitKind.TOKENS:
                return self.tokens
            case LimitKind.CALLS | LimitKind.TOOL_CALLS:
                return 0


@dataclass(frozen=True, slots=True)
class Refusal:
    """A budget that is used up, and the account that says so.

    Attributes:
        budget: The budget.
        account: The account of the scope.
        kind: The limit that is used up.
        hold: What the refused call would have held, where only that does not fit any more.
    """

    budget: Budget
    account: Account
    kind: LimitKind
    hold: Hold | None = None

    def facts(self, *, trace_id: str | None = None, agent: str | None = None) -> BudgetFacts:
        """What the error tells its reader."""
        account = self.account
        spent_by_model = account.spent_by_model.copy()  # other threads add to it meanwhile
        return BudgetFacts(
            budget=self.budget.name,
            scope={"trace": account.scope},
            kind=str(self.kind),
            limit=amount(self.kind, self.budget.limits[self.kind]),
            usage=amount(self.kind, account.usage(self.kind)),
            trace_id=trace_id,
            agent=agent,
            spent_by_model={model: usd(spent) for model, spent in spent_by_model.items()},
            estimated_usd=usd(account.estimated_pusd),
            held=amount(self.kind, account.held(self.kind)),
            estimate=amount(self.kind, self.hold.amount(self.kind)) if self.hold else None,
            calls_in_flight=account.in_flight,
        )


@dataclass(slots=True)
class Admission:
    """A call that was let through, and the accounts it will be settled on.

    Attributes:
        accounts: The accounts, with their budgets, fixed when the call started.
        is_audited: Whether an enforcing budget would have refused it.
        notices: What the start of the call brought about.
        hold: What is held for it, None where no budget reserves and once it has ended.
        is_in_flight: Whether it has not ended.
        estimate: What it was charged at its end in place of a usage that is unknown, or None.
    """

    accounts: Accounts
    is_audited: bool = False
    notices: Sequence[Notice] = ()
    hold: Hold | None = None
    is_in_flight: bool = False
    estimate: Charge | None = None


def amount(kind: LimitKind, value: int) -> Decimal:
    """A limit or usage for people: US dollars for "cost_usd", else a count."""
    return usd(value) if kind is LimitKind.COST_USD else Decimal(value)
