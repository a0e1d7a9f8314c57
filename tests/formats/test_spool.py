import contextlib
import io
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmirror.errors import OutputError
from asyncmirror.formats import find_json, spool
from asyncmirror.formats.spool import Entry, Spool
from asyncmirror.plan.outline import Kind, Move, Step
from tests.formats.trees import TREES, Tree


def feed(into: Spool, tree: Tree, order: random.Random, piece: int) -> None:
    """All directories of a tree, in any order, in pieces."""
    told: list[tuple[bytes, list[Entry]]] = []

    def collect(path: bytes, directory: Tree) -> None:
        plain = [Entry(e.name, e.kind, e.own) for e in directory.entries if e.kind is not Kind.DIRECTORY]
        told.extend((path, plain[at : at + piece]) for at in range(0, max(len(plain), 1), piece))
        for entry in directory.entries:
            if entry.kind is Kind.DIRECTORY:
                collect(path + b"/" + entry.name if path else entry.name, entry)

    collect(b"", tree)
    order.shuffle(told)
    for path, entries in told:
        into.add(path, entries)


def in_order(tree: Tree) -> Tree:
    """As a spool tells it: directories first, then by name. No directory has a size of its own there."""
    entries = [in_order(entry) if entry.kind is Kind.DIRECTORY else entry for entry in tree.entries]
    own = 0 if tree.kind is Kind.DIRECTORY else tree.own
    return tree._replace(own=own, entries=tuple(sorted(entries, key=lambda e: (e.kind is not Kind.DIRECTORY, e.name))))


@settings(max_examples=40)
@given(tree=TREES, order=st.randoms(use_true_random=False), piece=st.integers(1, 4))
def test_directories_may_come_in_any_order(tree: Tree, order: random.Random, piece: int) -> None:
    with contextlib.closing(Spool()) as collected:
        feed(collected, tree, order, piece)
        assert list(collected.steps(b"root")) == list(in_order(tree).steps())
        assert list(collected.steps(b"root")) == list(in_order(tree).steps())


def test_below_the_depth_entries_are_only_added_up() -> None:
    tree = Tree(b"r", Kind.DIRECTORY, 0, (Tree(b"d", Kind.DIRECTORY, 0, (Tree(b"f", Kind.FILE, 3),)), Tree(b"g", Kind.FILE, 1)))
    shown = []
    for depth in (0, 1, 2):
        cut = Spool(depth=depth)
        feed(cut, tree, random.Random(1), 1)
        file = io.BytesIO()
        find_json.write(file, cut.steps(b"r"))
        shown.append(file.getvalue())
        cut.close()
    assert shown == [b'["r",0,4]\n', b'["r",0,4,["d",0,3],["g",1,1]]\n', b'["r",0,4,["d",0,3,["f",1,3]],["g",1,1]]\n']


def test_a_directory_that_was_not_listed_is_marked_and_keeps_what_was_found() -> None:
    marked = Spool()
    marked.add(b"", [])
    marked.add(b"none", [], unreadable=True)
    marked.add(b"some", [], unreadable=True)
    marked.add(b"some", [Entry(b"f", Kind.FILE, 2)])
    steps = list(marked.steps(b"r"))
    marked.close()
    assert steps[1:3] == [Step(Move.ENTRY, b"none", Kind.UNREADABLE, 0), Step(Move.ENTER, b"some", Kind.UNREADABLE, 2)]


def test_a_directory_of_many_pieces_is_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "_SMALL_BLOCK", 5)  # shorter than a record
    names = [b"%05d" % n for n in range(300)]
    many = Spool()
    for start in range(20):
        many.add(b"", [Entry(name, Kind.FILE, 1) for name in reversed(names[start::20])])
    assert [step.name for step in many.steps(b"r")] == [b"r", *names, b""]
    many.close()


def test_a_tree_may_be_deeper_than_pythons_stack() -> None:
    deep = Spool()
    deep.add(b"/".join([b"d"] * 3000), [Entry(b"f", Kind.FILE, 7)])
    steps = list(deep.steps(b"r"))
    deep.close()
    assert len(steps) == 2 * 3001 + 1
    assert {step.size for step in steps if step.move is Move.ENTER} == {7}


def test_nothing_of_the_temporary_file_is_left(tmp_path: Path) -> None:
    tidy = Spool(tmp_path)
    tidy.add(b"", [Entry(b"f", Kind.FILE, 2)])
    assert list(tmp_path.iterdir()) == []
    tidy.close()


def test_a_place_where_nothing_can_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OutputError, match="no temporary file"):
        Spool(tmp_path / "missing")
    with open("/dev/full", "wb", buffering=0) as file:
        monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: file)
        full = Spool()
        with pytest.raises(OutputError, match="No space left"):
            full.add(b"", [Entry(b"f", Kind.FILE, 2)])
