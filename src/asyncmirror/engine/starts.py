"""Where a scan begins, if not at the root: the directories and files of the source that were named.

Owns that each is there, that nothing is listed twice, and that a scan which begins further down sees what one from the root
would see: the same links followed, the same circles noticed. A name that leads nowhere is refused before anything is begun: it
would be mirrored as if it were empty. One that may not be looked at is left to the scan, which reports it.
"""

import errno
import os
import stat
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from asyncmirror.errors import UsageError
from asyncmirror.settings import Symlinks
from asyncmirror.source.beneath import Beneath
from asyncmirror.source.walk import Directory


def starts(beneath: Beneath, names: Sequence[str], symlinks: Symlinks) -> list[Directory]:
    """The directories to begin with: the root where nothing is named; for a file, its directory with that file alone.

    Raises:
        UsageError: There is no such directory or file.
    """
    if not names:
        return [Directory(b"", b"")]
    whole: dict[bytes, Directory] = {}
    parents: dict[bytes, Directory] = {}
    parts: defaultdict[bytes, set[bytes]] = defaultdict(set)
    for name in names:
        path = os.fsencode(name)
        parent, _, last = path.rpartition(b"/")
        way = _Way(beneath, follow=symlinks is Symlinks.FOLLOW)
        try:
            for component in parent.split(b"/") if parent else ():
                way.enter(component)
            if stat.S_ISDIR(way.status(last).st_mode):
                way.enter(last)
                whole[path] = way.directory(path)
            else:
                parents[parent] = way.directory(parent)
                parts[parent].add(last)
        except PermissionError:
            whole[path] = Directory(path, path)
        except OSError as error:
            said = (error.strerror or str(error)).lower()
            raise UsageError(f"the source has no {name!r} that can be looked at: {said}", hint="check the path") from None
    found = [start for path, start in sorted(whole.items()) if not _in(path.rpartition(b"/")[0], whole)]
    some = [(parents[path], names) for path, names in sorted(parts.items()) if not _in(path, whole)]
    return found + [parent._replace(only=frozenset(names)) for parent, names in some]


@dataclass(slots=True)
class _Way:
    """The way from the root down, as a scan goes it."""

    beneath: Beneath
    follow: bool
    location: bytes = b""
    ancestors: tuple[tuple[int, int], ...] = ()

    def status(self, name: bytes) -> os.stat_result:
        """The status of an entry of the directory that was come to, itself."""
        return self.beneath.status(self.location, name)

    def enter(self, name: bytes) -> None:
        """Go down into a directory, or along a link to one.

        Raises:
            OSError: There is no such directory.
        """
        status = self.status(name)
        location: bytes | None = self.location + b"/" + name if self.location else name
        if self.follow and stat.S_ISLNK(status.st_mode):
            location = self.beneath.resolve(self.location, name)
            if location is not None:
                parent, _, real_name = location.rpartition(b"/")
                status = self.beneath.status(parent, real_name or b".")
        if location is None or not stat.S_ISDIR(status.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        self.location = location
        if self.follow:
            self.ancestors = (*self.ancestors, (status.st_dev, status.st_ino))

    def directory(self, path: bytes) -> Directory:
        """Where the way has come to, for a scan that begins there."""
        return Directory(path, self.location, self.ancestors)


def _in(path: bytes, directories: Collection[bytes]) -> bool:
    """Whether the path is one of the directories, or in one."""
    while path:
        if path in directories:
            return True
        path = path.rpartition(b"/")[0]
    return False
