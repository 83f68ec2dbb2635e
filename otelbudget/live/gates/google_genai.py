"""The gate of the google-genai SDK: generated content, chats, embeddings, images and videos.

It stands around the requests of the API client, above the SDK's retries. The Live API, which is a
connection of its own, and batches, which are answered elsewhere and later, do not pass it.
"""

import itertools
import weakref
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
)
from contextlib import aclosing
from typing import Any

from otelbudget.genai import semconv
from otelbudget.genai.usage import ModelCall
from otelbudget.live.gates.gated import Passage, asked, passage_of
from otelbudget.live.gates.google_usage import read_answer
from otelbudget.live.gates.placing import place
from otelbudget.live.gates.response import Unread
from otelbudget.live.request import Request

_GENERATE = "generate_content"
_OPERATIONS = {
    "generateContent": _GENERATE,
    "streamGenerateContent": _GENERATE,
    "embedContent": semconv.EMBEDDINGS_OPERATION,
    "batchEmbedContents": semconv.EMBEDDINGS_OPERATION,
    "predict": _GENERATE,
    "predictLongRunning": _GENERATE,
}
_DEFAULT_ATTEMPTS = 5


def install(api_client: Any) -> None:
    """Put the gate around the client class of an imported module google.genai._api_client."""
    client = api_client.BaseApiClient
    for name, wrapper in (
        ("request", _request),
        ("request_streamed", _request_streamed),
        ("async_request", _async_request),
        ("async_request_streamed", _async_request_streamed),
    ):
        place(client, name, wrapper)


def _request(
    wrapped: Callable[..., Any], client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    passage = passage_of(lambda: _request_of(client, args, kwargs))
    if passage is None:
        return wrapped(*args, **kwargs)
    return passage.run(lambda: wrapped(*args, **kwargs), _read)


async def _async_request(
    wrapped: Callable[..., Awaitable[Any]],
    client: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    passage = passage_of(lambda: _request_of(client, args, kwargs))
    if passage is None:
        return await wrapped(*args, **kwargs)
    return await passage.run_async(lambda: wrapped(*args, **kwargs), _read)


def _request_streamed(
    wrapped: Callable[..., Iterator[Any]],
    client: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Iterator[Any]:
    request = asked(lambda: _request_of(client, args, kwargs))
    if request is None:
        return wrapped(*args, **kwargs)
    return _streamed(request, wrapped(*args, **kwargs))


def _streamed(request: Request, chunks: Iterator[Any]) -> Iterator[Any]:
    """The chunks of a stream; its request leaves when the first one is asked for."""
    passage = Passage.open(request)
    if passage is None:
        yield from chunks
        return
    yield from passage.run(lambda: _begun(chunks), _tapped)


def _begun(chunks: Iterator[Any]) -> Iterator[Any]:
    first = tuple(itertools.islice(chunks, 1))
    return itertools.chain(first, chunks)


async def _async_request_streamed(
    wrapped: Callable[..., Awaitable[Any]],
    client: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    passage = passage_of(lambda: _request_of(client, args, kwargs))
    if passage is None:
        return await wrapped(*args, **kwargs)
    chunks = await passage.run_async(lambda: wrapped(*args, **kwargs), _tapped_async)
    # Without a running loop, nothing closes an asynchronous generator that is dropped.
    weakref.finalize(chunks, passage.drop)
    return chunks


def _request_of(client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request | None:
    """What the client is about to ask of a model; None where it asks none."""
    method, path, body, options = _arguments(*args, **kwargs)
    model, _, verb = path.partition("?")[0].rpartition(":")
    operation = _OPERATIONS.get(verb)
    if operation is None or method.lower() != "post":
        return None
    if verb == "predict" and _are_texts(body):
        operation = semconv.EMBEDDINGS_OPERATION
    return Request(
        provider="gcp.vertex_ai" if getattr(client, "vertexai", False) else "gcp.gemini",
        model=model.rpartition("models/")[2] or None,
        operation=operation,
        body={key: value for key, value in body.items() if not key.startswith("_")},
        attempts=_attempts(client, options),
    )


def _arguments(
    http_method: str = "",
    path: str = "",
    request_dict: Any = None,
    http_options: Any = None,
    *_: Any,
    **__: Any,
) -> tuple[str, str, dict[str, Any], Any]:
    body = request_dict if isinstance(request_dict, dict) else {}
    return http_method, path, body, http_options


def _are_texts(body: dict[str, Any]) -> bool:
    """Whether predictions of Vertex AI are asked for texts, which means their embeddings."""
    instances = body.get("instances")
    first = instances[0] if isinstance(instances, list) and instances else None
    return isinstance(first, dict) and "content" in first


def _attempts(client: Any, options: Any) -> int:
    """How often the SDK sends a request at most: once, unless told to retry."""
    for holder in (options, getattr(client, "_http_options", None)):
        retry = _field(holder, "retry_options")
        if retry is not None:
            attempts = _field(retry, "attempts")
            return max(attempts, 1) if isinstance(attempts, int) else _DEFAULT_ATTEMPTS
    return 1


def _field(holder: Any, name: str) -> Any:
    return holder.get(name) if isinstance(holder, dict) else getattr(holder, name, None)


def _read(response: Any, passage: Passage) -> Any:
    passage.read(Unread(response, _read_body))
    return response


def _tapped(chunks: Iterable[Any], passage: Passage) -> Iterator[Any]:
    for unread in passage.tap_sync(Unread(chunk, _read_body) for chunk in chunks):
        yield unread.body


async def _tapped_async(chunks: AsyncGenerator[Any, None], passage: Passage) -> AsyncIterator[Any]:
    async with aclosing(chunks):
        async for unread in passage.tap_async(Unread(chunk, _read_body) async for chunk in chunks):
            yield unread.body


def _read_body(response: Any) -> tuple[ModelCall | None, bool]:
    return read_answer(response.body)
