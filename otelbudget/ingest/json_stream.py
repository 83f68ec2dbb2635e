"""Splits JSON text into its top-level values: lines, concatenated objects, pretty-printed or not.

msgspec finds where a value ends (it skips about 700 MB/s), so no character is looked at in Python.
"""

import json
import math
import re
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

MAX_DOCUMENT_BYTES = 1 << 30
_MAX_REPAIR_BYTES = 1 << 24  # Python objects take about ten times their text
_SPACE = re.compile(rb"[ \t\r\n]*")
_NEXT_OBJECT = re.compile(rb"\n(?=\{)")
_TRAILING = re.compile(r"trailing characters \(byte (\d+)\)")
_TRUNCATED = "Input data was truncated"
_OPENING = b"{["
_CONTINUING = b",]}:"
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
    """No JSON value begins where the window stands; its code and reason."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def json_values(chunks: Iterator[bytes]) -> Iterator[Value | Damage]:
    """The top-level values, and the damage between them, in order.

    After damage, reading goes on at the next line that begins with "{", where what begins there
    is a whole value of its own and no part of a broken document.

    Args:
        chunks: The text, cut anywhere.
    """
    window = _Window(chunks)
    is_after_damage = False
    while window.skip_space():
        line = window.line
        try:
            text = window.take_value()
        except _NotJsonError as error:
            yield Damage(line, error.code, error.reason)
            is_after_damage = True
            if not window.skip_to_next_object():
                return
            continue
        if is_after_damage and window.is_inside_document():
            return
        is_after_damage = False
        yield Value(line, text)


class _Window:
    """The part of the text that is held in memory; values are taken from its start.

    Attributes:
        line: Line of the window's position, from 1.
    """

    __slots__ = ("_chunks", "_data", "_has_ended", "_start", "_taken", "line")

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._data = b""
        self._start = 0
        self._has_ended = False
        self._taken = 0
        self.line = 1

    def skip_space(self) -> bool:
        """Goes to the next character that is no space; False at the end of the text."""
        while True:
            space = _SPACE.match(self._data, self._start)
            self._advance(space.end() if space else self._start)
            if self._start < len(self._data):
                return True
            if not self._grow():
                return False

    def take_value(self) -> bytes:
        """The object or array that begins here: the line, where it is one, else as far as it goes.

        Raises:
            _NotJsonError: None does; the position is unchanged.
        """
        if self._data[self._start] not in _OPENING:
            raise _NotJsonError("unreadable_line", "is no JSON object or array")
        end = self._line_end()
        if not _is_whole(self._data[self._start : end]):
            try:
                end = self._value_end()
            except _NotJsonError:
                if (repaired := self._repair()) is None:
                    raise
                return repaired
        text = self._data[self._start : end]
        self._advance(end)
        self._taken += 1
        return text

    def is_inside_document(self) -> bool:
        """Whether what follows shows that the value just taken was part of another one."""
        return self.skip_space() and self._data[self._start] in _CONTINUING

    def skip_to_next_object(self) -> bool:
        """Goes to the next line that begins with "{"; False where there is none."""
        while True:
            found = _NEXT_OBJECT.search(self._data, self._start)
            if found:
                self._advance(found.end())
                return True
            self._advance(max(self._start, len(self._data) - 1))
            if not self._grow():
                return False

    def _line_end(self) -> int:
        while True:
            end = self._data.find(b"\n", self._start)
            if end >= 0:
                return end
            if not self._grow():
                return len(self._data)

    def _value_end(self) -> int:
        while True:
            try:
                _skip(memoryview(self._data)[self._start :])
            except msgspec.DecodeError as error:
                if trailing := _TRAILING.search(str(error)):
                    return self._start + int(trailing[1]) - 1
                if str(error) != _TRUNCATED:
                    raise _NotJsonError("unreadable_line", str(error)) from error
                if not self._grow():
                    raise self._cut_off() from error
            except RecursionError as error:
                raise _NotJsonError("unreadable_line", "is nested too deeply") from error
            else:
                return len(self._data)

    def _cut_off(self) -> _NotJsonError:
        size = len(self._data) - self._start
        if not self._has_ended:
            return _NotJsonError(
                "too_large", f"holds a JSON value above {MAX_DOCUMENT_BYTES} bytes; split it"
            )
        reason = f"is cut off midway: the JSON value that begins here has no end after {size} bytes"
        return _NotJsonError("truncated_line" if self._taken else "truncated_document", reason)

    def _repair(self) -> bytes | None:
        """The value as Python's lenient reader sees it: NaN literals, halves of surrogate pairs."""
        while not (found := _NEXT_OBJECT.search(self._data, self._start)):
            if len(self._data) - self._start > _MAX_REPAIR_BYTES or not self._grow():
                break
        end = found.start() if found else len(self._data)
        if end - self._start > _MAX_REPAIR_BYTES:
            return None
        repaired = lenient(self._data[self._start : end])
        if repaired is not None:
            self._advance(end)
            self._taken += 1
        return repaired

    def _advance(self, to: int) -> None:
        self.line += self._data.count(b"\n", self._start, to)
        self._start = to

    def _grow(self) -> bool:
        """Reads on until at least twice as much is held; False at the end and at the limit."""
        size = len(self._data) - self._start
        if self._has_ended or size >= MAX_DOCUMENT_BYTES:
            return False
        parts = [self._data[self._start :]]
        wanted = max(size, 1)
        while wanted > 0:
            chunk = next(self._chunks, None)
            if chunk is None:
                self._has_ended = True
                break
            parts.append(chunk)
            wanted -= len(chunk)
        self._data = b"".join(parts)
        self._start = 0
        return len(self._data) > size


def _is_whole(line: bytes) -> bool:
    try:
        _skip(line)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def lenient(text: bytes) -> bytes | None:
    """The JSON value as Python's reader takes it, written again; None where it takes none either.

    It takes NaN and Infinity, which become strings, numbers beyond a double, and halves of
    surrogate pairs, which become "?".
    """
    try:
        value = json.loads(
            text.decode(errors="replace"), parse_constant=str, parse_float=_finite_or_text
        )
    except (ValueError, RecursionError):
        return None
    return json.dumps(value, ensure_ascii=False).encode(errors="replace")


def _finite_or_text(text: str) -> float | str:
    value = float(text)
    return value if math.isfinite(value) else text
