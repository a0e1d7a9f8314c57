"""A run that looks only at what is not settled: entries with a problem or an unfinished upload on record.

Owns which directories lead to those, and which of a directory's entries they are. A directory that could not be listed is
unsettled with all that is below it: nobody knows what that is. Held in memory are the directories' paths, not the entries'.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from asyncmirror.journal.writer import Journal
from asyncmirror.model import Outcome
from asyncmirror.plan.filters import Filters
from asyncmirror.settings import Rule
from asyncmirror.source.walk import Listing

_SETTLED = "nothing in it is unsettled"


class Unsettled(NamedTuple):
    """Directories that hold an unsettled entry, and those of them that could not be listed."""

    directories: Sequence[bytes]
    unlisted: Sequence[bytes]


class Revisit(Filters):
    """Filters that also leave out what is settled. What is left out so is not an outcome: it is not looked at."""

    def __init__(self, rules: Sequence[Rule], unsettled: Unsettled) -> None:
        """Prepare.

        Raises:
            UsageError: A rule is malformed.
        """
        super().__init__(rules)
        self._places = sorted(path + b"/" for path in unsettled.directories)
        self._unlisted = frozenset(unsettled.unlisted)

    def __bool__(self) -> bool:
        return True

    def prunes(self, directory: bytes) -> str:
        """See `Filters.prunes`."""
        return super().prunes(directory) or ("" if self._leads(directory) or self._is_new(directory) else _SETTLED)

    def narrow(self, listing: Listing, journal: Journal) -> Listing:
        """The listing with its unsettled entries alone. Blocks on the journal.

        Raises:
            JournalError: The journal failed.
        """
        kept = [odd for odd in listing.oddities if odd.reason != _SETTLED]
        if self._is_new(listing.directory.path):
            return listing._replace(oddities=kept)
        unsettled = journal.known(listing.directory.path, None).unsettled
        return listing._replace(
            files=[file for file in listing.files if file.name in unsettled],
            oddities=[odd for odd in kept if odd.name in unsettled or (not odd.name and odd.outcome is Outcome.UNREADABLE)],
        )

    def _leads(self, path: bytes) -> bool:
        """Whether an unsettled entry is in this directory or below it."""
        at = bisect_left(self._places, path + b"/")
        return at < len(self._places) and self._places[at].startswith(path + b"/")

    def _is_new(self, path: bytes) -> bool:
        """Whether it, or a directory above it, could not be listed before."""
        if not self._unlisted:
            return False
        parts = path.split(b"/")
        above = (b"/".join(parts[:count]) for count in range(len(parts) + 1))
        return any(place in self._unlisted for place in above)
