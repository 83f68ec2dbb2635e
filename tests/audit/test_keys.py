"""Grouping by any key: what calls have for it is what replay says, and every call is in one group."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from budget_audit.loading import Loaded, load
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otelbudget.audit.keys import Keys, UnknownKeyError, check_told, parse_keys
from otelbudget.audit.places import RecordedPlaces
from otelbudget.audit.spend import group_calls
from otelbudget.store.store import Store

Make = Callable[..., Any]
HOUR = 3_600 * 10**9
RUN, TIER, OUTER = "otelbudget.run.id", "otelbudget.tier", "otelbudget.run.outer_ids"


def calls_by(store: Store, *keys: str, timezone: str = "UTC") -> dict[Any, int]:
    """How many calls each group has, by its value, or values where there are several keys."""
    found = group_calls(store, Keys(keys, timezone))
    return {
        group.key[keys[0]]
        if len(keys) == 1
        else tuple(group.key.values()): group.totals.model_calls
        for group in found.groups
    }


_VALUES = st.sampled_from(["a", "b", 7, True, 0.5])
_TOLD = st.fixed_dictionaries(
    {},
    optional={
        "k": _VALUES,
        "otelbudget.scope.k": st.sampled_from(["w", "(none)"]),
        RUN: st.sampled_from(["one", "two"]),
        TIER: st.sampled_from(["quick", "deep"]),
    },
)


@given(told=st.lists(_TOLD, min_size=2, max_size=9), data=st.data())
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_calls_have_for_a_key_what_replay_says(
    told: list[dict[str, Any]], data: st.DataObject, write: Make, span: Make, usage: Make
) -> None:
    """Spans below each other in any shape; every second one is a model call without one below."""
    parents = [None, *(data.draw(st.integers(1, number)) for number in range(1, len(told)))]
    leaves = set(range(1, len(told) + 1)) - set(parents)
    spans = [
        span(1, row, parent, at=(row, 900), **(usage(row) if row in leaves else {}), **each)
        for row, (parent, each) in enumerate(zip(parents, told, strict=True), start=1)
    ]
    loaded = load([str(write(spans))])
    places = RecordedPlaces(loaded.store, ("k",))
    rows = loaded.store.rows("select span_row, trace_id from model_calls")
    of = [places.of(row, trace_id) for row, trace_id in rows]

    assert calls_by(loaded.store, "k") == Counter(place.value("k") for place in of)
    assert calls_by(loaded.store, "run") == Counter(place.value("run") for place in of)
    assert calls_by(loaded.store, "tier") == Counter(place.tier or "(none)" for place in of)


def test_a_key_is_looked_up_in_the_resource_last(write: Make, span: Make, usage: Make) -> None:
    path: Path = write([span(1, 1, **usage(), k="own"), span(2, 1, **usage())])
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        told = [{"key": "k", "value": {"stringValue": "resource"}}]
        line["resourceSpans"][0]["resource"] = {"attributes": told}
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))

    assert calls_by(load([str(path)]).store, "k") == {"own": 1, "resource": 1}


@pytest.fixture
def tooled(counted: Callable[..., Loaded], span: Make, usage: Make) -> Store:
    """A call below two tools, one below a tool that names itself by its span, one below none."""
    search = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}
    loaded: Loaded = counted(
        [
            span(1, 1, name="root", **{"tenant.id": "acme"}),
            span(1, 2, 1, name="execute_tool outer", **{**search, "gen_ai.tool.name": "outer"}),
            span(1, 3, 2, name="execute_tool search", **search),
            span(1, 4, 3, name="ask", **usage()),
            span(1, 5, 1, name="tidy", **{"openinference.span.kind": "TOOL"}),
            span(1, 6, 5, name="ask", **usage()),
            span(1, 7, 1, name="other", **usage()),
        ]
    )
    return loaded.store


def test_a_call_belongs_to_the_nearest_tool_above_it(tooled: Store) -> None:
    assert calls_by(tooled, "tool") == {"search": 1, "tidy": 1, "(none)": 1}


def test_tenant_is_short_for_the_attribute(tooled: Store) -> None:
    assert calls_by(tooled, "tenant") == calls_by(tooled, "tenant.id") == {"acme": 3}


def test_several_keys_are_joined_in_the_order_asked_for(tooled: Store) -> None:
    assert calls_by(tooled, "span", "tool", "model") == {
        ("ask", "search", "gpt-4o"): 1,
        ("ask", "tidy", "gpt-4o"): 1,
        ("other", "(none)", "gpt-4o"): 1,
    }


@pytest.mark.parametrize(
    ("key", "timezone", "groups"),
    [
        ("day", "UTC", {"2026-05-28": 1, "2026-05-29": 2}),
        ("day", "Europe/Berlin", {"2026-05-28": 1, "2026-05-29": 2}),
        ("day", "America/New_York", {"2026-05-28": 2, "2026-05-29": 1}),
        ("week", "UTC", {"2026-05-25": 3}),
        ("month", "UTC", {"2026-05": 3}),
        ("hour", "UTC", {"2026-05-28 20:00": 1, "2026-05-29 00:00": 1, "2026-05-29 05:00": 1}),
        (
            "hour",
            "Asia/Kolkata",
            {"2026-05-29 01:00": 1, "2026-05-29 05:00": 1, "2026-05-29 10:00": 1},
        ),
    ],
)
def test_days_and_hours_are_those_of_the_time_zone(
    key: str,
    timezone: str,
    groups: dict[str, int],
    counted: Callable[..., Loaded],
    span: Make,
    usage: Make,
) -> None:
    """START_NS is 2026-05-28T20:26:40Z; the calls begin then, 4 hours later and 9 hours later."""
    hours = (0, 4, 9)
    loaded = counted([span(n, 1, at=(n * HOUR, n * HOUR + 1), **usage()) for n in hours])

    assert calls_by(loaded.store, key, timezone=timezone) == groups


def test_calls_without_times_are_a_group(
    counted: Callable[..., Loaded], span: Make, usage: Make
) -> None:
    loaded = counted([span(1, 1, at=None, **usage())])

    assert calls_by(loaded.store, "day") == {"(none)": 1}


def test_a_key_that_nothing_carries_is_told(tooled: Store) -> None:
    found = group_calls(tooled, Keys(("tenant.id", "no.such")))

    assert found.keys_without_values == ("no.such",)
    assert [group.key["no.such"] for group in found.groups] == ["(none)"]


def test_a_hostile_key_is_a_value_never_a_statement(tooled: Store) -> None:
    hostile = "x'; drop table spans; --"

    assert calls_by(tooled, hostile) == {"(none)": 3}
    assert tooled.count() == 7


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("modle", "'modle' is no key; did you mean 'model'? Choose from model, "),
        ("model,", "'' is no key"),
        ('a"b.c', "is no key"),
        (",".join(f"a.{number}" for number in range(9)), "9 keys are too many"),
    ],
)
def test_what_cannot_be_a_key_is_refused(text: str, said: str) -> None:
    with pytest.raises(UnknownKeyError, match="key") as refused:
        parse_keys(text)

    assert str(refused.value).startswith(said) or said in str(refused.value)


def test_a_plain_word_that_no_span_carries_is_refused() -> None:
    with pytest.raises(UnknownKeyError, match="'colour' is no key; choose from model"):
        check_told(["colour"])

    check_told(["customer_id", "no.such", "tool"])


def test_fewer_groups_are_the_dearest_of_all(
    counted: Callable[..., Loaded], span: Make, usage: Make
) -> None:
    loaded = counted([span(n, 1, **usage(n * 100)) for n in (1, 3, 2)])
    found = group_calls(loaded.store, Keys(("trace",)), most=2)

    assert [group.key["trace"][-1] for group in found.groups] == ["3", "2"]
    assert found.count == 3
