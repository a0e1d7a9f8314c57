"""Who has the journal: a lock file beside it, so that a second process can say who the first is.

Owns ``JOURNAL.lock``. The lock is the kernel's (flock) and ends with the process, however that ends; the text in the file only
tells people. Where the file system has no such locks, SQLite's own exclusive lock is the guard.
"""

import contextlib
import errno
import fcntl
import json
import os
import socket
import time
from pathlib import Path
from typing import NamedTuple

from asyncmirror.errors import JournalError

_TRIES = 5
_PAUSE = 0.02
"""Seconds between two of them."""
_UNSUPPORTED = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK}


class Holder(NamedTuple):
    """The process that has the journal: `since` in seconds since the epoch; `endpoint` is where it answers questions."""

    pid: int
    host: str
    since: float
    endpoint: str = ""


def lock_path(journal: Path) -> Path:
    """The lock file of a journal."""
    return journal.with_name(journal.name + ".lock")


def holder(journal: Path) -> Holder | None:
    """Who has the journal now; None where nobody has."""
    try:
        descriptor = os.open(lock_path(journal), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(descriptor)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return None


def _read(descriptor: int) -> Holder:
    try:
        found = json.loads(os.pread(descriptor, 4096, 0))
        since = float(found["since"])
        time.localtime(since)  # a time that is none is refused here, not where it is shown
        return Holder(int(found["pid"]), str(found["host"]), since, str(found["endpoint"]))
    except (ValueError, KeyError, TypeError, OverflowError, OSError, RecursionError):
        return Holder(0, "?", 0.0)


class Lock:
    """Holds a journal for this process until `release`."""

    def __init__(self, journal: Path, endpoint: str = "") -> None:
        """Take it.

        Raises:
            JournalError: Another process has it; the text names it. Or the place can't be written.
        """
        path = lock_path(journal)
        self._descriptor = -1
        try:
            journal.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._take(journal)
            self._me = Holder(os.getpid(), socket.gethostname(), time.time(), endpoint)
            self._write()
        except OSError as error:
            self.release()
            raise JournalError(
                f"the journal's lock cannot be written: {error.strerror}",
                path=os.fspath(path),
                hint="free some space there, or choose another place with --journal",
            ) from None
        except JournalError:
            self.release()
            raise

    def _take(self, journal: Path) -> None:
        try:
            self._try()
        except BlockingIOError:
            first = _read(self._descriptor)
            since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(first.since))
            raise JournalError(
                f"the journal is in use by process {first.pid} on {first.host} since {since}",
                path=os.fspath(journal),
                hint="wait for it, stop it, or give this run its own --journal",
            ) from None
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise

    def _try(self) -> None:
        """Take it, or raise `BlockingIOError`. Who only asks who has it (`holder`) holds it for a moment, too."""
        for _ in range(_TRIES):
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            time.sleep(_PAUSE)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def tell(self, endpoint: str) -> None:
        """Let it be known where this process answers questions.

        Raises:
            OSError: It can't be written.
        """
        self._me = self._me._replace(endpoint=endpoint)
        self._write()

    def _write(self) -> None:
        text = json.dumps(self._me._asdict()).encode()
        os.pwrite(self._descriptor, text, 0)
        os.ftruncate(self._descriptor, len(text))  # afterwards: somebody may be reading

    def release(self) -> None:
        """Let it go. The file stays: removing it would race with the next to come."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
