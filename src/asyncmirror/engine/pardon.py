"""What is on record as unsettled and is nobody's business any more: forgotten at the end of a run that saw all of the mirror.

Owns which entries those are: that vanished together with their directory, that a rule leaves out by now, that are outside of
what the mirror is of. Nothing is told of them in any listing, so that they would stay on record for ever, and no `verify`
would ever be content. What vanishes from a directory that is listed is the planner's to see.
"""

import asyncio
import errno
from collections.abc import Iterator, Sequence

from asyncmirror.journal import queries
from asyncmirror.journal.changes import Change, Forgive, Orphan
from asyncmirror.journal.queries import Unsettled
from asyncmirror.journal.writer import Journal
from asyncmirror.plan.filters import Filters
from asyncmirror.settings import Settings, Symlinks
from asyncmirror.source.beneath import Beneath

_PAGE = 1000
_NO_DIRECTORY = (errno.ENOTDIR, errno.ELOOP)


async def pardon(journal: Journal, settings: Settings, filters: Filters, beneath: Beneath) -> None:
    """Forget the problems of such entries; uploads of theirs become orphans. One `lstat` for each entry that is unsettled.

    Raises:
        JournalError: The journal failed.
    """
    judge = _Judge(settings, filters, beneath)
    for table in ("problem", "upload"):
        after = (-1, b"")
        while page := await _page(journal, table, after):
            changes = await asyncio.to_thread(judge.changes, page, uploads=table == "upload")
            if changes:
                await asyncio.wrap_future(journal.submit(changes))
            after = page[-1].directory, page[-1].name


async def _page(journal: Journal, table: str, after: tuple[int, bytes]) -> list[Unsettled]:
    return await asyncio.wrap_future(journal.ask(lambda connection: queries.unsettled(connection, table, after, _PAGE)))


class _Judge:
    """Says of entries whether they are anybody's."""

    def __init__(self, settings: Settings, filters: Filters, beneath: Beneath) -> None:
        self._within = [name.encode("utf-8", "surrogateescape") + b"/" for name in settings.within]
        self._follow = settings.symlinks is Symlinks.FOLLOW
        self._filters = filters
        self._beneath = beneath

    def changes(self, page: Sequence[Unsettled], *, uploads: bool) -> list[Change]:
        """What is to be forgotten of these. Blocks."""
        found: list[Change] = []
        for entry in page:
            if not self._looked_at(entry) or self._left_out(entry) or not self._there(entry):
                found.append(Forgive(entry.directory, entry.name))
                if uploads:
                    found.append(Orphan(entry.directory, entry.name))
        return found

    def _looked_at(self, entry: Unsettled) -> bool:
        """Whether it is in what the mirror is of."""
        path = entry.path + b"/"
        return not self._within or any(path.startswith(each) for each in self._within)

    def _left_out(self, entry: Unsettled) -> bool:
        """Whether a rule leaves it out, or a directory that it is in."""
        if not self._filters:
            return False
        directory = entry.parent
        if entry.name and self._filters.excludes(entry.path):
            return True
        return any(self._filters.prunes(each) for each in _upward(directory))

    def _there(self, entry: Unsettled) -> bool:
        """Whether a scan would come upon it. Where nobody can tell, it would."""
        directory, _, name = entry.path.rpartition(b"/")
        try:
            self._status(directory, name)
        except FileNotFoundError:
            return False
        except OSError as error:
            return error.errno not in _NO_DIRECTORY
        return True

    def _status(self, directory: bytes, name: bytes) -> None:
        try:
            self._beneath.status(directory, name or b".")
        except OSError as error:
            if error.errno not in _NO_DIRECTORY or not self._follow:
                raise
            # A component is a link: what it leads to is where a scan would look.
            parent, _, last = directory.rpartition(b"/")
            location = self._beneath.resolve(parent, last)
            if location is None:
                raise
            self._beneath.status(location, name)


def _upward(directory: bytes) -> Iterator[bytes]:
    """A directory and those that it is in, the root left out."""
    while directory:
        yield directory
        directory = directory.rpartition(b"/")[0]
