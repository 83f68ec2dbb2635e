"""Exported traces of any known format as rows of the `spans` table."""

from otelbudget.ingest.reader import read_traces
from otelbudget.ingest.report import ReadReport, ReadWarning
from otelbudget.ingest.sniff import is_store
from otelbudget.ingest.sources import expand

__all__ = ["ReadReport", "ReadWarning", "expand", "is_store", "read_traces"]
