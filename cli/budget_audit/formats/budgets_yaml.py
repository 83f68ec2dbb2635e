"""A budgets file from suggestions, with the evidence in comments."""

from collections.abc import Sequence

import yaml

from budget_audit.formats.values import counted, day, money
from otelbudget.audit.spend import InputFacts
from otelbudget.audit.suggest import Suggestion, rounded_up

_MAX_COMMENT = 200
_FIRST = "# Suggested from traces of "
_TIERS = (
    "# A run asks for its tier: otelbudget.run(tier=...), or otelbudget.tier on a span when it "
    "starts."
)


def budgets_yaml(suggestions: Sequence[Suggestion], facts: InputFacts, covers: float) -> str:
    """The text of a budgets file; it holds at least one budget, or "" where nothing is known.

    A tier applies to the runs that ask for it by name when they are opened, or on a span when it
    starts. The budget "per-run" applies to every trace and lies above all of them.
    """
    highest = max((_ceiling(each) for each in suggestions), default=0)
    if not highest:
        return ""
    lines = [
        f"{_FIRST}{day(facts.period_start)} to {day(facts.period_end)} (UTC).",
        "# Delete the line above to keep suggest from writing over this file.",
        f"# A tier lets {covers:.0%} of its workflow's runs through, with 90 % confidence.",
        _TIERS,
        "version: 1",
        "budgets:",
        "  # Every run: the highest limit or dearest run below; runaways left out.",
        "  per-run:",
        "    per: trace",
        f"    max_cost_usd: {money(highest)}",
    ]
    for each in suggestions:
        lines += _tier(each)
    return "\n".join(lines) + "\n"


def is_suggested(text: str) -> bool:
    """Whether a file's text is a suggestion, so that another one may take its place."""
    return text.startswith(_FIRST)


def _ceiling(suggestion: Suggestion) -> int:
    return max(suggestion.limit_pusd or 0, rounded_up(suggestion.highest_pusd or 0))


def _tier(suggestion: Suggestion) -> list[str]:
    name = _comment(suggestion.workflow)
    left_out = ", ".join(f"{len(part.trace_ids):,} {part.reason}" for part in suggestion.left_out)
    aside = f"; left out: {left_out}" if left_out else ""
    if suggestion.limit_pusd is None or suggestion.interval_pusd is None:
        return [f"  # {name}: no limit, {suggestion.why_not}{aside}"]
    lower, upper = suggestion.interval_pusd
    holdout = suggestion.holdout
    checked = (
        f"; fitted on the earlier 70 %, it stops {holdout.stopped:,} of "
        f"{counted(holdout.scopes, 'later run')}"
        if holdout is not None and holdout.scopes
        else ""
    )
    interval = f"90 % interval {money(lower)} to {money(upper)} USD"
    return [
        f"  # {name}: {counted(suggestion.eligible, 'run')}, {interval}{checked}{aside}",
        f"  {_key(suggestion.tier or suggestion.workflow)}:",
        f"    max_cost_usd: {money(suggestion.limit_pusd)}",
    ]


def _comment(text: str) -> str:
    """Text that cannot end a comment, nor hold what YAML refuses even there."""
    printable = "".join(char if char.isprintable() else " " for char in text[:_MAX_COMMENT])
    return " ".join(printable.split()) or "(unnamed)"


def _key(text: str) -> str:
    """Text as a YAML key, quoted where it must be."""
    return str(yaml.safe_dump(text, allow_unicode=True, width=1000).splitlines()[0])
