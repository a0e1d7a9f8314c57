"""The journal's and the source's file systems.

Owns what is looked at on disk: which kind each is, whether locks work there, how much room is left, how quickly files open. All
of it may hang on a file system that is gone: whoever calls gives it a thread of its own. Nothing is written but a nameless file
beside the journal, and no file of the source is read.
"""

import errno
import fcntl
import os
import stat
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from asyncmirror.doctor.finding import Finding, ok, problem, warning
from asyncmirror.journal.lock import holder
from asyncmirror.sizes import GIB, MIB, format_size
from asyncmirror.source.filesystem import is_local, kind

_OPENED = 32
"""Files of the source that are opened to see how quickly that goes."""
_LISTED = 1000
"""Entries of the source that are looked at for these."""
_SLOW = 0.02
"""Seconds an open takes, from which on it is slow: over a network it takes one to five milliseconds."""
_NO_LOCKS = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK}


def journal(directory: Path, path: Path | None) -> list[Finding]:
    """Where the journal lies or would lie; `path` is None where it is not told which one is meant."""
    place = _existing(directory)
    found = kind(place)
    where = f"{path or directory} on {found or 'a file system that is not known'}"
    if not os.access(place, os.W_OK | os.X_OK):
        return [problem("journal", f"{where}: {place} can't be written", "choose another place with --journal")]
    who = None if path is None else holder(path)
    if who is not None:
        lying = warning("journal", f"{where}, in use by process {who.pid} on {who.host}", "wait for its end, or stop it")
    else:
        far = found and not is_local(found)
        lying = ok("journal", f"{where}, over the network: locked for one run, without shared memory" if far else where)
    return [lying, _lock(place), _room(place)]


def _lock(place: Path) -> Finding:
    mode = "SQLite's, exclusive, held from the first statement to the end"
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return warning("journal's lock", f"{mode}; flock does not work there", "run one sync at a time on this journal")
        return problem("journal's lock", f"no file can be made there: {error.strerror}", "choose another place with --journal")
    return ok("journal's lock", f"{mode}; flock works too and names who has it")


def _room(place: Path) -> Finding:
    free = os.statvfs(place)
    size = free.f_bavail * free.f_frsize
    told = f"{format_size(size)} free, enough for {size // 110:,} files"
    if size < 64 * MIB:
        return problem("journal's room", told, "free some space there, or choose another place with --journal")
    return ok("journal's room", told) if size >= GIB else warning("journal's room", told, "a file takes about 110 bytes")


def _existing(path: Path) -> Path:
    """The nearest directory that is there."""
    return next(each for each in (path, *path.parents) if each.is_dir())


def source(root: Path) -> list[Finding]:
    """The tree that would be mirrored."""
    found = kind(root)
    try:
        times = sorted(_opens(root))
    except OSError as error:
        return [problem("source", f"{root} can't be listed: {error.strerror}", "check its permissions and the mount")]
    near = "local" if is_local(found) else "over the network, or not known: 8 threads list, 32 read"
    told = f"{root} on {found or 'a file system that is not known'} ({near})"
    if not times:
        return [warning("source", f"{told}; no file found among its first {_LISTED:,} entries", "is it mounted?")]
    middle, most = times[len(times) // 2], times[-1]
    speed = f"{len(times)} files opened, {middle * 1e3:.2g} ms each, {most * 1e3:.2g} ms at most"
    if middle >= _SLOW:
        return [
            ok("source", told),
            warning("source's speed", speed, "raise --readers and --scanners: opens wait for the network"),
        ]
    return [ok("source", told), ok("source's speed", speed)]


def _opens(root: Path) -> Iterator[float]:
    """Seconds that each of the first files takes to open."""
    waiting, looked, opened = deque([root]), 0, 0
    while waiting:
        directory = waiting.popleft()
        try:
            entries = os.scandir(directory)
        except OSError:
            if directory == root:
                raise
            continue
        with entries:
            for entry in entries:
                looked += 1
                if looked > _LISTED or opened >= _OPENED:
                    return
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
                elif entry.is_file(follow_symlinks=False) and (took := _open(entry.path)) is not None:
                    opened += 1
                    yield took


def _open(path: str) -> float | None:
    began = time.perf_counter()
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    took = time.perf_counter() - began
    regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
    os.close(descriptor)
    return took if regular else None
