"""Files of a store: attached only while they are used, so that processes can take turns."""

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import duckdb

from otelbudget.errors import StoreBusyError, StoreError, StoreVersionError
from otelbudget.store import sql
from otelbudget.store.scratch import scratch

SCHEMA_VERSION = 1
STORAGE_VERSION = "v1.0.0"  # what DuckDB 1.0 to 1.5 and the Grafana plugin can open
_CONTENT_KEY_BYTES = 32
_MOST_GIB = 3
_LARGE_UNITS = ("GiB", "TiB", "PiB")
_MAGIC = (8, b"DUCK")
_FIRST_WAIT_SECONDS = 0.01
_LONGEST_WAIT_SECONDS = 0.25

_load = partial(sql.load, "otelbudget.store")


def connect() -> duckdb.DuckDBPyConnection:
    """A connection with an empty database in memory that never reaches for the network."""
    connection = duckdb.connect(
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "wal_autocheckpoint": "0KB",  # commit straight into the file: no WAL file beside it
            "temp_directory": "",  # else a folder in the current one, whatever that is
        }
    )
    return _without_progress(connection)


def bound(connection: duckdb.DuckDBPyConnection, folder: Path) -> str:
    """Let a connection take 3 GiB of memory at most, less on a small machine, and a folder beyond.

    Returns:
        How much it may take, such as "3 GiB".
    """
    connection.execute("set temp_directory = $folder", {"folder": str(folder)})
    [(usual,)] = connection.execute(_load("read_memory_limit")).fetchall()
    number, unit = str(usual).split()
    is_small = unit not in _LARGE_UNITS or (unit == "GiB" and float(number) <= _MOST_GIB)
    memory = str(usual) if is_small else f"{_MOST_GIB} GiB"
    limit_memory(connection, memory)
    return memory


def limit_memory(connection: duckdb.DuckDBPyConnection, memory: str) -> None:
    """Let a connection take so much memory at most, such as "200 MiB"."""
    connection.execute("set memory_limit = $memory", {"memory": memory})


def cursor(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """A second connection to the same databases."""
    return _without_progress(connection.cursor())


def _without_progress(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    connection.execute("set enable_progress_bar = false")  # it would land in an answer
    return connection


def located(path: str | os.PathLike[str]) -> Path:
    """The absolute path of a store's file, links followed, so that all its users agree on it.

    Raises:
        StoreError: DuckDB cannot open a file of that name.
    """
    try:
        real = os.path.realpath(path)
        real.encode()
    except ValueError as error:
        name = os.fspath(path).encode(errors="backslashreplace").decode()
        raise StoreError(name, "is no name for a file; use UTF-8 text without NUL") from error
    return Path(real)


def is_store(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a DuckDB database, by its magic bytes."""
    offset, magic = _MAGIC
    try:
        with Path(path).open("rb") as file:
            return file.read(offset + len(magic))[offset:] == magic
    except OSError:
        return False


def create(connection: duckdb.DuckDBPyConnection, path: Path, *, fill: str | None = None) -> bool:
    """Make a store that only its owner can read, unless there is a file already.

    It is made in a folder of its own and appears under its name when it is complete.

    Args:
        connection: From `connect`.
        path: The store's file, from `located`.
        fill: Statement that fills the store; None leaves it empty.

    Returns:
        Whether the store was made here.

    Raises:
        StoreError: The folder cannot be written.
    """
    if path.exists():
        return False
    try:
        with scratch(path.parent) as folder:
            made = folder / "store"
            attach(connection, str(made), options=f"storage_version '{STORAGE_VERSION}'")
            connection.execute("use store")
            try:
                fill_new(connection)
                if fill is not None:
                    connection.execute(fill)
            finally:
                _detach(connection)
            return publish(made, path)
    except (OSError, duckdb.Error) as error:
        raise StoreError(str(path), f"cannot be made: {reason(error)}") from error


def fill_new(connection: duckdb.DuckDBPyConnection, key: bytes | None = None) -> None:
    """Make the tables of a store in the current database.

    Args:
        connection: From `connect`.
        key: Secret of the hashes that stand for content, 32 bytes; a new one by default.
    """
    connection.execute(_load("create_meta"))
    connection.execute(
        _load("insert_meta"),
        {
            "schema_version": SCHEMA_VERSION,
            "content_key": key or secrets.token_bytes(_CONTENT_KEY_BYTES),
        },
    )
    connection.execute(_load("create_spans"))


def publish(made: Path, path: Path) -> bool:
    """Let a complete file, which nobody has open, appear under its name, for its owner only.

    Returns:
        False where a file of that name has appeared meanwhile; that one is kept.

    Raises:
        OSError: The folder cannot be written.
    """
    made.chmod(0o600)
    try:
        os.link(made, path)
    except FileExistsError:
        return False
    return True


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
        path: The store's file, from `located`.
        read_only: Open it for reading only.
        timeout_seconds: How long to wait, with growing pauses, while another process, or another
            connection of this one, holds it.

    Yields:
        The store's content key.

    Raises:
        StoreBusyError: It was held for longer.
        StoreVersionError: Another version wrote it.
        StoreError: It is no store, or the block failed with an error of DuckDB.
    """
    attach_in_turn(connection, path, read_only=read_only, timeout_seconds=timeout_seconds)
    try:
        try:
            connection.execute("use store")
            yield content_key(connection, path)
        finally:
            _detach(connection)
    except duckdb.Error as error:
        raise StoreError(str(path), f"cannot be used: {reason(error)}") from error


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Commit what the block does, all of it or, when it raises, nothing."""
    connection.begin()
    try:
        yield
        connection.commit()
    except BaseException:
        with suppress(duckdb.Error):  # a commit that fails has ended the transaction itself
            connection.rollback()
        raise


def attach_in_turn(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    *,
    read_only: bool,
    timeout_seconds: float,
    name: str = "store",
) -> None:
    """Attach a file by a name; it stays attached, and the current database is what it was.

    Args:
        connection: From `connect`.
        path: The file, from `located`.
        read_only: Open it for reading only.
        timeout_seconds: How long to wait, with growing pauses, while another process, or another
            connection of this one, holds it.
        name: What it is called in statements.

    Raises:
        StoreBusyError: It was held for longer.
        StoreError: It is no DuckDB database.
    """
    deadline = time.monotonic() + timeout_seconds
    wait = _FIRST_WAIT_SECONDS
    while True:
        try:
            return attach(
                connection,
                str(path),
                name=name,
                options="read_only" if read_only else "read_write",
            )
        except duckdb.Error as error:
            if not _is_held(error):
                why = _no_database(path) or reason(error)
                raise StoreError(str(path), f"cannot be opened: {why}") from error
            if time.monotonic() >= deadline:
                raise StoreBusyError(
                    str(path),
                    f"was held by another DuckDB session for {timeout_seconds:g} s; "
                    "close it and try again",
                ) from error
        time.sleep(wait)
        wait = min(2 * wait, _LONGEST_WAIT_SECONDS)


def _no_database(path: Path) -> str | None:
    """What is said of a file that DuckDB did not write; None of any other."""
    is_readable = path.is_file() and os.access(path, os.R_OK)
    return "it is no DuckDB file; name another" if is_readable and not is_store(path) else None


def _is_held(error: duckdb.Error) -> bool:
    """Whether another process, or another connection of this process, has the file."""
    return isinstance(error, duckdb.ResourceInUseException) or "Could not set lock" in str(error)


def attach(
    connection: duckdb.DuckDBPyConnection,
    path: str,
    *,
    name: str = "store",
    options: str = "read_write",
) -> None:
    """Attach a file, or ":memory:", by a name that is free."""
    # ATTACH takes no bound parameters: the path is quoted as SQL asks, quotes doubled.
    quoted = path.replace("'", "''")
    connection.execute(f"attach '{quoted}' as {name} ({options})")


def _detach(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("use memory")
    connection.execute("detach store")


def content_key(connection: duckdb.DuckDBPyConnection, path: Path) -> bytes:
    """The content key of the store that is the current database.

    Raises:
        StoreVersionError: Another version wrote it.
        StoreError: It is no store.
    """
    try:
        rows = connection.execute(_load("read_meta")).fetchall()
    except duckdb.Error as error:
        raise StoreError(
            str(path), "is a DuckDB file but no otelbudget store: it has no table otelbudget_store"
        ) from error
    version, key = rows[0] if rows else (0, b"")
    if version != SCHEMA_VERSION:
        raise StoreVersionError(str(path), found=int(version), expected=SCHEMA_VERSION)
    return bytes(key)


def reason(error: Exception) -> str:
    """The first line of an error of DuckDB or the system, without its path-laden rest."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.splitlines()[0].split()) if text else type(error).__name__
