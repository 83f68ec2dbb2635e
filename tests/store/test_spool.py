"""A row that goes through a spool file comes out as it went in."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otelbudget.store import spool, sql
from otelbudget.store.spans import SpanRow
from otelbudget.store.store import Store

COLUMNS = re.findall(
    r"^    \w+ (\w+)( not null)?", sql.load("otelbudget.store", "create_spans"), re.MULTILINE
)
MEANINGFUL = [
    "",
    "\x7f",
    "\x1f",
    "\x1d",
    "a\x1db",
    "\n",
    "\r\n",
    "\x00",
    '"',
    "\\N",
    " a ",
    "\ufeff",
    "#",
]
TEXT = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(MEANINGFUL)
VALUES = {
    "varchar": TEXT,
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "tinyint": st.integers(-128, 127),
}


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store()
    yield store
    store.close()


def a_value(kind: str, not_null: str) -> st.SearchStrategy[object]:
    return VALUES[kind] if not_null else st.none() | VALUES[kind]


ROWS = st.lists(st.tuples(*(a_value(*column) for column in COLUMNS)).map(SpanRow._make), max_size=5)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=ROWS)
def test_rows_come_out_as_they_went_in(rows: list[SpanRow], store: Store, tmp_path: Path) -> None:
    file = tmp_path / "spool"
    with file.open("wb") as to:
        spool.write(to, rows)
    before = store.count()
    store.load(file)

    assert store.rows("select * from spans")[before:] == [tuple(row) for row in rows]
    store.take_back(len(rows))
    assert store.count() == before
