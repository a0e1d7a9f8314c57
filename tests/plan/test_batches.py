import os
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asyncmirror.errors import UsageError
from asyncmirror.plan import batches
from asyncmirror.plan.batches import Batch, Limits, divide
from asyncmirror.plan.outline import Kind
from tests.formats.trees import TREES, Tree

LIMITS = st.tuples(st.integers(0, 3000), st.integers(0, 3000)).map(lambda pair: Limits(min(pair), max(*pair, 1)))


def flat(name: bytes, *sizes: int) -> Tree:
    return Tree(name, Kind.DIRECTORY, 0, tuple(Tree(b"f%03d" % n, Kind.FILE, size) for n, size in enumerate(sizes)))


def covers(paths: tuple[bytes, ...], leaf: bytes) -> int:
    return sum(path in (b"", leaf) or leaf.startswith(path + b"/") for path in paths)


@settings(max_examples=150)
@given(tree=TREES, limits=LIMITS)
@example(tree=Tree(b"r", Kind.DIRECTORY), limits=Limits(0, 1))
def test_every_file_is_in_exactly_one_batch(tree: Tree, limits: Limits) -> None:
    found = list(divide(tree.steps(), limits))
    held = Counter({leaf: sum(covers(batch.paths, leaf) for batch in found) for leaf, _ in tree.leaves()})
    assert set(held.values()) == {1}
    for batch in found:
        assert batch.size == sum(size for leaf, size in tree.leaves() if covers(batch.paths, leaf))
    assert sum(batch.size or 0 for batch in found) == tree.size


@settings(max_examples=150)
@given(tree=TREES, limits=LIMITS)
def test_batches_have_the_sizes_asked_for(tree: Tree, limits: Limits) -> None:
    found = list(divide(tree.steps(), limits))
    leaves = dict(tree.leaves())
    for batch in found:
        assert batch.size is not None
        if batch.size > limits.most:
            assert len(batch.paths) == 1
            assert batch.paths[0] in leaves
    # What is smaller than wanted: the last, and those to which nothing could be added that stands by itself neither.
    small = [batch.size for batch in found[:-1] if batch.size is not None and batch.size < limits.least]
    assert all(size + limits.least > limits.most for size in small) or 2 * limits.least > limits.most


@settings(max_examples=100)
@given(tree=TREES, limits=LIMITS)
def test_the_same_tree_gives_the_same_batches(tree: Tree, limits: Limits) -> None:
    assert list(divide(tree.steps(), limits)) == list(divide(tree.steps(), limits))


@settings(max_examples=100)
@given(tree=TREES, limits=LIMITS, data=st.data())
def test_a_subdirectory_is_divided_as_if_nothing_else_were_there(tree: Tree, limits: Limits, data: st.DataObject) -> None:
    leaf, _ = data.draw(st.sampled_from(sorted(tree.leaves())))
    depth = data.draw(st.integers(0, leaf.count(b"/") + 1))
    subdir = b"/".join(leaf.split(b"/")[:depth])
    inside = {path for path, _ in tree.leaves() if covers((subdir,), path)}
    found = list(divide(tree.steps(), limits, subdir))
    assert {path for path, _ in tree.leaves() if any(covers(batch.paths, path) for batch in found)} == inside


def by_the_pipelines_rule(tree: Tree, most: int, subdir: bytes) -> Iterator[bytes]:
    """As its batch.py walks: what is inside of subdir and small enough, or a file, is queued; what is too large is entered."""

    def walk(path: bytes, entry: Tree) -> Iterator[bytes]:
        common = os.path.commonpath([path, b"/" + subdir])
        if common == b"/" + subdir.rstrip(b"/") and (entry.size <= most or not entry.entries):
            yield path[1:]
        elif common in (path, b"/" + subdir):
            for child in entry.entries:
                yield from walk(os.path.join(path, child.name), child)

    return walk(b"/", tree)


@settings(max_examples=100)
@given(tree=TREES, most=st.integers(1, 3000), data=st.data())
def test_without_a_least_size_the_queue_is_the_pipelines(tree: Tree, most: int, data: st.DataObject) -> None:
    leaf, _ = data.draw(st.sampled_from(sorted(tree.leaves())))
    subdir = b"/".join(leaf.split(b"/")[: data.draw(st.integers(0, leaf.count(b"/") + 1))])
    found = [path for batch in divide(tree.steps(), Limits(0, most), subdir) for path in batch.paths]
    assert found == list(by_the_pipelines_rule(tree, most, subdir))


def test_a_directory_that_is_not_too_large_stays_whole() -> None:
    assert list(divide(flat(b"r", 4, 6).steps(), Limits(1, 10))) == [Batch((b"",), 10, 3)]


def test_small_neighbours_are_put_together_and_large_ones_stand_alone() -> None:
    tree = Tree(
        b"r", Kind.DIRECTORY, 0, (flat(b"large", 50), flat(b"s1", 2, 2), flat(b"s2", 5), flat(b"s3", 9), flat(b"s4", 1))
    )
    assert list(divide(tree.steps(), Limits(10, 60))) == [
        Batch((b"large",), 50, 2),
        Batch((b"s1", b"s2", b"s3"), 18, 7),
        Batch((b"s4",), 1, 2),
    ]


def test_a_large_flat_directory_is_divided_into_batches_of_several_files() -> None:
    found = list(divide(flat(b"r", *[3] * 100).steps(), Limits(10, 100)))
    assert [len(batch.paths) for batch in found] == [4] * 25


def test_small_neighbours_that_do_not_fit_together_stay_apart() -> None:
    assert [batch.paths for batch in divide(flat(b"r", 7, 2, 7).steps(), Limits(10, 10))] == [(b"f000", b"f001"), (b"f002",)]


def test_a_file_larger_than_a_batch_stands_alone() -> None:
    assert [batch.paths for batch in divide(flat(b"r", 1, 500, 1).steps(), Limits(10, 100))] == [(b"f001",), (b"f000", b"f002")]


def test_a_batch_has_a_bounded_number_of_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MOST_PATHS", 7)
    found = list(divide(flat(b"r", 500, *[0] * 20).steps(), Limits(10, 100)))
    assert [len(batch.paths) for batch in found] == [1, 7, 7, 6]


def test_a_directory_whose_entries_are_not_known_stays_whole() -> None:
    tree = Tree(b"r", Kind.DIRECTORY, 0, (Tree(b"deep", Kind.DIRECTORY, 500), Tree(b"f", Kind.FILE, 5)))
    assert list(divide(tree.steps(), Limits(10, 100))) == [Batch((b"deep",), 500, 1), Batch((b"f",), 5, 1)]


@pytest.mark.parametrize("subdir", [b"nope", b"f000/below", b"f00"])
def test_a_subdirectory_that_is_not_there_is_refused(subdir: bytes) -> None:
    with pytest.raises(UsageError, match="the tree has no"):
        list(divide(flat(b"r", 1).steps(), Limits(10, 100), subdir))


@pytest.mark.parametrize(("limits", "says"), [(Limits(11, 10), "--min-size 11 B is more than"), (Limits(0, 0), "--max-size")])
def test_limits_that_no_batch_could_keep_are_refused(limits: Limits, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        limits.check()
