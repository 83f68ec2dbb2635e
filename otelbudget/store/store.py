"""A database of spans to ask questions of: filled from rows, or a store on disk as it is."""

import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from otelbudget.errors import StoreError
from otelbudget.store import files, kept, spill, spool, sql
from otelbudget.store.batches import RowBatches
from otelbudget.store.scratch import Scratch, scratch
from otelbudget.store.spans import SpanRow

_load = partial(sql.load, "otelbudget.store")
READ_TIMEOUT_SECONDS = 30.0
_LOADING_MEMORY = "200 MiB"
_USUAL_SPOOL_BYTES = 1 << 25
_IN_MEMORY = ":memory:"
_ANSWERING = "memory.main,cache.main,source.main"
_MAKING = "cache.main,source.main"


class Store:
    """Spans, what is made of them, and what is asked of both.

    Three databases are attached: `source` holds the spans, `cache` what is made of them once, and
    `memory`, where new tables go, what one question needs. A name without a database is looked for
    in `memory` first, so what stands there hides what the cache has by that name.

    Args:
        disk: A folder on a disk with room for databases that may be larger than memory; None holds
            them in memory.
        key: Secret of the hashes that stand for message content; a new one by default.
        file: A store on disk to open as it is, for reading, instead.
        timeout_seconds: How long to wait while another process holds that one.

    Attributes:
        temporary: A folder that is removed with the store.
        is_narrowed: Questions are about a part of the spans only.
    """

    def __init__(
        self,
        disk: Path | None = None,
        *,
        key: bytes | None = None,
        file: Path | None = None,
        timeout_seconds: float = READ_TIMEOUT_SECONDS,
    ) -> None:
        folder = Scratch(Path(tempfile.gettempdir()) if disk is None else disk)
        self.temporary = folder.path
        self._remove = weakref.finalize(self, folder.remove)
        self._folder = None if disk is None else self.temporary
        self._connection = files.connect()
        self._memory = files.bound(self._connection, self.temporary)
        self._path: Path | None = None
        self._kept: Path | None = None
        self._databases = _ANSWERING
        self.is_narrowed = False
        try:
            if file is None:
                self._make_source(key)
            else:
                self._attach_source(files.located(file), timeout_seconds)
        except BaseException:
            self.close()
            raise
        self._attach("cache", self._file("cache"))
        self._look_in(_ANSWERING)

    @classmethod
    def of(cls, path: Path, *, timeout_seconds: float = READ_TIMEOUT_SECONDS) -> "Store":
        """A store on disk as it is, open for reading: until it is closed, nobody can write it.

        What waits beside it is not among its spans: see `spill.take_in`.

        Raises:
            StoreError: It is no store of this version, or was held for longer than the timeout.
        """
        return cls(file=path, timeout_seconds=timeout_seconds)

    @classmethod
    def beside(cls, path: Path, *, timeout_seconds: float = READ_TIMEOUT_SECONDS) -> "Store":
        """An empty store on the disk of another one, which its spans are meant for.

        Args:
            path: The other one, with `save` to come; it may not exist yet.
            timeout_seconds: How long to wait while another process holds it.

        Raises:
            StoreError: It is no store of this version, was held for longer than the timeout, or is
                in a folder that cannot be written.
        """
        path = files.located(path)
        key = None
        if path.exists():
            connection = files.connect()
            with files.attached(
                connection, path, read_only=True, timeout_seconds=timeout_seconds
            ) as found:
                key = found
            connection.close()
        try:
            return cls(path.parent, key=key)
        except OSError as error:
            raise StoreError(str(path), f"cannot be made: {files.reason(error)}") from error

    def _file(self, name: str) -> str:
        return _IN_MEMORY if self._folder is None else str(self._folder / name)

    def _attach(self, name: str, file: str, options: str = "read_write") -> None:
        files.attach(self._connection, file, name=name, options=options)

    def _make_source(self, key: bytes | None) -> None:
        self._attach("source", self._file("source"), f"storage_version '{files.STORAGE_VERSION}'")
        self._connection.execute("use source")
        files.fill_new(self._connection, key)

    def _attach_source(self, path: Path, timeout_seconds: float) -> None:
        files.attach_in_turn(
            self._connection, path, read_only=True, timeout_seconds=timeout_seconds, name="source"
        )
        self._connection.execute("use source")
        files.content_key(self._connection, path)
        self._path = path

    def _look_in(self, databases: str) -> None:
        self._databases = databases
        self._connection.execute(f"set search_path = '{databases}'")

    def close(self) -> None:
        """Let go of everything."""
        self._connection.close()
        self._remove()

    def content_key(self) -> bytes:
        """The secret of the hashes that stand for message content in this store."""
        with self._as_it_was():
            self._connection.execute("use source")
            return files.content_key(self._connection, Path(self._file("source")))

    def append(self, rows: Sequence[SpanRow]) -> None:
        """Add spans."""
        with tempfile.NamedTemporaryFile(dir=self.temporary) as file:
            spool.write(file, rows)  # type: ignore[arg-type]
            file.flush()
            self.load(Path(file.name))

    def begin(self) -> None:
        """Let what is added wait for `commit`: a file is then written once, not after each `load`."""
        if self._folder is not None:
            files.limit_memory(self._connection, _LOADING_MEMORY)
        self._connection.begin()

    def commit(self) -> None:
        """Keep what was added since `begin`.

        Raises:
            StoreError: There is no room for it.
        """
        try:
            self._connection.commit()
        except duckdb.Error as error:
            reason = files.reason(error)
            raise StoreError(self._file("source"), f"cannot be written: {reason}") from error

    def load(self, file: Path) -> None:
        """Add the spans of a spool file.

        Raises:
            StoreError: There is no room for them.
        """
        size = file.stat().st_size
        if size > _USUAL_SPOOL_BYTES:
            files.limit_memory(self._connection, self._memory)
        try:
            self._connection.execute(
                _load("insert_spooled_spans"),
                {
                    "file": str(file),
                    "separator": spool.SEPARATOR,
                    "quote": spool.QUOTE,
                    "null": spool.NULL,
                    "largest_line": max(size, 1),
                },
            )
        except duckdb.Error as error:
            raise StoreError(
                self._file("source"), f"cannot be written: {files.reason(error)}"
            ) from error

    def take_back(self, count: int) -> None:
        """Remove the spans that were added last."""
        self._connection.execute(_load("delete_last_spans"), {"count": count})

    def copy_from(self, path: Path, *, timeout_seconds: float = READ_TIMEOUT_SECONDS) -> int:
        """Add the spans of a store on disk, those that still wait beside it included.

        Returns:
            How many rows were added.

        Raises:
            StoreError: It is no store of this version, or was held for longer than the timeout.
        """
        before = self.count()
        path = files.located(path)
        with (
            self._as_it_was(),
            files.attached(self._connection, path, read_only=True, timeout_seconds=timeout_seconds),
            files.transaction(self._connection),
        ):
            self._connection.execute(_load("copy_spans"))
            spill.copy(self._connection, path)
        return self.count() - before

    def save(self, path: Path, *, timeout_seconds: float = READ_TIMEOUT_SECONDS) -> int:
        """Add the spans to a store on disk, all or none; it is made where there is none.

        A span that the store has in just this form is not added again.

        Returns:
            How many spans were added.

        Raises:
            StoreError: It cannot be written, or was held for longer than the timeout.
        """
        path = files.located(path)
        count = self.count()
        with self._as_it_was():
            if self._publish(path) or files.create(
                self._connection, path, fill=_load("save_spans")
            ):
                return count
            with files.attached(
                self._connection, path, read_only=False, timeout_seconds=timeout_seconds
            ):
                ((added,),) = self._connection.execute(_load("save_new_spans")).fetchall()
        return int(added)

    @contextmanager
    def _as_it_was(self) -> Iterator[None]:
        """Look for names where they were looked for before the block, which may look elsewhere."""
        try:
            yield
        finally:
            self._look_in(self._databases)

    def _publish(self, path: Path) -> bool:
        """Let the file of the source itself be the store, where that can be."""
        if self._folder is None or path.exists():
            return False
        self._connection.execute("use memory")
        self._connection.execute("detach source")
        try:
            with suppress(OSError):  # another file system: then it is copied
                return files.publish(self._folder / "source", path)
            return False
        finally:
            self._attach("source", self._file("source"), "read_only")

    def make_once(self, made_by: Callable[[], str], make: Callable[[], None]) -> None:
        """Make tables and views of the spans, unless those of an earlier run are kept.

        Large stores on disk keep them in a file beside them, where its folder can be written.

        Args:
            made_by: Gives what changes whenever what is made of the same spans would.
            make: Makes them, by statements on this store.
        """
        if self._path is None or self.count() < kept.FROM_SPANS:
            self._make(make)
            return
        path, stamp = self._path, kept.stamp(self._path, made_by())
        if self._attach_kept(path, stamp):
            return
        with ExitStack() as using:
            folder = None
            with suppress(OSError):
                folder = using.enter_context(scratch(path.parent))
            self._replace_cache(_IN_MEMORY if folder is None else str(folder / "cache"))
            self._make(make)
            if folder is not None:
                kept.write_stamp(self._connection, stamp)
                self._replace_cache(_IN_MEMORY)
                try:
                    kept.publish(folder / "cache", kept.file(path))
                except OSError:  # something else has its name: what was made is asked where it is
                    self._replace_cache(str(folder / "cache"), "read_only")
                else:
                    self._attach_kept(path, stamp)

    def _make(self, make: Callable[[], None]) -> None:
        files.limit_memory(self._connection, self._memory)
        self._look_in(_MAKING)
        try:
            make()
        finally:
            self._look_in(_ANSWERING)

    def _replace_cache(self, file: str, options: str = "read_write") -> None:
        self._connection.execute("use memory")
        self._connection.execute("detach cache")
        self._attach("cache", file, options)
        self._look_in(self._databases)

    def _attach_kept(self, path: Path, stamp: str) -> bool:
        """Take what an earlier run made of a store, where it is right."""
        file = kept.file(path)
        if not file.exists():
            return False
        try:
            self._replace_cache(str(file), "read_only")
        except duckdb.Error:  # another run is writing it, or it is damaged
            self._attach("cache", _IN_MEMORY)
            self._look_in(self._databases)
            return False
        if kept.has_stamp(self._connection, stamp):
            self._kept = file
            return True
        self._replace_cache(_IN_MEMORY)
        return False

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Tables made in the block stay for later runs, where the store keeps any.

        Not where the question is about a part of the spans only, or where another run is reading
        what is kept: then they are made for this one.
        """
        if self._kept is None or self.is_narrowed:
            yield
            return
        try:
            self._replace_cache(str(self._kept))
        except duckdb.Error:
            self._attach("cache", str(self._kept), "read_only")
            self._look_in(self._databases)
            yield
            return
        self._look_in(_MAKING)
        try:
            yield
        finally:
            self._databases = _ANSWERING
            self._replace_cache(str(self._kept), "read_only")

    def count(self) -> int:
        """How many rows there are."""
        (count,) = self.row(_load("count_spans"))
        return int(count)

    def execute(self, statement: str, parameters: dict[str, Any] | None = None) -> None:
        """Run a statement that gives no rows."""
        self._connection.execute(statement, parameters)

    def rows(
        self, statement: str, parameters: dict[str, Any] | None = None
    ) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        return self._connection.execute(statement, parameters).fetchall()

    def row(self, statement: str, parameters: dict[str, Any] | None = None) -> tuple[Any, ...]:
        """The only row of a query."""
        (row,) = self.rows(statement, parameters)
        return row

    def batches(
        self, statement: str, size: int = 10_000, parameters: dict[str, Any] | None = None
    ) -> RowBatches:
        """The rows of a query in batches, while other statements run beside it."""
        cursor = files.cursor(self._connection)
        cursor.execute(f"set search_path = '{self._databases}'")
        return RowBatches(cursor.execute(statement, parameters), size)

    def relation(
        self, query: str, parameters: dict[str, Any] | None = None
    ) -> duckdb.DuckDBPyRelation:
        """A query as a relation of DuckDB, which is run when its rows are taken."""
        return self._connection.sql(query, params=parameters)

    def fill(self, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Add rows to a table."""
        if rows:
            appender = self._connection.appender(table)
            appender.append_rows(rows)
            appender.flush()
