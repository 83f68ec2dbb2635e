"""Reads the YAML files that users write: exactly, and with errors that name the file."""

from os import PathLike
from pathlib import Path
from typing import Any

import yaml

from otelbudget.errors import BudgetConfigError

_MAX_FILE_BYTES = 1 << 20


def read_yaml(path: str | PathLike[str]) -> object:
    """What a YAML file holds; its decimal numbers stay text, so that 0.10 is exactly ten cents.

    Raises:
        BudgetConfigError: The file cannot be read or is no YAML, or a key is given twice.
    """
    where = str(path)
    try:
        return yaml.load(_text(Path(path)), Loader=_ExactLoader)  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise BudgetConfigError(f"cannot be read: {error.strerror}", path=where) from error
    except BudgetConfigError as error:
        raise BudgetConfigError(error.reason, path=where, key=error.key) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # A ValueError is text that is no UTF-8, or a date or number that cannot be.
        raise BudgetConfigError(f"is no YAML: {_one_line(error)}", path=where) from error


def _text(file: Path) -> str:
    with file.open("rb") as opened:
        content = opened.read(_MAX_FILE_BYTES + 1)
    if len(content) > _MAX_FILE_BYTES:
        raise BudgetConfigError("is larger than 1 MiB, so it is no budgets file")
    return content.decode("utf-8-sig")


class _ExactLoader(yaml.SafeLoader):
    """YAML whose decimal numbers stay text.

    A key that is given twice is an error: the second one would silently replace the first.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    line = key.start_mark.line + 1
                    raise BudgetConfigError(
                        f"is given twice (line {line}); keep one", key=key.value
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


_ExactLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":float")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
