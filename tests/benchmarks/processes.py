"""Runs a program and tells what it took: time, processor time and memory."""

import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_SAMPLED_EVERY_SECONDS = 0.02
_KIB = 1024
BUDGET_AUDIT = (sys.executable, "-m", "budget_audit")


class Ran(NamedTuple):
    """What a program took.

    Attributes:
        seconds: From start to end.
        cpu_seconds: Of all processors, by it and the processes that it waited for.
        main_mb: Most memory of the program itself, 0 where there is no /proc.
        all_mb: Most memory at a time of it and the processes that it started; what they share
            counts in each of them.
        output: What it wrote to standard output.
    """

    seconds: float
    cpu_seconds: float
    main_mb: float
    all_mb: float
    output: str


def run(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    timeout_seconds: float | None = None,
) -> Ran | None:
    """Run a program to its end.

    Returns:
        None where it took longer than the timeout.

    Raises:
        RuntimeError: It failed; carries what it wrote.
    """
    # As installed: modules are compiled once, not at every start.
    compiling = {"PYTHONDONTWRITEBYTECODE": ""}
    start, cpu_before = time.perf_counter(), _cpu_seconds()
    with subprocess.Popen(
        command,
        env={**(env or os.environ), **compiling},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        memory = _Memory(process.pid)
        try:
            output, errors = process.communicate(timeout=timeout_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            return None
        finally:
            took = time.perf_counter() - start
            memory.stop()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {errors[-500:]}")
    cpu = _cpu_seconds() - cpu_before
    return Ran(took, cpu, memory.main_mb, memory.all_mb, output)


def _cpu_seconds() -> float:
    """Processor time of the programs that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class _Memory:
    """Looks at the memory of a process and its descendants until told to stop."""

    def __init__(self, pid: int) -> None:
        self.main_mb = self.all_mb = 0.0
        self._pid = pid
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def stop(self) -> None:
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._is_over.wait(_SAMPLED_EVERY_SECONDS):
            now = [_memory(pid) for pid in _family(self._pid)]
            if now:
                self.main_mb = max(self.main_mb, now[0].get("VmHWM", 0.0))
                self.all_mb = max(self.all_mb, sum(each.get("VmRSS", 0.0) for each in now))


def _family(pid: int) -> Iterator[int]:
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in children.read_text().split():
                yield from _family(int(child))


def _memory(pid: int) -> dict[str, float]:
    """The figures in kB of a process's status, in MB."""
    found = {}
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            name, _, value = line.partition(":")
            if value.endswith(" kB"):
                found[name] = int(value.split()[0]) * _KIB / 1e6
    return found
