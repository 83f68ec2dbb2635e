"""Parquet files: each row as the object that its columns name, for `shapes` to tell what it is."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from otelbudget.ingest.report import Reading
from otelbudget.store import files, sql

_BATCH_ROWS = 2_000
_TIMES = ("TIMESTAMP", "DATETIME")
_load = partial(sql.load, "otelbudget.ingest")


def rows(path: Path | None, chunks: Iterator[bytes], reading: Reading) -> Iterator[dict[str, Any]]:
    """The rows, times as unix nanoseconds; what cannot be read is told.

    Args:
        path: The file itself; None where there are only its bytes.
        chunks: Its bytes; all are taken.
        reading: Told where the file is damaged.
    """
    with ExitStack() as closing:
        folder = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="otelbudget-")))
        own = folder / "rows.parquet"  # a name without characters that DuckDB takes for a pattern
        if path is None:
            with own.open("wb") as file:
                file.writelines(chunks)
        else:
            own.symlink_to(path.absolute())
        connection = closing.enter_context(files.connect())
        try:
            yield from _rows(connection, own)
        except duckdb.Error as error:
            detail = str(error).partition("\n")[0].replace(str(own), reading.path)
            reading.unreadable("unreadable_parquet", f"cannot be read as Parquet ({detail})")
    for _ in chunks:
        pass  # so that all bytes count as read


def _rows(connection: duckdb.DuckDBPyConnection, path: Path) -> Iterator[dict[str, Any]]:
    table = connection.read_parquet(str(path))
    columns = [
        _readable(name, str(kind)) for name, kind in zip(table.columns, table.types, strict=True)
    ]
    names = table.columns
    table.project(*columns).create_view("table_rows")
    found = connection.execute(_load("select_table_rows"))
    while batch := found.fetchmany(_BATCH_ROWS):
        for values in batch:
            yield dict(zip(names, values, strict=True))


def _readable(name: str, kind: str) -> duckdb.Expression:
    """The column as Python takes it without loss: times as numbers, lists of them as texts."""
    column = duckdb.ColumnExpression(name)
    if not kind.startswith(_TIMES):
        return column
    return column.cast("VARCHAR[]").alias(name) if kind.endswith("[]") else _nanoseconds(name)


def _nanoseconds(name: str) -> duckdb.Expression:
    return duckdb.FunctionExpression("epoch_ns", duckdb.ColumnExpression(name)).alias(name)
