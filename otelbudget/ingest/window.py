"""The part of a JSON text that is held in memory; values are taken from its start.

msgspec finds where a value ends (it skips about 700 MB/s), so no character is looked at in Python.
"""

import re
from collections.abc import Iterator
from contextlib import suppress

import msgspec

from otelbudget.ingest.lenient import lenient, lenient_head

WHOLE_BYTES = 1 << 24
_LINE_BYTES = 1 << 22  # a longer line may hold many values
_ELEMENT_HEAD_BYTES = 12
_MAX_REPAIR_BYTES = 1 << 24  # Python objects take about ten times their text
_FIRST_REPAIR_BYTES = 1 << 14
_SPACE = re.compile(rb"[ \t\r\n]*")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BETWEEN = re.compile(rb"(?:[ \t\r\n\x1e]|\xef\xbb\xbf)*")  # RFC 7464 begins values with 0x1e
_NEXT_OBJECT = re.compile(rb"\n(?=\{)")
_TRAILING = re.compile(r"trailing characters \(byte (\d+)\)")
_TRUNCATED = "Input data was truncated"
_REMEDY = "split it, or raise the limit with --max-bytes"
_OPENING = b"{["
_CONTINUING = b",]}:"
_CLOSING = b'}]" \t\r\n'
_skip = msgspec.json.Decoder(msgspec.Raw).decode


class NotJsonError(Exception):
    """No JSON value begins where the window stands; its code and reason."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Window:
    """A stretch of the text, from the position at which it is read.

    Args:
        chunks: The text, cut anywhere.
        max_bytes: Size above which a value is not held in memory.

    Attributes:
        line: Line of the position, from 1.
        taken: Top-level values taken so far.
        whole_bytes: Size above which a value is split where it can be.
    """

    __slots__ = (
        "_chunks",
        "_data",
        "_has_ended",
        "_is_line_start",
        "_line_end",
        "_max_bytes",
        "_offset",
        "_start",
        "line",
        "taken",
        "whole_bytes",
    )

    def __init__(self, chunks: Iterator[bytes], max_bytes: int) -> None:
        self._chunks = chunks
        self._max_bytes = max_bytes
        self.whole_bytes = min(WHOLE_BYTES, max_bytes)
        self._data = b""
        self._offset = 0
        self._start = 0
        self._line_end = -1
        self._has_ended = False
        self._is_line_start = True
        self.taken = 0
        self.line = 1

    @property
    def position(self) -> int:
        """Bytes of the text before the position."""
        return self._offset + self._start

    @property
    def end(self) -> int:
        """Bytes of the text read so far."""
        return self._offset + len(self._data)

    def check_held(self, size: int) -> None:
        """Refuses to hold that many bytes of a value where that is more than allowed.

        Raises:
            NotJsonError: It is.
        """
        if size > self._max_bytes:
            raise self._too_large()

    def skip_space(self) -> bool:
        """Goes to the next character that is no space nor mark; False at the end of the text."""
        while True:
            space = _BETWEEN.match(self._data, self._start)
            self._advance(space.end() if space else self._start)
            rest = self._data[self._start : self._start + len(_BYTE_ORDER_MARK)]
            if rest and (len(rest) == len(_BYTE_ORDER_MARK) or rest[:1] != _BYTE_ORDER_MARK[:1]):
                return True
            if rest and not self._grow():
                return True
            if rest:
                continue
            if not self._grow():
                return False

    def next_byte(self) -> int:
        """The next character that is no space, after going to it.

        Raises:
            NotJsonError: The text ends before it.
        """
        if not self.skip_space():
            raise NotJsonError("truncated", "")
        return self._data[self._start]

    def take_byte(self, allowed: bytes) -> int:
        """The next character that is no space, after going behind it.

        Raises:
            NotJsonError: It is none of those allowed.
        """
        byte = self.next_byte()
        if byte not in allowed:
            raise NotJsonError(
                "unreadable_line", f"is no JSON: {chr(byte)!r} where {allowed.decode()!r} is due"
            )
        self._advance(self._start + 1)
        return byte

    def take_value(self) -> bytes | None:
        """The object or array that begins here: the line, where it is one, else as far as it goes.

        None where it does not end within `whole_bytes`: it is to be split.

        Raises:
            NotJsonError: None begins here; the position is unchanged.
        """
        if self._data[self._start] not in _OPENING:
            raise NotJsonError("unreadable_line", "is no JSON object or array")
        try:
            end = self.value_end(self.whole_bytes, self._end_of_line())
        except NotJsonError as error:
            repaired = None if error.code == "truncated" else self._repaired_document()
            if repaired is None:
                raise
            return repaired
        if end is None:
            return None
        self.taken += 1
        return self.take_to(end)

    def take_part(self) -> bytes:
        """The value of any type that begins here, a part of a larger one.

        Raises:
            NotJsonError: None begins here, or it is too large to be held.
        """
        self.next_byte()
        try:
            end = self.value_end(self._max_bytes)
        except NotJsonError as error:
            repaired = None if error.code == "truncated" else self.take_repaired()
            if repaired is None:
                raise
            return repaired
        if end is None:
            raise self._too_large()
        return self.take_to(end)

    def value_end(self, limit: int, end: int | None = None, start: int = 0) -> int | None:
        """Where the value that begins at the position ends, counted from the position.

        Args:
            limit: Size in bytes from which the answer is None.
            end: Where it is likely to end.
            start: Where the value begins, counted from the position.

        Raises:
            NotJsonError: No value begins there, or the text ends before the value does.
        """
        held = len(self._data) - self._start
        until = held if end is None else end
        while True:
            found = self._measured(start, until)
            if found is not None and (found < held or self._is_closed() or not self._grow()):
                return found
            if found is None and until == held:
                if held - start >= limit:
                    return None
                if not self._grow():
                    raise NotJsonError("truncated", "")
            until = held = len(self._data) - self._start

    def space_end(self, start: int) -> int:
        """Where the next character that is no space stands, counted from the position.

        Raises:
            NotJsonError: The text ends before it.
        """
        while True:
            space = _SPACE.match(self._data, self._start + start)
            end = space.end() if space else self._start + start
            if end < len(self._data):
                return end - self._start
            if not self._grow():
                raise NotJsonError("truncated", "")

    def elements_end(self, end: int, start: int, size: int) -> int | None:
        """Where many elements of an array end, found without measuring each; None if it is not.

        What separates the first two, with the beginning of the second, is looked for from behind;
        where whole elements stand before it, it separates elements.

        Args:
            end: Where the first element ends, counted from the position, which is its start.
            start: Where the second one begins.
            size: How much of the text to look at.
        """
        while len(self._data) - self._start < size and self._grow():
            pass
        separator = self._data[self._start + end : self._start + start + _ELEMENT_HEAD_BYTES]
        found = self._data.rfind(separator, self._start + start, self._start + size)
        if found < 0:
            return None
        try:
            _skip(b"[" + self._data[self._start : found] + b"]")
        except (msgspec.DecodeError, RecursionError):
            return None
        return found - self._start

    def byte_at(self, place: int) -> int:
        """The character that stands so many bytes behind the position."""
        return self._data[self._start + place]

    def take_to(self, end: int) -> bytes:
        """The text up to there, counted from the position, after going there."""
        text = self._data[self._start : self._start + end]
        self._advance(self._start + end)
        return text

    def take_repaired(self) -> bytes | None:
        """The value that begins here as Python's reader takes it; None where it takes none."""
        size = _FIRST_REPAIR_BYTES
        while size <= _MAX_REPAIR_BYTES:
            while len(self._data) - self._start < size and self._grow():
                pass
            found = lenient_head(self._data[self._start : self._start + size])
            if found:
                self._advance(self._start + found[1])
                return found[0]
            if len(self._data) - self._start < size:
                break
            size *= 4
        return None

    def skip_separator(self) -> None:
        """Goes behind a comma that stands between whole objects, as if they were lines."""
        if self.skip_space() and self._data[self._start] == b","[0]:
            with suppress(NotJsonError):  # a comma at the end
                if self.byte_at(self.space_end(1)) == b"{"[0]:
                    self._advance(self._start + 1)

    def is_inside_document(self) -> bool:
        """Whether what follows shows that the value just taken was part of another one."""
        return self.skip_space() and self._data[self._start] in _CONTINUING

    def skip_to_next_object(self, after: int) -> bool:
        """Goes to the first line behind a position that begins with "{"; False where none does."""
        if (
            self.position > after
            and self._is_line_start
            and self._data.startswith(b"{", self._start)
        ):
            return True
        while True:
            found = _NEXT_OBJECT.search(self._data, self._start)
            if found:
                self._advance(found.end())
                return True
            self._advance(max(self._start, len(self._data) - 1))
            if not self._grow():
                return False

    def _too_large(self) -> NotJsonError:
        return NotJsonError(
            "too_large", f"holds a JSON value above {self._max_bytes:,} bytes; {_REMEDY}"
        )

    def _end_of_line(self) -> int:
        """Where the line ends, counted from the position, as far as that is held."""
        while self._line_end < self._start:
            self._line_end = self._data.find(b"\n", self._start)
            is_enough = len(self._data) - self._start >= _LINE_BYTES
            if self._line_end < 0 and (is_enough or not self._grow()):
                self._line_end = len(self._data)
        return self._line_end - self._start

    def _is_closed(self) -> bool:
        """Whether no value can go on behind what is held; a number can."""
        return self._has_ended or self._data[-1] in _CLOSING

    def _measured(self, start: int, end: int) -> int | None:
        """Where the value ends that begins at `start`; None if not before `end`."""
        try:
            _skip(memoryview(self._data)[self._start + start : self._start + end])
        except msgspec.DecodeError as error:
            message = str(error)
            if trailing := _TRAILING.search(message):
                return start + int(trailing[1]) - 1
            if message == _TRUNCATED:
                return None
            raise NotJsonError("unreadable_line", message) from error
        except RecursionError as error:
            raise NotJsonError("unreadable_line", "is nested too deeply") from error
        return end

    def _repaired_document(self) -> bytes | None:
        """The value that goes on to the next line with "{", as Python's reader takes it."""
        while not (found := _NEXT_OBJECT.search(self._data, self._start)):
            if len(self._data) - self._start > _MAX_REPAIR_BYTES or not self._grow():
                break
        end = found.start() if found else len(self._data)
        if end - self._start > _MAX_REPAIR_BYTES:
            return None
        repaired = lenient(self._data[self._start : end])
        if repaired is not None:
            self._advance(end)
            self.taken += 1
        return repaired

    def _advance(self, to: int) -> None:
        if to > self._start:
            self.line += self._data.count(b"\n", self._start, to)
            self._is_line_start = self._data[to - 1] == b"\n"[0]
            self._start = to

    def _grow(self) -> bool:
        """Reads on until about twice as much is held; False at the end of the text."""
        size = len(self._data) - self._start
        if self._has_ended:
            return False
        parts = [self._data[self._start :]]
        self._data = b""
        wanted = max(min(size, self._max_bytes - size), 1)
        while wanted > 0:
            chunk = next(self._chunks, None)
            if chunk is None:
                self._has_ended = True
                break
            parts.append(chunk)
            wanted -= len(chunk)
        self._offset += self._start
        self._data = b"".join(parts)
        self._start = 0
        self._line_end = -1
        return len(self._data) > size
