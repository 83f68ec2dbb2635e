"""What the runs of a workflow use: counted by hand."""

from collections.abc import Callable
from typing import Any

import pytest
from budget_audit.loading import Loaded

from otelbudget.audit.workflows import TraceSpend, Workflows, workflows

Make = Callable[..., Any]
SECOND = 10**9


@pytest.fixture
def found(counted: Callable[..., Loaded], span: Make, usage: Make) -> Workflows:
    """Twenty runs of "support" with n calls of 1,000 and 100 tokens in n seconds, and one other."""
    spans = []
    for run in range(1, 21):
        root = span(run, 1, at=(0, run * SECOND), name="support")
        if run == 20:
            root["status"] = {"code": 2}
        spans.append(root)
        spans += [span(run, 2 + n, 1, at=(n, n + 1), **usage()) for n in range(run)]
    spans += [span(99, 1, name="other"), span(99, 2, 1, **usage(model="nobody-knows"))]
    return workflows(counted(spans).store)


def test_runs_are_counted_with_those_that_failed(found: Workflows) -> None:
    support, other = found.workflows

    assert (support.name, support.runs, support.failed_runs) == ("support", 20, 1)
    assert (other.name, other.runs, other.failed_runs) == ("other", 1, 0)


def test_quantiles_are_values_that_runs_had(found: Workflows) -> None:
    """Of 1 to 20 half are at most 10, and 95 % at most 19."""
    calls = found.workflows[0].model_calls

    assert (calls.median, calls.p95, calls.most, calls.mean) == (10, 19, 20, 10)
    assert found.workflows[0].tokens.most == 20 * 1_100
    assert found.workflows[0].nanoseconds.p95 == 19 * SECOND


def test_costs_are_list_costs_and_none_where_unknown(found: Workflows) -> None:
    """A call is 1,000 * 2.50 + 100 * 10 USD/Mtok = 3,500 micro-USD; 1 + ... + 20 = 210 calls."""
    support, other = found.workflows

    assert support.list_cost_pusd.whole == 210 * 3_500_000_000
    assert support.list_cost_pusd.mean == 21 * 3_500_000_000 // 2
    assert (other.list_cost_pusd.runs, other.list_cost_pusd.median) == (0, None)


def test_the_dearest_runs_come_first(found: Workflows) -> None:
    assert [each.model_calls for each in found.dearest] == list(range(20, 10, -1))
    assert [each.is_failed for each in found.dearest[:2]] == [True, False]


def test_runs_of_which_a_cost_is_unknown_are_marked_and_in_no_quantile(
    counted: Callable[..., Loaded], span: Make, usage: Make
) -> None:
    """Run 1 costs 3,500 micro-USD and has a call without a price, and one without usage."""
    spans = [span(run, 1, name="support") for run in (1, 2)]
    spans += [span(run, 2, 1, at=(1, 2), **usage()) for run in (1, 2)]
    spans.append(span(1, 3, 1, at=(3, 4), **usage(model="nobody-knows")))
    spans.append(span(1, 4, 1, at=(5, 6), **usage(0, 0)))

    answer = workflows(counted(spans).store)

    [support] = answer.workflows
    assert (support.runs, support.list_cost_pusd.runs) == (2, 1)
    assert support.cost_pusd == 2 * 3_500_000_000
    assert {each.trace_id[-1]: _unknown(each) for each in answer.dearest} == {
        "1": (3_500_000_000, 1, 1),
        "2": (3_500_000_000, 0, 0),
    }


def _unknown(trace: TraceSpend) -> tuple[int | None, int, int]:
    return trace.list_cost_pusd, trace.unpriced_calls, trace.calls_without_usage
