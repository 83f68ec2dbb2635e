"""What reading found: files, spans, and what could not be read."""

import copy
from dataclasses import dataclass, field
from typing import NamedTuple

from otelbudget.errors import TraceReadError

_MAX_FILES = 20


@dataclass(slots=True)
class ReadWarning:
    """One kind of trouble in the input.

    Attributes:
        code: What kind, such as "truncated_line"; docs/reference lists them.
        count: How often it was met.
        example: The first one, beginning with its file and, where there is one, its line.
        files: The files in which it was met, each with the line where it was first, at most 20.
    """

    code: str
    count: int
    example: str
    files: dict[str, int | None] = field(default_factory=dict)


@dataclass(slots=True)
class ReadReport:
    """What `read_traces` found; it fills the report while its batches are taken.

    Attributes:
        files: Files that were opened, read or not.
        formats: Files by format: "otlp-json", "tempo-json", "jaeger-json", "span-dicts",
            "cloudwatch", "otlp-protobuf" and others; the caller adds "duckdb". A file that holds several counts once, by the
            first.
        spans: Spans read, each delivery counted.
        skipped_records: Records that are no spans: log records and metrics.
        unreadable: Records, lines or documents that could not be read.
        warnings: One for each code, in the order in which they were met.
    """

    files: int = 0
    formats: dict[str, int] = field(default_factory=dict)
    spans: int = 0
    skipped_records: int = 0
    unreadable: int = 0
    warnings: list[ReadWarning] = field(default_factory=list)

    def warn(
        self,
        code: str,
        example: str,
        count: int = 1,
        *,
        file: str | None = None,
        line: int | None = None,
    ) -> None:
        """Counts a trouble; the first example of a code is the one that is kept."""
        for warning in self.warnings:
            if warning.code == code:
                warning.count += count
                break
        else:
            warning = ReadWarning(code, count, example)
            self.warnings.append(warning)
        if file is not None and len(warning.files) < _MAX_FILES:
            warning.files.setdefault(file, line)


class Reading:
    """The reading of one file: where we are in it, and what was found so far.

    Attributes:
        report: The report of all files.
        path: The file as the caller named it.
        line: Line at which the record being read begins, from 1; None before the first.
        offset: Byte at which it begins, from 0, where the format has no lines.
        spans: Spans read from this file.
        format: Format of the first thing recognised, None before that.
        fault: The first trouble for which something could not be read, None without one.
    """

    __slots__ = ("_before", "fault", "format", "line", "offset", "path", "report", "spans")

    def __init__(self, path: str, report: ReadReport) -> None:
        self.path = path
        self.report = report
        self.line: int | None = None
        self.offset: int | None = None
        self._before: _Before | None = None
        self.spans = 0
        self.format: str | None = None
        self.fault: TraceReadError | None = None

    def found(self, name: str) -> None:
        """Something of this format was recognised."""
        if self.format is None:
            self.format = name
            self.report.formats[name] = self.report.formats.get(name, 0) + 1

    def skip(self, count: int) -> None:
        """That many records are no spans."""
        if count:
            self.report.skipped_records += count
            self.warn("log_records", "holds log records or metrics, which are no spans", count)

    def unreadable(self, code: str, reason: str) -> None:
        """The record at the current line cannot be read."""
        self.report.unreadable += 1
        if self.fault is None:
            self.fault = TraceReadError(self.path, self._located(reason), line=self.line)
        self.warn(code, reason)

    def unreadable_file(self, code: str, reason: str) -> None:
        """The file itself is damaged, whatever becomes of the document being read."""
        self.unreadable(code, reason)
        if self._before is not None:
            self._before.report.unreadable += 1
            self._before.report.warn(code, self._place(reason), file=self.path, line=self.line)

    def refuse(self, refusal: TraceReadError) -> None:
        """The file is nothing that can be read, unless damage to its compression says why."""
        if self.fault is None:
            self.fault = refusal
            self.report.warn("not_traces", str(refusal), file=self.path)

    def failure(self) -> TraceReadError:
        """Why nothing of the file could be read."""
        failure = self.fault or TraceReadError(self.path, "holds no spans")
        self.refuse(failure)
        return failure

    def warn(self, code: str, reason: str, count: int = 1) -> None:
        """Counts a trouble at the current line."""
        self.report.warn(code, self._place(reason), count, file=self.path, line=self.line)

    def go_to(self, *, line: int | None = None, offset: int | None = None) -> None:
        """The record being read begins there."""
        self.line, self.offset = line, offset

    @property
    def is_in_document(self) -> bool:
        """Whether what is found belongs to a large document that may turn out to be damaged."""
        return self._before is not None

    def open_document(self) -> None:
        """A large document begins."""
        self._before = _Before(copy.deepcopy(self.report), self.spans, self.format)

    def close_document(self) -> None:
        """It ended as it should."""
        self._before = None

    def drop_document(self) -> int:
        """It is damaged: forgets what was found in it.

        Returns:
            The number of spans forgotten.
        """
        before, self._before = self._before, None
        if before is None:
            return 0
        forgotten = self.spans - before.spans
        self.spans, self.format = before.spans, before.format
        self.report.formats = before.report.formats
        self.report.skipped_records = before.report.skipped_records
        self.report.unreadable = before.report.unreadable
        self.report.warnings = before.report.warnings
        return forgotten

    def _place(self, reason: str) -> str:
        where = self.path if self.line is None else f"{self.path}:{self.line}"
        return f"{where}: {self._located(reason)}"

    def _located(self, reason: str) -> str:
        return reason if self.offset is None else f"at byte {self.offset}: {reason}"


class _Before(NamedTuple):
    """What a reading had found when a document began.

    Attributes:
        report: A copy of the report of all files.
        spans: Spans read from the file.
        format: Its format.
    """

    report: ReadReport
    spans: int
    format: str | None
