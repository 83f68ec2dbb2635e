"""Processes that read parts of files, so that reading uses all cores."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import IO, cast

import msgspec

from otelbudget.ingest.lines import Part, spool_part
from otelbudget.store.spans import Content


class Task(msgspec.Struct, frozen=True):
    """What one worker does at a time.

    Attributes:
        part: Part of a file.
        to: The spool file to write.
    """

    part: Part
    to: str


class Done(msgspec.Struct, frozen=True):
    """What came of a task.

    Attributes:
        task: The task.
        spans: Spans written; None where the file must be read otherwise.
    """

    task: Task
    spans: int | None


class _Order(msgspec.Struct, frozen=True):
    """The first line that a worker reads; tasks follow."""

    key: bytes
    keep: bool


class _Worker:
    """One process. It is started by name, so the caller's own program need not be importable."""

    def __init__(self, order: _Order) -> None:
        command = [sys.executable, "-c", f"from {__name__} import work; work()"]
        self._process = subprocess.Popen(  # noqa: S603 - this module
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._to = cast("IO[bytes]", self._process.stdin)
        self._from = cast("IO[bytes]", self._process.stdout)
        with suppress(OSError):  # it has died: so its tasks will tell
            self._send(order)

    def run(self, task: Task) -> Done:
        """Wait for a task; where the process has died, nothing came of it."""
        try:
            self._send(task)
            return Done(task, msgspec.json.decode(self._from.readline(), type=int | None))
        except (OSError, msgspec.DecodeError):
            return Done(task, None)

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        with suppress(OSError):
            self._process.communicate()

    def _send(self, message: _Order | Task) -> None:
        self._to.write(msgspec.json.encode(message) + b"\n")
        self._to.flush()


def run(tasks: Iterable[Task], key: bytes, *, keep: bool, workers: int) -> Iterator[Done]:
    """What comes of tasks, in their order; only as many run ahead as there are workers, and two.

    Args:
        tasks: What to do.
        key: Key of the hashes that stand for content.
        keep: Keep message content.
        workers: How many processes.
    """
    idle: SimpleQueue[_Worker] = SimpleQueue()

    def run_one(task: Task) -> Done:
        worker = idle.get()
        try:
            return worker.run(task)
        finally:
            idle.put(worker)

    with ThreadPoolExecutor(workers) as threads, ExitStack() as processes:
        for _ in range(workers):
            worker = _Worker(_Order(key, keep))
            processes.callback(worker.close)
            idle.put(worker)
        waiting: list[Future[Done]] = []
        for task in tasks:
            waiting.append(threads.submit(run_one, task))
            if len(waiting) > workers + 1:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()


def work() -> None:
    """What a worker does: tasks in, a number each out, until its input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one that started it ends it
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=_Order)
    content = Content(order.key, keep=order.keep)
    for line in sys.stdin.buffer:
        task = msgspec.json.decode(line, type=Task)
        spans = spool_part(task.part, content, Path(task.to))
        try:
            sys.stdout.buffer.write(msgspec.json.encode(spans) + b"\n")
            sys.stdout.buffer.flush()
        except BrokenPipeError:  # the one that started it has died
            os._exit(1)
