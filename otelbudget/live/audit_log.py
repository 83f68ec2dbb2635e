"""A file of JSON lines, written behind the application's back and never in its way."""

import os
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, RLock, Thread
from typing import Any

import msgspec

from otelbudget.errors import BudgetConfigError
from otelbudget.genai.times import rfc3339

MAX_WAITING = 8_192
_MAX_BATCH = 512
_CLOSE_SECONDS = 5.0

Facts = Mapping[str, Any]
_Record = tuple[int, str, Facts]

_encode = msgspec.json.Encoder(decimal_format="number").encode


class AuditLog:
    """Appends records to a file, as whole lines of JSON, from a thread of its own.

    The file is made for its owner alone (0600), and opened for each batch, so it may be moved away
    at any time. A batch is one write, so several processes may write to one file. Where it cannot be
    written the records are lost, which is told once.

    Args:
        path: The file; its folder must exist.
        tell: Called with a cause, a message and its arguments where something is to be told once.

    Attributes:
        lost: Records that were not written.

    Raises:
        BudgetConfigError: The folder does not exist, or the path is a folder.
    """

    def __init__(self, path: str | PathLike[str], tell: Callable[..., None]) -> None:
        self._path = Path(path).absolute()
        if not self._path.parent.is_dir():
            raise BudgetConfigError(
                f"is {str(path)!r}, and the folder {str(self._path.parent)!r} does not exist; make "
                "it, or name a file in another one",
                key="audit_log",
            )
        if self._path.is_dir():
            raise BudgetConfigError(
                f"is {str(path)!r}, which is a folder; name a file in it", key="audit_log"
            )
        self._tell = tell
        self._is_torn = False
        self._is_closed = False
        self.lost = 0
        self.renew_after_fork()

    def renew_after_fork(self) -> None:
        """Begin anew in a forked child: what waits is written by the parent, whose thread it has."""
        # Safe in a finalizer, which may run in the middle of any line of the same thread.
        self._waiting: SimpleQueue[_Record | Event | None] = SimpleQueue()
        self._lock = RLock()
        self._thread: Thread | None = None

    def write(self, at_ns: int, event: str, facts: Facts) -> None:
        """Have a record written soon; it is dropped where too many wait.

        Args:
            at_ns: When it happened, in unix ns.
            event: What happened.
            facts: What is known of it: text, whole numbers, Decimals, and mappings of them.
        """
        if self._is_closed:
            return
        if self._waiting.qsize() >= MAX_WAITING:
            self._lose(1, f"more than {MAX_WAITING} records wait to be written")
            return
        self._waiting.put((at_ns, event, facts))
        if self._thread is None:
            self._start()

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until everything is written that was told of until now; False where it takes longer."""
        if self._thread is None:
            return True
        done = Event()
        self._waiting.put(done)
        return done.wait(timeout_seconds)

    def close(self) -> None:
        """Write what waits, and nothing more."""
        self._is_closed = True
        thread = self._thread
        if thread is not None and thread.is_alive():
            self._waiting.put(None)
            thread.join(_CLOSE_SECONDS)

    def _start(self) -> None:
        with self._lock:
            if self._thread is not None:
                return
            self._thread = thread = Thread(
                target=self._serve, args=(self._waiting,), name="otelbudget-audit-log", daemon=True
            )
            try:
                thread.start()
            except RuntimeError:  # the interpreter is about to end
                self._thread = None
                self._write_waiting(self._waiting)

    def _serve(self, waiting: SimpleQueue[_Record | Event | None]) -> None:
        while self._write_batch(waiting, waiting.get()):
            pass

    def _write_waiting(self, waiting: SimpleQueue[_Record | Event | None]) -> None:
        while not waiting.empty():
            self._write_batch(waiting, waiting.get())

    def _write_batch(
        self, waiting: SimpleQueue[_Record | Event | None], first: _Record | Event | None
    ) -> bool:
        """Write a record and what waits behind it; False where that is the end."""
        batch = [first]
        while len(batch) < _MAX_BATCH and batch[-1] is not None:
            try:
                batch.append(waiting.get_nowait())
            except Empty:
                break
        records = [each for each in batch if isinstance(each, tuple)]
        try:
            self._append(b"".join(_line(record) for record in records))
        except Exception as error:  # noqa: BLE001 - the application must not notice
            self._lose(len(records), str(error))
        for each in batch:
            if isinstance(each, Event):
                each.set()
        return batch[-1] is not None

    def _append(self, lines: bytes) -> None:
        if not lines:
            return
        if self._is_torn:
            lines = b"\n" + lines
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        written = 0
        try:
            while written < len(lines):
                written += os.write(file, lines[written:])
        finally:
            # A disk that is full takes a part; what comes next begins on a line of its own.
            self._is_torn = 0 < written < len(lines) or (self._is_torn and not written)
            os.close(file)

    def _lose(self, count: int, reason: str) -> None:
        self.lost += count
        self._tell(
            "audit log",
            "The audit log %s cannot be kept whole: %s. What budgets do is not written there until "
            "that is mended, and calls go on; this is told once.",
            self._path,
            reason,
        )


def _line(record: _Record) -> bytes:
    at_ns, event, facts = record
    return _encode({"timestamp": rfc3339(at_ns), "event": event, **facts}) + b"\n"
