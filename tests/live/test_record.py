"""Calls that the application has made by itself and records: counted once, live and in the audit."""

import logging
from collections.abc import Iterator
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from openai import OpenAI

import otelbudget
from otelbudget import (
    Budget,
    BudgetConfigError,
    BudgetExceededError,
)
from otelbudget.testing import FakeProvider
from tests.live.plain_http import COST, HELLO, Bench


@pytest.fixture
def client(fake_provider: FakeProvider) -> Iterator[OpenAI]:
    """A client that a gate covers; it gets the same answers."""
    with OpenAI(base_url=fake_provider.openai_base_url, api_key="none", max_retries=0) as made:
        yield made


RECORDS = {
    # 0.0025 + 0.001 USD
    "tokens": ({"model": "gpt-4o", "input_tokens": 1_000, "output_tokens": 100}, COST, 1_100),
    # 2.50 USD/Mtok * 200 + 1.25 * 800 + 10 * 100 = 0.0005 + 0.001 + 0.001 USD
    "caches": (
        {
            "model": "gpt-4o",
            "input_tokens": 1_000,
            "cache_read_input_tokens": 800,
            "output_tokens": 100,
            "reasoning_output_tokens": 50,
        },
        2_500_000_000,
        1_100,
    ),
    # Claude, whose API counts caches beside the input: 1 USD/Mtok * 200 + 0.10 * 800 + 5 * 100.
    "caches-beside": (
        {
            "model": "claude-haiku-4-5",
            "input_tokens": 200,
            "cache_read_input_tokens": 800,
            "output_tokens": 100,
        },
        780_000_000,
        1_100,
    ),
    "embeddings": (
        {"model": "text-embedding-3-small", "input_tokens": 1_000, "operation": "embeddings"},
        20_000_000,
        1_000,
    ),
    "cost-as-text": ({"model": "ocr", "cost_usd": "0.0125"}, 12_500_000_000, 0),
    "cost-as-decimal": ({"cost_usd": Decimal("0.000000000001")}, 1, 0),
    "cost-as-int": ({"model": "gpu", "cost_usd": 2}, 2_000_000_000_000, 0),
    "cost-and-tokens": (
        {"model": "gpt-4o", "input_tokens": 1_000, "output_tokens": 100, "cost_usd": "0.5"},
        500_000_000_000,
        1_100,
    ),
    "free": ({"model": "ocr", "cost_usd": 0}, 0, 0),
    "response": (
        {
            "model": "gpt-4o",
            "response": {"usage": {"prompt_tokens": 1_000, "completion_tokens": 100}},
        },
        COST,
        1_100,
    ),
    "response-names-model": (
        {
            "response": {
                "id": "x",
                "model": "gpt-4o",
                "usage": {"prompt_tokens": 1_000, "completion_tokens": 100},
            }
        },
        COST,
        1_100,
    ),
}


@pytest.mark.parametrize("has_span", [True, False], ids=["span", "no-span"])
@pytest.mark.parametrize(("stated", "cost_pusd", "tokens"), RECORDS.values(), ids=RECORDS)
@pytest.mark.usefixtures("global_provider")
def test_what_is_recorded_is_counted_live_and_in_the_audit(
    stated: dict[str, Any],
    cost_pusd: int,
    tokens: int,
    has_span: bool,  # noqa: FBT001 - a cell of the table
    bench: Bench,
) -> None:
    bench.watch(Budget(cost_usd=100))
    if has_span:
        with bench.run():
            otelbudget.record(**stated)
    else:
        otelbudget.record(**stated)
    account = bench.account

    assert account.tokens == tokens
    bench.assert_live_and_audit_say(cost_pusd, calls=1)


def test_a_record_is_never_refused_and_the_next_call_is(client: OpenAI, bench: Bench) -> None:
    processor = bench.watch(Budget(cost_usd="0.01"))
    with bench.run():
        otelbudget.record("ocr", cost_usd="0.01")
        otelbudget.record("ocr", cost_usd="0.01")
        with pytest.raises(BudgetExceededError):
            client.chat.completions.create(model="gpt-4o", messages=HELLO)
    [(_, account)] = processor.engine.ledger.accounts()

    assert (account.calls, account.cost_pusd) == (2, 20_000_000_000)
    assert bench.bill.request_count == 0


def test_without_a_processor_nothing_happens() -> None:
    otelbudget.record("gpt-4o", input_tokens=1)


def test_the_answer_of_a_gated_call_is_that_call(client: OpenAI, bench: Bench) -> None:
    bench.watch(Budget(calls=100))
    with bench.run():
        completion = client.chat.completions.create(model="gpt-4o", messages=HELLO)
        otelbudget.record(response=completion)
        otelbudget.record(
            "gpt-4o", response_id=completion.id, input_tokens=1_000, output_tokens=100
        )

    bench.assert_live_and_audit_say(COST, calls=1)


def test_what_a_gate_could_not_read_is_settled_by_its_record(client: OpenAI, bench: Bench) -> None:
    bench.watch(Budget(calls=100))
    with bench.run():
        # Nobody asks for the usage of the stream, so its events do not tell it.
        chunks = list(client.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True))
        otelbudget.record("gpt-4o", response_id=chunks[0].id, input_tokens=1_000, output_tokens=100)

    bench.assert_live_and_audit_say(COST, calls=1)


def test_a_span_with_the_same_response_id_is_the_same_call(bench: Bench) -> None:
    bench.watch(Budget(calls=100))

    def ask_in_span(*, is_recorded_inside: bool) -> None:
        with bench.provider.get_tracer("app").start_as_current_span("chat gpt-4o") as span:
            response = bench.ask()
            span.set_attributes(
                {
                    "gen_ai.operation.name": "chat",
                    "gen_ai.request.model": "gpt-4o",
                    "gen_ai.response.id": response["id"],
                    "gen_ai.usage.input_tokens": response["usage"]["prompt_tokens"],
                    "gen_ai.usage.output_tokens": response["usage"]["completion_tokens"],
                }
            )
            if is_recorded_inside:
                otelbudget.record(response=response)
        if not is_recorded_inside:
            otelbudget.record(response=response)

    with bench.run():
        ask_in_span(is_recorded_inside=True)
        ask_in_span(is_recorded_inside=False)

    bench.assert_live_and_audit_say(2 * COST, calls=2)


def test_a_response_that_is_recorded_twice_counts_once(bench: Bench) -> None:
    bench.watch(Budget(calls=100))
    with bench.run():
        response = bench.ask()
        otelbudget.record(response=response)
        otelbudget.record(response=response)
        otelbudget.record(response=bench.ask())

    bench.assert_live_and_audit_say(2 * COST, calls=2)


def test_two_records_without_an_id_are_two_calls(bench: Bench) -> None:
    bench.watch(Budget(calls=100))
    with bench.run():
        for _ in range(2):
            otelbudget.record("gpt-4o", input_tokens=1_000, output_tokens=100)

    bench.assert_live_and_audit_say(2 * COST, calls=2)


@pytest.mark.parametrize("is_returned", [True, False], ids=["returns-it", "returns-text"])
def test_a_record_inside_a_tracked_function_is_its_call(
    is_returned: bool,  # noqa: FBT001 - a cell of the table
    bench: Bench,
) -> None:
    bench.watch(Budget(calls=100, reserve=True))

    @otelbudget.track("gpt-4o")
    def ask() -> Any:
        response = bench.ask()
        otelbudget.record(response=response)
        return response if is_returned else "text"

    with bench.run():
        ask()

    bench.assert_live_and_audit_say(COST, calls=1)


def test_a_cost_beside_the_call_of_a_tracked_function_counts_too(bench: Bench) -> None:
    bench.watch(Budget(calls=100))

    @otelbudget.track("gpt-4o")
    def ask() -> Any:
        otelbudget.record("ocr", cost_usd="0.01")
        return bench.ask()

    with bench.run():
        ask()

    bench.assert_live_and_audit_say(10_000_000_000 + COST, calls=2)


def test_a_tracked_function_that_fails_after_its_record_is_not_charged_twice(bench: Bench) -> None:
    bench.watch(Budget(calls=100))

    @otelbudget.track("gpt-4o")
    def ask() -> None:
        otelbudget.record(response=bench.ask())
        raise KeyError("later")

    with bench.run(), pytest.raises(KeyError):
        ask()

    account = bench.account
    assert (account.calls, account.cost_pusd) == (1, COST)


def test_a_record_without_usage_counts_at_an_estimate_and_says_once_what_to_do(
    caplog: pytest.LogCaptureFixture, bench: Bench
) -> None:
    bench.watch(Budget(calls=100))
    with caplog.at_level(logging.WARNING, "otelbudget"), bench.run():
        otelbudget.record("gpt-4o", response="text")
        otelbudget.record("gpt-4o", response=object())
    account = bench.account

    assert account.calls == 2
    assert account.estimated_pusd == account.cost_pusd > 0
    [message] = [each.getMessage() for each in caplog.records]
    assert message == (
        "A call of model 'gpt-4o' was recorded without its usage. It counts as an estimated "
        "0.04096 USD; give otelbudget.record() the response, its tokens or cost_usd."
    )


@pytest.mark.parametrize(
    ("stated", "sentence"),
    [
        pytest.param(
            {"cost_usd": 0.5},
            "cost_usd: is 0.5; write US dollars as text, such as '0.25', so that they are exact",
            id="float",
        ),
        pytest.param(
            {"cost_usd": "-1"},
            "cost_usd: is '-1', allowed are 0 to 9223372 US dollars with at most twelve decimals",
            id="negative",
        ),
        pytest.param(
            {"input_tokens": -1},
            "input_tokens: is -1, allowed are whole numbers from 0 to 9223372036854775807",
            id="tokens",
        ),
    ],
)
def test_what_is_no_amount_is_an_error_of_one_sentence(
    stated: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(BudgetConfigError) as wrong:
        otelbudget.record("gpt-4o", **stated)

    assert str(wrong.value) == sentence


def test_an_object_with_usage_is_read_as_a_dict_is(bench: Bench) -> None:
    bench.watch(Budget(calls=100))
    usage = SimpleNamespace(input_tokens=1_000, output_tokens=100)
    with bench.run():
        otelbudget.record("claude-haiku-4-5", response=SimpleNamespace(usage=usage))

    # 1 USD/Mtok * 1_000 + 5 * 100 = 0.001 + 0.0005 USD
    assert bench.account.cost_pusd == 1_500_000_000
