"""A file that is there whole or not at all.

Owns the writing beside and the renaming. Knows no format.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from asyncmirror.errors import OutputError


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Write a file that takes the place of what stands at `path` when the block ends, and leaves it alone if the block fails.

    A link is followed. What is no regular file (``/dev/null``, a FIFO) is written to as it is.

    Raises:
        OutputError: It can't be written.
    """
    target = os.path.realpath(path)
    try:
        if os.path.lexists(target) and not stat.S_ISREG(os.stat(target).st_mode):
            with open(target, "wb") as file:
                yield file
            return
        with _beside(target) as file:
            yield file
    except OSError as error:
        raise OutputError(f"it can't be written: {error.strerror or error}", path=os.fspath(path)) from error


@contextlib.contextmanager
def _beside(target: str) -> Iterator[BinaryIO]:
    directory, name = os.path.split(target)
    # In the same directory, because a rename does not cross file systems; shortened, because a name has 255 bytes at most.
    partial = os.path.join(directory, f".{name[:100]}.{os.getpid()}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        with open(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        raise
    _sync_directory(directory)


def _sync_directory(directory: str) -> None:
    """Make the new name outlast a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
