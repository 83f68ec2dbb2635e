"""Folded trees: whatever a trace looks like, each of its spans is in one row."""

from budget_audit.formats.folding import folded
from hypothesis import given
from hypothesis import strategies as st

from otelbudget.audit.trace import Node


def node(name: str, parent: int | None) -> Node:
    return Node("1", parent, 0, "span", name, None, None, 0, 1, is_error=False, error="")


@st.composite
def trees(draw: st.DrawFn) -> list[Node]:
    """Parents before their children, in the order in which a tree is walked."""
    nodes: list[Node] = []
    open_: list[int] = []
    for _ in range(draw(st.integers(1, 120))):
        depth = draw(st.integers(0, len(open_)))
        open_ = open_[:depth]
        nodes.append(node(draw(st.sampled_from("ab")), open_[-1] if open_ else None))
        open_.append(len(nodes) - 1)
    return nodes


@given(trees(), st.integers(0, 200))
def test_every_span_is_in_one_row_and_the_marked_one_alone(nodes: list[Node], mark: int) -> None:
    marked = mark if mark < len(nodes) else None

    rows = folded(nodes, marked)

    inside = [id(each) for row in rows for each in row.nodes]
    assert sorted(inside) == sorted(map(id, nodes))
    if marked is not None:
        assert [row.nodes for row in rows if row.nodes[0] is nodes[marked]] == [[nodes[marked]]]


def test_blocks_that_repeat_share_rows() -> None:
    nodes = [node("root", None), *(node(name, 0) for name in "ab" * 20), node("c", 0)]

    rows = folded(nodes)

    assert [(row.guide, row.nodes[0].name, len(row.nodes)) for row in rows] == [
        ("", "root", 1),
        ("├ ", "a", 20),
        ("├ ", "b", 20),
        ("└ ", "c", 1),
    ]


def test_short_trees_stay_as_they_are() -> None:
    nodes = [node("root", None), *(node("a", 0) for _ in range(9))]

    assert [len(row.nodes) for row in folded(nodes)] == [1] * 10
