"""Puts gates on attributes of SDKs, and back where an instrumentation has taken one away.

An instrumentation that was there first puts what it found back when it is switched off, and takes
away every wrapper that has come since.
"""

import functools
import inspect
import logging
from collections.abc import Callable
from threading import RLock
from types import ModuleType
from typing import Any

import wrapt

logger = logging.getLogger("otelbudget")

Wrapper = Callable[..., Any]


class _BoundGate(wrapt.BoundFunctionWrapper[..., Any]):
    """A gate as its class hands it out, which some instrumentations keep and put back."""


class _Gate(wrapt.FunctionWrapper[..., Any]):
    """A wrapper of ours, known among those of others."""

    __bound_function_wrapper__ = _BoundGate


class Placed:
    """Where gates were put."""

    def __init__(self) -> None:
        self._wrappers: dict[tuple[Any, str], Wrapper] = {}
        self._lock = RLock()

    def put(self, target: Any, name: str, wrapper: Wrapper) -> None:
        """As `place`."""
        with self._lock:
            self._wrappers[target, name] = wrapper
            _put(target, name, wrapper)

    def replace_lost(self) -> None:
        """As the function of this name."""
        fault = None
        with self._lock:
            for (target, name), wrapper in self._wrappers.items():
                try:
                    _put(target, name, wrapper)
                except Exception as error:  # noqa: BLE001 - raised once the others are tried
                    fault = error
        if fault is not None:
            raise fault


_placed = Placed()


def place(target: type | ModuleType, name: str, wrapper: Wrapper) -> None:
    """Put a gate around a function of a class or module, and remember it.

    Args:
        target: The class or module.
        name: Name of the function.
        wrapper: What is called in its place, as wrapt calls it.
    """
    _placed.put(target, name, wrapper)


def replace_lost() -> None:
    """Put each gate back that is no longer around what now stands in its place."""
    _placed.replace_lost()


def watch_instrumentors(module: ModuleType) -> None:
    """Look for lost gates each time that an instrumentation is switched on or off.

    Args:
        module: The imported module opentelemetry.instrumentation.instrumentor.
    """
    for name in ("instrument", "uninstrument"):
        wrapt.wrap_function_wrapper(module.BaseInstrumentor, name, _then_replace_lost)


def _then_replace_lost(
    wrapped: Callable[..., Any], _: object, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    try:
        return wrapped(*args, **kwargs)
    finally:
        _replace_lost_quietly()


def _replace_lost_quietly() -> None:
    try:
        replace_lost()
    except Exception as error:  # noqa: BLE001 - a fault of ours must not break an instrumentation
        _log_once(f"{type(error).__name__}: {error}")


@functools.cache
def _log_once(fault: str) -> None:
    logger.error(
        "otelbudget cannot put a gate back that an instrumentation has taken away, so some calls "
        "may be counted by their spans only and not stopped: %s",
        fault,
    )


def _put(target: Any, name: str, wrapper: Wrapper) -> None:
    """Put a gate in its place unless it is there, under whatever wrappers of others."""
    if not _is_around(inspect.getattr_static(target, name), wrapper):
        wrapt.wrap_object(target, name, _Gate, (wrapper,))


def _is_around(found: Any, wrapper: Wrapper) -> bool:
    """Whether a gate is in the chain of what wraps what."""
    seen: set[int] = set()
    while found is not None and id(found) not in seen:
        is_gate = isinstance(found, _Gate | _BoundGate)
        if is_gate and found._self_wrapper is wrapper:  # noqa: SLF001 - it has no public name
            return True
        seen.add(id(found))
        found = getattr(found, "__wrapped__", None)
    return False
