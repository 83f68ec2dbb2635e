"""The example application: what it prints, and that every exporter gets every span."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import duckdb
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

ROOT = Path(__file__).parents[2]

Span = tuple[str, str]


@contextmanager
def otlp_receiver() -> Iterator[tuple[str, list[Span]]]:
    """An OTLP endpoint on this machine: its URL, and the (trace id, span id) it has received."""
    received: list[Span] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = ExportTraceServiceRequest.FromString(body)
            received.extend(
                (span.trace_id.hex(), span.span_id.hex())
                for resource_spans in request.resource_spans
                for scope_spans in resource_spans.scope_spans
                for span in scope_spans.spans
            )
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (http.server's name)
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/traces", received
        finally:
            server.shutdown()
            thread.join()


def run_app(store: Path, *arguments: str) -> str:
    """What the example application prints."""
    command = [sys.executable, "examples/app.py", "--store", str(store), *arguments]
    ended = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    return ended.stdout


def stored_spans(store: Path) -> list[Span]:
    with duckdb.connect(store, read_only=True) as connection:
        return connection.execute("select trace_id, span_id from spans").fetchall()


def test_the_run_that_never_finishes_is_stopped_and_the_others_are_not(tmp_path: Path) -> None:
    printed = run_app(tmp_path / "traces.duckdb")

    # gpt-4o: 2.50 USD/Mtok of input, 1.25 of cached input, 10.00 of output. The first call has
    # 6,000 + 300 tokens: 0.015 + 0.003 = 0.018 USD. Call k of the next has 2,000 tokens of input,
    # 4,000 + 2,000 k cached and 300 of output: 0.005 + 0.005 + 0.0025 k + 0.003 USD.
    # Research, 5 calls: 0.018 + 4 x 0.013 + (1 + 2 + 3 + 4) x 0.0025 = 0.095 USD.
    # Runaway, after 10: 0.018 + 9 x 0.013 + 45 x 0.0025 = 0.2475 USD, so an 11th may start:
    # + 0.013 + 10 x 0.0025 = 0.2855 USD.
    stopped = (
        "Budget 'per-run' (trace ID) is used up: 0.2855 of 0.25 USD; "
        "raise the limit or start a new run."
    )
    lines = re.sub(r"trace [0-9a-f]{32}", "trace ID", printed).splitlines()
    assert lines == [
        "triage    finished",
        "research  finished",
        "draft     finished",
        f"runaway   stopped: {stopped}",
        "gpt-4.1     24000 input tokens (14000 cached), 900 output tokens",
        "gpt-4o      226000 input tokens (186000 cached), 4800 output tokens",
        "gpt-4o-mini 14000 input tokens (6000 cached), 600 output tokens",
        "21 model calls billed",
    ]


def test_audit_mode_lets_the_same_run_go_on(tmp_path: Path) -> None:
    printed = run_app(tmp_path / "traces.duckdb", "--mode", "audit")

    # As above, 20 calls: 0.018 + 19 x 0.013 + 190 x 0.0025 = 0.74 USD.
    assert "runaway   finished" in printed
    assert "stopped" not in printed


def test_otlp_and_the_store_get_the_same_spans(tmp_path: Path) -> None:
    store = tmp_path / "traces.duckdb"

    with otlp_receiver() as (url, received):
        run_app(store, "--otlp", url)

    # 4 runs; 21 model calls and the refused one; 1 + 4 + 2 + 11 searches
    assert len(received) == 4 + 22 + 18
    assert sorted(received) == sorted(stored_spans(store))
