"""gzip and zstd data as the text in it, bounded however far it expands."""

import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, Protocol

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CHUNK_BYTES = 1 << 20
MAX_RATIO = 200  # spans shrink 10 to 50 times
_GZIP_WINDOW_BITS = 31

Method = Literal["gzip", "zstd"]


class DecompressionError(Exception):
    """Compressed data that cannot be read on; its code and reason."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class _Member(Protocol):
    """One gzip member or zstd frame; the names are those of `zstd.ZstdDecompressor`."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _GzipMember:
    """A gzip member with the methods of a `zstd.ZstdDecompressor`."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP_WINDOW_BITS)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._member.eof

    @property
    def unused_data(self) -> bytes:
        return self._member.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        text = self._member.decompress(self._member.unconsumed_tail + data, max_length)
        self.needs_input = len(text) < max_length
        return text


_MEMBERS: dict[Method, Callable[[], _Member]] = {
    "gzip": _GzipMember,
    "zstd": zstd.ZstdDecompressor,
}


def decompressed(method: Method, chunks: Iterable[bytes], max_bytes: int) -> Iterator[bytes]:
    """The text of all members of compressed data, no chunk above `CHUNK_BYTES`.

    Args:
        method: What compressed it.
        chunks: The compressed data, cut anywhere.
        max_bytes: Size from which the text may be at most `MAX_RATIO` times its data.

    Raises:
        DecompressionError: The data is damaged, breaks off, or expands beyond measure.
    """
    packed_size = text_size = 0

    def counted() -> Iterator[bytes]:
        nonlocal packed_size
        for chunk in chunks:
            packed_size += len(chunk)
            yield chunk

    try:
        for text in _texts(method, counted()):
            text_size += len(text)
            if text_size > max(max_bytes, MAX_RATIO * packed_size):
                raise _bomb(text_size, packed_size)
            if text:
                yield text
    except (zlib.error, zstd.ZstdError) as error:
        raise DecompressionError(
            f"damaged_{method}", f"its {method} data cannot be decompressed ({error})"
        ) from error


def _texts(method: Method, chunks: Iterable[bytes]) -> Iterator[bytes]:
    member = _MEMBERS[method]()
    for chunk in chunks:
        packed = chunk
        while packed or not member.needs_input:
            if member.eof:
                packed = packed.lstrip(b"\0")
                if not packed:
                    break
                member = _MEMBERS[method]()
            yield member.decompress(packed, CHUNK_BYTES)
            packed = member.unused_data if member.eof else b""
    if not member.eof:
        raise DecompressionError(
            f"truncated_{method}", f"is cut off midway: its {method} data has no end"
        )


def _bomb(text_size: int, packed_size: int) -> DecompressionError:
    return DecompressionError(
        "decompression_bomb",
        f"expands from {packed_size:,} to more than {text_size - 1:,} bytes; decompress it first, "
        "or raise the limit with --max-bytes",
    )
