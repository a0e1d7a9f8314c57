"""What a bucket holds that neither the journal knows nor the source has a file for.

Owns the look at one page of a listing. A key is read back to the paths that have it (`plan.keys`, `plan.remap`); one that no
path has is another program's way of naming, and only told of. Blocks.
"""

import os
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from asyncmirror.audit.candidates import Candidate
from asyncmirror.audit.gone import within
from asyncmirror.errors import RefusedError, UnreadableError
from asyncmirror.journal import paths, queries
from asyncmirror.journal.writer import Journal
from asyncmirror.model import RemoteObject
from asyncmirror.plan import keys
from asyncmirror.plan.filters import Filters
from asyncmirror.plan.remap import Remaps
from asyncmirror.settings import Settings
from asyncmirror.source.beneath import Beneath, classify
from asyncmirror.store.probe.scratch import PLACE


class Page(NamedTuple):
    """What a page held: objects to delete, and those that no path of a source can have."""

    gone: list[Candidate]
    foreign: list[RemoteObject]


class Unknown:
    """Judges pages of the listing of one destination."""

    def __init__(self, settings: Settings, filters: Filters, beneath: Beneath, journal: Journal) -> None:
        """Prepare. `filters` are the settings' rules, compiled."""
        self._prefix = keys.directory_prefix(settings.destination.prefix, b"")
        self._filters = filters
        self._remaps = Remaps(settings.remaps)
        self._within = within(settings)
        self._beneath = beneath
        self._journal = journal

    def judge(self, page: Sequence[RemoteObject]) -> Page:
        """Judge a page. Blocks.

        Raises:
            UnreadableError: A path that may have such a key can't be looked at.
            JournalError: The journal failed.
        """
        foreign: list[RemoteObject] = []
        origins: list[tuple[RemoteObject, list[tuple[bytes, bytes]]]] = []
        for remote in page:
            if not remote.key.startswith(self._prefix) or remote.key.startswith(f"{self._prefix}{PLACE}/"):
                continue
            try:
                path = keys.decode(remote.key.removeprefix(self._prefix))
            except RefusedError:
                foreign.append(remote)
                continue
            place, _, name = path.rpartition(b"/")
            directories = self._remaps.origins(place)
            if self._within and not directories:
                continue  # what would be there is remapped elsewhere: no release leads there
            origins.append((remote, [(directory, name) for directory in directories]))
        claimed = self._claimed({entry for _, entries in origins for entry in entries})
        gone = [
            Candidate(remote.key, 0, b"", b"", remote.size)
            for remote, entries in origins
            if claimed.isdisjoint(entries) and not any(self._stays(*entry) for entry in entries)
        ]
        return Page(gone, foreign)

    def _claimed(self, entries: set[tuple[bytes, bytes]]) -> set[tuple[bytes, bytes]]:
        """Those on record."""
        directories: defaultdict[bytes, list[bytes]] = defaultdict(list)
        for directory, name in entries:
            directories[directory].append(name)
        found: set[tuple[bytes, bytes]] = set()
        for directory, names in directories.items():
            known = self._journal.ask(partial(paths.claimed, parent=directory, names=names)).result()
            found.update((directory, name) for name in known)
        return found

    def _stays(self, directory: bytes, name: bytes) -> bool:
        """Whether the mirror is not of it, a rule leaves it out, or anything is there, whatever it is."""
        path = queries.join(directory, name)
        if self._within and not path.startswith(self._within):
            return True
        if self._filters and self._filters.excludes(path):
            return True
        try:
            self._beneath.status(directory, name)
        except FileNotFoundError:
            return False
        except OSError as error:  # a link, or a file, in place of a directory above it, too: somebody should look
            if isinstance(error, NotADirectoryError):
                return True
            raise UnreadableError(classify(error, "stat").message, op="stat", path=os.fsdecode(path)) from None
        return True
