"""Folders for what is not finished; those of processes that were killed are removed by the next.

Each holds a file that its process keeps locked: where the lock is free, nobody uses the folder.
"""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    from fcntl import LOCK_EX, LOCK_NB, flock
except ImportError:  # Windows: the folder of a killed process stays
    flock = None  # type: ignore[assignment]

_BEGINNING = ".otelbudget-"
_LOCK = "lock"


class Scratch:
    """A new folder that only its owner can read, in use until it is removed.

    Args:
        parent: The folder in which it is made.

    Attributes:
        path: The folder.

    Raises:
        OSError: The parent cannot be written.
    """

    def __init__(self, parent: Path) -> None:
        remove_left(parent)
        self.path = parent / f"{_BEGINNING}{secrets.token_hex(8)}"
        self.path.mkdir(mode=0o700)
        self._lock: int | None = None
        if flock is not None:
            self._lock = os.open(self.path / "new", os.O_CREAT | os.O_WRONLY, 0o600)
            with suppress(OSError):  # a file system without locks
                flock(self._lock, LOCK_EX | LOCK_NB)
                (self.path / "new").rename(self.path / _LOCK)  # it is never seen without its lock

    def remove(self) -> None:
        """Remove it with all that it holds."""
        shutil.rmtree(self.path, ignore_errors=True)
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)


@contextmanager
def scratch(parent: Path) -> Iterator[Path]:
    """A folder for as long as the block runs.

    Raises:
        OSError: The parent cannot be written.
    """
    folder = Scratch(parent)
    try:
        yield folder.path
    finally:
        folder.remove()


def remove_left(parent: Path) -> None:
    """Remove the folders in a folder whose processes have gone without doing so."""
    if flock is None:
        return
    with suppress(OSError):
        for folder in parent.glob(f"{_BEGINNING}*"):
            _remove_unused(folder)


def _remove_unused(folder: Path) -> None:
    with suppress(OSError):  # it is in use, somebody else's, or gone meanwhile
        if folder.is_symlink() or folder.stat().st_uid != os.getuid():
            return
        lock = os.open(folder / _LOCK, os.O_WRONLY | os.O_NOFOLLOW)
        try:
            flock(lock, LOCK_EX | LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)
