"""The fake provider as a program: replies, counting, bounds and a clean end."""

import http.client
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from otelbudget.testing import FakeProvider, Reply, Request

ROOT = Path(__file__).parents[2]


def _post(
    provider: FakeProvider, path: str = "/v1/chat/completions", **body: object
) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", int(provider.url.rpartition(":")[2]))
    try:
        connection.request("POST", path, json.dumps(body))
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def _fake_provider_threads() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name.startswith("otelbudget-fake")]


def _open_sockets() -> set[str]:
    """Every socket of this process, where the system tells; a closed one is gone."""
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        return set()
    targets = (str(one.readlink()) for one in descriptors.iterdir() if one.is_symlink())
    return {target for target in targets if target.startswith("socket:")}


def test_replies_in_order_end_with_an_error_that_says_so() -> None:
    with FakeProvider([Reply(text="first"), Reply(text="second")]) as provider:
        texts = [_post(provider)[1]["choices"][0]["message"]["content"] for _ in range(2)]
        status, body = _post(provider)

    assert texts == ["first", "second"]
    assert status == 500
    assert body["error"]["message"] == "The fake provider has no reply left; give it more replies"


def test_a_function_chooses_by_the_request() -> None:
    def reply_to(request: Request) -> Reply:
        return Reply(text=f"you are {request.body['user']}")

    with FakeProvider(reply_to) as provider:
        _, body = _post(provider, user="ada")

    assert body["choices"][0]["message"]["content"] == "you are ada"


def test_a_failing_function_is_an_error_that_says_so() -> None:
    def reply_to(request: Request) -> Reply:
        return Reply(text=request.body["missing"])

    with FakeProvider(reply_to) as provider:
        status, body = _post(provider)

    assert status == 500
    assert "KeyError('missing')" in body["error"]["message"]
    assert provider.billed == []


def test_unknown_paths_are_not_found_but_counted() -> None:
    with FakeProvider() as provider:
        status, body = _post(provider, "/v1/images/generations")

    assert status == 404
    assert "/v1/images/generations" in body["error"]["message"]
    assert provider.request_count == 1
    assert provider.billed == []


def test_ids_repeat_with_the_seed_only() -> None:
    def ids(seed: int) -> list[str]:
        with FakeProvider(seed=seed) as provider:
            return [_post(provider)[1]["id"] for _ in range(3)]

    assert ids(1) == ids(1)
    assert len({*ids(1), *ids(2)}) == 6


def test_one_provider_serves_both_formats() -> None:
    with FakeProvider() as provider:
        _, chat = _post(provider, "/v1/chat/completions", model="gpt-4o")
        _, message = _post(provider, "/v1/messages", model="claude-sonnet-4-5")

    assert chat["object"] == "chat.completion"
    assert message["type"] == "message"
    assert [billed.model for billed in provider.billed] == ["gpt-4o", "claude-sonnet-4-5"]


def test_a_function_is_asked_on_several_threads_at_once() -> None:
    together = threading.Barrier(8, timeout=10)

    def reply_to(_: Request) -> Reply:
        together.wait()
        return Reply()

    with FakeProvider(reply_to) as provider, ThreadPoolExecutor(8) as pool:
        statuses = [status for status, _ in pool.map(lambda _: _post(provider), range(8))]

    assert statuses == [200] * 8
    assert provider.in_flight_peak == 8


def test_a_connection_is_kept_alive() -> None:
    with FakeProvider() as provider:
        connection = http.client.HTTPConnection(provider.url.removeprefix("http://"))
        for _ in range(3):
            connection.request("POST", "/v1/chat/completions", "{}")
            connection.getresponse().read()
        threads = _fake_provider_threads()
        connection.close()

    assert len(threads) == 2  # one accepts, one serves the one connection


def test_a_body_above_the_bound_is_refused_unread() -> None:
    with FakeProvider() as provider:
        connection = http.client.HTTPConnection(provider.url.removeprefix("http://"))
        connection.request("POST", "/v1/messages", headers={"Content-Length": str(1 << 40)})
        status = connection.getresponse().status
        connection.close()

    assert status == 413
    assert provider.request_count == 0


def test_closing_ends_threads_and_sockets_even_with_a_client_waiting() -> None:
    arrived = threading.Event()

    def reply_to(_: Request) -> Reply:
        arrived.set()
        return Reply(latency_seconds=3_600)

    open_before = _open_sockets()
    with FakeProvider(reply_to) as provider:
        connection = http.client.HTTPConnection(provider.url.removeprefix("http://"))
        connection.request("POST", "/v1/chat/completions", "{}")
        idle = http.client.HTTPConnection(provider.url.removeprefix("http://"))
        idle.connect()
        arrived.wait(10)
    connection.close()
    idle.close()

    assert _fake_provider_threads() == []
    assert _open_sockets() <= open_before
    with pytest.raises(ConnectionRefusedError):
        http.client.HTTPConnection(provider.url.removeprefix("http://")).connect()


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        pytest.param({"input_tokens": -1}, "input_tokens includes", id="negative"),
        pytest.param(
            {"input_tokens": 5, "cache_read_input_tokens": 6}, "input_tokens includes", id="cache"
        ),
        pytest.param({"cache_write_input_tokens": -1}, "counts of 0 or more", id="negative-cache"),
        pytest.param(
            {"output_tokens": 5, "reasoning_output_tokens": 6}, "output_tokens includes", id="parts"
        ),
        pytest.param(
            {"cache_write_1h_input_tokens": 1}, "cache_write_input_tokens includes", id="one-hour"
        ),
        pytest.param({"audio_input_tokens": 99}, "input_tokens includes audio", id="audio"),
        pytest.param({"audio_output_tokens": -1}, "output_tokens includes audio", id="audio-out"),
        pytest.param({"web_searches": -1}, "web_searches is a count", id="searches"),
        pytest.param({"text_chunks": 0}, "at least 1", id="chunks"),
    ],
)
def test_counts_no_provider_could_send_are_refused(
    counts: Mapping[str, int], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        Reply(**counts)  # type: ignore[arg-type]  # a table of counts only


def _run_python(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env=environment,
    )


def test_the_plugin_gives_a_running_provider(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import urllib.request\n"
        "def test_it(fake_provider):\n"
        "    url = fake_provider.openai_base_url + '/chat/completions'\n"
        "    urllib.request.urlopen(url, b'{}').read()\n"
        "    assert fake_provider.request_count == 1\n"
    )

    done = _run_python("-m", "pytest", "-q", "-p", "otelbudget.testing.plugin", cwd=tmp_path)

    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_loading_the_plugin_loads_no_server() -> None:
    done = _run_python(
        "-c",
        "import sys, otelbudget.testing.plugin\n"
        "print([m for m in sys.modules if m in ('http.server', 'duckdb', 'openai')\n"
        "       or m.startswith('opentelemetry') or m.startswith('otelbudget.testing.')])",
    )

    assert done.stdout.strip() == "['otelbudget.testing.plugin']", done.stderr
