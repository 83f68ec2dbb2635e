"""What litellm's answers and streams tell of a call, in the form that gates read."""

import weakref
from collections.abc import AsyncIterator, Iterator, Mapping
from functools import partial
from typing import Any

import wrapt

from otelbudget.live.gates.gated import Passage
from otelbudget.live.gates.response import is_last_event


def answer_of(answer: object) -> dict[str, Any]:
    """An answer, or a chunk of one, with its usage in the words of the OpenAI API.

    litellm counts Anthropic's cached tokens into `prompt_tokens` and repeats them beside it, and
    gives an answer without usage a usage of zeros.
    """
    return {
        "id": _get(answer, "id"),
        "model": _get(answer, "model"),
        "service_tier": _get(answer, "service_tier"),
        "output": _get(answer, "output"),
        "usage": _usage(_get(answer, "usage")),
    }


def _usage(usage: object) -> dict[str, Any] | None:
    input_tokens = _first(usage, "prompt_tokens", "input_tokens")
    output_tokens = _first(usage, "completion_tokens", "output_tokens")
    if not input_tokens and not output_tokens:
        return None
    details = _first(usage, "prompt_tokens_details", "input_tokens_details")
    written = _get(details, "cache_creation_token_details")
    return {
        "prompt_tokens": input_tokens,
        "completion_tokens": output_tokens,
        "prompt_tokens_details": {
            "cached_tokens": _get(details, "cached_tokens")
            or _get(usage, "cache_read_input_tokens"),
            "cache_write_tokens": _first(details, "cache_creation_tokens", "cache_write_tokens")
            or _get(usage, "cache_creation_input_tokens"),
            "audio_tokens": _get(details, "audio_tokens"),
        },
        "completion_tokens_details": _first(
            usage, "completion_tokens_details", "output_tokens_details"
        ),
        "cache_creation": {"ephemeral_1h_input_tokens": _get(written, "ephemeral_1h_input_tokens")},
        "server_tool_use": {
            "web_search_requests": _get(_get(usage, "server_tool_use"), "web_search_requests")
            or _get(details, "web_search_requests")
        },
        "service_tier": _get(usage, "service_tier"),
        "speed": _get(usage, "speed"),
    }


def is_stream(answer: object) -> bool:
    """Whether an answer comes in pieces."""
    return hasattr(answer, "__next__") or hasattr(answer, "__anext__")


def tapped(stream: Any, passage: Passage) -> Any:
    """A stream of litellm's that is charged before its last piece is handed on.

    It stays what it is: only its iteration is another.
    """
    events = _Events(stream, passage)
    if hasattr(stream, "__next__") and hasattr(stream, "__anext__"):
        proxy: Any = _Stream(stream, events)
    elif hasattr(stream, "__anext__"):
        proxy = _AsyncStream(stream, events)
    else:
        proxy = _SyncStream(stream, events)
    weakref.finalize(proxy, passage.drop)
    return proxy


class _Events:
    """Reads a stream while its pieces are handed on.

    Args:
        stream: The stream. Of a completion litellm keeps all chunks that came, with the usage that
            it takes out of those that it hands on.
        passage: What to charge.
    """

    def __init__(self, stream: Any, passage: Passage) -> None:
        self._stream = stream
        self._passage = passage
        self._chunks = getattr(stream, "chunks", None)
        self._read_chunks = 0
        self._has_usage = False
        self._has_begun = False

    def pieces(self) -> Iterator[Any]:
        """The pieces, each read before it is handed on."""
        try:
            for piece in self._stream:
                self._passage.guard(partial(self._read, piece))
                yield piece
        except GeneratorExit:
            self._passage.drop()
            raise
        except BaseException as error:
            self._failed(error)
            raise
        self._end()

    async def pieces_async(self) -> AsyncIterator[Any]:
        """The pieces, each read before it is handed on."""
        try:
            async for piece in self._passage.waits(self._stream):
                self._passage.guard(partial(self._read, piece))
                yield piece
        except GeneratorExit:
            self._passage.drop()
            raise
        except BaseException as error:
            self._failed(error)
            raise
        self._end()

    def _read(self, piece: Any) -> None:
        if self._chunks is None:
            response = _get(piece, "response")
            self._passage.see(answer_of(piece if response is None else response))
            if is_last_event(piece):
                self._passage.settle()
        else:
            if not self._has_begun:
                self._passage.see({"id": _get(piece, "id"), "model": _get(piece, "model")})
            self._read_new_chunks()
            if self._has_usage and _is_finished(piece):
                self._passage.settle()
        self._has_begun = True

    def _read_new_chunks(self) -> None:
        """Read the usage of the chunks that came: what the provider told, never litellm's guess."""
        chunks = self._chunks or ()
        for chunk in chunks[self._read_chunks :]:
            if _get(chunk, "usage") is not None:
                answer = answer_of(chunk)
                self._has_usage = self._has_usage or answer["usage"] is not None
                self._passage.see(answer)
        self._read_chunks = len(chunks)

    def _end(self) -> None:
        self._passage.guard(self._read_new_chunks)
        self._passage.settle()

    def _failed(self, error: BaseException) -> None:
        """Settle by what came; some routes send their request with the first piece only."""
        if self._has_begun:
            self._passage.guard(self._read_new_chunks)
            self._passage.settle(is_whole=False)
        else:
            self._passage.failed(getattr(error, "original_exception", None) or error)


def _is_finished(piece: object) -> bool:
    """Whether no usage comes after a piece: where it was asked for, it is in the very last."""
    if _get(piece, "usage") is not None:
        return True
    choices = _get(piece, "choices")
    return bool(choices) and any(_get(choice, "finish_reason") is not None for choice in choices)


class _Proxy(wrapt.ObjectProxy[Any]):
    """A stream of litellm's with another iteration."""

    def __init__(self, stream: Any, events: _Events) -> None:
        super().__init__(stream)
        self._self_events = events
        self._self_pieces: Any = None


class _SyncStream(_Proxy):
    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        if self._self_pieces is None:
            self._self_pieces = self._self_events.pieces()
        return next(self._self_pieces)


class _AsyncStream(_Proxy):
    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        if self._self_pieces is None:
            self._self_pieces = self._self_events.pieces_async()
        return await anext(self._self_pieces)


class _Stream(_SyncStream, _AsyncStream):
    """A stream that is read in either way."""


def _get(holder: object, name: str) -> Any:
    if isinstance(holder, Mapping):
        return holder.get(name)
    return getattr(holder, name, None)


def _first(holder: object, *names: str) -> Any:
    return next((found for name in names if (found := _get(holder, name)) is not None), None)
