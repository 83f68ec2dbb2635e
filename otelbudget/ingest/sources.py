"""From what the user names to the bytes inside: files, folders, globs, standard input."""

import glob
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, TextIO

from otelbudget.errors import TraceReadError
from otelbudget.ingest import compression, sniff
from otelbudget.ingest.report import Reading

STDIN: Literal["-"] = "-"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def expand(sources: Sequence[str]) -> list[Path | Literal["-"]]:
    """The files behind the sources, each once, in the order given.

    Args:
        sources: Files, folders (read with all folders below, sorted by name, without hidden
            files), glob patterns, and "-" for standard input.

    Returns:
        Paths and "-". A source that does not exist, and a folder without files, stays as it
        is: reading it says so.
    """
    paths: dict[Path | Literal["-"], None] = {}
    for source in sources:
        if source == STDIN:
            paths[STDIN] = None
            continue
        path = Path(source)
        matches = (
            [path] if os.path.lexists(path) or not glob.has_magic(source) else _matches(source)
        )
        for match in matches:
            paths.update(dict.fromkeys(_files(match)))
    return list(paths)


def _matches(pattern: str) -> list[Path]:
    return [Path(name) for name in sorted(glob.glob(pattern, recursive=True))] or [Path(pattern)]  # noqa: PTH207 - Path.glob takes no absolute pattern


def _files(path: Path) -> list[Path]:
    """The path itself, or the files below it where it is a folder that holds any."""
    files: list[Path] = []
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found = (Path(folder, name) for name in sorted(names) if not name.startswith("."))
        # A pipe in a folder would be waited for without end.
        files += [file for file in found if file.is_file() or not file.exists()]
    return files or [path]


class Source(NamedTuple):
    """A file that can be read.

    Attributes:
        kind: What it is, once decompressed.
        chunks: Its bytes, decompressed, without a byte order mark.
        is_packed: Whether it was compressed.
    """

    kind: sniff.Kind
    chunks: Iterator[bytes]
    is_packed: bool


def open_source(
    path: str, files: ExitStack, reading: Reading, max_bytes: int, on_bytes: Callable[[int], None]
) -> Source:
    """The bytes of a file, decompressed, and what they are.

    Args:
        path: A file, or "-" for standard input.
        files: Closes the file.
        reading: Told where compressed data is damaged or breaks off; the chunks then end with what
            came before.
        max_bytes: Size from which text may no longer be many times its compressed data.
        on_bytes: Told how many bytes were read from the file, compressed as they are.

    Raises:
        TraceReadError: The file is nothing that can be read.
        OSError: The file cannot be opened or read.
    """
    file = _stdin() if path == STDIN else _open(path, files)
    head, chunks = _head(_chunks(file, on_bytes))
    kind, reason = sniff.kind(head)
    method = sniff.METHODS.get(kind)
    if method is not None:
        head, chunks = _head(_decompressed(method, chunks, reading, max_bytes))
        kind, reason = sniff.kind(head)
        if kind in sniff.METHODS:
            raise TraceReadError(path, "is compressed twice; decompress it once")
    if kind is sniff.Kind.REFUSED:
        raise TraceReadError(path, reason)
    return Source(kind, _without_mark(chunks), method is not None)


def _decompressed(
    method: compression.Method, chunks: Iterator[bytes], reading: Reading, max_bytes: int
) -> Iterator[bytes]:
    try:
        yield from compression.decompressed(method, chunks, max_bytes)
    except compression.DecompressionError as error:
        reading.unreadable_file(error.code, error.reason)


def _stdin() -> BinaryIO:
    # Python has no standard input where it was closed before the start, whatever its types say.
    stdin: TextIO | None = sys.stdin
    if stdin is None:
        raise TraceReadError(STDIN, "standard input is closed")
    return stdin.buffer


def _open(path: str, files: ExitStack) -> BinaryIO:
    if Path(path).is_dir():
        raise TraceReadError(path, "is a folder without files to read")
    return files.enter_context(Path(path).open("rb"))


def _chunks(file: BinaryIO, on_bytes: Callable[[int], None]) -> Iterator[bytes]:
    while chunk := _chunk(file):
        on_bytes(len(chunk))
        yield chunk


def _chunk(file: BinaryIO) -> bytes:
    """As many bytes as there are, up to a chunk.

    One `read` would do, but until it has them all it loses interrupts that come between two parts.
    """
    parts: list[bytes] = []
    wanted = compression.CHUNK_BYTES
    while wanted > 0 and (part := file.read1(wanted)):  # type: ignore[attr-defined]
        parts.append(part)
        wanted -= len(part)
    return b"".join(parts)


def _head(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    head = next(chunks, b"")
    return head, chain([head], chunks)


def _without_mark(chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield next(chunks, b"").removeprefix(_BYTE_ORDER_MARK)
    yield from chunks
