"""Runs a page of the documentation: its Python and console blocks, in order, in this directory.

    python page.py PAGE

Python blocks share a namespace; a text block after one is what it prints. In console blocks each
`$ ` line is run by bash, and what follows is its output on both streams, where any is shown. `...`
stands for anything. A YAML block that begins with a comment such as `# budgets.yaml` is written to
the file of that name. Other blocks, and commands without `$ `, are not run.
"""

import contextlib
import doctest
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from otelbudget.testing import FakeProvider, Reply

# gpt-4o: 2.50 USD/Mtok * 20_000 + 10 USD/Mtok * 5_000 = 0.05 USD + 0.05 USD
TEN_CENTS = Reply(input_tokens=20_000, output_tokens=5_000)

_FENCE = re.compile(r"^ *```(\w*)")
_CONSOLES = ("console", "bash")
_FILE_NAME = re.compile(r"# ([\w-]+\.yaml)\n")


class Block(NamedTuple):
    """A fenced block.

    Attributes:
        line: Line of its fence, from 1.
        language: What the fence names, "" where nothing.
        text: What is inside.
    """

    line: int
    language: str
    text: str


class Command(NamedTuple):
    """A command with the output that is shown below it, "" where none is."""

    text: str
    output: str


def blocks(page: str) -> Iterator[Block]:
    """The fenced blocks of a page."""
    start, language, lines = 0, "", list[str]()
    for number, line in enumerate(page.splitlines(), 1):
        fence = _FENCE.match(line)
        if fence and not start:
            start, language, lines = number, fence[1], []
        elif fence:
            yield Block(start, language, "\n".join(lines) + "\n")
            start = 0
        elif start:
            lines.append(line)
    if start:
        raise ValueError(f"the block of line {start} has no end")


def commands(text: str) -> Iterator[Command]:
    """The commands of a console block; a backslash at the end of a line continues it."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        lines = part.splitlines()
        ends = next(index for index, line in enumerate(lines) if not line.endswith("\\"))
        output = "\n".join(lines[ends + 1 :]).strip("\n")
        yield Command("\n".join(lines[: ends + 1]), output)


def matches(shown: str, printed: str) -> bool:
    """Whether output is as shown, where `...` stands for anything."""
    shown, printed = (
        "".join(line.rstrip() + "\n" for line in text.strip("\n").splitlines())
        for text in (shown, printed)
    )
    return doctest.OutputChecker().check_output(shown, printed, doctest.ELLIPSIS)


def run(page: Path) -> None:
    """Run every block of a page.

    Raises:
        AssertionError: A command failed, or printed something else than is shown.
    """
    namespace: dict[str, Any] = {"__name__": "__main__"}
    printed: str | None = None
    for block in blocks(page.read_text("utf-8")):
        where = f"{page.name}:{block.line}"
        if block.language == "python":
            printed = _run_python(block, where, namespace)
        elif block.language == "text" and printed is not None:
            _compare(where, block.text, printed)
            printed = None
        elif block.language in _CONSOLES:
            for command in commands(block.text):
                _run_command(command, where)
        elif block.language == "yaml" and (named := _FILE_NAME.match(block.text)):
            Path(named[1]).write_text(block.text, "utf-8")


def _run_python(block: Block, where: str, namespace: dict[str, Any]) -> str:
    code = compile("\n" * block.line + block.text, where, "exec")
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(code, namespace)  # noqa: S102 - our own documentation
    return output.getvalue()


def _run_command(command: Command, where: str) -> None:
    done = subprocess.run(
        ["bash", "-c", command.text],  # noqa: S607 - the shell of the reader
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise AssertionError(f"{where}: {command.text} exits {done.returncode}: {done.stdout}")
    if command.output:
        _compare(f"{where}: {command.text}", command.output, done.stdout)


def _compare(where: str, shown: str, printed: str) -> None:
    if not matches(shown, printed):
        raise AssertionError(f"{where}\n--- shown\n{shown}\n--- printed\n{printed}")


def main() -> None:
    """Run the page that the command line names, on a provider whose every call costs ten cents."""
    with FakeProvider(TEN_CENTS) as provider:
        os.environ |= {"OPENAI_BASE_URL": provider.openai_base_url, "OPENAI_API_KEY": "none"}
        run(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
