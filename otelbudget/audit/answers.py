"""Answers about all calls of a large store, kept beside it with what was made of its spans."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import msgspec

from otelbudget.store import sql
from otelbudget.store.store import Store

_load = partial(sql.load, "otelbudget.audit")
_Answer = TypeVar("_Answer")
_STAMP, _ANSWERS = "otelbudget_stamp", "answers"


def answered(
    store: Store, type_: type[_Answer], question: tuple[object, ...], ask: Callable[[], _Answer]
) -> _Answer:
    """What a question gives; where the store keeps what is made of it, an earlier run's answer.

    Args:
        store: A store on which `build_model_calls` has run.
        type_: The type of the answer, which can be written as JSON.
        question: What the answer depends on beside the store and its prices.
        ask: Finds the answer.
    """
    if store.is_narrowed or not _is_there(store, _STAMP):
        return ask()
    inputs = {"question": repr(question)}
    if _is_there(store, _ANSWERS):
        for (text,) in store.rows(_load("kept_answer"), inputs):
            return msgspec.json.decode(text, type=type_)
    answer = ask()
    with store.keeping():
        store.execute(_load("create_answers"))
        store.execute(
            _load("insert_answer"), {**inputs, "answer": msgspec.json.encode(answer).decode()}
        )
    return answer


def _is_there(store: Store, table: str) -> bool:
    (count,) = store.row(_load("count_tables"), {"name": table})
    return bool(count)
