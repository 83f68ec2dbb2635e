"""What auditing the sample traces must find, added up from what the provider billed.

This arithmetic is its own: it reads no span and uses no price table of otelbudget, so that the
two can be held against each other.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import app
import plan

from otelbudget.testing import Usage

_MTOK = 1_000_000


@dataclass(frozen=True, slots=True)
class Rates:
    """Published rates of a model in US dollars per million tokens.

    Attributes:
        input: Input tokens that no cache served.
        output: Output tokens.
        cache_read: Input tokens read from a cache.
        cache_write: Input tokens written to a cache; None where the provider has no such charge.
        source: Where the rates are published, and where and when they were read.
    """

    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write: Decimal | None
    source: str


_OPENAI = "https://platform.openai.com/docs/pricing, as genai-prices 0.2.3 has it on 2026-11-21"
_ANTHROPIC = "https://docs.anthropic.com/en/docs/about-claude/pricing, as genai-prices 0.2.3 has it on 2026-11-21"
_LOCAL = "runs on the app's own machine, nobody bills it"
RATES = {
    plan.GPT_4O: Rates(Decimal("2.50"), Decimal("10.00"), Decimal("1.25"), None, _OPENAI),
    plan.GPT_4O_MINI: Rates(Decimal("0.15"), Decimal("0.60"), Decimal("0.075"), None, _OPENAI),
    plan.SONNET: Rates(
        Decimal("3.00"), Decimal("15.00"), Decimal("0.30"), Decimal("3.75"), _ANTHROPIC
    ),
    plan.LLAMA: Rates(Decimal(0), Decimal(0), Decimal(0), None, _LOCAL),
}
"""Rates by the model as requested."""

_REQUESTED_AS = {answered: requested for requested, answered in plan.ANSWERED_AS.items()}


@dataclass(slots=True)
class Totals:
    """Sums over calls, by the names `budget-audit audit --format json` gives them.

    Attributes:
        trace_keys: Runs with a call or span in the group.
        spans: Number of spans.
        model_calls: Number of calls that were billed.
        failed_calls: Number of calls that the provider refused.
        tokens: Sums of each class of tokens.
        list_cost_usd: Tokens times published rates.
    """

    trace_keys: set[str] = field(default_factory=set)
    spans: int = 0
    model_calls: int = 0
    failed_calls: int = 0
    tokens: Usage = field(default_factory=lambda: Usage(0, 0))
    list_cost_usd: Decimal = Decimal(0)

    def add(self, model: str, usage: Usage) -> None:
        """Count one billed call."""
        self.model_calls += 1
        self.tokens = Usage(
            self.tokens.input_tokens + usage.input_tokens,
            self.tokens.output_tokens + usage.output_tokens,
            self.tokens.cache_read_input_tokens + usage.cache_read_input_tokens,
            self.tokens.cache_write_input_tokens + usage.cache_write_input_tokens,
        )
        self.list_cost_usd += list_cost_usd(_REQUESTED_AS[model], usage)

    def as_json(self) -> dict[str, Any]:
        """The totals with money as a string."""
        return {
            "traces": len(self.trace_keys),
            "spans": self.spans,
            "model_calls": self.model_calls,
            "failed_calls": self.failed_calls,
            "input_tokens": self.tokens.input_tokens,
            "output_tokens": self.tokens.output_tokens,
            "cache_read_input_tokens": self.tokens.cache_read_input_tokens,
            "cache_write_input_tokens": self.tokens.cache_write_input_tokens,
            "list_cost_usd": usd(self.list_cost_usd),
        }


def list_cost_usd(requested_model: str, usage: Usage) -> Decimal:
    """What a call costs at published rates, exactly."""
    rates = RATES[requested_model]
    read, written = usage.cache_read_input_tokens, usage.cache_write_input_tokens
    if written and rates.cache_write is None:
        raise ValueError(f"{requested_model} has no rate for cache writes")
    cost = (usage.input_tokens - read - written) * rates.input + read * rates.cache_read
    cost += written * (rates.cache_write or Decimal(0)) + usage.output_tokens * rates.output
    return cost / _MTOK


def usd(amount: Decimal) -> str:
    """Dollars as plain digits, exact, with at least two decimals and no other trailing zeros."""
    whole, _, decimals = format(amount, "f").partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"


def total(recorded: list[app.RecordedRun]) -> dict[str, Any]:
    """The totals of everything, and by each key."""
    everything = by_run(recorded, lambda _: "all")["all"]
    return {
        "totals": everything,
        "by_workflow": by_run(recorded, lambda run: run.workflow),
        "by_agent": by_run(recorded, lambda run: run.agent),
        "by_tenant": by_run(recorded, lambda run: run.tenant),
        "by_response_model": by_model(recorded, lambda model: model),
        "by_request_model": by_model(recorded, lambda model: _REQUESTED_AS[model]),
    }


def by_run(
    recorded: list[app.RecordedRun], key: Callable[[plan.Run], str]
) -> dict[str, dict[str, Any]]:
    """Totals by a property of the run."""
    groups: dict[str, Totals] = {}
    for one in recorded:
        group = groups.setdefault(key(one.run), Totals())
        group.trace_keys.add(one.run.key)
        group.spans += len(one.spans)
        group.failed_calls += len(_failed(one.run))
        for model, usage in one.billed:
            group.add(model, usage)
    return _sorted(groups)


def by_model(
    recorded: list[app.RecordedRun], key: Callable[[str], str]
) -> dict[str, dict[str, Any]]:
    """Totals by model; spans are left out, as most belong to no model, and so are failed calls."""
    groups: dict[str, Totals] = {}
    for one in recorded:
        for model, usage in one.billed:
            group = groups.setdefault(key(model), Totals())
            group.trace_keys.add(one.run.key)
            group.add(model, usage)
    rows = _sorted(groups)
    for row in rows.values():
        del row["spans"], row["failed_calls"]
    return rows


def _failed(run: plan.Run) -> list[plan.Step]:
    return [step for step in plan.model_steps(run) if step.reply and not step.reply.is_billed]


def _sorted(groups: dict[str, Totals]) -> dict[str, dict[str, Any]]:
    dearest_first: Iterable[tuple[str, Totals]] = sorted(
        groups.items(), key=lambda item: (-item[1].list_cost_usd, item[0])
    )
    return {name: group.as_json() for name, group in dearest_first}
