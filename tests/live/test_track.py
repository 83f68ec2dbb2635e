"""Functions that call a model by plain HTTP: stopped, counted and audited as gated calls are."""

import asyncio
import json
import logging
import threading
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NamedTuple

import pytest
from openai import OpenAI

import otelbudget
from otelbudget import Budget, BudgetExceededError
from otelbudget.testing import Reply
from tests.live.plain_http import COST, HELLO, Bench, post, stream

CACHED = Reply(input_tokens=1_000, output_tokens=100, cache_read_input_tokens=800)
BEDROCK_HAIKU = "anthropic.claude-3-haiku-20240307-v1:0"


class Wire(NamedTuple):
    """A provider's wire format.

    Attributes:
        model: Model that is asked for.
        path: Path of the request.
        body: What is sent.
        cost_pusd: What `CACHED` costs, in pico-USD.
        reply: What is answered.
    """

    model: str
    path: str
    body: dict[str, Any]
    cost_pusd: int
    reply: Reply = CACHED


WIRES = {
    # 2.50 USD/Mtok * 200 + 1.25 * 800 + 10 * 100 = 0.0005 + 0.001 + 0.001 USD
    "openai-chat": Wire(
        "gpt-4o", "/v1/chat/completions", {"model": "gpt-4o", "messages": HELLO}, 2_500_000_000
    ),
    "openai-responses": Wire(
        "gpt-4o", "/v1/responses", {"model": "gpt-4o", "input": "hello"}, 2_500_000_000
    ),
    # 0.02 USD/Mtok * 1_000
    "openai-embeddings": Wire(
        "text-embedding-3-small",
        "/v1/embeddings",
        {"model": "text-embedding-3-small", "input": "hello"},
        20_000_000,
        Reply(input_tokens=1_000, output_tokens=0),
    ),
    # 1 USD/Mtok * 200 + 0.10 * 800 + 5 * 100 = 0.0002 + 0.00008 + 0.0005 USD
    "anthropic": Wire(
        "claude-haiku-4-5",
        "/v1/messages",
        {"model": "claude-haiku-4-5", "max_tokens": 100, "messages": HELLO},
        780_000_000,
    ),
    # 0.30 USD/Mtok * 200 + 0.03 * 800 + 2.50 * 100 = 0.00006 + 0.000024 + 0.00025 USD
    "gemini": Wire(
        "gemini-2.5-flash",
        "/v1beta/models/gemini-2.5-flash:generateContent",
        {"contents": [{"parts": [{"text": "hello"}]}]},
        334_000_000,
    ),
    # 0.25 USD/Mtok * 1_000 + 1.25 * 100 = 0.00025 + 0.000125 USD
    "bedrock": Wire(
        BEDROCK_HAIKU,
        f"/model/{BEDROCK_HAIKU}/converse",
        {"messages": [{"role": "user", "content": [{"text": "hello"}]}]},
        375_000_000,
        Reply(input_tokens=1_000, output_tokens=100),
    ),
}
any_wire = pytest.mark.parametrize("wire", WIRES.values(), ids=WIRES)


@any_wire
@pytest.mark.parametrize("has_span", [True, False], ids=["span", "no-span"])
@pytest.mark.usefixtures("global_provider")
def test_a_dict_of_any_provider_is_counted_as_it_is_billed(
    wire: Wire,
    has_span: bool,  # noqa: FBT001 - a cell of the table
    bench: Bench,
) -> None:
    bench.watch(Budget(cost_usd=100))
    bench.bill.reply_with(wire.reply)

    @otelbudget.track(model=wire.model)
    def ask() -> Any:
        return post(bench.bill.url + wire.path, wire.body)

    if has_span:
        with bench.run():
            ask()
            ask()
    else:
        ask()
        ask()

    bench.assert_all_say(2 * wire.cost_pusd, calls=2)


class Form(NamedTuple):
    """A kind of function, and how it is called to its end.

    Attributes:
        make: Makes it from what sends the request; what it gives in the end is in a list.
    """

    make: Callable[[Callable[[], Any]], Callable[[], list[Any]]]


def _plain(send: Callable[[], Any]) -> Callable[[], list[Any]]:
    ask = otelbudget.track("gpt-4o")(send)
    return lambda: [ask()]


def _bare(send: Callable[[], Any]) -> Callable[[], list[Any]]:
    ask = otelbudget.track(send)
    return lambda: [ask()]


def _in_tuple(send: Callable[[], Any]) -> Callable[[], list[Any]]:
    @otelbudget.track("gpt-4o")
    def ask() -> tuple[Any, float]:
        return send(), 0.1

    return lambda: [ask()[0]]


def _as_text(send: Callable[[], Any]) -> Callable[[], list[Any]]:
    @otelbudget.track("gpt-4o")
    def ask() -> str:
        return json.dumps(send())

    return lambda: [json.loads(ask())]


def _coroutine(send: Callable[[], Any]) -> Callable[[], list[Any]]:
    @otelbudget.track("gpt-4o")
    async def ask() -> Any:
        return await asyncio.to_thread(send)

    return lambda: [asyncio.run(ask())]


def _returns_coroutine(send: Callable[[], Any]) -> Callable[[], list[Any]]:
    async def ask() -> Any:
        return await asyncio.to_thread(send)

    @otelbudget.track("gpt-4o")
    def start() -> Any:
        return ask()

    async def wait() -> Any:
        return await start()

    return lambda: [asyncio.run(wait())]


def _generator(send: Callable[[], Any]) -> Callable[[], list[Any]]:
    @otelbudget.track("gpt-4o")
    def ask() -> Iterator[Any]:
        yield {"choices": [{"delta": {"content": "h"}}]}
        yield send()

    return lambda: list(ask())[1:]


def _returns_generator(send: Callable[[], Any]) -> Callable[[], list[Any]]:
    def answers() -> Iterator[Any]:
        yield send()

    @otelbudget.track("gpt-4o")
    def start() -> Any:
        return answers()

    return lambda: list(start())


def _async_generator(send: Callable[[], Any]) -> Callable[[], list[Any]]:
    @otelbudget.track("gpt-4o")
    async def ask() -> AsyncIterator[Any]:
        yield {"choices": [{"delta": {"content": "h"}}]}
        yield await asyncio.to_thread(send)

    async def drain() -> list[Any]:
        return [piece async for piece in ask()][1:]

    return lambda: asyncio.run(drain())


def _method(send: Callable[[], Any]) -> Callable[[], list[Any]]:
    class Agent:
        @otelbudget.track("gpt-4o")
        def ask(self) -> Any:
            return send()

    return lambda: [Agent().ask()]


FORMS = {
    "function": _plain,
    "bare": _bare,
    "tuple": _in_tuple,
    "text": _as_text,
    "coroutine": _coroutine,
    "returns-coroutine": _returns_coroutine,
    "generator": _generator,
    "returns-generator": _returns_generator,
    "async-generator": _async_generator,
    "method": _method,
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_kind_of_function_is_counted_and_refused(
    form: Callable[[Callable[[], Any]], Callable[[], list[Any]]], bench: Bench
) -> None:
    bench.watch(Budget(calls=2))
    ask = form(bench.ask)
    with bench.run():
        answers = [*ask(), *ask()]
        with pytest.raises(BudgetExceededError):
            ask()

    assert [answer["usage"]["prompt_tokens"] for answer in answers] == [1_000, 1_000]
    assert bench.bill.request_count == 2
    bench.assert_all_say(2 * COST, calls=2)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_without_a_processor_every_kind_of_function_is_what_it_was(
    form: Callable[[Callable[[], Any]], Callable[[], list[Any]]], bench: Bench
) -> None:
    [answer] = form(bench.ask)()

    assert answer["usage"]["prompt_tokens"] == 1_000


def test_a_decorated_function_keeps_its_name_and_its_arguments() -> None:
    @otelbudget.track("gpt-4o")
    def ask(prompt: str, *, times: int = 1) -> str:
        """Ask."""
        return prompt * times

    assert (ask.__name__, ask.__doc__) == ("ask", "Ask.")
    assert ask("a", times=2) == "aa"


def test_of_twenty_at_once_only_as_many_run_as_fit(bench: Bench) -> None:
    # 10 USD/Mtok * 10_000 = 0.10 USD of output each, and next to nothing of input.
    bench.bill.reply_with(Reply(10, 10_000))
    bench.watch(Budget(cost_usd="0.25", reserve=True))
    url = f"{bench.bill.openai_base_url}/chat/completions"
    # Nobody's call ends before everybody has asked.
    have_asked = threading.Barrier(3)

    @otelbudget.track("gpt-4o")
    async def ask(prompt: str, max_tokens: int) -> Any:
        await asyncio.to_thread(have_asked.wait, 30)
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": prompt}]}
        return await asyncio.to_thread(post, url, body | {"max_tokens": max_tokens})

    async def fan_out() -> list[object]:
        asked = [asyncio.create_task(ask("hello", 10_000)) for _ in range(20)]
        _, waiting = await asyncio.wait(asked, timeout=30, return_when=asyncio.FIRST_COMPLETED)
        while len(waiting) > 2:
            _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.to_thread(have_asked.wait, 30)
        answers: list[object] = list(await asyncio.gather(*asked, return_exceptions=True))
        return answers

    with bench.run():
        answers = asyncio.run(fan_out())

    assert sum(isinstance(answer, BudgetExceededError) for answer in answers) == 18
    assert bench.bill.request_count == 2
    # 2 * (2.50 USD/Mtok * 10 + 10 USD/Mtok * 10_000) = 2 * (0.000025 + 0.10) USD
    assert bench.account.cost_pusd == 200_050_000_000


def test_a_cap_in_the_arguments_or_in_a_body_among_them_bounds_what_is_held(bench: Bench) -> None:
    processor = bench.watch(Budget(cost_usd=100, reserve=True))
    held: list[int] = []

    def look() -> None:
        [(_, account)] = processor.engine.ledger.accounts()
        held.append(account.held_pusd // 10**10)

    @otelbudget.track("gpt-4o")
    def by_name(prompt: str, max_tokens: int = 10_000) -> None:  # noqa: ARG001 - what is asked
        look()

    @otelbudget.track
    def by_body(payload: dict[str, Any]) -> None:  # noqa: ARG001 - what is asked
        look()

    with bench.run():
        by_name("hello")  # 10 USD/Mtok * 10_000 = 0.10 USD
        by_name("hello", 20_000)  # 0.20 USD
        by_body({"model": "gpt-4o", "messages": HELLO, "max_tokens": 30_000})  # 0.30 USD

    assert held == [10, 20, 30]


@pytest.fixture
def client(bench: Bench) -> Iterator[OpenAI]:
    """A client that a gate covers; it gets the same answers."""
    with OpenAI(base_url=bench.bill.openai_base_url, api_key="none", max_retries=0) as made:
        yield made


def test_a_gated_call_inside_is_the_call_whatever_the_function_returns(
    client: OpenAI, bench: Bench
) -> None:
    processor = bench.watch(Budget(calls=100, reserve=True))
    most_at_once: list[int] = []

    def ask() -> Any:
        answer = client.chat.completions.create(model="gpt-4o", messages=HELLO)
        [(_, account)] = processor.engine.ledger.accounts()
        most_at_once.append(account.calls)
        return answer

    @otelbudget.track("gpt-4o")
    def returns_text() -> str | None:
        text: str | None = ask().choices[0].message.content
        return text

    @otelbudget.track("gpt-4o")
    def returns_response() -> Any:
        return ask()

    @otelbudget.track("gpt-4o")
    def makes_two() -> Any:
        ask()
        return ask().model_dump()

    with bench.run():
        returns_text()
        returns_response()
        makes_two()

    assert most_at_once == [1, 2, 3, 4]
    bench.assert_all_say(4 * COST, calls=4)


def test_a_hold_gives_way_to_that_of_the_gated_call(client: OpenAI, bench: Bench) -> None:
    # One answer of 0.10 USD fits, two do not.
    bench.bill.reply_with(Reply(10, 10_000))
    bench.watch(Budget(cost_usd="0.15", reserve=True))

    @otelbudget.track("gpt-4o")
    def ask(max_tokens: int) -> Any:
        return client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "hello"}], max_tokens=max_tokens
        )

    with bench.run():
        ask(10_000)
        with pytest.raises(BudgetExceededError):
            ask(10_000)

    assert bench.bill.request_count == 1


def test_parallel_gated_calls_inside_count_each(client: OpenAI, bench: Bench) -> None:
    bench.watch(Budget(calls=100))

    @otelbudget.track("gpt-4o")
    async def ask_three() -> str:
        create: Any = client.chat.completions.create
        calls = (asyncio.to_thread(create, model="gpt-4o", messages=HELLO) for _ in range(3))
        await asyncio.gather(*calls)
        return "done"

    with bench.run():
        asyncio.run(ask_three())

    bench.assert_all_say(3 * COST, calls=3)


def test_of_nested_tracked_functions_the_inner_one_counts(bench: Bench) -> None:
    bench.watch(Budget(calls=100, reserve=True))
    inner = otelbudget.track("gpt-4o")(bench.ask)
    outer = otelbudget.track("claude-haiku-4-5")(inner)
    with bench.run():
        outer()

    bench.assert_all_say(COST, calls=1)


@pytest.mark.usefixtures("global_provider")
def test_two_processors_each_count_it_once(bench: Bench) -> None:
    processors = [
        bench.watch(Budget(calls=100, name="one")),
        bench.watch(Budget(calls=100, name="two")),
    ]
    ask = otelbudget.track("gpt-4o")(bench.ask)
    ask()
    accounts = [bench.account for processor in processors]

    assert [account.calls for account in accounts] == [1, 1]
    bench.assert_all_say(COST, calls=1)


def test_a_stream_is_charged_before_its_last_event_is_handed_on(bench: Bench) -> None:
    processor = bench.watch(Budget(cost_usd=100))
    bench.bill.reply_with(Reply(input_tokens=1_000, output_tokens=100))
    costs: list[int] = []

    @otelbudget.track("gpt-4o")
    def ask() -> Iterator[str]:
        body = {"model": "gpt-4o", "messages": HELLO, "stream": True}
        yield from stream(
            f"{bench.bill.openai_base_url}/chat/completions",
            body | {"stream_options": {"include_usage": True}},
        )

    with bench.run():
        for line in ask():
            [(_, account)] = processor.engine.ledger.accounts()
            if '"usage":{' in line.replace(" ", "") or line == "data: [DONE]":
                costs.append(account.cost_pusd)

    assert costs == [COST, COST]


def test_a_dropped_stream_counts_at_its_estimate(bench: Bench) -> None:
    bench.watch(Budget(cost_usd=100))
    bench.bill.reply_with(Reply(input_tokens=1_000, output_tokens=100))

    @otelbudget.track("gpt-4o")
    def ask(max_tokens: int) -> Iterator[str]:
        body = {"model": "gpt-4o", "messages": HELLO, "stream": True, "max_tokens": max_tokens}
        yield from stream(f"{bench.bill.openai_base_url}/chat/completions", body)

    with bench.run():
        pieces = ask(10_000)
        next(pieces)
        pieces.close()  # type: ignore[attr-defined] # a generator
    account = bench.account

    # 10 USD/Mtok * 10_000 = 0.10 USD, and the bytes of the arguments as input.
    assert account.calls == 1
    assert 100_000_000_000 < account.cost_pusd < 101_000_000_000


def test_what_is_sent_into_a_generator_and_what_it_returns_pass_through(bench: Bench) -> None:
    bench.watch(Budget(calls=100))

    @otelbudget.track("gpt-4o")
    def echo() -> Any:
        got = yield 1
        try:
            yield got
        except KeyError:
            yield "caught"
        return {"usage": {"prompt_tokens": 1, "completion_tokens": 1}}

    with bench.run():
        pieces = echo()
        passed = [next(pieces), pieces.send(2), pieces.throw(KeyError("x"))]
        with pytest.raises(StopIteration) as end:
            next(pieces)

    assert passed == [1, 2, "caught"]
    assert end.value.value["usage"]["prompt_tokens"] == 1


def test_the_answer_that_a_generator_returns_is_read(bench: Bench) -> None:
    bench.watch(Budget(calls=100))

    @otelbudget.track("gpt-4o")
    def ask() -> Any:
        yield "h"
        return bench.ask()

    with bench.run():
        list(ask())

    assert bench.account.cost_pusd == COST


def test_unknown_usage_counts_at_an_estimate_and_says_once_what_to_do(
    caplog: pytest.LogCaptureFixture, bench: Bench
) -> None:
    bench.watch(Budget(cost_usd=100))

    @otelbudget.track("gpt-4o")
    def ask(max_tokens: int) -> str:
        return "text" * max_tokens

    with caplog.at_level(logging.WARNING, "otelbudget"), bench.run():
        ask(10_000)
        ask(10_000)
    account = bench.account
    [message] = [each.getMessage() for each in caplog.records if "tracked" in each.getMessage()]

    assert account.calls == 2
    assert account.estimated_pusd == account.cost_pusd
    assert 200_000_000_000 < account.cost_pusd < 201_000_000_000  # 2 * 0.10 USD and the input
    assert message.startswith(
        "A call of model 'gpt-4o' was tracked, but its function returned no usage. It counts as an "
        "estimated 0.1"
    )
    assert message.endswith(
        " USD; return the provider's response, or call otelbudget.record() with it."
    )


def _fails(status: int) -> Callable[[str], Any]:
    def ask(url: str) -> Any:
        return post(f"{url}/v1/chat/completions", {"model": "gpt-4o", "status": status})

    return ask


def _nobody_listens(_: str) -> Any:
    return post("http://127.0.0.1:9/v1/chat/completions", {})


def _breaks(_: str) -> Any:
    raise KeyError("answer")


@pytest.mark.parametrize(
    ("ask", "status", "calls"),
    [
        pytest.param(_fails(429), 429, 0, id="refused-by-provider"),
        pytest.param(_fails(500), 500, 1, id="server-error"),
        pytest.param(_nobody_listens, 200, 0, id="never-sent"),
        pytest.param(_breaks, 200, 1, id="after-the-answer"),
    ],
)
def test_a_function_that_fails_counts_unless_it_cannot_be_billed(
    ask: Callable[[str], Any], status: int, calls: int, bench: Bench
) -> None:
    bench.watch(Budget(calls=100))
    bench.bill.reply_with(Reply(status=status))
    tracked = otelbudget.track("gpt-4o")(ask)
    with bench.run(), suppress(KeyError, urllib.error.URLError):
        tracked(bench.bill.url)

    assert bench.account.calls == calls


def test_agent_and_operation_are_those_that_are_stated(bench: Bench) -> None:
    processor = bench.watch(Budget(cost_usd="0.003"))
    ask = otelbudget.track("gpt-4o", agent="writer", operation="draft")(bench.ask)
    with bench.run():
        ask()
        with pytest.raises(BudgetExceededError) as refused:
            ask()
    facts = refused.value.facts
    [(_, account)] = processor.engine.ledger.accounts()

    assert account.calls == 1
    assert [*facts.spent_by_agent] == ["writer"]
    assert [*facts.spent_by_operation] == ["draft"]


def test_a_share_of_an_agent_holds_for_its_tracked_calls(bench: Bench) -> None:
    bench.watch(Budget(calls=10, shares={"gen_ai.agent.name": {"writer": "0.2"}}))
    write = otelbudget.track("gpt-4o", agent="writer")(bench.ask)
    read = otelbudget.track("gpt-4o", agent="reader")(bench.ask)
    with bench.run():
        write()
        write()
        with pytest.raises(BudgetExceededError):
            write()
        read()


def test_calls_outside_any_trace_count_together(bench: Bench) -> None:
    bench.watch(Budget(calls=2))
    ask = otelbudget.track("gpt-4o")(bench.ask)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(ask).result()
    ask()
    with pytest.raises(BudgetExceededError):
        ask()

    assert bench.bill.request_count == 2


def test_a_span_inside_that_tells_usage_is_the_tracked_call(bench: Bench) -> None:
    bench.watch(Budget(calls=100))

    @otelbudget.track("gpt-4o")
    def returns_text() -> str:
        with bench.provider.get_tracer("app").start_as_current_span("chat gpt-4o") as span:
            usage = bench.ask()["usage"]
            span.set_attributes(
                {
                    "gen_ai.operation.name": "chat",
                    "gen_ai.request.model": "gpt-4o",
                    "gen_ai.usage.input_tokens": usage["prompt_tokens"],
                    "gen_ai.usage.output_tokens": usage["completion_tokens"],
                }
            )
        return "text"

    with bench.run():
        returns_text()

    bench.assert_all_say(COST, calls=1)


def test_an_error_of_a_later_refusal_is_not_charged(bench: Bench) -> None:
    bench.watch(Budget(calls=1))
    ask = otelbudget.track("gpt-4o")(bench.ask)

    @otelbudget.track("gpt-4o")
    def checks_first() -> Any:
        otelbudget.check()
        return bench.ask()

    with bench.run():
        ask()
        with pytest.raises(BudgetExceededError):
            checks_first()

    assert bench.account.calls == 1
