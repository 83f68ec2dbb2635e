"""What a file is, told from its first bytes and never from its name."""

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Literal

STORE_MAGIC = b"DUCK"
STORE_MAGIC_OFFSET = 8
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPABLE = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")
_PARQUET = b"PAR1"
_MAGICS = {
    b"PARE": "is an encrypted Parquet file; write it without encryption",
    b"PK\x03\x04": "is a zip archive; unpack it first",
    b"BZh": "is compressed with bzip2; decompress it first",
    b"\xfd7zXZ": "is compressed with xz; decompress it first",
    b"SQLite format 3": "is an SQLite database, not traces",
    b"\xff\xfe\0\0": "is UTF-32 text; convert it to UTF-8 first",
    b"\0\0\xfe\xff": "is UTF-32 text; convert it to UTF-8 first",
    b"\xff\xfe": "is UTF-16 text; convert it to UTF-8 first",
    b"\xfe\xff": "is UTF-16 text; convert it to UTF-8 first",
}
_UTF16 = re.compile(rb"(?:\0[\t\n\r {\[\"]|[\t\n\r {\[\"]\0){2}")
_NODE_CONSOLE = re.compile(rb"\{\s*[A-Za-z_$][\w$]*\s*:")
_LATER_SPANS = re.compile(rb'\n\s*\{\s*"(?:resourceSpans|resource_spans)"')
_TEXT_CONTROLS = b"\t\n\r\x0b\x0c\x1b\x1e"
_BINARY = bytes(range(32)).translate(None, _TEXT_CONTROLS)
_NODE_REASON = "is what Node's console printed, which is no JSON; export OTLP JSON, or print JSON.stringify(span)"
_SPACE = b" \t\n\r\x0b\x0c\x1e"  # with the mark that RFC 7464 sets before each value
_TEXTS = (
    (
        re.compile(rb"data: ?[{\[]"),
        "is a stream of server-sent events; keep what stands behind each 'data:' only",
    ),
    (
        re.compile(rb"Activity\.(?:TraceId|Id):"),
        "is what .NET's console exporter printed; export OTLP JSON",
    ),
    (
        re.compile(rb"Spans\s+Resource\b"),
        "is what Rust's stdout exporter printed; export OTLP JSON",
    ),
    (
        re.compile(rb"[^\n{]*(?:\n[^\n{]*)?\{ ?\"\w"),
        "is text with JSON on its lines, as of a log; cut what stands before each '{'",
    ),
    (
        re.compile(rb"(?i)[^\n{]*\b(?:trace_?id|span_?id)\b[^\n{]*[,;\t]"),
        "is a table of text, such as CSV; export it as JSON lines or as Parquet",
    ),
)
_LENGTH_BYTES = 4
_MAX_FIRST_MESSAGE = 1 << 29  # above, its length could be text
# A field 1 with its length, and in it a field 1, 2 or 3 with a length: resource, scopes, schema.
_PROTOBUF = re.compile(rb"\x0a[\x80-\xff]{0,4}[\0-\x7f](?:[\x0a\x12\x1a]|\Z)", re.DOTALL)
_EMPTY_RESOURCE = b"\x0a\0"


class Kind(StrEnum):
    """What can be done with a file or a message."""

    JSON = "json"
    GZIP = "gzip"
    ZSTD = "zstd"
    PROTOBUF = "protobuf"
    MESSAGES = "messages"
    PARQUET = "parquet"
    REFUSED = "refused"


METHODS: Mapping[Kind, Literal["gzip", "zstd"]] = {Kind.GZIP: "gzip", Kind.ZSTD: "zstd"}


def kind(head: bytes) -> tuple[Kind, str]:
    """What the first bytes say.

    Args:
        head: The first bytes of the file, at least 512 where it has as many.

    Returns:
        The kind and, for `Kind.REFUSED`, why it is not read: the rest of a sentence that begins
        with the file's name.
    """
    packed = _packed(head)
    if packed is not None:
        return packed, ""
    text = head.removeprefix(_BYTE_ORDER_MARK).lstrip(_SPACE)
    if _NODE_CONSOLE.match(text):
        return Kind.REFUSED, _NODE_REASON
    if text.startswith((b"{", b"[")) and not _UTF16.match(text):
        return Kind.JSON, ""
    binary = _binary(head)
    if binary is not None:
        return binary, ""
    if _LATER_SPANS.search(head):
        return Kind.JSON, ""
    return Kind.REFUSED, _why_not(head, text)


def _packed(head: bytes) -> Kind | None:
    if head.startswith(_GZIP):
        return Kind.GZIP
    if head.startswith(_ZSTD) or _ZSTD_SKIPPABLE.match(head):
        return Kind.ZSTD
    return Kind.PARQUET if head.startswith(_PARQUET) else None


def _binary(head: bytes) -> Kind | None:
    if _is_text(head) or _UTF16.match(head):
        return None
    if is_protobuf(head):
        return Kind.PROTOBUF
    size, body = int.from_bytes(head[:_LENGTH_BYTES]), head[_LENGTH_BYTES:]
    is_message = body.lstrip().startswith((b"{", b"[")) or _packed(body) or is_protobuf(body)
    return Kind.MESSAGES if 0 < size < _MAX_FIRST_MESSAGE and is_message else None


def is_protobuf(head: bytes) -> bool:
    """Whether the first bytes are those of an OTLP message that is not empty."""
    return _PROTOBUF.match(head.removeprefix(_EMPTY_RESOURCE)) is not None


def _is_text(head: bytes) -> bool:
    return head.translate(None, _BINARY) == head


def _why_not(head: bytes, text: bytes) -> str:
    for magic, reason in _MAGICS.items():
        if head.startswith(magic):
            return reason
    printed = next((reason for form, reason in _TEXTS if form.match(text)), "")
    reasons = (
        (head[STORE_MAGIC_OFFSET:].startswith(STORE_MAGIC), "is a DuckDB file, not an export"),
        (not text, "is empty"),
        (_UTF16.match(head), "is UTF-16 text; convert it to UTF-8 first"),
        (text.startswith(b"<"), "is HTML or XML, not traces"),
        (printed and _is_text(head), printed),
        (_is_text(head), "is text, but no JSON: no trace format that is known"),
        (True, "is binary data of no trace format that is known"),
    )
    return next(reason for applies, reason in reasons if applies)


def is_store(path: str | Path) -> bool:
    """Whether a file is a DuckDB database; False also where it cannot be opened."""
    try:
        if not Path(path).is_file():  # what is read from a pipe is gone
            return False
        with Path(path).open("rb") as file:
            return file.read(STORE_MAGIC_OFFSET + len(STORE_MAGIC)).endswith(STORE_MAGIC)
    except OSError:
        return False
