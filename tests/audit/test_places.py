"""Where recorded calls belong: what was written, attributes, ancestors, resources and runs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from budget_audit.loading import load

from otelbudget.audit.recorded import recorded
from otelbudget.budgets.config import Budget
from otelbudget.budgets.scopes import Place, RunScope
from otelbudget.pricing.billing import UnknownModel

Make = Callable[..., Any]
Placed = Callable[..., list[Place]]
_WRITTEN = "otelbudget.scope."


@pytest.fixture
def placed(write: Make, span: Make, usage: Make) -> Placed:
    """The place of one call below a root and a step, by what these tell."""

    def placed(
        *keys: str,
        root: dict[str, Any] | None = None,
        step: dict[str, Any] | None = None,
        call: dict[str, Any] | None = None,
        resource: dict[str, str] | None = None,
    ) -> Any:
        path: Path = write(
            [
                span(1, 1, at=(0, 900), **(root or {})),
                span(1, 2, 1, at=(1, 800), **(step or {})),
                span(1, 3, 2, at=(2, 700), **{**usage(), **(call or {})}),
            ]
        )
        if resource:
            attributes = [{"key": k, "value": {"stringValue": v}} for k, v in resource.items()]
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            for line in lines:
                line["resourceSpans"][0]["resource"] = {"attributes": attributes}
            path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        loaded = load([str(path)])
        budgets = [Budget(calls=1, per=list(keys) or "trace")]
        [found] = recorded(loaded.store, loaded.book, budgets, UnknownModel.ALLOW).calls
        return found.place

    return placed


@pytest.mark.parametrize(
    ("told", "value"),
    [
        pytest.param({"call": {_WRITTEN + "k": "w", "k": "own"}}, "w", id="written"),
        pytest.param({"call": {"k": "own"}, "step": {_WRITTEN + "k": "w"}}, "own", id="own"),
        pytest.param({"step": {"k": "step"}, "root": {"k": "root"}}, "step", id="nearest"),
        pytest.param({"step": {_WRITTEN + "k": "w", "k": "step"}}, "w", id="written-above"),
        pytest.param({"root": {"k": "root"}, "resource": {"k": "res"}}, "root", id="far"),
        pytest.param({"resource": {"k": "res"}}, "res", id="resource"),
        pytest.param({}, "(none)", id="nothing"),
        pytest.param(
            {"call": {_WRITTEN + "k": "(none)"}, "root": {"k": "late"}}, "(none)", id="was-untold"
        ),
        pytest.param({"root": {"k": 7}}, "7", id="number"),
        pytest.param({"root": {"k": True}}, "true", id="boolean"),
    ],
)
def test_a_key_has_the_first_value_that_is_told(
    told: dict[str, Any], value: str, placed: Placed
) -> None:
    place: Any = placed("k", **told)

    assert place.value("k") == value


@pytest.mark.parametrize(
    ("resource", "value"),
    [
        ({"service.instance.id": "i", "process.pid": "7"}, "i"),
        ({"host.name": "h", "process.pid": "7"}, "h/7"),
        ({"process.pid": "7"}, "7"),
        ({"service.name": "s"}, "(none)"),
    ],
)
def test_a_process_is_what_was_written_else_what_the_resource_says(
    resource: dict[str, str], value: str, placed: Placed
) -> None:
    place: Any = placed("process", resource=resource)
    told: Any = placed("process", resource=resource, root={_WRITTEN + "process": "9-ab"})

    assert (place.value("process"), told.value("process")) == (value, "9-ab")


RUN, TIER = "otelbudget.run.id", "otelbudget.tier"


def test_without_a_run_the_trace_is_one_with_the_tier_that_it_asked_for(placed: Placed) -> None:
    place: Any = placed(root={TIER: "deep"}, step={TIER: "quick"})

    assert place.runs == (RunScope(f"{1:032x}", "deep", is_trace=True),)


def test_a_run_is_what_the_nearest_span_tells(placed: Placed) -> None:
    place: Any = placed(root={RUN: "outer", TIER: "deep"}, step={RUN: "inner"})

    assert place.runs == (RunScope("inner"),)


def test_a_run_that_is_told_again_keeps_its_tier(placed: Placed) -> None:
    place: Any = placed(root={RUN: "one", TIER: "deep"}, step={RUN: "one"})

    assert place.runs == (RunScope("one", "deep"),)


def test_keys_that_no_budget_names_are_not_looked_up(placed: Placed) -> None:
    place: Any = placed(root={"k": "root"})

    assert (place.values, place.value("k")) == ({}, "(none)")
