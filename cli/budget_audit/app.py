"""The entry point: commands, exit codes and errors."""

import os
import re
import sys
import tempfile
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

import click

from otelbudget import __version__
from otelbudget.errors import OtelBudgetError

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_WRONG_USAGE = 2
EXIT_GATE_FAILED = 3
_SIGNS_OF_NO_ROOM = ("Out of Memory", "No space left", "File too large", "max_temp_directory_size")

# Name, and first sentence of the help, so that --help loads no command.
COMMANDS: Mapping[str, str] = {
    "audit": "Answer what was spent, on what, and what the numbers leave out.",
    "diff": "Compare the runs of two sources: what do they call, use and cost now, and before.",
    "doctor": "Prove in this environment that a used-up budget stops the next model call.",
    "focus": "Write what was spent as FOCUS rows (CSV), for the tools of finance.",
    "gate": "Fail where recorded runs pass their budgets: for CI.",
    "import": "Read traces into a DuckDB store, or into Parquet files.",
    "prices": "Show what a model costs, where its price comes from, and what others say.",
    "simulate": "Replay limits over recorded traces: what would they have stopped and saved.",
    "suggest": "Suggest a limit per workflow from what its runs needed.",
    "trace": "Show one trace: the tree of its spans, what each used, cost and brought the total to.",
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands' names in order of the alphabet."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, from the module of its name."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"budget_audit.commands.{cmd_name.rstrip('_')}_")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands in the help."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


def _show_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:  # noqa: ARG001, FBT001 - the signature click asks for
    if value and not ctx.resilient_parsing:
        click.echo(f"budget-audit {__version__}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--no-color", is_flag=True, help="Write without colour, as NO_COLOR does.")
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_show_version,
    help="Show the version and exit.",
)
@click.pass_context
def app(ctx: click.Context, no_color: bool) -> None:  # noqa: FBT001 - an option of click
    """Ask recorded traces of LLM agents what they spent and which limits to set.

    \b
    Example:
      budget-audit audit traces.jsonl

    SRC is any number of trace files, folders, globs, DuckDB stores, or - for standard input;
    formats are recognised by their content.
    """
    if no_color or os.environ.get("NO_COLOR"):
        ctx.color = False


def main() -> None:
    """Run the command line; every expected error is one sentence and an exit code."""
    try:
        sys.exit(app(prog_name="budget-audit", standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("budget-audit: interrupted", err=True)
        sys.exit(EXIT_FAILED)
    except OtelBudgetError as error:
        click.echo(f"budget-audit: {error}", err=True)
        sys.exit(EXIT_FAILED)
    except OSError as error:
        if not isinstance(error, BrokenPipeError):  # then the reader has gone: say nothing
            click.echo(f"budget-audit: {_cause(error)}", err=True)
        # Python flushes at the end, and would fail once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_FAILED)
    except Exception as error:
        if not _is_of_duckdb(error):
            raise
        click.echo(f"budget-audit: {_cause_in_duckdb(error)}", err=True)
        sys.exit(EXIT_FAILED)


def _cause(error: OSError) -> str:
    if error.filename is None:
        return f"the answer cannot be written: {error.strerror or error}"
    return f"{os.fspath(error.filename)} cannot be used: {error.strerror}"


def _is_of_duckdb(error: Exception) -> bool:
    duckdb = sys.modules.get("duckdb")  # not loaded for this: most commands start without it
    return duckdb is not None and isinstance(error, duckdb.Error)


def _cause_in_duckdb(error: Exception) -> str:
    """What DuckDB could not do, without what it says to those who write SQL."""
    lines = str(error).strip().splitlines()
    reason = lines[0].rpartition("Original error: ")[2] if lines else type(error).__name__
    if not any(sign in reason for sign in _SIGNS_OF_NO_ROOM):
        remedy = "where a store is damaged, import its traces into a new one, else report this"
    elif file := re.search(r'file "([^"]+)"', reason):
        remedy = f"make room on the disk of {Path(file[1]).parent.parent}"
    else:
        remedy = f"make room in memory and in {tempfile.gettempdir()}"
    return f"DuckDB failed: {reason}; {remedy}"
