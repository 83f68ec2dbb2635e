"""A database of spans to ask questions of: filled from rows or from stores, held in memory."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from otelbudget.store import files, spill, sql
from otelbudget.store.spans import SpanRow

_load = partial(sql.load, "otelbudget.store")
READ_TIMEOUT_SECONDS = 30.0


class Store:
    """Spans in memory, with what is asked of them.

    Stores on disk are copied into it: a file is held only while that takes, so that the
    application that writes it goes on.
    """

    def __init__(self) -> None:
        self._connection = files.connect()
        self._connection.execute(_load("create_spans"))

    def close(self) -> None:
        """Let go of everything."""
        self._connection.close()

    def append(self, rows: Sequence[SpanRow]) -> None:
        """Add spans."""
        self.fill("spans", rows)

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
            files.attached(self._connection, path, read_only=True, timeout_seconds=timeout_seconds),
            files.transaction(self._connection),
        ):
            self._connection.execute(_load("copy_spans"))
            spill.copy(self._connection, path)
        return self.count() - before

    def save(self, path: Path, *, timeout_seconds: float = READ_TIMEOUT_SECONDS) -> None:
        """Add all spans to a store on disk, all or none; it is made where there is none.

        Raises:
            StoreError: It cannot be written, or was held for longer than the timeout.
        """
        path = files.located(path)
        if files.create(self._connection, path, fill=_load("save_spans")):
            return
        with files.attached(
            self._connection, path, read_only=False, timeout_seconds=timeout_seconds
        ):
            self._connection.execute(_load("save_spans"))

    def count(self) -> int:
        """How many rows there are."""
        row = self.row(_load("count_spans"))
        return int(row[0])

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

    def batches(self, statement: str, size: int = 10_000) -> "RowBatches":
        """The rows of a query in batches, while other statements run beside it."""
        return RowBatches(files.cursor(self._connection), statement, size)

    def fill(self, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Add rows to a table."""
        if rows:
            appender = self._connection.appender(table)
            appender.append_rows(rows)
            appender.flush()


class RowBatches:
    """Iterates over the rows of a query in batches of bounded size."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, statement: str, size: int) -> None:
        self._cursor = cursor.execute(statement)
        self._size = size

    def __iter__(self) -> "RowBatches":
        return self

    def __next__(self) -> list[tuple[Any, ...]]:
        rows = self._cursor.fetchmany(self._size)
        if not rows:
            self._cursor.close()
            raise StopIteration
        return rows
