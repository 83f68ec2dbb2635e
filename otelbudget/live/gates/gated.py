"""One call through a gate, for all the processors that watch: admitted, tapped and settled."""

import functools
import logging
import weakref
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextvars import ContextVar, Token
from secrets import token_hex
from typing import Any, ClassVar, Self, TypeVar

from otelbudget.errors import OtelBudgetError
from otelbudget.genai.usage import ModelCall
from otelbudget.live.calls import IN_GATE, GatedCall, calls_around
from otelbudget.live.cancel import InFlight
from otelbudget.live.gatekeeper import Gatekeeper
from otelbudget.live.gates import active, failures
from otelbudget.live.gates.response import is_last_event, is_piece, merged, read_response
from otelbudget.live.request import Request

logger = logging.getLogger("otelbudget")


_Read = TypeVar("_Read")


def asked(read: Callable[[], _Read | None]) -> _Read | None:
    """What a gate reads off a call; None where nobody watches, or where it cannot be read."""
    gatekeepers = active.gatekeepers()
    if not gatekeepers:
        return None
    try:
        return read()
    except Exception:  # noqa: BLE001 - a fault of ours must not stop the call
        for gatekeeper in gatekeepers:
            gatekeeper.failed("reading a request")
        return None


def passage_of(read: Callable[[], Request | None]) -> "Passage | None":
    """The passage of a call by the request that a gate reads off it; None for every other call.

    Raises:
        BudgetExceededError: As `Passage.open`.
        UnknownModelError: As `Passage.open`.
    """
    request = asked(read)
    return None if request is None else Passage.open(request)


class Passage:
    """A call on its way through a gate.

    Args:
        calls: The call as each gatekeeper admitted it.
        attempts: How often the SDK sends the request at most.

    Attributes:
        is_tracked: The application tracks it, and no gate of ours does.
    """

    is_tracked: ClassVar[bool] = False

    __slots__ = (
        "__weakref__",
        "_attempts",
        "_calls",
        "_in_flight",
        "_outer",
        "_seen",
        "_token",
    )

    def __init__(self, calls: tuple[tuple[Gatekeeper, GatedCall], ...], attempts: int = 1) -> None:
        self._calls = calls
        self._attempts = attempts
        self._in_flight: InFlight | None = None
        self._seen: ModelCall | None = None
        self._token: Token[tuple[GatedCall, ...]] | None = None
        self._outer: Token[Passage | None]

    @classmethod
    def open(cls, request: Request) -> Self | None:
        """Ask every active gatekeeper for admission of a request that asks a model.

        Returns:
            The passage; None where nobody watches, or where the request is the very one for which
            a gate around this one was asked. Any other request inside a gate, such as one that a
            hook of the SDK makes, is a call of its own.

        Raises:
            BudgetExceededError: One of them refused; the others have taken the call back.
            UnknownModelError: The model has no known price and must not be called.
        """
        gatekeepers = active.gatekeepers()
        if not gatekeepers or _is_inner(request):
            return None
        around = passage_around()
        if around is not None and around.is_tracked:  # it tracks the call that begins here
            around.release(was_sent=False)
        calls: list[tuple[Gatekeeper, GatedCall]] = []
        call_id = token_hex(16)
        for gatekeeper in gatekeepers:
            try:
                call = gatekeeper.begin(call_id, request)
            except OtelBudgetError:
                cls(tuple(calls)).release(was_sent=False)
                raise
            except Exception:  # noqa: BLE001 - a fault of ours must not stop the call
                gatekeeper.failed("a gate")
                continue
            call.owns_span = request.is_tracked and not calls and not call.trace_id
            calls.append((gatekeeper, call))
        return cls(tuple(calls), request.attempts)

    def __enter__(self) -> Self:
        self._token = IN_GATE.set(tuple(call for _, call in self._calls))
        self._outer = _CURRENT.set(self)
        return self

    def __exit__(self, *exception: object) -> None:
        token, self._token = self._token, None
        if token is not None:
            try:
                IN_GATE.reset(token)
                _CURRENT.reset(self._outer)
            except ValueError:
                # A coroutine that nobody awaited to its end is closed in another context.
                logger.debug("a gate was left in another context than it was entered in")

    def release(self, *, was_sent: bool = True) -> None:
        """The provider cannot have billed this call."""
        for gatekeeper, call in self._calls:
            try:
                gatekeeper.release(call, was_sent=was_sent)
            except Exception:  # noqa: BLE001 - a fault of ours must not lose the SDK's error
                gatekeeper.failed("releasing a call")

    def run(self, call: Callable[[], Any], read: Callable[[Any, "Passage"], Any]) -> Any:
        """Make the call inside the gate.

        Args:
            call: Sends the request.
            read: Settles by the result or leaves a tap on it; returns what the caller gets.
        """
        try:
            with self:
                result = call()
        except BaseException as error:
            self.failed(error)
            raise
        return self._handed_on(result, read)

    async def run_async(
        self, call: Callable[[], Awaitable[Any]], read: Callable[[Any, "Passage"], Any]
    ) -> Any:
        """As `run`, for a request that is awaited.

        Raises:
            BudgetExceededError: The budget was used up meanwhile, and ends its calls in flight.
        """
        self._watch()
        try:
            with self:
                result = await self._wait(call())
        except BaseException as error:
            self.failed(error)
            raise
        return self._handed_on(result, read)

    def _watch(self) -> None:
        """Let a used-up budget end the call, where one wants that and asyncio runs."""
        keepers = [
            (gatekeeper, call)
            for gatekeeper, call in self._calls
            if gatekeeper.calls_in_flight.may_end
        ]
        in_flight = InFlight.here() if keepers else None
        if in_flight is not None:
            self._in_flight = in_flight
            for gatekeeper, call in keepers:
                try:
                    gatekeeper.calls_in_flight.watch(call, in_flight)
                except Exception:  # noqa: BLE001 - a fault of ours must not stop the call
                    gatekeeper.failed("watching a call")

    def _wait(self, awaitable: Awaitable[Any]) -> Awaitable[Any]:
        return awaitable if self._in_flight is None else self._in_flight.wait(awaitable)

    def _handed_on(self, result: Any, read: Callable[[Any, "Passage"], Any]) -> Any:
        """What the caller gets: what `read` makes of the result, else the result itself."""
        try:
            return read(result, self)
        except OtelBudgetError:
            raise
        except Exception:  # noqa: BLE001 - a fault of ours must not lose the user's answer
            self._fault("reading a response")
            self.settle()
            return result

    def failed(self, error: BaseException) -> None:
        """The request ended in an error of the SDK: release it if that cannot have been billed."""
        try:
            was_ended = self._in_flight is not None and self._in_flight.has_ended
            is_billed = was_ended or failures.may_be_billed(error)
            is_repeated = failures.is_repeated(error)
        except Exception:  # noqa: BLE001 - a fault of ours must not lose the SDK's error
            self._fault("reading an error")
            is_billed, is_repeated = True, False
        if is_billed:
            self.settle(is_whole=False, sent=self._attempts if is_repeated else 1)
        else:
            self.release(was_sent=not isinstance(error, OtelBudgetError))

    def repeat(self, error: BaseException | None) -> None:
        """Decide whether the SDK may send the request again.

        Args:
            error: What the attempt ended in that is repeated; None for an answer, which was not
                billed where the SDK repeats it.

        Raises:
            BudgetExceededError: A budget is used up, or leaves no room for another attempt.
        """
        is_billed = error is not None and failures.may_be_billed(error)
        for gatekeeper, call in self._calls:
            try:
                gatekeeper.repeat(call, is_billed=is_billed)
            except OtelBudgetError:
                raise
            except Exception:  # noqa: BLE001 - a fault of ours must not stop the call
                gatekeeper.failed("a retry")

    def see(self, event: object) -> bool:
        """Read a response, or the next event of a stream; says whether it is the last one."""
        try:
            if self._seen is not None and is_piece(event):
                return False
            read = read_response(event)
            if read is not None:
                self._seen = read if self._seen is None else merged(self._seen, read)
            return is_last_event(event)
        except Exception:  # noqa: BLE001 - a fault of ours must not lose the user's answer
            self._fault("reading a response")
            return False

    def settle(self, *, is_whole: bool = True, sent: int = 1) -> None:
        """Charge the call by what was read so far; later settlements change nothing.

        Args:
            is_whole: Whether nothing more can come: what a broken stream told is not all.
            sent: How often the request may have left.
        """
        for gatekeeper, call in self._calls:
            try:
                gatekeeper.settle(call, self._seen, is_whole=is_whole, sent=sent)
            except Exception:  # noqa: BLE001 - a fault of ours must not lose the user's answer
                gatekeeper.failed("settling a call")

    def read(self, body: object) -> None:
        """Read a whole response and charge the call by it."""
        self.see(body)
        self.settle()

    def drop(self) -> None:
        """Charge the call by what was read so far, soon: for finalizers, which must not wait."""
        for gatekeeper, call in self._calls:
            gatekeeper.drop(call, self._seen)

    def tap(self, stream: Any) -> None:
        """Charge the call by the events of an SDK stream, before the last one is handed on.

        A stream that is dropped before its end is settled by what it brought until then.
        """
        events = stream._iterator  # noqa: SLF001 - where the SDK's streams keep their events
        stream._iterator = (  # noqa: SLF001
            self.tap_async(events) if hasattr(events, "__anext__") else self.tap_sync(events)
        )
        weakref.finalize(stream, self.drop)
        self.drop_when_closed(getattr(stream, "response", None))

    def drop_when_closed(self, response: Any) -> None:
        """Charge the call by what was read, soon after an HTTP response is closed."""
        for name, then in (("close", _then), ("aclose", _then_async)):
            close = getattr(response, name, None)
            if callable(close):
                setattr(response, name, then(close, self.drop))

    def tap_sync(self, events: Iterable[Any]) -> Iterator[Any]:
        """The events, each read before it is handed on."""
        return _tap(events, self)

    def tap_async(self, events: AsyncIterable[Any]) -> AsyncIterator[Any]:
        """The events, each read before it is handed on."""
        return _tap_async(events, self)

    async def waits(self, events: AsyncIterable[Any]) -> AsyncIterator[Any]:
        """The events; a used-up budget may end the wait for the next one."""
        ahead = aiter(events)
        while True:
            try:
                event = await self._wait(anext(ahead))
            except StopAsyncIteration:
                return
            yield event

    def guard(self, read: Callable[[], object]) -> None:
        """Run code of ours at a response; its faults are logged and the response is handed on."""
        try:
            read()
        except Exception:  # noqa: BLE001 - a fault of ours must not lose the user's answer
            self._fault("reading a response")
            self.settle()

    def _fault(self, where: str) -> None:
        for gatekeeper, _ in self._calls:
            gatekeeper.failed(where)


_CURRENT: ContextVar[Passage | None] = ContextVar("otelbudget_passage", default=None)


def current_passage() -> Passage | None:
    """The call inside whose gate the running code is, None outside of any."""
    passage = _CURRENT.get()
    return None if passage is None or passage.is_tracked else passage


def passage_around() -> Passage | None:
    """As `current_passage`, or the tracked call that the running code is part of."""
    return _CURRENT.get()


def _is_inner(request: Request) -> bool:
    """Whether a request is the one for which a gate around this code was asked."""
    around = [
        call
        for call in calls_around()
        if call.request.is_same_as(request) and not (call.request.is_outer and call.has_inner)
    ]
    for call in around:
        call.has_inner = True
    return bool(around)


def _then(close: Callable[[], Any], drop: Callable[[], None]) -> Callable[[], Any]:
    @functools.wraps(close)
    def close_and_drop() -> Any:
        try:
            return close()
        finally:
            drop()

    return close_and_drop


def _then_async(
    close: Callable[[], Awaitable[Any]], drop: Callable[[], None]
) -> Callable[[], Awaitable[Any]]:
    @functools.wraps(close)
    async def close_and_drop() -> Any:
        try:
            return await close()
        finally:
            drop()

    return close_and_drop


def _tap(events: Iterable[Any], passage: Passage) -> Iterator[Any]:
    try:
        for event in events:
            if passage.see(event):
                passage.settle()
            yield event
    except GeneratorExit:
        passage.drop()
        raise
    except BaseException:
        passage.settle(is_whole=False)
        raise
    passage.settle()


async def _tap_async(events: AsyncIterable[Any], passage: Passage) -> AsyncIterator[Any]:
    try:
        async for event in passage.waits(events):
            if passage.see(event):
                passage.settle()
            yield event
    except GeneratorExit:
        passage.drop()
        raise
    except BaseException:
        passage.settle(is_whole=False)
        raise
    passage.settle()
