"""Which recorded calls no limit can refuse: those whose scopes have room for all that was recorded."""

from collections.abc import Sequence

from otelbudget.audit.happenings import Fate, RecordedCall
from otelbudget.audit.outcomes import Run
from otelbudget.budgets.config import LimitKind
from otelbudget.budgets.decisions import Accounts
from otelbudget.budgets.engine import Engine
from otelbudget.budgets.ledger import Account
from otelbudget.budgets.scopes import Place
from otelbudget.budgets.spent import TOKEN_CLASSES

_NEEDS_ORDER = frozenset({LimitKind.SECONDS, LimitKind.TOOL_CALLS})


class Group:
    """Calls that are counted on the same accounts, added up.

    Attributes:
        accounts: The accounts.
        run: The outermost run of the calls.
        trace_ids: Their traces, where no account counts them.
        numbers: Which calls they are.
        cost_pusd: What they count toward limits on money, in pico-USD.
        estimated_pusd: The estimated part of it.
        tokens: Input and output tokens.
        classes: Tokens by class, in the order of `TOKEN_CLASSES`.
        released: Calls that were given back.
        unknown: Calls that were refused when they were recorded.
        held_pusd: All that would be held for them, in pico-USD.
        held_tokens: The same in tokens.
    """

    __slots__ = (
        "accounts",
        "classes",
        "cost_pusd",
        "estimated_pusd",
        "held_pusd",
        "held_tokens",
        "numbers",
        "released",
        "run",
        "tokens",
        "trace_ids",
        "unknown",
    )

    def __init__(self, accounts: Accounts, run: Run) -> None:
        self.accounts, self.run = accounts, run
        self.trace_ids: set[str] = set()
        self.numbers: list[int] = []
        self.classes = [0] * len(TOKEN_CLASSES)
        self.cost_pusd = self.estimated_pusd = self.tokens = 0
        self.held_pusd = self.held_tokens = self.released = self.unknown = 0

    def add(self, number: int, call: RecordedCall) -> None:
        """Add a call."""
        self.numbers.append(number)
        charge, hold = call.charge, call.hold
        if hold is not None:
            self.held_pusd += hold.cost_pusd
            self.held_tokens += hold.tokens
        if call.fate is Fate.RELEASED:
            self.released += 1
            return
        self.unknown += call.fate is Fate.DENIED
        cost = charge.list_cost_pusd
        if cost is None:
            cost = charge.estimated_pusd
            self.estimated_pusd += cost
        self.cost_pusd += cost
        self.tokens += charge.tokens
        usage = charge.usage
        if usage is not None:
            classes = self.classes
            classes[0] += usage.input_tokens
            classes[1] += usage.output_tokens
            classes[2] += usage.cache_read_input_tokens
            classes[3] += usage.cache_write_input_tokens
            classes[4] += usage.reasoning_output_tokens
        if not self.accounts:
            self.trace_ids.add(call.trace_id)

    def add_up(self) -> None:
        """Count all of the calls on their accounts."""
        for _, account in self.accounts:
            account.cost_pusd += self.cost_pusd
            account.estimated_pusd += self.estimated_pusd
            account.tokens += self.tokens
            account.calls += len(self.numbers) - self.released
            if account.classes is not None:
                for at, more in enumerate(self.classes):
                    account.classes[at] += more

    def most(self, kind: LimitKind) -> int:
        """The most that the calls use and hold at any time, in the unit of a limit kind."""
        match kind:
            case LimitKind.COST_USD:
                return self.cost_pusd + self.held_pusd
            case LimitKind.TOKENS:
                return self.tokens + self.held_tokens
            case LimitKind.CALLS:
                return len(self.numbers)
            case _:
                return self.classes[TOKEN_CLASSES[kind]] + self.held_tokens


class Headroom:
    """Tells calls apart that a limit may refuse from those that none can.

    Args:
        engine: The engine that they would be sent through.
        calls: The calls.
        has_whole_runs: Calls of a run that may be refused one are all told to be near.

    Attributes:
        far: Calls that no limit can refuse.
        near: The numbers of all others.
    """

    def __init__(
        self, engine: Engine, calls: Sequence[RecordedCall], *, has_whole_runs: bool
    ) -> None:
        groups = _groups(engine, calls)
        full = _full(groups)
        near = [any(account in full for _, account in group.accounts) for group in groups]
        if has_whole_runs:
            runs = {group.run for group, is_near in zip(groups, near, strict=True) if is_near}
            near = [group.run in runs for group in groups]
        self.far = [group for group, is_near in zip(groups, near, strict=True) if not is_near]
        self.near = [
            number
            for group, is_near in zip(groups, near, strict=True)
            if is_near
            for number in group.numbers
        ]


def _groups(engine: Engine, calls: Sequence[RecordedCall]) -> Sequence[Group]:
    groups: list[Group] = []
    latest: dict[Place | str, tuple[int, int, Group]] = {}
    for number, call in enumerate(calls):
        at_ns, place = call.start_time_unix_nano, call.place
        found = latest.get(place or call.trace_id)
        if found is None or not found[0] <= at_ns < found[1]:
            known = place or Place(call.trace_id)
            group = Group(engine.accounts(known, at_ns), known.runs[0].scope[0])
            found = latest[place or call.trace_id] = known.since, known.until, group
            groups.append(group)
        found[2].add(number, call)
    return groups


def _full(groups: Sequence[Group]) -> set[Account]:
    """The accounts that may come to a limit."""
    sums: dict[Account, dict[LimitKind, int]] = {}
    full: set[Account] = set()
    for group in groups:
        for _, account in group.accounts:
            by_kind = account.limits.by_kind
            if account.entries is not None or not _NEEDS_ORDER.isdisjoint(by_kind):
                full.add(account)
                continue
            found = sums.setdefault(account, {})
            for kind in by_kind:
                found[kind] = found.get(kind, 0) + group.most(kind)
    for account, found in sums.items():
        if any(most >= account.limits.by_kind[kind] for kind, most in found.items()):
            full.add(account)
    return full
