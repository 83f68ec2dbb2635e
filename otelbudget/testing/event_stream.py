"""Amazon's binary event streams, the format of streamed answers of Bedrock.

Source: https://smithy.io/2.0/aws/amazon-eventstream.html, 2026-11.
"""

import json
import struct
from binascii import crc32
from collections.abc import Mapping
from typing import Any

CONTENT_TYPE = "application/vnd.amazon.eventstream"

_STRING = 7
_CHECKSUM_BYTES = 4
_PRELUDE_BYTES = 12


def event(kind: str, payload: Mapping[str, Any]) -> bytes:
    """One event with a JSON payload."""
    return _message(
        {":event-type": kind, ":content-type": "application/json", ":message-type": "event"},
        json.dumps(payload).encode(),
    )


def _message(headers: Mapping[str, str], payload: bytes) -> bytes:
    head = b"".join(_header(name, value) for name, value in headers.items())
    length = _PRELUDE_BYTES + len(head) + len(payload) + _CHECKSUM_BYTES
    prelude = struct.pack("!II", length, len(head))
    checked = prelude + struct.pack("!I", crc32(prelude)) + head + payload
    return checked + struct.pack("!I", crc32(checked))


def _header(name: str, value: str) -> bytes:
    encoded = value.encode()
    return (
        struct.pack(f"!B{len(name)}sBH", len(name), name.encode(), _STRING, len(encoded)) + encoded
    )
