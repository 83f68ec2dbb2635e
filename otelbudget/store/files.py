"""Files of a store: attached only while they are used, so that processes can take turns."""

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import duckdb

from otelbudget.errors import StoreBusyError, StoreError, StoreVersionError
from otelbudget.store import sql

SCHEMA_VERSION = 1
STORAGE_VERSION = "v1.0.0"  # what DuckDB 1.0 to 1.5 and the Grafana plugin can open
_CONTENT_KEY_BYTES = 32
_MAGIC = (8, b"DUCK")
_FIRST_WAIT_SECONDS = 0.01
_LONGEST_WAIT_SECONDS = 0.25

_load = partial(sql.load, "otelbudget.store")


def connect() -> duckdb.DuckDBPyConnection:
    """A connection with an empty database in memory that never reaches for the network."""
    return duckdb.connect(
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "wal_autocheckpoint": "1KB",  # commit straight into the file: no WAL file beside it
        }
    )


def is_store(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a DuckDB database, by its magic bytes."""
    offset, magic = _MAGIC
    try:
        with Path(path).open("rb") as file:
            return file.read(offset + len(magic))[offset:] == magic
    except OSError:
        return False


def create(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Make an empty store that only its owner can read, unless there is a file already.

    Raises:
        StoreError: The folder cannot be written.
    """
    if path.exists():
        return
    made = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    try:
        _attach(connection, made, read_only=False)
        try:
            connection.execute(_load("create_meta"))
            connection.execute(
                _load("insert_meta"),
                {
                    "schema_version": SCHEMA_VERSION,
                    "content_key": secrets.token_bytes(_CONTENT_KEY_BYTES),
                },
            )
            connection.execute(_load("create_spans"))
        finally:
            _detach(connection)
        made.chmod(0o600)
        os.link(made, path)  # fails where another process made the store meanwhile: then it is used
    except FileExistsError:
        return
    except (OSError, duckdb.Error) as error:
        raise StoreError(str(path), f"cannot be made: {_reason(error)}") from error
    finally:
        made.unlink(missing_ok=True)


@contextmanager
def attached(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    *,
    read_only: bool,
    timeout_seconds: float,
) -> Iterator[bytes]:
    """Attach a store as the current database for as long as the block runs.

    Args:
        connection: From `connect`.
        path: The store's file.
        read_only: Open it for reading only.
        timeout_seconds: How long to wait, with growing pauses, while another process holds it.

    Yields:
        The store's content key.

    Raises:
        StoreBusyError: It was held for longer.
        StoreVersionError: Another version wrote it.
        StoreError: It is no store.
    """
    _attach_in_turn(connection, path, read_only=read_only, timeout_seconds=timeout_seconds)
    try:
        yield _content_key(connection, path)
    finally:
        _detach(connection)


def _attach_in_turn(
    connection: duckdb.DuckDBPyConnection, path: Path, *, read_only: bool, timeout_seconds: float
) -> None:
    deadline = time.monotonic() + timeout_seconds
    wait = _FIRST_WAIT_SECONDS
    while True:
        try:
            return _attach(connection, path, read_only=read_only)
        except duckdb.IOException as error:
            if "Could not set lock" not in str(error):
                raise StoreError(str(path), f"cannot be opened: {_reason(error)}") from error
            if time.monotonic() >= deadline:
                raise StoreBusyError(
                    str(path),
                    f"was held by another process for {timeout_seconds:g} s; "
                    "close the other DuckDB session and try again",
                ) from error
        except duckdb.Error as error:
            raise StoreError(str(path), f"cannot be opened: {_reason(error)}") from error
        time.sleep(wait)
        wait = min(2 * wait, _LONGEST_WAIT_SECONDS)


def _attach(connection: duckdb.DuckDBPyConnection, path: Path, *, read_only: bool) -> None:
    # ATTACH takes no bound parameters: the name is quoted as SQL asks, quotes doubled.
    quoted = str(path).replace("'", "''")
    options = "read_only" if read_only else f"storage_version '{STORAGE_VERSION}'"
    connection.execute(f"attach '{quoted}' as store ({options})")
    connection.execute("use store")


def _detach(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("use memory")
    connection.execute("detach store")


def _content_key(connection: duckdb.DuckDBPyConnection, path: Path) -> bytes:
    try:
        row = connection.execute(_load("read_meta")).fetchone()
    except duckdb.Error as error:
        raise StoreError(
            str(path), "is a DuckDB file but no otelbudget store: it has no table otelbudget_store"
        ) from error
    version, key = row if row is not None else (0, b"")
    if version != SCHEMA_VERSION:
        raise StoreVersionError(str(path), found=int(version), expected=SCHEMA_VERSION)
    return bytes(key)


def _reason(error: Exception) -> str:
    """The first line of an error of DuckDB or the system, without its path-laden rest."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.splitlines()[0].split()) if text else type(error).__name__
