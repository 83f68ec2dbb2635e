"""Rows on their way into a store: a text file that DuckDB reads on all cores.

DuckDB's appender takes twice the time, all of it in Python; and another process can write a file.
Measured with DuckDB 2.0.0 on 2026-11-22, rows of 600 bytes: 27 us a row appended, 7 us
written here and 12 us loaded by DuckDB's own threads.
"""

from collections.abc import Sequence
from typing import BinaryIO

from otelbudget.store.spans import SpanRow

SEPARATOR = "\x1f"
QUOTE = "\x1d"
NULL = "\x7f"
_COLUMNS = len(SpanRow._fields)


def write(file: BinaryIO, rows: Sequence[SpanRow]) -> None:
    """Add rows to a spool file."""
    lines = [
        SEPARATOR.join(
            [
                NULL if value is None else value if value.__class__ is str else str(value)
                for value in row
            ]
        )
        for row in rows
    ]
    lines.append("")
    text = "\n".join(lines)
    if not _is_plain(text, rows):
        text = "".join(map(_quoted, rows))
    file.write(text.encode())


def _is_plain(text: str, rows: Sequence[SpanRow]) -> bool:
    """Whether none of the characters with a meaning stands in a value."""
    return (
        text.count(SEPARATOR) == len(rows) * (_COLUMNS - 1)
        and text.count("\n") == len(rows)
        and text.count(NULL) == sum(row.count(None) for row in rows)
        and QUOTE not in text
        and "\r" not in text
    )


def _quoted(row: SpanRow) -> str:
    return SEPARATOR.join(map(_quoted_value, row)) + "\n"


def _quoted_value(value: str | int | None) -> str:
    if value is None:
        return NULL
    return f"{QUOTE}{str(value).replace(QUOTE, 2 * QUOTE)}{QUOTE}"
