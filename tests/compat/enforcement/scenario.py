"""What a scenario is: one way to call a model, repeated until a budget stops it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

from opentelemetry.sdk.trace import TracerProvider

BUDGET_ERROR = "BudgetExceededError"


@dataclass(frozen=True)
class Stage:
    """Where a scenario plays.

    Attributes:
        url: Address of the fake provider.
        tracing: Where spans go; it is the global provider too.
    """

    url: str
    tracing: TracerProvider


@dataclass(frozen=True)
class Scenario:
    """One way to call a model.

    Attributes:
        name: What a caller does, in the words of the package.
        turn: Does it once: one or more requests. It is called until the budget trips, and once
            more.
        trips_at: The request whose answer uses the budget up, from 1.
        asks_for_tool: Every answer asks for the tool "search", so that agents go on for ever.
        text: What the model says; None for a sentence.
        large_input_tokens: Input tokens of the answer that uses the budget up.
        error: What the caller gets from a refused turn.
        refusals: How often the gate refuses in the turn that the budget trips in, and in the one
            after it.
        is_suppressed: The turns are made under `suppress_instrumentation`.
        is_sampled_out: The run's trace is not sampled.
        note: What a reader of the table should know.
    """

    name: str
    turn: Callable[[Stage], None] | Callable[[Stage], Awaitable[None]]
    trips_at: int = 2
    asks_for_tool: bool = False
    text: str | None = None
    large_input_tokens: int = 60_000
    error: str = BUDGET_ERROR
    refusals: tuple[int, int] = (1, 1)
    is_suppressed: bool = False
    is_sampled_out: bool = False
    note: str | None = None

    @property
    def slug(self) -> str:
        """The name as an id of a test."""
        return self.name.replace(", ", "-").replace(" ", "-")


def with_variants(*scenarios: Scenario) -> tuple[Scenario, ...]:
    """Scenarios, and each of them with instrumentation suppressed and with its trace not sampled."""
    return (
        *scenarios,
        *(replace(each, name=f"{each.name}, suppressed", is_suppressed=True) for each in scenarios),
        *(
            replace(each, name=f"{each.name}, not sampled", is_sampled_out=True)
            for each in scenarios
        ),
    )


def package(name: str) -> Any:
    """A module that only some environments have."""
    return import_module(name)
