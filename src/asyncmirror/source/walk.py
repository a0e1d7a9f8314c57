"""The tree, a listing at a time, in the order in which directories are found.

Owns the threads that list directories and the classification of what is no regular file. One `stat` per file, no whole-tree
structure: what is remembered are directories found and not yet listed, and when those are many, a thread goes down into them
before it reads on. Knows no journal, no keys and no store; filters are only asked whether to go down.
"""

import errno
import os
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from asyncmirror.model import Identity, Outcome
from asyncmirror.plan.filters import Filters
from asyncmirror.settings import Stubs, Symlinks
from asyncmirror.source.beneath import Beneath, classify, identity_of

CHUNK = 1000
"""Files told of at once. A larger directory comes in several listings."""
_PENDING = 10_000
# Small files may have no blocks because they stand in their inode (ext4 inline_data, btrfs, ZFS): those are no stubs.
_STUB_SIZE = 64 * 1024
_STUB = "no blocks on disk: archived to tape, or sparse (--stubs read reads it all the same)"
_ODD = {
    stat.S_IFIFO: "a FIFO has no bytes to mirror",
    stat.S_IFSOCK: "a socket has no bytes to mirror",
    stat.S_IFCHR: "a character device has no bytes to mirror",
    stat.S_IFBLK: "a block device has no bytes to mirror",
}


class Directory(NamedTuple):
    """A directory: `path` decides its keys, `location` is where it stands. They differ only below a followed link.

    `ancestors` are (dev, ino) of the directories above it, kept only where links are followed: to notice circles.
    `only` names the entries that are looked at; None: all.
    """

    path: bytes
    location: bytes
    ancestors: tuple[tuple[int, int], ...] = ()
    only: frozenset[bytes] | None = None

    def child(self, name: bytes) -> bytes:
        """The path of an entry."""
        return self.path + b"/" + name if self.path else name


class File(NamedTuple):
    """A regular file found, or a symbolic link to be recorded (`target` is set), or followed (`directory`, `real_name`)."""

    name: bytes
    identity: Identity
    directory: bytes  # the location of the directory that it is opened in
    real_name: bytes  # its name there
    target: bytes = b""


class Oddity(NamedTuple):
    """An entry that is not going to be sent, with its outcome and the reason."""

    name: bytes
    outcome: Outcome
    reason: str
    size: int = 0


class Listing(NamedTuple):
    """What was found in a directory: all of it (`whole`), or a piece of at most `CHUNK` files. One piece comes last."""

    directory: Directory
    files: list[File]
    oddities: list[Oddity]
    whole: bool


def _named(entries: "Iterator[os.DirEntry[str]]", missing: set[bytes]) -> "Iterator[os.DirEntry[str]]":
    """The entries of these names, which are taken out of `missing`."""
    for entry in entries:
        name = os.fsencode(entry.name)
        if name in missing:
            missing.discard(name)
            yield entry


class Walker:
    """Lists a tree with several threads and gives each listing to `emit`, which may block: that is the back-pressure.

    It begins at `starts`, of which no directory is in another.
    """

    def __init__(
        self,
        beneath: Beneath,
        filters: Filters,
        symlinks: Symlinks,
        stubs: Stubs,
        emit: Callable[[Listing], None],
        threads: int,
        starts: Sequence[Directory] = (Directory(b"", b""),),
    ) -> None:
        self._beneath = beneath
        self._filters = filters
        self._symlinks = symlinks
        self._read_stubs = stubs is Stubs.READ
        self._emit = emit
        self._count = threads
        self._pending: list[Directory] = list(starts)
        self._busy = 0
        self._ready = threading.Condition()
        self._stopped = False
        self._error: BaseException | None = None

    def run(self) -> None:
        """List everything; returns when all is listed or `stop` was called. Call it in a thread of its own.

        Raises:
            BaseException: Whatever `emit` raised first.
        """
        threads = [threading.Thread(target=self._work, name=f"scan-{n}") for n in range(1, self._count)]
        for thread in threads:
            thread.start()
        self._work()
        for thread in threads:
            thread.join()
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Make `run` return soon. From any thread."""
        with self._ready:
            self._stopped = True
            self._ready.notify_all()

    def _work(self) -> None:
        while (directory := self._next()) is not None:
            try:
                self._list(directory)
            except BaseException as error:  # noqa: BLE001  it is raised again by `run`, in the caller's thread
                self._error = self._error or error
                self.stop()
            finally:
                with self._ready:
                    self._busy -= 1
                    if not self._busy:
                        self._ready.notify_all()

    def _next(self) -> Directory | None:
        with self._ready:
            while not self._stopped:
                if self._pending:
                    self._busy += 1
                    return self._pending.pop()
                if not self._busy:
                    return None
                self._ready.wait()
            return None

    def _found(self, directory: Directory) -> None:
        with self._ready:
            self._pending.append(directory)
            self._ready.notify()
            crowded = self._pending.pop() if len(self._pending) > _PENDING and not self._stopped else None
        if crowded is not None:
            self._list(crowded)  # a million subdirectories must not stand in memory: go down before reading on

    def _list(self, directory: Directory) -> None:
        """List one directory and emit what is in it."""
        files: list[File] = []
        oddities: list[Oddity] = []
        location, only = directory.location, directory.only
        whole, empty = only is None, True
        missing = set(only or ())
        try:
            with self._beneath.listing(location) as entries:
                for entry in entries if only is None else _named(entries, missing):
                    empty = False
                    name = os.fsencode(entry.name)
                    try:
                        if entry.is_file(follow_symlinks=False):
                            status = entry.stat(follow_symlinks=False)
                            if status.st_blocks or status.st_size < _STUB_SIZE or self._read_stubs:
                                files.append(File(name, identity_of(status), location, name))
                            else:
                                oddities.append(Oddity(name, Outcome.UNSUPPORTED, _STUB, status.st_size))
                        else:
                            self._not_a_file(directory, name, entry, files, oddities)
                    except OSError as error:
                        oddities.append(Oddity(name, Outcome.UNREADABLE, str(classify(error, "stat"))))
                    if len(files) + len(oddities) >= CHUNK:
                        whole = False
                        self._tell(Listing(directory, files, oddities, whole))
                        files, oddities = [], []
                        if self._stopped:
                            return
        except OSError as error:
            # Its name among its own entries is empty: in its parent it could be mistaken for a file.
            oddities.append(Oddity(b"", Outcome.UNREADABLE, f"directory not listed: {classify(error, 'list')}"))
            whole = False
        else:
            oddities += [Oddity(name, Outcome.UNREADABLE, "it vanished") for name in sorted(missing)]
            if empty and directory.path and only is None:
                oddities.append(Oddity(b"", Outcome.EXCLUDED, "an empty directory: S3 has no directories"))
        self._tell(Listing(directory, files, oddities, whole))

    def _tell(self, listing: Listing) -> None:
        if not self._stopped:
            self._emit(listing)

    def _not_a_file(
        self,
        directory: Directory,
        name: bytes,
        entry: "os.DirEntry[str]",
        files: list[File],
        oddities: list[Oddity],
    ) -> None:
        if entry.is_dir(follow_symlinks=False):
            self._descend(directory, name, oddities)
        elif not entry.is_symlink():
            kind = stat.S_IFMT(entry.stat(follow_symlinks=False).st_mode)
            oddities.append(Oddity(name, Outcome.UNSUPPORTED, _ODD.get(kind, "neither a file nor a directory")))
        elif self._symlinks is Symlinks.RECORD:
            target = self._beneath.link_target(directory.location, name)
            identity = identity_of(entry.stat(follow_symlinks=False))
            files.append(File(name, identity, directory.location, name, target))
        elif self._symlinks is Symlinks.SKIP:
            oddities.append(Oddity(name, Outcome.UNSUPPORTED, "a symbolic link (--symlinks follow or record includes it)"))
        else:
            self._follow(directory, name, files, oddities)

    def _descend(self, directory: Directory, name: bytes, oddities: list[Oddity]) -> None:
        path = directory.child(name)
        if self._filters and (reason := self._filters.prunes(path)):
            oddities.append(Oddity(name, Outcome.EXCLUDED, reason))
            return
        ancestors: tuple[tuple[int, int], ...] = ()
        location = directory.location + b"/" + name if directory.location else name
        if self._symlinks is Symlinks.FOLLOW:
            status = self._beneath.status(directory.location, name)
            ancestors = (*directory.ancestors, (status.st_dev, status.st_ino))
        self._found(Directory(path, location, ancestors))

    def _follow(self, directory: Directory, name: bytes, files: list[File], oddities: list[Oddity]) -> None:
        try:
            location = self._beneath.resolve(directory.location, name)
        except OSError as error:
            said = "a symbolic link that leads in a circle" if error.errno == errno.ELOOP else "a broken symbolic link"
            oddities.append(Oddity(name, Outcome.UNSUPPORTED, said))
            return
        if location is None:
            oddities.append(Oddity(name, Outcome.UNSUPPORTED, "a symbolic link that leads outside the source"))
            return
        parent, _, real_name = location.rpartition(b"/")
        status = self._beneath.status(parent, real_name or b".")
        if stat.S_ISREG(status.st_mode):
            files.append(File(name, identity_of(status), parent, real_name))
        elif not stat.S_ISDIR(status.st_mode):
            oddities.append(Oddity(name, Outcome.UNSUPPORTED, "a symbolic link to something that is no file"))
        elif (status.st_dev, status.st_ino) in self._above(directory):
            oddities.append(Oddity(name, Outcome.UNSUPPORTED, "a symbolic link that leads in a circle"))
        else:
            seen = (*directory.ancestors, (status.st_dev, status.st_ino))
            self._found(Directory(directory.child(name), location, seen))

    def _above(self, directory: Directory) -> tuple[tuple[int, int], ...]:
        root = self._beneath.status(b"", b".")
        return (*directory.ancestors, (root.st_dev, root.st_ino))
