"""One trace as a tree: what counts and what does not, and where a limit would have stopped it."""

from collections.abc import Callable
from typing import Any

import pytest

from otelbudget.audit import trace
from otelbudget.audit.recorded import recorded
from otelbudget.audit.spend import spend
from otelbudget.audit.stops import first_stop
from otelbudget.audit.trace import Node, TraceNotFoundError, find_trace, trace_tree
from otelbudget.budgets.config import Budget, Budgets
from otelbudget.pricing.billing import UnknownModel

Make = Callable[..., Any]
ID = f"{1:032x}"
KILO_PUSD = 2_500_000_000  # 1,000 tokens of gpt-4o at 2.50 USD per Mtok
DENIED = {"otelbudget.decision": "denied"}


def shown(nodes: Any) -> list[tuple[int, str, str | None]]:
    """Depth, name, and why it is not counted."""
    return [(node.depth, node.name, node.not_counted) for node in nodes]


@pytest.fixture
def tree(counted: Make) -> Callable[..., list[Node]]:
    """The nodes of trace 1."""
    return lambda *spans: list(trace_tree(counted(spans).store, ID).nodes)


def test_spans_come_below_their_parents_in_order_of_start(
    tree: Make, span: Make, usage: Make
) -> None:
    nodes = tree(
        span(1, 3, 1, name="second", at=(20, 30), **usage(1_000, 0)),
        span(1, 2, 1, name="first", at=(10, 15), **usage(1_000, 0)),
        span(1, 1, name="root", at=(0, 99), **{"gen_ai.agent.name": "writer"}),
        span(1, 4, 2, name="tool", at=(11, 12), **{"gen_ai.operation.name": "execute_tool"}),
    )

    assert shown(nodes) == [
        (0, "root", None),
        (1, "first", None),
        (2, "tool", None),
        (1, "second", None),
    ]
    assert [node.kind for node in nodes] == ["agent", "model call", "tool", "model call"]
    assert [node.running_pusd for node in nodes] == [None, KILO_PUSD, None, 2 * KILO_PUSD]
    assert [node.agent for node in nodes] == ["writer", "writer", None, "writer"]


def test_what_does_not_count_says_why(tree: Make, span: Make, usage: Make) -> None:
    nodes = tree(
        span(1, 1, name="agent", at=(0, 99), **usage(2_000, 0)),
        span(1, 2, 1, name="inner", at=(1, 9), **usage(2_000, 0, response_id="a")),
        span(1, 3, 1, name="twin", at=(1, 9), scope="other", **usage(2_000, 0, response_id="a")),
        span(1, 4, 1, name="denied", at=(20, 21), **usage(0, 0), **DENIED),
        span(1, 5, 1, name="silent", at=(30, 31), **usage(0, 0)),
        span(1, 6, 1, name="dear", at=(40, 41), **usage(10, 0, model="nobody-knows")),
    )

    told = {node.name: node.not_counted for node in nodes}
    assert told["agent"] == trace.AGGREGATE
    assert sorted([told["inner"] or "", told["twin"] or ""]) == ["", trace.TWIN]
    assert told["denied"] == trace.DENIED
    assert told["silent"] == trace.TOLD_ABOVE
    assert told["dear"] == trace.UNPRICED
    assert next(node for node in nodes if node.name == "agent").told_tokens == 2_000


def test_a_call_without_usage_is_told(tree: Make, span: Make, usage: Make) -> None:
    failed = span(1, 2, 1, name="failed", at=(2, 3), **usage(0, 0)) | {"status": {"code": 2}}

    nodes = tree(span(1, 1, at=(0, 9)), span(1, 3, 1, name="silent", **usage(0, 0)), failed)

    told = {node.name: node.not_counted for node in nodes}
    assert told == {"span": None, "silent": trace.WITHOUT_USAGE, "failed": trace.FAILED}


def test_a_twin_in_another_trace_is_named(counted: Make, span: Make, usage: Make) -> None:
    store = counted(
        [
            span(trace, 1, at=(0, 9), scope=f"s{trace}", **usage(1_000, 0, response_id="a"))
            for trace in (1, 2)
        ]
    ).store

    nodes = [trace_tree(store, f"{number:032x}").nodes[0] for number in (1, 2)]
    [twin] = [node for node in nodes if node.call is None]
    assert twin.not_counted is not None
    assert twin.not_counted.startswith(f"{trace.TWIN}, in trace 0000")


def test_orphans_circles_and_several_roots_do_not_break_it(
    tree: Make, span: Make, usage: Make
) -> None:
    nodes = tree(
        span(1, 1, name="root", at=(0, 99)),
        span(1, 2, name="other root", at=(1, 9)),
        span(1, 3, 77, name="orphan", at=(2, 9), **usage(1_000, 0)),
        span(1, 4, 6, name="circle", at=(3, 9)),
        span(1, 5, 4, name="circle 2", at=(4, 9), **usage(1_000, 0)),
        span(1, 6, 5, name="circle 3", at=(5, 9)),
    )

    assert len(nodes) == 6
    marks = {node.name: (node.depth, node.is_orphan, node.is_cut) for node in nodes}
    assert marks["orphan"] == (0, True, False)
    assert marks["circle"] == (0, False, True)
    assert marks["circle 3"] == (2, False, False)


def test_ten_thousand_spans_one_below_another(tree: Make, span: Make, usage: Make) -> None:
    deep = [span(1, 1 + n, n or None, at=(n, 99_999)) for n in range(10_000)]

    nodes = tree(*deep[:-1], span(1, 10_000, 9_999, at=(9_999, 99_999), **usage(1_000, 0)))

    assert [nodes[-1].depth, len(nodes)] == [9_999, 10_000]


def test_the_tree_adds_up_to_what_an_audit_says(counted: Make, span: Make, usage: Make) -> None:
    spans = [span(1, 1, at=(0, 99), **usage(5_000, 0))]
    spans += [span(1, 2 + n, 1, at=(n, n + 1), **usage(1_000 + n, n)) for n in range(20)]
    store = counted(spans).store

    calls = [call for call in trace_tree(store, ID).calls if call.has_usage]

    totals = spend(store).totals
    assert sum(call.list_cost_pusd or 0 for call in calls) == totals.list_cost_pusd
    assert sum(call.input_tokens for call in calls) == totals.input_tokens


def test_the_beginning_of_an_id_is_enough_where_it_is_the_only_one(
    counted: Make, span: Make
) -> None:
    store = counted([span(0xAB << 120, 1), span(0xAC << 120, 1), span(0xFF << 120, 1)]).store

    assert find_trace(store, "FF") == "ff" + "0" * 30
    with pytest.raises(TraceNotFoundError, match=r"^Several traces begin with 'a': ab0+, ac0+;"):
        find_trace(store, "a")
    with pytest.raises(
        TraceNotFoundError, match=r"^No trace of the 3 in these sources begins with 'fe'; "
    ):
        find_trace(store, "fe")


@pytest.fixture
def stop(counted: Make) -> Make:
    """Where budgets would have stopped trace 1."""

    def stop(spans: Any, *budgets: Budget) -> Any:
        store, _, book = counted(spans)
        recording = recorded(store, book, budgets, UnknownModel.ALLOW)
        return first_stop(recording, Budgets(budgets), ID)

    return stop


def calls_of(span: Make, usage: Make, trace: int, starts: range, **told: Any) -> list[Any]:
    """A root and calls of 1,000 tokens that start then."""
    root = span(trace, 1, at=(starts[0], 99_999), **told)
    return [
        root,
        *(span(trace, 2 + n, 1, at=(at, at + 5), **usage(1_000, 0)) for n, at in enumerate(starts)),
    ]


def test_the_first_call_that_a_limit_refuses_is_found(stop: Make, span: Make, usage: Make) -> None:
    """0.0025 USD each: after two calls 0.005 USD are used, so the third of five is refused."""
    spans = calls_of(span, usage, 1, range(0, 50, 10))

    found = stop(spans, Budget(name="run", per="trace", cost_usd="0.005"))

    assert (found.span_id, found.budget, found.limit) == (f"{4:016x}", "run", 2 * KILO_PUSD)
    assert (found.calls_before, found.calls_denied) == (2, 3)
    assert found.avoided_pusd == 3 * KILO_PUSD


def test_calls_that_are_free_are_not_among_those_refused(
    stop: Make, span: Make, usage: Make
) -> None:
    """After two of gpt-4o the limit is used up; a third is refused, one on the own machine passes."""
    free = usage(1_000, 0, model="llama3.2") | {"gen_ai.provider.name": "ollama"}
    spans = [*calls_of(span, usage, 1, range(0, 30, 10)), span(1, 9, 1, at=(40, 45), **free)]

    found = stop(spans, Budget(name="run", per="trace", cost_usd="0.005"))

    assert (found.calls_before, found.calls_denied) == (2, 1)
    assert found.avoided_pusd == KILO_PUSD


def test_nothing_is_refused_below_a_limit(stop: Make, span: Make, usage: Make) -> None:
    spans = calls_of(span, usage, 1, range(0, 50, 10))

    assert stop(spans, Budget(name="run", per="trace", calls=5)) is None


def test_a_limit_that_other_traces_use_up_stops_this_one(
    stop: Make, span: Make, usage: Make
) -> None:
    """Calls of both traces take turns: six of the tenant's seven fit, three of them in trace 1."""
    tenant = {"tenant.id": "acme"}
    spans = calls_of(span, usage, 1, range(0, 50, 10), **tenant)
    spans += calls_of(span, usage, 2, range(2, 50, 10), **tenant)

    found = stop(spans, Budget(name="day", per="tenant.id", calls=6))

    assert (found.calls_before, found.calls_denied) == (3, 2)
    assert found.scope == (("tenant.id", "acme"),)


@pytest.mark.parametrize("limit", range(1, 12))
def test_where_it_stops_is_where_a_plain_count_stops(
    stop: Make, span: Make, usage: Make, limit: int
) -> None:
    spans = calls_of(span, usage, 1, range(0, 100, 10))

    found = stop(spans, Budget(name="run", per="trace", calls=limit))

    assert (None if found is None else found.calls_before) == (limit if limit < 10 else None)
