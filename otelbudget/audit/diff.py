"""What changed between two sets of runs: calls, tokens and cost, by workflow and model."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import partial
from typing import NamedTuple

import msgspec

from otelbudget.audit.permutation import Test, holm, permutation_test
from otelbudget.store import sql
from otelbudget.store.store import Store

_load = partial(sql.load, "otelbudget.audit")

SIGNIFICANCE = 0.05
"""A change is significant where its p-value, corrected for all tests, is not above this."""
_Key = tuple[str, str | None]


class Side(msgspec.Struct, frozen=True):
    """One side of a comparison.

    Attributes:
        runs: Traces with a model call.
        model_calls: Calls with usage.
        input_tokens: All input.
        output_tokens: All output.
        list_cost_pusd: List cost in pico-USD of the calls with a price, None where none has one.
        median_pusd: Median list cost of the runs that are compared, in pico-USD, rounded down; None
            where there is none.
        unpriced_runs: Runs with a call of unknown price or usage; they are not compared.
        free_runs: Runs that cost nothing; their cost has no logarithm, so they are not compared.
    """

    runs: int = 0
    model_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    list_cost_pusd: int | None = None
    median_pusd: int | None = None
    unpriced_runs: int = 0
    free_runs: int = 0


class Change(msgspec.Struct, frozen=True):
    """What changed for one workflow, as a whole or with one of its models.

    Attributes:
        workflow: Name of the root span.
        model: The model; None: all models of the workflow together.
        base: Before.
        head: After.
        test: Whether the runs' ln cost differs by more than chance; None where it cannot be told, and
            for the only model of a workflow, which is the workflow.
        p_value: That of the test, corrected for all tests of the comparison; None without one.
    """

    workflow: str
    model: str | None
    base: Side
    head: Side
    test: Test | None
    p_value: float | None

    @property
    def is_new(self) -> bool:
        """Whether only the head has it."""
        return not self.base.runs

    @property
    def is_vanished(self) -> bool:
        """Whether only the base has it."""
        return not self.head.runs

    @property
    def is_significant(self) -> bool:
        """Whether it differs by more than chance."""
        return self.p_value is not None and self.p_value <= SIGNIFICANCE

    @property
    def ratio(self) -> Decimal | None:
        """Median of the head over that of the base; None where either is unknown."""
        if not self.base.median_pusd or self.head.median_pusd is None:
            return None
        return Decimal(self.head.median_pusd) / self.base.median_pusd

    def is_dearer(self, by: Decimal) -> bool:
        """Whether the median has risen by more than a share, and by more than chance.

        Args:
            by: The share, such as 0.1 for 10 %.
        """
        ratio = self.ratio
        return ratio is not None and ratio > 1 + by and self.is_significant


class Comparison(msgspec.Struct, frozen=True):
    """Two sets of runs, compared.

    Attributes:
        base: All runs before.
        head: All runs after.
        changes: By workflow, the dearest first, and within it by model where it has several.
    """

    base: Side
    head: Side
    changes: tuple[Change, ...]


def compare(base: Store, head: Store) -> Comparison:
    """What changed from one store's runs to another's.

    Args:
        base: A store on which `build_model_calls` has run.
        head: Another one.
    """
    before, after = _read(base), _read(head)
    pairs = {key: (before.get(key, {}), after.get(key, {})) for key in _told(before, after)}
    tests = {key: test for key, pair in pairs.items() if (test := _test(*pair)) is not None}
    corrected = dict(zip(tests, holm([test.p_value for test in tests.values()]), strict=True))
    changes = (
        Change(*key, _side(before), _side(after), tests.get(key), corrected.get(key))
        for key, (before, after) in pairs.items()
    )
    return Comparison(_side(_all(before)), _side(_all(after)), tuple(changes))


class _Run(NamedTuple):
    """What a trace used, of one model or of all."""

    model_calls: int
    input_tokens: int
    output_tokens: int
    list_cost_pusd: int | None
    is_priced: bool

    def with_(self, other: "_Run") -> "_Run":
        """Both together."""
        costs = [cost for cost in (self.list_cost_pusd, other.list_cost_pusd) if cost is not None]
        return _Run(
            self.model_calls + other.model_calls,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            sum(costs) if costs else None,
            self.is_priced and other.is_priced,
        )


_Runs = Mapping[str, _Run]


def _read(store: Store) -> Mapping[_Key, _Runs]:
    """Runs by trace, by workflow with each of its models, and by workflow alone."""
    found: dict[_Key, dict[str, _Run]] = defaultdict(dict)
    for workflow, model, trace_id, calls, given, answered, cost, is_priced in store.rows(
        _load("runs_by_model")
    ):
        run = _Run(calls, int(given), int(answered), None if cost is None else int(cost), is_priced)
        whole = found[workflow, None]
        whole[trace_id] = whole[trace_id].with_(run) if trace_id in whole else run
        found[workflow, model][trace_id] = run
    return found


def _told(before: Mapping[_Key, _Runs], after: Mapping[_Key, _Runs]) -> Iterator[_Key]:
    """The keys with a row, the dearest workflow first; the only model of a workflow has none."""
    models: dict[str, set[str]] = defaultdict(set)
    for workflow, model in {**before, **after}:
        models[workflow] |= {model} if model is not None else set()

    def dearness(key: _Key) -> tuple[int, str]:
        return -max(_cost(side.get(key, {})) for side in (before, after)), key[1] or key[0]

    for workflow, _ in sorted(((name, None) for name in models), key=dearness):
        yield workflow, None
        if len(models[workflow]) > 1:
            yield from sorted(((workflow, model) for model in models[workflow]), key=dearness)


def _cost(runs: _Runs) -> int:
    return sum(run.list_cost_pusd or 0 for run in runs.values())


def _all(found: Mapping[_Key, _Runs]) -> _Runs:
    """All runs, by workflow and trace."""
    return {
        f"{workflow}/{trace_id}": run
        for (workflow, model), runs in found.items()
        if model is None
        for trace_id, run in runs.items()
    }


def _test(base: _Runs, head: _Runs) -> Test | None:
    before, after = ([math.log(cost) for cost in _costs(side)] for side in (base, head))
    return permutation_test(before, after)


def _costs(runs: _Runs) -> list[int]:
    """What the runs cost that are compared, in pico-USD, ascending."""
    return sorted(
        run.list_cost_pusd for run in runs.values() if run.is_priced and run.list_cost_pusd
    )


def _side(runs: _Runs) -> Side:
    compared = _costs(runs)
    middle = len(compared) // 2
    every = runs.values()
    costs = [run.list_cost_pusd for run in every if run.list_cost_pusd is not None]
    return Side(
        runs=len(runs),
        model_calls=sum(run.model_calls for run in every),
        input_tokens=sum(run.input_tokens for run in every),
        output_tokens=sum(run.output_tokens for run in every),
        list_cost_pusd=sum(costs) if costs else None,
        median_pusd=(compared[middle] + compared[~middle]) // 2 if compared else None,
        unpriced_runs=sum(not run.is_priced for run in every),
        free_runs=sum(run.is_priced and not run.list_cost_pusd for run in every),
    )
