"""A stop and a count around a function that calls a model which no gate covers."""

import functools
import inspect
import weakref
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import aclosing
from typing import Any, ClassVar, TypeVar, overload

import msgspec

from otelbudget.genai import semconv
from otelbudget.genai.usage import ModelCall
from otelbudget.live.calls import GatedCall
from otelbudget.live.gatekeeper import Gatekeeper
from otelbudget.live.gates import active
from otelbudget.live.gates.gated import Passage, asked
from otelbudget.live.gates.response import Unread
from otelbudget.live.gates.returned import read_returned
from otelbudget.live.request import Request

_Function = TypeVar("_Function", bound=Callable[..., Any])
_CHAT = "chat"


@overload
def track(function: _Function, /) -> _Function: ...


@overload
def track(
    model: str | None = None,
    *,
    provider: str | None = None,
    operation: str | None = None,
    agent: str | None = None,
) -> Callable[[_Function], _Function]: ...


def track(
    model: Any = None,
    *,
    provider: str | None = None,
    operation: str | None = None,
    agent: str | None = None,
) -> Any:
    """Stop and count a function that makes one call of a model, where no gate covers the call.

    Before the function runs its budgets are asked, as at a gate: with `reserve` an estimate is held,
    by the arguments and a cap such as `max_tokens` among them. Afterwards usage is read off what it
    returns: a response of any known provider, as a dict, as an object, as text of JSON, or first in
    a tuple. Of a generator the pieces are read as they are handed on.

    A call that a gate covers, or another tracked function, inside the function is the call itself,
    so that nothing is counted twice. Without an active processor the function runs as it is.

    Args:
        model: Model that is called. None: the argument `model` of the function names it, or the
            response does. Or the function, where the decorator is used without arguments.
        provider: Provider in the words of the conventions, such as "openai"; by default what the
            model's name tells.
        operation: What breakdowns call it; by default the current span's name. One of the
            conventions', such as "embeddings", also says what is asked of the model.
        agent: Name of the agent that makes it; by default the one of the spans around.

    Raises:
        BudgetExceededError: When it is called: a budget is used up, or leaves no room for it.
        UnknownModelError: When it is called: the model has no known price and must not be called.
    """
    if callable(model):
        return _tracked(model, _Asker(model, Request("", None, _CHAT, is_tracked=True)))
    request = msgspec.structs.replace(
        request_of(model, provider, operation, agent), is_tracked=True
    )
    return lambda function: _tracked(function, _Asker(function, request))


def request_of(
    model: str | None, provider: str | None, operation: str | None, agent: str | None
) -> Request:
    """The request that an application states; the arguments are those of `track`."""
    is_asked = operation in semconv.MODEL_CALL_OPERATIONS
    request = Request(
        provider or "",
        model,
        operation if is_asked and operation is not None else _CHAT,
        agent=agent,
        name=None if is_asked else operation,
    )
    return request if model is None else with_provider(request, model)


def with_provider(request: Request, model: str | None) -> Request:
    """The request with the provider that a model's name tells, where it names none itself."""
    keepers = active.gatekeepers()
    if request.provider or model is None or not keepers:
        return request
    return msgspec.structs.replace(request, provider=keepers[0].recorded.provider_of(model))


class _Asker:
    """Makes the request that a call of a function stands for.

    Args:
        function: The function.
        request: What the decorator says of it.
    """

    def __init__(self, function: Callable[..., Any], request: Request) -> None:
        self._request = request
        try:
            self._signature: inspect.Signature | None = inspect.signature(function)
        except (TypeError, ValueError):  # made in C
            self._signature = None

    def open(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> "TrackedPassage | None":
        """Ask for admission of a call; None where nobody watches.

        Raises:
            BudgetExceededError: A budget is used up.
            UnknownModelError: The model has no known price and must not be called.
        """
        request = asked(lambda: self._made(args, kwargs))
        return None if request is None else TrackedPassage.open(request)

    def _made(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request:
        body = self._body(args, kwargs)
        named = body.get("model")
        model = self._request.model or (named if isinstance(named, str) else None)
        return with_provider(msgspec.structs.replace(self._request, model=model, body=body), model)

    def _body(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments by name, those that are mappings by their keys."""
        arguments: dict[str, Any] = {"arguments": args, **kwargs}
        if self._signature is not None:
            try:
                bound = self._signature.bind(*args, **kwargs)
            except TypeError:  # which the function itself will say
                return arguments
            bound.apply_defaults()
            arguments = bound.arguments
        body: dict[str, Any] = {}
        for name, value in arguments.items():
            if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
                body |= value
            elif name not in ("self", "cls"):
                body[name] = value
        return body


class TrackedPassage(Passage):
    """A call of a tracked function.

    Attributes:
        recorded: Calls that the application has recorded inside.
    """

    __slots__ = ("recorded",)
    is_tracked: ClassVar[bool] = True

    def __init__(self, calls: tuple[tuple[Gatekeeper, GatedCall], ...], attempts: int = 1) -> None:
        super().__init__(calls, attempts)
        self.recorded: list[ModelCall] = []

    def hand_on(self, result: Any, _: Passage) -> Any:
        """Charge the call by what the function returned, or by what comes of that."""
        handed_on = result
        if inspect.isgenerator(result):
            handed_on = self.pieces(result)
        elif inspect.isasyncgen(result):
            handed_on = self.pieces_async(result)
        elif inspect.iscoroutine(result):
            handed_on = self.run_async(lambda: result, self.hand_on)
        if handed_on is result:
            self._read(result)
            self._end()
        else:
            weakref.finalize(handed_on, self.drop)
        return handed_on

    def pieces(self, pieces: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """The pieces of a generator, each made inside the gate and read before it is handed on."""
        step, has_begun = functools.partial(next, pieces), False
        while True:
            try:
                with self:
                    piece = step()
            except StopIteration as end:
                self._read(end.value)
                self._end()
                return end.value
            except BaseException as error:
                self._broken(error, has_begun=has_begun)
                raise
            self._read_piece(piece)
            has_begun = True
            try:
                step = functools.partial(pieces.send, (yield piece))
            except GeneratorExit:
                self.drop()
                pieces.close()
                raise
            except BaseException as error:  # noqa: BLE001 - it is the generator's to handle
                step = functools.partial(pieces.throw, error)

    async def pieces_async(self, pieces: AsyncGenerator[Any, Any]) -> AsyncGenerator[Any, None]:
        """As `pieces`."""
        self._watch()
        has_begun = False
        async with aclosing(pieces):
            ahead = self.waits(pieces)
            while True:
                try:
                    with self:
                        piece = await anext(ahead)
                except StopAsyncIteration:
                    self._end()
                    return
                except BaseException as error:
                    self._broken(error, has_begun=has_begun)
                    raise
                self._read_piece(piece)
                has_begun = True
                try:
                    yield piece
                except GeneratorExit:
                    self.drop()
                    raise

    def failed(self, error: BaseException) -> None:
        """As `Passage.failed`, unless what was recorded inside is the call."""
        if self.recorded:
            self.release(was_sent=False)
        else:
            super().failed(error)

    def _broken(self, error: BaseException, *, has_begun: bool) -> None:
        """A generator has ended in an error: what has begun to answer is billed."""
        if has_begun and not self.recorded:
            self.settle(is_whole=False)
        else:
            self.failed(error)

    def _read(self, answer: object) -> bool:
        return self.see(Unread(answer, read_returned))

    def _read_piece(self, piece: object) -> None:
        """Read a piece, and charge the call once no usage can come after it."""
        if self._read(piece):
            self._end()

    def _end(self) -> None:
        """Charge the call by what was read, unless what was recorded inside is that call."""
        if any(_is_same(self._seen, each) for each in self.recorded):
            self.release(was_sent=False)
        else:
            self._seen = self._seen or ModelCall()  # it was answered, with what cannot be read
            self.settle()


def _is_same(seen: ModelCall | None, recorded: ModelCall) -> bool:
    """Whether what was read is the recorded call: by its response id, else by its usage."""
    if seen is None or seen.usage is None:
        return True
    if seen.response_id is not None and recorded.response_id is not None:
        return seen.response_id == recorded.response_id
    return seen.usage == recorded.usage


def _tracked(function: Callable[..., Any], asker: _Asker) -> Callable[..., Any]:
    wrap = next((wrap for is_kind, wrap in _KINDS if is_kind(function)), _track_call)
    return functools.wraps(function)(wrap(function, asker))


def _track_call(function: Callable[..., Any], asker: _Asker) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        passage = asker.open(args, kwargs)
        if passage is None:
            return function(*args, **kwargs)
        return passage.run(lambda: function(*args, **kwargs), passage.hand_on)

    return call


def _track_coroutine(function: Callable[..., Any], asker: _Asker) -> Callable[..., Any]:
    async def run(*args: Any, **kwargs: Any) -> Any:
        passage = asker.open(args, kwargs)
        if passage is None:
            return await function(*args, **kwargs)
        return await passage.run_async(lambda: function(*args, **kwargs), passage.hand_on)

    return run


def _track_generator(function: Callable[..., Any], asker: _Asker) -> Callable[..., Any]:
    def generate(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        passage = asker.open(args, kwargs)
        pieces = function(*args, **kwargs)
        return (yield from pieces if passage is None else passage.pieces(pieces))

    return generate


def _track_async_generator(function: Callable[..., Any], asker: _Asker) -> Callable[..., Any]:
    async def stream(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
        passage = asker.open(args, kwargs)
        pieces = function(*args, **kwargs)
        if passage is not None:
            pieces = passage.pieces_async(pieces)
        async with aclosing(pieces):
            async for piece in pieces:
                yield piece

    return stream


_KINDS: tuple[tuple[Callable[[Any], bool], Callable[..., Any]], ...] = (
    (inspect.isasyncgenfunction, _track_async_generator),
    (inspect.isgeneratorfunction, _track_generator),
    (inspect.iscoroutinefunction, _track_coroutine),
)
