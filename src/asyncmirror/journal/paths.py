"""What is on record of paths, complete objects and condemned ones alike, a page at a time.

Owns the questions of whoever holds the whole journal against the source while the run's own thread has the journal: each is
answered in bounded time and memory. Knows no thread and no file system.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import NamedTuple

from asyncmirror.journal.queries import algorithm_of, directory_id
from asyncmirror.model import Checksum, Completed, Identity

_BATCH = 500  # names in one IN (…); SQLite's own limit is 32,766 variables


class Table(Enum):
    """Which objects."""

    COMPLETE = "object"
    CONDEMNED = "condemned"


class Path(NamedTuple):
    """A path on record: the journal's id and path of its directory, its name there, and the object's size in bytes."""

    directory: int
    parent: bytes
    name: bytes
    size: int


def page(connection: sqlite3.Connection, table: Table, behind: tuple[bytes, bytes], most: int) -> list[Path]:
    """The next paths behind (directory, name), ascending by directory and name; none: there are no more."""
    rows = connection.execute(
        # In this order: nothing is sorted.
        f"SELECT d.id, d.path, o.name, o.size FROM directory d CROSS JOIN {table.value} o ON o.directory = d.id"
        " WHERE d.path >= ?1 AND (d.path > ?1 OR o.name > ?2) ORDER BY d.path, o.name LIMIT ?3",
        (*behind, most),
    )
    return [Path(*row) for row in rows]


def top(connection: sqlite3.Connection, directory: bytes, most: int) -> list[bytes]:
    """The first names on record in a directory: files, and directories of which something is in the store."""
    known = directory_id(connection, directory)
    names = [name for (name,) in connection.execute("SELECT name FROM object WHERE directory = ? LIMIT ?", (known, most))]
    above = directory + b"/" if directory else b""
    after, behind = above + b"\0", directory and directory + b"0"  # the character behind the slash
    while len(names) < most:
        row = connection.execute(
            "SELECT path FROM directory WHERE path >= ?1 AND (path < ?2 OR ?2 = x'')"
            " AND EXISTS (SELECT 1 FROM object WHERE directory = id) ORDER BY path LIMIT 1",
            (after, behind),
        ).fetchone()
        if row is None:
            break
        name = row[0].removeprefix(above).partition(b"/")[0]
        names.append(name)
        after = above + name + b"0"  # past all that is below
    return names


def confirmed(connection: sqlite3.Connection, entries: Iterable[tuple[int, bytes]]) -> dict[tuple[int, bytes], Completed]:
    """What the store confirmed of these entries, by directory id and name; a condemned object's, where there is no other."""
    found: dict[tuple[int, bytes], Completed] = {}
    for entry in entries:
        for table in Table:
            row = connection.execute(
                "SELECT ino, size, mtime_ns, ctime_ns, algorithm, digest, parts, etag, part_size"
                f" FROM {table.value} WHERE directory = ? AND name = ?",
                entry,
            ).fetchone()
            if row:
                found[entry] = Completed(Identity(0, *row[:4]), Checksum(algorithm_of(row[4]), row[5], row[6]), row[7], row[8])
                break
    return found


def claimed(connection: sqlite3.Connection, parent: bytes, names: Sequence[bytes]) -> frozenset[bytes]:
    """Which of these entries of a directory have something in the store, or may have."""
    directory = directory_id(connection, parent)
    found: set[bytes] = set()
    for start in range(0, len(names) if directory else 0, _BATCH):
        some = names[start : start + _BATCH]
        listed = f"directory = ? AND name IN ({','.join('?' * len(some))})"
        statement = " UNION ALL ".join(
            f"SELECT name FROM {table} WHERE {listed}" for table in ("object", "condemned", "upload")
        )
        found.update(name for (name,) in connection.execute(statement, (directory, *some) * 3))
    return frozenset(found)


def condemned(connection: sqlite3.Connection) -> int:
    """How many objects are condemned."""
    found: int = connection.execute("SELECT count(*) FROM condemned").fetchone()[0]
    return found
