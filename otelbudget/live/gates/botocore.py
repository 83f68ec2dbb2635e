"""The gate of botocore, and so of boto3: models that Bedrock serves.

It stands around the requests of every client, above the SDK's retries, and looks only at those of
bedrock-runtime that ask a model and wait for the answer. Instrumentations wrap the calls around
them, and would take a gate there away with themselves.
"""

import io
import weakref
from collections.abc import Callable, Iterator
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
    """Put the gate around the requests of an imported module botocore.client."""
    place(client.BaseClient, "_make_request", _make_request)


def _make_request(
    wrapped: Callable[..., Any], client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    call = asked(lambda: asked_of(client, *args, **kwargs))
    passage = None if call is None else Passage.open(call.request)
    if passage is None or call is None:
        return wrapped(*args, **kwargs)

    def read_guarded(result: Any, passage: Passage) -> Any:
        passage.guard(lambda: _read(result, passage, call))
        return result

    return passage.run(lambda: wrapped(*args, **kwargs), read_guarded)


def _read(result: Any, passage: Passage, asked: Asked) -> None:
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
        case _:
            _read_body(response, passage, asked)


def _read_body(response: Any, passage: Passage, asked: Asked) -> None:
    """Settle by a body, which is read at once and handed on as if it were not."""
    body = response["body"]
    raw = body._raw_stream  # noqa: SLF001 - a body that was read can only be put back there
    headers = response["ResponseMetadata"]["HTTPHeaders"]
    try:
        content = raw.read()
    except Exception as error:  # noqa: BLE001 - raised where the caller reads
        body._raw_stream = _Broken(error, raw)  # noqa: SLF001 - as above
        passage.settle(is_whole=False)
        return
    body._raw_stream = _Whole(content, raw)  # noqa: SLF001 - as above
    passage.read(
        Unread(content, lambda it: read_invocation(it, headers, names_model=asked.names_model))
    )


class _Whole(io.BytesIO):
    """A body that was read, as if it were still to be read from its connection.

    Args:
        content: The body.
        raw: The response of the HTTP client, which has all else that a caller may ask for.
    """

    def __init__(self, content: bytes, raw: Any) -> None:
        super().__init__(content)
        self._raw = raw

    def stream(self, amt: int = 2**16, **_: Any) -> Iterator[bytes]:
        """The body in pieces, as urllib3 gives it."""
        while piece := self.read(amt):
            yield piece

    def close(self) -> None:
        """Close the connection too."""
        super().close()
        self._raw.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


class _Broken:
    """A body whose connection broke, which the caller learns where it reads.

    Args:
        error: How it broke.
        raw: The response of the HTTP client.
    """

    def __init__(self, error: Exception, raw: Any) -> None:
        self._error = error
        self._raw = raw

    def read(self, *_: Any, **__: Any) -> Any:
        """Raise what the connection broke by."""
        raise self._error

    readinto = readlines = stream = read

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


def _tap(
    stream: Any, passage: Passage, read: Callable[[Any], tuple[ModelCall | None, bool]]
) -> None:
    """Charge the call by the raw events of a stream, before the last one is handed on."""
    # The SDK's generator would keep its stream alive; one of a stand-in ends when that is dropped.
    stand_in = SimpleNamespace(_raw_stream=stream._raw_stream)  # noqa: SLF001 - where events are
    events = type(stream)._create_raw_event_generator(stand_in)  # noqa: SLF001 - as above
    unread = (Unread(message, read) for message in events)
    stream._event_generator = _messages(unread, passage)  # noqa: SLF001 - as above
    weakref.finalize(stream, passage.drop)


def _messages(unread: Iterator[Unread], passage: Passage) -> Iterator[Any]:
    for each in passage.tap_sync(unread):
        if each.body.headers.get(":message-type") != "event":
            passage.settle(is_whole=False)
        yield each.body
