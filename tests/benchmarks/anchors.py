"""What somebody would write to bring OTLP JSON lines into DuckDB: python -m ... NAME FILE STORE."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb

SQL = Path(__file__).parent / "sql"
_SPANS = (
    "trace_id varchar, span_id varchar, parent_span_id varchar, name varchar, kind integer,"
    " start_time_unix_nano bigint, end_time_unix_nano bigint, status_code integer,"
    " attributes varchar, scope_name varchar, resource_attributes varchar"
)


def executemany(file: str, store: str) -> None:
    """The json module, a dict of attributes, and a row a span."""
    connection = duckdb.connect(store)
    connection.execute(f"create table spans ({_SPANS})")
    connection.begin()
    marks = ", ".join("?" * (_SPANS.count(",") + 1))
    with Path(file).open("rb") as lines:
        for line in lines:
            connection.executemany(f"insert into spans values ({marks})", list(_rows(line)))
    connection.commit()


def _rows(line: bytes) -> Iterator[tuple[Any, ...]]:
    for resource in json.loads(line)["resourceSpans"]:
        of_resource = json.dumps(_attributes(resource["resource"]))
        for scoped in resource["scopeSpans"]:
            for span in scoped["spans"]:
                yield (
                    span["traceId"],
                    span["spanId"],
                    span["parentSpanId"] or None,
                    span["name"],
                    span["kind"],
                    int(span["startTimeUnixNano"]),
                    int(span["endTimeUnixNano"]),
                    span["status"].get("code", 0),
                    json.dumps(_attributes(span)),
                    scoped["scope"]["name"],
                    of_resource,
                )


def _attributes(of: dict[str, Any]) -> dict[str, Any]:
    return {each["key"]: next(iter(each["value"].values())) for each in of["attributes"]}


def read_json(file: str, store: str) -> None:
    """DuckDB's own reader, the attributes kept as they are."""
    connection = duckdb.connect(store)
    connection.execute((SQL / "read_otlp_json.sql").read_text("utf-8"), {"file": file})


if __name__ == "__main__":
    {"executemany": executemany, "read_json": read_json}[sys.argv[1]](*sys.argv[2:])
