"""What an audit made of a store's spans, kept beside it for the next one.

The file `.NAME.audit` beside a store `NAME` is a cache: it is made anew where the store, the prices
or this program have changed, and it may be deleted at any time.
"""

from functools import partial
from pathlib import Path

import duckdb

from otelbudget.store import sql

_load = partial(sql.load, "otelbudget.store")
FROM_SPANS = 100_000


def file(store: Path) -> Path:
    """Where what was made of a store is kept."""
    return store.with_name(f".{store.name}.audit")


def stamp(store: Path, made_by: str) -> str:
    """What a kept file must say for its content to be right: what made it, from which spans."""
    facts = store.stat()
    return f"{made_by} {facts.st_size} {facts.st_mtime_ns}"


def write_stamp(connection: duckdb.DuckDBPyConnection, text: str) -> None:
    """Say in the attached cache what it was made of and by."""
    connection.execute(_load("create_stamp"), {"stamp": text})


def has_stamp(connection: duckdb.DuckDBPyConnection, text: str) -> bool:
    """Whether the attached cache was made of these spans by this program."""
    try:
        return connection.execute(_load("read_stamp")).fetchall() == [(text,)]
    except duckdb.Error:
        return False


def publish(made: Path, kept: Path) -> None:
    """Let a complete file take the place of an older one, for its owner only.

    Raises:
        OSError: The folder cannot be written.
    """
    made.chmod(0o600)
    made.replace(kept)
