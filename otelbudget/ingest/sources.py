"""From what the user names to the bytes inside: files, folders, globs, standard input, gzip."""

import glob
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Literal

from otelbudget.errors import TraceReadError
from otelbudget.ingest import sniff

CHUNK_BYTES = 1 << 20
STDIN: Literal["-"] = "-"
_GZIP_WINDOW_BITS = 31
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def expand(sources: Sequence[str]) -> list[Path | Literal["-"]]:
    """The files behind the sources, each once, in the order given.

    Args:
        sources: Files, folders (read with all folders below, sorted by name, without hidden
            files), glob patterns, and "-" for standard input.

    Returns:
        Paths and "-". A source that does not exist stays as it is: reading it says so.

    Raises:
        TraceReadError: A folder holds no files, or cannot be listed.
    """
    paths: dict[Path | Literal["-"], None] = {}
    for source in sources:
        if source == STDIN:
            paths[STDIN] = None
            continue
        path = Path(source)
        matches = [path] if path.exists() or not glob.has_magic(source) else _matches(source)
        for match in matches:
            paths.update(dict.fromkeys(_files(match) if match.is_dir() else [match]))
    return list(paths)


def _matches(pattern: str) -> list[Path]:
    return [Path(name) for name in sorted(glob.glob(pattern, recursive=True))] or [Path(pattern)]  # noqa: PTH207 - Path.glob takes no absolute pattern


def _files(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    files = [
        path
        for path in found
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    if not files:
        raise TraceReadError(str(folder), "is a folder without files to read")
    return files


def open_text(path: str, files: ExitStack, on_bytes: Callable[[int], None]) -> Iterator[bytes]:
    """The bytes of a JSON file in chunks, decompressed, without a byte order mark.

    Args:
        path: A file, or "-" for standard input.
        files: Closes the file.
        on_bytes: Told how many bytes were read from the file, compressed as they are.

    Raises:
        TraceReadError: The file is nothing that can be read; also later, when a compressed file
            breaks off.
        OSError: The file cannot be opened or read.
    """
    file = sys.stdin.buffer if path == STDIN else files.enter_context(Path(path).open("rb"))
    chunks = _chunks(file, on_bytes)
    head, chunks = _head(chunks)
    kind, reason = sniff.kind(head)
    if kind is sniff.Kind.GZIP:
        head, chunks = _head(_gunzip(path, chunks))
        kind, reason = sniff.kind(head)
        reason = reason or "is compressed twice"
    if kind is not sniff.Kind.JSON:
        raise TraceReadError(path, reason)
    return _without_mark(chunks)


def _head(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    head = next(chunks, b"")
    return head, chain([head], chunks)


def _without_mark(chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield next(chunks, b"").removeprefix(_BYTE_ORDER_MARK)
    yield from chunks


def _chunks(file: BinaryIO, on_bytes: Callable[[int], None]) -> Iterator[bytes]:
    while chunk := file.read(CHUNK_BYTES):
        on_bytes(len(chunk))
        yield chunk


def _gunzip(path: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The decompressed members of a gzip file, no chunk above `CHUNK_BYTES`."""
    member = zlib.decompressobj(_GZIP_WINDOW_BITS)
    fed = False
    for chunk in chunks:
        packed = chunk
        while packed:
            if member.eof:
                if not packed.lstrip(b"\0"):
                    break
                member = zlib.decompressobj(_GZIP_WINDOW_BITS)
            try:
                text = member.decompress(packed, CHUNK_BYTES)
            except zlib.error as error:
                raise TraceReadError(path, "is damaged: its gzip data cannot be decompressed") from error
            packed = member.unconsumed_tail or member.unused_data
            fed = True
            if text:
                yield text
    if fed and not member.eof:
        raise TraceReadError(path, "is cut off midway: its gzip data has no end")
