"""A budgets file from suggestions, with the evidence in comments."""

from collections.abc import Iterable

import yaml

from budget_audit.formats.suggestions import interval, left_out, notes, share
from budget_audit.formats.values import amount, counted, day, one_line
from otelbudget.audit.runs_of_workflows import KINDS
from otelbudget.audit.spend import InputFacts
from otelbudget.audit.suggest import Suggestion, Suggestions, rounded_up
from otelbudget.audit.tiers import Tier
from otelbudget.budgets.config import LimitKind

_MAX_COMMENT = 200
_FIRST = "# Suggested from traces of "


def budgets_yaml(suggestions: Suggestions, facts: InputFacts) -> str:
    """The text of a budgets file; it holds at least one budget, or "" where nothing is known.

    A tier applies to the runs that ask for it by name when they are opened, or on a span when it
    starts. The budget "per-run" applies to every trace and lies above all of them.
    """
    ceilings = ((kind, _ceiling(suggestions, kind)) for kind in KINDS)
    kind, highest = next(((kind, most) for kind, most in ceilings if most), (None, 0))
    if kind is None:
        return ""
    lines = [
        f"{_FIRST}{day(facts.period_start)} to {day(facts.period_end)} (UTC).",
        "# Delete the line above to keep suggest from writing over this file.",
        "#",
        f"# The limits of a tier together let {share(suggestions.covers)} of each workflow's runs",
        "# through, with 90 % confidence. A run asks for its tier: otelbudget.run(tier=...), or",
        "# otelbudget.tier on a span when it starts.",
        "version: 1",
        "budgets:",
        "  # Every run: the highest limit or dearest run below; runaways left out.",
        "  per-run:",
        "    per: trace",
        _limit(kind, highest),
    ]
    for tier in suggestions.tiers:
        lines += _tier(tier, suggestions)
    named = zip(suggestions.names, suggestions.workflows, strict=True)
    without = [(name, each) for name, each in named if each.tier is None]
    if without:
        lines += ["", "  # Without limits:"]
        lines += [f"  # {_comment(name)}: {_why_not(each)}" for name, each in without]
    return "\n".join(lines) + "\n"


def is_suggested(text: str) -> bool:
    """Whether a file's text is a suggestion, so that another one may take its place."""
    return text.startswith(_FIRST)


def _ceiling(suggestions: Suggestions, kind: LimitKind) -> int:
    limits = (tier.limits.get(kind, 0) for tier in suggestions.tiers)
    highest = (rounded_up(each.highest.get(kind, 0)) for each in suggestions.workflows)
    return max((*limits, *highest), default=0)


def _tier(tier: Tier, suggestions: Suggestions) -> list[str]:
    lines = [""]
    for place in tier.members:
        lines += _evidence(suggestions, place)
    if len(tier.members) > 1:
        lines.append(
            f"  # {counted(len(tier.members), 'workflow')}, the highest limit of each kind:"
        )
    limits = (_limit(kind, limit) for kind, limit in tier.limits.items())
    return [*lines, f"  {_key(tier.name)}:", *limits]


def _evidence(suggestions: Suggestions, place: int) -> Iterable[str]:
    suggestion, covers = suggestions.workflows[place], suggestions.covers
    yield f"  # {_comment(suggestions.names[place])}"
    runs = counted(suggestion.eligible, "run")
    yield f"  #   {suggestion.covered:,} of {runs} stay within the limits{_aside(suggestion)}"
    for kind, suggested in suggestion.limits.items():
        ends = interval(kind, suggested.interval)
        yield f"  #   {kind}: {share(covers)} of runs need at most {ends} (90 % interval)"
    holdout = suggestion.holdout
    if holdout is not None and holdout.scopes:
        yield (
            f"  #   fitted on the earlier 70 %, they stop {holdout.stopped:,} of "
            f"{counted(holdout.scopes, 'later run')}"
        )
    yield from (f"  #   {note}" for note in notes(suggestion))


def _aside(suggestion: Suggestion) -> str:
    aside = left_out(suggestion)
    return f"; left out: {aside}" if aside else ""


def _why_not(suggestion: Suggestion) -> str:
    return f"{suggestion.why_not}{_aside(suggestion)}"


def _limit(kind: LimitKind, limit: int) -> str:
    return f"    max_{kind}: {amount(kind, limit)}"


def _comment(text: str) -> str:
    """Text that cannot end a comment, nor hold what YAML refuses even there."""
    return one_line(text[:_MAX_COMMENT]) or "(unnamed)"


def _key(text: str) -> str:
    """Text as a YAML key, quoted where it must be."""
    return str(yaml.safe_dump(text, allow_unicode=True, width=1000).splitlines()[0])
