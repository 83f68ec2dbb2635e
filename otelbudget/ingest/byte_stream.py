"""Binary data read from its start: so many bytes at a time, each at its offset."""

from collections.abc import Iterator


class ByteStream:
    """Chunks of bytes, read in pieces of any size.

    Args:
        chunks: The data, cut anywhere.
        offset: Where in the file it begins.

    Attributes:
        offset: Where in the file the next byte is.
    """

    __slots__ = ("_chunks", "_data", "_start", "offset")

    def __init__(self, chunks: Iterator[bytes], offset: int = 0) -> None:
        self._chunks = chunks
        self._data = b""
        self._start = 0
        self.offset = offset

    def peek(self, size: int) -> bytes:
        """The next bytes, fewer at the end, without going on."""
        held = len(self._data) - self._start
        if held < size:
            parts = [self._data[self._start :]]
            while held < size and (chunk := next(self._chunks, None)) is not None:
                parts.append(chunk)
                held += len(chunk)
            self._data = b"".join(parts)
            self._start = 0
        return self._data[self._start : self._start + size]

    def read(self, size: int) -> bytes:
        """The next bytes, fewer at the end."""
        data = self.peek(size)
        self._start += len(data)
        self.offset += len(data)
        return data
