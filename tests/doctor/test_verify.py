"""Probes in this very environment, whole and broken."""

import json
import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from otelbudget.doctor.results import Result
from otelbudget.doctor.verify import probe, verify_enforcement
from otelbudget.errors import EnforcementError

GENAI_OPENAI = "opentelemetry-instrumentation-genai-openai"
GENAI_ANTHROPIC = "opentelemetry-instrumentation-genai-anthropic"

PlugIn = Callable[[str], Path]


def test_every_form_is_stopped_and_charged_as_billed() -> None:
    probes = verify_enforcement(GENAI_OPENAI).probes

    assert {each.result for each in probes} == {Result.PASS}
    assert {"chat", "chat, async streamed", "responses"} <= {str(each.form) for each in probes}
    assert {each.requests_after_stop for each in probes} == {0}
    # gpt-4o: 2.50 USD/Mtok * 1_200 + 10 USD/Mtok * 340 = 0.003 USD + 0.0034 USD
    chat = probes[0]
    assert chat.charged_usd == chat.billed_usd == Decimal("0.0064")


@pytest.mark.usefixtures("bypass")
def test_a_plug_in_that_goes_around_a_gate_is_found() -> None:
    with pytest.raises(EnforcementError) as raised:
        verify_enforcement(GENAI_OPENAI)

    assert any(
        failure.startswith("openai ")
        and failure.endswith("1 request(s) left after the budget was used up.")
        for failure in raised.value.failures
    )
    # The asynchronous client is another class, which the plug-in leaves alone.
    assert not any("async" in failure for failure in raised.value.failures)


def test_a_probe_that_crashes_has_failed_with_its_last_line(plug_in: PlugIn) -> None:
    plug_in("""
        import os, sys, wrapt

        def crash(module):
            print("the extension module is broken", file=sys.stderr, flush=True)
            os._exit(9)

        wrapt.register_post_import_hook(crash, "anthropic")
    """)
    probes = probe(GENAI_ANTHROPIC).probes

    assert {each.result for each in probes} == {Result.FAIL}
    assert {each.reason for each in probes} == {
        "The probe ended with exit code 9: the extension module is broken"
    }


def test_a_probe_that_takes_too_long_has_failed(plug_in: PlugIn) -> None:
    plug_in("""
        import threading
        threading.Event().wait()
    """)
    probes = probe(GENAI_ANTHROPIC, max_seconds=0.5).probes

    assert probes
    assert all("did not end within 0.5 seconds" in str(each.reason) for each in probes)


def test_a_probe_has_no_key_no_proxy_and_no_network(
    plug_in: PlugIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "MY_TOKEN", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "secret")
    for name in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "OTEL_EXPORTER_OTLP_ENDPOINT"):
        monkeypatch.setenv(name, "http://secret.example")
    folder = plug_in("""
        import json, os, pathlib, socket, wrapt

        def look(module):
            told = {"environment": [name for name in os.environ if "secret" in os.environ[name]]}
            for reach in (
                lambda: socket.create_connection(("192.0.2.1", 80), timeout=5),
                lambda: socket.getaddrinfo("example.com", 80),
                lambda: socket.getaddrinfo("127.example.com", 80),
                lambda: socket.getaddrinfo("localhost.example.com", 80),
            ):
                try:
                    reach()
                except PermissionError as error:
                    told.setdefault("refused", []).append(str(error))
            pathlib.Path(__file__).with_name("told.json").write_text(json.dumps(told))

        wrapt.register_post_import_hook(look, "anthropic")
    """)
    report = probe(GENAI_ANTHROPIC)
    told = json.loads((folder / "told.json").read_text("utf-8"))

    assert report.is_ok
    assert told["environment"] == []
    assert [each.rpartition(" ")[2] for each in told["refused"]] == [
        "192.0.2.1",
        "example.com",
        "127.example.com",
        "localhost.example.com",
    ]


def test_a_probe_finds_no_settings_in_the_folder_that_it_is_started_from(
    plug_in: PlugIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = plug_in("""
        import json, os, pathlib, wrapt

        def look(module):
            pathlib.Path(__file__).with_name("told.json").write_text(json.dumps(os.listdir()))

        wrapt.register_post_import_hook(look, "anthropic")
    """)
    # As with PYTHONPATH=., which many have.
    paths = [Path(path).absolute() for path in os.environ["PYTHONPATH"].split(os.pathsep)]
    paths[0] = paths[0].relative_to(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, paths)))
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("ANTHROPIC_API_KEY=secret")

    assert probe(GENAI_ANTHROPIC).is_ok
    assert json.loads((folder / "told.json").read_text("utf-8")) == []


def test_switched_off_nothing_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTELBUDGET_DISABLED", "1")
    probes = probe(GENAI_ANTHROPIC).probes

    assert {each.reason for each in probes} == {
        "OTELBUDGET_DISABLED is set, so nothing is counted or stopped."
    }
    assert {each.result for each in probes} == {Result.FAIL}


def test_an_sdk_without_a_gate_is_not_covered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = tmp_path / "writer_sdk-2.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: writer_sdk\nVersion: 2.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    [only] = verify_enforcement("writer-sdk").probes

    assert (only.result, only.version, only.requests_after_stop) == (
        Result.NOT_COVERED,
        "2.0",
        None,
    )
    assert "otelbudget.check()" in str(only.reason)


def test_a_name_that_cannot_be_probed_is_refused() -> None:
    with pytest.raises(ValueError, match="'opneai' is not installed here"):
        verify_enforcement("opneai")
