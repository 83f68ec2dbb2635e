"""What each scope of a budget has used so far."""

from collections import OrderedDict
from collections.abc import Iterator
from threading import RLock

from otelbudget.budgets.config import Budget, LimitKind
from otelbudget.pricing.billing import Charge

MAX_SCOPES = 10_000
_MAX_MODELS = 32
_OTHER_MODELS = "(other models)"


class Account:
    """What one scope of one budget has used.

    Attributes:
        scope: Value of the budget's `per` key, such as a trace id.
        cost_pusd: What counts toward a money limit, in pico-USD, estimates included.
        estimated_pusd: The part of it that rests on a ceiling price, in pico-USD.
        tokens: Input and output tokens.
        calls: Calls admitted.
        tool_calls: Calls of tools admitted, or made all the same.
        denied: Calls refused.
        in_flight: Calls admitted that have not ended.
        held_pusd: Estimates of the calls in flight, in pico-USD; kept apart from what was used.
        held_tokens: Estimates of the calls in flight, in tokens.
        corrected: Calls that were charged and taken back, because a span that ended later showed
            that it had told of the same tokens.
        warned: How many of the budget's warning thresholds have been reported, by limit kind.
        exceeded: The limits that were used up and reported.
        spent_by_model: Pico-USD by model.
        seen: Pico-USD, tokens and calls when somebody who watches it looked last.
        seen_at: When they had changed last, on that one's clock.
        cost_mark: Pico-USD below which there is nothing to report.
        tokens_mark: Tokens below which there is nothing to report.
        calls_mark: Calls below which there is nothing to report.
    """

    __slots__ = (
        "calls",
        "calls_mark",
        "corrected",
        "cost_mark",
        "cost_pusd",
        "denied",
        "estimated_pusd",
        "exceeded",
        "held_pusd",
        "held_tokens",
        "in_flight",
        "key",
        "scope",
        "seen",
        "seen_at",
        "spent_by_model",
        "tokens",
        "tokens_mark",
        "tool_calls",
        "warned",
    )

    def __init__(self, scope: str, budget: str = "") -> None:
        self.key = (budget, scope)
        self.scope = scope
        self.cost_pusd = 0
        self.estimated_pusd = 0
        self.tokens = 0
        self.calls = 0
        self.tool_calls = 0
        self.denied = 0
        self.in_flight = 0
        self.held_pusd = 0
        self.held_tokens = 0
        self.corrected = 0
        self.warned: dict[LimitKind, int] | None = None
        self.exceeded: tuple[LimitKind, ...] = ()
        self.spent_by_model: dict[str, int] = {}
        self.seen = (0, 0, 0)
        self.seen_at = 0.0
        self.cost_mark = self.tokens_mark = self.calls_mark = 0

    def usage(self, kind: LimitKind) -> int:
        """What has been used in the unit of a limit kind: pico-USD or a count."""
        match kind:
            case LimitKind.COST_USD:
                return self.cost_pusd
            case LimitKind.TOKENS:
                return self.tokens
            case LimitKind.CALLS:
                return self.calls
            case LimitKind.TOOL_CALLS:
                return self.tool_calls

    def held(self, kind: LimitKind) -> int:
        """What is held for calls in flight, in the unit of a limit kind; 0 for counts."""
        match kind:
            case LimitKind.COST_USD:
                return self.held_pusd
            case LimitKind.TOKENS:
                return self.held_tokens
            case LimitKind.CALLS | LimitKind.TOOL_CALLS:
                return 0

    def add(self, charge: Charge) -> None:
        """Add what one call used."""
        cost = charge.list_cost_pusd
        if cost is None:
            cost = charge.estimated_pusd
            self.estimated_pusd += cost
        self.cost_pusd += cost
        self.tokens += charge.tokens
        model = charge.model or "(unnamed)"
        spent = self.spent_by_model
        if model in spent:
            spent[model] += cost
        elif len(spent) < _MAX_MODELS:
            spent[model] = cost
        else:
            spent[_OTHER_MODELS] = spent.get(_OTHER_MODELS, 0) + cost

    def take_back(self, charge: Charge) -> None:
        """Undo `add`, and the call itself; nothing goes below zero."""
        self.subtract(charge)
        self.calls = max(0, self.calls - 1)
        self.corrected += 1

    def subtract(self, charge: Charge) -> None:
        """Undo `add`; nothing goes below zero."""
        cost = charge.counted_pusd
        if charge.list_cost_pusd is None:
            self.estimated_pusd = max(0, self.estimated_pusd - cost)
        self.cost_pusd = max(0, self.cost_pusd - cost)
        self.tokens = max(0, self.tokens - charge.tokens)
        model = charge.model or "(unnamed)"
        if model not in self.spent_by_model:
            model = _OTHER_MODELS
        left = self.spent_by_model.get(model, 0) - cost
        if left > 0:
            self.spent_by_model[model] = left
        else:
            self.spent_by_model.pop(model, None)


class MemoryLedger:
    """Accounts in this process; those unused for longest are dropped beyond a bound.

    Every access is made while holding `lock`.

    Args:
        max_scopes: How many accounts are kept at most, over all budgets.

    Attributes:
        lock: Held around reading and changing accounts. It is reentrant, because the garbage
            collector can end a span in the middle of any of our own lines.
        dropped_scopes: Accounts dropped because there were too many.
    """

    def __init__(self, max_scopes: int = MAX_SCOPES) -> None:
        self.lock = RLock()
        self.dropped_scopes = 0
        self._max_scopes = max_scopes
        self._latest: Account | None = None
        self._accounts: OrderedDict[tuple[str, str], Account] = OrderedDict()

    def renew_after_fork(self) -> None:
        """Begin anew in a forked child: the parent's threads give no lock back and end no call."""
        self.lock = RLock()
        for account in self._accounts.values():
            account.in_flight = account.held_pusd = account.held_tokens = 0

    def account(self, budget: Budget, scope: str) -> Account:
        """The account of a scope, opened where there is none."""
        key = (budget.name, scope)
        account = self._accounts.get(key)
        if account is not None:
            self._latest = account
            self._accounts.move_to_end(key)
            return account
        account = Account(scope, budget.name)
        self._keep(account)
        return account

    def touch(self, account: Account) -> None:
        """Keep an account that somebody holds: it counts as used now, and comes back if dropped."""
        if account is self._latest:
            return
        if self._accounts.get(account.key) is account:
            self._latest = account
            self._accounts.move_to_end(account.key)
        else:
            self._keep(account)

    def accounts(self) -> Iterator[tuple[str, Account]]:
        """Every account with the name of its budget, the longest unused first."""
        for (name, _), account in self._accounts.items():
            yield name, account

    def _keep(self, account: Account) -> None:
        if len(self._accounts) >= self._max_scopes:
            self._accounts.popitem(last=False)
            self.dropped_scopes += 1
        self._latest = self._accounts[account.key] = account
