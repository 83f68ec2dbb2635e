"""What a file is, told from its first bytes and never from its name."""

import re
from enum import StrEnum
from pathlib import Path

STORE_MAGIC = b"DUCK"
STORE_MAGIC_OFFSET = 8
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"
_MAGICS = {
    b"\x28\xb5\x2f\xfd": "is compressed with zstd, which is not supported yet; decompress it first (zstd -d)",
    b"PAR1": "is a Parquet file, which is not supported yet",
    b"PK\x03\x04": "is a zip archive; unpack it first",
    b"BZh": "is compressed with bzip2; decompress it first",
    b"\xfd7zXZ": "is compressed with xz; decompress it first",
    b"SQLite format 3": "is an SQLite database, not traces",
    b"\xff\xfe": "is UTF-16 text; convert it to UTF-8 first",
    b"\xfe\xff": "is UTF-16 text; convert it to UTF-8 first",
}
_LATER_SPANS = re.compile(rb'\n\s*\{\s*"(?:resourceSpans|resource_spans)"')
_TEXT_CONTROLS = b"\t\n\r\x0b\x0c\x1b\x1e"
_BINARY = bytes(range(32)).translate(None, _TEXT_CONTROLS)
_PROTOBUF_FIRST_FIELD = b"\x0a"
_PROTOBUF_REASON = "looks like OTLP protobuf, which is not supported yet; export OTLP JSON instead"
_LENGTH_PREFIX_BYTES = 4


class Kind(StrEnum):
    """What can be done with a file."""

    JSON = "json"
    GZIP = "gzip"
    REFUSED = "refused"


def kind(head: bytes) -> tuple[Kind, str]:
    """What the first bytes say.

    Args:
        head: The first bytes of the file, at least 512 where it has as many.

    Returns:
        The kind and, for `Kind.REFUSED`, why it is not read: the rest of a sentence that begins
        with the file's name.
    """
    if head.startswith(_GZIP):
        return Kind.GZIP, ""
    text = head.removeprefix(_BYTE_ORDER_MARK).lstrip()
    if text.startswith((b"{", b"[")) or _LATER_SPANS.search(head):
        return Kind.JSON, ""
    return Kind.REFUSED, _why_not(head, text)


def _why_not(head: bytes, text: bytes) -> str:
    for magic, reason in _MAGICS.items():
        if head.startswith(magic):
            return reason
    is_text = head.translate(None, _BINARY) == head
    marks = {head[:1], head[_LENGTH_PREFIX_BYTES : _LENGTH_PREFIX_BYTES + 1]}
    reasons = (
        (head[STORE_MAGIC_OFFSET:].startswith(STORE_MAGIC), "is a DuckDB file, not an export"),
        (not text, "is empty"),
        (text.startswith(b"<"), "is HTML or XML, not traces"),
        (is_text, "is text, but no JSON: no trace format that is known"),
        (_PROTOBUF_FIRST_FIELD in marks, _PROTOBUF_REASON),
        (True, "is binary data of no trace format that is known"),
    )
    return next(reason for applies, reason in reasons if applies)


def is_store(path: str | Path) -> bool:
    """Whether a file is a DuckDB database; False also where it cannot be opened."""
    try:
        with Path(path).open("rb") as file:
            return file.read(STORE_MAGIC_OFFSET + len(STORE_MAGIC)).endswith(STORE_MAGIC)
    except OSError:
        return False
