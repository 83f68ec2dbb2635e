"""For tests: a provider that runs on this machine, answers on cue and counts what it would bill.

Names are loaded on first use, so that the pytest plugin costs nothing where no test asks for it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the lazy names, for readers and type checkers
    from otelbudget.testing.provider import FakeProvider
    from otelbudget.testing.replies import Billed, Reply, Request, ToolCall, Usage

_MODULES = {
    "Billed": "replies",
    "FakeProvider": "provider",
    "Reply": "replies",
    "Request": "replies",
    "ToolCall": "replies",
    "Usage": "replies",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULES])


__all__ = ["Billed", "FakeProvider", "Reply", "Request", "ToolCall", "Usage"]
