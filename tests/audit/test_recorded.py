"""What live runs wrote beside calls: refused attempts, tools, raised limits and what was held."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from budget_audit.loading import load
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from otelbudget import Budget, DuckDBSpanExporter
from otelbudget.audit.happenings import Recording
from otelbudget.audit.outcomes import Replay
from otelbudget.audit.recorded import recorded
from otelbudget.audit.replay import replay
from otelbudget.budgets.config import Budgets
from otelbudget.budgets.decisions import Hold
from otelbudget.pricing.billing import UnknownModel

Read = Callable[..., Recording]
CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
}
START = "otelbudget.call.start_time_unix_nano"
AT = 1_793_577_600 * 10**9


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Writes one span with events through the SDK, and reads it back for some budgets."""
    store = tmp_path / "spans.duckdb"

    def read(
        *budgets: Budget,
        events: list[tuple[str, int, dict[str, Any]]],
        attributes: dict[str, Any] | None = None,
    ) -> Recording:
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(DuckDBSpanExporter(store)))
        span = provider.get_tracer("app").start_span("s", start_time=AT, attributes=attributes)
        for name, at, told in events:
            span.add_event(name, {START: AT + at, **told}, timestamp=AT + at)
        span.end(AT + 10**9)
        provider.shutdown()
        loaded = load([str(store)])
        return recorded(loaded.store, loaded.book, budgets, UnknownModel.CEILING)

    return read


def denied(at: int, **told: Any) -> tuple[str, int, dict[str, Any]]:
    return "otelbudget.denied", at, {**CHAT, "otelbudget.decision": "denied", **told}


def by(recording: Recording, *budgets: Budget) -> Replay:
    return replay(recording, Budgets(budgets))


def test_a_refused_attempt_is_refused_again_or_of_unknown_usage(read: Read) -> None:
    closed, wide = Budget(calls=1), Budget(calls=9)
    recording = read(closed, events=[denied(1), denied(2)])

    first, second = by(recording, closed), by(recording, wide)

    assert (first.calls, first.calls_denied, first.attempts_unknown) == (2, 1, 1)
    assert (second.calls, second.calls_denied, second.attempts_unknown) == (2, 0, 2)


def test_attempts_beyond_the_events_are_counted(read: Read) -> None:
    budget = Budget(calls=0)
    recording = read(
        budget, events=[denied(1), denied(2)], attributes={"otelbudget.denied.count": 50}
    )

    assert by(recording, budget).calls_denied == 50


def test_a_refused_check_is_no_attempt(read: Read) -> None:
    check = ("otelbudget.denied", 1, {"otelbudget.decision": "denied"})

    assert read(Budget(calls=0), events=[check]).calls == []


def test_what_was_held_is_held_again(read: Read) -> None:
    estimates = {
        "otelbudget.estimated_cost_usd": "0.25",
        "otelbudget.estimated_input_tokens": 7,
        "otelbudget.estimated_output_tokens": 9,
    }
    budget = Budget(cost_usd="0.2", reserve=True)
    recording = read(budget, events=[denied(1, **estimates)])

    [call] = recording.calls
    assert call.hold == Hold(250_000_000_000, 16, 7, 9)
    assert (by(recording, budget).calls_denied, recording.estimates_assumed) == (1, 0)


def test_what_nobody_recorded_is_assumed_and_counted(read: Read) -> None:
    told = {**CHAT, "otelbudget.call.id": "1", "gen_ai.usage.input_tokens": 1_000}
    event = ("otelbudget.call", 5, {**told, "gen_ai.usage.output_tokens": 10})
    recording = read(Budget(cost_usd=1, reserve=True), events=[event])

    [call] = recording.calls
    # gpt-4o: 1,000 tokens at 2.50 USD/Mtok and 4,096 at 10 USD/Mtok = 0.0025 + 0.04096 USD.
    assert call.hold == Hold(43_460_000_000, 5_096, 1_000, 4_096)
    assert recording.estimates_assumed == 1


def test_a_call_of_unknown_usage_counts_at_its_estimate(read: Read) -> None:
    estimates = {"otelbudget.estimated_cost_usd": "0.25", "otelbudget.estimated_input_tokens": 7}
    event = ("otelbudget.call", 5, {**CHAT, "otelbudget.call.id": "1", **estimates})
    budget = Budget(cost_usd=1)

    result = by(read(budget, events=[event]), budget)

    assert (result.calls, result.spent_pusd, result.estimated_pusd) == (1, 0, 250_000_000_000)


def test_a_call_that_cannot_have_been_billed_is_given_back(read: Read) -> None:
    told = {**CHAT, "otelbudget.call.id": "1", "otelbudget.call.released": True}
    budget = Budget(calls=1)

    result = by(read(budget, events=[("otelbudget.call", 5, told), denied(9)]), budget)

    assert (result.calls, result.calls_denied, result.attempts_unknown) == (1, 0, 1)


def test_tools_are_counted_by_spans_and_events_and_refused_by_name(read: Read) -> None:
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}
    budget = Budget(tool_calls_by_name={"search": 2})
    events = [
        ("otelbudget.tool", 5, {"gen_ai.tool.name": "search"}),
        ("otelbudget.tool", 6, {"gen_ai.tool.name": "read"}),
        ("otelbudget.denied", 7, tool),
    ]

    result = by(read(budget, events=events, attributes=tool), budget)

    assert (result.tool_calls_denied, result.calls_denied) == (1, 0)
    assert [(limit.tool, limit.scopes_reached) for limit in result.limits] == [("search", 1)]


def test_a_raised_limit_is_raised_at_its_time(read: Read) -> None:
    budget = Budget(calls=1, name="b")
    raised = {
        "otelbudget.budget": "b",
        "otelbudget.limit.kind": "calls",
        "otelbudget.extended.by": "1",
    }
    events = [denied(1), denied(2), ("otelbudget.extended", 3, raised), denied(4), denied(5)]

    assert by(read(budget, events=events), budget).calls_denied == 2  # at 2 and 5


def test_a_call_that_wraps_up_passes_with_grace(read: Read) -> None:
    budget = Budget(calls=0, grace=1)
    wrap_up = {"otelbudget.wrap_up": True}
    recording = read(budget, events=[denied(1, **wrap_up), denied(2, **wrap_up), denied(3)])

    assert by(recording, budget).calls_denied == 2


def test_a_call_known_to_be_free_passes_a_used_up_money_limit(read: Read) -> None:
    free = {"gen_ai.provider.name": "ollama", "gen_ai.request.model": "llama3.2:3b"}
    budget = Budget(cost_usd=0)

    assert by(read(budget, events=[denied(1, **free), denied(2)]), budget).calls_denied == 1
