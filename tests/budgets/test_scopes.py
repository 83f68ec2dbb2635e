"""What a call belongs to: one look-up, live and in replay."""

from collections.abc import Mapping
from typing import Any

import pytest

from otelbudget.budgets.scopes import NONE, Place, RunScope, look_up

LAYERS = ("written", "attribute", "inherited", "baggage", "resource")


@pytest.mark.parametrize("first", range(5))
def test_the_first_that_is_told_wins(first: int) -> None:
    told = [None] * first + list(LAYERS[first:])

    assert look_up(*told) == LAYERS[first]


def test_what_nothing_tells_is_a_scope_of_its_own() -> None:
    assert look_up(None, None, None, None, None) == NONE == "(none)"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param("acme", "acme", id="text"),
        pytest.param("", "", id="empty text is told"),
        pytest.param(0, "0", id="zero is told"),
        pytest.param(True, "true", id="bool"),
        pytest.param(1.5, "1.5", id="float"),
        pytest.param(("a", "b"), '["a","b"]', id="list"),
        pytest.param("ä" * 201, "ä" * 200, id="long"),
    ],
)
def test_a_value_is_text_of_at_most_200_characters(value: object, text: str) -> None:
    assert look_up(None, value, None, None, None) == text


def test_a_trace_is_the_run_where_none_was_opened() -> None:
    place = Place("t1", tier="quick")

    assert (place.runs, place.run_id, place.tier) == (
        (RunScope("t1", "quick", is_trace=True),),
        None,
        "quick",
    )
    assert place.runs[0].scope == (("trace", "t1"),)
    assert (place.value("trace"), place.value("run")) == ("t1", "t1")


def test_a_place_tells_its_own_values_before_those_of_the_resource() -> None:
    place = Place("t", (), {"tenant": "a"}, {"tenant": "b", "service.name": "checkout"})
    values = [place.value(key) for key in ("tenant", "service.name", "user")]

    assert values == ["a", "checkout", "(none)"]


@pytest.mark.parametrize(
    ("runs", "written"),
    [
        pytest.param((), {}, id="a trace"),
        pytest.param(
            (RunScope("r", "quick"),),
            {"otelbudget.run.id": "r", "otelbudget.tier": "quick"},
            id="a run",
        ),
        pytest.param(
            (RunScope("o", "deep"), RunScope("m"), RunScope("i", "quick")),
            {
                "otelbudget.run.id": "i",
                "otelbudget.tier": "quick",
                "otelbudget.run.outer_ids": ("o", "m"),
                "otelbudget.run.outer_tiers": ("deep", ""),
            },
            id="runs inside runs",
        ),
    ],
)
def test_what_is_written_is_enough_for_replay(
    runs: tuple[RunScope, ...], written: Mapping[str, Any]
) -> None:
    place = Place("t", runs, {"tenant": "a"})

    assert place.written(("tenant", "user")) == {
        "otelbudget.scope.tenant": "a",
        "otelbudget.scope.user": "(none)",
        **written,
    }
