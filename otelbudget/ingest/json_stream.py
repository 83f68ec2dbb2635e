"""Splits JSON text into its top-level values: lines, concatenated objects, pretty-printed or not.

msgspec finds where a value ends (it skips about 700 MB/s), so no character is looked at in Python.
"""

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

MAX_DOCUMENT_BYTES = 1 << 30
_MAX_REPAIR_BYTES = 1 << 24
_SPACE = re.compile(rb"[ \t\r\n]*")
_NEXT_OBJECT = re.compile(rb"\n(?=\{)")
_TRAILING = re.compile(r"trailing characters \(byte (\d+)\)")
_TRUNCATED = "Input data was truncated"
_skip = msgspec.json.Decoder(msgspec.Raw).decode


class Value(NamedTuple):
    """One top-level JSON value.

    Attributes:
        line: Line on which it begins, from 1.
        text: Its text; not yet checked for more than brackets, quotes and escapes.
    """

    line: int
    text: bytes


class Damage(NamedTuple):
    """A stretch of the input that holds no JSON value.

    Attributes:
        line: Line on which it begins, from 1.
        code: "truncated_line", "truncated_document", "unreadable_line" or "too_large".
        reason: What is wrong.
    """

    line: int
    code: str
    reason: str


class _NotJsonError(Exception):
    """The text at the window's position is no JSON value."""


def json_values(chunks: Iterator[bytes]) -> Iterator[Value | Damage]:
    """The top-level values, and the damage between them, in order.

    After damage, reading goes on at the next line that begins with "{", if what begins there is a
    whole value of its own and no part of a broken document.

    Args:
        chunks: The text, cut anywhere.
    """
    window = _Window(chunks)
    values = 0
    after_damage = False
    while window.skip_space():
        line = window.line
        try:
            text = window.take_value(alone=after_damage)
        except _NotJsonError as error:
            text = window.repair()
            if text is None:
                yield Damage(line, _code(str(error), values), _reason(error, line, window))
                after_damage = True
                if window.is_full() or not window.skip_to_next_object():
                    return
                continue
        values += 1
        after_damage = False
        yield Value(line, text)
