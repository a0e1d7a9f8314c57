"""The ids of directories, as a run comes to them: looked up once, or given, and remembered while they are asked for.

Owns the memory, which is bounded. Belongs to the journal's thread; when an id is committed, that decides.
"""

import sqlite3
from collections import OrderedDict

from asyncmirror.journal import queries

_REMEMBERED = 10_000


class Directories:
    """Ids by path, the ones asked for last."""

    def __init__(self) -> None:
        self._ids: OrderedDict[bytes, int] = OrderedDict()

    def find(self, connection: sqlite3.Connection, path: bytes) -> int:
        """The id of a directory, given now where it has none: it is committed with the first change that needs it."""
        found = self._ids.get(path)
        if found is None:
            found = queries.directory_id(connection, path)
            if not found:
                if not connection.in_transaction:
                    connection.execute("BEGIN")
                found = connection.execute("INSERT INTO directory (path) VALUES (?)", (path,)).lastrowid or 0
            self._ids[path] = found
            if len(self._ids) > _REMEMBERED:
                self._ids.popitem(last=False)
        return found

    def forget(self) -> None:
        """After a write that failed: ids that were given since the last commit are nobody's."""
        self._ids.clear()
