"""Makes the Grafana dashboard for Prometheus; with --check, says whether the file is up to date.

python dashboards/make.py
python dashboards/make.py --check
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("otelbudget-prometheus.json")
UID = "otelbudget-prometheus"

_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
_BUDGET = '{budget=~"$budget"}'  # plain $budget: ${budget:regex} breaks PromQL on "team.search"
_WHOLE = '{budget=~"$budget", share="", tool=""}'  # limits of budgets, not parts of them
_LAST = {"calcs": ["lastNotNull"], "fields": "", "values": False}


def dashboard() -> dict[str, Any]:
    """The dashboard in Grafana's classic model, which Grafana 10 and later import."""
    return {
        "uid": UID,
        "title": "otelbudget: budgets of LLM agents",
        "description": "What agents spend, how much of their budgets is used, and which model "
        "calls were refused. Made by dashboards/make.py; docs/dashboard.md says what each panel "
        "means.",
        "tags": ["llm", "opentelemetry", "otelbudget"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": []},
        "links": [],
        "templating": {"list": [_datasource_variable(), _budget_variable()]},
        "panels": [
            _spend(),
            _budget_used(),
            _spend_per_hour(),
            _spend_by_model(),
            _tokens_per_minute(),
            _calls_per_minute(),
        ],
    }


def in_range(counter: str, by: str = "") -> str:
    """PromQL for what a counter counted within the dashboard's time range.

    `increase()` cannot see the value that a series begins with, and estimates at both ends. So a
    series that began in the range counts with all it has, an older one with the difference, and
    only one that was reset, because its process restarted, with its increase.
    """
    restarted = f"(increase({counter}[$__range]) and resets({counter}[$__range]) > 0)"
    last = f"last_over_time({counter}[$__range])"
    return f"sum{by}({restarted} or ({last} - {counter} offset $__range) or {last})"


def rate(counter: str, *, by: str, seconds: int) -> str:
    """PromQL for the pace of a counter, per so many seconds."""
    return f"sum by ({by}) (rate({counter}[$__rate_interval])) * {seconds}"


def _spend() -> dict[str, Any]:
    return {
        **_head(1, "stat", "Spend", (0, 0, 6, 8)),
        "description": "List cost of all model calls in the time range, in US dollars, whatever "
        "their budget. A series that began in the range counts in full. After a restart under the "
        "same address, what the new process spent is counted too, and ends are estimated.",
        "targets": [_instant(in_range("otelbudget_cost_usd_total"), "Spend")],
        "fieldConfig": _fields(unit="currencyUSD", color={"mode": "fixed", "fixedColor": "blue"}),
        "options": {
            "colorMode": "value",
            "graphMode": "none",
            "justifyMode": "auto",
            "orientation": "auto",
            "reduceOptions": _LAST,
            "textMode": "value",
        },
    }


def _budget_used() -> dict[str, Any]:
    usage = f"max_over_time(otelbudget_usage{_WHOLE}[$__rate_interval])"
    limit = f"(otelbudget_limit{_WHOLE} > 0)"
    steps = [
        {"color": "green", "value": None},
        {"color": "yellow", "value": 0.8},
        {"color": "red", "value": 1},
    ]
    return {
        **_head(2, "timeseries", "Budget used", (6, 0, 18, 8)),
        "description": "By budget and limit kind: the part of its limit that a trace has used, of "
        "the trace that used most among those charged within the last minute; 0 when there was "
        "none. At 100 % the budget is used up, and in enforce mode the next call is refused.",
        "targets": [
            _range("A", f"max by (budget, kind) ({usage} / {limit})", "{{budget}} ({{kind}})")
        ],
        "fieldConfig": _fields(
            unit="percentunit",
            min=0,
            thresholds={"mode": "absolute", "steps": steps},
            custom=_lines(thresholdsStyle={"mode": "dashed+area"}, fillOpacity=0),
        ),
        "options": _legend(),
    }


def _spend_per_hour() -> dict[str, Any]:
    expression = rate("otelbudget_cost_usd_total", by="model", seconds=3600)
    return {
        **_head(3, "timeseries", "Spend per hour", (0, 8, 12, 8)),
        "description": "List cost in US dollars per hour at the pace of the moment, by model. The "
        "first sample of a model is no pace yet: it is in Spend, not here.",
        "targets": [_range("A", expression, "{{model}}")],
        "fieldConfig": _fields(unit="currencyUSD", min=0, custom=_lines(stacking=_STACKED)),
        "options": _legend(),
    }


def _spend_by_model() -> dict[str, Any]:
    expression = in_range("otelbudget_cost_usd_total", by=" by (model) ")
    return {
        **_head(4, "bargauge", "Spend by model", (12, 8, 12, 8)),
        "description": "List cost of each model in the time range, in US dollars, counted as in "
        "Spend. A model without a known price is missing.",
        "targets": [_instant(f"sort_desc({expression})", "{{model}}")],
        "fieldConfig": _fields(unit="currencyUSD", min=0, color={"mode": "continuous-BlPu"}),
        "options": {
            "displayMode": "gradient",
            "minVizHeight": 16,
            "minVizWidth": 8,
            "orientation": "horizontal",
            "reduceOptions": _LAST,
            "showUnfilled": True,
            "valueMode": "color",
        },
    }


def _tokens_per_minute() -> dict[str, Any]:
    expression = rate("otelbudget_tokens_total", by="token_type", seconds=60)
    return {
        **_head(5, "timeseries", "Tokens per minute", (0, 16, 12, 8)),
        "description": "Tokens by type at the pace of the moment. Input leaves out what was read "
        "from or written to a cache, so the types add up to all tokens; output includes reasoning. "
        "The first sample of a model is no pace yet and is missing.",
        "targets": [_range("A", expression, "{{token_type}}")],
        "fieldConfig": _fields(unit="short", min=0, custom=_lines(stacking=_STACKED)),
        "options": _legend(),
    }


def _calls_per_minute() -> dict[str, Any]:
    decisions = rate("otelbudget_calls_total", by="decision", seconds=60)
    denied = rate(f"otelbudget_denied_total{_BUDGET}", by="budget, kind", seconds=60)
    colors = {"allowed": "green", "audited": "yellow", "denied": "red"}
    return {
        **_head(6, "timeseries", "Denied calls", (12, 16, 12, 8)),
        "description": "Model calls per minute by decision: allowed, denied by a budget in enforce "
        "mode, or audited, which means that a budget in audit mode was used up and the call went "
        "on. Dashed: the denied ones by budget and limit kind.",
        "targets": [
            _range("A", decisions, "{{decision}}"),
            _range("B", denied, "denied by {{budget}} ({{kind}})"),
        ],
        "fieldConfig": _fields(
            [
                *(
                    _override("byName", name, "color", {"mode": "fixed", "fixedColor": color})
                    for name, color in colors.items()
                ),
                _override(
                    "byFrameRefID", "B", "custom.lineStyle", {"fill": "dash", "dash": [10, 10]}
                ),
            ],
            unit="cpm",
            min=0,
            custom=_lines(fillOpacity=0),
        ),
        "options": _legend(),
    }


_STACKED = {"group": "A", "mode": "normal"}


def _head(number: int, kind: str, title: str, place: tuple[int, int, int, int]) -> dict[str, Any]:
    """What every panel has; `place` is x, y, width and height on Grafana's grid of 24 columns."""
    return {
        "id": number,
        "type": kind,
        "title": title,
        "datasource": _DATASOURCE,
        "gridPos": dict(zip("xywh", place, strict=True)),
    }


def _range(ref_id: str, expression: str, legend: str) -> dict[str, Any]:
    """A query over the time range."""
    return {
        "refId": ref_id,
        "datasource": _DATASOURCE,
        "editorMode": "code",
        "expr": expression,
        "legendFormat": legend,
        "range": True,
    }


def _instant(expression: str, legend: str) -> dict[str, Any]:
    """A query at the end of the time range."""
    query = _range("A", expression, legend)
    return {**query, "instant": True, "range": False}


def _fields(overrides: Sequence[dict[str, Any]] = (), **defaults: Any) -> dict[str, Any]:
    return {"defaults": defaults, "overrides": list(overrides)}


def _override(matcher: str, options: str, name: str, value: Any) -> dict[str, Any]:
    return {
        "matcher": {"id": matcher, "options": options},
        "properties": [{"id": name, "value": value}],
    }


def _lines(**changes: Any) -> dict[str, Any]:
    """How a time series is drawn; a gap between two samples stays a gap."""
    return {
        "drawStyle": "line",
        "fillOpacity": 15,
        "lineWidth": 1,
        "showPoints": "auto",
        "spanNulls": False,
        **changes,
    }


def _legend() -> dict[str, Any]:
    return {
        "legend": {
            "calcs": ["lastNotNull", "max"],
            "displayMode": "table",
            "placement": "bottom",
            "showLegend": True,
        },
        "tooltip": {"mode": "multi", "sort": "desc"},
    }


def _datasource_variable() -> dict[str, Any]:
    return {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "options": [],
        "refresh": 1,
        "regex": "",
    }


def _budget_variable() -> dict[str, Any]:
    query = "label_values(otelbudget_limit, budget)"
    return {
        "name": "budget",
        "label": "Budget",
        "type": "query",
        "datasource": _DATASOURCE,
        "definition": query,
        "query": {"qryType": 1, "query": query, "refId": "budget"},
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "hide": 0,
        "includeAll": True,
        "multi": True,
        "options": [],
        "refresh": 2,
        "regex": "",
        "sort": 1,
    }


def main() -> int:
    """Write the file, or compare it."""
    parser = argparse.ArgumentParser(description="Makes the Grafana dashboard.")
    parser.add_argument("--check", action="store_true", help="change nothing; 1 if out of date")
    options = parser.parse_args()
    text = json.dumps(dashboard(), indent=2) + "\n"
    if options.check:
        if FILE.is_file() and FILE.read_text("utf-8") == text:
            return 0
        print(f"{FILE.name} is out of date; run: python dashboards/make.py", file=sys.stderr)
        return 1
    FILE.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
