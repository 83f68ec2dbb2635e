"""Any export in, batches of span rows out."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from otelbudget.errors import TraceReadError
from otelbudget.ingest import decoding, parquet, shapes, sniff
from otelbudget.ingest.byte_stream import ByteStream
from otelbudget.ingest.json_stream import MAX_BYTES, Closed, Damage, Opened, Value, json_values
from otelbudget.ingest.messages import Message, messages
from otelbudget.ingest.records import ResourceSpans
from otelbudget.ingest.report import Reading, ReadReport
from otelbudget.ingest.rows import span_rows
from otelbudget.ingest.sources import STDIN, expand, open_source
from otelbudget.ingest.window import NotJsonError
from otelbudget.store.spans import Content, SpanRow

BATCH_ROWS = 5_000
Progress = Callable[[int, int], None]
TakeBack = Callable[[int], None]


def read_traces(
    sources: Sequence[str],
    content: Content,
    report: ReadReport,
    *,
    progress: Progress | None = None,
    take_back: TakeBack | None = None,
    max_bytes: int = MAX_BYTES,
) -> Iterator[list[SpanRow]]:
    """The spans of all sources as rows, in batches of about 5,000.

    Lines, concatenated objects, messages with their lengths and one large document of OTLP or an
    array take constant memory; any other single document as much as it is large. A source that
    cannot be read becomes a warning as long as another one can.

    Args:
        sources: Files, folders, globs, "-" for standard input; no DuckDB stores.
        content: What is stored of long texts and message content.
        report: Filled while the batches are taken.
        progress: Called with the bytes read from all files so far, compressed as they are, and
            the spans read so far.
        take_back: Called between batches with a number of rows: so many of the last rows given so
            far, of one file, are of a document that turned out to be cut off or damaged, and are
            not to be kept; `report` no longer counts them. Without it the rows of a large document
            are held in memory until it was read to its end, and none needs to be taken back.
        max_bytes: Size of a document or message that cannot be split, from which it is not read;
            and size from which text may be at most 200 times its compressed data.

    Raises:
        TraceReadError: Nothing in any source could be read; it names the first cause. All rows
            given, if any, were taken back.
    """
    first_error: TraceReadError | None = None
    bytes_read = 0

    def count_bytes(count: int) -> None:
        nonlocal bytes_read
        bytes_read += count
        if progress:
            progress(bytes_read, report.spans)

    for path in expand(sources):
        report.files += 1
        file = _File(Reading(str(path), report), content, max_bytes, count_bytes)
        try:
            for batch in _batches(file, take_back):
                report.spans += len(batch)
                yield batch
                if progress:
                    progress(bytes_read, report.spans)
        except TraceReadError as error:
            first_error = first_error or error
    if first_error and not report.formats:
        raise first_error


@dataclass(frozen=True, slots=True)
class _File:
    """One file to read, and how.

    Attributes:
        reading: Where we are in it, and what was found.
        content: What is stored of long texts and message content.
        max_bytes: Size of what cannot be split from which it is not read.
        on_bytes: Told how many bytes were read.
    """

    reading: Reading
    content: Content
    max_bytes: int
    on_bytes: Callable[[int], None]


@dataclass(frozen=True, slots=True)
class _Undo:
    """So many of the last rows are not to be kept."""

    rows: int


_Rows = list[SpanRow] | _Undo


def _batches(file: _File, take_back: TakeBack | None) -> Iterator[list[SpanRow]]:
    """The rows of one file in batches.

    Raises:
        TraceReadError: Nothing in the file could be read; all rows were taken back.
    """
    pending: list[SpanRow] = []
    for found in _file_rows(file):
        if isinstance(found, _Undo):
            kept = max(len(pending) - found.rows, 0)
            given = found.rows - (len(pending) - kept)
            del pending[kept:]
            if given and take_back:
                file.reading.report.spans -= given
                take_back(given)
            continue
        pending += found
        while len(pending) >= BATCH_ROWS and (take_back or not file.reading.is_in_document):
            yield pending[:BATCH_ROWS]
            pending = pending[BATCH_ROWS:]
    while pending:
        yield pending[:BATCH_ROWS]
        pending = pending[BATCH_ROWS:]
    if file.reading.format is None:
        raise file.reading.failure()


def _file_rows(file: _File) -> Iterator[_Rows]:
    """The rows of one file as they are found."""
    reading = file.reading
    try:
        with ExitStack() as files:
            source = open_source(reading.path, files, reading, file.max_bytes, file.on_bytes)
            match source.kind:
                case sniff.Kind.PROTOBUF:
                    yield from _protobuf_rows(ByteStream(source.chunks), file)
                case sniff.Kind.MESSAGES:
                    for message in messages(source.chunks, file.max_bytes):
                        yield from _message_rows(message, file)
                case sniff.Kind.PARQUET:
                    path = Path(reading.path)
                    is_own = path.is_file() and reading.path != STDIN and not source.is_packed
                    yield from _parquet_rows(path if is_own else None, source.chunks, file)
                case _:
                    yield from _json_rows(source.chunks, file)
    except (TraceReadError, OSError) as error:
        if reading.is_in_document:
            yield _Undo(reading.drop_document())
        _note_refusal(reading, error)


def _note_refusal(reading: Reading, error: TraceReadError | OSError) -> None:
    match error:
        case TraceReadError():
            reading.refuse(error)
        case FileNotFoundError():
            reading.unreadable("missing_file", "does not exist; check the name")
        case OSError():
            reading.unreadable("unreadable_file", f"cannot be read: {error.strerror or error}")


def _json_rows(chunks: Iterator[bytes], file: _File) -> Iterator[_Rows]:
    """The rows of JSON text; those of a large document are followed by `_Undo` if it is damaged."""
    reading = file.reading
    is_dropped = False
    for value in json_values(chunks, file.max_bytes):
        match value:
            case Opened():
                reading.open_document()
            case Closed():
                reading.close_document()
                is_dropped = False
            case _ if is_dropped:
                is_dropped = not isinstance(value, Damage)
            case _:
                reading.go_to(line=value.line)
                try:
                    yield from _value_rows(value, file)
                except NotJsonError as error:
                    is_dropped = reading.is_in_document and isinstance(value, Value)
                    if reading.is_in_document:
                        yield _Undo(reading.drop_document())
                    reading.unreadable(error.code, error.reason)


def _value_rows(value: Value | Damage, file: _File) -> Iterator[list[SpanRow]]:
    """The rows of one JSON value.

    Raises:
        NotJsonError: It is no JSON; elements of an array that are none are told instead.
    """
    if isinstance(value, Damage):
        raise NotJsonError(value.code, value.reason)
    text = value.text
    if not text.startswith(b"["):
        yield from _record_rows(decoding.records(text, file.reading), file)
        return
    for element in decoding.elements(text):
        try:
            yield from _record_rows(decoding.records(element, file.reading), file)
        except NotJsonError as error:
            file.reading.unreadable(error.code, error.reason)


def _message_rows(message: Message, file: _File) -> Iterator[_Rows]:
    """The rows of one message; of one that breaks off, those of its spans that are whole."""
    reading = file.reading
    reading.go_to(offset=message.offset)
    is_cut_protobuf = message.kind is sniff.Kind.PROTOBUF and not message.is_packed
    if message.fault and not is_cut_protobuf:
        reading.unreadable(*message.fault)
    elif message.kind is sniff.Kind.PROTOBUF:
        yield from _protobuf_rows(ByteStream(iter([message.data]), message.offset), file)
    elif message.kind is sniff.Kind.JSON:
        for found in _json_rows(iter([message.data]), file):
            yield found
            reading.go_to(offset=message.offset)
    elif message.data:
        reading.unreadable("unreadable_message", "is a message, but no OTLP protobuf and no JSON")


def _protobuf_rows(stream: ByteStream, file: _File) -> Iterator[list[SpanRow]]:
    from otelbudget.ingest import otlp_protobuf  # noqa: PLC0415 - slow to load, seldom needed

    yield from _record_rows(otlp_protobuf.records(stream, file.reading, file.max_bytes), file)


def _parquet_rows(path: Path | None, chunks: Iterator[bytes], file: _File) -> Iterator[_Rows]:
    for row in parquet.rows(path, chunks, file.reading):
        yield from _record_rows(shapes.groups(row, file.reading, "a row of Parquet"), file)


def _record_rows(groups: Iterable[ResourceSpans], file: _File) -> Iterator[list[SpanRow]]:
    """The rows of records, some thousands at a time; what is nested too deeply is told."""
    rows = _rows(groups, file)
    while batch := list(islice(rows, BATCH_ROWS)):
        yield batch


def _rows(groups: Iterable[ResourceSpans], file: _File) -> Iterator[SpanRow]:
    try:
        for group in groups:
            yield from span_rows(group, file.content, file.reading)
    except RecursionError:
        file.reading.unreadable("unreadable_line", "is nested too deeply")
