"""Processes that end, fork, are killed, or read while another writes."""

import multiprocessing
import os
import random
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from otelbudget.store import spill
from otelbudget.store.store import Store

WAIT_SECONDS = 50
Names = Callable[[Path], list[str]]
Start = Callable[..., "subprocess.Popen[str]"]

APP = """
import os, signal, sys, threading
IMPORTS_LATE, IS_GLOBAL = "late" in sys.argv, "global" in sys.argv
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
if IMPORTS_LATE:
    provider = TracerProvider()
from otelbudget.store.exporter import DuckDBSpanExporter
if not IMPORTS_LATE:
    provider = TracerProvider()
if IS_GLOBAL:
    trace.set_tracer_provider(provider)
exporter = DuckDBSpanExporter(sys.argv[1])
delay = 5 if "daemon" in sys.argv else 600_000
provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=delay))
tracer = provider.get_tracer("app")
def work(name="last"):
    tracer.start_span(name).end()
"""
ENDS = {
    "returns": "work()",
    "sys.exit": "work(); sys.exit(0)",
    "unhandled exception": "work(); raise SystemError('boom')",
    "daemon threads": """
written = threading.Event()
def loop():
    while True:
        work("looped")
        if os.path.getsize(sys.argv[1]) > 200_000:
            written.set()
for _ in range(2):
    threading.Thread(target=loop, daemon=True).start()
written.wait()
work()
""",
    "fork": """
pid = os.fork()
if pid:
    assert os.waitpid(pid, 0)[1] == 0
else:
    work()
""",
    "multiprocessing": """
import multiprocessing
child = multiprocessing.get_context("fork").Process(target=work)
child.start()
child.join()
assert child.exitcode == 0
""",
    "prefork": """
work("parent")
provider.force_flush()
pids = []
for number in range(3):
    pid = os.fork()
    if not pid:
        work("worker")
        provider.force_flush()
        work("last")
        sys.exit(0)
    pids.append(pid)
assert [os.waitpid(pid, 0)[1] for pid in pids] == [0, 0, 0]
""",
}
OWN = APP + "\ntracer = TracerProvider(shutdown_on_exit=False).get_tracer('exported by hand')\n"
LOOP = (
    OWN
    + """
for number in range(1_000_000):
    span = tracer.start_span(f"{number:06d}")
    span.end()
    if exporter.export([span]).name == "SUCCESS":
        print(f"{number:06d}", flush=True)
"""
)
FORKING = (
    OWN
    + """
stop = threading.Event()  # acknowledged without a buffer, which a fork would copy
def export():
    while not stop.is_set():
        span = tracer.start_span("parent")
        span.end()
        assert exporter.export([span]).name == "SUCCESS"
        os.write(1, b"parent\\n")
thread = threading.Thread(target=export)
thread.start()
for _ in range(5):
    pid = os.fork()
    if not pid:
        span = tracer.start_span("child")
        span.end()
        os._exit(exporter.export([span]).value)
    assert os.waitpid(pid, 0)[1] == 0
    os.write(1, b"child\\n")
stop.set()
thread.join()
"""
)
WRITING = (
    OWN
    + """
sys.stdin.readline()
for number in range(25):
    spans = [tracer.start_span(f"{number:06d}") for _ in range(20)]
    for span in spans:
        span.end()
    assert exporter.export(spans).name == "SUCCESS"
"""
)
HOLDING = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize(
    ("end", "order"),
    [(end, "") for end in ENDS]
    + [(end, "late") for end in ("returns", "daemon threads", "fork", "multiprocessing")]
    + [("returns", "global"), ("returns", "late global")],
)
def test_the_last_spans_are_on_disk_however_the_program_ends(
    end: str, order: str, store_path: Path, start: Start, names: Names
) -> None:
    flags = [*order.split(), *(["daemon"] if "daemon" in end else [])]
    process = start(APP + ENDS[end], store_path, *flags)
    _, errors = process.communicate(timeout=WAIT_SECONDS)

    assert process.returncode == ("exception" in end), errors
    assert names(store_path).count("last") == (3 if end == "prefork" else 1)
    assert ("Traceback" in errors) == ("exception" in end)


def test_a_spawned_worker_of_multiprocessing_writes_its_last_spans(
    store_path: Path, names: Names
) -> None:
    child = multiprocessing.get_context("spawn").Process(target=_work, args=(store_path,))
    child.start()
    child.join(WAIT_SECONDS)

    assert child.exitcode == 0
    assert names(store_path) == ["last"]


def _work(path: Path) -> None:
    namespace: dict[str, object] = {}
    program = APP.replace("sys.argv[1]", repr(str(path))) + "work()"
    exec(program, namespace)  # noqa: S102 - the program of the other tests
    _kept.append(namespace)


_kept: list[object] = []


def test_forking_while_a_batch_is_written_harms_neither(
    store_path: Path, start: Start, names: Names
) -> None:
    process = start(FORKING, store_path)
    acknowledged, errors = process.communicate(timeout=WAIT_SECONDS)

    assert process.returncode == 0, errors
    assert names(store_path) == sorted(acknowledged.split())


@pytest.mark.parametrize("number", range(int(os.environ.get("OTELBUDGET_KILLS", "5"))))
def test_a_killed_process_loses_no_acknowledged_span(
    number: int,  # noqa: ARG001 - only that it is done again
    store_path: Path,
    start: Start,
    names: Names,
) -> None:
    process = start(LOOP, store_path)
    assert process.stdout
    acknowledged = [process.stdout.readline().strip() for _ in range(random.randrange(1, 20))]  # noqa: S311
    threading.Event().wait(random.uniform(0, 0.03))  # noqa: S311 - the moment is the subject
    process.send_signal(signal.SIGKILL)
    acknowledged += process.communicate(timeout=WAIT_SECONDS)[0].split()
    kept = names(store_path)

    assert set(acknowledged) <= set(kept)
    assert len(kept) == len(set(kept))
    assert len(kept) - len(acknowledged) in {0, 1}


def test_a_process_killed_beside_a_held_store_loses_nothing(
    store_path: Path, start: Start, names: Names
) -> None:
    first = start(APP, store_path)
    assert first.wait(WAIT_SECONDS) == 0
    holder = start(HOLDING, store_path)
    assert holder.stdout
    assert holder.stdout.readline() == "held\n"
    process = start(LOOP, store_path)
    assert process.stdout
    acknowledged = [process.stdout.readline().strip() for _ in range(10)]
    process.kill()
    acknowledged += process.communicate(timeout=WAIT_SECONDS)[0].split()
    assert len(spill.waiting(store_path)) >= len(acknowledged)
    holder.communicate("done\n", timeout=WAIT_SECONDS)

    assert set(acknowledged) <= set(names(store_path))
    last = start(APP + "work()", store_path)
    assert last.wait(WAIT_SECONDS) == 0
    assert spill.waiting(store_path) == []
    assert set(acknowledged) <= set(names(store_path))


def test_reading_in_a_loop_costs_no_span_and_sees_none_twice(
    store_path: Path, start: Start, names: Names
) -> None:
    """Two writers; each copy holds whole batches only, and never fewer than the one before."""
    Store().save(store_path)
    writers = [start(WRITING, store_path), start(WRITING, store_path)]
    for writer in writers:
        assert writer.stdin
        writer.stdin.write("go\n")
        writer.stdin.flush()
    counts = [0]
    while any(writer.poll() is None for writer in writers):
        store = Store()
        counts.append(store.copy_from(store_path))
        store.close()
    errors = [writer.communicate(timeout=WAIT_SECONDS)[1] for writer in writers]

    assert [writer.returncode for writer in writers] == [0, 0], errors
    assert counts == sorted(counts)
    assert {count % 20 for count in counts} == {0}
    assert len(counts) > 2
    assert len(names(store_path)) == 2 * 25 * 20


def test_many_processes_may_make_the_store_at_once(
    store_path: Path, start: Start, names: Names
) -> None:
    processes: list[subprocess.Popen[str]] = [
        start(APP + "sys.stdin.readline(); work()", store_path) for _ in range(3)
    ]
    for process in processes:
        _, errors = process.communicate("go\n", timeout=WAIT_SECONDS)
        assert process.returncode == 0, errors

    assert names(store_path) == ["last"] * 3
    assert list(store_path.parent.glob(".*")) == []
