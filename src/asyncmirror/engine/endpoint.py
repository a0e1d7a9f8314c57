"""Where a running process can be reached: a Unix socket that only its user can open.

Owns the socket's place: ``JOURNAL.control/socket``, 0600 in a directory that is 0700; where none can be made there (a long
path, a file system without sockets), one in the user's runtime directory, named after the journal. Which it was, the journal's
lock tells (`journal.lock`). Knows nothing of what is said over it.
"""

import contextlib
import hashlib
import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

DIRECTORY = ".control"
"""What the directory beside the journal is called, behind the journal's name."""
SOCKET = "socket"
_BACKLOG = 128


class Endpoint(NamedTuple):
    """A socket that listens, and where."""

    socket: socket.socket
    path: str


@contextmanager
def listening(journal: Path) -> Iterator[Endpoint | None]:
    """Listen until the block ends; None where that is possible nowhere. The journal's lock must be this process's."""
    found = next(filter(None, map(_listen, _places(journal))), None)
    if found is None:
        yield None
        return
    try:
        yield found
    finally:
        found.socket.close()
        with contextlib.suppress(OSError):
            os.unlink(found.path)
            os.rmdir(os.path.dirname(found.path))  # the runtime directory's may hold others'


def _places(journal: Path) -> Iterator[Path]:
    """Where it may be, the best place first."""
    whole = Path(os.path.abspath(journal))
    yield whole.with_name(whole.name + DIRECTORY) / SOCKET
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    own = (
        Path(runtime) / "asyncmirror" if os.path.isabs(runtime) else Path(tempfile.gettempdir()) / f"asyncmirror-{os.geteuid()}"
    )
    yield own / hashlib.sha256(os.fsencode(whole)).hexdigest()[:16]


def _listen(path: Path) -> Endpoint | None:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _make_private(path.parent)
        with contextlib.suppress(FileNotFoundError):
            path.unlink()  # the lock is ours: it is what a killed run left
        listener.bind(os.fspath(path))
        path.chmod(0o600)
        listener.listen(_BACKLOG)
        listener.setblocking(False)  # noqa: FBT003  the name of the method says what is False
    except OSError:
        listener.close()
        with contextlib.suppress(OSError):
            path.parent.rmdir()
        return None
    return Endpoint(listener, os.fspath(path))


def _make_private(directory: Path) -> None:
    """Have a directory that nobody else can enter.

    Raises:
        OSError: It can't be made so, or somebody else's stands there.
    """
    with contextlib.suppress(FileExistsError):
        directory.mkdir(mode=0o700)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise PermissionError(f"{directory} is not ours")
    if stat.S_IMODE(found.st_mode) != stat.S_IRWXU:
        directory.chmod(0o700)
