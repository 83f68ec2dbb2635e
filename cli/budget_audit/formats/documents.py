"""Answers as the documented, versioned JSON objects; pure functions from results to mappings."""

from collections.abc import Sequence
from typing import Any

from budget_audit.formats.values import amount, decimal_money, money, optional_money, time
from otelbudget.audit.findings import Finding
from otelbudget.audit.replay import LimitOutcome, Replay, ScopeOutcome
from otelbudget.audit.spend import InputFacts, Spend, Totals
from otelbudget.audit.suggest import CONFIDENCE, Holdout, Suggestion
from otelbudget.audit.sweep import SweepPoint
from otelbudget.budgets.config import Budgets, LimitKind
from otelbudget.ingest import ReadReport
from otelbudget.pricing.book import PriceBook

MAX_ROWS = 100


def audit(spend: Spend, report: ReadReport, book: PriceBook) -> dict[str, Any]:
    """The object of `budget-audit audit --format json`."""
    groups = audit_groups(spend)
    return {
        "schema": "otelbudget.audit/1",
        "period": period(spend.input),
        "timezone": "UTC",
        "input": input_(spend.input, report),
        "prices": {
            "source": book.source,
            "version": book.version,
            "compiled_on": book.compiled_on,
            "overrides_hash": book.overrides_hash,
            "confidence": [
                {
                    "confidence": share.confidence,
                    "model_calls": share.model_calls,
                    "list_cost_usd": optional_money(share.list_cost_pusd),
                }
                for share in spend.confidence
            ],
        },
        "totals": _totals(spend.totals),
        "groups": groups[:MAX_ROWS],
        "left_off": _left_off(groups),
        "findings": [_finding(finding) for finding in spend.findings],
    }


def audit_groups(spend: Spend) -> list[dict[str, Any]]:
    """Every group of an audit, the dearest first."""
    return [{"key": group.key, **_totals(group.totals)} for group in spend.groups]


def import_(report: ReadReport, facts: InputFacts, store: str) -> dict[str, Any]:
    """The object of `budget-audit import --format json`."""
    return {
        "schema": "otelbudget.import/1",
        "store": store,
        "period": period(facts),
        "input": input_(facts, report),
    }


def simulate(
    replay: Replay,
    budgets: Budgets,
    facts: InputFacts,
    report: ReadReport,
    *,
    sweep: Sequence[SweepPoint],
    false_stops: int | None,
) -> dict[str, Any]:
    """The object of `budget-audit simulate --format json`."""
    stopped = simulate_stopped(replay)
    first = replay.limits[0].kind if replay.limits else LimitKind.COST_USD
    worst = max(
        (limit.worst_overshoot for limit in replay.limits if limit.kind is first), default=0
    )
    return {
        "schema": "otelbudget.simulate/1",
        "period": period(facts),
        "input": input_(facts, report),
        "policy": budgets.as_config(),
        "totals": {
            "scopes": replay.scopes,
            "scopes_reached": replay.scopes_reached,
            "scopes_stopped": len(replay.stopped),
            "calls": replay.calls,
            "calls_denied": replay.calls_denied,
            "calls_without_time": replay.calls_without_time,
            "spent_usd": money(replay.spent_pusd),
            "avoided_usd": money(replay.avoided_pusd),
            "estimated_usd": money(replay.estimated_pusd),
            "worst_overshoot": amount(first, worst),
            "false_stops": false_stops,
        },
        "limits": [_limit(limit) for limit in replay.limits],
        "stopped": stopped[:MAX_ROWS],
        "left_off": _left_off(stopped),
        "sweep": [_sweep_point(point) for point in sweep],
    }


def simulate_stopped(replay: Replay) -> list[dict[str, Any]]:
    """Every stopped scope of a simulation, the dearest avoided first."""
    return [_stopped(scope) for scope in replay.stopped]


def suggest(
    suggestions: Sequence[Suggestion],
    facts: InputFacts,
    report: ReadReport,
    *,
    covers: float,
    budgets_yaml: str,
) -> dict[str, Any]:
    """The object of `budget-audit suggest --format json`."""
    return {
        "schema": "otelbudget.suggest/1",
        "period": period(facts),
        "input": input_(facts, report),
        "confidence": CONFIDENCE,
        "groups": [_suggestion(suggestion, covers) for suggestion in suggestions],
        "budgets_yaml": budgets_yaml,
    }


def period(facts: InputFacts) -> dict[str, str | None]:
    """Earliest start and latest end; null where the input has no times."""
    return {"start": time(facts.period_start), "end": time(facts.period_end)}


def input_(facts: InputFacts, report: ReadReport) -> dict[str, Any]:
    """What was read, and what could not be."""
    warnings = [
        {"code": warning.code, "count": warning.count, "example": warning.example}
        for warning in report.warnings
    ]
    return {
        "files": report.files,
        "formats": dict(report.formats),
        "spans": facts.distinct_spans,
        "duplicates": facts.deliveries - facts.distinct_spans,
        "skipped_records": report.skipped_records,
        "unreadable": report.unreadable,
        "sampled": facts.is_sampled,
        "warnings": warnings,
    }


def _left_off(rows: Sequence[object]) -> int:
    """How many rows of a list are not shown."""
    return max(len(rows) - MAX_ROWS, 0)


def _totals(totals: Totals) -> dict[str, Any]:
    return {
        "traces": totals.traces,
        "model_calls": totals.model_calls,
        "input_tokens": totals.input_tokens,
        "output_tokens": totals.output_tokens,
        "cache_read_input_tokens": totals.cache_read_input_tokens,
        "cache_write_input_tokens": totals.cache_write_input_tokens,
        "reasoning_output_tokens": totals.reasoning_output_tokens,
        "list_cost_usd": optional_money(totals.list_cost_pusd),
        "reported_cost_usd": decimal_money(totals.reported_cost_usd),
        "unpriced_calls": totals.unpriced_calls,
        "unpriced_input_tokens": totals.unpriced_input_tokens,
        "unpriced_output_tokens": totals.unpriced_output_tokens,
        "calls_without_usage": totals.calls_without_usage,
        "calls_without_time": totals.calls_without_time,
        "cache_write_1h_input_tokens": totals.cache_write_1h_input_tokens,
        "audio_input_tokens": totals.audio_input_tokens,
        "audio_output_tokens": totals.audio_output_tokens,
        "image_input_tokens": totals.image_input_tokens,
        "image_output_tokens": totals.image_output_tokens,
        "web_searches": totals.web_searches,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "severity": finding.severity,
        "text": finding.text,
        "count": finding.count,
        "amount_usd": optional_money(finding.amount_pusd),
        "trace_ids": list(finding.trace_ids),
    }


def _limit(limit: LimitOutcome) -> dict[str, Any]:
    return {
        "budget": limit.budget,
        "kind": str(limit.kind),
        "limit": amount(limit.kind, limit.limit),
        "scopes_reached": limit.scopes_reached,
        "scopes_stopped": limit.scopes_stopped,
        "calls_denied": limit.calls_denied,
        "worst_overshoot": amount(limit.kind, limit.worst_overshoot),
    }


def _stopped(scope: ScopeOutcome) -> dict[str, Any]:
    return {
        "budget": scope.budget,
        "kind": str(scope.kind),
        "limit": amount(scope.kind, scope.limit),
        "window_start": None,
        "scope": {"trace": scope.scope},
        "at": time(scope.stopped_at),
        "calls_allowed": scope.calls_allowed,
        "calls_denied": scope.calls_denied,
        "spent_usd": money(scope.spent_pusd),
        "avoided_usd": money(scope.avoided_pusd),
    }


def _sweep_point(point: SweepPoint) -> dict[str, Any]:
    return {
        "kind": str(point.kind),
        "limit": amount(point.kind, point.limit),
        "scopes_reached": point.scopes_reached,
        "scopes_stopped": point.scopes_stopped,
        "calls_denied": point.calls_denied,
        "avoided_usd": money(point.avoided_pusd),
        "false_stops": point.false_stops,
    }


def _suggestion(suggestion: Suggestion, covers: float) -> dict[str, Any]:
    limits = {}
    if suggestion.limit_pusd is not None and suggestion.interval_pusd is not None:
        lower, upper = suggestion.interval_pusd
        limits["cost_usd"] = {
            "limit": money(suggestion.limit_pusd),
            "interval": [money(lower), money(upper)],
        }
    holdout = suggestion.holdout or Holdout(0, 0, 0, has_drifted=False)
    return {
        "key": {"workflow": suggestion.workflow, "agent": suggestion.agent or None},
        "eligible": suggestion.eligible,
        "left_out": [
            {
                "reason": part.reason,
                "count": len(part.trace_ids),
                "trace_ids": list(part.trace_ids[:20]),
            }
            for part in suggestion.left_out
        ],
        "tier": suggestion.tier,
        "why_not": suggestion.why_not,
        "limits": limits,
        "covers": covers,
        "holdout": {
            "scopes": holdout.scopes,
            "stopped": holdout.stopped,
            "avoided_usd": money(holdout.avoided_pusd),
            "drift": holdout.has_drifted,
        },
    }
