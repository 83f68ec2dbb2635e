"""Every example of README.md and docs/ runs, every link leads somewhere, the tone is kept."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = [*PAGES, ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md"]
RUNNER = Path(__file__).with_name("page.py")

_LINK = re.compile(r"\[[^\]]*\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]+`")
_MARKUP = re.compile(r"<!-- .*? -->|!(?=\[)")
_MACHINE_PATH = re.compile(r"(?:^|[\s`'\"(=])(?:/(?:home|root|work|Users|tmp|opt)/|[A-Z]:\\)")


def each(paths: list[Path]) -> list[object]:
    return [pytest.param(path, id=str(path.relative_to(ROOT))) for path in paths]


@pytest.fixture
def reader(tmp_path: Path) -> Path:
    """A directory that looks like the repository, with `budget-audit` and `python` on the path."""
    for name in ("sample_traces", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    programs = tmp_path / ".programs"
    programs.mkdir()
    for name, arguments in (
        ("budget-audit", "-c 'from budget_audit.app import main; main()' "),
        ("python", ""),
    ):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments}"$@"\n', "utf-8")
        program.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize("page", each(PAGES))
def test_examples_run_and_print_what_is_shown(page: Path, reader: Path) -> None:
    environment = {
        **os.environ,
        "PATH": f"{reader / '.programs'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "cli")]),
    }
    done = subprocess.run(
        [sys.executable, RUNNER, page],
        cwd=reader,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = _HEADING.findall(_FENCED.sub("", page.read_text("utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", each(TEXTS))
def test_links_lead_somewhere(page: Path) -> None:
    for path, anchor in _LINK.findall(_FENCED.sub("", page.read_text("utf-8"))):
        target = page.parent / path if path else page

        assert target.exists(), path
        assert not anchor or anchor in anchors(target), f"{path}#{anchor}"


@pytest.mark.parametrize("page", each(TEXTS))
def test_the_tone_is_plain_and_nothing_names_a_machine(page: Path) -> None:
    text = page.read_text("utf-8")
    prose = _MARKUP.sub("", _CODE.sub("", _FENCED.sub("", text)))

    assert "!" not in prose
    assert not re.search(r"\b(simply|just|easily|obviously)\b", prose, re.IGNORECASE)
    assert not _MACHINE_PATH.search(text)


def test_every_page_is_reached_from_the_index() -> None:
    linked = {
        (ROOT / "docs" / path).resolve()
        for path, _ in _LINK.findall((ROOT / "docs" / "index.md").read_text("utf-8"))
    }

    assert {
        page.resolve() for page in PAGES if page.name not in ("README.md", "index.md")
    } <= linked
