"""Adds up what a replay does, by scope and by limit."""

from collections import Counter
from collections.abc import Iterator, Mapping

from otelbudget.audit.outcomes import LimitOutcome, Refused, Run, ScopeOutcome, Usage
from otelbudget.budgets.config import Budget, LimitKind, Mode
from otelbudget.budgets.decisions import Accounts, Refusal
from otelbudget.budgets.engine import Engine
from otelbudget.budgets.ledger import Account, AccountKey
from otelbudget.budgets.limits import Limits
from otelbudget.budgets.scopes import Place, Scope
from otelbudget.genai import semconv

_Part = tuple[str, str] | None
_Window = tuple[Scope, int]


class Tallies:
    """What an engine's budgets did.

    Args:
        engine: The engine of the replay.

    Attributes:
        has_stopped: Whether any call was refused.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._budgets = {budget.name: budget for budget in engine.budgets}
        self._refused: set[Refused] = set()
        self._stopped: dict[AccountKey, ScopeOutcome] = {}
        self._denials: Counter[tuple[AccountKey, LimitKind]] = Counter()
        self._tool_denials: Counter[tuple[AccountKey, LimitKind]] = Counter()
        self._peaks: dict[AccountKey, dict[LimitKind, int]] = {}

    @property
    def has_stopped(self) -> bool:
        """Whether any call was refused."""
        return bool(self._stopped)

    def refused(self, refusal: Refusal, place: Place, avoided_pusd: int | None) -> None:
        """A call was refused.

        Args:
            refusal: By what.
            place: What the call belongs to.
            avoided_pusd: Its list cost; None: it is a tool's.
        """
        account, kind = refusal.account, refusal.kind
        self._refused.add(refused_by(refusal, place.runs[0].scope[0]))
        scope = self._stopped.get(account.key)
        if scope is None:
            budget, limit = refusal.budget, account.limits.by_kind[kind]
            scope = self._stopped[account.key] = ScopeOutcome(
                budget.name, account.scope, kind, limit, _window_start(account), refusal.at_ns
            )
        if avoided_pusd is None:
            scope.tool_calls_denied += 1
            self._tool_denials[account.key, kind] += 1
        else:
            scope.calls_denied += 1
            scope.avoided_pusd += avoided_pusd
            self._denials[account.key, kind] += 1

    def allowed(self, accounts: Accounts, cost_pusd: int) -> None:
        """A call went through; told of once all have been decided about."""
        for _, account in accounts:
            scope = self._stopped.get(account.key)
            if scope is not None:
                scope.calls_allowed += 1
                scope.spent_pusd += cost_pusd

    def note_peaks(self, accounts: Accounts) -> None:
        """Remember the most that windows which roll have held."""
        for _, account in accounts:
            if account.entries is not None:
                peaks = self._peaks.setdefault(account.key, {})
                for kind in account.limits.by_kind:
                    peaks[kind] = max(peaks.get(kind, 0), account.usage(kind))

    def scopes(self) -> set[_Window]:
        """The scopes with a call, each with its window."""
        return {self._window(account) for account in self._accounts() if self._has_calls(account)}

    def scopes_reached(self) -> set[_Window]:
        """The scopes in which some limit was reached."""
        return {
            self._window(account)
            for account in self._accounts()
            if any(
                self._usage(account, kind) >= limit
                for kind, limit in account.limits.by_kind.items()
            )
        }

    def scopes_stopped(self) -> set[_Window]:
        """The scopes of which a call was refused."""
        return {self._window_of(key) for key in self._stopped}

    def stopped(self) -> tuple[ScopeOutcome, ...]:
        """What became of each scope that was stopped, most avoided first, then most spent."""
        return tuple(sorted(self._stopped.values(), key=_dearest_first))

    def refusals(self) -> frozenset[Refused]:
        """The runs of which a call was refused, and by what."""
        return frozenset(self._refused)

    def denials(self) -> Mapping[tuple[str, Scope, int | None, LimitKind], int]:
        """How many calls each limit refused."""
        starts = {key: outcome.window_start for key, outcome in self._stopped.items()}
        return {
            (key[0], key[1], starts[key], kind): count
            for (key, kind), count in (self._denials + self._tool_denials).items()
        }

    def usages(self) -> tuple[Usage, ...]:
        """What each scope used of each limit."""
        return tuple(
            Usage(
                account.key[0],
                self._budgets[account.key[0]].mode is Mode.ENFORCE,
                account.scope,
                _window_start(account),
                kind,
                limit,
                self._usage(account, kind),
            )
            for account in self._accounts()
            for kind, limit in account.limits.by_kind.items()
        )

    def limits(self) -> tuple[LimitOutcome, ...]:
        """Each limit's part: of whole budgets, of shares, and of single tools."""
        found: dict[tuple[str, _Part], list[Account]] = {}
        for account in self._accounts():
            found.setdefault((account.key[0], self._part(account)), []).append(account)
        return tuple(
            self._outcome(budget, part, kind, limit, found.get((budget.name, part), []))
            for budget in self._engine.budgets
            for part, limits in _parts(budget)
            for kind, limit in limits.items()
        )

    def _outcome(
        self, budget: Budget, part: _Part, kind: LimitKind, limit: int, accounts: list[Account]
    ) -> LimitOutcome:
        is_tool = (
            part is not None and part[0] == semconv.TOOL_NAME and part[1] in budget.tool_limits
        )
        over = [self._usage(each, kind) - each.limits.by_kind[kind] for each in accounts]
        denied = [self._denials[each.key, kind] for each in accounts]
        tools_denied = [self._tool_denials[each.key, kind] for each in accounts]
        return LimitOutcome(
            budget=budget.name,
            kind=kind,
            limit=limit,
            scopes_reached=sum(more >= 0 for more in over),
            scopes_stopped=sum(any(both) for both in zip(denied, tools_denied, strict=True)),
            calls_denied=sum(denied),
            tool_calls_denied=sum(tools_denied),
            # Time goes on while calls are refused; those that go through start before the limit.
            worst_overshoot=0 if kind is LimitKind.SECONDS else max((0, *over)),
            share=None if is_tool else part,
            tool=part[1] if is_tool and part is not None else None,
        )

    def _accounts(self) -> Iterator[Account]:
        return (account for _, account in self._engine.ledger.accounts())

    def _usage(self, account: Account, kind: LimitKind) -> int:
        """The most that was used at any time."""
        peaks = self._peaks.get(account.key)
        return account.usage(kind) if peaks is None else peaks.get(kind, 0)

    def _has_calls(self, account: Account) -> bool:
        return account.calls > 0 or account.key in self._peaks or account.key in self._stopped

    def _part(self, account: Account) -> _Part:
        """The share or the tool that an account counts, None where it counts all of its scope."""
        inside = account.scope[self._width(account.key) :]
        return inside[0] if inside else None

    def _window(self, account: Account) -> _Window:
        return self._window_of(account.key)

    def _window_of(self, key: AccountKey) -> _Window:
        return key[1][: self._width(key)], key[2]

    def _width(self, key: AccountKey) -> int:
        """How many keys its budget is counted by."""
        per = self._budgets[key[0]].per
        return 1 if per is None else len(per)


def refused_by(refusal: Refusal, run: Run) -> Refused:
    """A run of which a call was refused, and by what."""
    account = refusal.account
    return Refused(run, account.scope, _window_start(account), refusal.kind)


def _parts(budget: Budget) -> Iterator[tuple[_Part, Mapping[LimitKind, int]]]:
    """The limits of a budget: its own, of its shares, and of single tools."""
    yield None, budget.limits
    whole = Limits(budget, budget.limits)
    for key, ratios in budget.shares.items():
        for value, ratio in ratios.items():
            yield (key, value), whole.share(ratio).by_kind
    for tool, limit in budget.tool_limits.items():
        yield (semconv.TOOL_NAME, tool), {LimitKind.TOOL_CALLS: limit}


def _window_start(account: Account) -> int | None:
    return account.key[2] if account.ends_at else None


def _dearest_first(scope: ScopeOutcome) -> tuple[int, int, int, Scope, str, int]:
    return (
        -scope.avoided_pusd,
        -scope.spent_pusd,
        -scope.calls_denied,
        scope.scope,
        scope.budget,
        scope.window_start or 0,
    )
