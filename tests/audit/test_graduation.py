"""When a budget is safe to enforce, by the exact bound of Clopper and Pearson."""

from collections.abc import Callable
from fractions import Fraction
from math import comb
from typing import Any

import pytest
from budget_audit.loading import Loaded

from otelbudget.audit.graduation import Graduation, graduations, runs_needed, upper_bound
from otelbudget.audit.judging import false_stops, judge
from otelbudget.audit.recorded import recorded
from otelbudget.budgets.config import Budget, Budgets

Make = Callable[..., Any]


def at_most(successes: int, count: int, probability: Fraction) -> Fraction:
    """The probability of at most so many successes, exactly."""
    return sum(
        (
            comb(count, each) * probability**each * (1 - probability) ** (count - each)
            for each in range(successes + 1)
        ),
        Fraction(0),
    )


@pytest.mark.parametrize(
    ("lost", "runs"), [(0, 1), (0, 300), (1, 300), (3, 10), (7, 40), (19, 20), (5, 1_000)]
)
def test_the_bound_is_where_so_few_false_stops_become_unlikely(lost: int, runs: int) -> None:
    bound = Fraction(upper_bound(lost, runs))
    hair = Fraction(1, 10**9)

    assert at_most(lost, runs, bound - hair) > Fraction(5, 100) >= at_most(lost, runs, bound + hair)


def test_a_run_that_was_always_stopped_has_no_better_bound() -> None:
    assert upper_bound(4, 4) == 1.0


@pytest.mark.parametrize(
    ("lost", "runs", "needed"),
    [
        (0, 300, 0),  # 0.99 ** 300 = 0.04904
        (0, 299, 1),  # likely enough, but fewer than 300
        (0, 298, 2),  # 0.99 ** 298 = 0.05004
        (0, 0, 300),
        (1, 300, 173),  # at 473 runs one false stop bounds the share at 1 %
        (50_000, 100_000, 4_935_000),
    ],
)
def test_runs_needed_are_the_fewest_that_make_it_safe(lost: int, runs: int, needed: int) -> None:
    found = runs_needed(lost, runs)

    if runs < 1_000:
        assert found == needed
    else:
        assert abs(found - needed) < 10_000


def graduated(loaded: Loaded, *budgets: Budget, success: tuple[str, str] | None = None) -> Any:
    of_all = Budgets(budgets)
    recording = recorded(loaded.store, loaded.book, budgets, of_all.unknown_model)
    return graduations(recording, of_all, judge(loaded.store, success))


@pytest.fixture
def runs(span: Make, usage: Make, counted: Make) -> Loaded:
    """302 runs of one call of 0.0035 USD each, but 2 of two calls."""
    spans = []
    for trace in range(1, 303):
        verdict = {"outcome": "good" if trace % 2 else "bad"}
        spans.append(span(trace, 1, at=(0, 1_000), **verdict))
        spans += [
            span(trace, 2 + call, 1, at=(100 * call, 100 * call + 50), **usage())
            for call in range(2 if trace <= 2 else 1)
        ]
    return counted(spans)  # type: ignore[no-any-return] # a fixture


def test_a_budget_that_stops_no_good_run_is_safe_after_300(runs: Loaded) -> None:
    [found] = graduated(runs, Budget(calls=2, name="b", mode="audit"))

    assert isinstance(found, Graduation)
    assert (found.runs_judged, found.false_stops, found.is_safe) == (302, 0, True)
    assert str(found.upper_bound) == "0.009871"  # 1 - 0.05 ** (1 / 302)
    assert found.sentence == (
        "Budget 'b' is safe to enforce: of 302 judged runs it would stop 0 good ones, at most "
        "0.988 % of all with 95 % confidence."
    )


def test_a_budget_that_stops_good_runs_says_what_to_raise(runs: Loaded) -> None:
    [found] = graduated(runs, Budget(cost_usd="0.0035", name="b"))

    assert (found.runs_judged, found.false_stops, found.is_safe) == (302, 2, False)
    assert "raise its limit from 0.0035 to 0.007 USD, or wait for" in found.sentence


def test_a_single_run_is_told_of_in_the_singular(span: Make, usage: Make, counted: Make) -> None:
    loaded = counted([span(1, 1), span(1, 2, 1, **usage(input_tokens=2_000))])

    [found] = graduated(loaded, Budget(tokens=1_000, calls=0, name="b"))

    assert "of 1 judged run it would stop 1 good one, at most 100 % of all" in found.sentence
    assert "; raise its limit from 0 to 1 calls, or wait for " in found.sentence


def test_several_limits_are_raised_in_one_breath(span: Make, usage: Make, counted: Make) -> None:
    """One run makes three calls of 100 tokens, one two of 2,000."""
    short = [span(1, 2 + n, 1, at=(n * 9, n * 9 + 1), **usage(100, 0)) for n in range(3)]
    long = [span(2, 2 + n, 1, at=(n * 9, n * 9 + 1), **usage(2_000, 0)) for n in range(2)]
    loaded = counted([span(1, 1), span(2, 1), *short, *long])

    [found] = graduated(loaded, Budget(tokens=1_100, calls=2, name="b"))

    sentence = found.sentence
    assert "; raise its limits " in sentence
    assert "from 1,100 to 4,000 tokens" in sentence
    assert "from 2 to 3 calls" in sentence


def test_each_budget_is_judged_by_itself_whatever_its_mode(runs: Loaded) -> None:
    first, second = graduated(
        runs,
        Budget(calls=1, name="tight", mode="enforce"),
        Budget(calls=1, name="watched", mode="audit"),
    )

    assert (first.false_stops, second.false_stops) == (2, 2)


def test_an_attribute_of_the_root_says_which_runs_were_good(runs: Loaded) -> None:
    [found] = graduated(runs, Budget(calls=1), success=("outcome", "good"))

    assert found.false_stops == 1  # of the traces 1 and 2 the first


def test_runs_that_nobody_can_judge_say_nothing(span: Make, usage: Make, counted: Make) -> None:
    loaded = counted([span(1, 2, 1, **usage())])

    [found] = graduated(loaded, Budget(calls=1, name="b"))

    assert found.upper_bound is None
    assert found.sentence == "Nothing is known of budget 'b': none of its runs can be judged."
    assert false_stops(judge(loaded.store), []) is None
