"""Budgets without a line of code: what `opentelemetry-instrument` runs before it instruments.

The entry point is there for every program of an environment that has otelbudget, so nothing is
loaded here that is needed only where budgets are asked for.
"""

import functools
import logging
import os
import sys
from pathlib import Path
from typing import NoReturn

from otelbudget.errors import OtelBudgetError

CONFIG_VARIABLE = "OTELBUDGET_CONFIG"
AUDIT_LOG_VARIABLE = "OTELBUDGET_AUDIT_LOG"

logger = logging.getLogger("otelbudget")


@functools.cache
def install() -> None:
    """Watch this process by the budgets file that OTELBUDGET_CONFIG names; once.

    What budgets do is written to the file that OTELBUDGET_AUDIT_LOG names, if any.

    Does nothing without that variable, or where OTELBUDGET_DISABLED switches otelbudget off. A
    file that is missing or wrong ends the process with one sentence and exit code 1: a program
    that was to have budgets does not run without them. A fault of ours is logged, and the program
    runs.
    """
    path = os.environ.get(CONFIG_VARIABLE, "").strip()
    if not path:
        return
    try:
        _install(path)
    except OtelBudgetError as error:
        _refuse_to_start(error)
    except Exception:
        logger.exception("otelbudget cannot watch this program; it runs without budgets")


def _install(path: str) -> None:
    # Imported here: the price table and the SDK are not for programs without budgets.
    from otelbudget.live.gates import active  # noqa: PLC0415

    if active.is_disabled():
        return
    from opentelemetry import trace  # noqa: PLC0415

    from otelbudget.live.processor import BudgetSpanProcessor  # noqa: PLC0415

    audit_log = os.environ.get(AUDIT_LOG_VARIABLE, "").strip()
    processor = BudgetSpanProcessor.from_yaml(path, audit_log=audit_log or None)
    # Python programs that this one starts in another directory use the same files.
    os.environ[CONFIG_VARIABLE] = str(Path(path).absolute())
    if audit_log:
        os.environ[AUDIT_LOG_VARIABLE] = str(Path(audit_log).absolute())
    add = getattr(trace.get_tracer_provider(), "add_span_processor", None)
    if callable(add):
        add(processor)
        return
    logger.warning(
        "otelbudget found no TracerProvider of the OpenTelemetry SDK, so calls are counted and "
        "stopped only at the gates of provider SDKs, and no span tells which run they belong to; "
        "install opentelemetry-distro, or see what opentelemetry-instrument has logged"
    )


def _refuse_to_start(error: OtelBudgetError) -> NoReturn:
    """End the process; an exception would be swallowed by the code that calls us, or by site."""
    sys.stderr.write(
        f"otelbudget: {error}; the program was not started, because {CONFIG_VARIABLE} asks for "
        "budgets: put the file right, or set OTELBUDGET_DISABLED=1 to start without budgets.\n"
    )
    sys.stderr.flush()
    sys.stdout.flush()
    os._exit(1)
