"""A stop for code that no gate stands around: asked for by the application itself."""

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import aclosing
from typing import Any, Literal, TypeVar, overload

from otelbudget.errors import BudgetConfigError, BudgetExceededError, OtelBudgetError
from otelbudget.live.gates import active

Kind = Literal["call", "tool"]
_Ask = Callable[[], None]
_Function = TypeVar("_Function", bound=Callable[..., Any])


def check(kind: Kind = "call", *, name: str | None = None) -> None:
    """Stop here if a budget that a model call would count on is used up.

    Call it before work that no gate covers, such as an expensive tool; `track` stops a model call
    and counts it, too. Code outside any trace counts as the trace "(none)". Without an active
    processor it does nothing.

    Args:
        kind: "call" asks whether a model call would be refused, and counts nothing. "tool" asks for
            a call of a tool and counts it, unless it is made inside that call's own span.
        name: Name of the tool, for limits on single tools; else what the current span names.

    Raises:
        BudgetExceededError: A budget is used up.
    """
    for gatekeeper in active.gatekeepers():
        try:
            if kind == "tool":
                gatekeeper.check_tool(name)
            else:
                gatekeeper.check()
        except OtelBudgetError:
            raise
        except Exception:  # noqa: BLE001 - a fault of ours must not stop the application
            gatekeeper.failed("check")


@overload
def guarded(function: _Function, /) -> _Function: ...


@overload
def guarded(
    *, kind: Kind = "call", fallback: Callable[..., Any] | None = None
) -> Callable[[_Function], _Function]: ...


def guarded(
    function: Any = None,
    /,
    *,
    kind: Kind = "call",
    fallback: Callable[..., Any] | None = None,
) -> Any:
    """Call `check` each time before a function runs.

    It takes functions, coroutine functions, and generators of both kinds, which are checked when
    they are first asked for an item.

    Args:
        function: The function, where the decorator is used without arguments.
        kind: As for `check`; the tool has the function's name.
        fallback: Called with the same arguments where the check, or the function itself, raises
            `BudgetExceededError`; its result is the result. Not for generators, whose items may
            have been used by then.

    Raises:
        BudgetConfigError: The fallback does not go with the function.
    """
    if function is None:
        return functools.partial(_guard, kind=kind, fallback=fallback)
    return _guard(function, kind=kind, fallback=fallback)


def _guard(
    function: Callable[..., Any], *, kind: Kind, fallback: Callable[..., Any] | None
) -> Callable[..., Any]:
    wrapper = next(
        (guard for is_kind, guard in _GUARDS if is_kind(function)),
        _guard_call,
    )
    name = getattr(function, "__name__", None) if kind == "tool" else None
    ask = functools.partial(check, kind, name=name)
    guard = functools.wraps(function)(wrapper(function, ask))
    return guard if fallback is None else _fall_back(guard, fallback)


def _fall_back(guard: Callable[..., Any], fallback: Callable[..., Any]) -> Callable[..., Any]:
    name = getattr(guard, "__qualname__", repr(guard))
    if inspect.isgeneratorfunction(guard) or inspect.isasyncgenfunction(guard):
        raise BudgetConfigError(
            f"{name} is a generator, whose items may have been used before a budget stops it; "
            "catch BudgetExceededError where they are used",
            key="fallback",
        )
    if not inspect.iscoroutinefunction(guard):
        if inspect.iscoroutinefunction(fallback):
            raise BudgetConfigError(
                f"{name} is no coroutine function, so its fallback must be none either",
                key="fallback",
            )
        return functools.wraps(guard)(_or_else(guard, fallback))
    return functools.wraps(guard)(_or_else_async(guard, fallback))


def _or_else(guard: Callable[..., Any], fallback: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return guard(*args, **kwargs)
        except BudgetExceededError:
            return fallback(*args, **kwargs)

    return call


def _or_else_async(guard: Callable[..., Any], fallback: Callable[..., Any]) -> Callable[..., Any]:
    async def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return await guard(*args, **kwargs)
        except BudgetExceededError:
            result = fallback(*args, **kwargs)
            return await result if inspect.isawaitable(result) else result

    return run


def _guard_call(function: Callable[..., Any], ask: _Ask) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        ask()
        return function(*args, **kwargs)

    return call


def _guard_coroutine(function: Callable[..., Any], ask: _Ask) -> Callable[..., Any]:
    async def run(*args: Any, **kwargs: Any) -> Any:
        ask()
        return await function(*args, **kwargs)

    return run


def _guard_generator(function: Callable[..., Any], ask: _Ask) -> Callable[..., Any]:
    def generate(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        ask()
        return (yield from function(*args, **kwargs))

    return generate


def _guard_async_generator(function: Callable[..., Any], ask: _Ask) -> Callable[..., Any]:
    async def stream(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        ask()
        async with aclosing(function(*args, **kwargs)) as items:
            async for item in items:
                yield item

    return stream


_GUARDS: tuple[tuple[Callable[[Any], bool], Callable[..., Any]], ...] = (
    (inspect.isasyncgenfunction, _guard_async_generator),
    (inspect.isgeneratorfunction, _guard_generator),
    (inspect.iscoroutinefunction, _guard_coroutine),
)
