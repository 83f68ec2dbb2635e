"""Tables whose rows are spans, in the JSON that ClickHouse and pandas write beside plain rows.

Source: ClickHouse formats JSONCompact and JSONColumns; pandas `DataFrame.to_json` with orient
"columns" (its default), "index" and "split"; read 2026-11.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import zip_longest

from otelbudget.ingest.fields import Object, as_objects
from otelbudget.ingest.phoenix import INDEX

_MAX_COLUMNS = 10_000


def rows(value: Object, is_row: Callable[[Object], bool]) -> list[Object] | None:
    """The rows of a table; None where the object is none, or its rows are none that are known.

    Args:
        value: A decoded JSON object.
        is_row: Whether an object is a row that is known.
    """
    for read in (_with_names, _by_index, _by_column):
        found = read(value)
        if found is not None and (first := next(found, None)) is not None and is_row(first):
            return [first, *found]
    return None


def _with_names(value: Object) -> Iterator[Object] | None:
    """{"meta": [{"name": …}, …], "data": [[…], …]} and {"columns": […], "data": [[…], …]}."""
    names = value.get("columns") or [column.get("name") for column in as_objects(value.get("meta"))]
    data, index = value.get("data"), value.get("index")
    if not isinstance(names, list) or not isinstance(data, list) or not names:
        return None
    if not all(isinstance(row, list) and len(row) == len(names) for row in data):
        return None
    return _indexed(data, names, index if isinstance(index, list) else ())


def _indexed(
    data: Iterable[list[object]], names: list[str], index: Iterable[object]
) -> Iterator[Object]:
    for row, key in zip_longest(data, index):
        if row is not None:
            yield _with_index(dict(zip(map(str, names), row, strict=True)), key)


def _by_index(value: Object) -> Iterator[Object] | None:
    """{"INDEX": {"COLUMN": …, …}, …}."""
    if not value or not all(isinstance(row, dict) for row in value.values()):
        return None
    return (_with_index(row, key) for key, row in value.items())


def _by_column(value: Object) -> Iterator[Object] | None:
    """{"COLUMN": {"INDEX": …, …}, …} and {"COLUMN": […], …}."""
    columns = list(value.values())
    if not columns or len(columns) > _MAX_COLUMNS:
        return None
    if all(isinstance(column, list) for column in columns):
        return (dict(zip(value, row, strict=True)) for row in zip_longest(*columns))
    if all(isinstance(column, dict) for column in columns):
        return (
            _with_index({name: column.get(key) for name, column in value.items()}, key)
            for key in columns[0]
        )
    return None


def _with_index(row: Object, key: object) -> Object:
    """The row; Phoenix makes the span id the index, which pandas then writes in no column."""
    is_id = isinstance(key, str) and INDEX not in row and "context.trace_id" in row
    return row | {INDEX: key} if is_id else row
