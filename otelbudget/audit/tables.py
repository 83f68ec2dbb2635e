"""Answers as tables that Arrow, pandas and polars take; none of them need be installed."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from importlib import import_module
from typing import Any

import duckdb
import msgspec

from otelbudget.budgets.decisions import amount
from otelbudget.budgets.kinds import LimitKind
from otelbudget.store import files

_PUSD, _USD = "_pusd", "_usd"
_PUSD_PLACES = 12
_IN_THE_UNIT_OF_THE_KIND = ("limit", "usage", "worst_overshoot")
_LARGEST_BIGINT = 2**63 - 1
_TYPES = {bool: "boolean", int: "bigint", float: "double", Decimal: "decimal(38, 12)"}


class Table:
    """Rows with named columns.

    It can be given to anything that takes Arrow data, such as `polars.DataFrame(table)`,
    `pyarrow.table(table)` or `duckdb.sql("from table")`: it has the Arrow PyCapsule interface.

    Attributes:
        columns: Their names, in order.
    """

    def __init__(self, relation: duckdb.DuckDBPyRelation) -> None:
        self._relation = relation
        self.columns: Sequence[str] = relation.columns

    def rows(self) -> list[dict[str, Any]]:
        """Each row by the names of its columns."""
        return [dict(zip(self.columns, row, strict=True)) for row in self._relation.fetchall()]

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._relation.__arrow_c_stream__(requested_schema)

    def arrow(self) -> Any:
        """A `pyarrow.Table`; pyarrow must be installed."""
        return self._relation.to_arrow_table()

    def df(self) -> Any:
        """A `pandas.DataFrame`; pandas must be installed."""
        return self._relation.df()

    def pl(self) -> Any:
        """A `polars.DataFrame`; polars must be installed."""
        return import_module("polars").DataFrame(self)

    def __len__(self) -> int:
        [(count,)] = self._relation.aggregate("count(*)").fetchall()
        return int(count)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows())

    def __repr__(self) -> str:
        return str(self._relation)


def table(answers: Sequence[Any]) -> Table:
    """A table of answers of one kind, such as the groups of a spend or the points of a sweep.

    Amounts in pico-USD become USD, as exact decimals, and their names say so; limits are in the
    unit of their kind: USD, seconds or a count. What stands inside of an answer becomes columns
    beside it, lists become JSON text.

    Args:
        answers: Structs or mappings.
    """
    rows = [dict(_flat(each)) for each in answers]
    names = list(dict.fromkeys(name for row in rows for name in row))
    connection = files.connect()
    columns = ", ".join(
        f'"{name.replace(chr(34), 2 * chr(34))}" {_type([row.get(name) for row in rows])}'
        for name in names
    )
    connection.execute(f"create table answers ({columns or 'nothing boolean'})")
    if rows and names:
        appender = connection.appender("answers")
        appender.append_rows([tuple(row.get(name) for name in names) for row in rows])
        appender.flush()
    return Table(connection.table("answers"))


def _flat(answer: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The columns of one answer."""
    fields = answer if isinstance(answer, Mapping) else msgspec.structs.asdict(answer)
    kind = fields.get("kind")
    for name, value in fields.items():
        if isinstance(value, msgspec.Struct | Mapping):
            inner = prefix if name in ("key", "totals") else f"{prefix}{name}_"
            yield from _flat(value, inner)
        elif isinstance(kind, LimitKind) and name in _IN_THE_UNIT_OF_THE_KIND:
            yield f"{prefix}{name}", None if value is None else amount(kind, value)
        elif name.endswith(_PUSD):
            yield f"{prefix}{name.removesuffix(_PUSD)}{_USD}", _usd(value)
        else:
            yield f"{prefix}{name}", _plain(value)


def _usd(pusd: int | None) -> Decimal | None:
    return None if pusd is None else Decimal(int(pusd)).scaleb(-_PUSD_PLACES)


def _plain(value: Any) -> Any:
    match value:
        case None | bool() | float() | Decimal():
            return value
        case str():
            return str(value)
        case int():
            return int(value)
        case _:
            return msgspec.json.encode(value, enc_hook=str).decode()


def _type(values: Sequence[Any]) -> str:
    """The type of a column in DuckDB."""
    given = [value for value in values if value is not None]
    kinds = {type(value) for value in given}
    if kinds == {int} and max(map(abs, given)) > _LARGEST_BIGINT:
        return "hugeint"
    return _TYPES.get(kinds.pop(), "varchar") if len(kinds) == 1 else "varchar"
