"""What changed between two sets of runs, as a JSON object and as a table for people."""

from collections.abc import Iterator, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from budget_audit.formats.documents import MAX_ROWS, input_, left_off, period
from budget_audit.formats.tables import more, titled_table
from budget_audit.formats.values import counted, one_line, optional_money, short_money
from otelbudget.audit.diff import SIGNIFICANCE, Change, Comparison, Side
from otelbudget.audit.permutation import PERMUTATIONS
from otelbudget.audit.spend import InputFacts
from otelbudget.ingest import ReadReport

_SHOWN = 40
_SMALL = 0.001
_K = 1000


class Source(NamedTuple):
    """What was read for one side.

    Attributes:
        facts: What its spans are like.
        report: What reading them found.
    """

    facts: InputFacts
    report: ReadReport


class Compared(NamedTuple):
    """Two sets of runs, compared.

    Attributes:
        comparison: What changed.
        base: What was read before.
        head: What was read after.
        fail_over: Share by which a median may rise, None where nothing fails.
    """

    comparison: Comparison
    base: Source
    head: Source
    fail_over: Decimal | None

    @property
    def failing(self) -> Sequence[Change]:
        """What has become dearer by more than it may, and by more than chance."""
        over = self.fail_over
        if over is None:
            return []
        return [each for each in self.comparison.changes if each.is_dearer(over)]


def document(compared: Compared) -> dict[str, Any]:
    """The object of `budget-audit diff --format json`."""
    rows = changes(compared)
    comparison = compared.comparison
    tests = [each.test for each in comparison.changes if each.test is not None]
    return {
        "schema": "otelbudget.diff/1",
        "ok": not compared.failing,
        "fail_over": None if compared.fail_over is None else f"{compared.fail_over:f}",
        "base": _source(compared.base) | {"totals": _side(comparison.base)},
        "head": _source(compared.head) | {"totals": _side(comparison.head)},
        "test": {
            "statistic": "difference of mean ln cost per run, both sides",
            "tests": len(tests),
            "correction": "holm",
            "significance": str(SIGNIFICANCE),
            "most_permutations": PERMUTATIONS,
        },
        "changes": rows[:MAX_ROWS],
        "left_off": left_off(rows),
    }


def changes(compared: Compared) -> list[dict[str, Any]]:
    """Every change: by workflow, the dearest first, and within it by model."""
    failing = {id(each) for each in compared.failing}
    return [_change(each, id(each) in failing) for each in compared.comparison.changes]


def table(compared: Compared) -> RenderableType:
    """What changed: a headline, a line for each workflow and model, what is not compared."""
    comparison = compared.comparison
    return Group(
        *_verdict(compared),
        _headline(comparison),
        "",
        _rows(compared),
        *more(comparison.changes, _SHOWN),
        *(Text(line, style="dim") for line in _notes(comparison)),
    )


def _source(source: Source) -> dict[str, Any]:
    return {"period": period(source.facts), "input": input_(source.facts, source.report)}


def _side(side: Side) -> dict[str, Any]:
    return {
        "runs": side.runs,
        "model_calls": side.model_calls,
        "input_tokens": side.input_tokens,
        "output_tokens": side.output_tokens,
        "list_cost_usd": optional_money(side.list_cost_pusd),
        "median_run_usd": optional_money(side.median_pusd),
        "unpriced_runs": side.unpriced_runs,
        "free_runs": side.free_runs,
    }


def _change(each: Change, is_failing: bool) -> dict[str, Any]:  # noqa: FBT001 - a column
    test = each.test
    return {
        "key": {"workflow": each.workflow, "model": each.model},
        "status": _status(each),
        "base": _side(each.base),
        "head": _side(each.head),
        "median_change": None if each.ratio is None else f"{_rounded(each.ratio - 1):f}",
        "p_value": None if each.p_value is None else f"{each.p_value:.6f}",
        "p_value_uncorrected": None if test is None else f"{test.p_value:.6f}",
        "method": None if test is None else str(test.method),
        "permutations": None if test is None else test.permutations,
        "significant": each.is_significant,
        "failed": is_failing,
    }


def _rounded(ratio: Decimal) -> Decimal:
    return ratio.quantize(Decimal("0.000001"), ROUND_HALF_EVEN)


def _status(each: Change) -> str:
    if each.is_new:
        return "new"
    return "vanished" if each.is_vanished else "compared"


def _verdict(compared: Compared) -> list[RenderableType]:
    over, failing = compared.fail_over, compared.failing
    if over is None:
        return []
    share = f"{(100 * over).normalize():f} %"
    if not failing:
        return [
            Text(f"Passed: no median cost of a run rose by more than {share} and more than chance.")
        ]
    text = f"Failed: {counted(len(failing), 'median cost')} of a run rose by more than {share}:"
    lines = [
        f"  {_named(each)}: {short_money(each.base.median_pusd)} to "
        f"{short_money(each.head.median_pusd)}, {_percent(each)} (chance {_chance(each)})"
        for each in failing
    ]
    return [Text(text, style="bold red"), *map(Text, lines)]


def _headline(comparison: Comparison) -> Text:
    base, head = comparison.base, comparison.head
    return Text.assemble(
        f"{counted(base.runs, 'run')}, ",
        (short_money(base.list_cost_pusd), "bold"),
        f" before; {counted(head.runs, 'run')}, ",
        (short_money(head.list_cost_pusd), "bold"),
        " after",
    )


def _rows(compared: Compared) -> Table:
    found = titled_table("workflow, model", title="Runs: before, and below it after")
    for name in ("runs", "calls", "tokens", "cost", "a run", "change", "chance"):
        found.add_column(name, justify="right", no_wrap=True)
    for each in compared.comparison.changes[:_SHOWN]:
        style = "" if each.model is None else "dim"
        found.add_row(
            Text(_shown_name(each), style=style),
            *(
                "\n".join(both)
                for both in zip(_side_cells(each.base), _side_cells(each.head), strict=True)
            ),
            _marked(each),
            _chance(each),
        )
    return found


def _side_cells(side: Side) -> Sequence[str]:
    if not side.runs:
        return ("-",) * 5
    return (
        f"{side.runs:,}",
        f"{side.model_calls:,}",
        _rough(side.input_tokens + side.output_tokens),
        short_money(side.list_cost_pusd),
        "-" if side.median_pusd is None else short_money(side.median_pusd),
    )


def _rough(count: int) -> str:
    """Tokens in three digits: "640", "4.6k", "215k", "1.2M"."""
    if count < _K:
        return f"{count}"
    if count < _K * _K:
        return f"{count / _K:.1f}k" if count < 100 * _K else f"{count / _K:.0f}k"
    return f"{count / _K / _K:,.1f}M"


def _marked(each: Change) -> Text:
    """The change, in colour where it is more than chance."""
    if each.is_new or each.is_vanished:
        return Text(_status(each), style="yellow")
    if not each.is_significant or each.ratio is None:
        return Text(_percent(each), style="dim")
    return Text(_percent(each), style="bold red" if each.ratio > 1 else "bold green")


def _percent(each: Change) -> str:
    return "" if each.ratio is None else f"{100 * (each.ratio - 1):+.0f} %"


def _chance(each: Change) -> str:
    """The p-value for people."""
    if each.p_value is None:
        return ""
    return f"< {_SMALL}" if each.p_value < _SMALL else f"{each.p_value:.3f}"


def _named(each: Change) -> str:
    name = each.workflow if each.model is None else f"{each.workflow} with {each.model}"
    return one_line(name)


def _shown_name(each: Change) -> str:
    """What stands at the head of its row; models stand below their workflow."""
    return one_line(each.workflow) if each.model is None else f"  {one_line(each.model)}"


def _notes(comparison: Comparison) -> Iterator[str]:
    """How to read it, and what is not in it."""
    yield (
        "A run: its median cost. Chance: how often runs divided at random differ as much in "
        "mean ln cost, corrected for all tests (Holm)."
    )
    for name, field in (
        ("of unknown price or usage", "unpriced_runs"),
        ("that cost nothing", "free_runs"),
    ):
        counts = [getattr(side, field) for side in (comparison.base, comparison.head)]
        if any(counts):
            yield (
                f"Runs {name} are counted, and not compared: {counts[0]:,} before, {counts[1]:,} after."
            )
