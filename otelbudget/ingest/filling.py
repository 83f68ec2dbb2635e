"""Files into a store: read in parallel where that is sure to be right, loaded beside."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from otelbudget.errors import StoreError, TraceReadError
from otelbudget.ingest import lines, shapes, workers
from otelbudget.ingest.json_stream import MAX_BYTES
from otelbudget.ingest.reader import Progress, read_traces
from otelbudget.ingest.report import ReadReport
from otelbudget.ingest.sources import expand
from otelbudget.store import spool
from otelbudget.store.spans import Content, SpanRow
from otelbudget.store.store import Store

_SPOOL_BYTES = 1 << 24


def fill(  # noqa: PLR0913 - three that matter, the others have a default
    store: Store,
    sources: Sequence[str],
    report: ReadReport,
    *,
    keep: bool = False,
    progress: Progress | None = None,
    max_bytes: int = MAX_BYTES,
    processes: int = 1,
) -> None:
    """Add the spans of all sources to a store.

    Args:
        store: Where they go; its key makes the hashes that stand for content.
        sources: Files, folders, globs, "-" for standard input; no DuckDB stores.
        report: Filled meanwhile.
        keep: Keep message content and long texts.
        progress: Called with the bytes read so far and the spans read so far.
        max_bytes: As `read_traces` takes it.
        processes: How many processes may read large files of OTLP JSON lines.

    Raises:
        TraceReadError: Nothing in any source could be read.
        StoreError: There is no room for the spans.
    """
    paths = expand(sources)
    with _Loading(store) as loading:
        done: set[str] = set()
        if processes > 1 and max_bytes >= lines.LONGEST_LINE:
            files = [str(path) for path in paths if isinstance(path, Path)]
            done = _fill_lines(
                loading, files, report, keep=keep, processes=processes, progress=progress
            )
        others = [str(path) for path in paths if str(path) not in done]
        if not others:
            return
        before = sum(Path(path).stat().st_size for path in done)
        rest = read_traces(
            others,
            Content(loading.key, keep=keep),
            report,
            progress=progress and (lambda size, spans: progress(before + size, spans)),
            take_back=loading.take_back,
            max_bytes=max_bytes,
        )
        try:
            for rows in rest:
                loading.add(rows)
        except TraceReadError:
            if not report.spans:  # where others gave spans, a bad file is a warning
                raise
            report.unreadable += 1


def _fill_lines(
    loading: "_Loading",
    files: Sequence[str],
    report: ReadReport,
    *,
    keep: bool,
    processes: int,
    progress: Progress | None,
) -> set[str]:
    """Read the large files of OTLP JSON lines with several processes.

    Returns:
        The files that were read so, which are right in every way.
    """
    parts = [part for file in files for part in lines.parts(Path(file))]
    if not parts:
        return set()
    spans = dict.fromkeys((part.path for part in parts), 0)
    wrong: set[str] = set()
    tasks = (
        workers.Task(part, str(loading.new_file())) for part in parts if part.path not in wrong
    )
    bytes_read = 0
    for done in workers.run(tasks, loading.key, keep=keep, workers=processes):
        path = done.task.part.path
        if done.spans is None or path in wrong:
            if path not in wrong:
                wrong.add(path)
                loading.take_back(spans.pop(path))
            Path(done.task.to).unlink(missing_ok=True)
            continue
        loading.load(Path(done.task.to))
        spans[path] += done.spans
        bytes_read += done.task.part.end - done.task.part.start
        if progress:
            progress(bytes_read, sum(spans.values()))
    report.files += len(spans)
    report.spans += sum(spans.values())
    if spans:
        report.formats[shapes.OTLP_JSON] = report.formats.get(shapes.OTLP_JSON, 0) + len(spans)
    return set(spans)


class _Loading:
    """Adds rows to a store beside what makes them: one spool file is loaded while another fills.

    Attributes:
        key: Key of the hashes that stand for content in the store.
    """

    def __init__(self, store: Store) -> None:
        self.key = store.content_key()
        self._store = store
        self._thread = ThreadPoolExecutor(1)
        self._under_way: Future[None] | None = None
        self._file: BinaryIO | None = None
        self._files = 0

    def __enter__(self) -> Self:
        self._store.begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._flush()
                self._wait()
                self._store.commit()
        finally:
            self._thread.shutdown()
            if self._file is not None:
                with suppress(OSError):  # why it cannot be written has been said
                    self._file.close()

    def new_file(self) -> Path:
        """A name for a spool file, which goes with the store."""
        self._files += 1
        return self._store.temporary / f"spool-{self._files}"

    def add(self, rows: Sequence[SpanRow]) -> None:
        """Add rows.

        Raises:
            StoreError: There is no room for them.
        """
        try:
            if self._file is None:
                self._file = self.new_file().open("wb")
            spool.write(self._file, rows)
            is_full = self._file.tell() >= _SPOOL_BYTES
        except OSError as error:
            raise self._no_room(error) from error
        if is_full:
            self._flush()

    def load(self, file: Path) -> None:
        """Add the rows of a spool file; it is removed afterwards."""
        self._wait()
        self._under_way = self._thread.submit(self._load, file)

    def take_back(self, count: int) -> None:
        """Remove the rows that were added last."""
        self._flush()
        self._wait()
        self._store.take_back(count)

    def _load(self, file: Path) -> None:
        self._store.load(file)
        file.unlink()

    def _flush(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            try:
                file.close()
            except OSError as error:
                raise self._no_room(error) from error
            self.load(Path(file.name))

    def _no_room(self, error: OSError) -> StoreError:
        folder = self._store.temporary.parent
        return StoreError(
            str(folder), f"has no room for what is read: {error.strerror}; make room there"
        )

    def _wait(self) -> None:
        if self._under_way is not None:
            self._under_way.result()
            self._under_way = None
