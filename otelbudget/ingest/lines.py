"""Files of OTLP JSON lines, read a part at a time by any number of processes.

This is the fast way for what collectors mostly write. It takes only what is right in every way: a
file with anything else in it is read by `read_traces`, as if this had not been tried.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from otelbudget.ingest.records import decode_traces
from otelbudget.ingest.report import Reading, ReadReport
from otelbudget.ingest.rows import span_rows
from otelbudget.store import spool
from otelbudget.store.spans import Content, SpanRow

PART_BYTES = 1 << 24
LONGEST_LINE = 1 << 26
_BUFFER_BYTES = 1 << 20
_ROWS_AT_ONCE = 2_000
_BEGINNING = b'{"resourceSpans":'


class Part(NamedTuple):
    """The lines of a file that begin in a stretch of it.

    Attributes:
        path: The file.
        start: First byte of the stretch.
        end: The byte after it.
    """

    path: str
    start: int
    end: int


def parts(path: Path) -> list[Part]:
    """A file in parts; none where it does not begin as OTLP JSON lines do, or has one part only."""
    try:
        size = path.stat().st_size if path.is_file() else 0  # a pipe is read once
        with path.open("rb") as file:
            is_right = size > PART_BYTES and file.readline(LONGEST_LINE).startswith(_BEGINNING)
    except OSError:
        return []
    starts = range(0, size, PART_BYTES) if is_right else ()
    return [Part(str(path), start, min(start + PART_BYTES, size)) for start in starts]


def spool_part(part: Part, content: Content, to: Path) -> int | None:
    """Write the rows of a part's spans to a spool file.

    Returns:
        How many there are; None where a line is not right, and the file must be read otherwise.
    """
    reading = Reading(part.path, ReadReport())
    rows: list[SpanRow] = []
    try:
        with to.open("wb") as file:
            for line in _lines(part):
                for group in decode_traces(line).resource_spans:
                    rows += span_rows(group, content, reading)
                if len(rows) >= _ROWS_AT_ONCE:
                    spool.write(file, rows)
                    rows.clear()
            spool.write(file, rows)
    except (OSError, UnicodeError, RecursionError, msgspec.DecodeError):
        return None
    return None if reading.report.warnings else reading.spans


def _lines(part: Part) -> Iterator[bytes]:
    with Path(part.path).open("rb", _BUFFER_BYTES) as file:
        if part.start:
            file.seek(part.start - 1)
            _line(file)  # the end of a line that begins in the part before
        while file.tell() < part.end:
            line = _line(file)
            if not line.isspace():
                yield line


def _line(file: BinaryIO) -> bytes:
    """The next line; one that is too long comes in pieces, which are no JSON."""
    return file.readline(LONGEST_LINE)
