"""What a bucket holds, put where it can be looked up by key, in bounded memory.

Owns a private database of SQLite's that is gone when it is closed; beyond its cache it lies in a temporary file, about 150
bytes an object (``SQLITE_TMPDIR``, ``TMPDIR`` and ``/var/tmp`` say where). Filled once, then asked by many threads.
"""

import sqlite3
import threading
from collections.abc import Sequence

from asyncmirror.errors import JournalError
from asyncmirror.model import RemoteObject

_CACHE = 64 << 10  # KiB


class Catalogue:
    """Objects by key."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._connection.execute(f"PRAGMA cache_size = -{_CACHE}")
        self._connection.execute("PRAGMA journal_mode = OFF")
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.execute(
            "CREATE TABLE object (key BLOB PRIMARY KEY, size INTEGER NOT NULL, etag TEXT NOT NULL) STRICT, WITHOUT ROWID"
        )

    def add(self, objects: Sequence[RemoteObject]) -> None:
        """Take in objects; of two with one key the later stays. Blocks.

        Raises:
            JournalError: There is no space for them.
        """
        rows = [(_bytes(found.key), found.size, found.etag) for found in objects]
        try:
            with self._lock:
                self._connection.execute("BEGIN")
                self._connection.executemany("INSERT OR REPLACE INTO object VALUES (?, ?, ?)", rows)
                self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            hint = "free some space where TMPDIR points to, or point it elsewhere"
            raise JournalError(f"the listing could not be kept aside: {error}", hint=hint) from None

    def look(self, key: str) -> RemoteObject | None:
        """The object of this key. Blocks, but not for long."""
        with self._lock:
            row = self._connection.execute("SELECT size, etag FROM object WHERE key = ?", (_bytes(key),)).fetchone()
        return None if row is None else RemoteObject(key, *row)

    def close(self) -> None:
        """Let it go. Nobody may be asking any more."""
        self._connection.close()


def _bytes(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")  # whatever a store may list
