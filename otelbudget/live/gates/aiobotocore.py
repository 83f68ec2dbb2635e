"""The gate of aiobotocore: as that of botocore, whose request method its clients replace."""

import io
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any

from otelbudget.genai.usage import ModelCall
from otelbudget.live.gates.bedrock import Asked, asked_of, is_refused
from otelbudget.live.gates.bedrock_usage import (
    InvocationEvents,
    read_conversation,
    read_conversation_event,
    read_invocation,
)
from otelbudget.live.gates.gated import Passage, asked
from otelbudget.live.gates.placing import place
from otelbudget.live.gates.response import Unread


def install(client: Any) -> None:
    """Put the gate around the requests of an imported module aiobotocore.client."""
    place(client.AioBaseClient, "_make_request", _make_request)


async def _make_request(
    wrapped: Callable[..., Awaitable[Any]],
    client: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    call = asked(lambda: asked_of(client, *args, **kwargs))
    passage = None if call is None else Passage.open(call.request)
    if passage is None or call is None:
        return await wrapped(*args, **kwargs)
    content: bytes | None = None

    async def request() -> Any:
        nonlocal content
        result = await wrapped(*args, **kwargs)
        content = await _taken(result, call)
        return result

    def read_guarded(result: Any, passage: Passage) -> Any:
        passage.guard(lambda: _read(result, passage, call, content))
        return result

    return await passage.run_async(request, read_guarded)


def _read(result: Any, passage: Passage, asked: Asked, content: bytes | None) -> None:
    """Settle by the answer, or leave a tap on it."""
    if is_refused(result, passage):
        return
    response = result[1]
    match asked.operation:
        case "Converse":
            passage.read(Unread(response, read_conversation))
        case "ConverseStream":
            _tap(response["stream"], passage, read_conversation_event)
        case "InvokeModelWithResponseStream":
            _tap(response["body"], passage, InvocationEvents(names_model=asked.names_model).read)
        case _ if content is None:
            passage.settle(is_whole=False)
        case _:
            headers, named = response["ResponseMetadata"]["HTTPHeaders"], asked.names_model
            passage.read(
                Unread(content, lambda it: read_invocation(it, headers, names_model=named))
            )


async def _taken(result: Any, asked: Asked) -> bytes | None:
    """The body of an invoked model, which is read at once and handed on as if it were not.

    Returns:
        The body; None where the answer has none, or its connection broke, which the caller learns
        where it reads.
    """
    body = result[1].get("body") if asked.operation == "InvokeModel" else None
    if body is None:
        return None
    raw = body._raw_stream  # noqa: SLF001 - a body that was read can only be put back there
    is_httpx = hasattr(body, "_stream_iter")
    content, error = b"", None
    try:
        content = await (_joined(raw.aiter_raw()) if is_httpx else raw.content.read())
    except Exception as broken:  # noqa: BLE001 - raised where the caller reads
        error = broken
    whole = _Whole(content, error, raw)
    if is_httpx:
        body._stream_iter = aiter(whole)  # noqa: SLF001 - as above
    else:
        body._raw_stream = whole  # noqa: SLF001 - as above
    return content if error is None else None


async def _joined(pieces: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in pieces])


class _Whole:
    """A body that was read, as if it were still to be read from its connection.

    Args:
        content: The body.
        error: How the connection broke, None where it did not.
        raw: The response of the HTTP client, which has all else that a caller may ask for.

    Attributes:
        content: The body as aiohttp has it: itself.
    """

    def __init__(self, content: bytes, error: Exception | None, raw: Any) -> None:
        self.content = self
        self._bytes = io.BytesIO(content)
        self._length = len(content)
        self._error = error
        self._raw = raw

    async def read(self, size: int = -1) -> bytes:
        """The next bytes of the body.

        Raises:
            Exception: What the connection broke by.
        """
        if self._error is not None:
            raise self._error
        return self._bytes.read(size)

    def at_eof(self) -> bool:
        """Whether all of the body was read."""
        return self._bytes.tell() == self._length

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield await self.read()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


def _tap(
    stream: Any, passage: Passage, read: Callable[[Any], tuple[ModelCall | None, bool]]
) -> None:
    """Charge the call by the raw events of a stream, before the last one is handed on."""
    # The SDK's generator would keep its stream alive; one of a stand-in ends when that is dropped.
    stand_in = SimpleNamespace(_raw_stream=stream._raw_stream)  # noqa: SLF001 - where events are
    events = type(stream)._create_raw_event_generator(stand_in)  # noqa: SLF001 - as above
    unread = (Unread(message, read) async for message in events)
    stream._event_generator = _messages(unread, passage)  # noqa: SLF001 - as above
    weakref.finalize(stream, passage.drop)


async def _messages(unread: AsyncIterator[Unread], passage: Passage) -> AsyncIterator[Any]:
    async for each in passage.tap_async(unread):
        if each.body.headers.get(":message-type") != "event":
            passage.settle(is_whole=False)
        yield each.body
