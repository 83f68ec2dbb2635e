from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from otelbudget.ingest import ReadReport, read_traces
from otelbudget.store.spans import Content, SpanRow

KEY = b"test key of 16 B"


class Read(NamedTuple):
    """What was read, and what was said about it."""

    rows: list[SpanRow]
    report: ReadReport

    def codes(self) -> dict[str, int]:
        """How often each warning was given."""
        return {warning.code: warning.count for warning in self.report.warnings}


ReadFiles = Callable[..., Read]
ReadBytes = Callable[[bytes], Read]


def read_files(*sources: str | Path) -> Read:
    report = ReadReport()
    content = Content(KEY, keep=True)
    batches = read_traces([str(source) for source in sources], content, report)
    return Read([row for batch in batches for row in batch], report)


@pytest.fixture(name="read_files")
def read_files_fixture() -> ReadFiles:
    """Reads files and folders, keeping content."""
    return read_files


@pytest.fixture
def read_bytes(tmp_path: Path) -> ReadBytes:
    """Reads one file of these bytes."""
    path = tmp_path / "export"

    def read(text: bytes) -> Read:
        path.write_bytes(text)
        return read_files(path)

    return read
