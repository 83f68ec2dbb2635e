"""Suggested limits as a JSON object and as a table for people."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from budget_audit.formats.documents import input_, period
from budget_audit.formats.rows import flat
from budget_audit.formats.tables import titled_table
from budget_audit.formats.values import (
    amount,
    counted,
    exact_amount,
    money,
    one_line,
    short_money,
)
from otelbudget.audit.quantiles import CONFIDENCE
from otelbudget.audit.runs_of_workflows import AGENT, DEFAULT_BY
from otelbudget.audit.spend import InputFacts
from otelbudget.audit.suggest import Holdout, Suggestion, Suggestions
from otelbudget.audit.tiers import Tier
from otelbudget.budgets.config import LimitKind
from otelbudget.ingest import ReadReport

_DIGITS = 3
_TITLE = "table.title"


def document(
    suggestions: Suggestions, facts: InputFacts, report: ReadReport, budgets_yaml: str
) -> dict[str, Any]:
    """The object of `budget-audit suggest --format json`."""
    return {
        "schema": "otelbudget.suggest/1",
        "period": period(facts),
        "input": input_(facts, report),
        "confidence": CONFIDENCE,
        "groups": [_group(each, suggestions.covers) for each in suggestions.workflows],
        "tiers": [_tier(tier, suggestions.names) for tier in suggestions.tiers],
        "notes": general_notes(suggestions.workflows),
        "budgets_yaml": budgets_yaml,
    }


def table(suggestions: Suggestions) -> RenderableType:
    """The limits of each workflow, or why there are none; then which workflows share a tier."""
    title = (
        f"Limits that let {share(suggestions.covers)} of a workflow's runs through, with 90 % "
        "confidence"
    )
    names = [one_line(name) for name in suggestions.names]
    shown = titled_table(_head(suggestions), title=None)
    for name in ("runs", "limit", "90 % interval"):
        shown.add_column(name, justify="right", no_wrap=True)
    shown.add_column("stopped later", justify="right", max_width=8)
    workflows = suggestions.workflows
    for name, each in zip(names, workflows, strict=True):
        _add(shown, name, each)
    lines = [
        *(
            f"{name}: {line}"
            for name, each in zip(names, workflows, strict=True)
            for line in (*_left_out(each), *notes(each))
        ),
        *general_notes(workflows),
        *_legend(suggestions),
    ]
    dim = (Text(line, style="dim") for line in lines)
    return Group(
        Text(title, style=_TITLE),
        shown,
        *_shared(suggestions, names),
        *([""] if lines else []),
        *dim,
    )


def rows(groups: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The groups of the JSON object as flat rows, all with the columns of all kinds."""
    kept = [{name: each[name] for name in each if name != "left_out"} for each in groups]
    made = flat(kept)
    columns = dict.fromkeys(column for row in made for column in row)
    counts = [sum(part["count"] for part in each["left_out"]) for each in groups]
    return [{**columns, **row, "left_out": count} for row, count in zip(made, counts, strict=True)]


def notes(suggestion: Suggestion) -> list[str]:
    """What the limits of a workflow do not say."""
    said = []
    if suggestion.unused:
        used = suggestion.eligible
        said.append(f"{used:,} runs are used, evenly over time, of {used + suggestion.unused:,}")
    if suggestion.missing:
        parts = (f"{kind} {needed:,}" for kind, needed in suggestion.missing.items())
        said.append(f"limits on more kinds need more runs: {', '.join(parts)}")
    if suggestion.second_mode:
        said.append(
            f"{counted(suggestion.second_mode, 'run')} need many times as much as most, too many for "
            "runaways: a second mode, which is kept; tell it apart with --by"
        )
    if suggestion.holdout is not None and suggestion.holdout.drift:
        said.append(
            f"needs have {suggestion.holdout.drift}: the later 30 % of the runs need other amounts "
            "than the earlier ones, by more than chance"
        )
    if suggestion.under_limits:
        said.append(
            f"{counted(suggestion.under_limits, 'run')} had a budget that could stop them, so needs "
            "may be higher than they seem"
        )
    return said


def general_notes(workflows: Iterable[Suggestion]) -> list[str]:
    """What holds for all of an answer."""
    if not any(each.under_limits for each in workflows):
        return []
    biased = (
        "history recorded under limits is biased low: runs that were stopped are missing, and the "
        "others may have been cut short"
    )
    return [biased]


def left_out(suggestion: Suggestion) -> str:
    """The runs that were not used, by reason; "" for none."""
    return ", ".join(f"{part.count:,} {part.reason}" for part in suggestion.left_out)


def interval(kind: LimitKind, ends: tuple[int, int]) -> str:
    """Two amounts of a kind for people, rounded: "$0.01 to $0.02"; one where both are the same."""
    return " to ".join(dict.fromkeys(_short(kind, end) for end in ends))


def share(of: float) -> str:
    """A share in percent: "95 %"."""
    return f"{100 * of:.10g} %"


def _short(kind: LimitKind, value: int) -> str:
    match kind:
        case LimitKind.COST_USD:
            return short_money(value)
        case LimitKind.SECONDS:
            return f"{float(f'{value / 1e9:.{_DIGITS}g}'):,.10g} s"
        case _:
            return f"{value:,}"


def _group(suggestion: Suggestion, covers: float) -> dict[str, Any]:
    holdout = suggestion.holdout or Holdout(0, 0, 0, None)
    return {
        "key": {
            name: value or None if name == AGENT else value
            for name, value in suggestion.key.items()
        },
        "eligible": suggestion.eligible,
        "left_out": [
            {"reason": part.reason, "count": part.count, "trace_ids": list(part.trace_ids)}
            for part in suggestion.left_out
        ],
        "tier": suggestion.tier,
        "why_not": suggestion.why_not,
        "limits": {
            kind: {
                "limit": amount(kind, suggested.limit),
                "interval": [amount(kind, end) for end in suggested.interval],
            }
            for kind, suggested in suggestion.limits.items()
        },
        "covers": covers,
        "covered": suggestion.covered,
        "holdout": {
            "scopes": holdout.scopes,
            "stopped": holdout.stopped,
            "avoided_usd": money(holdout.avoided_pusd),
            "drift": holdout.drift is not None,
            "needs": holdout.drift,
        },
        "second_mode": suggestion.second_mode,
        "unused": suggestion.unused,
        "under_limits": suggestion.under_limits,
        "notes": notes(suggestion),
    }


def _head(suggestions: Suggestions) -> str:
    """What the names are, for the head of their column: "workflow", or the keys of `--by`."""
    keys = tuple(suggestions.workflows[0].key) if suggestions.workflows else DEFAULT_BY
    return DEFAULT_BY[0] if keys == DEFAULT_BY else ", ".join(keys)


def _tier(tier: Tier, names: Sequence[str]) -> dict[str, Any]:
    return {
        "name": tier.name,
        "limits": {kind: amount(kind, limit) for kind, limit in tier.limits.items()},
        "workflows": [names[place] for place in tier.members],
    }


def _add(shown: Table, name: str, suggestion: Suggestion) -> None:
    """A row per limit; what holds for all of them stands in the first."""
    first = (name, f"{suggestion.eligible:,}")
    if suggestion.why_not is not None:
        shown.add_row(*first, Text(suggestion.why_not, style="dim"))
    holdout = suggestion.holdout
    stopped = f"{holdout.stopped} of {holdout.scopes}" if holdout and holdout.scopes else ""
    for kind, suggested in suggestion.limits.items():
        limit = Text(exact_amount(kind, suggested.limit), style="bold")
        shown.add_row(*first, limit, interval(kind, suggested.interval), stopped)
        first, stopped = ("", ""), ""


def _shared(suggestions: Suggestions, names: Sequence[str]) -> list[RenderableType]:
    """The tiers, where several workflows share one."""
    if all(len(tier.members) == 1 for tier in suggestions.tiers):
        return []
    title = "Tiers: the highest limits of workflows of similar need"
    shown = titled_table("tier", "workflows", title=None)
    shown.add_column("limits")
    for tier in suggestions.tiers:
        members = "\n".join(names[place] for place in tier.members)
        limits = "\n".join(exact_amount(kind, limit) for kind, limit in tier.limits.items())
        shown.add_row(tier.name, members, Text(limits, style="bold"))
    return ["", Text(title, style=_TITLE), shown]


def _left_out(suggestion: Suggestion) -> Iterable[str]:
    for part in suggestion.left_out:
        yield f"left out {part.count:,} ({part.reason}), e.g. trace {part.trace_ids[0]}"


def _legend(suggestions: Suggestions) -> Iterable[str]:
    if suggestions.tiers:
        yield (
            "A limit is rounded up to three digits. The interval says where the wanted share of runs "
            "lies for that kind alone; all limits of a workflow together let that share through."
        )
