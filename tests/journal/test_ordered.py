import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asyncmirror.journal.changes import Complete, apply
from asyncmirror.journal.ordered import Kept, ordered, together
from asyncmirror.journal.schema import connect
from asyncmirror.model import Algorithm, Checksum, Completed, Identity
from asyncmirror.plan import keys
from asyncmirror.plan.remap import Remaps
from asyncmirror.settings import Remap

# Bytes around the slash, a control and its escape's own character, a byte that is no UTF-8, and four lengths of UTF-8.
PIECES = [
    b"a",
    b"b",
    b"-",
    b".",
    b"0",
    b" ",
    b"\x01",
    b"\xff",
    "␛".encode(),
    b"01",
    "é".encode(),
    "\ue000".encode(),
    "😀".encode(),
]
NAMES = st.lists(st.sampled_from(PIECES), min_size=1, max_size=3).map(b"".join).filter(lambda name: name not in (b".", b".."))
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(b"/".join)


def completed(number: int) -> Completed:
    return Completed(Identity(0, number, 7, 8, 9), Checksum(Algorithm.CRC64NVME, b"digest"), f"etag-{number}", 0)


@contextmanager
def filled(paths: Iterable[bytes]) -> Iterator[sqlite3.Connection]:
    """The journal of these files."""
    with closing(connect(None)) as connection:
        ids: dict[bytes, int] = {}
        for number, path in enumerate(paths):
            parent, _, name = path.rpartition(b"/")
            if parent not in ids:
                found = connection.execute("INSERT INTO directory (path) VALUES (?)", (parent,)).lastrowid
                ids[parent] = found or 0
            apply(connection, [Complete(ids[parent], name, completed(number), clears=False)])
        yield connection


def in_order(paths: Iterable[bytes], prefix: str = "", remaps: Remaps | None = None) -> list[Kept]:
    """What the journal of these files hands out."""
    place = None if remaps is None else lambda path: keys.directory_prefix("", remaps.directory(path))
    with filled(paths) as connection:
        return list(ordered(connection, keys.encode, prefix, place=place))


@given(st.sets(PATHS, max_size=30))
@example({b"a-b", b"a/c", b"a0", b"a/b/c", b"a/b-", b"a/b0"})
@example({b"\x01/a", b"\x01", b"z", "␛".encode(), "␞".encode()})
def test_the_order_is_that_of_the_keys_bytes(paths: set[bytes]) -> None:
    found = [kept.key for kept in in_order(paths, "pre/")]
    assert found == sorted(("pre/" + keys.encode(path) for path in paths), key=str.encode)


REMAPS = st.dictionaries(PATHS, PATHS, max_size=3).map(
    lambda pairs: Remaps([Remap(os.fsdecode(source), os.fsdecode(target)) for source, target in pairs.items()])
)


@given(st.sets(PATHS, max_size=30), REMAPS)
@example({b"e/t/a", b"e/t/b/a", b"d/t/b/b", b"d/t/a-", b"t/a0", b"t/b"}, Remaps([Remap("e/t", "t"), Remap("d/t", "t")]))
def test_the_order_is_that_of_the_keys_where_directories_are_remapped(paths: set[bytes], remaps: Remaps) -> None:
    by_key = {keys.encode(remaps.file(path)): path for path in paths}  # of those that share a key, one has it
    found = in_order(by_key.values(), "pre/", remaps)
    assert [(kept.key, kept.path) for kept in found] == sorted(
        (("pre/" + key, path) for key, path in by_key.items()), key=lambda pair: pair[0].encode()
    )


@pytest.mark.parametrize("path", [b"file", b"a/b/file"])
def test_what_is_on_record_comes_with_it(path: bytes) -> None:
    (kept,) = in_order([path])
    assert (kept.path, kept.key) == (path, path.decode())
    assert kept.completed == completed(0)


def test_a_directory_without_files_hides_none() -> None:
    with closing(connect(None)) as connection:
        connection.execute("INSERT INTO directory (path) VALUES (x''), (CAST('e' AS BLOB)), (CAST('e/f' AS BLOB))")
        apply(connection, [Complete(1, b"z", completed(1), clears=False), Complete(3, b"f", completed(2), clears=False)])
        assert [kept.key for kept in ordered(connection, keys.encode, "")] == ["e/f/f", "z"]


@given(st.sets(PATHS, max_size=30))
@example({b"a-b", b"a/c", b"a0", b"a/b/c", b"a/b-", b"a/b0", b"a"})
def test_one_directory_and_what_is_below_it(paths: set[bytes]) -> None:
    with filled(paths) as connection:
        for below in {path.rpartition(b"/")[0] for path in paths} | {b"a", b"a/b"}:
            wanted = {path for path in paths if path.startswith(below + b"/")} if below else paths
            assert {kept.path for kept in ordered(connection, keys.encode, "", below)} == wanted
            found = list(together(connection, keys.encode, "pre/", below))
            assert [(kept.parent, kept.name) for kept in found] == sorted(
                (path.rpartition(b"/")[0], path.rpartition(b"/")[2]) for path in wanted
            )
            assert all(kept.key == "pre/" + keys.encode(kept.path) for kept in found)
