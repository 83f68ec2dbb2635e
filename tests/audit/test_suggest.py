"""Suggested limits: what rests on which runs, and what cannot be known is not said."""

import json
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from budget_audit.formats.budgets_yaml import budgets_yaml
from budget_audit.formats.suggestions import notes
from budget_audit.loading import Loaded

from otelbudget import BudgetSpanProcessor
from otelbudget.audit.keys import UnknownKeyError
from otelbudget.audit.runs_of_workflows import KINDS, Runs, parse_by, runs_of_workflows
from otelbudget.audit.spend import input_facts
from otelbudget.audit.suggest import Suggestion, Suggestions, fitted, suggest
from otelbudget.budgets.config import Budgets, LimitKind

Make = Callable[..., Any]
COST, CALLS, TOKENS = LimitKind.COST_USD, LimitKind.CALLS, LimitKind.TOKENS
SECONDS, TOOL_CALLS = LimitKind.SECONDS, LimitKind.TOOL_CALLS
PUSD_PER_TOKEN = 10_000_000  # gpt-4o: 10 USD per million output tokens


@pytest.fixture
def suggested(
    span: Make, usage: Make, counted: Callable[..., Loaded]
) -> Callable[..., tuple[Suggestions, Loaded]]:
    """Suggestions from runs given as (workflow, output tokens), in order of time."""

    def suggested(runs: Iterable[tuple[str, int]], **choices: Any) -> tuple[Suggestions, Loaded]:
        spans = []
        for trace, (workflow, output_tokens) in enumerate(runs, 1):
            at = (trace * 1_000, trace * 1_000 + 900)
            spans.append(span(trace, 1, name=workflow, at=at))
            spans.append(span(trace, 2, 1, at=at, **usage(0, output_tokens)))
        loaded = counted(spans)
        return suggest(loaded.store, **choices), loaded

    return suggested


def only(found: tuple[Suggestions, Loaded]) -> Suggestion:
    [suggestion] = found[0].workflows
    return suggestion


def runs_of(**needs: list[int]) -> Runs:
    """Runs that needed so much, by kind; nothing of the other kinds."""
    count = len(next(iter(needs.values())))
    amounts = {kind: needs.get(kind, [0] * count) for kind in KINDS}
    return Runs({"workflow": "w"}, [str(place) for place in range(count)], amounts)


def test_twelve_runs_are_too_few(suggested: Make) -> None:
    suggestions, loaded = suggested(("write", 100 + number) for number in range(12))

    [suggestion] = suggestions.workflows
    assert (suggestion.limits, suggestion.tier, suggestions.tiers) == ({}, None, ())
    assert suggestion.why_not == "12 of 45 runs needed"
    # The budget for every run is still known: 111 tokens * 10 USD/Mtok, on three digits.
    text = budgets_yaml(suggestions, input_facts(loaded.store))
    assert "  per-run:\n    per: trace\n    max_cost_usd: 0.00111\n" in text
    assert text.endswith("  # Without limits:\n  # write: 12 of 45 runs needed\n")


def test_a_limit_appears_with_the_forty_fifth_run(suggested: Make) -> None:
    too_few = only(suggested(("write", 100 + number) for number in range(44)))
    enough = only(suggested(("write", 100 + number) for number in range(45)))

    assert (too_few.limits, too_few.why_not) == ({}, "44 of 45 runs needed")
    # The rank is the 45th of 45: 144 tokens * 10 USD/Mtok = 0.00144 USD
    assert {kind: each.limit for kind, each in enough.limits.items()} == {
        COST: 144 * PUSD_PER_TOKEN
    }
    assert (enough.tier, enough.covered) == ("write", 45)


def test_more_kinds_of_limits_need_more_runs() -> None:
    """With n runs as many may be cut off as fit: 1 of 45, 2 of 77, 3 of 105 and 4 of 132."""
    needs = {"cost_usd": [500] * 200, "calls": [5] * 200, "tokens": [70] * 200}
    found = {
        count: fitted(runs_of(**{kind: all_[:count] for kind, all_ in needs.items()}), 0.95)
        for count in (76, 77, 104, 105)
    }

    assert [list(each.limits) for each in found.values()] == [
        [COST],
        [COST, CALLS],
        [COST, CALLS],
        [COST, CALLS, TOKENS],
    ]
    assert found[76].missing == {CALLS: 77, TOKENS: 105}
    assert notes(found[77]) == ["limits on more kinds need more runs: tokens 105"]


def test_the_kinds_asked_for_first_are_limited_first() -> None:
    runs = runs_of(cost_usd=[500] * 80, calls=[5] * 80, tokens=[70] * 80)

    assert list(fitted(runs, 0.95, [TOKENS, CALLS, COST]).limits) == [TOKENS, CALLS]


def test_limits_of_several_kinds_cover_together() -> None:
    """Each of the 100 dearest of 1,000 runs has few calls, and the other way about."""
    cost = [1_000 + place for place in range(1_000)]
    calls = [2_000 - place for place in range(1_000)]

    found = fitted(runs_of(cost_usd=cost, calls=calls), 0.9)

    # 90 of 1,000 may be cut off, 45 by each kind: the 45th highest of each, on three digits up.
    assert {kind: each.limit for kind, each in found.limits.items()} == {
        COST: 1_960,
        CALLS: 1_960,
    }
    assert 900 <= found.covered < 930


def test_runs_eight_times_as_dear_are_left_out_and_listed(suggested: Make) -> None:
    normal = [("write", 1_000 + number) for number in range(60)]

    suggestion = only(suggested([*normal, *[("write", 8_500)] * 5]))

    [left_out] = suggestion.left_out
    assert (left_out.reason, left_out.count) == ("suspected runaway", 5)
    assert left_out.trace_ids == tuple(f"{trace:032x}" for trace in range(61, 66))
    assert (suggestion.eligible, suggestion.highest[COST]) == (60, 1_059 * PUSD_PER_TOKEN)
    # Rank 60 of 60: P(at most 58 below) = 0.81 is under 0.9. 1_059 * 10^7, on three digits up.
    assert suggestion.limits[COST].limit == 1_060 * PUSD_PER_TOKEN


def test_a_second_mode_is_kept_and_said(suggested: Make) -> None:
    runs = [("write", 9_000 + n % 7 if n % 4 == 0 else 1_000 + n % 7) for n in range(80)]

    suggestion = only(suggested(runs))

    assert suggestion.left_out == ()
    assert (suggestion.eligible, suggestion.highest[COST]) == (80, 9_006 * PUSD_PER_TOKEN)
    [_, note] = notes(suggestion)
    assert note.startswith("20 runs need many times as much as most")


def test_the_hold_out_checks_the_later_runs(suggested: Make) -> None:
    """70 runs fit the limit, the 30 later ones are held against it."""
    steady = only(suggested(("write", 1_000 + number % 7) for number in range(100))).holdout
    risen = only(suggested(("write", 1_000 if n < 70 else 1_300) for n in range(100))).holdout

    assert steady is not None
    assert risen is not None
    assert (steady.scopes, steady.stopped, steady.drift) == (30, 0, None)
    assert (risen.scopes, risen.stopped, risen.drift) == (30, 30, "risen")
    # 30 runs of 1_300 tokens against a limit of 1_000
    assert risen.avoided_pusd == 30 * 300 * PUSD_PER_TOKEN


def test_needs_that_fall_are_drift_that_stops_nobody(suggested: Make) -> None:
    suggestion = only(suggested(("write", 1_000 + n % 7 - 90 * (n >= 70)) for n in range(100)))

    assert suggestion.holdout is not None
    assert (suggestion.holdout.stopped, suggestion.holdout.drift) == (0, "fallen")
    assert any(note.startswith("needs have fallen") for note in notes(suggestion))


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
            span(8, 1, name="w", at=(-5_000, 10), **usage()),
        ]
    )

    [suggestion] = suggest(loaded.store, since=1_780_000_000 * 10**9).workflows

    assert suggestion.eligible == 1
    assert {part.reason: part.count for part in suggestion.left_out} == {
        "root span missing": 1,
        "root span not ended": 2,  # one of them without any time
        "unpriced model": 1,
        "call without usage": 1,
        "stopped by a budget": 1,
        "started outside the period": 1,
    }


def test_runs_under_a_budget_are_counted_and_said(
    span: Make, usage: Make, counted: Callable[..., Loaded]
) -> None:
    loaded = counted(
        [
            span(1, 1, name="w", **usage(), **{"otelbudget.decision": "allowed"}),
            span(2, 1, name="w", **usage(), **{"otelbudget.decision": "audited"}),
            span(3, 1, name="w", **usage()),
        ]
    )

    [suggestion] = suggest(loaded.store).workflows

    assert (suggestion.eligible, suggestion.under_limits) == (3, 1)
    assert notes(suggestion) == [
        "1 run had a budget that could stop them, so needs may be higher than they seem"
    ]


def test_what_a_run_needs_is_summed_over_its_trace(
    span: Make, usage: Make, counted: Callable[..., Loaded]
) -> None:
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}
    loaded = counted(
        [
            span(1, 1, name="w", at=(0, 9 * 10**9)),
            span(1, 2, 1, at=(10**9, 2 * 10**9), **usage(1_000, 100)),
            span(1, 3, 1, at=(2 * 10**9, 3 * 10**9), **tool),
            span(1, 4, 3, at=(2 * 10**9, 3 * 10**9), **tool),  # the same call, told twice
            span(1, 5, 1, at=(3 * 10**9, 4 * 10**9), **(tool | {"gen_ai.tool.name": "read"})),
            span(1, 7, 1, at=(4 * 10**9, 5 * 10**9), **usage(2_000, 300)),
        ]
    )

    [runs] = runs_of_workflows(loaded.store)

    assert runs.needs == {
        # gpt-4o: 3_000 * 2.50 USD/Mtok + 400 * 10 USD/Mtok = 0.0115 USD
        COST: [11_500_000_000],
        CALLS: [2],
        TOKENS: [3_400],
        SECONDS: [5 * 10**9],  # from the first span to the end of the last call
        TOOL_CALLS: [2],
    }


def test_workflows_are_told_apart_by_any_key(
    span: Make, usage: Make, counted: Callable[..., Loaded]
) -> None:
    loaded = counted(
        [
            span(1, 1, name="a", **{"tenant.id": "acme"}),
            span(1, 2, 1, at=(1, 2), **usage(10, 1)),
            span(2, 1, name="b", **usage(10, 1), **{"otelbudget.scope.tenant.id": "acme"}),
            span(3, 1, name="a", **usage(10, 1, model="gpt-4o-mini")),
        ]
    )

    def keys(*by: str) -> dict[tuple[str, ...], int]:
        return {
            tuple(runs.key.values()): len(runs.trace_ids)
            for runs in runs_of_workflows(loaded.store, by)
        }

    assert keys("tenant.id") == {("acme",): 2, ("(none)",): 1}
    assert keys("workflow", "model") == {
        ("a", "gpt-4o"): 1,
        ("a", "gpt-4o-mini"): 1,
        ("b", "gpt-4o"): 1,
    }
    assert keys("workflow", "agent") == {("a", ""): 2, ("b", ""): 1}


def test_of_very_many_runs_some_are_read_evenly_over_time(suggested: Make) -> None:
    _, loaded = suggested(("write", 100 + number) for number in range(20))

    [runs] = runs_of_workflows(loaded.store, most=8)

    # The 3rd, 5th, 8th, 10th, 13th, 15th, 18th and 20th: where 8/20 of the place rises to a whole
    assert runs.needs[TOKENS] == [102, 104, 107, 109, 112, 114, 117, 119]
    assert runs.unused == 12
    assert "8 runs are used, evenly over time, of 20" in notes(fitted(runs, 0.5))


@pytest.mark.parametrize("key", ["trace", "run", "day"])
def test_what_differs_in_every_run_is_no_workflow(key: str) -> None:
    with pytest.raises(UnknownKeyError, match="tells runs apart"):
        parse_by(f"agent,{key}")


def test_workflows_of_similar_need_share_a_tier(suggested: Make) -> None:
    needs = {"short": 100, "alike": 150, "long": 900}
    runs = [(name, tokens) for name, tokens in needs.items() for _ in range(45)]

    suggestions, loaded = suggested(runs)

    assert {each.name: each.tier for each in suggestions.workflows} == {
        "alike": "tier_1",
        "long": "long",
        "short": "tier_1",
    }
    text = budgets_yaml(suggestions, input_facts(loaded.store))
    # 150 tokens * 10 USD/Mtok: the higher of the two
    assert (
        "  # 2 workflows, the highest limit of each kind:\n  tier_1:\n    max_cost_usd: 0.0015\n"
        in text
    )
    [tier] = suggested(runs, tier_count=1)[0].tiers
    assert (len(tier.members), tier.limits) == (3, {COST: 900 * PUSD_PER_TOKEN})


def test_free_runs_are_limited_in_what_they_need() -> None:
    runs = runs_of(cost_usd=[0] * 80, tokens=[100] * 80, calls=[2] * 80)

    assert list(fitted(runs, 0.95).limits) == [CALLS, TOKENS]
    assert fitted(runs, 0.95, [COST]).why_not == "its runs need nothing"


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
    """Each needs three times as much as the one before, so that none shares a tier."""
    suggestions, loaded = suggested(
        (name, 3**place) for place, name in enumerate(HOSTILE) for _ in range(45)
    )
    file = tmp_path / "budgets.yaml"
    file.write_text(budgets_yaml(suggestions, input_facts(loaded.store)), "utf-8")

    budgets = Budgets.from_yaml(file)
    processor = BudgetSpanProcessor.from_yaml(file)
    processor.shutdown()

    tiers = [suggestion.tier for suggestion in suggestions.workflows]
    assert len(set(tiers)) == len(HOSTILE)
    assert {budget.name: budget.per for budget in budgets.budgets} == {
        "per-run": ("trace",),
        **{str(tier): None for tier in tiers},
    }
    assert all(budget.limits.keys() == {COST} for budget in budgets.budgets)


def test_all_kinds_are_written_as_a_budgets_file_reads_them(
    span: Make, usage: Make, counted: Callable[..., Loaded], tmp_path: Path
) -> None:
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}
    spans = []
    for trace in range(1, 161):
        at = (trace * 10**10, trace * 10**10 + 1_234_567_890)
        spans.append(span(trace, 1, name="w", at=at))
        spans.append(span(trace, 2, 1, at=at, **usage(1_000, 100)))
        spans.append(span(trace, 3, 1, at=at, **tool))
    loaded = counted(spans)
    file = tmp_path / "budgets.yaml"

    file.write_text(budgets_yaml(suggest(loaded.store), input_facts(loaded.store)), "utf-8")

    [per_run, tier] = Budgets.from_yaml(file).budgets
    assert tier.limits == {
        COST: 3_500_000_000,  # 1_000 * 2.50 USD/Mtok + 100 * 10 USD/Mtok = 0.0035 USD
        TOKENS: 1_100,
        CALLS: 1,
        SECONDS: 1_240_000_000,
        TOOL_CALLS: 1,
    }
    assert per_run.limits == {COST: 3_500_000_000}


def test_money_in_the_file_is_exact_and_never_in_exponents(suggested: Make, tmp_path: Path) -> None:
    suggestions, loaded = suggested(("tiny", 1) for _ in range(45))

    text = budgets_yaml(suggestions, input_facts(loaded.store))

    # 1 token * 10 USD/Mtok
    assert text.count("max_cost_usd: 0.00001\n") == 2
    file = tmp_path / "budgets.yaml"
    file.write_text(text)
    policy = Budgets.from_yaml(file).as_config()
    assert Decimal(policy["budgets"]["tiny"]["max_cost_usd"]) == Decimal("0.00001")
    assert json.dumps(policy)
