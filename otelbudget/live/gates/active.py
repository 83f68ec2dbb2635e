"""Gates around the provider SDKs' own request methods, where a call can be stopped and read.

A gate is put in place when the first processor is made: at once for an SDK that is already
imported, else when it is imported. Without an active processor it only passes calls through.
"""

import logging
import os
from collections.abc import Callable
from importlib import import_module
from threading import RLock
from types import ModuleType

import wrapt

from otelbudget.live.gatekeeper import Gatekeeper
from otelbudget.live.gates import placing

logger = logging.getLogger("otelbudget")

DISABLED_VARIABLE = "OTELBUDGET_DISABLED"
# The modules of SDKs, and the gate that is put around each when it is imported.
_GATES = {
    "openai": "otelbudget.live.gates.openai",
    "anthropic": "otelbudget.live.gates.anthropic",
    "google.genai._api_client": "otelbudget.live.gates.google_genai",
    "google.genai._gaos.basesdk": "otelbudget.live.gates.google_interactions",
    "aiobotocore.client": "otelbudget.live.gates.aiobotocore",
    "botocore.client": "otelbudget.live.gates.botocore",
    "litellm": "otelbudget.live.gates.litellm",
}
_INSTRUMENTORS = "opentelemetry.instrumentation.instrumentor"


class _Active:
    """The gatekeepers that gates ask, in the order of their processors."""

    def __init__(self) -> None:
        self.gatekeepers: tuple[Gatekeeper, ...] = ()
        self._lock = RLock()
        self._are_hooks_set = False

    def add(self, gatekeeper: Gatekeeper) -> None:
        with self._lock:
            self.gatekeepers = (*self.gatekeepers, gatekeeper)
            if self._are_hooks_set:
                return
            self._are_hooks_set = True
        for sdk, gate in _GATES.items():
            wrapt.register_post_import_hook(_hook(gate), sdk)
        wrapt.register_post_import_hook(_watch_instrumentors, _INSTRUMENTORS)

    def remove(self, gatekeeper: Gatekeeper) -> None:
        with self._lock:
            self.gatekeepers = tuple(each for each in self.gatekeepers if each is not gatekeeper)


_active = _Active()


def _hook(gate: str) -> Callable[[ModuleType], None]:
    def install(module: ModuleType) -> None:
        try:
            import_module(gate).install(module)
        except Exception:
            # The user's import must not fail because a release of the SDK looks otherwise.
            logger.exception(
                "otelbudget cannot put its gate around %s, so calls of it are counted by their "
                "spans only and not stopped; use a release that otelbudget supports",
                module.__name__,
            )

    return install


def _watch_instrumentors(module: ModuleType) -> None:
    try:
        placing.watch_instrumentors(module)
    except Exception:
        logger.exception(
            "otelbudget cannot see instrumentations come and go; one that is switched off may take "
            "gates away, and calls are then counted by their spans only and not stopped"
        )


def activate(gatekeeper: Gatekeeper) -> None:
    """Let gates ask a gatekeeper, and put the gates in place."""
    _active.add(gatekeeper)


def deactivate(gatekeeper: Gatekeeper) -> None:
    """Let gates no longer ask a gatekeeper."""
    _active.remove(gatekeeper)


def gatekeepers() -> tuple[Gatekeeper, ...]:
    """The gatekeepers that gates ask."""
    return _active.gatekeepers


def is_disabled() -> bool:
    """Whether the environment switches otelbudget off."""
    return os.environ.get(DISABLED_VARIABLE, "").lower() in ("1", "true", "yes", "on")
