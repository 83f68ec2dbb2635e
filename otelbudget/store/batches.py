"""The rows of a large answer, a batch at a time."""

from typing import Any

import duckdb


class RowBatches:
    """Iterates over the rows of a query in batches of bounded size."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, size: int) -> None:
        self._cursor = cursor
        self._size = size

    def __iter__(self) -> "RowBatches":
        return self

    def __next__(self) -> list[tuple[Any, ...]]:
        rows = self._cursor.fetchmany(self._size)
        if not rows:
            self._cursor.close()
            raise StopIteration
        return rows
