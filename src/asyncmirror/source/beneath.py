"""Opening names below the source and nowhere else.

Owns the one way in which the source is opened: component by component from a descriptor of the root, never through a
symbolic link, never blocking on a FIFO or a device. A directory that somebody swaps for a link between two looks leads to an
error, not outside. Knows nothing of checksums, keys or the journal. Its errors are `OSError`s; `classify` translates them.
"""

import contextlib
import errno
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

from asyncmirror.errors import SourceError, UnreadableError, UsageError
from asyncmirror.model import Identity

# O_PATH (Linux) looks a directory up without opening it: on a parallel file system that spares a round trip.
_STEP = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LIST = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

_MOST = (1 << 63) - 1
_SAID = {
    errno.EACCES: "permission denied",
    errno.EPERM: "not permitted",
    errno.ENOENT: "it vanished",
    errno.ENOTDIR: "a directory above it was replaced by something else",
    errno.ELOOP: "it was replaced by a symbolic link",
    errno.ESTALE: "the file system's handle is stale",
    errno.EIO: "input/output error",
    errno.ENXIO: "it was replaced by a socket or a device",
}


def identity_of(status: os.stat_result) -> Identity:
    """The identity that a `stat` result tells.

    What exceeds 64 signed bits, which is all that the journal can hold, is wrapped: inode numbers of file systems that hash
    them, times after 2262. It serves as well to tell a change.
    """
    ino, mtime_ns, ctime_ns = status.st_ino, status.st_mtime_ns, status.st_ctime_ns
    if not (ino <= _MOST and -_MOST <= mtime_ns <= _MOST and -_MOST <= ctime_ns <= _MOST):
        ino, mtime_ns, ctime_ns = _wrap(ino), _wrap(mtime_ns), _wrap(ctime_ns)
    return Identity(status.st_dev, ino, status.st_size, mtime_ns, ctime_ns)


def _wrap(value: int) -> int:
    return (value + _MOST + 1) % (1 << 64) - _MOST - 1


def classify(error: OSError, op: str) -> SourceError:
    """The file system's refusal as one of our errors; the entry's path is with whoever reports it."""
    said = _SAID.get(error.errno or 0) or (error.strerror or str(error)).lower()
    return UnreadableError(said, op=op)


class Beneath:
    """A directory tree, opened by location: a relative path of bytes, ``b""`` for the root itself.

    Every thread keeps the directory it used last open, because entries come by directory. Close it when the run ends.
    """

    def __init__(self, root: Path) -> None:
        """Open the root. A root that is itself a symbolic link is followed: the user named it.

        Raises:
            UsageError: It is missing, no directory, or may not be read.
        """
        try:
            self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except NotADirectoryError:
            raise UsageError(f"the source {os.fspath(root)!r} is not a directory", hint="name a directory") from None
        except FileNotFoundError:
            raise UsageError(f"the source {os.fspath(root)!r} does not exist", hint="check the path") from None
        except OSError as error:
            raise UsageError(f"the source {os.fspath(root)!r} cannot be opened: {error.strerror}") from None
        self.real = os.path.realpath(os.fsencode(root))
        self._last = threading.local()
        self._lock = threading.Lock()
        self._open: set[int] = {self._root}

    def open_directory(self, location: bytes) -> int:
        """A new descriptor of a directory, for listing. The caller closes it."""
        parent, _, name = location.rpartition(b"/")
        try:
            return os.open(name or b".", _LIST, dir_fd=self._enter(parent))
        except OSError as error:
            return os.open(name or b".", _LIST, dir_fd=self._enter_anew(parent, error))

    def open_file(self, directory: bytes, name: bytes) -> tuple[int, os.stat_result]:
        """A new descriptor of a regular file, and its status. The caller closes it.

        Raises:
            OSError: As `os.open`; ENXIO where it is no regular file.
        """
        try:
            descriptor = os.open(name, _READ, dir_fd=self._enter(directory))
        except OSError as error:
            descriptor = os.open(name, _READ, dir_fd=self._enter_anew(directory, error))
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            raise OSError(errno.ENXIO, "not a regular file")
        return descriptor, status

    def status(self, directory: bytes, name: bytes) -> os.stat_result:
        """The status of an entry itself, links not followed."""
        try:
            return os.stat(name, dir_fd=self._enter(directory), follow_symlinks=False)
        except OSError as error:
            return os.stat(name, dir_fd=self._enter_anew(directory, error), follow_symlinks=False)

    def status_of_root(self) -> tuple[os.stat_result, int]:
        """The status of the root, and the id of its file system: statvfs(3), 0 where that has none."""
        return os.fstat(self._root), os.fstatvfs(self._root).f_fsid

    def exists(self, directory: bytes, name: bytes) -> bool:
        """Whether there is such an entry. Something is there, too, whatever is wrong with it."""
        try:
            self.status(directory, name)
        except OSError as error:
            return error.errno not in (errno.ENOENT, errno.ENOTDIR)
        return True

    def is_empty(self) -> bool:
        """Whether the root holds nothing, as a directory on which nothing is mounted."""
        with self.listing(b"") as entries:
            return next(entries, None) is None

    def link_target(self, directory: bytes, name: bytes) -> bytes:
        """What a symbolic link says."""
        return os.readlink(name, dir_fd=self._enter(directory))

    def resolve(self, directory: bytes, name: bytes) -> bytes | None:
        """The location that a symbolic link leads to, all links followed; None where that is outside the root.

        Raises:
            OSError: It leads nowhere (ENOENT) or in a circle (ELOOP).
        """
        real = os.path.realpath(os.path.join(self.real, directory, name), strict=True)
        if real == self.real:
            return b""
        below = self.real.rstrip(b"/") + b"/"
        return real.removeprefix(below) if real.startswith(below) else None

    def _enter(self, directory: bytes) -> int:
        """The descriptor of a directory, this thread's last one where it is the same."""
        if not directory:
            return self._root
        last: tuple[bytes, int] | None = getattr(self._last, "directory", None)
        if last is not None:
            if last[0] == directory:
                return last[1]
            self._forget(last[1])
            self._last.directory = None
        descriptor = self._root
        with contextlib.ExitStack() as steps:
            for component in directory.split(b"/"):
                descriptor = os.open(component, _STEP, dir_fd=descriptor)
                steps.callback(os.close, descriptor)
            descriptor = os.dup(descriptor)
        with self._lock:
            self._open.add(descriptor)
        self._last.directory = (directory, descriptor)
        return descriptor

    def _enter_anew(self, directory: bytes, error: OSError) -> int:
        """The descriptor of a directory, looked up once more, where the file system said that a handle was stale (open(2)).

        Raises:
            OSError: It said something else.
        """
        if error.errno != errno.ESTALE:
            raise error
        last: tuple[bytes, int] | None = getattr(self._last, "directory", None)
        if last is not None:
            self._last.directory = None
            self._forget(last[1])
        return self._enter(directory)

    def _forget(self, descriptor: int) -> None:
        with self._lock:
            self._open.discard(descriptor)
        os.close(descriptor)

    def close(self) -> None:
        """Close what is open. No thread may be using it any more."""
        with self._lock:
            for descriptor in self._open:
                os.close(descriptor)
            self._open.clear()

    @contextlib.contextmanager
    def listing(self, location: bytes) -> Iterator["os._ScandirIterator[str]"]:
        """Iterate over a directory's entries; names are text with surrogate escapes."""
        descriptor = self.open_directory(location)
        try:
            with os.scandir(descriptor) as entries:
                yield entries
        finally:
            os.close(descriptor)
