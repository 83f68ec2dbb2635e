import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter

from otelbudget.store.exporter import DuckDBSpanExporter
from otelbudget.store.spans import Content, SpanRow, resource, scope, span_row
from otelbudget.store.store import Store

MakeSpan = Callable[..., ReadableSpan]
MakeRow = Callable[..., SpanRow]
Names = Callable[[Path], list[str]]
Start = Callable[..., "subprocess.Popen[str]"]
KEY = b"test key of 16 B"
WAIT_SECONDS = 50


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    return tmp_path / "traces.duckdb"


@pytest.fixture
def make_span() -> MakeSpan:
    """Makes an ended span of a name with attributes."""
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")

    def make(name: str = "chat", attributes: Mapping[str, Any] | None = None) -> ReadableSpan:
        span = tracer.start_span(name, attributes=attributes)
        span.end()
        assert isinstance(span, ReadableSpan)
        return span

    return make


@pytest.fixture
def make_row() -> MakeRow:
    """Makes a row of a name with attributes; content is kept when `keep` is set."""

    def make(name: str = "chat", *, keep: bool = False, **attributes: Any) -> SpanRow:
        content = Content(KEY, keep=keep)
        return span_row(
            content,
            resource({}, content),
            scope("test", None, {}, content),
            trace_id="0" * 31 + "1",
            span_id="0" * 15 + "2",
            parent_span_id=None,
            name=name,
            kind=1,
            start_time_unix_nano=1,
            end_time_unix_nano=2,
            attributes=attributes,
        )

    return make


@pytest.fixture
def exporter(store_path: Path) -> Iterator[SpanExporter]:
    exporter = DuckDBSpanExporter(store_path)
    yield exporter
    exporter.shutdown()


@pytest.fixture
def names() -> Names:
    """The names of the spans of a store on disk, waiting ones included, in alphabetical order."""

    def read(path: Path) -> list[str]:
        store = Store()
        try:
            store.copy_from(path)
            return [name for (name,) in store.rows("select name from spans order by name")]
        finally:
            store.close()

    return read


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a Python program from its text, with arguments; killed when the test ends."""
    processes = []

    def run(program: str, *arguments: object) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", program, *map(str, arguments)]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.communicate(timeout=WAIT_SECONDS)
