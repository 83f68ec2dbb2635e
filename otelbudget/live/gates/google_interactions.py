"""The gate of the interactions of the google-genai SDK, which have a client of their own."""

import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import msgspec

from otelbudget.genai.usage import ModelCall
from otelbudget.live.gates.gated import Passage, passage_of
from otelbudget.live.gates.google_usage import read_interaction, read_interaction_event
from otelbudget.live.gates.placing import place
from otelbudget.live.gates.response import Unread
from otelbudget.live.request import Request

_OPERATION = "CreateInteraction"
_FIRST_ERROR, _FIRST_SERVER_ERROR = 400, 500


def install(basesdk: Any) -> None:
    """Put the gate around the clients of an imported module google.genai._gaos.basesdk."""
    place(basesdk.BaseSDK, "do_request", _do_request)
    place(basesdk.AsyncBaseSDK, "do_request_async", _do_request_async)


def _do_request(
    wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    passage = passage_of(lambda: _request_of(*args, **kwargs))
    if passage is None:
        return wrapped(*args, **kwargs)
    return passage.run(lambda: wrapped(*args, **kwargs), _read)


async def _do_request_async(
    wrapped: Callable[..., Awaitable[Any]], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    passage = passage_of(lambda: _request_of(*args, **kwargs))
    if passage is None:
        return await wrapped(*args, **kwargs)
    return await passage.run_async(lambda: wrapped(*args, **kwargs), _read)


def _request_of(
    hook_ctx: Any = None,
    request: Any = None,
    *_: Any,
    retry_config: Any = None,
    **__: Any,
) -> Request | None:
    """What the client is about to ask of a model; None where it asks none."""
    if getattr(hook_ctx, "operation_id", None) != _OPERATION:
        return None
    body = _body(request)
    model = body.get("model")
    retries = getattr(retry_config[0], "max_retries", None) if retry_config else None
    return Request(
        provider="gcp.vertex_ai" if "/projects/" in str(request.url) else "gcp.gemini",
        model=model.rpartition("models/")[2] if isinstance(model, str) else None,
        operation="generate_content",
        body=body,
        attempts=1 + (retries or 0),
    )


def _body(request: Any) -> dict[str, Any]:
    """What is sent, its settings named as they are for generated content."""
    try:
        body = msgspec.json.decode(request.content)
    except msgspec.DecodeError:
        return {}
    if not isinstance(body, dict):
        return {}
    settings = body.pop("generation_config", None)
    return body if settings is None else body | {"generationConfig": settings}


def _read(response: Any, passage: Passage) -> Any:
    """Settle by a response whose body is there, else leave a tap on its bytes."""
    if response.status_code >= _FIRST_SERVER_ERROR:
        passage.settle(is_whole=False)
    elif response.status_code >= _FIRST_ERROR:
        passage.release()
    elif response.is_closed:
        passage.read(Unread(response, _read_body))
    else:
        passage.guard(lambda: _tap(response, passage))
    return response


def _read_body(response: Any) -> tuple[ModelCall | None, bool]:
    return read_interaction(response.content), True


def _tap(response: Any, passage: Passage) -> None:
    events = _Events()
    iter_bytes, aiter_bytes = response.iter_bytes, response.aiter_bytes

    def tapped(*args: Any, **kwargs: Any) -> Iterator[bytes]:
        pieces = iter_bytes(*args, **kwargs)
        for unread in passage.tap_sync(Unread(piece, events.read) for piece in pieces):
            yield unread.body

    async def tapped_async(*args: Any, **kwargs: Any) -> AsyncIterator[bytes]:
        pieces = aiter_bytes(*args, **kwargs)
        async for unread in passage.tap_async(Unread(piece, events.read) async for piece in pieces):
            yield unread.body

    response.iter_bytes, response.aiter_bytes = tapped, tapped_async
    weakref.finalize(response, passage.drop)


class _Events:
    """Reads server-sent events from the pieces of a stream."""

    def __init__(self) -> None:
        self._rest = b""

    def read(self, piece: bytes) -> tuple[ModelCall | None, bool]:
        """The call that the events which a piece completes tell of, and whether it is told."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        told = [line.removeprefix(b"data:") for line in lines if b'"usage"' in line]
        call = read_interaction_event(told[-1]) if told else None
        return call, call is not None and call.usage is not None
