"""Puts an answer where it was asked for, in the format it was asked for."""

import csv
import io
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import msgspec
from rich.console import Console, RenderableType

_WIDTH_WITHOUT_TERMINAL = 120
_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")


class Answer(NamedTuple):
    """An answer in every format.

    Attributes:
        table: For people.
        document: For programs, as one JSON object.
        rows: For spreadsheets: one flat mapping per row, all with the same keys.
    """

    table: RenderableType
    document: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]


def write(answer: Answer, *, format_: str, output: str) -> None:
    """Write an answer to standard output ("-") or to a file.

    Raises:
        click.FileError: The file cannot be written.
    """
    write_text(_text(answer, format_, is_terminal=output == "-"), output)


def write_text(text: str, output: str) -> None:
    """Write text to standard output ("-") or to a file.

    Raises:
        click.FileError: The file cannot be written.
    """
    if output == "-":
        click.echo(text, nl=False, color=_has_color())
        return
    try:
        Path(output).write_text(text, "utf-8")
    except OSError as error:
        raise click.FileError(output, error.strerror or str(error)) from error


def _text(answer: Answer, format_: str, *, is_terminal: bool) -> str:
    match format_:
        case "json":
            return (
                msgspec.json.format(msgspec.json.encode(answer.document), indent=2).decode() + "\n"
            )
        case "csv":
            return csv_text(answer.rows)
        case _:
            return _render(answer.table, has_color=is_terminal and _has_color())


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV with a header; all have the same keys.

    Text that a spreadsheet would take for a formula begins with an apostrophe: names of users may
    look like it, and run where the file is opened.
    """
    lines = _Lines()
    if rows:
        writer = csv.DictWriter(lines, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows({name: _harmless(cell) for name, cell in row.items()} for row in rows)
    return "".join(line.removesuffix("\r\n") + "\n" for line in lines)


class _Lines(list[str]):
    """Rows as the csv module writes them; it quotes carriage returns only where these end lines."""

    def write(self, line: str) -> None:
        """Add a row."""
        self.append(line)


def _harmless(cell: Any) -> Any:
    """A cell that no spreadsheet takes for a formula; numbers stay as they are."""
    is_formula = isinstance(cell, str) and _FORMULA.match(cell) and not _NUMBER.fullmatch(cell)
    return f"'{cell}" if is_formula else cell


def _render(table: RenderableType, *, has_color: bool) -> str:
    text = io.StringIO()
    is_terminal = sys.stdout.isatty()
    console = Console(
        file=text,
        force_terminal=has_color,
        no_color=not has_color,
        color_system="standard" if has_color else None,
        width=None if is_terminal else _WIDTH_WITHOUT_TERMINAL,
        highlight=False,
        markup=False,  # names of users may look like it
        emoji=False,
    )
    console.print(table)
    return "".join(line.rstrip() + "\n" for line in text.getvalue().splitlines())


def _has_color() -> bool:
    context = click.get_current_context(silent=True)
    if context is not None and context.color is not None:
        return context.color
    return sys.stdout.isatty()
