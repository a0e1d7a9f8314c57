import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmirror.plan.largest import Large, largest
from asyncmirror.plan.outline import Kind
from tests.formats.trees import TREES, Tree


def directories(tree: Tree, depth: int = 0) -> list[Large]:
    own = [Large(tree.name, depth, tree.size, tree.kind)] if tree.kind is Kind.DIRECTORY else []
    return [*own, *(large for entry in tree.entries for large in directories(entry, depth + 1))]


@settings(max_examples=100)
@given(tree=TREES, count=st.integers(1, 6))
def test_the_largest_are_taken_and_are_a_tree(tree: Tree, count: int) -> None:
    found = largest(tree.steps(), count)
    everything = directories(tree)
    assert sorted((large.size for large in found), reverse=True) == sorted((d.size for d in everything), reverse=True)[:count]
    assert found == [large for large in everything if large in found]
    # Each stands one level below one that was named before it, so that a tree can be drawn.
    assert found[0].depth == 0
    assert all(after.depth <= before.depth + 1 for before, after in itertools.pairwise(found))
