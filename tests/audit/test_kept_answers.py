"""What was answered of a large store is answered again from what is kept beside it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from budget_audit.loading import Loaded, load

from otelbudget.audit.keys import Keys
from otelbudget.audit.select import keep_calls
from otelbudget.audit.spend import Spend, spend
from otelbudget.store import kept

Make = Callable[..., Any]
START_NS = 1_780_000_000 * 10**9


@pytest.fixture
def path(
    span: Make, usage: Make, counted: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A store of two calls of two tenants; what is made of it is kept, however small it is."""
    monkeypatch.setattr(kept, "FROM_SPANS", 1)
    spans = (
        span(1, 1, at=(0, 10), tenant__id="acme", **usage()),
        span(2, 1, at=(20, 30), tenant__id="umbrella", **usage(2_000)),
    )
    counted(spans).store.save(tmp_path / "store.duckdb")
    return tmp_path / "store.duckdb"


@pytest.fixture
def loaded(path: Path) -> Iterator[Callable[[], Loaded]]:
    """Loads the store as a new run does."""
    open_: list[Loaded] = []

    def load_again() -> Loaded:
        while open_:
            open_.pop().store.close()
        open_.append(load([str(path)]))
        return open_[-1]

    yield load_again
    while open_:
        open_.pop().store.close()


def asked(one: Loaded, most: int | None = 10) -> Spend:
    return spend(one.store, Keys(("tenant.id",)), book=one.book, most=most)


def test_a_later_run_gives_the_same_answer_and_looks_at_no_calls(
    loaded: Callable[[], Loaded],
) -> None:
    first = asked(loaded())
    later = loaded()
    later.store.execute("create view memory.main.model_calls as select 1 as nothing")

    assert asked(later) == first
    assert [group.totals.input_tokens for group in first.groups] == [2_000, 1_000]


def test_another_number_of_groups_is_another_answer(loaded: Callable[[], Loaded]) -> None:
    assert len(asked(loaded()).groups) == 2
    assert len(asked(loaded(), most=1).groups) == 1
    assert asked(loaded(), most=1).groups_count == 2


def test_what_is_asked_of_a_part_is_neither_taken_from_the_whole_nor_kept(
    loaded: Callable[[], Loaded],
) -> None:
    whole = asked(loaded())
    part = loaded()
    keep_calls(part.store, START_NS + 15, None)

    assert asked(part).totals.input_tokens == 2_000
    assert asked(loaded()) == whole
