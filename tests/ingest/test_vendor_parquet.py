"""Rows of other tools in Parquet give what they give as JSON lines."""

from pathlib import Path

import duckdb
import pytest

from tests.cli import test_formats as formats
from tests.ingest.conftest import read_files

SPANS = formats.SPANS[:50]
EVENTS = {
    "Events.Timestamp": [formats.iso(SPANS[0].start, " ", "")],
    "Events.Name": ["an event"],
    "Events.Attributes": [{"a": "1"}],
}
CLICKHOUSE = """
select * replace (
    "Timestamp"::timestamp_ns as "Timestamp",
    "Duration"::ubigint as "Duration",
    "Events.Timestamp"::timestamp_ns[] as "Events.Timestamp"
)
from read_json($file, columns = {
    Timestamp: 'varchar', TraceId: 'varchar', SpanId: 'varchar', ParentSpanId: 'varchar',
    TraceState: 'varchar', SpanName: 'varchar', SpanKind: 'varchar', ServiceName: 'varchar',
    ResourceAttributes: 'map(varchar, varchar)', ScopeName: 'varchar', ScopeVersion: 'varchar',
    SpanAttributes: 'map(varchar, varchar)', Duration: 'varchar', StatusCode: 'varchar',
    StatusMessage: 'varchar', 'Events.Timestamp': 'varchar[]', 'Events.Name': 'varchar[]',
    'Events.Attributes': 'map(varchar, varchar)[]'
})
"""
PHOENIX = """
select * replace (start_time::timestamptz as start_time, end_time::timestamptz as end_time)
from read_json_auto($file)
"""
LANGFUSE = """
select * replace (usage_details::json::map(varchar, ubigint) as usage_details)
from read_json_auto($file)
"""


@pytest.mark.parametrize(
    ("name", "text", "statement"),
    [
        ("clickhouse", formats.lines([formats.clickhouse(s) | EVENTS for s in SPANS]), CLICKHOUSE),
        ("phoenix", formats.lines([formats.phoenix_row(s) for s in SPANS]), PHOENIX),
        ("langfuse", formats.lines([formats.langfuse(s) for s in SPANS]), LANGFUSE),
        (
            "span-rows",
            formats.lines([formats.our_rows(s) for s in SPANS]),
            "from read_json_auto($file)",
        ),
    ],
    ids=["clickhouse", "phoenix", "langfuse", "ours"],
)
def test_parquet_gives_what_lines_give(
    tmp_path: Path, name: str, text: bytes, statement: str
) -> None:
    lines, parquet = tmp_path / "rows.jsonl", tmp_path / "rows.parquet"
    lines.write_bytes(text)
    with duckdb.connect() as connection:
        connection.execute(
            f"copy ({statement}) to '{parquet}' (format parquet)", {"file": str(lines)}
        )
    of_lines, of_parquet = read_files(lines), read_files(parquet)

    assert of_parquet.rows == of_lines.rows
    assert len(of_lines.rows) == len(SPANS)
    assert of_lines.report.formats == {name: 1}
    assert of_parquet.report.warnings == []
