"""What may have been spent for nothing: each finding where it is true, and none where it is not."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from budget_audit.loading import Loaded

from otelbudget.audit.findings import Finding, findings

Make = Callable[..., Any]
SECOND = 10**9
# gpt-4o: 2.50 and 10 USD/Mtok: 1,000 * 2.50 + 100 * 10 = 3,500 micro-USD a call.
CALL_PUSD = 3_500_000_000
ASKED = "gen_ai.input.messages"


@pytest.fixture
def found(
    counted: Callable[..., Loaded], span: Make, usage: Make
) -> Callable[..., dict[str, Finding]]:
    """The findings, by code, of calls one after another below one root; each is what it tells."""

    def found(*calls: dict[str, Any], every: int = 2) -> dict[str, Finding]:
        spans = [span(1, 1, at=(0, 1_000 * SECOND), name="root")]
        for number, told in enumerate(calls):
            start = told.pop("start", number * every) * SECOND
            is_failed = told.pop("is_failed", False)
            made = span(1, 2 + number, 1, at=(start, start + SECOND), **{**usage(), **told})
            if is_failed:
                made["status"] = {"code": 2}
                made["attributes"] = [
                    each for each in made["attributes"] if "usage" not in each["key"]
                ]
            spans.append(made)
        loaded = counted(spans)
        return {each.code: each for each in findings(loaded.store, loaded.book)}

    return found


def test_equal_content_is_a_call_made_again(found: Make) -> None:
    """Three calls ask the same, the first is needed; their answers differ in length."""
    codes = found(*({ASKED: "same", "gen_ai.usage.output_tokens": 100 + n} for n in range(3)))

    repeated = codes["repeated_calls"]

    assert (repeated.count, repeated.severity) == (2, "warn")
    # Two answers of 101 and 102 tokens: 2 * 2,500 + 203 * 10 micro-USD.
    assert repeated.amount_pusd == 2 * 2_500_000_000 + 203 * 10_000_000
    assert "by equal content" in repeated.text
    assert "no_content" not in codes


def test_other_content_is_none_whatever_the_tokens(found: Make) -> None:
    assert "repeated_calls" not in found(*({ASKED: f"item {n}"} for n in range(3)))


def test_without_content_equal_tokens_in_a_row_are_told_as_likely(found: Make) -> None:
    codes = found({}, {})

    assert (codes["repeated_calls"].count, codes["repeated_calls"].severity) == (1, "info")
    assert codes["repeated_calls"].amount_pusd == CALL_PUSD
    assert "so they may differ" in codes["repeated_calls"].text
    assert codes["no_content"].count == 2


def test_a_growing_history_is_no_repetition(found: Make) -> None:
    codes = found(*({"gen_ai.usage.input_tokens": 1_000 + 50 * n} for n in range(9)))

    assert not {"repeated_calls", "loops", "retries"} & codes.keys()


def test_equal_tokens_with_other_calls_between_are_no_repetition(found: Make) -> None:
    other = {"gen_ai.usage.input_tokens": 7}

    assert "repeated_calls" not in found({}, {**other}, {}, {**other}, {})


def test_samples_that_are_asked_for_at_once_are_no_repetition(found: Make) -> None:
    codes = found(*({"start": 0, ASKED: "same"} for _ in range(6)))

    assert not {"repeated_calls", "loops"} & codes.keys()


def test_five_equal_calls_without_error_are_a_loop(found: Make) -> None:
    codes = found(*({ASKED: "same"} for _ in range(5)))

    assert (codes["loops"].count, codes["loops"].amount_pusd) == (1, 4 * CALL_PUSD)
    assert "repeated_calls" not in codes


def test_four_equal_calls_are_no_loop(found: Make) -> None:
    codes = found(*({ASKED: "same"} for _ in range(4)))

    assert "loops" not in codes
    assert codes["repeated_calls"].count == 3


def test_rounds_of_samples_are_made_again_and_no_loop(found: Make) -> None:
    """Two rounds of five at once: the second is made again, but only two calls follow each other."""
    codes = found(*({"start": 3 * (n // 5), ASKED: "same"} for n in range(10)))

    assert "loops" not in codes
    assert (codes["repeated_calls"].count, codes["repeated_calls"].amount_pusd) == (
        5,
        5 * CALL_PUSD,
    )


def test_five_rounds_of_samples_are_a_loop(found: Make) -> None:
    """Five rounds of two: eight calls are made again."""
    codes = found(*({"start": 3 * (n // 2), ASKED: "same"} for n in range(10)))

    assert (codes["loops"].count, codes["loops"].amount_pusd) == (1, 8 * CALL_PUSD)
    assert "repeated_calls" not in codes


@pytest.mark.parametrize(("start", "count"), [(301, 1), (302, None)])
def test_without_content_a_retry_begins_within_five_minutes(
    start: int, count: int | None, found: Make
) -> None:
    """The failed call ends at second 1."""
    codes = found({"is_failed": True}, {"start": start})

    assert (codes["retries"].count if "retries" in codes else None) == count


def test_with_content_a_retry_may_come_late_and_after_another_call(found: Make) -> None:
    codes = found(
        {"is_failed": True, ASKED: "first"}, {ASKED: "second"}, {"start": 900, ASKED: "first"}
    )

    assert codes["retries"].count == 1


def test_a_call_after_a_failed_one_is_a_retry(found: Make) -> None:
    codes = found({"is_failed": True}, {"is_failed": True}, {})

    assert codes["retries"].count == 2
    assert codes["retries"].amount_pusd is None
    assert not {"repeated_calls", "loops"} & codes.keys()


def test_another_question_after_a_failed_one_is_no_retry(found: Make) -> None:
    codes = found({"is_failed": True, ASKED: "first"}, {ASKED: "second"})

    assert "retries" not in codes


def cached(read: int, tokens: int = 4_000) -> dict[str, Any]:
    return {
        "gen_ai.usage.input_tokens": tokens,
        "gen_ai.usage.cache_read.input_tokens": read,
    }


def test_a_call_that_reads_nothing_between_two_that_do_missed_the_cache(found: Make) -> None:
    """2,048 tokens at 1.25 USD/Mtok less than 2.50 USD/Mtok."""
    codes = found(cached(2_048), cached(0, 4_100), cached(3_072, 4_200))

    assert (codes["cache_misses"].count, codes["cache_misses"].amount_pusd) == (
        1,
        2_048 * 1_250_000,
    )


@pytest.mark.parametrize(
    "calls",
    [
        pytest.param([cached(0), cached(0, 4_100), cached(2_048, 4_200)], id="was-not-there-yet"),
        pytest.param([cached(2_048), cached(0, 4_100)], id="nothing-tells-that-it-was-kept"),
        pytest.param([cached(2_048), cached(0, 1_500), cached(2_048, 4_100)], id="too-small"),
        pytest.param([cached(512), cached(0, 4_100), cached(512, 4_200)], id="below-the-minimum"),
    ],
)
def test_what_may_not_have_been_in_the_cache_is_no_miss(calls: Any, found: Make) -> None:
    assert "cache_misses" not in found(*({**call} for call in calls))


def test_a_cache_is_not_expected_to_hold_for_longer_than_five_minutes(found: Make) -> None:
    assert "cache_misses" not in found(
        cached(2_048), cached(0, 4_100), cached(3_072, 4_200), every=400
    )


def messages(count: int) -> dict[str, Any]:
    """A history whose messages hold 4,000 bytes each, stored as hashes."""
    return {f"gen_ai.prompt.{n}.content": f"{n:04}" * 1_000 for n in range(count)}


def one_list(count: int) -> dict[str, Any]:
    """The same in one attribute."""
    texts = [{"role": "user", "content": f"{n:04}" * 1_000} for n in range(count)]
    return {"gen_ai.input.messages": json.dumps(texts)}


@pytest.mark.parametrize("messages", [messages, one_list])
def test_a_history_that_begins_alike_and_reads_no_cache_is_a_miss(
    found: Make, messages: Callable[[int], dict[str, Any]]
) -> None:
    """The second call of 4,000 tokens repeats 3 of its 4 messages: 3,000 tokens at 1.25 USD/Mtok."""
    codes = found(
        {**messages(3), "gen_ai.usage.input_tokens": 3_000},
        {**messages(4), "gen_ai.usage.input_tokens": 4_000},
    )

    assert (codes["cache_misses"].count, codes["cache_misses"].amount_pusd) == (
        1,
        3_000 * 1_250_000,
    )


def test_lists_that_begin_otherwise_are_no_miss(found: Make) -> None:
    other = json.loads(one_list(4)["gen_ai.input.messages"])
    other[0]["content"] = "x" * 4_000

    codes = found(
        {**one_list(3), "gen_ai.usage.input_tokens": 3_000},
        {"gen_ai.input.messages": json.dumps(other), "gen_ai.usage.input_tokens": 4_000},
    )

    assert "cache_misses" not in codes


def test_a_history_with_another_first_message_is_no_miss(found: Make) -> None:
    other = {**messages(4), "gen_ai.prompt.0.content": "x" * 4_000}

    codes = found(
        {**messages(3), "gen_ai.usage.input_tokens": 3_000},
        {**other, "gen_ai.usage.input_tokens": 4_000},
    )

    assert "cache_misses" not in codes


def test_a_tiny_answer_of_a_dear_model_says_what_the_small_one_costs(found: Make) -> None:
    """1,000 tokens at 2.50 - 0.15 and 16 at 10 - 0.60 USD/Mtok."""
    codes = found({"gen_ai.usage.output_tokens": 16}, {"gen_ai.usage.output_tokens": 17})

    tiny = codes["dear_tiny_answers"]

    assert (tiny.count, tiny.amount_pusd) == (1, 1_000 * 2_350_000 + 16 * 9_400_000)
    assert "gpt-4o-mini for gpt-4o" in tiny.text


@pytest.mark.parametrize("model", ["gpt-4o-mini", "nobody-knows"])
def test_a_model_without_a_smaller_one_is_not_dear(model: str, found: Make) -> None:
    codes = found({"gen_ai.usage.output_tokens": 3, "gen_ai.request.model": model})

    assert "dear_tiny_answers" not in codes


@pytest.mark.parametrize(("told_stream", "count"), [(True, 1), (False, 0)])
def test_a_stream_without_usage_is_told_apart(
    told_stream: object, count: int, counted: Callable[..., Loaded], span: Make
) -> None:
    told = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "gpt-4o",
        "llm.is_streaming": told_stream,
    }
    loaded = counted([span(1, 1, **told)])
    codes = {each.code: each.count for each in findings(loaded.store)}

    assert codes["calls_without_usage"] == 1
    assert codes.get("streams_without_usage", 0) == count
