"""What a gate found as JUnit XML, which GitHub, GitLab and Jenkins show with the tests.

Source: the elements that GitLab reads (testsuites, testsuite, testcase, failure, skipped, system-out),
https://docs.gitlab.com/ci/testing/unit_test_reports, 2026-11; Jenkins reads the same ones.
"""

from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from budget_audit.formats.gates import Judged
from budget_audit.formats.values import counted, exact_amount, scope_and_window
from otelbudget.audit.gate import Violation
from otelbudget.budgets.config import Budget, LimitKind, Mode

_MOST = 100
_SUITE = "budget-audit gate"


def xml(judged: Judged, nothing: str | None = None) -> str:
    """One test case for each budget and kind of limit; one fails where a scope went beyond it.

    What passes budgets in audit mode is told, and does not fail; a budget that is off is skipped.

    Args:
        judged: What the gate found.
        nothing: Why there was nothing to judge, so that all is skipped; None where there was.
    """
    cases = list(_cases(judged, nothing))
    failures = sum(case.find("failure") is not None for case in cases)
    skipped = sum(case.find("skipped") is not None for case in cases)
    counts = {"tests": str(len(cases)), "failures": str(failures), "errors": "0"}
    suites = Element("testsuites", {"name": _SUITE, **counts})
    suite = SubElement(
        suites, "testsuite", {"name": _SUITE, **counts, "skipped": str(skipped), "time": "0"}
    )
    suite.extend(cases)
    indent(suites)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{tostring(suites, "unicode")}\n'


def _cases(judged: Judged, nothing: str | None) -> Iterator[Element]:
    for budget in judged.budgets.budgets:
        for kind in _kinds(budget):
            case = Element(
                "testcase",
                {"classname": f"budgets.{_clean(budget.name)}", "name": str(kind), "time": "0"},
            )
            broken = [
                each
                for each in judged.violations
                if each.usage.budget == budget.name and each.usage.kind is kind
            ]
            _tell(case, budget, broken, nothing)
            yield case


def _tell(case: Element, budget: Budget, broken: Sequence[Violation], nothing: str | None) -> None:
    """Add what became of a budget's limit to its test case."""
    skipped = "the budget is off" if budget.mode is Mode.OFF else nothing
    if skipped:
        SubElement(case, "skipped", {"message": skipped})
    if not broken:
        return
    lines = [_sentence(budget, each) for each in broken]
    told = lines[:_MOST]
    if len(lines) > _MOST:
        told.append(f"and {len(lines) - _MOST:,} more")
    if budget.mode is Mode.ENFORCE:
        more = f" (and {len(lines) - 1:,} more)" if len(lines) > 1 else ""
        attributes = {"message": lines[0] + more, "type": "BudgetExceeded"}
        SubElement(case, "failure", attributes).text = "\n".join(told)
    else:
        SubElement(case, "system-out").text = "\n".join(
            ["In audit mode, so this does not fail:", *told]
        )


def _sentence(budget: Budget, violation: Violation) -> str:
    usage = violation.usage
    denied = violation.calls_denied
    refused = f"; {counted(denied, 'call')} would have been refused" if denied else ""
    return _clean(
        f"{scope_and_window(usage.scope, budget, usage.window_start)}: usage "
        f"{exact_amount(usage.kind, usage.usage)}, limit {exact_amount(usage.kind, usage.limit)}"
        f"{refused}"
    )


def _kinds(budget: Budget) -> Sequence[LimitKind]:
    """What a budget limits, tools of their own included."""
    tools = [LimitKind.TOOL_CALLS] if budget.tool_limits else []
    return [*dict.fromkeys([*budget.limits, *tools])]


def _clean(text: str) -> str:
    """Text that may stand in XML 1.0: names of users may hold what may not."""
    return "".join(
        each if each.isprintable() and each not in "\ufffe\uffff" else "\ufffd" for each in text
    )
