"""A crawl: the scanner's listings become the outline of a tree.

Owns what each kind of entry counts as, and what is reported. Nothing ends a crawl but a disk that is full: what can't be looked
at is told, marked, and passed over. Knows no format and no screen.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from asyncmirror.formats.spool import Entry, Spool
from asyncmirror.model import Outcome
from asyncmirror.plan.filters import NO_RULES, Filters
from asyncmirror.plan.outline import Kind
from asyncmirror.settings import Stubs, Symlinks
from asyncmirror.source import filesystem
from asyncmirror.source.beneath import Beneath
from asyncmirror.source.walk import File, Listing, Walker


class Totals(NamedTuple):
    """What has been found so far. `size` in bytes, of files; `unknown` are links, FIFOs and the like."""

    files: int = 0
    size: int = 0
    unknown: int = 0
    unreadable: int = 0


class Crawl:
    """One crawl of one tree into one spool."""

    def __init__(
        self,
        spool: Spool,
        symlinks: Symlinks = Symlinks.SKIP,
        filters: Filters = NO_RULES,
        on_progress: Callable[[Totals], None] = lambda _: None,
        on_unreadable: Callable[[bytes, str], None] = lambda _, __: None,
    ) -> None:
        """Prepare it. Both functions are called from several threads, one call at a time; the path is below the root."""
        self._spool = spool
        self._symlinks = symlinks
        self._filters = filters
        self._on_progress = on_progress
        self._on_unreadable = on_unreadable
        self._lock = threading.Lock()
        self._totals = Totals()

    def run(self, root: Path, threads: int = 0) -> Totals:
        """Crawl the tree with so many threads; 0: as many as suit its file system.

        Raises:
            UsageError: The root is no directory, or may not be opened.
            OutputError: The spool can't be written.
        """
        beneath = Beneath(root)
        try:
            count = filesystem.threads(root, threads, 0).scanners
            # A file on tape counts with its size: it is not read here.
            walker = Walker(beneath, self._filters, self._symlinks, Stubs.READ, self._take, count)
            walk(walker)
        finally:
            beneath.close()
        return self._totals

    def _take(self, listing: Listing) -> None:
        listing = self._filtered(listing)
        path = listing.directory.path
        entries = [Entry(file.name, Kind.FILE, _size(file)) for file in listing.files]
        entries += [Entry(oddity.name, Kind.UNKNOWN, 0) for oddity in listing.oddities if oddity.name]
        unreadable = [oddity for oddity in listing.oddities if oddity.outcome is Outcome.UNREADABLE]
        self._spool.add(path, entries, unreadable=any(not oddity.name for oddity in unreadable))
        size = sum(entry.size for entry in entries)
        unknown = sum(oddity.outcome is Outcome.UNSUPPORTED for oddity in listing.oddities)
        with self._lock:
            files, bytes_, odd, lost = self._totals
            self._totals = Totals(files + len(listing.files), bytes_ + size, odd + unknown, lost + len(unreadable))
            for oddity in unreadable:
                self._on_unreadable(listing.directory.child(oddity.name) if oddity.name else path, oddity.reason)
            self._on_progress(self._totals)

    def _filtered(self, listing: Listing) -> Listing:
        """What no rule leaves out: the rest is not told of at all."""
        if not self._filters:
            return listing
        child, excludes = listing.directory.child, self._filters.excludes
        return listing._replace(
            files=[file for file in listing.files if not excludes(child(file.name))],
            oddities=[
                odd
                for odd in listing.oddities
                if not odd.name or (odd.outcome is not Outcome.EXCLUDED and not excludes(child(odd.name)))
            ],
        )


def walk(walker: Walker) -> None:
    """List everything, and end early where this thread is interrupted: Ctrl-C comes to it alone."""
    begin = threading.Event()

    def run() -> None:
        begin.wait()  # so that an interruption while the thread is made does not leave it behind, at work
        walker.run()

    with ThreadPoolExecutor(1, "crawl") as pool:
        try:
            listed = pool.submit(run)
            begin.set()
            listed.result()
        except BaseException:
            walker.stop()
            begin.set()
            raise


def _size(file: File) -> int:
    """Bytes that its object will have: that of a recorded link is empty."""
    return 0 if file.target else file.identity.size
