"""Which objects on record have no file any more: the journal held against the source, path by path.

Owns the second look. The scan remembers nothing of what it saw: that would grow with the tree, and cost every run. So the
journal's rows are streamed in the order of their paths, and each directory's names are read once more, without a `stat`; what
is found gone is gone now, whatever moved while the scan went on. Memory: a page of rows. Blocks; called in a thread of its own,
it lists in several. What is done about it is `plan.deletion`'s to decide; nothing is written.
"""

import errno
import os
import stat
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import groupby
from operator import attrgetter

from asyncmirror.audit.candidates import Candidate, Candidates
from asyncmirror.errors import UnreadableError
from asyncmirror.journal import paths, queries
from asyncmirror.journal.paths import Path, Table
from asyncmirror.journal.writer import Journal
from asyncmirror.plan import deletion, keys
from asyncmirror.plan.deletion import Sight
from asyncmirror.plan.filters import Filters
from asyncmirror.plan.remap import Remaps
from asyncmirror.settings import Settings, Symlinks
from asyncmirror.source.beneath import Beneath, classify
from asyncmirror.text import counted

_PAGE = 50_000
"""Rows in memory; a directory that has more of them is listed once for each so many."""
_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})


class Look:
    """One look over all that is on record.

    Attributes:
        objects: How many objects were looked for.
        there: How many of them have something at their path.
        kept: Objects whose file is gone and that stay, by the reason.
        outside: Objects that stay because the mirror is not of their directory any more; nobody looked for their files.
        outlived: Condemned objects whose path has a file again: the next upload has seen, or will see, to it.
    """

    def __init__(self, settings: Settings, filters: Filters, beneath: Beneath, journal: Journal, gone: Candidates) -> None:
        """Prepare. `gone` is filled."""
        self.objects = 0
        self.there = 0
        self.kept: Counter[str] = Counter()
        self.outside = 0
        self.outlived: list[tuple[int, bytes]] = []
        self._prefix = settings.destination.prefix
        self._remaps = Remaps(settings.remaps)
        self._follows = settings.symlinks is Symlinks.FOLLOW
        # Where links are mirrored, one is what is on record, or the scan has told what is wrong with it.
        links = () if settings.symlinks is Symlinks.SKIP else (Sight.LINK,)
        self._untold = frozenset({Sight.FILE, Sight.NOTHING, Sight.DIRECTORY, *links})
        self._within = within(settings)
        self._threads = settings.tuning.scanners
        self._filters = filters
        self._beneath = beneath
        self._journal = journal
        self._gone = gone
        self._lock = threading.Lock()

    def run(self, stopped: Callable[[], bool]) -> None:
        """Look, until all is looked at or `stopped`. Blocks.

        Raises:
            UnreadableError: Something could not be looked at: then nothing is known to be gone.
            JournalError: The journal failed, or there is no space for what was found.
        """
        with ThreadPoolExecutor(self._threads or 1, "look") as pool:
            for table in Table:
                behind = (b"", b"")
                while not stopped() and (rows := self._page(table, behind)):
                    behind = (rows[-1].parent, rows[-1].name)
                    directories = [(parent, list(some)) for parent, some in groupby(rows, attrgetter("parent"))]
                    for _ in pool.map(partial(self._directory, table), directories):
                        pass  # it raises what one of them raised

    def staying(self) -> list[str]:
        """What stays, and why, for people."""
        told = [
            f"{_stay(count)} whose {'file is' if count == 1 else 'files are'} gone: {reason}"
            for reason, count in sorted(self.kept.items())
        ]
        if self.outside:
            are = "is" if self.outside == 1 else "are"
            told.append(f"{_stay(self.outside)} that {are} of none of the releases that the mirror file names")
        return told

    def _page(self, table: Table, behind: tuple[bytes, bytes]) -> list[Path]:
        return self._journal.ask(lambda connection: paths.page(connection, table, behind, _PAGE)).result()

    def _directory(self, table: Table, recorded: tuple[bytes, Sequence[Path]]) -> None:
        """Look for the files of one directory."""
        parent, rows = recorded
        if self._within and not (parent + b"/").startswith(self._within):
            with self._lock:
                self.outside += len(rows)
            return  # the mirror is not of it any more: nobody asked about it
        sights = self._sights(parent, {row.name for row in rows})
        gone = [row for row in rows if sights.get(row.name) in (Sight.NOTHING, Sight.DIRECTORY)]
        shared = self._shared(parent, [row.name for row in gone])
        found: list[Candidate] = []
        kept: Counter[str] = Counter()
        prefix = keys.directory_prefix(self._prefix, self._remaps.directory(parent))
        for row in gone:
            path = queries.join(parent, row.name)
            excluded = self._filters.excludes(path) if self._filters else ""
            reason = deletion.keeps(sights[row.name], excluded=excluded, shared=row.name in shared)
            if reason:
                kept[reason] += 1
            else:
                found.append(Candidate(prefix + keys.encode(row.name), row.directory, path, row.name, row.size))
        for sight in sights.values():
            if sight not in self._untold:
                kept[deletion.keeps(sight)] += 1
        self._gone.add(found)
        with self._lock:
            self.objects += len(rows)
            self.there += len(rows) - len(gone)
            self.kept.update(kept)
            if table is Table.CONDEMNED:
                self.outlived += [(row.directory, row.name) for row in rows if row.name not in sights]

    def _sights(self, parent: bytes, names: set[bytes]) -> dict[bytes, Sight]:
        """What is there of these names, but for files: those are left out."""
        sights: dict[bytes, Sight] = {}
        try:
            with self._beneath.listing(self._location(parent)) as entries:
                for entry in entries:
                    name = os.fsencode(entry.name)
                    if name in names:
                        names.discard(name)
                        if not entry.is_file(follow_symlinks=False):
                            sights[name] = _sight(entry)
        except OSError as error:
            if error.errno not in _NOT_THERE:
                raise _unreadable(error, parent) from None
            return dict.fromkeys(names | sights.keys(), self._barrier(parent))
        return sights | dict.fromkeys(names, Sight.NOTHING)

    def _location(self, parent: bytes) -> bytes:
        """Where a directory stands. It differs from its path only where links are followed.

        Raises:
            OSError: It is not there, or outside the source.
        """
        if not (self._follows and parent):
            return parent
        location = self._beneath.resolve(b"", parent)
        if location is None:
            raise OSError(errno.ELOOP, "it is outside the source")
        return location

    def _barrier(self, parent: bytes) -> Sight:
        """Why a directory can't be entered: it is gone, something else is in its place, or in place of one above it."""
        base = b""
        for part in parent.split(b"/"):
            try:
                mode = self._beneath.status(base, part).st_mode
            except OSError as error:
                if error.errno in _NOT_THERE:
                    return Sight.NOTHING
                raise _unreadable(error, parent) from None
            if stat.S_ISLNK(mode):
                led = self._led(base, part)
                if led is None:
                    return Sight.LINK_ABOVE
                base = led
            elif stat.S_ISDIR(mode):
                base = queries.join(base, part)
            else:
                return Sight.NOTHING
        raise UnreadableError("it changes while it is looked at", op="list", path=os.fsdecode(parent))

    def _led(self, base: bytes, name: bytes) -> bytes | None:
        """The directory in the source that a link leads to; None where it is not followed, or leads to none."""
        try:
            location = self._beneath.resolve(base, name) if self._follows else None
            if location is not None:
                os.close(self._beneath.open_directory(location))
        except OSError:
            return None
        return location

    def _shared(self, parent: bytes, names: Sequence[bytes]) -> frozenset[bytes]:
        """Those of the names whose key another file on record has."""
        rivals = self._remaps.rivals(parent) if names and self._remaps else None
        shared: set[bytes] = set()
        for rival in (*rivals.before, *rivals.behind) if rivals else ():
            shared |= self._journal.ask(partial(paths.claimed, parent=rival, names=names)).result()
        return frozenset(shared)


def _stay(count: int) -> str:
    return counted(count, "object stays", "objects stay")


def _sight(entry: "os.DirEntry[str]") -> Sight:
    if entry.is_symlink():
        return Sight.LINK
    return Sight.DIRECTORY if entry.is_dir(follow_symlinks=False) else Sight.SPECIAL


def _unreadable(error: OSError, path: bytes) -> UnreadableError:
    known = classify(error, "list")
    return UnreadableError(known.message, op="list", path=os.fsdecode(path) or ".")


def within(settings: Settings) -> tuple[bytes, ...]:
    """What the paths begin with that the mirror is of; none: it is of all."""
    return tuple(os.fsencode(directory) + b"/" for directory in settings.within)
