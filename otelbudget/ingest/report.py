"""What reading found: files, spans, and what could not be read."""

from dataclasses import dataclass, field

from otelbudget.errors import TraceReadError


@dataclass(slots=True)
class ReadWarning:
    """One kind of trouble in the input.

    Attributes:
        code: What kind, such as "truncated_line"; docs/reference lists them.
        count: How often it was met.
        example: The first one, beginning with its file and, where there is one, its line.
    """

    code: str
    count: int
    example: str


@dataclass(slots=True)
class ReadReport:
    """What `read_traces` found; it fills the report while its batches are taken.

    Attributes:
        files: Files that were opened, read or not.
        formats: Files by format: "otlp-json", "tempo-json", "jaeger-json", "span-dicts",
            "cloudwatch"; the caller adds "duckdb". A file that holds several counts once, by the
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

    def warn(self, code: str, example: str, count: int = 1) -> None:
        """Counts a trouble; the first example of a code is the one that is kept."""
        for warning in self.warnings:
            if warning.code == code:
                warning.count += count
                return
        self.warnings.append(ReadWarning(code, count, example))


class Reading:
    """The reading of one file: where we are in it, and what was found so far.

    Attributes:
        report: The report of all files.
        path: The file as the caller named it.
        line: Line at which the record being read begins, from 1; None before the first.
        spans: Spans read from this file.
        format: Format of the first thing recognised, None before that.
        fault: The first trouble for which something could not be read, None without one.
    """

    __slots__ = ("fault", "format", "line", "path", "report", "spans")

    def __init__(self, path: str, report: ReadReport) -> None:
        self.path = path
        self.report = report
        self.line: int | None = None
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
            self.fault = TraceReadError(self.path, reason, line=self.line)
        self.warn(code, reason)

    def refuse(self, refusal: TraceReadError) -> None:
        """The file is nothing that can be read, unless damage to its compression says why."""
        if self.fault is None:
            self.fault = refusal
            self.report.warn("not_traces", str(refusal))

    def failure(self) -> TraceReadError:
        """Why nothing of the file could be read."""
        failure = self.fault or TraceReadError(self.path, "holds no spans")
        self.refuse(failure)
        return failure

    def warn(self, code: str, reason: str, count: int = 1) -> None:
        """Counts a trouble at the current line."""
        where = self.path if self.line is None else f"{self.path}:{self.line}"
        self.report.warn(code, f"{where}: {reason}", count)
