"""A journal opened to be looked through from end to end, while no run has it.

Owns the lock and the connection for that time, and the few questions of such a look. Begins no run. What it writes is one
thing: that objects are not as they were confirmed (`forget`).
"""

import contextlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from asyncmirror.errors import UsageError
from asyncmirror.journal import queries
from asyncmirror.journal.belongs import Belongs, need, refuse_other
from asyncmirror.journal.lock import Lock
from asyncmirror.journal.schema import connect, translate
from asyncmirror.model import Outcome


class Account(NamedTuple):
    """What a journal says in sum: objects complete, their bytes, how many of them were adopted by size alone.

    `incomplete` counts entries with a problem or an unfinished upload; `ended` tells whether the last run that was to see the
    whole source did, and `within` which directories that was of (none: all of it; None: it is not on record).
    """

    objects: int
    size: int
    unproven: int
    incomplete: int
    ended: bool
    within: tuple[str, ...] | None = None


@contextlib.contextmanager
def reading(path: Path, of: Belongs | None) -> Iterator[sqlite3.Connection]:
    """An open journal, locked until the block ends. The source of `of` is not looked at; None: any journal will do.

    Raises:
        UsageError: There is none, no run has used it yet, or it is another destination's.
        JournalError: It is in use, damaged, or newer.
    """
    need(path)
    lock = Lock(path)
    try:
        with contextlib.closing(connect(path)) as connection:
            on_record = queries.meta(connection)
            if not on_record:  # whatever was written to it now, a run would have to take it for another's
                raise UsageError(f"the journal {os.fspath(path)!r} was never used", hint="sync first")
            if of is not None:
                refuse_other(on_record, of, path)
            yield connection
    except sqlite3.Error as error:
        raise translate(error, path) from None
    finally:
        lock.release()


def account(connection: sqlite3.Connection) -> Account:
    """The sum of it."""
    objects, size, unproven = queries.totals(connection).get(Outcome.COMPLETE, queries.Total(0, 0))
    (incomplete,) = connection.execute(
        "SELECT count(*) FROM (SELECT directory, name FROM problem UNION SELECT directory, name FROM upload)"
    ).fetchone()
    # A run that ended without a summary had not begun: its bucket could not be reached.
    last = connection.execute(
        "SELECT json_extract(summary, '$.stopped') OR json_extract(summary, '$.pending'), json_extract(summary, '$.within')"
        " FROM run WHERE ended IS NULL OR json_extract(summary, '$.whole') IS NOT 0 AND summary IS NOT NULL"
        " ORDER BY id DESC LIMIT 1"
    ).fetchone()
    stopped, within = last or (None, None)
    return Account(objects, size, unproven, incomplete, stopped == 0, within and tuple(json.loads(within)))


def doubt(connection: sqlite3.Connection, entries: Iterable[tuple[int, bytes, str]]) -> None:
    """Remember objects, by directory id and name, with the reason, for `forget`.

    Rows may be read meanwhile: they go to a table of their own.
    """
    connection.execute(
        "CREATE TABLE IF NOT EXISTS temp.doubted (directory INTEGER, name BLOB, reason TEXT, PRIMARY KEY (directory, name))"
    )
    connection.executemany("INSERT OR IGNORE INTO doubted VALUES (?, ?, ?)", entries)


def forget(connection: sqlite3.Connection) -> int:
    """Have the journal no longer say of those remembered that they are complete; how many.

    Each is a problem from then on, so that nobody takes the mirror for whole before a run has sent it.
    """
    doubt(connection, ())
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(
        "INSERT OR REPLACE INTO problem SELECT directory, name, ?, reason, 1, ino, size, mtime_ns, ctime_ns"
        " FROM object JOIN doubted USING (directory, name)",
        (Outcome.FAILED,),
    )
    gone = connection.execute("DELETE FROM object WHERE (directory, name) IN (SELECT directory, name FROM doubted)").rowcount
    connection.execute("COMMIT")
    return gone


class Uploads(NamedTuple):
    """What a journal knows of unfinished uploads: ids on record, and keys of files that may have left others behind."""

    ids: frozenset[str]
    orphaned: frozenset[str]


def uploads(connection: sqlite3.Connection, spell: Callable[[bytes], str]) -> Uploads:
    """What is known of unfinished uploads; `spell` gives the key of a path."""
    rows = [(upload.path, upload.upload_id) for upload in queries.unfinished(connection)]
    left = [b"/".join(part for part in (orphan.path, orphan.name) if part) for orphan in queries.orphans(connection)]
    left += [path for path, upload_id in rows if not upload_id]  # killed between the intent and the answer
    return Uploads(frozenset(upload_id for _, upload_id in rows if upload_id), frozenset(map(spell, left)))
