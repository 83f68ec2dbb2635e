"""Exported traces of any known format as rows of the `spans` table."""

from otelbudget.ingest.json_stream import MAX_BYTES
from otelbudget.ingest.reader import Progress, read_traces
from otelbudget.ingest.report import ReadReport, ReadWarning
from otelbudget.ingest.sniff import is_store
from otelbudget.ingest.sources import expand

__all__ = [
    "MAX_BYTES",
    "Progress",
    "ReadReport",
    "ReadWarning",
    "expand",
    "is_store",
    "read_traces",
]
