"""From what the user names to the bytes inside: files, folders, globs, standard input, gzip."""

import glob
import os
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Literal, TextIO

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
        files += [Path(folder, name) for name in sorted(names) if not name.startswith(".")]
    return files or [path]


def open_text(
    path: str,
    files: ExitStack,
    on_bytes: Callable[[int], None],
    on_damage: Callable[[str, str], None],
) -> Iterator[bytes]:
    """The bytes of a JSON file in chunks, decompressed, without a byte order mark.

    Args:
        path: A file, or "-" for standard input.
        files: Closes the file.
        on_bytes: Told how many bytes were read from the file, compressed as they are.
        on_damage: Told the code and the reason where compressed data is damaged or breaks off;
            the chunks then end with what came before.

    Raises:
        TraceReadError: The file is nothing that can be read.
        OSError: The file cannot be opened or read.
    """
    file = _stdin() if path == STDIN else _open(path, files)
    head, chunks = _head(_chunks(file, on_bytes))
    kind, reason = sniff.kind(head)
    if kind is sniff.Kind.GZIP:
        head, chunks = _head(_gunzip(chunks, on_damage))
        kind, reason = sniff.kind(head)
        reason = reason or "is compressed twice; decompress it once"
    if kind is not sniff.Kind.JSON:
        raise TraceReadError(path, reason)
    return _without_mark(chunks)


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
    while chunk := file.read(CHUNK_BYTES):
        on_bytes(len(chunk))
        yield chunk


def _head(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    head = next(chunks, b"")
    return head, chain([head], chunks)


def _without_mark(chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield next(chunks, b"").removeprefix(_BYTE_ORDER_MARK)
    yield from chunks


def _gunzip(chunks: Iterator[bytes], on_damage: Callable[[str, str], None]) -> Iterator[bytes]:
    """The text of all members of a gzip file, no chunk above `CHUNK_BYTES`."""
    member = zlib.decompressobj(_GZIP_WINDOW_BITS)
    try:
        for chunk in chunks:
            packed = chunk
            while packed:
                if member.eof:
                    member = zlib.decompressobj(_GZIP_WINDOW_BITS)
                if text := member.decompress(packed, CHUNK_BYTES):
                    yield text
                packed = member.unconsumed_tail or member.unused_data.lstrip(b"\0")
        while text := member.decompress(b"", CHUNK_BYTES):
            yield text
    except zlib.error as error:
        on_damage("damaged_gzip", f"its gzip data cannot be decompressed ({error})")
        return
    if not member.eof:
        on_damage("truncated_gzip", "is cut off midway: its gzip data has no end")
