"""The HTTP server under a fake provider: keep-alive, bounded, and gone when closed."""

import json
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, cast

from otelbudget.testing.replies import Request

MAX_CONNECTIONS = 1_024
MAX_BODY_BYTES = 32 * 1_024 * 1_024
IDLE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back to a client.

    Attributes:
        status: HTTP status.
        body: A JSON object, or the events of a stream; None closes the connection unanswered.
        headers: Headers beside those of the format.
        ends_cleanly: False breaks a stream off after its last event.
    """

    status: int
    body: Mapping[str, Any] | Iterable[bytes] | None
    headers: Mapping[str, str] = field(default_factory=dict)
    ends_cleanly: bool = True


class Server(ThreadingHTTPServer):
    """An HTTP server on 127.0.0.1, on a port the system chooses.

    Args:
        answer: Called on the connection's thread, at times on several threads at once, with each
            request; the answer is sent before `finished` is called.
        finished: Called when an answer is sent or its client is gone.
    """

    daemon_threads = True
    request_queue_size = MAX_CONNECTIONS

    def __init__(self, answer: Callable[[Request], Answer], finished: Callable[[], None]) -> None:
        self.answer = answer
        self.finished = finished
        self._lock = threading.Lock()
        self._connections: dict[threading.Thread, socket.socket] = {}
        super().__init__(("127.0.0.1", 0), _Handler)
        self._accepting = threading.Thread(
            target=self.serve_forever,
            kwargs={"poll_interval": 0.02},
            name="otelbudget-fake-provider",
            daemon=True,
        )

    @property
    def port(self) -> int:
        """Port the server listens on."""
        return int(self.server_address[1])

    def start(self) -> None:
        """Begin to accept connections."""
        self._accepting.start()

    def close(self) -> None:
        """Stop accepting, end every connection and wait for its thread."""
        self.shutdown()
        self._accepting.join()
        self.server_close()
        with self._lock:
            connections = dict(self._connections)
        for connection in connections.values():
            _hang_up(connection)
        for thread in connections:
            thread.join()

    def server_bind(self) -> None:
        """Bind without looking up the host's name, which can wait for a name server."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.port

    def verify_request(self, request: object, client_address: object) -> bool:
        """Refuse connections above the bound."""
        with self._lock:
            return len(self._connections) < MAX_CONNECTIONS

    def process_request(self, request: object, client_address: Any) -> None:
        """Serve a connection on a thread that `close` can find."""
        connection = cast("socket.socket", request)
        thread = threading.Thread(
            target=self._serve,
            args=(connection, client_address),
            name="otelbudget-fake-provider-connection",
            daemon=True,
        )
        with self._lock:
            self._connections[thread] = connection
        thread.start()

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that go away in the middle of an answer."""

    def _serve(self, connection: socket.socket, client_address: Any) -> None:
        try:
            self.process_request_thread(connection, client_address)
        finally:
            with self._lock:
                self._connections.pop(threading.current_thread(), None)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "otelbudget-fake-provider"
    disable_nagle_algorithm = True
    timeout = IDLE_SECONDS

    def do_POST(self) -> None:
        """Answer one request."""
        server = cast("Server", self.server)
        body = self._read_body()
        if body is None:
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            self._send(server.answer(Request(self.path, headers, body)))
        except OSError:
            self.close_connection = True
        finally:
            server.finished()

    do_GET = do_POST  # noqa: N815  (the name http.server calls)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (http.server's name)
        """Keep stderr clean."""

    def _read_body(self) -> dict[str, Any] | None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > MAX_BODY_BYTES or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            self.send_error(413 if length else 411)
            return None
        try:
            body = json.loads(self.rfile.read(length)) if length else {}
        except ValueError:
            body = {}
        return body if isinstance(body, dict) else {}

    def _send(self, answer: Answer) -> None:
        if answer.body is None:
            self.close_connection = True
        elif isinstance(answer.body, Mapping):
            payload = json.dumps(answer.body).encode()
            self._send_head(answer, "application/json", {"Content-Length": str(len(payload))})
            self.wfile.write(payload)
        else:
            self._send_head(answer, "text/event-stream", {"Transfer-Encoding": "chunked"})
            for event in answer.body:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
            if answer.ends_cleanly:
                self.wfile.write(b"0\r\n\r\n")
            else:
                self.close_connection = True

    def _send_head(self, answer: Answer, content_type: str, framing: Mapping[str, str]) -> None:
        self.send_response(answer.status)
        for name, value in {"Content-Type": content_type, **framing, **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # already gone
