"""Splits a large JSON document at its arrays of spans while it is read."""

import tempfile
from collections.abc import Iterator, Mapping
from typing import IO, NamedTuple

from otelbudget.ingest.window import NotJsonError, Window

PART_BYTES = 1 << 18
_MEMORY_BYTES = 1 << 24
_Lists = Mapping[bytes, "_Lists"]
_SPANS: _Lists = {b'"spans"': {}}
_SCOPES: _Lists = {
    b'"scopeSpans"': _SPANS,
    b'"scope_spans"': _SPANS,
    b'"instrumentationLibrarySpans"': _SPANS,
    b'"instrumentation_library_spans"': _SPANS,
}
_RESOURCES: _Lists = {
    b'"resourceSpans"': _SCOPES,
    b'"resource_spans"': _SCOPES,
    b'"batches"': _SCOPES,
    b'"data"': {},
}
_DOCUMENT: _Lists = {**_RESOURCES, **_SCOPES}


class _Frame(NamedTuple):
    """An object around a list that is being split.

    Attributes:
        members: Its other members, as many as were read by now.
        key: Key of the list, b"" where the object has no list that can be split.
    """

    members: list[bytes]
    key: bytes


class _Piece(NamedTuple):
    """Some elements of a list.

    Attributes:
        line: Line on which they begin.
        text: The elements, with commas between them.
        frames: The objects around the list, the outermost first.
    """

    line: int
    text: bytes
    frames: tuple[_Frame, ...] = ()

    def document(self) -> bytes:
        """A document that holds these elements only, with all that stands around them."""
        text = self.text
        for members, key in reversed(self.frames):
            own = [key + b":[" + text + b"]"] if key else []
            text = b"{" + b",".join([*members, *own]) + b"}"
        return text if self.frames else b"[" + text + b"]"


def parts(window: Window) -> Iterator[tuple[int, bytes]]:
    """The document at the window's position as small documents that hold the same spans.

    It is cut between the elements of the arrays `resourceSpans`, `scopeSpans` and `spans`, in any
    spelling, and of an array that is the document. Where one resource is large, its spans wait on
    disk until all of it was read, since what it says of itself may come after them.

    Args:
        window: Stands at the document; afterwards behind it.

    Yields:
        The line on which a part begins, and its text.

    Raises:
        NotJsonError: The document breaks off, is damaged, or has a part too large to be held. What
            was yielded is then of a document that is not to be read.
    """
    pieces = (
        _list(window, _DOCUMENT) if window.next_byte() == b"["[0] else _object(window, _DOCUMENT)
    )
    resource: list[bytes] | None = None
    with tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES) as file:
        waiting = _Waiting(file)
        for piece in pieces:
            around = next((one.members for one in piece.frames if one.key in _SCOPES), None)
            if around is not resource:
                yield from waiting.take()
                resource = around
            if around is None:
                yield piece.line, piece.document()
            else:
                waiting.add(piece)
        yield from waiting.take()


def _object(window: Window, lists: _Lists) -> Iterator[_Piece]:
    """The pieces of the lists in the object at the position; one empty piece if it has none."""
    members: list[bytes] = []
    line = window.line
    has_list = False
    window.take_byte(b"{")
    if window.next_byte() == b"}"[0]:
        window.take_byte(b"}")
        return
    end = b","
    while end == b",":
        window.next_byte()
        key = window.take_part().rstrip()
        window.take_byte(b":")
        if key in lists and window.next_byte() == b"["[0]:
            has_list = True
            for piece in _list(window, lists[key]):
                yield piece._replace(frames=(_Frame(members, key), *piece.frames))
        else:
            members.append(key + b":" + window.take_part())
            window.check_held(sum(map(len, members)))
        end = bytes([window.take_byte(b",}")])
    if not has_list:
        yield _Piece(line, b"", (_Frame(members, b""),))


def _list(window: Window, inner: _Lists) -> Iterator[_Piece]:
    """The elements of the array at the position; one too large is split if it is an object."""
    window.take_byte(b"[")
    if window.next_byte() == b"]"[0]:
        window.take_byte(b"]")
        return
    end = b","
    while end == b",":
        window.next_byte()
        line = window.line
        text = _elements(window)
        if text is not None:
            yield _Piece(line, text)
        elif inner and window.next_byte() == b"{"[0]:
            yield from _object(window, inner)
        else:
            yield _Piece(line, window.take_part())
        end = bytes([window.take_byte(b",]")])


def _elements(window: Window) -> bytes | None:
    """As many elements as make up a part, with commas; None where the first is too large."""
    end = 0
    start = 0
    while start < PART_BYTES:
        try:
            found = window.value_end(window.whole_bytes, start=start)
        except NotJsonError:
            if end:
                break
            repaired = window.take_repaired()
            if repaired is None:
                raise
            return repaired
        if found is None:
            break
        end = found
        comma = window.space_end(end)
        if window.byte_at(comma) != b","[0]:
            break
        start = window.space_end(comma + 1)
        several = window.elements_end(end, start, PART_BYTES)
        if several is not None:
            end = several
            break
    return window.take_to(end) if end else None


class _Waiting:
    """Pieces that wait, on disk where they are many, for the end of what is around them."""

    def __init__(self, file: IO[bytes]) -> None:
        self._pieces: list[tuple[int, int, tuple[_Frame, ...]]] = []
        self._texts = file

    def add(self, piece: _Piece) -> None:
        """One more waits."""
        self._texts.write(piece.text)
        self._pieces.append((piece.line, len(piece.text), piece.frames))

    def take(self) -> Iterator[tuple[int, bytes]]:
        """All that wait, as documents; then none does."""
        self._texts.seek(0)
        for line, size, frames in self._pieces:
            yield line, _Piece(line, self._texts.read(size), frames).document()
        self._pieces.clear()
        self._texts.seek(0)
        self._texts.truncate()
