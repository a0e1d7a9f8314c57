"""Objects that are to be deleted, put aside until all are known, and handed out in the order of their keys.

Owns a private database of SQLite's that is gone when it is closed; beyond its cache it lies in a temporary file
(``SQLITE_TMPDIR``, ``TMPDIR`` and ``/var/tmp`` say where). Filled by many threads, then taken from: a deletion is weighed as a
whole before it begins, and may be of as many objects as there are.
"""

import sqlite3
import threading
from collections.abc import Sequence
from typing import NamedTuple

from asyncmirror.errors import JournalError

_CACHE = 16 << 10  # KiB


class Candidate(NamedTuple):
    """An object without a file: key, the journal's id of its directory (0: not on record), path, name there, size in bytes."""

    key: str
    directory: int
    path: bytes
    name: bytes
    size: int


class Candidates:
    """Objects by key. `count` of them, of `size` bytes in all."""

    def __init__(self) -> None:
        self.count = 0
        self.size = 0
        self._lock = threading.Lock()
        self._last = b""
        self._connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._connection.execute(f"PRAGMA cache_size = -{_CACHE}")
        self._connection.execute("PRAGMA journal_mode = OFF")
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.execute(
            "CREATE TABLE gone (key BLOB PRIMARY KEY, directory INTEGER, path BLOB, name BLOB, size INTEGER)"
            " STRICT, WITHOUT ROWID"
        )

    def add(self, candidates: Sequence[Candidate]) -> None:
        """Take some in; of two with one key the first stays. Blocks.

        Raises:
            JournalError: There is no space for them.
        """
        if not candidates:
            return
        statement = "INSERT OR IGNORE INTO gone VALUES (?, ?, ?, ?, ?)"
        try:
            with self._lock:
                self._connection.execute("BEGIN")
                for key, directory, path, name, size in candidates:
                    added = self._connection.execute(statement, (key.encode(), directory, path, name, size)).rowcount
                    self.count += added
                    self.size += size * added
                self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            hint = "free some space where TMPDIR points to, or point it elsewhere"
            raise JournalError(f"what would be deleted could not be kept aside: {error}", hint=hint) from None

    def take(self, most: int) -> list[Candidate]:
        """The next ones, each once, in the order of their keys; none: there are no more. Blocks."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT * FROM gone WHERE key > ? ORDER BY key LIMIT ?", (self._last, most)
            ).fetchall()
            if rows:
                self._last = rows[-1][0]
        return [Candidate(key.decode(), *rest) for key, *rest in rows]

    def close(self) -> None:
        """Let them go. Nobody may be asking any more."""
        with self._lock:
            self._connection.close()
