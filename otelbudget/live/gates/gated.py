"""One call through a gate, for all the processors that watch: admitted, tapped and settled."""

import logging
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import Token
from typing import Any, Self
from uuid import uuid4

from otelbudget.errors import OtelBudgetError
from otelbudget.genai.usage import ModelCall
from otelbudget.live.calls import IN_GATE, GatedCall
from otelbudget.live.gatekeeper import Gatekeeper
from otelbudget.live.gates.response import is_last_event, read_response

logger = logging.getLogger("otelbudget")


class Passage:
    """A call on its way through a gate.

    Args:
        calls: The call as each gatekeeper admitted it.
    """

    __slots__ = ("__weakref__", "_calls", "_seen", "_token")

    def __init__(self, calls: tuple[tuple[Gatekeeper, GatedCall], ...]) -> None:
        self._calls = calls
        self._seen: ModelCall | None = None
        self._token: Token[tuple[GatedCall, ...]] | None = None

    @classmethod
    def open(
        cls,
        gatekeepers: tuple[Gatekeeper, ...],
        *,
        provider: str,
        request_model: str | None,
        operation: str,
    ) -> "Passage":
        """Ask every gatekeeper for admission.

        Raises:
            BudgetExceededError: One of them refused; the others have taken the call back.
            UnknownModelError: The model has no known price and must not be called.
        """
        calls: list[tuple[Gatekeeper, GatedCall]] = []
        call_id = uuid4().hex
        for gatekeeper in gatekeepers:
            try:
                call = gatekeeper.begin(
                    call_id=call_id,
                    provider=provider,
                    request_model=request_model,
                    operation=operation,
                )
            except OtelBudgetError:
                cls(tuple(calls)).release(was_sent=False)
                raise
            except Exception:  # noqa: BLE001 - a fault of ours must not stop the call
                gatekeeper.failed("a gate")
                continue
            calls.append((gatekeeper, call))
        return cls(tuple(calls))

    def __enter__(self) -> Self:
        self._token = IN_GATE.set(tuple(call for _, call in self._calls))
        return self

    def __exit__(self, *exception: object) -> None:
        token, self._token = self._token, None
        if token is not None:
            try:
                IN_GATE.reset(token)
            except ValueError:
                # A coroutine that nobody awaited to its end is closed in another context.
                logger.debug("a gate was left in another context than it was entered in")

    def release(self, *, was_sent: bool = True) -> None:
        """The provider cannot have billed this call."""
        for gatekeeper, call in self._calls:
            gatekeeper.release(call, was_sent=was_sent)

    def failed(self, error: BaseException) -> None:
        """The request ended in an error of the SDK."""
        status = getattr(error, "status_code", None)
        if isinstance(status, int) and 400 <= status < 500:  # noqa: PLR2004 - HTTP client errors
            self.release()
        else:
            self.settle()

    def see(self, event: object) -> None:
        """Read a response, or the next event of a stream."""
        try:
            read = read_response(event)
        except Exception:  # noqa: BLE001 - a fault of ours must not lose the user's answer
            self._fault("reading a response")
            return
        if read is None:
            return
        seen = self._seen
        if seen is None:
            self._seen = read
        else:
            self._seen = ModelCall(
                response_id=seen.response_id or read.response_id,
                response_model=seen.response_model or read.response_model,
                usage=read.usage or seen.usage,
            )

    def settle(self) -> None:
        """Charge the call by what was read so far; later settlements change nothing."""
        for gatekeeper, call in self._calls:
            try:
                gatekeeper.settle(call, self._seen)
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
            _tap_async(events, self) if hasattr(events, "__anext__") else _tap(events, self)
        )
        weakref.finalize(stream, self.drop)

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


def _tap(events: Iterator[Any], passage: Passage) -> Iterator[Any]:
    try:
        for event in events:
            passage.see(event)
            if is_last_event(event):
                passage.settle()
            yield event
    except GeneratorExit:
        passage.drop()
        raise
    except BaseException:
        passage.settle()
        raise
    passage.settle()


async def _tap_async(events: AsyncIterator[Any], passage: Passage) -> AsyncIterator[Any]:
    try:
        async for event in events:
            passage.see(event)
            if is_last_event(event):
                passage.settle()
            yield event
    except GeneratorExit:
        passage.drop()
        raise
    except BaseException:
        passage.settle()
        raise
    passage.settle()
