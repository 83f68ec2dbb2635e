"""Which runs were good, and which good ones a limit would have stopped."""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import msgspec

from otelbudget.audit.outcomes import Run
from otelbudget.budgets.scopes import RUN, TRACE, look_up
from otelbudget.genai import semconv
from otelbudget.store import sql
from otelbudget.store.store import Store

_load = partial(sql.load, "otelbudget.audit")
_decode = msgspec.json.Decoder(dict[str, Any]).decode

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
    for statement, key in (("judged_traces", TRACE), ("judged_runs", RUN)):
        names = {"name": f'"{semconv.RUN_ID}"', "path": f"/{semconv.RUN_ID}"}
        inputs = names if key == RUN else None
        for identity, is_good, attributes in store.rows(_load(statement), inputs):
            if success is not None:
                name, wanted = success
                told = _decode(attributes).get(name)
                is_told = is_told or told is not None
                is_good = told is not None and look_up(told, None, None, None, None) == wanted  # noqa: PLW2901 - by what says so
            verdicts[key, identity] = bool(is_good)
    return verdicts if is_told else {}


def false_stops(verdicts: Verdicts, stopped: Iterable[Run]) -> int | None:
    """Good runs among those that were stopped; None where no run can be judged."""
    if not verdicts:
        return None
    return sum(verdicts.get(run, False) for run in stopped)
