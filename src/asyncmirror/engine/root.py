"""The source as one run has it: its root, opened, and where the scan begins; and whether it is there at all.

Owns what is checked of a source before a run, and what tells a mount that is gone from files that are gone. The root is opened
anew for each run, because a mount may have changed in between. Where it is the same directory as before, it is there. Where it
is another one, something of what the journal knows must be in it: a file system that was mounted again passes, the empty
directory below it does not. Files that are gone are nothing to this room.
"""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from asyncmirror.engine.starts import starts
from asyncmirror.errors import SourceGoneError, UsageError
from asyncmirror.journal import paths
from asyncmirror.journal.writer import Journal
from asyncmirror.plan.remap import Remaps
from asyncmirror.settings import Settings
from asyncmirror.source.beneath import Beneath
from asyncmirror.source.walk import Directory

_MOUNTED = "is it mounted? Nothing was looked at, and nothing on record is touched"
_SAMPLE = 1000
"""Names on record that are looked for."""


class Place(NamedTuple):
    """Which directory the root is. Numbers of devices and roots come again with the next file system, `fsid` rarely does."""

    dev: int
    ino: int
    fsid: int


class Root(NamedTuple):
    """An open source; whoever has it closes `beneath`."""

    path: Path
    beneath: Beneath
    starts: Sequence[Directory]

    @property
    def place(self) -> Place:
        """Which directory it is.

        Raises:
            OSError: It can't be looked at any more.
        """
        status, fsid = self.beneath.status_of_root()
        return Place(status.st_dev, status.st_ino, fsid)

    async def check(self) -> None:
        """See that it is still what stands at its path. For whoever met entries that can't be read.

        Raises:
            SourceGoneError: It is not.
        """
        if error := await asyncio.to_thread(self._lost):
            raise error

    def _lost(self) -> SourceGoneError | None:
        try:
            status = os.stat(self.path)
            if self.place == Place(status.st_dev, status.st_ino, os.statvfs(self.path).f_fsid):
                return None
        except OSError as error:
            return _gone(self.path, (error.strerror or str(error)).lower())
        return _gone(self.path, "another directory is in its place")


async def open_root(settings: Settings) -> Root:
    """Open the source.

    Raises:
        UsageError: It is missing or no directory, or what was named in it is not there.
    """
    beneath = await asyncio.to_thread(Beneath, settings.source)
    try:
        _check_remaps(settings)
        found = await asyncio.to_thread(starts, beneath, settings.subdirs or settings.within, settings.symlinks)
        return Root(settings.source, beneath, found)
    except BaseException:
        beneath.close()
        raise


async def open_again(settings: Settings, journal: Journal, last: Place | None) -> Root:
    """Open the source once more, for another run of the same process.

    Args:
        settings: Where it is.
        journal: Tells what was found in it before.
        last: Which directory it was in the last run.

    Raises:
        SourceGoneError: It is not there, or what is there is not what was mirrored before.
    """
    try:
        root = await open_root(settings)
    except UsageError as error:  # it was there when the process began
        raise SourceGoneError(error.message, hint=error.hint) from error
    try:
        await recognize(root, journal, last)
    except BaseException:
        root.beneath.close()
        raise
    return root


async def first_look(root: Root, journal: Journal) -> str:
    """What to tell of a source in which nothing is as it was: nobody knows yet what it should be. Else nothing.

    Raises:
        SourceGoneError: It is empty besides, as a directory is on which nothing is mounted.
    """
    try:
        await recognize(root, journal, None)
    except SourceGoneError as error:
        if await asyncio.to_thread(root.beneath.is_empty):
            hint = "is it mounted? If it was emptied on purpose, mirror it with another --journal"
            raise SourceGoneError("the source is empty, and the journal has files of it", path=error.path, hint=hint) from None
        return f"{error.message} (is it mounted? It is mirrored as it is now)"
    return ""


async def recognize(root: Root, journal: Journal, last: Place | None) -> None:
    """See that the root is what was mirrored before.

    Args:
        root: As it was opened.
        journal: Tells what was found in it before.
        last: Which directory it was in the last run.

    Raises:
        SourceGoneError: It is empty or another one, and nothing that is on record is there.
    """
    if root.place == last:
        return
    known = await asyncio.wrap_future(journal.ask(lambda connection: paths.top(connection, b"", _SAMPLE)))
    if known and not await asyncio.to_thread(lambda: any(root.beneath.exists(b"", name) for name in known)):
        raise _gone(root.path, "nothing of what was mirrored from there is in it")


def _gone(path: Path, what: str) -> SourceGoneError:
    return SourceGoneError(f"the source is not there: {what}", path=os.fspath(path), hint=_MOUNTED)


def _check_remaps(settings: Settings) -> None:
    """See that the remaps go together, and are of directories."""
    Remaps(settings.remaps)
    for remap in settings.remaps:
        if os.path.isfile(settings.source / remap.source):
            raise UsageError(f"{remap.source!r} is a file", hint="--remap moves what is in a directory")
