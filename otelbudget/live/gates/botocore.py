"""The gate of botocore, and so of boto3: models that Bedrock serves.

It stands around the calls of every client, above the SDK's retries, and looks only at those of
bedrock-runtime that ask a model and wait for the answer.
"""

import io
import weakref
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import wrapt

from otelbudget.genai import semconv
from otelbudget.genai.usage import ModelCall
from otelbudget.live.gates import active
from otelbudget.live.gates.bedrock_usage import (
    InvocationEvents,
    read_conversation,
    read_conversation_event,
    read_invocation,
)
from otelbudget.live.gates.gated import Passage
from otelbudget.live.gates.response import Unread
from otelbudget.live.request import Request

_SERVICE = "bedrock-runtime"
_ATTEMPTS = {"legacy": 5}
_DEFAULT_ATTEMPTS = 3
# Resources that a customer names, whose model only the answer can tell.
_UNTOLD = (":application-inference-profile/", ":prompt-router/", ":default-prompt-router/")

_Read = Callable[[Any, Passage, Request], None]
"""Settles a call by its answer, or leaves a tap on it."""


def install(client: Any) -> None:
    """Put the gate around the calls of an imported module botocore.client."""
    wrapt.wrap_function_wrapper(client.BaseClient, "_make_api_call", _make_api_call)


def _make_api_call(
    wrapped: Callable[..., Any], client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    request, read = _request_of(client, *args, **kwargs)
    passage = None if request is None else Passage.open(request)
    if passage is None or read is None or request is None:
        return wrapped(*args, **kwargs)
    told = request.without_body()

    def read_guarded(response: Any, passage: Passage) -> Any:
        passage.guard(lambda: read(response, passage, told))
        return response

    return passage.run(lambda: wrapped(*args, **kwargs), read_guarded)


def _request_of(
    client: Any, operation_name: str = "", api_params: Any = None, *_: Any, **__: Any
) -> tuple[Request | None, _Read | None]:
    """What the client is about to ask of a model, and what reads the answer; else None."""
    read = _READERS.get(operation_name) if active.gatekeepers() else None
    if read is None or client.meta.service_model.service_name != _SERVICE:
        return None, None
    parameters = api_params if isinstance(api_params, dict) else {}
    model = parameters.get("modelId")
    body = _body(parameters, operation_name)
    request = Request(
        provider="aws.bedrock",
        model=model if isinstance(model, str) else None,
        operation=_operation(operation_name, str(model), body),
        body=body,
        attempts=_attempts(client),
    )
    return request, read


def _body(parameters: dict[str, Any], operation_name: str) -> object:
    if operation_name.startswith("Converse"):
        return {key: value for key, value in parameters.items() if key != "modelId"}
    body = parameters.get("body")
    if isinstance(body, str):
        return body.encode()
    return bytes(body) if isinstance(body, bytes | bytearray) else None


def _operation(operation_name: str, model: str, body: object) -> str:
    if operation_name.startswith("Converse"):
        return "chat"
    if "embed" in model:
        return semconv.EMBEDDINGS_OPERATION
    is_chat = isinstance(body, bytes) and b'"messages"' in body
    return "chat" if is_chat else "text_completion"


def _attempts(client: Any) -> int:
    """How often the SDK sends a request at most."""
    retries = getattr(client.meta.config, "retries", None) or {}
    attempts = retries.get("total_max_attempts")
    if isinstance(attempts, int):
        return max(attempts, 1)
    return _ATTEMPTS.get(retries.get("mode", "legacy"), _DEFAULT_ATTEMPTS)


def _names_model(request: Request) -> bool:
    """Whether the answer tells the model, and the request does not."""
    return any(part in (request.model or "") for part in _UNTOLD)


def _read_conversation(response: Any, passage: Passage, _: Request) -> None:
    passage.read(Unread(response, read_conversation))


def _tap_conversation(response: Any, passage: Passage, _: Request) -> None:
    _tap(response["stream"], passage, read_conversation_event)


def _tap_invocation(response: Any, passage: Passage, request: Request) -> None:
    events = InvocationEvents(names_model=_names_model(request))
    _tap(response["body"], passage, events.read)


def _read_invocation(response: Any, passage: Passage, request: Request) -> None:
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
    names_model = _names_model(request)
    passage.read(
        Unread(content, lambda it: (read_invocation(it, headers, names_model=names_model), True))
    )


_READERS: dict[str, _Read] = {
    "Converse": _read_conversation,
    "ConverseStream": _tap_conversation,
    "InvokeModel": _read_invocation,
    "InvokeModelWithResponseStream": _tap_invocation,
}


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
