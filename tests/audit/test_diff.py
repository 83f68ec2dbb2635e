"""Two sets of runs compared: what is summed, what is tested, what is left out, and how often it errs."""

import math
import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from budget_audit.loading import load

from otelbudget.audit.diff import SIGNIFICANCE, Comparison, compare
from otelbudget.audit.permutation import holm, permutation_test

Make = Callable[..., Any]


@pytest.fixture
def compared(write: Make, span: Make, usage: Make) -> Make:
    """Compares runs; each is (workflow, ((model, input tokens), ...))."""

    def called(tokens: int, model: str) -> dict[str, Any]:
        provider = "ollama" if model == "llama3" else "openai"
        return {**usage(tokens, 0, model=model), "gen_ai.provider.name": provider}

    def store(name: str, runs: list[Any]) -> Any:
        spans = []
        for trace, (workflow, calls) in enumerate(runs, 1):
            spans.append(span(trace, 1, name=workflow, at=(0, 99)))
            spans += [
                span(trace, 2 + number, 1, at=(number, number + 1), **called(tokens, model))
                for number, (model, tokens) in enumerate(calls)
            ]
        return load([str(write(spans, name))]).store

    def compared(base: list[Any], head: list[Any]) -> Comparison:
        return compare(store("base.jsonl", base), store("head.jsonl", head))

    return compared


def lognormal(seed: int, count: int, factor: float = 1) -> list[Any]:
    draw = random.Random(seed)  # noqa: S311 - no secret
    return [
        ("essay", (("gpt-4o", round(20_000 * factor * draw.lognormvariate(0, 0.5))),))
        for _ in range(count)
    ]


def test_calls_tokens_and_cost_are_summed_on_both_sides(compared: Make) -> None:
    """gpt-4o, 2.50 USD per Mtok: 3 x 1,000 tokens = 0.0075 USD before; the runs cost 0.005, 0.0025."""
    runs = [("essay", (("gpt-4o", 1_000),) * 2), ("essay", (("gpt-4o", 1_000),))]

    [change] = compared(runs, runs[:1]).changes

    base, head = change.base, change.head
    assert (base.runs, base.model_calls, base.input_tokens) == (2, 3, 3_000)
    assert (base.list_cost_pusd, base.median_pusd) == (7_500_000_000, 3_750_000_000)
    assert (head.runs, head.model_calls, head.median_pusd) == (1, 2, 5_000_000_000)
    assert change.ratio == Decimal(5) / Decimal("3.75")
    assert change.p_value is None


def test_a_workflow_with_several_models_is_told_by_model_too(compared: Make) -> None:
    both = ("essay", (("gpt-4o", 1_000), ("gpt-4o-mini", 1_000)))
    runs = [both, ("chat", (("gpt-4o", 10),))]

    changes = compared(runs, runs).changes

    assert [(each.workflow, each.model) for each in changes] == [
        ("essay", None),
        ("essay", "gpt-4o"),
        ("essay", "gpt-4o-mini"),
        ("chat", None),
    ]


def test_new_and_vanished_workflows_and_models_are_told(compared: Make) -> None:
    base = [("essay", (("gpt-4o", 1_000),)), ("old", (("gpt-4o", 10),))]
    head = [("essay", (("gpt-4.1", 1_000),)), ("new", (("gpt-4o", 10),))]

    changes = {(each.workflow, each.model): each for each in compared(base, head).changes}

    assert changes["old", None].is_vanished
    assert changes["new", None].is_new
    assert changes["essay", "gpt-4o"].is_vanished
    assert changes["essay", "gpt-4.1"].is_new
    assert not changes["essay", None].is_new
    assert not changes["essay", None].is_vanished


def test_free_and_unpriced_runs_are_counted_and_not_compared(compared: Make) -> None:
    runs = [
        ("essay", (("gpt-4o", 1_000),)),
        ("essay", (("nobody-knows", 1_000), ("gpt-4o", 1_000))),
        ("essay", (("llama3", 1_000),)),
    ]

    change = compared(runs, runs).changes[0]

    assert (change.base.runs, change.base.unpriced_runs, change.base.free_runs) == (3, 1, 1)
    assert change.base.median_pusd == 2_500_000_000
    assert change.base.list_cost_pusd == 5_000_000_000


def test_a_quarter_more_is_found(compared: Make) -> None:
    change = compared(lognormal(1, 150), lognormal(2, 150, 1.25)).changes[0]

    assert change.is_significant
    assert change.is_dearer(Decimal("0.10"))
    assert not change.is_dearer(Decimal("0.60"))


def test_cheaper_runs_are_never_dearer(compared: Make) -> None:
    change = compared(lognormal(1, 150, 2), lognormal(2, 150)).changes[0]

    assert change.is_significant
    assert not change.is_dearer(Decimal(0))


def test_false_alarms_are_no_more_than_the_level_and_a_quarter_more_is_mostly_found() -> None:
    """Three workflows of 150 runs, 200 seeds: any alarm in at most 5 % of them, within 3 deviations."""
    alarms = found = 0
    for seed in range(200):
        alarms += any(_significant(seed, (1, 1, 1)))
        found += _significant(seed, (1, 1, 1.25))[2]

    assert alarms <= 200 * 0.05 + 3 * (200 * 0.05 * 0.95) ** 0.5
    assert found >= 200 * 0.8


def _significant(seed: int, factors: tuple[float, ...]) -> list[bool]:
    """Which of three workflows differ, as `compare` decides it."""
    draw = random.Random(seed)  # noqa: S311 - no secret
    p_values = []
    for factor in factors:
        base = [draw.gauss(0, 0.5) for _ in range(150)]
        head = [draw.gauss(math.log(factor), 0.5) for _ in range(150)]
        test = permutation_test(base, head)
        p_values.append(1.0 if test is None else test.p_value)
    return [p <= SIGNIFICANCE for p in holm(p_values)]


def test_order_of_the_runs_does_not_matter(compared: Make) -> None:
    base, head = lognormal(1, 30), lognormal(2, 30, 1.1)

    assert compared(base, head) == compared(base[::-1], head[::-1])
