"""The dialect table as SQL reads what the library reads."""

import json
from collections.abc import Iterable
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otelbudget.audit.calls import build_model_calls
from otelbudget.genai import dialects, semconv
from otelbudget.genai.reading import COUNTS, NAMES, read_agent, read_call
from otelbudget.genai.usage import TokenUsage
from otelbudget.pricing.billing import UnknownModel, bill
from otelbudget.pricing.book import PriceBook
from otelbudget.store.spans import SpanRow
from otelbudget.store.store import Store

BOOK = PriceBook.load()
START = 1_790_000_000_000_000_000
TEXTS = [
    "gpt-4o",
    "gpt-5",
    "gemini-2.5-pro",
    "claude-sonnet-4-5",
    "openai",
    "anthropic",
    "LangChain",
    "chat",
    "LLM",
    "embeddings",
    "flex",
    "Priority",
    "unknown",
    "",
    'q"uote',
    "back\\slash",
    "Ünïcode",
]
SCOPES = ["", "app", "litellm", *dialects.CACHE_EXCLUSIVE_SCOPES, "openlit.otel.tracing.x"]

counts = st.one_of(
    st.integers(0, 2_000_000),
    st.integers(-2, 10**13),
    st.sampled_from(["12", "0", "007", "1_000", " 5 ", "NaN", "", "1e3", "many", "-1", "12.0"]),
    st.sampled_from([True, None, 1.5, 12.0, float(2**60)]),
)
documents = st.sampled_from(
    ["", "{", '{"input":5,"output":3}', '{"openai":{"responseId":"r"}}', '{"total":0.5}', "0"]
)
costs = st.one_of(
    st.floats(0, 100, allow_nan=False), st.sampled_from([0, 0.0, "0.25", "x", True, -1, 1e-9])
)


def values_of(field: str) -> st.SearchStrategy[Any]:
    if field.endswith("_document"):
        return documents
    if field == "reported_cost":
        return costs
    if field in (*NAMES, "currency"):
        return st.one_of(st.sampled_from(TEXTS), st.sampled_from([5, {"a": 1}, ["x"], None]))
    return counts


attributes = st.lists(
    st.one_of(
        st.sampled_from(sorted(dialects.FIELDS)).flatmap(
            lambda field: st.tuples(st.sampled_from(dialects.FIELDS[field]), values_of(field))
        ),
        st.sampled_from(COUNTS).flatmap(
            lambda field: st.tuples(st.just(dialects.FIELDS[field][0]), st.integers(0, 500_000))
        ),
        st.tuples(st.just(semconv.DECISION), st.sampled_from(["denied", "allowed"])),
        st.tuples(st.just(semconv.REQUEST_MODEL), st.sampled_from(TEXTS)),
        st.tuples(st.just("span.type"), st.just("x")),
    ),
    max_size=12,
).map(dict)
span_attributes = st.lists(st.tuples(attributes, st.sampled_from(SCOPES)), min_size=1, max_size=40)


def row_of(number: int, attributes: dict[str, Any], scope_name: str) -> SpanRow:
    """A root span of its own trace, so that nothing repeats it."""
    empty: dict[str, Any] = dict.fromkeys(SpanRow._fields)
    return SpanRow(
        **empty
        | {
            "trace_id": f"{number:032x}",
            "span_id": f"{number:016x}",
            "name": "span",
            "kind": 1,
            "start_time_unix_nano": START + number,
            "end_time_unix_nano": START + number + 10,
            "status_code": 0,
            "attributes": msgspec.json.encode(attributes).decode(),
            "resource_attributes": "{}",
            "scope_name": scope_name,
        }
        | {field: 0 for field in SpanRow._fields if field.startswith(("dropped", "scope_dropped"))}
        | {"resource_dropped_attributes_count": 0}
    )


def expected(number: int, attributes: dict[str, Any], scope_name: str) -> tuple[Any, ...] | None:
    """The row of the table of model calls that the library makes of a span."""
    if attributes.get(semconv.DECISION) == semconv.Decision.DENIED:
        return None
    start = START + number
    call = read_call(
        attributes,
        scope_name=scope_name,
        start_time_unix_nano=start,
        end_time_unix_nano=start + 10,
    )
    if call is None:
        return None
    usage = call.usage or TokenUsage(0, 0)
    charge = bill(call, BOOK, UnknownModel.ALLOW)
    return (
        number,
        call.usage is not None,
        call.operation,
        call.provider,
        call.model,
        call.service_tier,
        call.conversation,
        call.user,
        read_agent(attributes),
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_input_tokens,
        usage.cache_write_input_tokens,
        usage.reasoning_output_tokens,
        usage.cache_write_1h_input_tokens,
        usage.audio_input_tokens,
        usage.web_searches,
        str(call.cache_rule),
        charge.list_cost_pusd,
        None if charge.confidence is None else str(charge.confidence),
        None if call.reported_cost_usd is None else float(call.reported_cost_usd),
    )


COLUMNS = """
    span_row, has_usage, operation, provider, model, service_tier, conversation,
    "user", agent, input_tokens, output_tokens, cache_read_input_tokens, cache_write_input_tokens,
    reasoning_output_tokens, cache_write_1h_input_tokens, audio_input_tokens, web_searches,
    cache_rule, list_cost_pusd, confidence, reported_cost_usd::double
"""


def read_by_sql(spans: Iterable[tuple[dict[str, Any], str]]) -> tuple[list[tuple[Any, ...]], int]:
    store = Store()
    store.append([row_of(number, *span) for number, span in enumerate(spans)])
    faults = build_model_calls(store, BOOK)
    rows = store.rows(f"select {COLUMNS} from model_calls order by span_row")  # noqa: S608 - ours
    store.close()
    return rows, faults


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(span_attributes)
def test_sql_reads_and_prices_what_the_library_does(
    spans: list[tuple[dict[str, Any], str]],
) -> None:
    spans = [  # each an own call: twins are another matter
        ({key: _apart(key, value, number) for key, value in attributes.items()}, scope_name)
        for number, (attributes, scope_name) in enumerate(spans)
    ]
    rows, _ = read_by_sql(spans)

    decoded = [(json.loads(msgspec.json.encode(attributes)), scope) for attributes, scope in spans]
    calls = (expected(number, *span) for number, span in enumerate(decoded))
    assert rows == [call for call in calls if call is not None]


def _apart(key: str, value: Any, number: int) -> Any:
    if not isinstance(value, str) or value in dialects.UNNAMED:
        return value
    if key in dialects.FIELDS["response_document"]:
        return value.replace('"r"', f'"r{number}"')
    return f"{value}-{number}" if key in dialects.FIELDS["response_id"] else value


def test_every_attribute_that_makes_a_call_is_looked_at() -> None:
    telling = ("operation", "input", "output", "usage_document", "agent")
    bare = {"span.type", *dialects.ONLY_WITH}
    missed = [
        key
        for field in telling
        for key in dialects.FIELDS[field]
        if key not in bare and not any(part in key for part in dialects.PARTS_OF_ATTRIBUTES)
    ]

    assert missed == []
