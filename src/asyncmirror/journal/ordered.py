"""The complete objects, streamed in the order in which a store lists their keys, or directory by directory.

Owns both orders. Rows stand by (directory, name), keys sort as whole strings: of ``a-b``, ``a/c`` and ``a0`` the second is in
another directory than its neighbours. So directories are taken in the order of their keys with a slash behind, and each
one's files are handed out up to where the next directory below it begins. What is held open is one cursor for each
directory above the present one; SQLite sorts in bounded memory. How a path is spelled as a key, and where the files of a
directory go, the caller tells; the files of several directories that go to one place come together in their order.
"""

import sqlite3
from collections.abc import Callable, Generator, Iterator, Sequence
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from asyncmirror.journal.queries import algorithm_of
from asyncmirror.model import Checksum, Completed, Identity

_DIRECTORIES = """
SELECT id, path, place(path) AS place FROM directory
WHERE :below = x'' OR path = :below OR path > :first AND path < :behind ORDER BY place
"""
_FILES = """
SELECT name, spelled(name) AS spelling, ino, size, mtime_ns, ctime_ns, algorithm, digest, parts, etag, part_size
FROM object WHERE directory = ? ORDER BY spelling
"""
_TOGETHER = """
SELECT id, path, name, ino, size, mtime_ns, ctime_ns, algorithm, digest, parts, etag, part_size
FROM directory CROSS JOIN object ON directory = id -- in this order: nothing is sorted
WHERE :below = x'' OR path = :below OR path > :first AND path < :behind ORDER BY path, name
"""


class Kept(NamedTuple):
    """A complete object on record: its key, the journal's id and path of its directory, its name there, what was confirmed."""

    key: str
    directory: int
    parent: bytes
    name: bytes
    completed: Completed

    @property
    def path(self) -> bytes:
        """Its path below the source."""
        return self.parent + b"/" + self.name if self.parent else self.name


def ordered(
    connection: sqlite3.Connection,
    spell: Callable[[bytes], str],
    prefix: str,
    below: bytes = b"",
    place: Callable[[bytes], str] | None = None,
) -> Generator[Kept, None, None]:
    """All complete objects in ascending order of their keys' UTF-8 bytes.

    Args:
        connection: An open journal. Its `object` and `directory` tables must not be written to meanwhile.
        spell: The key of a path; that of ``a/b`` is those of ``a`` and ``b`` with a slash between.
        prefix: What all keys begin with, slash included.
        below: The directory whose objects are wanted; empty: the source itself.
        place: What the keys of a directory's files begin with behind that; None: the key of the directory and a slash.
    """
    connection.create_function("spelled", 1, spell, deterministic=True)
    connection.create_function("place", 1, place or (lambda path: spell(path) + "/" if path else ""), deterministic=True)
    above: list[_Files] = []
    for where, directories in groupby(connection.execute(_DIRECTORIES, _bounds(below)), itemgetter(2)):
        while above and not where.startswith(above[-1].place):
            yield from above.pop().before(None)
        if above:
            yield from above[-1].before(where)
        above.append(_Files(connection, [(directory, path) for directory, path, _ in directories], prefix, where))
    while above:
        yield from above.pop().before(None)


def together(connection: sqlite3.Connection, spell: Callable[[bytes], str], prefix: str, below: bytes = b"") -> Iterator[Kept]:
    """The same objects so that those of one directory stand together; directories and names ascend by their bytes."""
    for directory, path, name, *row in connection.execute(_TOGETHER, _bounds(below)):
        kept = Kept("", directory, path, name, _completed(*row))
        yield kept._replace(key=prefix + spell(kept.path))


def _bounds(below: bytes) -> dict[str, bytes]:
    return {"below": below, "first": below + b"/", "behind": below + b"0"}


def _completed(
    ino: int,
    size: int,
    mtime_ns: int,
    ctime_ns: int,
    algorithm: str,
    digest: bytes,
    parts: int,
    etag: str,
    part_size: int,
) -> Completed:
    checksum = Checksum(algorithm_of(algorithm), digest, parts)
    return Completed(Identity(0, ino, size, mtime_ns, ctime_ns), checksum, etag, part_size)


class _Files:
    """The files of one place, handed out bit by bit. `place` is what their keys begin with, behind the prefix."""

    def __init__(
        self, connection: sqlite3.Connection, directories: Sequence[tuple[int, bytes]], prefix: str, place: str
    ) -> None:
        self.place = place
        self._prefix = prefix
        self._rows = merge(*(_rows(connection, *directory) for directory in directories), key=itemgetter(3))
        self._row = next(self._rows, None)

    def before(self, place: str | None) -> Iterator[Kept]:
        """The files whose key comes before this one; None: all that are left."""
        bound = None if place is None else place[len(self.place) :]
        while self._row is not None and (bound is None or self._row[3] < bound):
            directory, path, name, spelling, *row = self._row
            yield Kept(self._prefix + self.place + spelling, directory, path, name, _completed(*row))
            self._row = next(self._rows, None)


def _rows(connection: sqlite3.Connection, directory: int, path: bytes) -> Iterator[tuple[Any, ...]]:
    """One directory's rows in the order of their names' spelling."""
    return ((directory, path, *row) for row in connection.execute(_FILES, (directory,)))
