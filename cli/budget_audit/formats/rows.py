"""Answers as flat rows for CSV, from the JSON objects so that both say the same."""

from collections.abc import Mapping, Sequence
from typing import Any


def flat(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows without nesting: {"key": {"model": "x"}} becomes {"model": "x"}; lists are joined."""
    return [_flat(row) for row in rows]


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            prefix = "" if name in ("key", "scope") else f"{name}_"
            columns |= {f"{prefix}{inner}": part for inner, part in _flat(value).items()}
        elif isinstance(value, list):
            columns[name] = " ".join(str(part) for part in value if not isinstance(part, Mapping))
        else:
            columns[name] = value
    return columns
