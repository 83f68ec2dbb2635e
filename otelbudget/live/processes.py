"""Notices that budgets are counted in several processes, each of which counts by itself."""

import os
import sys
import weakref
from collections.abc import Callable, Mapping

from otelbudget.live.emitter import Emitter

_CAUSE = "processes"
_EACH_BY_ITSELF = (
    "Budgets are counted in the memory of each process, so what a run, or what calls outside any "
    "trace, use in N processes can come to N times a limit; divide the limits by the number of "
    "processes, or make all calls of a run in one of them."
)


def watch(emitter: Emitter, renew: Callable[[], None]) -> None:
    """Tell of a server with several workers, and call a method in each forked child.

    Args:
        emitter: Tells the user.
        renew: A bound method, kept weakly; called in a child before any other code runs there.
    """
    server = server_of(os.environ)
    if server is not None:
        emitter.once(_CAUSE, "This process is %s. %s", server, _EACH_BY_ITSELF)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_weakly(renew))


def tell_forked(emitter: Emitter, parent: int) -> None:
    """Tell that this process was forked, once it makes calls, if its parent may make some too.

    Args:
        emitter: Tells the user.
        parent: Process id of the one it was forked from; a daemon's is gone by then.
    """
    if os.getppid() == parent:
        emitter.once(
            _CAUSE,
            "This process was forked from one that counts the same budgets; what was used until "
            "then counts in both. %s",
            _EACH_BY_ITSELF,
        )


def server_of(environment: Mapping[str, str]) -> str | None:
    """What this process is, if others like it are likely to run beside it; else None."""
    if environment.get("SERVER_SOFTWARE", "").startswith("gunicorn"):
        return "part of gunicorn"
    if "uwsgi" in sys.modules:  # a module that exists only inside uWSGI
        return "part of uWSGI"
    workers = environment.get("WEB_CONCURRENCY", "")
    if workers.isdecimal() and int(workers) > 1:
        return f"one of {int(workers)} workers (WEB_CONCURRENCY)"
    # Imported by every process that multiprocessing has started, as uvicorn's workers are; while a
    # spawned one imports its main module it has its name, and no parent yet.
    multiprocessing = sys.modules.get("multiprocessing.process")
    is_child = multiprocessing and multiprocessing.current_process().name != "MainProcess"
    return "one of several that multiprocessing started" if is_child else None


def _weakly(renew: Callable[[], None]) -> Callable[[], None]:
    known = weakref.WeakMethod(renew)

    def call() -> None:
        method = known()
        if method is not None:
            method()

    return call
