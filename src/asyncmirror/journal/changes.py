"""What is written: each kind of change to the journal, and its SQL.

Owns the mapping from values to rows. Every change but one names its entry by directory id and name. Knows no thread.
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, groupby
from typing import NamedTuple, TypeAlias

from asyncmirror.model import Completed, Identity, Problem, Receipt, Upload


class Complete(NamedTuple):
    """The store confirmed the object. `clears`: there may be an upload or a problem on record, which ends with this."""

    directory: int
    name: bytes
    completed: Completed
    clears: bool


class Supersede(NamedTuple):
    """The object is about to be overwritten: what is known of it will not hold, whether or not anybody learns of that."""

    directory: int
    name: bytes


class Begin(NamedTuple):
    """An upload is about to be created (its id is empty), or has been."""

    directory: int
    name: bytes
    identity: Identity
    upload: Upload


class Receive(NamedTuple):
    """The store confirmed a part."""

    directory: int
    name: bytes
    receipt: Receipt


class Abandon(NamedTuple):
    """The upload is over without an object. One whose id was never learnt may have been created: an orphan."""

    directory: int
    name: bytes


class Orphan(NamedTuple):
    """The upload is of no use any more, and is left in the store."""

    directory: int
    name: bytes


class Tidy(NamedTuple):
    """No upload of the file is left in the store but the one on record."""

    directory: int
    name: bytes


class Fail(NamedTuple):
    """The entry was not completed, and why."""

    directory: int
    name: bytes
    problem: Problem


class Forgive(NamedTuple):
    """The problem on record is no more: the entry vanished, or is fine."""

    directory: int
    name: bytes


class Condemn(NamedTuple):
    """The object is about to be deleted: it is complete no more, and not known to be gone."""

    directory: int
    name: bytes


class Spare(NamedTuple):
    """The store would not delete it: it is complete again."""

    directory: int
    name: bytes


class Bury(NamedTuple):
    """It is deleted, or nobody's to delete any more."""

    directory: int
    name: bytes


class Remember(NamedTuple):
    """Something about the whole journal, not about an entry."""

    key: str
    value: str


Change: TypeAlias = (
    Complete | Supersede | Begin | Receive | Abandon | Orphan | Tidy | Fail | Forgive | Condemn | Spare | Bury | Remember
)

_COMPLETE = """
INSERT INTO object VALUES {rows} ON CONFLICT DO UPDATE SET
    ino = excluded.ino, size = excluded.size, mtime_ns = excluded.mtime_ns, ctime_ns = excluded.ctime_ns,
    algorithm = excluded.algorithm, digest = excluded.digest, parts = excluded.parts, part_size = excluded.part_size,
    etag = excluded.etag
"""
_STEPS = (64, 8, 1)
"""Rows inserted in one step; SQLite takes up to 32,766 values."""
_SUPERSEDE = "DELETE FROM object WHERE directory = ? AND name = ?"
_BEGIN = "INSERT OR REPLACE INTO upload VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_RECEIVE = "INSERT OR REPLACE INTO receipt VALUES (?, ?, ?, ?, ?, ?)"
_FAIL = "INSERT OR REPLACE INTO problem VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_ORPHAN = "INSERT OR IGNORE INTO orphan SELECT directory, name FROM upload WHERE directory = ? AND name = ?"
_UNNAMED = f"{_ORPHAN} AND upload_id = ''"
_TIDY = "DELETE FROM orphan WHERE directory = ? AND name = ?"
_END_UPLOAD = (
    "DELETE FROM receipt WHERE directory = ? AND name = ?",
    "DELETE FROM upload WHERE directory = ? AND name = ?",
)
_REMEMBER = "INSERT OR REPLACE INTO meta VALUES (?, ?)"
_BURY = "DELETE FROM condemned WHERE directory = ? AND name = ?"
_CONDEMN = ("INSERT OR REPLACE INTO condemned SELECT * FROM object WHERE directory = ? AND name = ?", _SUPERSEDE)
_SPARE = ("INSERT OR IGNORE INTO object SELECT * FROM condemned WHERE directory = ? AND name = ?", _BURY)
_FORGIVE = "DELETE FROM problem WHERE directory = ? AND name = ?"


def apply(connection: sqlite3.Connection, changes: Iterable[Change]) -> None:
    """Write changes, in order, within the transaction that is open."""
    for kind, group in groupby(changes, type):
        _WRITERS[kind](connection, list(group))


def _insert(connection: sqlite3.Connection, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
    """Insert rows, many in one step.

    Python's sqlite3 lets go of the interpreter for each step: row by row, the event loop's thread and this one would hand it to
    each other at every object, which cost a quarter of a run's CPU time when it was measured.
    """
    done = 0
    for size in _STEPS:
        sql = statement.format(rows=", ".join([f"({', '.join('?' * len(rows[0]))})"] * size))
        while len(rows) - done >= size:
            connection.execute(sql, list(chain.from_iterable(rows[done : done + size])))
            done += size


def _complete(connection: sqlite3.Connection, changes: Sequence[Complete]) -> None:
    rows = [
        (directory, name, *identity[1:], checksum.algorithm.value, checksum.digest, checksum.parts, part_size, etag)
        for directory, name, (identity, checksum, etag, part_size), _ in changes
    ]
    _insert(connection, _COMPLETE, rows)
    cleared = [(change.directory, change.name) for change in changes if change.clears]
    if cleared:
        for statement in (*_END_UPLOAD, _FORGIVE):
            connection.executemany(statement, cleared)


def _supersede(connection: sqlite3.Connection, changes: Sequence[Supersede]) -> None:
    connection.executemany(_SUPERSEDE, changes)


def _begin(connection: sqlite3.Connection, changes: Sequence[Begin]) -> None:
    for directory, name, identity, upload in changes:
        row = (upload.upload_id, upload.nonce, upload.part_size, upload.algorithm.value)
        connection.execute(_BEGIN, (directory, name, *identity[1:], *row))


def _receive(connection: sqlite3.Connection, changes: Sequence[Receive]) -> None:
    connection.executemany(
        _RECEIVE,
        [(directory, name, r.number, r.size, r.etag, r.checksum.digest) for directory, name, r in changes],
    )


def _abandon(connection: sqlite3.Connection, changes: Sequence[Abandon]) -> None:
    for statement in (_UNNAMED, *_END_UPLOAD):
        connection.executemany(statement, changes)


def _orphan(connection: sqlite3.Connection, changes: Sequence[Orphan]) -> None:
    for statement in (_ORPHAN, *_END_UPLOAD):
        connection.executemany(statement, changes)


def _tidy(connection: sqlite3.Connection, changes: Sequence[Tidy]) -> None:
    connection.executemany(_TIDY, changes)


def _fail(connection: sqlite3.Connection, changes: Sequence[Fail]) -> None:
    nothing = (None, None, None, None)
    connection.executemany(
        _FAIL,
        [
            (directory, name, outcome.value, reason, int(retryable), *(nothing if identity is None else identity[1:]))
            for directory, name, (identity, outcome, reason, retryable) in changes
        ],
    )


def _forgive(connection: sqlite3.Connection, changes: Sequence[Forgive]) -> None:
    connection.executemany(_FORGIVE, changes)


def _condemn(connection: sqlite3.Connection, changes: Sequence[Condemn]) -> None:
    for statement in _CONDEMN:
        connection.executemany(statement, changes)


def _spare(connection: sqlite3.Connection, changes: Sequence[Spare]) -> None:
    for statement in _SPARE:
        connection.executemany(statement, changes)


def _bury(connection: sqlite3.Connection, changes: Sequence[Bury]) -> None:
    connection.executemany(_BURY, changes)


def _remember(connection: sqlite3.Connection, changes: Sequence[Remember]) -> None:
    connection.executemany(_REMEMBER, changes)


# Each writer takes a sequence of its own kind of change, which `groupby` ensures and no type can say.
_WRITERS: dict[type, Callable[..., None]] = {
    Complete: _complete,
    Supersede: _supersede,
    Begin: _begin,
    Receive: _receive,
    Abandon: _abandon,
    Orphan: _orphan,
    Tidy: _tidy,
    Fail: _fail,
    Forgive: _forgive,
    Condemn: _condemn,
    Spare: _spare,
    Bury: _bury,
    Remember: _remember,
}
