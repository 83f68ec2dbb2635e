"""Where price books lie: the packaged one, and the user's own that `prices refresh` writes."""

import gzip
import os
import warnings
from functools import cache
from importlib import resources
from pathlib import Path

import msgspec

from otelbudget.errors import OtelBudgetWarning
from otelbudget.pricing.records import SCHEMA, BookFile


class _Header(msgspec.Struct):
    schema: int


def decode_book(packed: bytes) -> BookFile:
    """A book from the bytes of its file.

    Raises:
        ValueError: They are no book, or one of another otelbudget.
    """
    try:
        text = gzip.decompress(packed)
        schema = msgspec.json.decode(text, type=_Header).schema
        if schema != SCHEMA:
            raise ValueError(f"has schema {schema}, this otelbudget reads {SCHEMA}")
        return msgspec.json.decode(text, type=BookFile)
    except (OSError, EOFError, msgspec.MsgspecError) as error:
        raise ValueError(f"is no price book: {error}") from error


def encode_book(book: BookFile) -> bytes:
    """The book as gzipped JSON with sorted keys and no time in the gzip header."""
    return gzip.compress(msgspec.json.encode(book, order="sorted"), compresslevel=9, mtime=0)


def user_book_path() -> Path:
    """The user's own price book, whether it is there or not."""
    cache_home = os.environ.get("XDG_CACHE_HOME")
    folder = Path(cache_home) if cache_home else Path.home() / ".cache"
    return folder / "otelbudget" / "prices.json.gz"


def packaged_file() -> BookFile:
    """The book that is part of otelbudget."""
    return decode_book(resources.files("otelbudget.pricing").joinpath("book.json.gz").read_bytes())


@cache
def newest_file() -> BookFile:
    """The user's own book where it is newer than the packaged one; read once per process."""
    packaged = packaged_file()
    try:
        path = user_book_path()
        own = decode_book(path.read_bytes())
    except (FileNotFoundError, RuntimeError):  # no such file; no home directory
        return packaged
    except (OSError, ValueError) as error:
        warnings.warn(
            f"{path} is not used: {error}; write it anew: budget-audit prices refresh",
            OtelBudgetWarning,
            stacklevel=2,
        )
        return packaged
    return own if own.compiled_on > packaged.compiled_on else packaged
