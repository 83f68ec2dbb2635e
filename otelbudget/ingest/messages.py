"""Messages that follow their length in four bytes, as the collector's file exporter writes them."""

from collections.abc import Iterator
from typing import NamedTuple

from otelbudget.ingest import compression, sniff
from otelbudget.ingest.byte_stream import ByteStream

LENGTH_BYTES = 4


class Message(NamedTuple):
    """One message.

    Attributes:
        offset: Where in the file it begins, behind its length.
        data: Its bytes, decompressed; as many as there are where `fault` is set.
        kind: What it is, from its content.
        is_packed: Whether it was compressed.
        fault: Code and reason why it is not whole; None where it is.
    """

    offset: int
    data: bytes
    kind: sniff.Kind
    is_packed: bool = False
    fault: tuple[str, str] | None = None


def messages(chunks: Iterator[bytes], max_bytes: int) -> Iterator[Message]:
    """The messages of a file, each decompressed where it is compressed; the last may be damaged.

    Args:
        chunks: The file, cut anywhere.
        max_bytes: Size of a message, compressed or not, from which it is not read.
    """
    stream = ByteStream(chunks)
    while prefix := stream.read(LENGTH_BYTES):
        size = int.from_bytes(prefix)
        if len(prefix) == LENGTH_BYTES and size <= max_bytes:
            offset = stream.offset
            data = stream.read(size)
            message = _message(offset, data, max_bytes)
            if len(data) == size:
                yield message
                continue
            reason = f"is cut off: the message that begins here has {len(data):,} of {size:,} bytes"
            yield message._replace(fault=("truncated_message", reason))
            return
        yield _no_message(stream, prefix, max_bytes)
        return


def _message(offset: int, data: bytes, max_bytes: int) -> Message:
    kind = sniff.kind(data)[0]
    method = sniff.METHODS.get(kind)
    if method is None:
        return Message(offset, data, kind)
    fault = None
    parts = []
    held = 0
    try:
        for part in compression.decompressed(method, [data], max_bytes):
            parts.append(part)
            held += len(part)
            if held > max_bytes:
                fault = ("too_large", f"expands to a message above {max_bytes:,} bytes; {_REMEDY}")
                break
    except compression.DecompressionError as error:
        fault = (error.code, error.reason)
    text = b"".join(parts)
    return Message(offset, text, sniff.kind(text)[0], is_packed=True, fault=fault)


def _no_message(stream: ByteStream, prefix: bytes, max_bytes: int) -> Message:
    fault = ("truncated_message", "is cut off: the length of the next message breaks off")
    if len(prefix) == LENGTH_BYTES:
        reason = (
            f"names a message of {int.from_bytes(prefix):,} bytes, above {max_bytes:,}: the file "
            "is damaged from here on, or --max-bytes is too low"
        )
        fault = ("too_large", reason)
    return Message(stream.offset - len(prefix), b"", sniff.Kind.REFUSED, fault=fault)


_REMEDY = "raise the limit with --max-bytes"
