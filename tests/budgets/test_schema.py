"""The published JSON Schema accepts what the loader accepts, save for rules it cannot say."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from otelbudget import BudgetConfigError, Budgets
from otelbudget.budgets.keys import BUDGET_KEYS, TOP_KEYS

DOCS = Path(__file__).parents[2] / "docs"
SCHEMA = json.loads((DOCS / "budgets.schema.json").read_text("utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)

# Sentences of the rules that the schema's $comment lists.
UNSAYABLE = (
    re.compile(r"is '?[+-]?[\d._]+([eE][+-]?\d+)?(\\n)?'?, allowed are"),  # text, or too fine
    re.compile(r"warn_at: is \[[^\[{]*\], allowed is"),
    re.compile(r"names .* twice; keep one"),
    re.compile(r"window: is '\d+[smhd](\\n)?', allowed are"),
    re.compile(r"timezone: is '.*', (did you mean .*; )?allowed are names"),
    re.compile(r"adds up to [\d.]+, allowed is at most 1"),
    re.compile(r"prices\..*allowed (is|are) (provider/model|numbers|US dollars|a day)"),
)

NUMERALS = st.one_of(
    st.integers(0, 10**6).map(str),
    st.sampled_from(["1e6", "20_000", "+5", "0.5", ".5", "1.", "-1"]),
)
COUNTS = st.one_of(st.integers(0, 2**63 - 1), NUMERALS)
AMOUNTS = st.one_of(st.integers(0, 10**6), st.floats(0, 1e6), NUMERALS)
RATIOS = st.one_of(st.floats(0, 1, exclude_min=True), st.sampled_from(["0.3", "1", 1, "1e-3"]))
KEYS = st.sampled_from(["trace", "run", "process", "tenant.id", "gen_ai.agent.name", "x"])
SCALARS = st.one_of(
    KEYS, st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=200)
)
FLAGS = st.one_of(st.booleans(), st.sampled_from(["yes", "no", "On", "OFF"]))


def mappings(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(KEYS, values, min_size=1, max_size=3)


RIGHT: Mapping[str, st.SearchStrategy[Any]] = {
    "per": st.one_of(st.none(), KEYS, st.lists(KEYS, min_size=1, max_size=3)),
    "mode": st.sampled_from(["off", "audit", "enforce", "Off", False]),
    "where": mappings(st.one_of(SCALARS, st.lists(SCALARS, min_size=1, max_size=3))),
    "window": st.sampled_from(["hour", "day", "week", "month", "15m", "24h", "366d", "367d"]),
    "timezone": st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata", "Mars/Olympus"]),
    "max_cost_usd": AMOUNTS,
    "max_tool_calls_by_name": mappings(COUNTS),
    "max_seconds": AMOUNTS,
    "warn_at": st.lists(RATIOS, max_size=3),
    "shares": mappings(mappings(RATIOS)),
    "reserve": FLAGS,
    "cancel_in_flight": FLAGS,
    "on_store_error": st.sampled_from(["allow", "block", "local"]),
}
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.sampled_from(
        ["x" * 201, 'a"b', "a\n", "15m\n", "5\n", "0s", "off", "trace", 2**63, "1e400"]
    ),
    st.lists(SCALARS, max_size=9),
    st.dictionaries(st.text(max_size=3), st.one_of(st.none(), SCALARS), max_size=2),
)


@st.composite
def right_budgets(draw: st.DrawFn) -> dict[str, Any]:
    """Keys that go together, with values that are right or break a rule of `UNSAYABLE`."""
    keys = draw(st.lists(st.sampled_from(list(BUDGET_KEYS)), max_size=6, unique=True))
    limit = draw(st.sampled_from(["max_calls", "max_cost_usd", "max_seconds"]))
    budget = {key: draw(RIGHT.get(key, COUNTS)) for key in dict.fromkeys([limit, *keys])}
    if "max_seconds" in budget:
        budget |= {"per": draw(st.sampled_from([None, "run", "trace", ["run"]]))}
        budget.pop("window", None)
        budget.pop("timezone", None)
    if "timezone" in budget:
        budget["window"] = draw(st.sampled_from(["hour", "day", "week", "month"]))
    for one, other in (("max_calls", "max_steps"), ("max_tool_calls", "max_nested_tool_calls")):
        if one in budget:
            budget.pop(other, None)
    return budget


@st.composite
def odd_documents(draw: st.DrawFn) -> dict[str, Any]:
    """What a budgets file may hold, with something odd in it."""
    budget = draw(right_budgets())
    name = draw(st.sampled_from(["per-run", "no", "", "x" * 100, "x" * 101]))
    top: dict[str, Any] = {"budgets": {name: budget}}
    if draw(st.booleans()):
        odd = st.one_of(ODD, st.sampled_from([1, "1", "ceiling", "deny", {"free": ["ollama"]}]))
        top[draw(st.sampled_from([*TOP_KEYS, "budgetz"]))] = draw(odd)
    else:
        budget[draw(st.sampled_from([*BUDGET_KEYS, "max_cost"]))] = draw(ODD)
    return top


def refusal(document: object, file: Path) -> str | None:
    """What the loader says about a document, None where it loads."""
    file.write_text(yaml.safe_dump(document), "utf-8")
    try:
        Budgets.from_yaml(file)
    except BudgetConfigError as error:
        return str(error)
    return None


def is_unsayable(sentence: str) -> bool:
    return any(rule.search(sentence) for rule in UNSAYABLE)


MANY = settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@MANY
@given(right_budgets())
def test_what_is_right_loads_and_is_accepted(tmp_path: Path, budget: dict[str, Any]) -> None:
    document = {"version": 1, "unknown_model": "deny", "budgets": {"a": budget}}
    sentence = refusal(document, tmp_path / "budgets.yaml")

    assert sentence is None or is_unsayable(sentence), sentence
    assert not [error.message for error in VALIDATOR.iter_errors(document)]


@MANY
@given(odd_documents())
def test_what_is_odd_is_judged_alike(tmp_path: Path, document: dict[str, Any]) -> None:
    sentence = refusal(document, tmp_path / "budgets.yaml")

    if VALIDATOR.is_valid(document):
        assert sentence is None or is_unsayable(sentence), sentence
    else:
        assert sentence is not None


@pytest.mark.parametrize(
    "prices",
    [
        {},
        {"free": []},
        {"free": ["ollama", "azure/*"]},
        {"free": "ollama"},
        {"free": [""]},
        {"aliases": {"chat": "openai/gpt-4o"}},
        {"aliases": {"chat": "gpt-4o"}},
        {"aliases": {}},
        {"discounts": {"openai": 0.15}},
        {"discounts": {"openai": 1.5}},
        {"multipliers": {"openai": 3}},
        {"multipliers": {"openai": -1}},
        {"models": {"a/b": {"input_usd_per_mtok": 1, "output_usd_per_mtok": "2.5"}}},
        {
            "models": {
                "a/b": [{"input_usd_per_mtok": 1, "output_usd_per_mtok": 2, "from": "2026-01-01"}]
            }
        },
        {"models": {"a/b": {"input_usd_per_mtok": 1}}},
        {"models": {"a/b": []}},
        {"models": {"a/b": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2, "typo": 3}}},
        {"models": {"a/b": {"input_usd_per_mtok": -1, "output_usd_per_mtok": 2}}},
        {"modelz": {}},
    ],
    ids=json.dumps,
)
def test_prices_are_judged_alike(tmp_path: Path, prices: dict[str, Any]) -> None:
    document = {"prices": prices, "budgets": {"a": {"max_calls": 1}}}

    assert VALIDATOR.is_valid(document) is (refusal(document, tmp_path / "a.yaml") is None)


def test_the_schema_is_one_of_its_draft() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_the_schema_knows_every_key_of_the_loader_and_no_other() -> None:
    assert list(SCHEMA["properties"]) == list(TOP_KEYS)
    assert list(SCHEMA["$defs"]["budget"]["properties"]) == list(BUDGET_KEYS)


def properties(schema: object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every key that a schema names, at any depth, with what it says about it."""
    for name, inner in schema.items() if isinstance(schema, Mapping) else ():
        if name == "properties":
            yield from inner.items()
        if name not in {"if", "then", "dependentSchemas"}:
            yield from properties(inner)


def test_every_key_is_described() -> None:
    named = dict(properties(SCHEMA))

    assert len(named) > len(TOP_KEYS) + len(BUDGET_KEYS)
    assert not [name for name, schema in named.items() if not schema.get("description")]


def test_the_schema_says_what_it_cannot_say() -> None:
    assert len(re.findall(";", SCHEMA["$comment"])) + 1 == len(UNSAYABLE)


def test_the_page_on_budgets_names_every_key() -> None:
    page = (DOCS / "budgets.md").read_text("utf-8")

    assert not [key for key in (*TOP_KEYS, *BUDGET_KEYS) if f"`{key}`" not in page]


def test_files_on_the_page_load_and_are_accepted(tmp_path: Path) -> None:
    page = (DOCS / "budgets.md").read_text("utf-8")
    files = re.findall(r"^(?:version: 1\n)?.*^budgets:\n(?:  .*\n)+", page, re.MULTILINE)

    assert len(files) == 2
    for content in files:
        document = yaml.safe_load(content)
        assert refusal(document, tmp_path / "budgets.yaml") is None
        assert VALIDATOR.is_valid(document)
