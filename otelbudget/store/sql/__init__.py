"""The SQL of this room, one statement a file, loaded by name."""

from functools import cache
from importlib.resources import files


@cache
def load(package: str, name: str) -> str:
    """The statement in `NAME.sql` beside a package's other SQL.

    Args:
        package: Package whose `sql` folder holds the file, such as "otelbudget.store".
        name: File name without its ending.
    """
    return files(f"{package}.sql").joinpath(f"{name}.sql").read_text("utf-8")
