"""Writes the help of every command into docs/cli.md, or with --check says whether it is there.

python docs/make_cli.py [--check]
"""

import re
import sys
from pathlib import Path

from budget_audit.app import COMMANDS, app
from click.testing import CliRunner

PAGE = Path(__file__).with_name("cli.md")
_PART = re.compile(r"(<!-- help:(?P<name>[ a-z-]*) -->\n).*?(<!-- end of help -->)", re.DOTALL)
_WIDTH = 80


def help_of(name: str) -> str:
    """What `budget-audit NAME --help` prints on a terminal of 80 columns; NAME may be empty."""
    result = CliRunner().invoke(
        app, [*name.split(), "--help"], prog_name="budget-audit", terminal_width=_WIDTH
    )
    if result.exit_code:
        raise LookupError(f"{PAGE.name} names the command {name!r}: {result.output}")
    return result.stdout.strip()


def written(page: str) -> str:
    """The page with the help between its markers brought up to date.

    Raises:
        LookupError: A command has no place on the page, or a place no command.
    """
    places = [match["name"].strip() for match in _PART.finditer(page)]
    missing = sorted({"", *COMMANDS} - set(places))
    if missing:
        raise LookupError(f"{PAGE.name} has no place for the help of {', '.join(missing)}")
    return _PART.sub(
        lambda match: f"{match[1]}```text\n{help_of(match['name'].strip())}\n```\n{match[3]}", page
    )


def main() -> int:
    """Write the page, or compare it; 1 where it is out of date."""
    old = PAGE.read_text("utf-8")
    new = written(old)
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(new, "utf-8")
        return 0
    if new != old:
        sys.stderr.write("docs/cli.md is out of date; run: python docs/make_cli.py\n")
    return int(new != old)


if __name__ == "__main__":
    sys.exit(main())
