"""What the errors say and carry."""

import copy
import pickle
from decimal import Decimal

import pytest

from otelbudget import (
    BudgetConfigError,
    BudgetExceededError,
    BudgetFacts,
    OtelBudgetError,
    UnknownModelError,
)

FACTS = BudgetFacts(
    budget="per-run",
    scope={"trace": "5b8e"},
    kind="cost_usd",
    limit=Decimal("0.25"),
    usage=Decimal("0.3"),
    trace_id="5b8e",
    agent="critic",
    spent_by_model={"gpt-4o": Decimal("0.3")},
    estimated_usd=Decimal("0.1"),
)


def test_the_sentence_gives_both_numbers_and_the_remedy() -> None:
    assert str(BudgetExceededError(FACTS)) == (
        "Budget 'per-run' (trace 5b8e) is used up: 0.30 of 0.25 USD, of which 0.10 USD "
        "estimated; raise the limit or start a new run."
    )


@pytest.mark.parametrize("kind", ["tokens", "calls"])
def test_a_count_is_no_money(kind: str) -> None:
    error = BudgetExceededError(
        BudgetFacts("b", {"trace": "t"}, kind, limit=Decimal(5), usage=Decimal(7))
    )

    assert str(error) == (
        f"Budget 'b' (trace t) is used up: 7 of 5 {kind}; raise the limit or start a new run."
    )
    assert (error.overage, error.spent_usd, error.budget_usd) == (Decimal(2), None, None)


def test_a_call_without_room_is_told_what_is_held_and_what_it_may_use() -> None:
    facts = BudgetFacts(
        "b",
        {"trace": "t"},
        "cost_usd",
        limit=Decimal("0.30"),
        usage=Decimal("0.1"),
        held=Decimal("0.15"),
        estimate=Decimal("0.1"),
        calls_in_flight=2,
    )

    assert str(BudgetExceededError(facts)) == (
        "Budget 'b' (trace t) has no room for this call: 0.10 of 0.30 USD used, 0.15 USD held "
        "for 2 calls in flight, and this one may use 0.10 USD; lower its cap on output, wait for "
        "what is in flight, or raise the limit."
    )
    assert facts.overage == 0


@pytest.mark.parametrize(
    "error",
    [
        BudgetExceededError(FACTS),
        UnknownModelError("openai", "m"),
        BudgetConfigError("is wrong", path="budgets.yaml", key="a.b"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_an_error_crosses_a_process_whole(error: OtelBudgetError, protocol: int) -> None:
    for other in (pickle.loads(pickle.dumps(error, protocol)), copy.copy(error)):  # noqa: S301 - ours
        assert type(other) is type(error)
        assert str(other) == str(error)
        assert vars(other) == vars(error)


def test_a_refusal_is_a_runtime_error() -> None:
    """LangGraph's default retry policy retries most other errors."""
    assert issubclass(BudgetExceededError, RuntimeError)
