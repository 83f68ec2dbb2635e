"""What recorded calls lack that budgets ask for, as warnings."""

from collections.abc import Sequence

from budget_audit.formats.tables import days
from otelbudget.audit.happenings import Recording
from otelbudget.audit.spend import InputFacts
from otelbudget.budgets.config import Budget, Budgets, Mode
from otelbudget.budgets.scopes import NONE, Place
from otelbudget.ingest import ReadReport
from otelbudget.pricing.billing import UnknownModel


def note_unpriced(report: ReadReport, recording: Recording, budgets: Budgets) -> None:
    """Warn of calls without a known price."""
    unpriced = [
        call.charge.model
        for call in recording.calls
        if call.charge.tokens and call.charge.list_cost_pusd is None
    ]
    if unpriced:
        warn_unpriced(report, unpriced[0], len(unpriced), budgets.unknown_model)


def warn_unpriced(
    report: ReadReport, model: str | None, count: int, unknown_model: UnknownModel
) -> None:
    """Warn of calls without a known price, one of them a call of a model."""
    counts = "nothing" if unknown_model is UnknownModel.ALLOW else "a ceiling price"
    report.warn(
        "unpriced_calls",
        f"calls of {model!r} have no known price and count {counts} toward money limits",
        count,
    )


def note_no_calls(
    report: ReadReport,
    facts: InputFacts,
    where: Sequence[tuple[str, str]],
    since: int | None,
    until: int | None,
) -> None:
    """Warn that no call is left of those that were read, by what was asked for."""
    has = " and ".join(f"{key}={value}" for key, value in where)
    if since is until is None:
        if has:
            report.warn("no_calls", f"no call has {has}")
        return
    that = f"no call that has {has}" if has else "no call"
    of = days(facts.period_start, facts.period_end)
    report.warn("no_calls", f"{that} starts in this period; the spans are of {of}")


def note_assumed(report: ReadReport, recording: Recording) -> None:
    """Warn where nobody recorded what was held for calls."""
    if recording.estimates_assumed:
        report.warn(
            "estimates_assumed",
            "nobody recorded what was held for calls; it is assumed from the input they had and "
            "the cap of their output, or 4,096 tokens",
            recording.estimates_assumed,
        )


def note_keys(report: ReadReport, recording: Recording, budgets: Sequence[Budget]) -> None:
    """Warn of keys of budgets for which no call has a value: they are likely misspelt."""
    places = _places(recording)
    if not places:
        return
    told = {
        key: any(place.value(key) != NONE for place in places)
        for budget in budgets
        for key in budget.keys
        if budget.mode is not Mode.OFF
    }
    sentences = []
    for budget in budgets:
        missing = [repr(key) for key in budget.keys if not told.get(key, True)]
        if missing:
            noun = "key" if len(missing) == 1 else "keys"
            sentences.append(
                f"No call has a value for the {noun} {' and '.join(missing)} of budget "
                f"{budget.name!r}, so all count as {NONE}."
            )
    if sentences:
        report.warn("scope_without_value", " ".join(sentences))


def note_untold(report: ReadReport, keys: Sequence[str]) -> None:
    """Warn of keys to group by that no call has a value for: they are likely misspelt."""
    if keys:
        names = " and ".join(map(repr, keys))
        noun = "key" if len(keys) == 1 else "keys"
        report.warn(
            "key_without_value", f"no call has a value for the {noun} {names}, so all are {NONE}"
        )


def note_tiers(report: ReadReport, recording: Recording, budgets: Budgets) -> None:
    """Warn of tiers that runs ask for and the budgets file does not have."""
    tiers = _tiers(budgets)
    unknown = {
        run.id: run.tier
        for place in _places(recording)
        for run in place.runs
        if run.tier is not None and run.tier not in tiers
    }
    if not unknown:
        return
    names = ", ".join(map(repr, dict.fromkeys(sorted(unknown.values()))))
    known = f"its tiers are {', '.join(map(repr, tiers))}" if tiers else "it has no tier"
    report.warn(
        "unknown_tier",
        f"runs ask for a tier that the budgets file does not have: {names}; {known}",
        len(unknown),
    )


def unused_tiers(recording: Recording, budgets: Budgets) -> str | None:
    """A sentence on the tiers that no run asks for, None where each is asked for."""
    asked = {run.tier for place in _places(recording) for run in place.runs}
    unused = [repr(tier) for tier in _tiers(budgets) if tier not in asked]
    if not unused:
        return None
    noun = "tier" if len(unused) == 1 else "tiers"
    return f"No run asks for the {noun} {', '.join(unused)}."


def _places(recording: Recording) -> Sequence[Place]:
    """What calls belong to, each once."""
    found = dict.fromkeys(call.place for call in recording.calls if call.place is not None)
    return [*(found | dict.fromkeys(tool.place for tool in recording.tools))]


def _tiers(budgets: Budgets) -> Sequence[str]:
    return [budget.name for budget in budgets.budgets if budget.per is None]
