"""Reads the YAML files that users write: exactly, and with errors that name the file."""

import re
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
    """YAML in which only true, false and null are more than text.

    Numbers stay as they are written, and `no`, `1:30` and 2026-01-05 are what they look like.
    A key that is given twice is an error: the second one would silently replace the first.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._place: list[object] = []

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose the value of a key, and know meanwhile whose value it is."""
        self._place.append(index)
        node = super().compose_node(parent, index)
        self._place.pop()
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise BudgetConfigError(
                        f"is given twice (line {key.start_mark.line + 1}); keep one",
                        key=".".join([*self._keys(), key.value]),
                    )
                seen.add(key.value)
        return node

    def _keys(self) -> list[str]:
        return [key.value for key in self._place if isinstance(key, yaml.ScalarNode)]


_ExactLoader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", [*"tTfF"]),
    ("null", r"~|null|Null|NULL|", [*"~nN", ""]),
    ("merge", r"<<", ["<"]),
):
    _ExactLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first
    )


def _one_line(error: Exception) -> str:
    """What is wrong and where, without the excerpt of the text that YAML puts below it."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return " ".join(str(error).replace('in "<unicode string>", ', "at ").split())
    parts = (
        (error.context, error.context_mark),
        (error.problem, error.problem_mark),
        (error.note, None),
    )
    return ", ".join(f"{text}{_at(mark)}" for text, mark in parts if text)


def _at(mark: yaml.Mark | None) -> str:
    return "" if mark is None else f" (line {mark.line + 1}, column {mark.column + 1})"
