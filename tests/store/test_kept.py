"""What is made of a large store's spans stays beside it, and is right or made anew."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from otelbudget.store import kept
from otelbudget.store.store import Store
from tests.store.conftest import MakeRow

Count = Callable[..., int]


@pytest.fixture(autouse=True)
def every_store_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "FROM_SPANS", 1)


@pytest.fixture
def large(store_path: Path, make_row: MakeRow) -> Path:
    store = Store()
    store.append([make_row("a"), make_row("b")])
    store.save(store_path)
    store.close()
    return store_path


@pytest.fixture
def count() -> Iterator[Count]:
    """Counts the spans by a table that is made once; tells of each time that it is made."""
    stores = []

    def count(path: Path, made: list[str], by: str = "one program") -> int:
        store = Store.of(path)
        stores.append(store)

        def make() -> None:
            made.append(by)
            store.execute("create or replace table names as select name from spans")

        store.make_once(lambda: by, make)
        (number,) = store.row("select count(*) from names")
        store.close()
        return int(number)

    yield count
    for store in stores:
        store.close()


def test_what_was_made_once_is_there_the_next_time(large: Path, count: Count) -> None:
    made: list[str] = []

    assert [count(large, made), count(large, made)] == [2, 2]
    assert made == ["one program"]
    assert kept.file(large).stat().st_mode & 0o777 == 0o600


def test_it_is_made_anew_by_another_program(large: Path, count: Count) -> None:
    made: list[str] = []
    for by in ("one", "two", "two"):
        count(large, made, by)

    assert made == ["one", "two"]


def test_it_is_made_anew_for_other_spans(large: Path, count: Count, make_row: MakeRow) -> None:
    made: list[str] = []
    count(large, made)
    more = Store()
    more.append([make_row("c")])
    more.save(large)
    more.close()

    assert count(large, made) == 3
    assert len(made) == 2


@pytest.mark.parametrize("content", [b"", b"no database", b"\0" * 20_000])
def test_a_damaged_file_is_made_anew(large: Path, count: Count, content: bytes) -> None:
    kept.file(large).write_bytes(content)
    made: list[str] = []

    assert [count(large, made), count(large, made)] == [2, 2]
    assert len(made) == 1


def test_a_small_store_leaves_no_file(
    large: Path, count: Count, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "FROM_SPANS", 3)
    count(large, [])

    assert list(large.parent.iterdir()) == [large]


def test_tables_of_a_later_question_stay_too(large: Path, count: Count) -> None:
    count(large, [])
    for is_there in (False, True):
        store = Store.of(large)
        store.make_once(lambda: "one program", lambda: None)
        found = store.rows("select 1 from duckdb_tables() where table_name = 'later'")
        with store.keeping():
            store.execute("create table if not exists later as select 1 as number")
        store.close()

        assert bool(found) == is_there


def test_a_question_about_a_part_keeps_nothing(large: Path, count: Count) -> None:
    count(large, [])
    store = Store.of(large)
    store.make_once(lambda: "one program", lambda: None)
    store.is_narrowed = True
    with store.keeping():
        store.execute("create table later as select 1 as number")

    assert store.rows("select database_name from duckdb_tables() where table_name = 'later'") == [
        ("memory",)
    ]
    store.close()


def test_two_may_ask_at_once(large: Path, count: Count) -> None:
    count(large, [])
    first, second = Store.of(large), Store.of(large)
    for store in (first, second):
        store.make_once(lambda: "one program", lambda: None)
    with second.keeping():
        second.execute("create table later as select 7 as number")

    assert second.rows("select number from later") == [(7,)]
    assert first.rows("select count(*) from names") == [(2,)]
    first.close()
    second.close()
