"""Values that hold for the code inside a `with` block, wherever that is left."""

from contextvars import ContextVar, Token
from typing import Generic, Self, TypeVar

_Value = TypeVar("_Value")


class Within(Generic[_Value]):
    """Gives a context variable a value, for `with` and `async with`; one use each.

    Args:
        variable: The variable.
        value: What it is inside.
    """

    def __init__(self, variable: ContextVar[_Value], value: _Value) -> None:
        self._variable = variable
        self._value = value
        self._token: Token[_Value] | None = None

    def __enter__(self) -> Self:
        self._outer = self._variable.get()
        self._token = self._variable.set(self._value)
        return self

    def __exit__(self, *exception: object) -> None:
        self.leave()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *exception: object) -> None:
        self.leave()

    def leave(self) -> bool:
        """Take the value back; whether this is the context in which it was given.

        A block may be left in another one: generators are closed wherever they are collected, and
        test frameworks run the two halves of a fixture in two tasks.
        """
        token, self._token = self._token, None
        if token is None:
            return False
        try:
            self._variable.reset(token)
        except ValueError:
            if self._variable.get() is self._value:
                self._variable.set(self._outer)
            return False
        return True
