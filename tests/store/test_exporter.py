"""The exporter in one process: files, permissions, taking turns, failing."""

import logging
import os
import resource
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otelbudget.errors import StoreBusyError, StoreError, StoreVersionError
from otelbudget.store import files, spill
from otelbudget.store.exporter import DuckDBSpanExporter
from otelbudget.store.spans import SpanRow
from otelbudget.store.store import Store

MakeRow = Callable[..., SpanRow]
MakeSpan = Callable[..., ReadableSpan]
Names = Callable[[Path], list[str]]

STORAGE_1_0 = 64  # what DuckDB 1.0 writes and every later one reads
SUCCESS, FAILURE = SpanExportResult.SUCCESS, SpanExportResult.FAILURE


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Another DuckDB session on the file, as a shell left open."""
    connection = duckdb.connect(str(path))
    try:
        yield
    finally:
        connection.close()


def _write_other_parquet(folder: Path) -> None:
    with duckdb.connect() as connection:
        connection.execute("create table other as select 1 as other")
        connection.table("other").write_parquet(str(folder / "other.parquet"))


@contextmanager
def small_disk(size: int) -> Iterator[None]:
    """No file may grow beyond a size, as if the disk were full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exporter waits for a held store but a moment."""
    monkeypatch.setattr("otelbudget.store.exporter._BUSY_SECONDS", 0.05)


@pytest.mark.usefixtures("impatient")
def test_store_and_waiting_batches_are_their_owners_alone(
    store_path: Path, make_span: MakeSpan
) -> None:
    before = os.umask(0)
    try:
        exporter = DuckDBSpanExporter(store_path)
        with held(store_path):
            assert exporter.export([make_span()]) is SUCCESS
    finally:
        os.umask(before)
    [batch] = spill.waiting(store_path)

    assert mode(store_path) == 0o600
    assert mode(spill.folder(store_path)) == 0o700
    assert mode(Path(batch)) == 0o600


@pytest.mark.parametrize("count", [1, 512])
def test_no_wal_lies_beside_the_store_while_it_is_written(
    count: int, store_path: Path, make_row: MakeRow
) -> None:
    connection = files.connect()
    files.create(connection, store_path)
    with files.attached(connection, store_path, read_only=False, timeout_seconds=1):
        appender = connection.appender("spans")
        appender.append_rows([make_row()] * count)
        appender.flush()

        assert [path.name for path in store_path.parent.iterdir()] == [store_path.name]


@pytest.mark.usefixtures("exporter")
def test_duckdb_1_can_read_the_store(store_path: Path) -> None:
    header = store_path.read_bytes()[:20]

    assert int.from_bytes(header[12:20], "little") == STORAGE_1_0


@pytest.mark.usefixtures("impatient")
def test_a_batch_waits_beside_a_held_store_and_the_next_flush_drains_it(
    exporter: SpanExporter, store_path: Path, make_span: MakeSpan, names: Names
) -> None:
    with held(store_path):
        assert exporter.export([make_span("a")]) is SUCCESS
        assert exporter.export([make_span("b")]) is SUCCESS
        assert len(spill.waiting(store_path)) == 2
    assert names(store_path) == ["a", "b"]
    assert exporter.export([make_span("c")]) is SUCCESS

    assert spill.waiting(store_path) == []
    assert names(store_path) == ["a", "b", "c"]


@pytest.mark.usefixtures("impatient")
def test_only_the_first_batch_waits_for_a_held_store(
    exporter: SpanExporter,
    store_path: Path,
    make_span: MakeSpan,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else the queue of the batch processor would fill while a DuckDB shell is open."""
    pauses: list[float] = []
    with held(store_path):
        exporter.export([make_span()])
        monkeypatch.setattr("otelbudget.store.files.time.sleep", pauses.append)
        exporter.export([make_span()])

    assert pauses == []


def test_what_is_no_batch_stays_out_of_the_store(
    exporter: SpanExporter, store_path: Path, make_span: MakeSpan, names: Names
) -> None:
    folder = spill.folder(store_path)
    folder.mkdir()
    (folder / "torn.parquet").write_bytes(b"PAR1 torn")
    (folder / "empty.parquet").touch()

    assert exporter.export([make_span("a")]) is SUCCESS
    assert names(store_path) == ["a"]


def test_parquet_of_others_stops_no_batch(
    exporter: SpanExporter,
    store_path: Path,
    make_span: MakeSpan,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = spill.folder(store_path)
    folder.mkdir()
    _write_other_parquet(folder)

    assert exporter.export([make_span()]) is SUCCESS
    assert exporter.export([make_span()]) is SUCCESS
    assert "other" in caplog.text
    assert len(caplog.records) == 1


def test_two_exporters_and_a_reader_of_one_process_take_turns(
    store_path: Path, make_span: MakeSpan, names: Names
) -> None:
    first, second = DuckDBSpanExporter(store_path), DuckDBSpanExporter(store_path)

    assert first.export([make_span("a")]) is SUCCESS
    assert second.export([make_span("b")]) is SUCCESS
    assert names(store_path) == ["a", "b"]
    assert first.export([make_span("c")]) is SUCCESS


def test_export_after_shutdown_fails(
    exporter: SpanExporter, make_span: MakeSpan, caplog: pytest.LogCaptureFixture
) -> None:
    exporter.shutdown()
    exporter.shutdown()

    assert exporter.export([make_span()]) is FAILURE
    assert exporter.export([make_span()]) is FAILURE
    assert [record.exc_info for record in caplog.records] == [None]


def test_a_full_disk_is_told_once_without_traceback_and_survived(
    exporter: SpanExporter,
    store_path: Path,
    make_span: MakeSpan,
    names: Names,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert exporter.export([make_span("before")]) is SUCCESS
    caplog.set_level(logging.ERROR)
    long = [make_span("lost", {str(i): os.urandom(50).hex() for i in range(100)})] * 100
    with small_disk(store_path.stat().st_size):
        assert exporter.export(long) is FAILURE
        assert exporter.export(long) is FAILURE
    assert [record.exc_info for record in caplog.records] == [None] * len(caplog.records)
    assert 1 <= len(caplog.records) <= 2
    assert exporter.export([make_span("later")]) is SUCCESS

    assert names(store_path) == ["before", "later"]


def test_a_handler_of_the_log_may_come_back_to_the_exporter(
    exporter: SpanExporter, make_span: MakeSpan
) -> None:
    results: list[SpanExportResult] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            results.append(exporter.export([make_span()]))

    exporter.shutdown()
    handler = Handler()
    logger = logging.getLogger("otelbudget")
    logger.addHandler(handler)
    try:
        exporter.export([make_span()])
    finally:
        logger.removeHandler(handler)

    assert results == [FAILURE]


def test_a_store_deleted_meanwhile_is_made_again(
    exporter: SpanExporter, store_path: Path, make_span: MakeSpan, names: Names
) -> None:
    exporter.export([make_span("a")])
    store_path.unlink()

    assert exporter.export([make_span("b")]) is SUCCESS
    assert names(store_path) == ["b"]
    assert mode(store_path) == 0o600


@pytest.mark.parametrize("name", ["it's", 'a"b', "env=prod", "g[1]*", "sp ace\n", "é", "x" * 200])
@pytest.mark.usefixtures("impatient")
def test_any_name_of_folder_and_file_will_do(
    name: str, tmp_path: Path, make_span: MakeSpan, names: Names
) -> None:
    path = tmp_path / name / name
    path.parent.mkdir()
    exporter = DuckDBSpanExporter(path)
    with held(path):
        assert exporter.export([make_span("a")]) is SUCCESS
    assert names(path) == ["a"]
    assert exporter.export([make_span("b")]) is SUCCESS

    assert names(path) == ["a", "b"]
    assert [found.name for found in path.parent.iterdir() if found.is_file()] == [name]


@pytest.mark.parametrize(
    "path",
    ["missing/traces.duckdb", "/proc/traces.duckdb", "a\0b", "\udce4.duckdb", "a?b/c.duckdb", "."],
    ids=ascii,
)
def test_a_store_that_cannot_be_made_is_one_sentence_and_leaves_nothing(
    path: str, tmp_path: Path
) -> None:
    (tmp_path / "a?b").mkdir()
    with pytest.raises(StoreError):
        DuckDBSpanExporter(tmp_path / path)

    assert [found for found in tmp_path.rglob("*") if found.name != "a?b"] == []


def other_version(path: Path) -> None:
    DuckDBSpanExporter(path).shutdown()
    with duckdb.connect(str(path)) as connection:
        connection.execute("update otelbudget_store set schema_version = 99")


def test_a_store_of_another_version_is_refused(store_path: Path) -> None:
    other_version(store_path)
    with pytest.raises(StoreVersionError, match="99") as exporting:
        DuckDBSpanExporter(store_path)
    with pytest.raises(StoreVersionError):
        Store().copy_from(store_path)

    assert (exporting.value.found, exporting.value.expected) == (99, files.SCHEMA_VERSION)


def test_a_database_of_others_is_refused(store_path: Path) -> None:
    duckdb.connect(str(store_path)).close()
    with pytest.raises(StoreError, match="no otelbudget store"):
        DuckDBSpanExporter(store_path)
    with pytest.raises(StoreError, match="no otelbudget store"):
        Store().copy_from(store_path)


def test_a_text_file_is_refused_and_left_alone(store_path: Path) -> None:
    store_path.write_text("spans")
    with pytest.raises(StoreError):
        DuckDBSpanExporter(store_path)

    assert store_path.read_text() == "spans"


def test_reading_a_missing_store_makes_none(store_path: Path) -> None:
    with pytest.raises(StoreError):
        Store().copy_from(store_path)

    assert not store_path.exists()


@pytest.mark.usefixtures("exporter")
def test_reading_a_held_store_gives_up_in_time(store_path: Path) -> None:
    with held(store_path), pytest.raises(StoreBusyError):
        Store().copy_from(store_path, timeout_seconds=0.1)


def test_saving_makes_a_store_and_adds_nothing_twice(
    store_path: Path, make_row: MakeRow, names: Names
) -> None:
    store = Store()
    store.append([make_row("a")])
    store.save(store_path)
    store.save(store_path)

    assert names(store_path) == ["a"]
    assert mode(store_path) == 0o600


def test_saving_that_fails_leaves_no_half_store(store_path: Path, make_row: MakeRow) -> None:
    store = Store()
    store.append([make_row("a", keep=True, text=os.urandom(100_000).hex()) for _ in range(20)])
    with small_disk(500_000), pytest.raises(StoreError):
        store.save(store_path)

    assert list(store_path.parent.iterdir()) == []


def test_saving_that_fails_leaves_a_store_as_it_was(
    store_path: Path, make_row: MakeRow, names: Names
) -> None:
    small, large = Store(), Store()
    small.append([make_row("a")])
    small.save(store_path)
    large.append([make_row("b", keep=True, text=os.urandom(100_000).hex()) for _ in range(20)])
    with small_disk(store_path.stat().st_size), pytest.raises(StoreError):
        large.save(store_path)

    assert names(store_path) == ["a"]


def test_a_copy_that_fails_adds_nothing(
    exporter: SpanExporter, store_path: Path, make_span: MakeSpan
) -> None:
    exporter.export([make_span()])
    folder = spill.folder(store_path)
    folder.mkdir()
    _write_other_parquet(folder)
    store = Store()
    with pytest.raises(StoreError):
        store.copy_from(store_path)

    assert store.count() == 0
