"""What is billed counts once: gated calls, the spans that tell of them, and spans alone."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import OpenAI, RateLimitError
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Status, StatusCode, Tracer, set_span_in_context

import otelbudget
from otelbudget import Budget, BudgetExceededError, BudgetSpanProcessor
from otelbudget.testing import FakeProvider, Reply

Watch = Callable[..., BudgetSpanProcessor]
UsageOf = Callable[[BudgetSpanProcessor], tuple[int, int, int]]

TEN_CENTS_PUSD = 100_000_000_000
ONE_CALL = (1, 25_000, TEN_CENTS_PUSD)

MODEL = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
# gpt-4o: 2.50 USD/Mtok * 20_000 + 10 USD/Mtok * 5_000 = 0.10 USD
USAGE: dict[str, Any] = {
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 20_000,
    "gen_ai.usage.output_tokens": 5_000,
}
CHAT: dict[str, Any] = {"gen_ai.operation.name": "chat", **USAGE}
AGENT: dict[str, Any] = {"gen_ai.operation.name": "invoke_agent", **USAGE}


@pytest.fixture
def processor(watch: Watch) -> BudgetSpanProcessor:
    return watch(Budget(cost_usd=100))


@pytest.fixture
def library(provider: TracerProvider) -> Tracer:
    """A tracer of an instrumentation library that no gate covers."""
    return provider.get_tracer("openinference.instrumentation.langchain")


def _chat(client: OpenAI, **options: Any) -> Any:
    return client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": "hello"}], **options
    )


# Spans alone.


def test_a_span_of_an_instrumentation_that_no_gate_covers_is_charged_when_it_ends(
    processor: BudgetSpanProcessor, tracer: Tracer, library: Tracer, usage_of: UsageOf
) -> None:
    with tracer.start_as_current_span("run"), library.start_as_current_span("chat") as span:
        span.set_attributes(CHAT)

    assert usage_of(processor) == ONE_CALL


def test_a_span_of_ones_own_is_charged_when_it_ends(
    processor: BudgetSpanProcessor, tracer: Tracer, usage_of: UsageOf
) -> None:
    with tracer.start_as_current_span("chat", attributes=MODEL) as span:
        span.set_attributes(USAGE)

    assert usage_of(processor) == ONE_CALL


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_agent_spans_that_repeat_their_children_count_nothing(
    processor: BudgetSpanProcessor,
    tracer: Tracer,
    library: Tracer,
    usage_of: UsageOf,
    depth: int,
) -> None:
    open_spans = [tracer.start_span("run")]
    for _ in range(depth):
        parent = set_span_in_context(open_spans[-1])
        open_spans.append(library.start_span("agent", parent, attributes=AGENT))
    library.start_span("chat", set_span_in_context(open_spans[-1]), attributes=CHAT).end()
    for span in reversed(open_spans):
        span.end()

    assert usage_of(processor) == ONE_CALL


def test_an_agent_span_that_alone_carries_usage_counts(
    processor: BudgetSpanProcessor, library: Tracer, usage_of: UsageOf
) -> None:
    agent = library.start_span("agent", attributes=AGENT)
    library.start_span("tool", set_span_in_context(agent)).end()
    agent.end()

    assert usage_of(processor) == ONE_CALL


def test_a_model_span_without_usage_is_a_call_of_unknown_usage(
    processor: BudgetSpanProcessor, library: Tracer, usage_of: UsageOf
) -> None:
    library.start_span("chat", attributes=MODEL).end()

    assert usage_of(processor) == (1, 0, 0)


def test_a_failed_model_span_without_usage_is_no_call(
    processor: BudgetSpanProcessor, tracer: Tracer, library: Tracer, usage_of: UsageOf
) -> None:
    failed = Status(StatusCode.ERROR)
    with tracer.start_as_current_span("run"):
        for each in (tracer, library):
            with each.start_as_current_span("chat", attributes=MODEL) as span:
                span.set_status(failed)

    assert usage_of(processor) == (0, 0, 0)


def test_own_spans_inside_each_other_are_one_call(
    processor: BudgetSpanProcessor, tracer: Tracer, usage_of: UsageOf
) -> None:
    with (
        tracer.start_as_current_span("ask", attributes=MODEL) as outer,
        tracer.start_as_current_span("send", attributes=MODEL) as inner,
    ):
        inner.set_attributes(USAGE)
        outer.set_attributes(USAGE)

    assert usage_of(processor) == ONE_CALL


# Gated calls and the spans around them.


@pytest.mark.usefixtures("instrumented")
def test_the_instrumentations_span_of_a_gated_call_counts_nothing(
    processor: BudgetSpanProcessor, tracer: Tracer, client: OpenAI, usage_of: UsageOf
) -> None:
    with tracer.start_as_current_span("run"):
        _chat(client)

    assert usage_of(processor) == ONE_CALL


def test_an_own_span_around_a_gated_call_counts_nothing(
    processor: BudgetSpanProcessor, tracer: Tracer, client: OpenAI, usage_of: UsageOf
) -> None:
    with tracer.start_as_current_span("chat", attributes=MODEL) as span:
        _chat(client)
        span.set_attributes(USAGE)

    assert usage_of(processor) == ONE_CALL


def test_own_spans_around_a_gated_call_hold_one_admission(
    watch: Watch, tracer: Tracer, client: OpenAI, usage_of: UsageOf
) -> None:
    """With a limit of one call neither the inner span nor the gate may ask for a second."""
    processor = watch(Budget(calls=1))
    with (
        tracer.start_as_current_span("ask", attributes=MODEL),
        tracer.start_as_current_span("send", attributes=MODEL),
    ):
        _chat(client)

    assert usage_of(processor) == ONE_CALL


def test_agent_spans_that_repeat_gated_calls_count_nothing(
    processor: BudgetSpanProcessor,
    tracer: Tracer,
    library: Tracer,
    client: OpenAI,
    usage_of: UsageOf,
) -> None:
    with tracer.start_as_current_span("run"), library.start_as_current_span("agent") as agent:
        _chat(client)
        _chat(client)
        agent.set_attributes(
            {**AGENT, "gen_ai.usage.input_tokens": 40_000, "gen_ai.usage.output_tokens": 10_000}
        )

    assert usage_of(processor) == (2, 50_000, 2 * TEN_CENTS_PUSD)


@pytest.mark.parametrize("attributes", [CHAT, USAGE, AGENT], ids=["chat", "none", "agent"])
def test_a_span_fills_in_the_usage_that_a_gate_could_not_read(
    processor: BudgetSpanProcessor,
    tracer: Tracer,
    client: OpenAI,
    usage_of: UsageOf,
    attributes: dict[str, Any],
) -> None:
    with tracer.start_as_current_span("run"), tracer.start_as_current_span("ask") as span:
        list(_chat(client, stream=True))  # without include_usage
        span.set_attributes(attributes)

    assert usage_of(processor) == ONE_CALL


def test_an_ancestor_fills_in_the_usage_that_a_gate_could_not_read(
    processor: BudgetSpanProcessor,
    tracer: Tracer,
    library: Tracer,
    client: OpenAI,
    usage_of: UsageOf,
) -> None:
    with (
        tracer.start_as_current_span("run"),
        library.start_as_current_span("agent", attributes=AGENT),
        library.start_as_current_span("chat", attributes=MODEL),
    ):
        list(_chat(client, stream=True))

    assert usage_of(processor) == ONE_CALL


def test_a_span_that_ends_before_its_stream_is_read_leaves_the_call_to_the_gate(
    processor: BudgetSpanProcessor,
    tracer: Tracer,
    client: OpenAI,
    usage_of: UsageOf,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with tracer.start_as_current_span("run"):
        with tracer.start_as_current_span("chat", attributes=MODEL):
            stream = _chat(client, stream=True, stream_options={"include_usage": True})
        list(stream)

    assert usage_of(processor) == ONE_CALL
    assert not caplog.messages


def test_a_fallback_after_a_refused_request_is_charged(
    processor: BudgetSpanProcessor,
    tracer: Tracer,
    ten_cents: FakeProvider,
    client: OpenAI,
    usage_of: UsageOf,
) -> None:
    """The request that got a 429 was not billed, so the span's usage is another provider's."""
    ten_cents.reply_with(Reply(status=429))
    with tracer.start_as_current_span("run"), tracer.start_as_current_span("ask") as span:
        with pytest.raises(RateLimitError):
            _chat(client)
        span.set_attributes(CHAT)

    assert usage_of(processor) == ONE_CALL


# Twins: spans of another branch or trace that tell of the same call.


def test_a_sibling_with_the_response_id_of_a_gated_call_counts_nothing(
    processor: BudgetSpanProcessor,
    tracer: Tracer,
    library: Tracer,
    client: OpenAI,
    usage_of: UsageOf,
) -> None:
    with tracer.start_as_current_span("run") as root:
        twin = library.start_span("chat", set_span_in_context(root))
        with tracer.start_as_current_span("step"):
            answer = _chat(client)
        twin.set_attributes({**CHAT, "gen_ai.response.id": answer.id})
        twin.end()

    assert usage_of(processor) == ONE_CALL


def test_a_span_of_another_trace_with_the_response_id_of_a_call_without_parent_counts_nothing(
    processor: BudgetSpanProcessor,
    tracer: Tracer,
    library: Tracer,
    client: OpenAI,
    usage_of: UsageOf,
) -> None:
    twin = library.start_span("chat", attributes=CHAT)
    with tracer.start_as_current_span("run"):
        answer = _chat(client)
    twin.set_attribute("gen_ai.response.id", answer.id)
    twin.end()

    assert usage_of(processor) == ONE_CALL


def test_a_span_with_another_response_id_is_another_call(
    processor: BudgetSpanProcessor,
    tracer: Tracer,
    library: Tracer,
    client: OpenAI,
    usage_of: UsageOf,
) -> None:
    with tracer.start_as_current_span("run") as root:
        twin = library.start_span("chat", set_span_in_context(root))
        with tracer.start_as_current_span("step"):
            _chat(client)
        twin.set_attributes({**CHAT, "gen_ai.response.id": "chatcmpl-another"})
        twin.end()

    assert usage_of(processor) == (2, 50_000, 2 * TEN_CENTS_PUSD)


def test_a_sibling_without_response_id_is_recognised_by_usage_and_time_once_per_scope(
    processor: BudgetSpanProcessor,
    tracer: Tracer,
    library: Tracer,
    client: OpenAI,
    usage_of: UsageOf,
) -> None:
    with tracer.start_as_current_span("run") as root:
        twins = [library.start_span("chat", set_span_in_context(root)) for _ in range(2)]
        with tracer.start_as_current_span("step"):
            _chat(client)
        for twin in twins:
            twin.set_attributes(CHAT)
            twin.end()

    assert usage_of(processor) == (2, 50_000, 2 * TEN_CENTS_PUSD)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"gen_ai.usage.input_tokens": 19_999}, id="other-usage"),
        pytest.param({"gen_ai.response.model": "gpt-4o-mini"}, id="other-model"),
    ],
)
def test_a_sibling_that_differs_is_another_call(
    processor: BudgetSpanProcessor,
    tracer: Tracer,
    library: Tracer,
    client: OpenAI,
    usage_of: UsageOf,
    change: dict[str, Any],
) -> None:
    with tracer.start_as_current_span("run") as root:
        twin = library.start_span("chat", set_span_in_context(root))
        with tracer.start_as_current_span("step"):
            _chat(client)
        twin.set_attributes({**CHAT, **change})
        twin.end()

    assert usage_of(processor)[0] == 2


def test_a_span_that_started_after_the_call_is_another_call(
    processor: BudgetSpanProcessor,
    tracer: Tracer,
    library: Tracer,
    client: OpenAI,
    usage_of: UsageOf,
) -> None:
    with tracer.start_as_current_span("run") as root, tracer.start_as_current_span("step"):
        _chat(client)
        start_ns = root.start_time + 10**9  # type: ignore[attr-defined]  # an SDK span has it
        twin = library.start_span("chat", set_span_in_context(root), start_time=start_ns)
        twin.set_attributes(CHAT)
        twin.end(end_time=start_ns + 1)

    assert usage_of(processor)[0] == 2


# Trees of spans.


@st.composite
def _trees(draw: st.DrawFn) -> list[tuple[int, int]]:
    """Spans in the order they start, as (index of the parent, tokens, 0 for none)."""
    size = draw(st.integers(1, 12))
    return [
        (draw(st.integers(0, index)), draw(st.sampled_from([0, 0, 1, 10, 100])))
        for index in range(size)
    ]


@given(tree=_trees(), data=st.data())
@settings(max_examples=150, deadline=None)
def test_only_the_innermost_usage_of_a_tree_is_charged(
    tree: list[tuple[int, int]], data: st.DataObject
) -> None:
    """Children end before their parents, otherwise in any order."""
    processor = BudgetSpanProcessor(Budget(tokens=10**9))
    provider = TracerProvider()
    provider.add_span_processor(processor)
    try:
        _end_in_any_order(provider, tree, data)
    finally:  # also where hypothesis gives an example up
        provider.shutdown()

    charged = sum(account.tokens for _, account in processor.engine.ledger.accounts())
    assert charged == _innermost(tree)
    assert not processor._accounting.links._traces  # noqa: SLF001 - nothing is left behind


def _end_in_any_order(
    provider: TracerProvider, tree: list[tuple[int, int]], data: st.DataObject
) -> None:
    tracer = provider.get_tracer("openinference.instrumentation.x")
    spans = [tracer.start_span("run")]
    for parent, used in tree:
        usage = {"gen_ai.usage.input_tokens": used, "gen_ai.usage.output_tokens": 0}
        attributes = {**AGENT, **usage} if used else {}
        context = set_span_in_context(spans[parent])
        spans.append(tracer.start_span("span", context, attributes=attributes))
    parents = [-1, *(parent for parent, _ in tree)]
    still_open = set(range(len(spans)))
    while still_open:
        with_children = {parents[index] for index in still_open}
        leaf = data.draw(st.sampled_from(sorted(still_open - with_children)))
        spans[leaf].end()
        still_open.remove(leaf)


def _innermost(tree: list[tuple[int, int]]) -> int:
    """Tokens of the spans that have usage and none below them."""
    covered = set()
    for index in range(len(tree), 0, -1):  # children come after their parents
        parent, used = tree[index - 1]
        if used or index in covered:
            covered.add(parent)
    return sum(used for index, (_, used) in enumerate(tree, 1) if index not in covered)


def test_spend_is_told_by_model(watch: Watch, tracer: Tracer, client: OpenAI) -> None:
    processor = watch(Budget(cost_usd="0.25"))
    with tracer.start_as_current_span("run"):
        for _ in range(3):
            _chat(client)
        with pytest.raises(BudgetExceededError) as refused:
            otelbudget.check()
        [(_, account)] = processor.engine.ledger.accounts()

    assert refused.value.facts.spent_by_model == {"gpt-4o": Decimal("0.30")}
    assert refused.value.breakdown["operation"] == {"chat": Decimal("0.30")}
    assert len(refused.value.last_calls) == 3
    assert account.spent_by_model == {"gpt-4o": 300_000_000_000}
