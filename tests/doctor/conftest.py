"""Environments that are broken for real: plug-ins that Python loads at its start."""

import os
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

# A plug-in as gateways have: chat goes around the method that every SDK client calls.
BYPASS = """
    import wrapt

    def around(module):
        post = module.SyncAPIClient.post

        def post_past_gates(self, path, **arguments):
            request = self.request
            self.request = lambda *args, **kw: module.SyncAPIClient.request(self, *args, **kw)
            try:
                return post(self, path, **arguments)
            finally:
                self.request = request

        module.SyncAPIClient.post = post_past_gates

    wrapt.register_post_import_hook(around, "openai._base_client")
"""


@pytest.fixture
def plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Lets every Python process to come load a program first; gives its folder."""

    def add(program: str) -> Path:
        folder = tmp_path / "plugin"
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(textwrap.dedent(program), "utf-8")
        paths = [str(folder), os.environ.get("PYTHONPATH", "")]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
        return folder

    return add


@pytest.fixture
def bypass(plug_in: Callable[[str], Path]) -> None:
    """Requests of openai's synchronous client go past its gate."""
    plug_in(BYPASS)
