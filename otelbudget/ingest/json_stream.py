"""Splits JSON text into its values: lines, concatenated objects, pretty-printed or not."""

from collections.abc import Iterator
from typing import NamedTuple

from otelbudget.ingest import splitting
from otelbudget.ingest.window import NotJsonError, Window

MAX_BYTES = 1 << 30


class Value(NamedTuple):
    """One top-level JSON value, or a part of one.

    Attributes:
        line: Line on which it begins, from 1.
        text: Its text; not yet checked for more than brackets, quotes and escapes.
    """

    line: int
    text: bytes


class Opened(NamedTuple):
    """A large value begins; what follows is parts of it, up to `Closed` or `Damage`.

    Attributes:
        line: Line on which it begins, from 1.
    """

    line: int


class Closed(NamedTuple):
    """The large value ended as it should: its parts hold."""


class Damage(NamedTuple):
    """A stretch of the input that holds no JSON value; parts given since `Opened` do not hold.

    Attributes:
        line: Line on which it begins, from 1.
        code: "truncated_line", "truncated_document", "unreadable_line" or "too_large".
        reason: What is wrong.
    """

    line: int
    code: str
    reason: str


Found = Value | Opened | Closed | Damage


def json_values(chunks: Iterator[bytes], max_bytes: int = MAX_BYTES) -> Iterator[Found]:
    """The top-level values, and the damage between them, in order.

    After damage, reading goes on at the next line that begins with "{", where what begins there
    is a whole value of its own and no part of a broken document.

    Args:
        chunks: The text, cut anywhere.
        max_bytes: Size above which a value that cannot be split is not read.
    """
    window = Window(chunks, max_bytes)
    is_after_damage = False
    while window.skip_space():
        line, position = window.line, window.position
        try:
            text = window.take_value()
            if text is None:
                yield Opened(line)
                for part in splitting.parts(window):
                    yield Value(*part)
                window.taken += 1
        except NotJsonError as error:
            yield _damage(error, line, window, position)
            is_after_damage = True
            if not window.skip_to_next_object(position):
                return
            continue
        if is_after_damage and window.is_inside_document():
            yield Damage(
                line, "unread_rest", "is part of a damaged document; nothing from here on is read"
            )
            return
        is_after_damage = False
        yield Closed() if text is None else Value(line, text)
        window.skip_separator()


def _damage(error: NotJsonError, line: int, window: Window, position: int) -> Damage:
    if error.code != "truncated":
        return Damage(line, error.code, error.reason)
    size = window.end - position
    return Damage(
        line,
        "truncated_line" if window.taken else "truncated_document",
        f"is cut off midway: the JSON value that begins here has no end after {size} bytes",
    )
