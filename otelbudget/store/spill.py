"""Where batches wait while another process holds the store: Parquet files beside it."""

import os
import secrets
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import duckdb

from otelbudget.errors import StoreError
from otelbudget.store import files, sql
from otelbudget.store.spans import SpanRow

_load = partial(sql.load, "otelbudget.store")
_MAGIC = b"PAR1"


def folder(store: Path) -> Path:
    """The folder of a store's waiting batches."""
    return store.with_name(store.name + ".spill")


def waiting(store: Path) -> list[str]:
    """The batches that wait, the oldest first."""
    return sorted(str(path) for path in folder(store).glob("*.parquet") if _is_whole(path))


def _is_whole(path: Path) -> bool:
    """Whether a file is Parquet to its end; a batch of ours always is."""
    with suppress(OSError), path.open("rb") as file:
        file.seek(-len(_MAGIC), os.SEEK_END)
        return file.read() == _MAGIC
    return False


def write(connection: duckdb.DuckDBPyConnection, store: Path, rows: list[SpanRow]) -> None:
    """Put a batch aside; when this returns, it is on disk.

    Raises:
        OSError: The folder cannot be written.
        duckdb.Error: The file cannot be written.
    """
    directory = folder(store)
    directory.mkdir(mode=0o700, exist_ok=True)
    name = f"{time.time_ns():020d}-{secrets.token_hex(8)}"
    unfinished = directory / f"{name}.new"
    connection.execute("create or replace temp table batch as from spans limit 0")
    try:
        appender = connection.appender("batch")
        appender.append_rows(rows)
        appender.flush()
        connection.table("batch").write_parquet(str(unfinished), compression="zstd")
        unfinished.chmod(0o600)
        _sync(unfinished)
        unfinished.rename(directory / f"{name}.parquet")
    finally:
        connection.execute("drop table if exists batch")
        unfinished.unlink(missing_ok=True)


def copy(connection: duckdb.DuckDBPyConnection, store: Path) -> None:
    """Add the waiting batches of the attached store to the spans in memory.

    Only who has the store attached for writing drains them, so none disappears meanwhile.
    """
    files = waiting(store)
    if files:
        connection.execute(_load("copy_waiting_spans"), {"files": files})


def drain(connection: duckdb.DuckDBPyConnection, store: Path) -> None:
    """Move the waiting batches into the store, which is attached for writing.

    Raises:
        duckdb.Error: One of them cannot be read, or the store cannot be written.
    """
    files = waiting(store)
    if files:
        connection.execute(_load("insert_waiting_spans"), {"files": files})
        for file in files:
            Path(file).unlink(missing_ok=True)


def take_in(store: Path, *, timeout_seconds: float = 0) -> bool:
    """Move what waits beside a store into it, where nobody is using it just now.

    Returns:
        Whether nothing waits any more.
    """
    store = files.located(store)
    if waiting(store):
        connection = files.connect()
        with (
            suppress(StoreError, OSError),  # then it is to be copied
            files.attached(connection, store, read_only=False, timeout_seconds=timeout_seconds),
        ):
            drain(connection, store)
        connection.close()
    return not waiting(store)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
