"""Suggested limits: the ranks are exact, the cover holds, and what cannot be known is not said."""

import json
import random
from collections.abc import Callable, Iterable
from decimal import Decimal
from fractions import Fraction
from math import comb
from pathlib import Path
from typing import Any

import pytest
from budget_audit.formats.budgets_yaml import budgets_yaml
from budget_audit.loading import Loaded

from otelbudget import BudgetSpanProcessor
from otelbudget.audit.spend import input_facts
from otelbudget.audit.suggest import (
    Run,
    Suggestion,
    interval_ranks,
    runs_needed,
    split_runaways,
    suggest,
    upper_rank,
)
from otelbudget.budgets.config import Budgets, LimitKind

Make = Callable[..., Any]


def at_most(count: int, most: int, covers: Fraction) -> Fraction:
    """Probability that at most `most` of `count` values lie below the quantile, exactly."""
    return sum(
        (comb(count, k) * covers**k * (1 - covers) ** (count - k) for k in range(most + 1)),
        Fraction(0),
    )


COUNTS = [1, 2, 10, 22, 44, 45, 46, 59, 76, 77, 100, 180]
COVERS = [Fraction(1, 2), Fraction(8, 10), Fraction(9, 10), Fraction(95, 100), Fraction(99, 100)]


@pytest.mark.parametrize("covers", COVERS, ids=str)
def test_the_rank_is_the_lowest_that_bounds_the_quantile_nine_times_in_ten(
    covers: Fraction,
) -> None:
    for count in COUNTS:
        rank = upper_rank(count, float(covers))

        if rank is None:
            assert at_most(count, count - 1, covers) < Fraction(9, 10)
        else:
            assert at_most(count, rank - 1, covers) >= Fraction(9, 10)
            assert rank == 1 or at_most(count, rank - 2, covers) < Fraction(9, 10)


@pytest.mark.parametrize("covers", COVERS, ids=str)
def test_the_interval_holds_the_quantile_nine_times_in_ten(covers: Fraction) -> None:
    for count in COUNTS:
        ranks = interval_ranks(count, float(covers))

        assert (ranks is None) is (upper_rank(count, float(covers)) is None)
        if ranks is not None:
            lower, upper = ranks
            below_lower = at_most(count, lower - 1, covers) if lower else Fraction(0)
            assert at_most(count, upper - 1, covers) - below_lower >= Fraction(9, 10)


@pytest.mark.parametrize(
    ("covers", "needed"),
    # 0.5 ** 4 = 0.0625, 0.9 ** 22 = 0.0985, 0.95 ** 45 = 0.0994, 0.99 ** 230 = 0.0991
    [(0.5, 4), (0.9, 22), (0.95, 45), (0.99, 230)],
)
def test_runs_needed_is_the_least_count_with_a_bound(covers: float, needed: int) -> None:
    assert runs_needed(covers) == needed
    assert upper_rank(needed, covers) == needed
    assert upper_rank(needed - 1, covers) is None


@pytest.mark.parametrize(("count", "seed"), [(45, 1), (100, 2), (200, 3)])
def test_on_samples_of_a_known_distribution_the_cover_holds(count: int, seed: int) -> None:
    """The 95 % quantile of an exponential distribution is -ln 0.05 = 2.9957 times its mean."""
    choose = random.Random(seed)  # noqa: S311 - test data
    quantile, samples = 2.9957, 2_000
    rank, ranks = upper_rank(count, 0.95), interval_ranks(count, 0.95)
    assert rank is not None
    assert ranks is not None
    bounded = inside = 0
    for _ in range(samples):
        values = sorted(choose.expovariate(1) for _ in range(count))
        bounded += values[rank - 1] >= quantile
        lowest = values[ranks[0] - 1] if ranks[0] else 0.0
        inside += lowest <= quantile <= values[ranks[1] - 1]

    # Nominal 90 %, less three standard deviations of 2_000 samples: 3 * sqrt(0.9 * 0.1 / 2_000)
    assert bounded / samples >= 0.88
    assert inside / samples >= 0.88


@pytest.fixture
def suggested(
    span: Make, usage: Make, counted: Callable[..., Loaded]
) -> Callable[..., tuple[tuple[Suggestion, ...], Loaded]]:
    """Suggestions from runs given as (workflow, output tokens), in order of time."""

    def suggested(runs: Iterable[tuple[str, int]]) -> tuple[tuple[Suggestion, ...], Loaded]:
        spans = []
        for trace, (workflow, output_tokens) in enumerate(runs, 1):
            at = (trace * 1_000, trace * 1_000 + 900)
            spans.append(span(trace, 1, name=workflow, at=at))
            spans.append(span(trace, 2, 1, at=at, **usage(0, output_tokens)))
        loaded = counted(spans)
        return suggest(loaded.store), loaded

    return suggested


PUSD_PER_TOKEN = 10_000_000  # gpt-4o: 10 USD per million output tokens


def test_twelve_runs_are_too_few(suggested: Make) -> None:
    (suggestions, loaded) = suggested(("write", 100 + number) for number in range(12))

    [suggestion] = suggestions
    assert (suggestion.limit_pusd, suggestion.tier) == (None, None)
    assert suggestion.why_not == "12 runs, 45 needed"
    # The budget for every run is still known: 111 tokens * 10 USD/Mtok, on three digits.
    text = budgets_yaml(suggestions, input_facts(loaded.store), 0.95)
    assert "  per-run:\n    per: trace\n    max_cost_usd: 0.00111\n" in text
    assert text.endswith("  # write: no limit, 12 runs, 45 needed\n")


def test_a_limit_appears_with_the_forty_fifth_run(suggested: Make) -> None:
    [too_few] = suggested(("write", 100 + number) for number in range(44))[0]
    [enough] = suggested(("write", 100 + number) for number in range(45))[0]

    assert (too_few.limit_pusd, too_few.why_not) == (None, "44 runs, 45 needed")
    # The rank is the 45th of 45: 144 tokens * 10 USD/Mtok = 0.00144 USD
    assert (enough.limit_pusd, enough.tier) == (144 * PUSD_PER_TOKEN, "write")


def test_runs_eight_times_as_dear_are_left_out_and_listed(suggested: Make) -> None:
    normal = [("write", 1_000 + number) for number in range(60)]

    [suggestion] = suggested([*normal, *[("write", 8_000)] * 5])[0]

    [left_out] = suggestion.left_out
    assert left_out.reason == "suspected runaway"
    assert left_out.trace_ids == tuple(f"{trace:032x}" for trace in range(61, 66))
    assert (suggestion.eligible, suggestion.highest_pusd) == (60, 1_059 * PUSD_PER_TOKEN)
    # Rank 60 of 60: P(at most 58 below) = 0.81 is under 0.9. 1_059 * 10^7, on three digits up.
    assert suggestion.limit_pusd == 1_060 * PUSD_PER_TOKEN


def test_a_second_mode_is_kept(suggested: Make) -> None:
    short = [("write", 1_000 + number) for number in range(60)]
    long = [("write", 8_000 + number) for number in range(20)]

    [suggestion] = suggested([*short, *long])[0]

    assert suggestion.left_out == ()
    assert (suggestion.eligible, suggestion.highest_pusd) == (80, 8_019 * PUSD_PER_TOKEN)


def test_splitting_loses_and_invents_no_run() -> None:
    choose = random.Random(4)  # noqa: S311 - test data
    for _ in range(200):
        costs = [
            choose.choice([0, 1, choose.randint(0, 10**12)]) for _ in range(choose.randint(0, 40))
        ]
        runs = [Run(str(number), number, cost) for number, cost in enumerate(costs)]

        kept, runaways = split_runaways(runs)

        assert sorted([*kept, *runaways]) == sorted(runs)
        assert len(runaways) <= 0.1 * len(runs)
        assert not runaways or min(
            runaways, key=lambda run: run.list_cost_pusd
        ).list_cost_pusd > max(run.list_cost_pusd for run in kept)


def test_the_hold_out_checks_the_later_runs(suggested: Make) -> None:
    """70 runs fit the limit, the 30 later ones are held against it."""
    [steady] = suggested(("write", 1_000 + number % 7) for number in range(100))[0]
    [risen] = suggested(("write", 1_000 if number < 70 else 1_300) for number in range(100))[0]

    assert steady.holdout is not None
    assert (steady.holdout.scopes, steady.holdout.stopped) == (30, 0)
    assert not steady.holdout.has_drifted
    assert risen.holdout is not None
    assert (risen.holdout.scopes, risen.holdout.stopped) == (30, 30)
    assert risen.holdout.has_drifted
    # 30 runs of 1_300 tokens against a limit of 1_000
    assert risen.holdout.avoided_pusd == 30 * 300 * PUSD_PER_TOKEN


def test_runs_that_cannot_tell_what_a_run_needs_are_left_out(
    span: Make, usage: Make, counted: Callable[..., Loaded]
) -> None:
    not_ended = span(4, 1, name="w", **usage())
    not_ended["endTimeUnixNano"] = "0"
    loaded = counted(
        [
            span(1, 1, name="w", **usage()),
            span(2, 1, 9, name="w", **usage()),
            span(3, 1, name="w", at=None, **usage()),
            not_ended,
            span(5, 1, name="w", **usage(model="no-such-model")),
            span(6, 1, name="w"),
            span(6, 2, 1, **usage()),
            span(6, 3, 1, **{"gen_ai.operation.name": "chat"}),
            span(7, 1, name="w", **usage()),
            span(7, 2, 1, **{"gen_ai.operation.name": "chat", "otelbudget.decision": "denied"}),
        ]
    )

    [suggestion] = suggest(loaded.store)

    assert suggestion.eligible == 1
    assert {part.reason: len(part.trace_ids) for part in suggestion.left_out} == {
        "root span missing": 1,
        "root span not ended": 2,  # one of them without any time
        "unpriced model": 1,
        "call without usage": 1,
        "stopped by a budget": 1,
    }


HOSTILE = [
    "per-run",
    "per_run",
    "PER RUN",
    'say "yes"',
    "it's",
    "two\nlines: {a: 1}\n  per-run: {max_calls: 1}",
    "a # comment",
    "key: value",
    "- item",
    "😀",
    "",
    "null",
    "on",
    "1",
    "1e3",
    "~",
    "*alias",
    "%TAG",
    "\t",
    "\u2028line\u2029separators\x85",
    "\x00nul\x1bescape\x7f\ufffe",
    "x" * 5_000,
    "x" * 5_001,
    "ß" * 300,
]


def test_the_file_is_read_whatever_workflows_are_called(suggested: Make, tmp_path: Path) -> None:
    suggestions, loaded = suggested(
        (name, 100 + number % 9) for name in HOSTILE for number in range(45)
    )
    file = tmp_path / "budgets.yaml"
    file.write_text(budgets_yaml(suggestions, input_facts(loaded.store), 0.95), "utf-8")

    budgets = Budgets.from_yaml(file)
    processor = BudgetSpanProcessor.from_yaml(file)
    processor.shutdown()

    tiers = [suggestion.tier for suggestion in suggestions]
    assert len(set(tiers)) == len(HOSTILE)
    assert {budget.name: budget.per for budget in budgets.budgets} == {
        "per-run": ("trace",),
        **{str(tier): None for tier in tiers},
    }
    # 108 tokens * 10 USD/Mtok = 0.00108 USD, for every tier and for every run
    assert all(budget.limits == {LimitKind.COST_USD: 1_080_000_000} for budget in budgets.budgets)


def test_money_in_the_file_is_exact_and_never_in_exponents(suggested: Make, tmp_path: Path) -> None:
    suggestions, loaded = suggested(("tiny", 1) for _ in range(45))

    text = budgets_yaml(suggestions, input_facts(loaded.store), 0.95)

    # 1 token * 10 USD/Mtok
    assert text.count("max_cost_usd: 0.00001\n") == 2
    file = tmp_path / "budgets.yaml"
    file.write_text(text)
    policy = Budgets.from_yaml(file).as_config()
    assert Decimal(policy["budgets"]["tiny"]["max_cost_usd"]) == Decimal("0.00001")
    assert json.dumps(policy)
