"""The dashboard file, checked without a server: it imports anywhere and every reference resolves."""

import itertools
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

DASHBOARDS = Path(__file__).parents[2] / "dashboards"
TEXT = (DASHBOARDS / "otelbudget-prometheus.json").read_text("utf-8")
DASHBOARD: dict[str, Any] = json.loads(TEXT)
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
QUERIES = [target for panel in PANELS for target in panel["targets"]]
ALERTS = (DASHBOARDS / "provisioning/alerting/otelbudget.yaml").read_text("utf-8")

# Source: ids of getValueFormats() in @grafana/data 13.2; "USD" is no unit there.
UNITS = {"currencyUSD", "percentunit", "short", "cpm"}
COUNTERS = {"cost_usd_total", "tokens_total", "calls_total", "denied_total"}
GAUGES = {"limit", "usage"}
BUILT_IN = {"__all", "__range", "__rate_interval"}


def test_the_file_is_what_make_py_makes() -> None:
    made = subprocess.run(
        [sys.executable, DASHBOARDS / "make.py", "--check"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert (made.returncode, made.stderr) == (0, "")


def test_it_is_a_classic_dashboard_of_a_known_uid() -> None:
    assert DASHBOARD["uid"] == "otelbudget-prometheus"
    assert DASHBOARD["title"]
    assert 13 <= DASHBOARD["schemaVersion"] <= 42
    assert not {"id", "spec", "elements", "dashboard", "__inputs", "__requires"} & set(DASHBOARD)


def test_panels_do_not_overlap_and_stay_on_the_grid() -> None:
    places = [panel["gridPos"] for panel in PANELS]

    assert len(PANELS) == 6
    assert len({panel["id"] for panel in PANELS}) == 6
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in itertools.combinations(places, 2):
        assert (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_says_what_it_shows(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert len(panel["description"]) > 40
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    reference_ids = [target["refId"] for target in panel["targets"]]
    assert len(set(reference_ids)) == len(reference_ids) > 0


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_thresholds_begin_without_a_value(panel: dict[str, Any]) -> None:
    steps = panel["fieldConfig"]["defaults"].get("thresholds", {"steps": [{"value": None}]})[
        "steps"
    ]

    assert [step["value"] for step in steps] in ([None], [None, 0.8, 1])


def test_the_data_source_is_always_the_variable() -> None:
    variable = DASHBOARD["templating"]["list"][0]
    holders = [*PANELS, *QUERIES, *DASHBOARD["templating"]["list"][1:]]

    assert (variable["type"], variable["query"]) == ("datasource", "prometheus")
    for holder in holders:
        assert holder["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_every_variable_is_defined_and_used() -> None:
    defined = {variable["name"] for variable in DASHBOARD["templating"]["list"]}

    used = set(re.findall(r"\$\{?(\w+)", TEXT))

    assert used == defined | BUILT_IN


@pytest.mark.parametrize("expression", [query["expr"] for query in QUERIES])
def test_a_query_names_metrics_that_otelbudget_writes(expression: str) -> None:
    names = set(re.findall(r"otelbudget_(\w+)", expression))

    assert names
    assert names <= COUNTERS | GAUGES


@pytest.mark.parametrize("expression", [query["expr"] for query in QUERIES])
def test_windows_follow_the_dashboard(expression: str) -> None:
    assert set(re.findall(r"\[(.*?)\]", expression)) <= {"$__range", "$__rate_interval"}
    for window in re.findall(r"rate\([^)]*\[(.*?)\]", expression):
        assert window == "$__rate_interval"


@pytest.mark.parametrize("expression", [query["expr"] for query in QUERIES])
def test_budgets_are_matched_as_the_prometheus_data_source_escapes_them(expression: str) -> None:
    """A plain $budget: with a format, a dot in a name becomes an escape PromQL refuses."""
    for matcher in re.findall(r"\{(.*?)\}", expression):
        assert matcher.split(", ")[0] == 'budget=~"$budget"'


def test_the_budget_variable_offers_all_and_several() -> None:
    variable = DASHBOARD["templating"]["list"][1]

    assert variable["query"]["query"] == variable["definition"]
    assert variable["multi"]
    assert variable["includeAll"]
    assert "allValue" not in variable  # blank: then Grafana lists the budgets


@pytest.mark.parametrize("path", sorted(DASHBOARDS.glob("provisioning/*/*.yaml")), ids=str)
def test_a_provisioning_file_is_yaml_of_version_1(path: Path) -> None:
    assert yaml.safe_load(path.read_text("utf-8"))["apiVersion"] == 1


def test_the_alert_names_the_provisioned_data_source_and_no_variable() -> None:
    """Alert files know no dashboard variables, and Grafana reads a dollar as the environment."""
    sources = DASHBOARDS / "provisioning/datasources/otelbudget.yaml"
    uid = yaml.safe_load(sources.read_text("utf-8"))["datasources"][0]["uid"]
    queries = yaml.safe_load(ALERTS)["groups"][0]["rules"][0]["data"]

    assert [query["datasourceUid"] for query in queries] == [uid, "__expr__", "__expr__"]
    assert "$" not in ALERTS
