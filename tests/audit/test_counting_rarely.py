"""Counting once where it is rarely seen: the provider's own spans, borrowed ones, twins without id."""

from collections.abc import Callable
from typing import Any

import pytest
from budget_audit.loading import Loaded

from otelbudget.audit.spend import Spend, spend

Make = Callable[..., Any]
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}


@pytest.fixture
def spent(counted: Callable[..., Loaded]) -> Callable[..., Spend]:
    return lambda *spans: spend(counted(spans).store)


def counted_tokens(answer: Spend) -> tuple[int, int]:
    return answer.totals.model_calls, answer.totals.input_tokens


def codes(answer: Spend) -> dict[str, int]:
    """What was found and how often, but for the hint that no content was captured."""
    found = {finding.code: finding.count for finding in answer.findings}
    return {code: count for code, count in found.items() if code != "no_content"}


PLATFORM = "com.anthropic.claude-platform"


def test_what_the_providers_platform_tells_again_is_left_out(
    span: Make, usage: Make, spent: Make
) -> None:
    answer = spent(
        span(1, 1, **usage(1_000)),
        span(1, 2, 1, scope=PLATFORM, **usage(990)),
        span(2, 3, **usage(500, response_id="r")),
        span(2, 4, scope=PLATFORM, **usage(500, response_id="r")),
    )

    assert counted_tokens(answer) == (2, 1_500)


def test_what_only_the_providers_platform_tells_counts(
    span: Make, usage: Make, spent: Make
) -> None:
    answer = spent(span(1, 1), span(1, 2, 1, scope=PLATFORM, **usage(990)))

    assert counted_tokens(answer) == (1, 990)


def test_token_counting_is_no_call(span: Make, spent: Make) -> None:
    answer = spent(
        span(
            1,
            1,
            name="anthropic.messages.count_tokens",
            scope="com.anthropic.sdk.python",
            **{
                "gen_ai.provider.name": "anthropic",
                "gen_ai.request.model": "claude-sonnet-5",
                "anthropic.message.count_tokens.input_tokens": 77,
            },
        )
    )

    assert counted_tokens(answer) == (0, 0)
    assert answer.totals.calls_without_usage == 0


def test_a_call_on_its_callers_span_counts_beside_the_calls_below(
    span: Make, usage: Make, spent: Make
) -> None:
    answer = spent(
        span(1, 1, name="agent", **usage(1_000), **{"litellm.call_id": "c"}),
        span(1, 2, 1, scope="openinference.instrumentation.openai", **usage(200)),
    )

    assert counted_tokens(answer) == (2, 1_200)


@pytest.mark.parametrize("response_id", [None, "r"])
def test_a_call_on_its_callers_span_counts_once_where_the_sdk_below_tells_it_too(
    response_id: str | None, span: Make, usage: Make, spent: Make
) -> None:
    used = usage(1_000, response_id=response_id)
    answer = spent(
        span(1, 1, name="agent", **used, **{"litellm.call_id": "c"}),
        span(1, 2, 1, name="step"),
        span(1, 3, 2, name="chat", scope="openinference.instrumentation.openai", **used),
    )

    assert counted_tokens(answer) == (1, 1_000)


def test_litellms_own_span_repeats_what_is_below_it(span: Make, usage: Make, spent: Make) -> None:
    answer = spent(
        span(1, 1, scope="litellm", **usage(1_000), **{"litellm.call_id": "c"}),
        span(1, 2, 1, scope="litellm", **usage(1_000)),
    )

    assert counted_tokens(answer) == (1, 1_000)
    assert codes(answer) == {"repeated_usage": 1}


def embed(name: str, at: tuple[int, int], function: str = "f") -> dict[str, Any]:
    return {
        "name": name,
        "at": at,
        "scope": "ai",
        "ai.operationId": name,
        "ai.telemetry.functionId": function,
        "ai.usage.tokens": 10,
    }


def test_vercels_outer_and_inner_span_in_two_traces_count_once(span: Make, spent: Make) -> None:
    answer = spent(
        span(1, 1, **embed("ai.embed", (0, 100))),
        span(2, 2, **embed("ai.embed.doEmbed", (5, 95))),
        span(3, 3, **embed("ai.embed", (10**9, 2 * 10**9))),
        span(4, 4, **embed("ai.embed.doEmbed", (4 * 10**9, 5 * 10**9))),
        span(5, 5, **embed("ai.embed", (0, 100), "g")),
    )

    assert counted_tokens(answer) == (4, 40)
    assert codes(answer)["twin_calls"] == 1


def test_of_calls_without_usage_the_innermost_counts(span: Make, spent: Make) -> None:
    failed = span(2, 4, 3, scope="com.anthropic.sdk.python", **CHAT) | {"status": {"code": 2}}

    answer = spent(
        span(1, 1, scope="pydantic-ai", **CHAT),
        span(1, 2, 1, scope="com.anthropic.sdk.python", **CHAT),
        span(2, 3, scope="pydantic-ai", **CHAT),
        failed,
    )

    assert codes(answer)["calls_without_usage"] == 1
    assert codes(answer)["failed_calls"] == 1


def test_aggregates_that_disagree_are_told_with_what_they_exceed(
    span: Make, usage: Make, spent: Make
) -> None:
    answer = spent(
        span(1, 1, name="agent", **usage(3_000, 100)),
        span(1, 2, 1, **usage(1_000, 50)),
        span(1, 3, 1, **usage(1_000, 50)),
        span(2, 4, name="agent", **usage(1_000, 50)),
        span(2, 5, 4, **usage(1_000, 50)),
    )

    (finding,) = (each for each in answer.findings if each.code == "aggregates_differ")
    assert (finding.count, finding.trace_ids) == (1, (f"{1:032x}",))
    assert finding.amount_pusd == 1_000 * 2_500_000  # 1,000 tokens at 2.50 USD/Mtok
    (repeated,) = (each for each in answer.findings if each.code == "repeated_usage")
    # 3,000 and 1,000 tokens in at 2.50 USD/Mtok, 100 and 50 out at 10 USD/Mtok
    assert repeated.amount_pusd == 4_000 * 2_500_000 + 150 * 10_000_000


def test_a_cost_of_its_own_that_differs_is_told_with_by_how_much(
    span: Make, usage: Make, spent: Make
) -> None:
    # 1,000 in and 100 out of gpt-4o: 0.0035 USD
    answer = spent(
        span(1, 1, **usage(), **{"operation.cost": 0.0035}),
        span(2, 2, **usage(), **{"operation.cost": 0.0135}),
        span(3, 3, **usage(), **{"gen_ai.usage.cost": 0}),
        span(4, 4, **usage(), **{"operation.cost": 0}),
    )

    (finding,) = (each for each in answer.findings if each.code == "reported_cost_differs")
    assert (finding.count, finding.amount_pusd) == (2, 10_000_000_000 + 3_500_000_000)


def test_a_sampled_trace_stands_for_others(span: Make, usage: Make, spent: Make) -> None:
    sampled = span(1, 1, **usage()) | {"traceState": "ot=th:c"}

    answer = spent(sampled, span(2, 2, **usage()))

    (finding,) = (each for each in answer.findings if each.code == "sampled_traces")
    # th:c leaves out 12 of 16, so the trace of 0.0035 USD stands for three more
    assert (finding.count, finding.amount_pusd) == (1, 3 * 3_500_000_000)


def test_prices_say_how_sure_they_are(span: Make, usage: Make, spent: Make) -> None:
    answer = spent(
        span(1, 1, **usage()),
        span(2, 2, **usage(model="openai/gpt-4o")),
        span(3, 3, **usage(model="my-model")),
    )

    sure = {share.confidence: share.model_calls for share in answer.confidence}
    assert sure == {"exact": 1, "normalised": 1, "unknown": 1}


def test_conversations_and_users_are_keys(
    span: Make, usage: Make, counted: Callable[..., Loaded]
) -> None:
    loaded = counted(
        [span(1, 1, **usage(), **{"session.id": "s", "user.id": "u"}), span(1, 2, **usage())]
    )

    answer = spend(loaded.store, ("conversation", "user"))
    assert [group.key for group in answer.groups] == [
        {"conversation": "(none)", "user": "(none)"},
        {"conversation": "s", "user": "u"},
    ]
