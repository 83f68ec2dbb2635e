"""What the probes of an environment have shown, as a table and as a JSON object."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from budget_audit.formats.values import decimal_money
from otelbudget.doctor.results import ProbeResult, Report, Result

_STYLES = {Result.PASS: "green", Result.FAIL: "bold red", Result.NOT_COVERED: "yellow"}


def document(report: Report) -> dict[str, Any]:
    """The object of `budget-audit doctor --format json`."""
    return {
        "schema": "otelbudget.doctor/1",
        "ok": report.is_ok,
        "probes": [
            {
                "sdk": probe.sdk,
                "version": probe.version,
                "instrumentation": probe.instrumentation,
                "form": probe.form,
                "result": str(probe.result),
                "requests_after_stop": probe.requests_after_stop,
                "charged_usd": decimal_money(probe.charged_usd),
                "billed_usd": decimal_money(probe.billed_usd),
                "reason": probe.reason,
            }
            for probe in report.probes
        ],
    }


def table(report: Report) -> RenderableType:
    """A line for each SDK and instrumentation, then what is wrong."""
    if not report.probes:
        return Text("No provider SDK is installed here: there is nothing to probe.")
    return Group(_headline(report), "", _results(report.probes), *_reasons(report.probes))


def _headline(report: Report) -> Text:
    results = [probe.result for probe in report.probes]
    counts = [
        (f"{results.count(result)} {result}", style if result in results else "dim")
        for result, style in _STYLES.items()
    ]
    verdict = "A used-up budget stops the next call" if report.is_ok else "Not every stop holds"
    return Text.assemble((f"{verdict}: ", "bold"), Text(", ").join(Text(*each) for each in counts))


def _results(probes: Sequence[ProbeResult]) -> Table:
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    shown.add_column("sdk", no_wrap=True, min_width=20)
    shown.add_column("instrumentation", overflow="fold")
    for name in ("result", "stopped", "charged"):
        shown.add_column(name, no_wrap=True, min_width=len(name))
    for group in _groups(probes):
        first = group[0]
        forms = [probe for probe in group if probe.form is not None]
        shown.add_row(
            f"{first.sdk} {first.version}",
            first.instrumentation or Text("none" if forms else "", style="dim"),
            _verdict(group),
            _share([probe.requests_after_stop == 0 for probe in forms]),
            _share([probe.charged_usd == probe.billed_usd is not None for probe in forms]),
        )
    return shown


def _groups(probes: Sequence[ProbeResult]) -> Iterator[list[ProbeResult]]:
    for _, group in groupby(probes, lambda probe: (probe.sdk, probe.instrumentation)):
        yield list(group)


def _verdict(group: Sequence[ProbeResult]) -> Text:
    worst = max((probe.result for probe in group), key=list(_STYLES).index)
    if any(probe.result is Result.FAIL for probe in group):
        worst = Result.FAIL
    return Text(str(worst), style=_STYLES[worst])


def _share(held: Sequence[bool]) -> str:
    return f"{sum(held)} of {len(held)}" if held else ""


def _reasons(probes: Sequence[ProbeResult]) -> Iterator[RenderableType]:
    """What failed and what is not covered, each with its reason."""
    for title, result in (("Failed", Result.FAIL), ("Not covered", Result.NOT_COVERED)):
        lines = Table.grid(padding=(0, 1, 0, 0))
        for what in _by_reason(probes, result):
            lines.add_row(Text("!", style=_STYLES[result]), what)
        if lines.row_count:
            yield from ("", Text(title, style="bold"), lines)
    if any(probe.result is Result.FAIL for probe in probes):
        yield ""
        yield Text(
            "Do not rely on a budget where a probe fails: call otelbudget.check() before such "
            "calls, or use a release that passes.",
            style="dim",
        )


def _by_reason(probes: Sequence[ProbeResult], result: Result) -> Iterator[Text]:
    """One sentence for all forms of an SDK that share a reason."""
    alike: dict[tuple[str, str | None, str | None], list[ProbeResult]] = {}
    for probe in probes:
        if probe.result is result:
            alike.setdefault((probe.sdk, probe.instrumentation, probe.reason), []).append(probe)
    for (sdk, instrumentation, reason), same in alike.items():
        under = f" under {instrumentation}" if instrumentation else ""
        forms = "; ".join(probe.form for probe in same if probe.form is not None)
        yield Text.assemble(
            (f"{sdk}{under}", "bold"), f" ({forms})" if forms else "", f": {reason}"
        )
