"""Which runs were good, and which good ones a limit would have stopped."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import msgspec

from otelbudget.audit.outcomes import Run
from otelbudget.audit.places import pointer, quoted
from otelbudget.budgets.scopes import RUN, TRACE, look_up
from otelbudget.genai import semconv
from otelbudget.store import sql
from otelbudget.store.store import Store

_load = partial(sql.load, "otelbudget.audit")

Verdicts = Mapping[Run, bool]
"""Whether a run was good, for the runs of which that is known."""


def judge(store: Store, success: tuple[str, str] | None = None) -> Verdicts:
    """Which runs were good: those whose root span is there, has ended and did not fail.

    The root of a run that was opened by name is the first span that tells its id, else it is the
    trace's.

    Args:
        store: A store on which `build_model_calls` has run.
        success: Attribute of the root span and its value as text, which say that a run was good
            instead. Where no root span has it, no run is judged.
    """
    verdicts: dict[Run, bool] = {}
    is_told = success is None
    asked = {"path": None if success is None else pointer(success[0])}
    by_id = {"name": quoted(semconv.RUN_ID), "id_path": pointer(semconv.RUN_ID)}
    for statement, key in (("judged_traces", TRACE), ("judged_runs", RUN)):
        inputs = asked if key == TRACE else {**asked, **by_id}
        for identity, is_good, told in store.rows(_load(statement), inputs):
            is_told = is_told or told is not None
            verdicts[key, identity] = is_good if success is None else _says(told, success[1])
    return verdicts if is_told else {}


def successes(store: Store, success: tuple[str, str]) -> tuple[Sequence[str], bool]:
    """What root spans tell of success: the JSON texts that say it, and whether any tells of it."""
    name, wanted = success
    told = [text for (text,) in store.rows(_load("successes"), {"path": pointer(name)})]
    return [text for text in told if _says(text, wanted)], any(text is not None for text in told)


def false_stops(verdicts: Verdicts, stopped: Iterable[Run]) -> int | None:
    """Good runs among those that were stopped; None where no run can be judged."""
    if not verdicts:
        return None
    return sum(verdicts.get(run, False) for run in stopped)


def _says(told: str | None, wanted: str) -> bool:
    """Whether the JSON text of an attribute is the wanted value."""
    if told is None:
        return False
    return look_up(msgspec.json.decode(told), None, None, None, None) == wanted
