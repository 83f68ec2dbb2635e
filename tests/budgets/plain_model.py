"""A model of budgets that keeps every event in a list and adds up anew whenever it is asked."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

from otelbudget.budgets.config import Budget, LimitKind, Mode
from otelbudget.budgets.scopes import Place, Scope
from otelbudget.budgets.windows import CalendarWindow, RollingWindow

Amounts = Mapping[LimitKind, int]
CLASSES = (
    LimitKind.INPUT_TOKENS,
    LimitKind.OUTPUT_TOKENS,
    LimitKind.CACHE_READ_INPUT_TOKENS,
    LimitKind.CACHE_WRITE_INPUT_TOKENS,
    LimitKind.REASONING_OUTPUT_TOKENS,
)
SPENT = (LimitKind.COST_USD, LimitKind.TOKENS, *CLASSES)
HELD = (LimitKind.COST_USD, LimitKind.TOKENS, LimitKind.INPUT_TOKENS, LimitKind.OUTPUT_TOKENS)
NOTHING: Amounts = {}


@dataclass(frozen=True)
class Counted:
    """What is counted together: a budget, a scope and a window; a share and a tool are scopes too."""

    budget: Budget = field(hash=False, compare=False)
    name: str
    scope: Scope
    window: str
    share: Fraction | None = None
    tool: str | None = None


@dataclass(eq=False)
class Event:
    """A call of a model or a tool."""

    at: int
    on: list[Counted]
    calls: int = 0
    tool_calls: int = 0
    held: Amounts = field(default_factory=dict)
    charges: list[Amounts] = field(default_factory=list)
    graced: list[Counted] = field(default_factory=list)
    is_free: bool = False


@dataclass(frozen=True)
class Over:
    """A limit that refuses: whose, and how far usage is."""

    counted: Counted
    kind: LimitKind
    ratio: Fraction | float


def window_label(budget: Budget, at: int) -> str:
    """A calendar's window by what its clock shows; a clock's hour at two offsets is two windows."""
    window = budget.window
    if not isinstance(window, CalendarWindow):
        return ""
    clock = datetime.fromtimestamp(at // 10**9, UTC).astimezone(ZoneInfo(window.timezone))
    day = f"{clock:%Y-%m-%d}"
    return day if str(window) == "day" else f"{day} {clock:%H} {clock.utcoffset()}"


class PlainModel:
    """Budgets, events, and what follows from them by the words of the documentation."""

    def __init__(self, budgets: Iterable[Budget]) -> None:
        self.budgets = list(budgets)
        self.events: list[Event] = []
        self.raised: dict[tuple[Counted, LimitKind], int] = {}
        self.graced: dict[Counted, int] = {}
        self.first: dict[Counted, int] = {}
        self.latest: dict[Counted, int] = {}
        self.known: dict[tuple[str, Scope, str], Counted] = {}

    def counted(self, place: Place, at: int, tool: str | None = None) -> list[Counted]:
        """All that a call is counted on, the budgets in their order."""
        found = [each for budget in self.budgets for each in self._of(budget, place, at, tool)]
        self.known |= {(each.name, each.scope, each.window): each for each in found}
        return found

    def look(self, counted: Iterable[Counted], at: int) -> None:
        """Let time come to `at` for what is asked."""
        for each in counted:
            self.latest[each] = max(at, self.latest.get(each, at))

    def _of(self, budget: Budget, place: Place, at: int, tool: str | None) -> Iterator[Counted]:
        if any(place.value(key) not in allowed for key, allowed in budget.where.items()):
            return
        window = window_label(budget, at)
        for scope in self._scopes(budget, place):
            whole = Counted(budget, budget.name, scope, window)
            self.first.setdefault(whole, at)
            yield whole
            for key, ratios in budget.shares.items():
                value = place.value(key)
                if value in ratios:
                    yield Counted(
                        budget, budget.name, (*scope, (key, value)), window, Fraction(ratios[value])
                    )
            if tool in budget.tool_limits:
                part = (*scope, ("gen_ai.tool.name", str(tool)))
                yield Counted(budget, budget.name, part, window, tool=tool)

    def _scopes(self, budget: Budget, place: Place) -> list[Scope]:
        runs = [(("trace" if run.is_trace else "run", run.id), run.tier) for run in place.runs]
        if budget.per is None:
            return [(scope,) for scope, tier in runs if tier == budget.name]
        keys = [(key, place.value(key)) for key in budget.per]
        if "run" not in budget.per:
            return [tuple(keys)]
        return [
            tuple(run if key == "run" else (key, value) for key, value in keys) for run, _ in runs
        ]

    def limits(self, counted: Counted) -> dict[LimitKind, int]:
        """Its limits by now."""
        if counted.tool is not None:
            return {LimitKind.TOOL_CALLS: counted.budget.tool_limits[counted.tool]}
        scope = counted.scope if counted.share is None else counted.scope[:-1]
        whole = Counted(counted.budget, counted.name, scope, counted.window)
        found = {
            kind: limit + self.raised.get((whole, kind), 0)
            for kind, limit in counted.budget.limits.items()
        }
        if counted.share is None:
            return found
        return {
            kind: counted.share.numerator * limit // counted.share.denominator
            for kind, limit in found.items()
            if kind is not LimitKind.SECONDS
        }

    def usage(self, counted: Counted, kind: LimitKind, now: int) -> int:
        """What has been used by now."""
        if kind is LimitKind.SECONDS:
            return max(0, self.latest.get(counted, 0) - self.first.get(counted, 0))
        window = counted.budget.window
        since = now - window.length_ns if isinstance(window, RollingWindow) else -1
        events = [each for each in self.events if counted in each.on and each.at > since]
        if kind is LimitKind.CALLS:
            return sum(each.calls for each in events)
        if kind is LimitKind.TOOL_CALLS:
            return sum(each.tool_calls for each in events)
        return sum(charge.get(kind, 0) for each in events for charge in each.charges)

    def held(self, counted: Counted, kind: LimitKind) -> int:
        """What is held for calls in flight."""
        if not counted.budget.reserve:
            return 0
        return sum(each.held.get(kind, 0) for each in self.events if counted in each.on)

    def over(
        self,
        asked: Iterable[Counted],
        mode: Mode,
        past: Callable[[LimitKind], int | None],
        now: int,
    ) -> list[Over]:
        """The limits that are used up by `past` of their kind; those that are asked of."""
        found = []
        for counted in asked:
            for kind, limit in self.limits(counted).items():
                more, usage = past(kind), self.usage(counted, kind, now)
                if counted.budget.mode is mode and more is not None and usage >= limit + more:
                    found.append(Over(counted, kind, _ratio(usage, limit)))
        return furthest(found)

    def full(
        self, asked: Iterable[Counted], mode: Mode, hold: Amounts, now: int, *, is_free: bool
    ) -> list[Over]:
        """The limits of reserving budgets in which a hold does not fit."""
        found = []
        for counted in asked:
            if counted.budget.mode is not mode or not counted.budget.reserve:
                continue
            for kind, limit in self.limits(counted).items():
                taken = self.usage(counted, kind, now) + self.held(counted, kind)
                taken += hold.get(kind, 0)
                if taken > limit and not (is_free and kind is LimitKind.COST_USD):
                    found.append(Over(counted, kind, _ratio(taken, limit)))
        return furthest(found)

    def refusals(
        self, asked: Iterable[Counted], mode: Mode, hold: Amounts | None, now: int, *, is_free: bool
    ) -> list[Over]:
        """The limits that may be named where a model call is refused; none: it may go."""
        asked = list(asked)

        def past(kind: LimitKind) -> int | None:
            if is_free and kind is LimitKind.COST_USD:
                return None
            return 1 if kind is LimitKind.TOOL_CALLS else 0

        over = self.over(asked, mode, past, now)
        if over or hold is None:
            return over
        return self.full(asked, mode, hold, now, is_free=is_free)

    def has_grace(self, counted: Counted) -> bool:
        """Whether calls that wrap up may still pass it."""
        return self.graced.get(counted, 0) < counted.budget.grace


def _ratio(usage: int, limit: int) -> Fraction | float:
    return Fraction(usage, limit) if limit else float("inf")


def furthest(over: list[Over]) -> list[Over]:
    """Those with the highest ratio; any of them may be named."""
    most = max((each.ratio for each in over), default=0)
    return [each for each in over if each.ratio == most]
