"""Processes: forks, prefork servers, multiprocessing, and the end of the interpreter."""

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from otelbudget.live.processes import server_of
from otelbudget.testing import FakeProvider, Reply

ROOT = Path(__file__).parents[2]
FORKED = "This process was forked from one that counts the same budgets"
EACH_BY_ITSELF = "can come to N times a limit"

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

# What every program begins with.
HEAD = """
    import asyncio, atexit, logging, os, signal, socket, subprocess, sys, threading, time
    logging.basicConfig(format="%(levelname)s %(message)s")
    from openai import OpenAI, DefaultHttpxClient
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from otelbudget import Budget, BudgetExceededError, BudgetSpanProcessor

    URL = sys.argv[1]
    HELLO = [{"role": "user", "content": "hello"}]

    def watch(*budgets):
        provider = TracerProvider()
        processor = BudgetSpanProcessor(*budgets)
        provider.add_span_processor(processor)
        trace.set_tracer_provider(provider)
        return processor

    def client():
        http = DefaultHttpxClient(verify=False)
        return OpenAI(base_url=URL, api_key="none", max_retries=0, http_client=http)

    def ask(**options):
        return client().chat.completions.create(model="gpt-4o", messages=HELLO, **options)

    def outcome():
        try:
            ask()
        except BudgetExceededError:
            return "refused"
        return "answered"

    def in_child(work):
        '''The exit code of a forked child that runs `work`; one that hangs is ended.'''
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            try:
                os._exit(work())
            finally:
                os._exit(99)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""


def _program(text: str) -> str:
    return textwrap.dedent(HEAD) + textwrap.dedent(text)


def _run(program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program to its end.

    Raises:
        subprocess.TimeoutExpired: It hangs.
    """
    return subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program, *arguments],
        env=_environment(**environment),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def _environment(**more: str) -> dict[str, str]:
    known = {key: value for key, value in os.environ.items() if key != "WEB_CONCURRENCY"}
    return {**known, "PYTHONPATH": str(ROOT), **more}


# Forks.


@forks
def test_ten_of_ten_children_count_on_while_a_thread_of_the_parent_holds_the_lock(
    fake_provider: FakeProvider,
) -> None:
    program = _program("""
        processor = watch(Budget(calls=2, warn_at=[]))
        lock = processor._accounting.lock

        def hog():
            while True:
                with lock:
                    time.monotonic()

        with trace.get_tracer("app").start_as_current_span("run"):
            ask()
            threading.Thread(target=hog, daemon=True).start()
            def work():
                said = [outcome(), outcome()]
                return 42 if said == ["answered", "refused"] else 1
            print([in_child(work) for _ in range(10)])
    """)
    done = _run(program, fake_provider.openai_base_url)

    assert done.stdout.strip() == str([42] * 10), done.stderr
    assert fake_provider.request_count == 1 + 10
    assert done.stderr.count(FORKED) == 10
    assert done.stderr.count(EACH_BY_ITSELF) == 10


@forks
def test_a_child_does_not_wait_for_the_calls_of_its_parent_to_end(
    fake_provider: FakeProvider,
) -> None:
    """Their estimates are held by the parent; the child has room for a call of its own."""
    is_forked = threading.Event()

    def answer(_: object) -> Reply:
        match fake_provider.request_count:
            case 2:
                is_forked.wait(20)
            case 3:
                is_forked.set()
        return Reply()

    fake_provider.reply_with(answer)
    program = _program("""
        import contextvars
        # gpt-4o: 10 USD/Mtok * 1_000 = 0.01 USD of output at most
        processor = watch(Budget(cost_usd="0.015", reserve=True))
        with trace.get_tracer("app").start_as_current_span("run"):
            ask(max_tokens=1000)  # imports what a child could not import in the middle of it
            run = contextvars.copy_context().run
            first = threading.Thread(target=run, args=(lambda: ask(max_tokens=1000),))
            first.start()
            [(_, account)] = wait_for(lambda: list(processor.engine.ledger.accounts()))
            wait_for(lambda: account.held_pusd)
            def work():
                try:
                    ask(max_tokens=1000)
                except BudgetExceededError:
                    return 1
                return 42 if (account.in_flight, account.held_pusd) == (0, 0) else 2
            print(in_child(work))
            first.join()
            print(account.calls, account.in_flight, account.held_pusd)
    """).replace(
        "URL = sys.argv[1]",
        textwrap.dedent("""
            URL = sys.argv[1]
            def wait_for(condition):
                end = time.monotonic() + 20
                while not (value := condition()) and time.monotonic() < end:
                    os.sched_yield()
                return value
        """),
    )
    done = _run(program, fake_provider.openai_base_url)

    assert done.stdout.split() == ["42", "2", "0", "0"], done.stderr


@forks
def test_children_without_calls_and_daemons_are_not_told(fake_provider: FakeProvider) -> None:
    """What no call comes from counts nothing twice, nor does what outlives its parent."""
    program = _program("""
        watch(Budget(calls=2, warn_at=[]))
        with trace.get_tracer("app").start_as_current_span("run"):
            in_child(lambda: 0)
            subprocess.run([sys.executable, "-c", ""], preexec_fn=lambda: None)
            said, say = os.pipe()
            is_over, lives = os.pipe()
            if os.fork() == 0:
                if os.fork():
                    os._exit(0)
                os.close(lives)
                os.read(is_over, 1)  # ends when nobody can write any more
                os.write(say, outcome().encode())
                os._exit(0)
            os.wait()
            os.close(lives)
            print(os.read(said, 100).decode())
    """)
    done = _run(program, fake_provider.openai_base_url)

    assert (done.stdout.strip(), done.stderr) == ("answered", "")


@forks
def test_processes_of_multiprocessing_count_each_by_itself_and_say_so(
    fake_provider: FakeProvider, tmp_path: Path
) -> None:
    """A spawned child imports the program anew and so makes its own processor."""
    program = tmp_path / "program.py"
    body = """
        import multiprocessing
        processor = watch(Budget(calls=2, warn_at=[]))

        def work(_):
            return [outcome() for _ in range(3)]

        if __name__ == "__main__":
            for method in ("fork", "spawn"):
                with multiprocessing.get_context(method).Pool(1) as pool:
                    print(*pool.map(work, [0])[0])
                    pool.close()
                    pool.join()
    """
    program.write_text(_program(body), "utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", program, fake_provider.openai_base_url],
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.stdout.splitlines() == ["answered answered refused"] * 2, done.stderr
    assert fake_provider.request_count == 4
    assert done.stderr.count(FORKED) == 1
    assert done.stderr.count("one of several that multiprocessing started") == 1


# Servers.


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"SERVER_SOFTWARE": "gunicorn/27.0.1"}, "part of gunicorn"),
        ({"WEB_CONCURRENCY": "4"}, "one of 4 workers (WEB_CONCURRENCY)"),
        ({"WEB_CONCURRENCY": "1"}, None),
        ({"WEB_CONCURRENCY": "many"}, None),
        ({"SERVER_SOFTWARE": "Werkzeug/3.1"}, None),
        ({}, None),
    ],
)
def test_servers_are_known_by_what_they_leave_in_the_environment(
    environment: dict[str, str], told: str | None
) -> None:
    assert server_of(environment) == told


def test_workers_of_a_server_are_told_at_the_start() -> None:
    program = """
        from otelbudget import Budget, BudgetSpanProcessor
        BudgetSpanProcessor(Budget(calls=2))
    """
    done = _run(textwrap.dedent(program), WEB_CONCURRENCY="4")

    [message] = done.stderr.splitlines()
    assert "one of 4 workers (WEB_CONCURRENCY)" in message
    assert EACH_BY_ITSELF in message
    assert "divide the limits by the number of processes" in message


PREFORK = """
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            said = outcome()
            self.send_response(429 if said == "refused" else 200)
            self.end_headers()
            self.wfile.write(str(os.getpid()).encode())

        def log_message(self, *arguments):
            pass

    watch(Budget(calls=2, warn_at=[]))
    server = HTTPServer(("127.0.0.1", 0), Handler)
    def serve():
        for _ in range(5):
            server.handle_request()
        return 0
    workers = []
    for _ in range(2):
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            try:
                os._exit(serve())
            finally:
                os._exit(99)
        workers.append(child)
    print(server.server_port, flush=True)
    print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in workers])
"""


@forks
def test_workers_of_a_prefork_server_have_each_the_whole_limit_and_say_so(
    fake_provider: FakeProvider,
) -> None:
    """Two workers and a limit of two calls for calls outside any trace: four of ten get through."""
    with _started(_program(PREFORK), fake_provider.openai_base_url) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        answers = Counter(_get(port) for _ in range(10))
        rest, errors = server.communicate(timeout=60)

    assert rest.strip() == "[0, 0]", errors
    assert sorted(status for status, _ in answers.elements()) == [200] * 4 + [429] * 6
    assert fake_provider.request_count == 4
    assert errors.count(FORKED) == 2


@forks
@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["workers load", "preload"])
def test_workers_of_gunicorn_have_each_the_whole_limit_and_say_so(
    fake_provider: FakeProvider, tmp_path: Path, options: tuple[str, ...]
) -> None:
    pytest.importorskip("gunicorn")
    app = """
        def app(environ, start_response):
            status = "429 Too Many Requests" if outcome() == "refused" else "200 OK"
            start_response(status, [])
            return [str(os.getpid()).encode()]

        watch(Budget(calls=2, warn_at=[]))
    """
    text = _program(app).replace("sys.argv[1]", json.dumps(fake_provider.openai_base_url))
    (tmp_path / "wsgi.py").write_text(text, "utf-8")
    command = [sys.executable, "-m", "gunicorn", "wsgi:app", "-w", "2", "-b", "127.0.0.1:0"]
    answers: dict[str, list[int]] = {}
    with subprocess.Popen(
        [*command, "--no-control-socket", *options],
        cwd=tmp_path,
        env=_environment(),
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            assert server.stderr is not None
            first = ""
            while (found := _PORT.search(first)) is None:
                first += server.stderr.readline()
            port = int(found[1])
            end = time.monotonic() + 30
            # Which worker answers is the kernel's choice, so it may take many requests to see both.
            while time.monotonic() < end and [len(each) for each in answers.values()] != [4, 4]:
                status, worker = _get(port)
                answers.setdefault(worker, [])[3:] = [status]
        finally:
            server.terminate()
        errors = first + server.stderr.read()

    assert len(answers) == 2
    assert all(statuses[:3] == [200, 200, 429] for statuses in answers.values())
    assert fake_provider.request_count == 4
    assert "part of gunicorn" in errors


_PORT = re.compile(r"Listening at: http://127\.0\.0\.1:(\d+)")


def _get(port: int) -> tuple[int, str]:
    """Status and body of a page."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/", timeout=30) as page:
            return page.status, page.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


@contextmanager
def _started(program: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program, *arguments]
    with subprocess.Popen(
        command,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)


# The end of the interpreter.

IN_THREADS = """
    begun = threading.Barrier(3)
    def call(**options):
        begun.wait(20)
        ask(**options)
    with trace.get_tracer("app").start_as_current_span("run"):
        stream = ask(stream=True)
        next(stream)
        for options in ({}, {"stream": True}):
            threading.Thread(target=call, kwargs=options, daemon=True).start()
        begun.wait(20)
        while sum(account.calls for _, account in processor.engine.ledger.accounts()) < 3:
            os.sched_yield()
"""
IN_A_LOOP = """
    async def main():
        from openai import AsyncOpenAI
        async with AsyncOpenAI(base_url=URL, api_key="none") as http:
            task = asyncio.create_task(
                http.chat.completions.create(model="gpt-4o", messages=HELLO)
            )
            while not list(processor.engine.ledger.accounts()):
                await asyncio.sleep(0)
    asyncio.run(main())
    sys.exit(0)
"""


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(IN_THREADS, id="daemon threads in calls, open stream"),
        pytest.param(IN_A_LOOP, id="task in a call"),
    ],
)
def test_the_interpreter_ends_at_once_and_without_a_traceback(
    fake_provider: FakeProvider, body: str
) -> None:
    """The provider would answer, or go on, in five minutes."""
    first = Reply(latency_seconds=300 if body is IN_A_LOOP else 0, chunk_latency_seconds=300)
    fake_provider.reply_with([first, *[Reply(latency_seconds=300)] * 2])
    program = _program("processor = watch(Budget(cost_usd=1, reserve=True, cancel_in_flight=True))")
    done = _run(program + textwrap.dedent(body), fake_provider.openai_base_url)

    assert done.returncode == 0
    assert "Traceback" not in done.stderr


def test_calls_at_exit_are_stopped_until_the_provider_is_shut_down(
    fake_provider: FakeProvider,
) -> None:
    """`atexit` runs what was registered last first, and the SDK's provider registers too."""
    program = _program("""
        atexit.register(lambda: print(outcome(), outcome()))
        watch(Budget(calls=1, warn_at=[]))
        atexit.register(lambda: print(outcome(), outcome()))
    """)
    done = _run(program, fake_provider.openai_base_url)

    assert done.stdout.splitlines() == ["answered refused", "answered answered"]
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
