"""Answers as the documented, versioned JSON objects; pure functions from results to mappings."""

from collections.abc import Sequence
from typing import Any

from budget_audit.formats.values import decimal_money, optional_money, time
from otelbudget.audit.findings import Finding
from otelbudget.audit.spend import InputFacts, Spend, Totals
from otelbudget.ingest import ReadReport
from otelbudget.pricing.book import PriceBook

MAX_ROWS = 100


def audit(spend: Spend, report: ReadReport, book: PriceBook) -> dict[str, Any]:
    """The object of `budget-audit audit --format json`."""
    return {
        "schema": "otelbudget.audit/1",
        "period": period(spend.input),
        "timezone": spend.timezone,
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
        "groups": audit_groups(spend)[:MAX_ROWS],
        "left_off": max(spend.groups_count - MAX_ROWS, 0),
        "findings": [_finding(finding) for finding in spend.findings],
    }


def audit_groups(spend: Spend) -> list[dict[str, Any]]:
    """The groups of an audit, the dearest first."""
    return [{"key": group.key, **_totals(group.totals)} for group in spend.groups]


def import_(report: ReadReport, facts: InputFacts, to: Sequence[str], added: int) -> dict[str, Any]:
    """The object of `budget-audit import --format json`.

    Args:
        report: What reading found.
        facts: What was read.
        to: The files written, the store first.
        added: Spans that were not in the store in just this form.
    """
    return {
        "schema": "otelbudget.import/1",
        "store": to[0],
        "written": list(to),
        "added": added,
        "period": period(facts),
        "input": input_(facts, report),
    }


def period(facts: InputFacts) -> dict[str, str | None]:
    """Earliest start and latest end; null where the input has no times."""
    return {"start": time(facts.period_start), "end": time(facts.period_end)}


def input_(facts: InputFacts, report: ReadReport) -> dict[str, Any]:
    """What was read, and what could not be."""
    warnings = [
        {
            "code": warning.code,
            "count": warning.count,
            "example": warning.example,
            "files": [{"file": file, "line": line} for file, line in warning.files.items()],
        }
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


def left_off(rows: Sequence[object]) -> int:
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
