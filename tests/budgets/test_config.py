"""Budgets in code and in the budgets file."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from otelbudget import Budget, BudgetConfigError, Budgets, Mode, UnknownModel
from otelbudget.budgets.config import LimitKind


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str | bytes], Budgets]:
    """Reads a budgets file with a content."""

    def read_file(content: str | bytes) -> Budgets:
        file = tmp_path / "budgets.yaml"
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return Budgets.from_yaml(file)

    return read_file


Read = Callable[[str | bytes], Budgets]


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
    assert (per_run.name, per_run.per, per_run.mode) == ("per-run", "trace", Mode.AUDIT)
    # 0.10 USD * 10^12 pico-USD/USD, exact without quotes
    assert per_run.limits == {
        LimitKind.COST_USD: 100_000_000_000,
        LimitKind.TOKENS: 20_000,
        LimitKind.CALLS: 20,
    }
    assert per_run.warn_at == (Decimal("0.5"), Decimal("0.8"))
    assert (quick.per, quick.mode) == (None, Mode.ENFORCE)


def test_a_file_written_from_budgets_says_the_same(read: Read) -> None:
    budgets = read("budgets: {a: {per: trace, max_cost_usd: 0.001, mode: off}, b: {max_calls: 1}}")

    assert Budgets.from_config(budgets.as_config()) == budgets
    assert budgets.as_config()["budgets"]["a"]["max_cost_usd"] == "0.001"


@pytest.mark.parametrize("mode", ["off", "'off'", "false"])
def test_off_may_be_written_bare(read: Read, mode: str) -> None:
    """YAML 1.1 reads a bare `off` as false."""
    [budget] = read(f"budgets: {{a: {{mode: {mode}, max_calls: 1}}}}").budgets

    assert budget.mode is Mode.OFF


def _in_a(keys: str) -> str:
    return f"budgets: {{a: {{{keys}}}}}"


WRONG_FILES: dict[str, tuple[str | bytes, str | None, str]] = {
    "empty": ("", None, "must hold keys with values"),
    "a-list": ("[]", None, "must hold keys with values"),
    "no-yaml": ("{", None, "is no YAML"),
    "tab": ("\t", None, "is no YAML"),
    "no-utf-8": (b"\xff\xfe", None, "is no YAML"),
    "null-byte": (b"\x00", None, "is no YAML"),
    "two-documents": ("a: 1\n---\nb: 2", None, "is no YAML"),
    "a-python-object": (_in_a("max_calls: !!python/object:os.system x"), None, "is no YAML"),
    "a-date-that-cannot-be": (_in_a("max_calls: 2026-99-99"), None, "is no YAML"),
    "a-number-too-long": (_in_a("max_calls: " + "9" * 5_000), None, "is no YAML"),
    "too-deep": ("- " * 5_000, None, "is no YAML"),
    "too-large": ("#" * (1 << 20) + "\n", None, "larger than 1 MiB"),
    "unknown-key": ("budgetz: {}", "budgetz", "allowed are version, unknown_model, prices"),
    "version": ("version: 2\nbudgets: {a: {max_calls: 1}}", "version", "reads 1"),
    "unknown-model": (
        "unknown_model: free\nbudgets: {a: {max_calls: 1}}",
        "unknown_model",
        "allowed are ceiling, deny, allow",
    ),
    "no-budgets": ("budgets: {}", "budgets", "must hold keys with values"),
    "no-limit": (_in_a("mode: audit"), "budgets.a", "needs a limit"),
    "unknown-budget-key": (
        _in_a("max_cost: 1"),
        "budgets.a.max_cost",
        "allowed are per, mode, max_cost_usd, max_tokens, max_calls, max_steps, max_tool_calls",
    ),
    "per": (_in_a("per: user.id, max_calls: 1"), "budgets.a.per", "'trace'"),
    "mode": (_in_a("mode: loud, max_calls: 1"), "budgets.a.mode", "off, audit, enforce"),
    "mode-true": (_in_a("mode: on, max_calls: 1"), "budgets.a.mode", "off, audit, enforce"),
    "cost-negative": (_in_a("max_cost_usd: -1"), "budgets.a.max_cost_usd", "0 to 9223372"),
    "cost-too-large": (_in_a("max_cost_usd: 9223373"), "budgets.a.max_cost_usd", "0 to 9223372"),
    "cost-too-fine": (
        _in_a("max_cost_usd: 0.0000000000001"),
        "budgets.a.max_cost_usd",
        "at most twelve decimals",
    ),
    "cost-no-number": (_in_a("max_cost_usd: ten"), "budgets.a.max_cost_usd", "US dollars"),
    "cost-nan": (_in_a("max_cost_usd: .nan"), "budgets.a.max_cost_usd", "US dollars"),
    "cost-huge": (_in_a("max_cost_usd: 1e999999"), "budgets.a.max_cost_usd", "US dollars"),
    "cost-list": (_in_a("max_cost_usd: [1]"), "budgets.a.max_cost_usd", "as text"),
    "tokens-fraction": (_in_a("max_tokens: 1.5"), "budgets.a.max_tokens", "whole numbers from 0"),
    "tokens-huge": (_in_a("max_tokens: 1e999999999"), "budgets.a.max_tokens", "whole numbers"),
    "calls-negative": (_in_a("max_calls: -1"), "budgets.a.max_calls", "whole numbers from 0"),
    "calls-true": (_in_a("max_calls: yes"), "budgets.a.max_calls", "whole numbers from 0"),
    "steps": (_in_a("max_steps: x"), "budgets.a.max_steps", "whole numbers from 0"),
    "no-value": (_in_a("max_tokens: 1, max_calls: "), "budgets.a.max_calls", "has no value"),
    "one-limit-twice": (
        _in_a("max_calls: 1, max_steps: 2"),
        "budgets.a.max_steps",
        "same limit as another key",
    ),
    "one-key-twice": (_in_a("max_calls: 1, max_calls: 2"), "max_calls", "given twice (line 1)"),
    "one-budget-twice": (
        "budgets:\n  a: {max_calls: 1}\n  a: {max_calls: 2}",
        "a",
        "given twice (line 3)",
    ),
    "warn-at-a-number": (_in_a("max_calls: 1, warn_at: 0.5"), "budgets.a.warn_at", "[0.5, 0.8]"),
    "warn-at-zero": (_in_a("max_calls: 1, warn_at: [0]"), "budgets.a.warn_at", "above 0"),
    "warn-at-above-1": (_in_a("max_calls: 1, warn_at: [1.1]"), "budgets.a.warn_at", "up to 1"),
    "warn-at-nan": (_in_a("max_calls: 1, warn_at: [sNaN]"), "budgets.a.warn_at", "above 0"),
    "warn-at-word": (_in_a("max_calls: 1, warn_at: [half]"), "budgets.a.warn_at", "above 0"),
}


@pytest.mark.parametrize("case", WRONG_FILES)
def test_what_is_wrong_in_a_file_is_named_with_file_key_and_what_is_allowed(
    read: Read, tmp_path: Path, case: str
) -> None:
    content, key, reason = WRONG_FILES[case]
    with pytest.raises(BudgetConfigError) as refusal:
        read(content)

    error = refusal.value
    assert (error.path, error.key) == (str(tmp_path / "budgets.yaml"), key)
    assert reason in error.reason
    assert str(error).startswith(f"{error.path}: ")


@pytest.mark.parametrize("path", ["/no/such/file", "/", "/dev/zero", "a\0b"])
def test_a_path_that_is_no_budgets_file_is_named(path: str) -> None:
    with pytest.raises(BudgetConfigError) as refusal:
        Budgets.from_yaml(path)

    assert refusal.value.path == path


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        pytest.param({}, None, id="no-limit"),
        pytest.param({"cost_usd": 0.25}, "cost_usd", id="float"),
        pytest.param({"cost_usd": True}, "cost_usd", id="bool"),
        pytest.param({"cost_usd": "0.1.2"}, "cost_usd", id="no-number"),
        pytest.param({"cost_usd": "Infinity"}, "cost_usd", id="infinity"),
        pytest.param({"cost_usd": Decimal("NaN")}, "cost_usd", id="nan"),
        pytest.param({"tokens": 1.0}, "tokens", id="tokens-float"),
        pytest.param({"tokens": "5"}, "tokens", id="tokens-text"),
        pytest.param({"tokens": 2**63}, "tokens", id="tokens-huge"),
        pytest.param({"calls": -1}, "calls", id="calls-negative"),
        pytest.param({"calls": True}, "calls", id="calls-bool"),
        pytest.param({"calls": 1, "name": ""}, "name", id="name-empty"),
        pytest.param({"calls": 1, "name": "x" * 101}, "name", id="name-long"),
        pytest.param({"calls": 1, "name": 7}, "name", id="name-number"),
        pytest.param({"calls": 1, "per": "run"}, "per", id="per"),
        pytest.param({"calls": 1, "mode": "loud"}, "mode", id="mode"),
        pytest.param({"calls": 1, "warn_at": "0.5"}, "warn_at", id="warn_at-text"),
        pytest.param({"calls": 1, "warn_at": [2]}, "warn_at", id="warn_at-above-1"),
    ],
)
def test_a_wrong_argument_is_named(arguments: dict[str, Any], key: str | None) -> None:
    with pytest.raises(BudgetConfigError) as refusal:
        Budget(**arguments)

    assert (refusal.value.path, refusal.value.key) == (None, key)


def test_another_mode_leaves_the_budget_as_it_was() -> None:
    budget = Budget(calls=1, name="a")
    audited = budget.with_mode("audit")

    assert (budget.mode, audited.mode) == (Mode.ENFORCE, Mode.AUDIT)
    assert (audited.name, audited.limits) == (budget.name, budget.limits)
