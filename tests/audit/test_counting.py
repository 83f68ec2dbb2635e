"""What counts as a call, where spans repeat, contradict or loop: nothing twice, nothing lost."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from budget_audit.loading import Loaded

from otelbudget.audit.spend import Spend, spend

Make = Callable[..., Any]

# gpt-4o: 2.50 USD/Mtok * 1_000 + 10 USD/Mtok * 100 = 0.0025 USD + 0.001 USD, in pico-USD
ONE_CALL = 3_500_000_000


@pytest.fixture
def spent(counted: Callable[..., Loaded]) -> Callable[..., Spend]:
    return lambda *spans: spend(counted(spans).store, ("workflow",))


def codes(answer: Spend) -> dict[str, int]:
    """What was found and how often, but for the hint that no content was captured."""
    found = {finding.code: finding.count for finding in answer.findings}
    return {code: count for code, count in found.items() if code != "no_content"}


def calls(answer: Spend) -> tuple[int, int | None]:
    return answer.totals.model_calls, answer.totals.list_cost_pusd


def test_two_usage_spans_above_each_other_count_once(span: Make, usage: Make, spent: Make) -> None:
    """The earlier one is the top of the cycle and repeats the later one's usage."""
    answer = spent(
        span(1, 1, 2, name="outer", at=(0, 100), **usage()),
        span(1, 2, 1, name="inner", at=(1, 99), **usage()),
    )

    assert calls(answer) == (1, ONE_CALL)
    assert answer.totals.traces == 1
    assert [group.key for group in answer.groups] == [{"workflow": "outer"}]
    assert codes(answer) == {"repeated_usage": 1, "parent_cycles": 1}


def test_a_span_that_is_its_own_parent_counts_and_is_the_root(
    span: Make, usage: Make, spent: Make
) -> None:
    answer = spent(span(1, 1, 1, name="alone", **usage()))

    assert calls(answer) == (1, ONE_CALL)
    assert [group.key for group in answer.groups] == [{"workflow": "alone"}]
    assert codes(answer) == {"parent_cycles": 1}


def test_calls_below_a_cycle_without_usage_count(span: Make, usage: Make, spent: Make) -> None:
    answer = spent(
        span(1, 1, 3, name="a"),
        span(1, 2, 1, name="b"),
        span(1, 3, 2, name="c"),
        span(1, 4, 3, **usage()),
        span(1, 5, 2, **usage()),
    )

    assert calls(answer) == (2, 2 * ONE_CALL)
    assert [group.key for group in answer.groups] == [{"workflow": "a"}]


def test_a_cycle_of_spans_without_times_ends(span: Make, usage: Make, spent: Make) -> None:
    answer = spent(span(1, 1, 2, at=None, **usage()), span(1, 2, 1, at=None, **usage()))

    assert calls(answer) == (1, ONE_CALL)
    assert answer.totals.calls_without_time == 1


def test_a_chain_of_ten_thousand_spans_counts_the_innermost(
    span: Make, usage: Make, spent: Make
) -> None:
    chain = [
        span(1, number, number - 1 or None, at=(number, 10**6), **usage())
        for number in range(1, 10_001)
    ]

    answer = spent(*chain)

    assert calls(answer) == (1, ONE_CALL)
    assert codes(answer) == {"repeated_usage": 9_999}


def test_a_cycle_of_thousands_of_spans_ends(span: Make, usage: Make, spent: Make) -> None:
    circle = [
        span(1, number, number - 1 or 3_000, at=(number, 10**6)) for number in range(1, 3_001)
    ]

    answer = spent(*circle, span(1, 20_000, 1_500, **usage()))

    assert calls(answer) == (1, ONE_CALL)
    assert codes(answer) == {"parent_cycles": 1}


def test_a_wide_fan_of_calls_counts_each(span: Make, usage: Make, spent: Make) -> None:
    fan = [span(1, number, 1, at=(0, 10), **usage()) for number in range(2, 1_002)]

    answer = spent(span(1, 1, name="root"), *fan)

    assert calls(answer) == (1_000, 1_000 * ONE_CALL)


def test_of_two_deliveries_that_differ_the_more_complete_one_counts(
    span: Make, usage: Make, spent: Make
) -> None:
    is_open = span(1, 1, **usage(9_000, 900), extra="x" * 200)
    is_open["endTimeUnixNano"] = "0"

    answer = spent(is_open, span(1, 1, **usage()), is_open)

    assert calls(answer) == (1, ONE_CALL)
    assert (answer.input.deliveries, answer.input.distinct_spans) == (3, 1)


def test_a_span_is_known_by_its_ids_in_any_case(span: Make, usage: Make, spent: Make) -> None:
    upper = span(0xABC, 0xDEF, **usage())
    upper |= {"traceId": upper["traceId"].upper(), "spanId": upper["spanId"].upper()}

    answer = spent(span(0xABC, 0xDEF, **usage()), upper)

    assert calls(answer) == (1, ONE_CALL)


def test_calls_in_turn_count_each_though_the_server_gives_one_response_id(
    span: Make, usage: Make, spent: Make
) -> None:
    in_turn = [
        span(1, number, at=(number * 100, number * 100 + 50), **usage(response_id="chatcmpl-1"))
        for number in range(1, 6)
    ]

    assert calls(spent(*in_turn)) == (5, 5 * ONE_CALL)


def test_calls_side_by_side_with_other_tokens_count_each_though_they_share_a_response_id(
    span: Make, usage: Make, spent: Make
) -> None:
    side_by_side = [
        span(1, number, at=(0, 50), **usage(1_000 * number, 100 * number, response_id="chatcmpl-1"))
        for number in (1, 2, 3)
    ]

    assert calls(spent(*side_by_side)) == (3, (1 + 2 + 3) * ONE_CALL)


@pytest.mark.parametrize("traces", [(1, 1), (1, 2)], ids=["one-trace", "two-traces"])
def test_two_instrumentations_of_one_call_count_once(
    traces: tuple[int, int], span: Make, usage: Make, spent: Make
) -> None:
    first, second = traces

    answer = spent(
        span(first, 1, name="LLM", scope="outer", at=(0, 50), **usage(response_id="r")),
        span(second, 2, name="chat", scope="inner", at=(1, 49), **usage(response_id="r")),
    )

    assert calls(answer) == (1, ONE_CALL)
    assert codes(answer) == {"twin_calls": 1}


def test_two_instrumentations_of_calls_that_share_a_response_id_count_each_call_once(
    span: Make, usage: Make, spent: Make
) -> None:
    twice = []
    for number in (1, 2, 3):
        start = number * 1_000
        twice += [
            span(1, number, name="LLM", at=(start, start + 50), **usage(response_id="r")),
            span(1, number + 10, name="chat", at=(start + 1, start + 49), **usage(response_id="r")),
        ]

    assert calls(spent(*twice)) == (3, 3 * ONE_CALL)


def test_of_twins_the_one_that_knows_the_cache_counts(span: Make, usage: Make, spent: Make) -> None:
    cached = usage(response_id="r") | {"gen_ai.usage.cache_read.input_tokens": 800}

    answer = spent(
        span(1, 1, name="LLM", scope="outer", **usage(response_id="r")),
        span(1, 2, name="chat", scope="inner", **cached),
    )

    # 2.50 USD/Mtok * 200 + 1.25 * 800 + 10 * 100 = 0.0005 + 0.001 + 0.001 USD
    assert calls(answer) == (1, 2_500_000_000)


def test_a_trace_that_was_copied_under_another_id_counts_again(
    span: Make, usage: Make, spent: Make
) -> None:
    answer = spent(span(1, 1, **usage(response_id="r")), span(2, 1, **usage(response_id="r")))

    assert calls(answer) == (2, 2 * ONE_CALL)


def test_a_count_that_is_none_is_ignored_and_reported(
    span: Make, usage: Make, counted: Callable[..., Loaded]
) -> None:
    counts = ["NaN", "-1", "Infinity", "ten", -1, 1.5, True, 10**13, {"bytes": 300}]

    loaded = counted(span(trace, 1, **usage(count, 100)) for trace, count in enumerate(counts, 1))

    totals = spend(loaded.store).totals
    assert (totals.model_calls, totals.input_tokens, totals.output_tokens) == (9, 0, 900)
    assert [(warning.code, warning.count) for warning in loaded.report.warnings] == [
        ("unreadable_counts", 9)
    ]
    assert codes(spend(loaded.store)) == {"unreadable_counts": 9}


def test_an_object_where_a_text_belongs_changes_nothing(
    span: Make, usage: Make, spent: Make
) -> None:
    keys = [
        "gen_ai.provider.name",
        "gen_ai.response.id",
        "gen_ai.operation.name",
        "gen_ai.agent.name",
        "gen_ai.usage.cost",
        "otelbudget.tier",
        "otelbudget.decision",
        "otelbudget.call.id",
    ]

    answer = spent(
        *(
            span(trace, 1, name=key, **(usage() | {key: {"bytes": 300, "hash": "ab"}}))
            for trace, key in enumerate(keys, 1)
        )
    )

    assert calls(answer) == (8, 8 * ONE_CALL)
    assert {group.key["workflow"] for group in answer.groups} == set(keys)


def test_a_model_of_any_name_is_unpriced_and_not_free(
    span: Make, usage: Make, counted: Callable[..., Loaded]
) -> None:
    models = [
        "x" * 5_000,
        "\x1b[31mred",
        "[bold]x[/bold]",
        "'; drop table spans; --",
        'a\n"b",c',
        "😀",
    ]

    answer = spend(
        counted(
            span(trace, 1, **usage(model=model)) for trace, model in enumerate(["", *models], 1)
        ).store
    )

    assert calls(answer) == (7, None)
    assert answer.totals.unpriced_calls == 7
    assert {group.key["model"] for group in answer.groups} == {"(none)", *models}


def test_the_cost_of_absurd_counts_does_not_overflow(span: Make, usage: Make, spent: Make) -> None:
    answer = spent(*(span(1, number, **usage(10**12, 10**12)) for number in range(1, 11)))

    # 10 calls * (2.50 + 10) USD/Mtok * 10^6 Mtok = 125_000_000 USD
    assert calls(answer) == (10, 125_000_000 * 10**12)


def test_an_absurd_reported_cost_is_no_cost(span: Make, usage: Make, spent: Make) -> None:
    costs = ["9e24", "1e26", "1e30", "99999999999999999999999999", "NaN", "-1", "1e999"]

    answer = spent(
        *(
            span(1, number, **usage(), gen_ai__usage__cost=costs[number % len(costs)])
            for number in range(1, 101)
        )
    )

    assert answer.totals.reported_cost_usd is None
    assert calls(answer) == (100, 100 * ONE_CALL)


def test_calls_without_times_count_and_are_named(span: Make, usage: Make, spent: Make) -> None:
    without_start = span(1, 2, **usage())
    del without_start["startTimeUnixNano"]

    answer = spent(span(1, 1, at=None, **usage()), without_start, span(1, 3, **usage()))

    assert calls(answer) == (3, 3 * ONE_CALL)
    assert answer.totals.calls_without_time == 2


def test_spans_that_ask_no_model_are_no_calls(span: Make, spent: Make) -> None:
    said = {"gen_ai.input.messages": json.dumps([{"role": "user", "content": "tokens?"}] * 40)}

    answer = spent(span(1, 1, **said), span(1, 2, 1, gen_ai__operation__name="execute_tool"))

    assert calls(answer) == (0, None)
    assert answer.totals.calls_without_usage == 0
    assert codes(answer) == {"no_model_calls": 2}


def test_deliveries_that_differ_are_told_from_those_that_do_not(
    span: Make, usage: Make, spent: Make
) -> None:
    """The first span comes three times, once with other counts; the second comes twice."""
    first, other, second = span(1, 1, **usage()), span(1, 1, **usage(1_000, 7)), span(1, 2)

    answer = spent(first, other, first, second, second)

    assert codes(answer) == {"duplicate_spans": 3, "differing_duplicates": 1}


def test_a_chat_without_usage_is_unknown_and_never_zero(
    span: Make, usage: Make, spent: Make
) -> None:
    failed = span(1, 3, **{"gen_ai.operation.name": "chat"}) | {"status": {"code": 2}}

    answer = spent(span(1, 1, **usage()), span(1, 2, **{"gen_ai.operation.name": "chat"}), failed)

    assert calls(answer) == (1, ONE_CALL)
    assert answer.totals.calls_without_usage == 1
    assert codes(answer) == {"calls_without_usage": 1, "failed_calls": 1}
