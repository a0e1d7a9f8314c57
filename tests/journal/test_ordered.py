from collections.abc import Iterable
from contextlib import closing

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asyncmirror.journal.changes import Complete, apply
from asyncmirror.journal.ordered import Kept, ordered
from asyncmirror.journal.schema import connect
from asyncmirror.model import Algorithm, Checksum, Completed, Identity
from asyncmirror.plan import keys

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


def in_order(paths: Iterable[bytes], prefix: str = "") -> list[Kept]:
    """What the journal of these files hands out."""
    with closing(connect(None)) as connection:
        ids: dict[bytes, int] = {}
        for number, path in enumerate(paths):
            parent, _, name = path.rpartition(b"/")
            if parent not in ids:
                found = connection.execute("INSERT INTO directory (path) VALUES (?)", (parent,)).lastrowid
                ids[parent] = found or 0
            apply(connection, [Complete(ids[parent], name, completed(number), clears=False)])
        return list(ordered(connection, keys.encode, prefix))


@given(st.sets(PATHS, max_size=30))
@example({b"a-b", b"a/c", b"a0", b"a/b/c", b"a/b-", b"a/b0"})
@example({b"\x01/a", b"\x01", b"z", "␛".encode(), "␞".encode()})
def test_the_order_is_that_of_the_keys_bytes(paths: set[bytes]) -> None:
    found = [kept.key for kept in in_order(paths, "pre/")]
    assert found == sorted(("pre/" + keys.encode(path) for path in paths), key=str.encode)


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
