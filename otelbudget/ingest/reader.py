"""Any export in, batches of span rows out."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice

import msgspec

from otelbudget.errors import TraceReadError
from otelbudget.ingest import outline, shapes
from otelbudget.ingest.json_stream import Damage, Value, json_values, lenient
from otelbudget.ingest.records import ResourceSpans, decode_traces
from otelbudget.ingest.report import Reading, ReadReport
from otelbudget.ingest.rows import span_rows
from otelbudget.ingest.sources import expand, open_text
from otelbudget.store.spans import Content, SpanRow

BATCH_ROWS = 5_000
Progress = Callable[[int, int], None]
_elements = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode = msgspec.json.decode


def read_traces(
    sources: Sequence[str],
    content: Content,
    report: ReadReport,
    *,
    progress: Progress | None = None,
) -> Iterator[list[SpanRow]]:
    """The spans of all sources as rows, in batches of about 5,000.

    Lines and concatenated objects take constant memory, a single document as much as it is large.
    A source that cannot be read becomes a warning as long as another one can.

    Args:
        sources: Files, folders, globs, "-" for standard input; no DuckDB stores.
        content: What is stored of long texts and message content.
        report: Filled while the batches are taken.
        progress: Called with the bytes read from all files so far, compressed as they are, and
            the spans read so far.

    Raises:
        TraceReadError: Nothing in any source could be read; it names the first cause. What was
            yielded before, which is nothing, need not be undone.
    """
    first_error: TraceReadError | None = None
    bytes_read = 0

    def count_bytes(count: int) -> None:
        nonlocal bytes_read
        bytes_read += count

    for path in expand(sources):
        report.files += 1
        rows = _file_rows(Reading(str(path), report), content, count_bytes)
        try:
            while batch := list(islice(rows, BATCH_ROWS)):
                report.spans += len(batch)
                yield batch
                if progress:
                    progress(bytes_read, report.spans)
        except TraceReadError as error:
            first_error = first_error or error
    if first_error and not report.formats:
        raise first_error


def _file_rows(
    reading: Reading, content: Content, on_bytes: Callable[[int], None]
) -> Iterator[SpanRow]:
    """The rows of one file.

    Raises:
        TraceReadError: Nothing in the file could be read; no row came before it.
    """
    try:
        with ExitStack() as files:
            for value in json_values(open_text(reading.path, files, on_bytes, reading.unreadable)):
                reading.line = value.line
                yield from _value_rows(value, content, reading)
    except (TraceReadError, OSError) as error:
        _note_refusal(reading, error)
    if reading.format is None:
        raise reading.failure()


def _note_refusal(reading: Reading, error: TraceReadError | OSError) -> None:
    match error:
        case TraceReadError():
            reading.refuse(error)
        case FileNotFoundError():
            reading.unreadable("missing_file", "does not exist; check the name")
        case OSError():
            reading.unreadable("unreadable_file", f"cannot be read: {error.strerror or error}")


def _value_rows(value: Value | Damage, content: Content, reading: Reading) -> Iterator[SpanRow]:
    """The rows of one JSON value; what cannot be read is reported, the rest is read."""
    if isinstance(value, Damage):
        reading.unreadable(value.code, value.reason)
        return
    try:
        for part in _parts(value.text):
            for group in _records(part, reading):
                yield from span_rows(group, content, reading)
    except RecursionError:
        reading.unreadable("unreadable_line", "is nested too deeply")


def _parts(text: bytes) -> Iterable[bytes | msgspec.Raw]:
    return _elements(text) if text.startswith(b"[") else outline.parts(text)


def _records(text: bytes | msgspec.Raw, reading: Reading) -> Iterable[ResourceSpans]:
    """The records of one JSON value: OTLP as it should be the fast way, anything else the general.

    Both end in the same records.
    """
    try:
        traces = decode_traces(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _general(bytes(text), reading)
    reading.found(shapes.OTLP_JSON)
    return traces.resource_spans


def _general(text: bytes, reading: Reading) -> Iterable[ResourceSpans]:
    try:
        return shapes.groups(_decode(text), reading)
    except UnicodeDecodeError:
        reading.warn("invalid_utf8", "has bytes that are no UTF-8; they were replaced")
        return _records(text.decode(errors="replace").encode(), reading)
    except msgspec.DecodeError as error:
        repaired = lenient(text)
        if repaired is None:
            reading.unreadable("unreadable_line", str(error))
            return ()
        return shapes.groups(_decode(repaired), reading)
