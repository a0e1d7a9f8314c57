"""Looks at the mirror, on record: how far one has come that was stopped, and what each that ended came to.

Owns the tables `look` and `unread`. A look that reads bytes may take days; so it notes the key up to which everything has been
read and agreed with what is on record. `unread` are the objects before that key that must be read all the same: what did not
agree, and, noted by triggers that stand while a look is unfinished, what a run has recorded or forgotten since. One look is
unfinished at a time; another kind, or one at another source, takes its place. Knows nothing of what a look finds.
"""

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from asyncmirror.journal.ordered import Kept

_LOOK = """
CREATE TABLE IF NOT EXISTS look (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, began REAL NOT NULL, ended REAL, behind TEXT NOT NULL, exit_code INTEGER
) STRICT
"""
_UNREAD = """
CREATE TABLE IF NOT EXISTS unread (
    directory INTEGER NOT NULL, name BLOB NOT NULL, PRIMARY KEY (directory, name)
) STRICT, WITHOUT ROWID
"""
_ON_INSERT = """
CREATE TRIGGER IF NOT EXISTS unread_insert AFTER INSERT ON object
BEGIN INSERT OR IGNORE INTO unread VALUES (new.directory, new.name); END
"""
_ON_UPDATE = """
CREATE TRIGGER IF NOT EXISTS unread_update AFTER UPDATE ON object
BEGIN INSERT OR IGNORE INTO unread VALUES (new.directory, new.name); END
"""
_ON_DELETE = """
CREATE TRIGGER IF NOT EXISTS unread_delete AFTER DELETE ON object
BEGIN INSERT OR IGNORE INTO unread VALUES (old.directory, old.name); END
"""
_MARKS = (_ON_INSERT, _ON_UPDATE, _ON_DELETE)
_UNMARKS = (*(f"DROP TRIGGER IF EXISTS unread_{each}" for each in ("insert", "update", "delete")), "DELETE FROM unread")
_OF = "look-of"
"""In `meta`: the source that the unfinished look reads."""
_STIRRED = """
SELECT 1 FROM unread JOIN directory d ON d.id = unread.directory
WHERE d.path = :at OR :at = x'' OR d.path > :first AND d.path < :behind LIMIT 1
"""
_KEPT = 100
"""Looks that are remembered."""


class Look(NamedTuple):
    """One look: its id, when it began (seconds since the epoch), and the key up to which all was read and agreed."""

    id: int
    began: float
    behind: str


class Ended(NamedTuple):
    """A look that came to its end: what it read besides the listing, when it began and ended, and its exit code."""

    kind: str
    began: float
    ended: float
    exit_code: int


def begin(connection: sqlite3.Connection, kind: str, source: str, now: float, since: float) -> Look:
    """The unfinished look of this kind and source that began after `since`; else a new one: what is unfinished is forgotten."""
    _prepare(connection)
    row = connection.execute(
        "SELECT id, began, behind FROM look WHERE ended IS NULL AND kind = ? AND began > ?"
        " AND EXISTS (SELECT 1 FROM meta WHERE key = ? AND value = ?)",
        (kind, since, _OF, source),
    ).fetchone()
    if row is not None:
        return Look(*row)
    connection.execute("BEGIN IMMEDIATE")
    for statement in ("DELETE FROM look WHERE ended IS NULL", *_UNMARKS, *_MARKS):
        connection.execute(statement)
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_OF, source))
    made = connection.execute("INSERT INTO look VALUES (NULL, ?, ?, NULL, '', NULL)", (kind, now)).lastrowid
    connection.execute("COMMIT")
    assert made is not None
    return Look(made, now, "")


def _prepare(connection: sqlite3.Connection) -> None:
    """Make the tables where they are not: journals had none."""
    for table in (_LOOK, _UNREAD):
        connection.execute(table)


def advance(connection: sqlite3.Connection, look: Look, behind: str) -> None:
    """All up to this key has been read, and what did not agree is noted."""
    connection.execute("UPDATE look SET behind = ? WHERE id = ?", (behind, look.id))


def note(connection: sqlite3.Connection, kept: Kept) -> None:
    """An object does not agree: whoever goes on reads it again."""
    connection.execute("INSERT OR IGNORE INTO unread VALUES (?, ?)", (kept.directory, kept.name))


def read_before(connection: sqlite3.Connection, look: Look, rows: Iterable[Kept]) -> frozenset[str]:
    """The keys of those of these objects that need not be read again."""
    unread = "SELECT 1 FROM unread WHERE directory = ? AND name = ?"
    return frozenset(
        row.key
        for row in rows
        if row.key <= look.behind and connection.execute(unread, (row.directory, row.name)).fetchone() is None
    )


def stirred(connection: sqlite3.Connection, directory: bytes) -> bool:
    """Whether anything in a directory, or below it, has to be read again, or is on record no more."""
    bounds = {"at": directory, "first": directory + b"/", "behind": directory + b"0"}  # the character behind the slash
    return connection.execute(_STIRRED, bounds).fetchone() is not None


def end(connection: sqlite3.Connection, look: Look, now: float, exit_code: int) -> None:
    """The look came to its end."""
    connection.execute("BEGIN IMMEDIATE")
    for statement in _UNMARKS:
        connection.execute(statement)
    connection.execute("UPDATE look SET ended = ?, exit_code = ? WHERE id = ?", (now, exit_code, look.id))
    connection.execute("COMMIT")
    _thin(connection)


def record(connection: sqlite3.Connection, began: float, ended: float, exit_code: int) -> None:
    """A look that read nothing but the listing came to its end. It leaves an unfinished one as it is."""
    _prepare(connection)
    connection.execute("INSERT INTO look VALUES (NULL, '', ?, ?, '', ?)", (began, ended, exit_code))
    _thin(connection)


def _thin(connection: sqlite3.Connection) -> None:
    connection.execute(
        "DELETE FROM look WHERE ended IS NOT NULL AND id NOT IN (SELECT id FROM look ORDER BY id DESC LIMIT ?)", (_KEPT,)
    )


def last(connection: sqlite3.Connection) -> Ended | None:
    """The look that ended last; None where there was none."""
    if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'look'").fetchone() is None:
        return None
    row = connection.execute(
        "SELECT kind, began, ended, exit_code FROM look WHERE ended IS NOT NULL ORDER BY ended DESC LIMIT 1"
    ).fetchone()
    return Ended(*row) if row is not None else None
