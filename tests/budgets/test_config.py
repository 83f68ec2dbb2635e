"""Budgets in code and in the budgets file."""

import pickle
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from otelbudget import Budget, BudgetConfigError, Budgets, Mode, UnknownModel
from otelbudget.budgets.config import LimitKind, OnStoreError, read_prices
from otelbudget.budgets.windows import CalendarUnit, CalendarWindow, RollingWindow

Read = Callable[[str], Budgets]

# Whatever a budget can say, each key once.
EVERYTHING = """
version: 1
unknown_model: allow
prices: {free: [ollama]}
budgets:
  tenants:
    per: [tenant.id, otelbudget.priority]
    mode: audit
    where: {service.name: [checkout, cart], deployment.environment.name: prod}
    window: day
    timezone: Europe/Berlin
    max_cost_usd: 12.50
    max_tokens: 1_000_000
    max_input_tokens: 9e5
    max_output_tokens: 100000
    max_cache_read_input_tokens: 400000
    max_cache_write_input_tokens: 50000
    max_reasoning_output_tokens: 20000
    max_calls: 500
    max_tool_calls: 50
    max_tool_calls_by_name: {web_search: 3, run sql: 10}
    warn_at: [0.9, 0.5]
    shares: {otelbudget.priority: {batch: 0.7}, gen_ai.agent.name: {a: 0.5, b: 0.5}}
    reserve: true
    grace: 2
    cancel_in_flight: true
    on_store_error: block
  run: {per: run, max_seconds: 1.5}
"""


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads a budgets file with a content."""

    def read_file(content: str) -> Budgets:
        file = tmp_path / "budgets.yaml"
        file.write_text(content, "utf-8")
        return Budgets.from_yaml(file)

    return read_file


def test_a_budgets_file_is_read(read: Read) -> None:
    budgets = read(
        """
        version: 1
        unknown_model: deny
        budgets:
          per-run:
            per: trace
            mode: audit
            max_cost_usd: 0.10
            max_tokens: 2e4
            max_steps: 20
            warn_at: [0.8, 0.5]
          quick: {max_calls: 5}
        """
    )

    per_run, quick = budgets.budgets
    assert budgets.unknown_model is UnknownModel.DENY
    assert (per_run.name, per_run.per, per_run.mode) == ("per-run", ("trace",), Mode.AUDIT)
    # 0.10 USD * 10^12 pico-USD/USD, exact without quotes
    assert per_run.limits == {
        LimitKind.COST_USD: 100_000_000_000,
        LimitKind.TOKENS: 20_000,
        LimitKind.CALLS: 20,
    }
    assert per_run.warn_at == (Decimal("0.5"), Decimal("0.8"))
    assert (quick.per, quick.mode) == (None, Mode.ENFORCE)


def test_every_key_is_read(read: Read) -> None:
    tenants, run = read(EVERYTHING).budgets

    assert tenants.per == ("tenant.id", "otelbudget.priority")
    assert tenants.where == {
        "service.name": ("checkout", "cart"),
        "deployment.environment.name": ("prod",),
    }
    assert tenants.window == CalendarWindow(CalendarUnit.DAY, "Europe/Berlin")
    assert tenants.limits == {
        LimitKind.COST_USD: 12_500_000_000_000,  # 12.50 USD * 10^12 pico-USD/USD
        LimitKind.TOKENS: 1_000_000,
        LimitKind.INPUT_TOKENS: 900_000,
        LimitKind.OUTPUT_TOKENS: 100_000,
        LimitKind.CACHE_READ_INPUT_TOKENS: 400_000,
        LimitKind.CACHE_WRITE_INPUT_TOKENS: 50_000,
        LimitKind.REASONING_OUTPUT_TOKENS: 20_000,
        LimitKind.CALLS: 500,
        LimitKind.TOOL_CALLS: 50,
    }
    assert tenants.tool_limits == {"web_search": 3, "run sql": 10}
    assert tenants.shares == {
        "otelbudget.priority": {"batch": Decimal("0.7")},
        "gen_ai.agent.name": {"a": Decimal("0.5"), "b": Decimal("0.5")},
    }
    assert (tenants.reserve, tenants.grace, tenants.cancel_in_flight) == (True, 2, True)
    assert tenants.on_store_error is OnStoreError.BLOCK
    # 1.5 s * 10^9 ns/s
    assert (run.per, run.limits) == (("run",), {LimitKind.SECONDS: 1_500_000_000})


def test_keys_are_what_must_be_looked_up_for_each_call(read: Read) -> None:
    budgets = read(EVERYTHING)
    tenants, run = budgets.budgets
    process = Budget(calls=1, per=["process", "trace", "run", "tenant.id"], where={"a": "b"})

    assert tenants.keys == (
        "tenant.id",
        "otelbudget.priority",
        "service.name",
        "deployment.environment.name",
        "gen_ai.agent.name",
    )
    assert run.keys == ()
    assert process.keys == ("process", "tenant.id", "a")
    assert Budgets((process, tenants)).keys == ("process", "tenant.id", "a", *tenants.keys[1:])


def test_a_file_of_tiers_with_steps_and_seconds_loads_as_it_stands(read: Read) -> None:
    quick, deep, batch = read(
        """\
budgets:
  quick_answer:
    max_steps: 5
    max_tokens: 2000
    max_seconds: 10
    max_nested_tool_calls: 2
  
  deep_research:
    max_steps: 20
    max_tokens: 50000
    max_seconds: 60
    max_nested_tool_calls: 10
  
  batch_processing:
    max_steps: 50
    max_tokens: 100000
    max_seconds: 300
    max_nested_tool_calls: 20
"""  # noqa: W293 - as it was found
    ).budgets

    assert [budget.per for budget in (quick, deep, batch)] == [None, None, None]
    assert [budget.limits for budget in (quick, deep, batch)] == [
        {
            LimitKind.CALLS: steps,
            LimitKind.TOKENS: tokens,
            LimitKind.SECONDS: seconds * 1_000_000_000,
            LimitKind.TOOL_CALLS: tool_calls,
        }
        for steps, tokens, seconds, tool_calls in (
            (5, 2_000, 10, 2),
            (20, 50_000, 60, 10),
            (50, 100_000, 300, 20),
        )
    ]


def test_a_file_written_from_budgets_says_the_same(read: Read) -> None:
    budgets = read(EVERYTHING)
    again = Budgets.from_config(budgets.as_config())

    assert (again.budgets, again.unknown_model) == (budgets.budgets, budgets.unknown_model)
    assert again.as_config() == budgets.as_config()


def test_what_is_written_is_exact_and_leaves_out_what_says_nothing(read: Read) -> None:
    budgets = read("budgets: {a: {per: trace, max_cost_usd: 0.001, mode: off}}")
    [run] = read("budgets: {run: {per: run, max_seconds: 90.50}}").budgets

    assert budgets.as_config()["budgets"]["a"] == {
        "per": "trace",
        "mode": "off",
        "max_cost_usd": "0.001",
        "warn_at": ["0.8"],
        "reserve": False,
        "cancel_in_flight": False,
    }
    assert run.as_config()["max_seconds"] == "90.5"


def test_one_value_or_key_is_written_without_a_list(read: Read) -> None:
    [budget] = read("budgets: {a: {per: [b], where: {c: [d]}, max_calls: 1}}").budgets

    assert (budget.as_config()["per"], budget.as_config()["where"]) == ("b", {"c": "d"})


@pytest.mark.parametrize("mode", ["off", "'off'", "false", "Off", "OFF"])
def test_off_may_be_written_bare(read: Read, mode: str) -> None:
    """YAML 1.1 reads a bare `off` as false."""
    [budget] = read(f"budgets: {{a: {{mode: {mode}, max_calls: 1}}}}").budgets

    assert budget.mode is Mode.OFF


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("no", "no"),  # Norway, not false
        ("yes", "yes"),
        ("on", "on"),
        ("true", "true"),
        ("True", "true"),
        ("'True'", "True"),
        ("1:30", "1:30"),  # 90 in YAML 1.1
        ("2026-01-05", "2026-01-05"),  # a date in YAML 1.1
        ("007", "007"),  # 7 in YAML 1.1
        ("1_000", "1_000"),
        ("0x1F", "0x1F"),
        ("1.50", "1.50"),
        ("1e3", "1e3"),
        (".inf", ".inf"),
        ("=", "="),
        ("''", ""),
        ("~x", "~x"),
    ],
)
def test_a_value_of_where_is_the_text_that_is_written(read: Read, written: str, text: str) -> None:
    [budget] = read(f"budgets:\n  a:\n    max_calls: 1\n    where:\n      key: {written}").budgets

    assert budget.where == {"key": (text,)}


def test_a_flag_may_be_yes_or_no(read: Read) -> None:
    [budget] = read("budgets: {a: {max_calls: 1, reserve: yes, cancel_in_flight: Off}}").budgets

    assert (budget.reserve, budget.cancel_in_flight) == (True, False)


def test_a_budget_without_a_value_for_per_is_a_tier(read: Read) -> None:
    [budget] = read("budgets: {a: {max_calls: 1, per: }}").budgets

    assert budget.per is None


def test_anchors_and_merge_keys_are_followed(read: Read) -> None:
    """The second merges one that merges: what stands nearer wins, and nothing is "given twice"."""
    first, second, third = read(
        """
        budgets:
          first: &first {per: trace, max_calls: 5, max_tokens: 100}
          second: &second {<<: *first, max_calls: 6}
          third:
            <<: *second
            max_tokens: 200
        """
    ).budgets

    assert first.limits == {LimitKind.CALLS: 5, LimitKind.TOKENS: 100}
    assert second.limits == {LimitKind.CALLS: 6, LimitKind.TOKENS: 100}
    assert third.limits == {LimitKind.CALLS: 6, LimitKind.TOKENS: 200}
    assert third.per == ("trace",)


def test_an_anchor_inside_a_budget_may_be_merged_outside_of_it(read: Read) -> None:
    budgets = read(
        """
        budgets:
          a:
            max_calls: 1
            shares:
              agent: &some
                <<: &more {x: 0.1, y: 0.2}
                x: 0.3
          b: {max_calls: 1, shares: {agent: {<<: *some}, team: *more}}
        """
    )

    agents = {"x": Decimal("0.3"), "y": Decimal("0.2")}
    assert [budget.shares["agent"] for budget in budgets.budgets] == [agents, agents]


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        pytest.param({}, None, id="no-limit"),
        pytest.param({"cost_usd": 0.25}, "cost_usd", id="float"),
        pytest.param({"cost_usd": True}, "cost_usd", id="bool"),
        pytest.param({"cost_usd": "0.1.2"}, "cost_usd", id="no-number"),
        pytest.param({"cost_usd": "Infinity"}, "cost_usd", id="infinity"),
        pytest.param({"cost_usd": Decimal("NaN")}, "cost_usd", id="nan"),
        pytest.param({"cost_usd": Decimal("sNaN")}, "cost_usd", id="signaling-nan"),
        pytest.param({"cost_usd": Decimal("1e-999999")}, "cost_usd", id="cost-too-fine"),
        pytest.param({"tokens": 1.0}, "tokens", id="tokens-float"),
        pytest.param({"tokens": "5"}, "tokens", id="tokens-text"),
        pytest.param({"tokens": 2**63}, "tokens", id="tokens-huge"),
        pytest.param({"calls": -1}, "calls", id="calls-negative"),
        pytest.param({"calls": True}, "calls", id="calls-bool"),
        pytest.param({"reasoning_output_tokens": "x"}, "reasoning_output_tokens", id="reasoning"),
        pytest.param({"seconds": 0.5}, "seconds", id="seconds-float"),
        pytest.param({"seconds": True}, "seconds", id="seconds-bool"),
        pytest.param({"seconds": 1, "per": "process"}, "seconds", id="seconds-per-process"),
        pytest.param({"seconds": 1, "window": "15m"}, "seconds", id="seconds-in-a-window"),
        pytest.param({"tool_calls_by_name": {}}, "tool_calls_by_name", id="no-tools"),
        pytest.param({"tool_calls_by_name": {"a": "1"}}, "tool_calls_by_name.a", id="tool-text"),
        pytest.param({"calls": 1, "name": ""}, "name", id="name-empty"),
        pytest.param({"calls": 1, "name": "x" * 101}, "name", id="name-long"),
        pytest.param({"calls": 1, "name": 7}, "name", id="name-number"),
        pytest.param({"calls": 1, "per": 7}, "per", id="per-number"),
        pytest.param({"calls": 1, "per": ()}, "per", id="per-nothing"),
        pytest.param({"calls": 1, "per": {"a"}}, "per", id="per-a-set"),
        pytest.param({"calls": 1, "mode": "loud"}, "mode", id="mode"),
        pytest.param({"calls": 1, "where": {"a": None}}, "where.a", id="where-none"),
        pytest.param({"calls": 1, "where": {"a": b"b"}}, "where.a", id="where-bytes"),
        pytest.param({"calls": 1, "window": 15}, "window", id="window-number"),
        pytest.param({"calls": 1, "timezone": "UTC"}, "timezone", id="timezone-alone"),
        pytest.param({"calls": 1, "warn_at": "0.5"}, "warn_at", id="warn_at-text"),
        pytest.param({"calls": 1, "warn_at": [2]}, "warn_at", id="warn_at-above-1"),
        pytest.param({"calls": 1, "warn_at": [True]}, "warn_at", id="warn_at-bool"),
        pytest.param({"calls": 1, "shares": {"a": {"b": 0.5}}}, "shares.a.b", id="shares-float"),
        pytest.param({"calls": 1, "grace": "2"}, "grace", id="grace-text"),
        pytest.param({"calls": 1, "reserve": "yes"}, "reserve", id="reserve-text"),
        pytest.param({"calls": 1, "on_store_error": None}, "on_store_error", id="on_store_error"),
    ],
)
def test_a_wrong_argument_is_named(arguments: dict[str, Any], key: str | None) -> None:
    with pytest.raises(BudgetConfigError) as refusal:
        Budget(**arguments)

    assert (refusal.value.path, refusal.value.key) == (None, key)


@pytest.mark.parametrize("seconds", ["10.25", Decimal("10.25"), Decimal("1025e-2")])
def test_seconds_are_exact(seconds: str | Decimal) -> None:
    # 10.25 s * 10^9 ns/s
    assert Budget(seconds=seconds).limits == {LimitKind.SECONDS: 10_250_000_000}


def test_a_limit_of_nothing_is_a_limit() -> None:
    budget = Budget(cost_usd=0, seconds=0, calls=0, tool_calls_by_name={"rm": 0})

    assert budget.limits == {LimitKind.COST_USD: 0, LimitKind.CALLS: 0, LimitKind.SECONDS: 0}
    assert budget.tool_limits == {"rm": 0}


def test_a_limit_on_one_tool_is_limit_enough() -> None:
    budget = Budget(tool_calls_by_name={"web_search": 3})

    assert (budget.limits, budget.tool_limits) == ({}, {"web_search": 3})


def test_shares_may_add_up_to_all_of_it_and_are_added_exactly() -> None:
    """0.1 + 0.2 + 0.7 is above 1 in floats' eyes at times; three thirds stay below."""
    thirds = dict.fromkeys("abc", "0.333333333333")
    budget = Budget(calls=1, shares={"x": {"a": "0.1", "b": "0.2", "c": "0.7"}, "y": thirds})

    assert sum(budget.shares["x"].values()) == 1
    with pytest.raises(BudgetConfigError, match=r"adds up to 1\.000000000001"):
        Budget(calls=1, shares={"x": {"a": "0.5", "b": "0.500000000001"}})


def test_values_of_where_become_text() -> None:
    budget = Budget(calls=1, where={"a": True, "b": [1, Decimal("1.50"), "x", "1"]})

    assert budget.where == {"a": ("true",), "b": ("1", "1.50", "x")}


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ("week", CalendarWindow(CalendarUnit.WEEK, "UTC")),
        ("15m", RollingWindow(900_000_000_000)),  # 15 * 60 s * 10^9 ns/s
    ],
)
def test_a_window_is_read(window: str, expected: object) -> None:
    assert Budget(calls=1, window=window).window == expected


def test_another_mode_leaves_the_budget_as_it_was() -> None:
    budget = Budget(calls=1, name="a", per=None, grace=3, window="24h")
    audited = budget.with_mode("audit")

    assert (budget.mode, audited.mode) == (Mode.ENFORCE, Mode.AUDIT)
    assert audited.with_mode("enforce") == budget


def test_what_a_budget_says_cannot_be_changed() -> None:
    budget = Budget(calls=1, where={"a": "b"}, shares={"a": {"b": 1}}, tool_calls_by_name={"c": 1})

    for mapping in (budget.limits, budget.where, budget.shares, budget.tool_limits):
        with pytest.raises(TypeError):
            mapping["x"] = 5  # type: ignore[index] # that it cannot is the test


def test_a_budget_goes_to_another_process_and_back(read: Read) -> None:
    """With multiprocessing's spawn everything is pickled."""
    budgets = read(EVERYTHING)

    assert pickle.loads(pickle.dumps(budgets)) == budgets  # noqa: S301 - our own bytes


def test_two_budgets_of_one_name_are_refused() -> None:
    with pytest.raises(BudgetConfigError, match="two budgets are named 'budget'"):
        Budgets((Budget(calls=1), Budget(calls=2)))


@pytest.mark.parametrize("content", ["prices: {free: [ollama]}", "free: [ollama]"])
def test_prices_are_read_alone_or_from_their_section(tmp_path: Path, content: str) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text(content, "utf-8")

    assert read_prices(file).free == ("ollama",)
