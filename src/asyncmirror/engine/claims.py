"""Whose a key is that two files want, because a remap brings them together.

Owns the answer, in memory that the tree does not grow. Which directories could clash is computed (`plan.remap`); only in those,
and only for files that the journal does not know, it is asked of the journal and of the source: a file on record has its key
and keeps it; where none is, the file whose directory comes first has it, whichever the scan finds first. So nobody need
remember keys that were given out, but for one gap: the record of a file that is sent again is taken back before its object is
overwritten. Those files' paths are remembered. Called in the scan threads.
"""

import errno
import sqlite3
import stat
from collections.abc import Sequence

from asyncmirror.journal import queries
from asyncmirror.journal.writer import Journal
from asyncmirror.plan.filters import Filters
from asyncmirror.plan.remap import Remaps, Rivals
from asyncmirror.settings import Symlinks
from asyncmirror.source.beneath import Beneath

_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})


class Claims:
    """Answers for one run."""

    def __init__(self, remaps: Remaps, filters: Filters, symlinks: Symlinks, beneath: Beneath, journal: Journal) -> None:
        self._remaps = remaps
        self._filters = filters
        self._symlinks = symlinks
        self._beneath = beneath
        self._journal = journal
        self._sent_again: set[bytes] = set()

    def taken(self, directory: bytes, owners: Sequence[bytes], others: Sequence[bytes]) -> dict[bytes, bytes]:
        """Which files must not be sent, and whose their keys are. Blocks.

        Args:
            directory: Where they are.
            owners: Names of files on record as complete or being uploaded, that are looked at because they changed.
            others: Names of files that are not.

        Returns:
            For each of `others` whose key is another's, that one's path.

        Raises:
            JournalError: The journal failed.
        """
        rivals = self._remaps.rivals(directory)
        if rivals == Rivals():
            return {}
        self._sent_again.update(queries.join(directory, name) for name in owners)
        found: dict[bytes, bytes] = {}
        for rival in (*rivals.before, *rivals.behind):
            recorded = self._recorded(rival, others)
            first = rival in rivals.before and self._exists(rival)
            for name in others:
                path = queries.join(rival, name)
                if name in recorded or path in self._sent_again or (first and self._there(rival, name)):
                    found.setdefault(name, path)
        return found

    def _recorded(self, directory: bytes, names: Sequence[bytes]) -> frozenset[bytes]:
        def look(connection: sqlite3.Connection) -> frozenset[bytes]:
            known = queries.directory_id(connection, directory)
            return queries.owners(connection, known, names) if known else frozenset()

        return self._journal.ask(look).result()

    def _exists(self, directory: bytes) -> bool:
        """Whether there may be such a directory: one look, before one for each file."""
        if not directory or self._symlinks is Symlinks.FOLLOW:
            return True
        parent, _, name = directory.rpartition(b"/")
        try:
            return stat.S_ISDIR(self._beneath.status(parent, name).st_mode)
        except OSError as error:
            return error.errno not in _NOT_THERE

    def _there(self, directory: bytes, name: bytes) -> bool:
        """Whether the source has a file there that a run would send. What can't be looked at may be one."""
        if self._filters.excludes(queries.join(directory, name)):
            return False
        try:
            if self._symlinks is not Symlinks.FOLLOW:
                mode = self._beneath.status(directory, name).st_mode
                return stat.S_ISREG(mode) or (stat.S_ISLNK(mode) and self._symlinks is Symlinks.RECORD)
            location = self._beneath.resolve(directory, name)
            if location is None:
                return False
            parent, _, real_name = location.rpartition(b"/")
            return stat.S_ISREG(self._beneath.status(parent, real_name or b".").st_mode)
        except OSError as error:
            return error.errno not in _NOT_THERE
