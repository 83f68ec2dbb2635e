"""Tiers: workflows of similar need share limits that are enough for each of them."""

from hypothesis import given
from hypothesis import strategies as st

from otelbudget.audit.tiers import SIMILAR, tiers
from otelbudget.budgets.config import LimitKind

COST, CALLS = LimitKind.COST_USD, LimitKind.CALLS
NEEDS = st.lists(
    st.dictionaries(st.sampled_from([COST, CALLS]), st.integers(1, 10**6), min_size=1), max_size=12
)


def members(*costs: int, count: int | None = None) -> list[tuple[int, ...]]:
    names = [f"w{place}" for place in range(len(costs))]
    return [tier.members for tier in tiers([{COST: cost} for cost in costs], names, count)]


def test_workflows_within_twice_share_a_tier() -> None:
    assert members(100, 1_000, 200, 201) == [(0, 2), (3,), (1,)]


def test_so_many_tiers_differ_as_little_as_they_can() -> None:
    """100 and 300 differ by 3, 300 and 1,000 by 3.33."""
    assert members(100, 300, 1_000, 9_000, count=3) == [(0, 1), (2,), (3,)]
    assert members(100, 300, 1_000, 9_000, count=1) == [(0, 1, 2, 3)]
    assert members(100, 300, 1_000, 9_000, count=9) == [(0,), (1,), (2,), (3,)]


def test_a_tier_of_one_is_called_after_it_and_shared_ones_are_numbered() -> None:
    made = tiers([{COST: 5}, {COST: 100}, {COST: 110}], ["Write an Essay!", "b", "c"])

    assert [tier.name for tier in made] == ["write_an_essay", "tier_2"]
    assert made[1].limits == {COST: 110}


def test_names_that_are_taken_get_a_number() -> None:
    made = tiers([{COST: 1}, {COST: 10}, {COST: 100}], ["per run", "per-run", "per.run"])

    assert [tier.name for tier in made] == ["per_run", "per_run_2", "per_run_3"]


def test_workflows_with_other_kinds_of_limits_stay_apart_unless_told() -> None:
    needs = [{COST: 100}, {COST: 110, CALLS: 5}, {CALLS: 5}]

    assert [tier.members for tier in tiers(needs, "abc")] == [(2,), (0,), (1,)]
    shared = tiers(needs, "abc", 1)
    # Only the kinds that all have; the third has none in common with the first.
    assert [(tier.members, tier.limits) for tier in shared] == [
        ((2,), {CALLS: 5}),
        ((0, 1), {COST: 110}),
    ]


@given(needs=NEEDS, count=st.none() | st.integers(1, 5))
def test_every_workflow_has_one_tier_that_is_enough(
    needs: list[dict[LimitKind, int]], count: int | None
) -> None:
    made = tiers(needs, ["w"] * len(needs), count)

    assert sorted(place for tier in made for place in tier.members) == list(range(len(needs)))
    assert len({tier.name for tier in made}) == len(made)
    for tier in made:
        assert tier.limits
        for place in tier.members:
            assert all(tier.limits[kind] >= needs[place][kind] for kind in tier.limits)
            if count is None:
                assert tier.limits.keys() == needs[place].keys()
                assert all(tier.limits[k] <= SIMILAR * needs[place][k] for k in tier.limits)
