"""What budgets would have done: by scope, by limit, and in all."""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from otelbudget.budgets.config import LimitKind
from otelbudget.budgets.scopes import Scope

Run = tuple[str, str]
"""A run: "run" with its id, or "trace" with the trace where none was opened by name."""


class ScopeOutcome(msgspec.Struct):
    """What a budget did to one scope, in one window.

    Attributes:
        budget: Name of the budget.
        scope: Keys and values that it is counted by; of a share or a tool with that key too.
        kind: The limit that refused first.
        limit: That limit, in the unit of its kind.
        window_start: Start of the window in unix ns, None where it has none or rolls.
        stopped_at: Start of the first refused call, unix ns.
        calls_allowed: Model calls of the scope that went through.
        calls_denied: Model calls that the budget refused there.
        tool_calls_denied: Calls of tools that it refused there.
        spent_pusd: List cost of the calls that went through, priced calls only.
        avoided_pusd: List cost of the refused calls, priced calls only.
    """

    budget: str
    scope: Scope
    kind: LimitKind
    limit: int
    window_start: int | None
    stopped_at: int
    calls_allowed: int = 0
    calls_denied: int = 0
    tool_calls_denied: int = 0
    spent_pusd: int = 0
    avoided_pusd: int = 0


class LimitOutcome(msgspec.Struct, frozen=True):
    """What one limit did over all scopes.

    Attributes:
        budget: Name of its budget.
        kind: What it counts.
        limit: In the unit of its kind.
        scopes_reached: Scopes whose usage came to the limit or above; one for each window.
        scopes_stopped: Scopes of which it refused a call.
        calls_denied: Model calls that it refused.
        tool_calls_denied: Calls of tools that it refused.
        worst_overshoot: Largest usage above the limit, in the limit's unit, at least 0.
        share: Key and value whose share it is, None for a limit of the whole budget.
        tool: The tool that it limits, None for all.
    """

    budget: str
    kind: LimitKind
    limit: int
    scopes_reached: int
    scopes_stopped: int
    calls_denied: int
    tool_calls_denied: int
    worst_overshoot: int
    share: tuple[str, str] | None = None
    tool: str | None = None


class Refused(NamedTuple):
    """A run of which a call was refused, and by what.

    Attributes:
        run: The run.
        scope: Keys and values that the budget is counted by.
        window_start: Start of the window in unix ns, None where it has none or rolls.
        kind: The limit.
    """

    run: Run
    scope: Scope
    window_start: int | None
    kind: LimitKind


class Alone(msgspec.Struct):
    """What a budget would have done by itself.

    Attributes:
        runs: Runs with a call that it counts.
        refused: Those of which it would have refused a call, and by what.
    """

    runs: set[Run]
    refused: set[Refused]

    @property
    def runs_stopped(self) -> frozenset[Run]:
        """The runs of which a call was refused."""
        return frozenset(each.run for each in self.refused)


class Usage(msgspec.Struct, frozen=True):
    """What one scope used of one limit, in one window.

    Attributes:
        budget: Name of the budget.
        is_enforcing: Whether the budget refuses calls.
        scope: Keys and values that it is counted by.
        window_start: Start of the window in unix ns, None where it has none or rolls.
        kind: What the limit counts.
        limit: In the unit of the kind.
        usage: The most that was used at any time, in the same unit.
    """

    budget: str
    is_enforcing: bool
    scope: Scope
    window_start: int | None
    kind: LimitKind
    limit: int
    usage: int


class Replay(msgspec.Struct, frozen=True):
    """What budgets would have done to recorded calls.

    Attributes:
        scopes: Scopes with a call, each once for every window; where no budget counts a call, its
            trace.
        scopes_reached: Scopes in which some limit was reached.
        scopes_stopped: Scopes of which a call was refused.
        calls: Calls that were replayed, those among them that were refused when they were recorded.
        calls_denied: Calls that were refused.
        calls_audited: Calls that went through, and that a budget in audit mode would have refused.
        tool_calls_denied: Calls of tools that were refused.
        calls_without_time: Calls without a start, which were not replayed.
        attempts_unknown: Calls that went through, but were refused when they were recorded: what
            they would have used is unknown.
        estimates_assumed: Calls for which nobody recorded what was held.
        spent_pusd: List cost of what went through, calls without time included.
        avoided_pusd: List cost of what was refused.
        estimated_pusd: What calls that went through counted toward money limits at an estimate.
        limits: Each limit's part.
        stopped: The scopes that were stopped, most avoided first, then most spent.
        runs: Runs with a call that a budget counts.
        refused: The runs of which a call was refused, and by what.
        denials: How many calls, of models and of tools, each limit refused: by budget, scope, start of
            the window and kind.
        usages: What each scope used of each limit.
        refused_calls: Places of the refused calls among those of the recording.
    """

    scopes: int
    scopes_reached: int
    scopes_stopped: int
    calls: int
    calls_denied: int
    calls_audited: int
    tool_calls_denied: int
    calls_without_time: int
    attempts_unknown: int
    estimates_assumed: int
    spent_pusd: int
    avoided_pusd: int
    estimated_pusd: int
    limits: tuple[LimitOutcome, ...]
    stopped: tuple[ScopeOutcome, ...]
    runs: frozenset[Run]
    refused: frozenset[Refused]
    denials: Mapping[tuple[str, Scope, int | None, LimitKind], int]
    usages: tuple[Usage, ...]
    refused_calls: frozenset[int] = frozenset()

    @property
    def runs_stopped(self) -> frozenset[Run]:
        """The runs of which a call was refused."""
        return frozenset(each.run for each in self.refused)
