"""Spans that hold the spans below them in a list `children`."""

from collections.abc import Iterator

from otelbudget.ingest import spellings
from otelbudget.ingest.fields import Object, as_objects

_CHILDREN = "children"


def is_tree(value: Object) -> bool:
    """Whether an object is a span with spans below it."""
    return any(map(spellings.is_span, as_objects(value.get(_CHILDREN)))) and (
        spellings.is_span(value)
    )


def spans(root: Object) -> Iterator[Object]:
    """The spans of a tree, each before those below it, which name it where they name no parent."""
    waiting = [root]
    while waiting:
        value = waiting.pop()
        below = as_objects(value.get(_CHILDREN))
        yield {key: inner for key, inner in value.items() if key != _CHILDREN}
        waiting += [spellings.child_of(value, child) for child in reversed(below)]
