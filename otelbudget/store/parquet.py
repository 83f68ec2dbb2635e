"""The spans of a store as a Parquet file of our schema."""

import shutil
from functools import partial
from pathlib import Path

import duckdb

from otelbudget.errors import StoreError
from otelbudget.store import files, sql
from otelbudget.store.store import Store

_load = partial(sql.load, "otelbudget.store")


def write(store: Store, folder: Path) -> Path:
    """Write all spans to a file whose name tells its content, so writing them again adds nothing.

    Args:
        store: The spans.
        folder: Where the file goes; made where there is none.

    Returns:
        The file, which only its owner can read.

    Raises:
        StoreError: The folder cannot be written.
    """
    (name,) = store.row(_load("name_spans"))
    made = folder / f"spans-{name}.parquet"
    unfinished = store.temporary / made.name
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        store.relation(_load("all_spans")).write_parquet(str(unfinished), compression="zstd")
        unfinished.chmod(0o600)
        shutil.move(unfinished, made)
    except (OSError, duckdb.Error) as error:
        raise StoreError(str(made), f"cannot be written: {files.reason(error)}") from error
    return made
