"""Spend as FOCUS rows: they add up to the audit to the last pico-dollar."""

from collections.abc import Callable
from typing import Any

import pytest

from otelbudget.audit.focus import UNDIVIDED, charges
from otelbudget.audit.keys import UnknownKeyError
from otelbudget.audit.spend import spend

Make = Callable[..., Any]
READ, WRITTEN = "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_creation.input_tokens"
DAY_NS = 86_400 * 10**9


def test_a_row_for_each_day_model_and_class_of_tokens(
    counted: Make, span: Make, usage: Make
) -> None:
    """gpt-4o: 400 x 2.50, 600 read x 1.25 and 100 x 10 USD per Mtok = 0.001 + 0.00075 + 0.001 USD."""
    called = usage(1_000, 100) | {READ: 600}
    spans = [span(1, 1, at=(0, 9), **called), span(2, 1, at=(DAY_NS, DAY_NS + 9), **called)]
    store, _, book = counted(spans)

    rows = list(charges(store, book))

    assert [(row.meter, row.quantity, row.list_cost_pusd, row.rate_pusd) for row in rows[:3]] == [
        ("Input Tokens", 400, 1_000_000_000, 2_500_000),
        ("Cache Read Input Tokens", 600, 750_000_000, 1_250_000),
        ("Output Tokens", 100, 1_000_000_000, 10_000_000),
    ]
    days = [row.day for row in rows if row.day]
    assert len(rows) == 6
    assert (days[-1] - days[0]).days == 1


def test_rows_add_up_to_the_audit_also_where_rates_are_mixed(
    counted: Make, span: Make, usage: Make
) -> None:
    """Long requests of claude-sonnet-4-5 cost more, so their day cannot be divided by class."""
    anthropic = {"gen_ai.provider.name": "anthropic"}
    told = [
        usage(1_000, 7, model="gpt-4o-mini"),
        usage(1_001, 13, model="nobody-knows"),
        usage(300_000, 11, model="claude-sonnet-4-5") | anthropic,
        usage(2_000, 11, model="claude-sonnet-4-5") | anthropic,
        usage(999, 3, model="claude-haiku-4-5") | anthropic | {READ: 333, WRITTEN: 100},
    ]
    spans = [span(1, 1 + n, at=(n, n + 1), **each) for n, each in enumerate(told)]
    spans.append(span(2, 1, at=None, **usage(5, 5)))
    store, _, book = counted(spans)

    rows = list(charges(store, book, ["service", "tenant.id"]))

    totals = spend(store).totals
    assert sum(row.list_cost_pusd or 0 for row in rows) == totals.list_cost_pusd
    assert sum(row.quantity for row in rows) == totals.input_tokens + totals.output_tokens
    assert {row.meter for row in rows if row.model == "claude-sonnet-4-5"} == {UNDIVIDED}
    assert {row.list_cost_pusd for row in rows if row.model == "nobody-knows"} == {None}
    assert any(row.day is None for row in rows)
    assert all(row.tags == {"service": "(none)", "tenant.id": "(none)"} for row in rows)


def test_costs_are_quantity_times_rate(counted: Make, span: Make, usage: Make) -> None:
    store, _, book = counted([span(1, 1, at=(0, 9), **usage(12_345, 678))])

    for row in charges(store, book):
        assert row.rate_pusd is not None
        assert row.quantity * row.rate_pusd == row.list_cost_pusd


def test_values_of_keys_divide_the_rows(counted: Make, span: Make, usage: Make) -> None:
    spans = [
        span(n, 1, at=(0, 9), **usage(1_000, 0), **{"tenant.id": tenant})
        for n, tenant in enumerate(("acme", "birch"), 1)
    ]
    store, _, book = counted(spans)

    rows = list(charges(store, book, ["tenant.id"]))

    assert [row.tags for row in rows] == [{"tenant.id": "acme"}, {"tenant.id": "birch"}]


def test_a_word_that_is_no_key_and_no_attribute_is_refused(
    counted: Make, span: Make, usage: Make
) -> None:
    store, _, book = counted([span(1, 1, at=(0, 9), **usage())])

    with pytest.raises(UnknownKeyError, match=r"^'nosuchkey' is no key"):
        list(charges(store, book, ["nosuchkey"]))
