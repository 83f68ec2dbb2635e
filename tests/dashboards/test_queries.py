"""Every query of the dashboard, on a real Prometheus that scrapes the example application."""

import json
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DASHBOARD = json.loads((ROOT / "dashboards/otelbudget-prometheus.json").read_text("utf-8"))
PANELS = {panel["title"]: panel for panel in DASHBOARD["panels"]}
QUERIES = [
    pytest.param(target, id=f"{title}-{target['refId']}")
    for title, panel in PANELS.items()
    for target in panel["targets"]
]
RANGE_SECONDS = 300
PATIENCE_SECONDS = 45.0
RUNS = 12

Series = dict[str, Any]


def expanded(expression: str, *, budget: str = "per-run", range_: str = f"{RANGE_SECONDS}s") -> str:
    """An expression with its variables filled in as Grafana's Prometheus data source does."""
    for name, value in {
        "$__rate_interval": "10s",
        "$__range": range_,
        "$budget": budget,
    }.items():
        expression = expression.replace(name, value)
    return expression


@dataclass(frozen=True, slots=True)
class Observed:
    """A Prometheus that has scraped all that the application did.

    Attributes:
        url: Address of Prometheus.
        end: When the last run was over, in unix seconds.
        printed: What the application printed.
    """

    url: str
    end: float
    printed: str

    def query(self, expression: str) -> list[Series]:
        """Series of an instant query at the end."""
        return _result(self.url, "query", query=expression, time=self.end)

    def query_range(self, expression: str) -> list[Series]:
        """Series of a range query up to the end."""
        start = self.end - RANGE_SECONDS
        return _result(self.url, "query_range", query=expression, start=start, end=self.end, step=1)

    def run(self, target: dict[str, Any]) -> list[Series]:
        """Series of a panel's query, asked for as Grafana does."""
        ask = self.query if target.get("instant") else self.query_range
        return ask(expanded(target["expr"]))


def _result(url: str, endpoint: str, **parameters: object) -> list[Series]:
    data = _get(f"{url}/api/v1/{endpoint}?{urlencode(parameters)}")["data"]
    result: list[Series] = data["result"]
    return result


def _get(url: str) -> Any:
    with urlopen(url, timeout=10) as answer:  # noqa: S310  (on this machine)
        return json.load(answer)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@contextmanager
def _running(command: list[str], output: Path) -> Iterator[Callable[[], str]]:
    """A process that is ended with the block; gives a function that reads what it printed."""
    with output.open("w") as file:
        process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)
        try:
            yield lambda: output.read_text("utf-8")
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(until: Callable[[], bool], told: Callable[[], str]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not until():
        assert time.monotonic() < deadline, told()
        time.sleep(0.1)


def _is_ready(url: str) -> bool:
    try:
        with closing(urlopen(f"{url}/-/ready", timeout=1)) as answer:  # noqa: S310  (as above)
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    """The example application, run to its end under the eyes of Prometheus."""
    prometheus = shutil.which("prometheus")
    if prometheus is None:
        pytest.skip("prometheus is not installed (Debian: apt-get install prometheus)")
    folder = tmp_path_factory.mktemp("prometheus")
    app_port, port = _free_ports(2)
    url = f"http://127.0.0.1:{port}"
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [
            {"job_name": "app", "static_configs": [{"targets": [f"127.0.0.1:{app_port}"]}]}
        ],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    server = [
        prometheus,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    app = [sys.executable, "examples/app.py", "--store", str(folder / "traces.duckdb")]
    app += ["--prometheus", str(app_port), "--runs", str(RUNS), "--seconds", "90"]
    with _running(server, folder / "prometheus.txt") as server_told:
        _wait(lambda: _is_ready(url), server_told)
        with _running(app, folder / "app.txt") as app_told:
            _wait(lambda: "model calls billed" in app_told(), app_told)
            calls = re.findall(r"(\d+) model calls billed", app_told())[0]
            allowed = 'sum(otelbudget_calls_total{decision="allowed"})'

            def is_scraped() -> bool:
                seen = _result(url, "query", query=allowed)
                return bool(seen) and seen[0]["value"][1] == calls

            _wait(is_scraped, app_told)
            yield Observed(url, time.time(), app_told())


@pytest.mark.server
@pytest.mark.parametrize("target", QUERIES)
def test_a_query_gives_series_that_have_the_labels_of_its_legend(
    observed: Observed, target: dict[str, Any]
) -> None:
    labels = re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])

    series = observed.run(target)

    assert series
    for each in series:
        assert all(each["metric"].get(label) for label in labels), each["metric"]
    assert max(_values(series)) > 0


@pytest.mark.server
def test_spend_is_what_the_provider_billed(observed: Observed) -> None:
    billed = _billed_usd(observed.printed)

    total = _values(observed.run(PANELS["Spend"]["targets"][0]))
    by_model = observed.run(PANELS["Spend by model"]["targets"][0])

    assert total == [pytest.approx(sum(billed.values()), abs=1e-9)]
    assert {each["metric"]["model"]: float(each["value"][1]) for each in by_model} == {
        model: pytest.approx(usd, abs=1e-9) for model, usd in billed.items()
    }


@pytest.mark.server
def test_a_budget_that_was_used_up_shows_as_used_up(observed: Observed) -> None:
    target = PANELS["Budget used"]["targets"][0]

    series = observed.run(target)

    assert [each["metric"] for each in series] == [{"budget": "per-run", "kind": "cost_usd"}]
    # a runaway run ends at 0.2855 of 0.25 USD, see test_example_app.py
    assert max(_values(series)) == pytest.approx(1.142)


@pytest.mark.server
def test_the_panel_of_denied_calls_has_the_decisions_of_its_mode(observed: Observed) -> None:
    decisions = observed.run(PANELS["Denied calls"]["targets"][0])

    assert {each["metric"]["decision"] for each in decisions} == {"allowed", "denied"}


@pytest.mark.server
def test_the_budget_variable_lists_the_budgets(observed: Observed) -> None:
    definition = DASHBOARD["templating"]["list"][1]["definition"]
    found = re.fullmatch(r"label_values\((\w+), (\w+)\)", definition)
    assert found
    metric, label = found.groups()

    query = urlencode({"match[]": metric})
    values = _get(f"{observed.url}/api/v1/label/{label}/values?{query}")["data"]

    assert values == ["per-run"]


@pytest.mark.server
def test_the_alert_would_fire(observed: Observed) -> None:
    alerts = yaml.safe_load(
        (ROOT / "dashboards/provisioning/alerting/otelbudget.yaml").read_text("utf-8")
    )
    query, _, threshold = alerts["groups"][0]["rules"][0]["data"]

    series = observed.query(query["model"]["expr"])

    limit = threshold["model"]["conditions"][0]["evaluator"]["params"][0]
    assert [each["metric"] for each in series] == [{"budget": "per-run", "kind": "cost_usd"}]
    assert _values(series)[0] > limit == 0.8


def _values(series: list[Series]) -> list[float]:
    """Every value of every series, without the NaN of an empty denominator."""
    points = [point for each in series for point in each.get("values") or [each["value"]]]
    return [float(value) for _, value in points if value != "NaN"]


def _billed_usd(printed: str) -> dict[str, float]:
    """The bill in US dollars by model, from tokens and rates in USD per million tokens."""
    rates = {  # input, cached input, output
        "gpt-4.1": (2.00, 0.50, 8.00),
        "gpt-4o": (2.50, 1.25, 10.00),
        "gpt-4o-mini": (0.15, 0.075, 0.60),
    }
    lines = re.findall(
        r"^(\S+) +(\d+) input tokens \((\d+) cached\), (\d+) output", printed, re.MULTILINE
    )
    assert {line[0] for line in lines} == set(rates)
    billed = {}
    for model, *counts in lines:
        tokens, cached, output = map(int, counts)
        rate, cached_rate, output_rate = rates[model]
        billed[model] = (
            (tokens - cached) * rate + cached * cached_rate + output * output_rate
        ) / 1_000_000
    return billed


# At 20 minutes, over 10 minutes, with a sample every 15 seconds: 80 steps, of which 40 in range.
COST = 'otelbudget_cost_usd_total{model="gpt-4o", instance="%s"}'


@pytest.mark.parametrize(
    ("values", "spend"),
    [
        pytest.param(["3+1x80"], 40, id="older than the range: the difference"),
        pytest.param(["_x60 3+1x20"], 23, id="began in the range: all of it"),
        pytest.param(["_x60 3x20"], 3, id="one call only: its first sample"),
        pytest.param(["_x50 3+1x9 stale"], 12, id="began and ended in the range: all of it"),
        pytest.param(["3+1x30 stale"], None, id="ended before the range: no series"),
        pytest.param(["3+1x80", "_x60 3+1x20"], 63, id="two processes: their sum"),
    ],
)
def test_spend_in_range(tmp_path: Path, values: list[str], spend: int | None) -> None:
    expression = expanded(PANELS["Spend"]["targets"][0]["expr"], range_="10m")
    series = {COST % f"host{number}": each for number, each in enumerate(values)}

    _assert_promql(tmp_path, series, f"{expression} == bool {spend or 0}", spend)


def test_spend_in_range_of_a_process_that_restarted(tmp_path: Path) -> None:
    """It is estimated: `increase()` is off by up to a sample at an end, here of 1 USD."""
    expression = expanded(PANELS["Spend"]["targets"][0]["expr"], range_="10m")

    series = {COST % "host": "3+1x59 0+1x20"}  # 62 - 43 = 19 USD, then 20

    _assert_promql(tmp_path, series, f"abs({expression} - 39) <= bool 1", 1)


@pytest.mark.parametrize("name", ["per-run", "team.search", "a (b) | c+", r"back\slash"])
def test_any_name_of_a_budget_is_found(tmp_path: Path, name: str) -> None:
    # Source: prometheusSpecialRegexEscape, grafana/packages/grafana-prometheus, 12.x
    escaped = re.sub(r"[$^*{}\[\]'+?.()|]", r"\\\\\g<0>", name.replace("\\", "\\\\\\\\"))
    expression = expanded(PANELS["Budget used"]["targets"][0]["expr"], budget=escaped)
    labels = f'{{budget={json.dumps(name)}, kind="calls"}}'
    series = {f"otelbudget_usage{labels}": "5x80", f"otelbudget_limit{labels}": "10x80"}

    _assert_promql(tmp_path, series, f"count({expression}) == bool 1", 1)


def _assert_promql(
    folder: Path, series: dict[str, str], expression: str, expected: int | None
) -> None:
    """Assert that an expression is 1 at 20 minutes, or has no value where None is expected."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
    case = {
        "interval": "15s",
        "input_series": [{"series": name, "values": each} for name, each in series.items()],
        "promql_expr_test": [
            {
                "expr": expression,
                "eval_time": "20m",
                "exp_samples": [] if expected is None else [{"labels": "{}", "value": 1}],
            }
        ],
    }
    file = folder / "case.yml"
    file.write_text(json.dumps({"evaluation_interval": "15s", "tests": [case]}))  # JSON is YAML

    ended = subprocess.run(
        [promtool, "test", "rules", file], capture_output=True, text=True, timeout=30, check=False
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
