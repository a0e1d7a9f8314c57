"""An answer on stdout, all of it at once or as a stream.

Owns what becomes of an answer that nobody reads: the exit code tells, and the interpreter does not complain a second time.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import BinaryIO

from asyncmirror.errors import OutputError, UsageError

_STDOUT = 1
LOST = 4
"""The exit code where stdout can't be written: see docs/exit-codes.md."""


def need() -> None:
    """See that there is a stdout.

    Raises:
        UsageError: It was closed.
    """
    if sys.stdout is None:
        # A file that is opened later would get its descriptor, and the lines.
        raise UsageError("stdout is closed, and that is where the answer goes", hint="give it a file or a pipe")


def write(text: bytes) -> bool:
    """Write an answer; whether somebody took it."""
    try:
        sys.stdout.buffer.write(text)
        sys.stdout.flush()
    except OSError:
        _lose()
        return False
    return True


@contextlib.contextmanager
def stream() -> Iterator[BinaryIO]:
    """Write an answer piece by piece.

    Raises:
        OutputError: Nobody takes it.
    """
    try:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    except OSError as error:
        _lose()
        raise OutputError(f"stdout can't be written: {error.strerror or error}") from error


def _lose() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), _STDOUT)  # else the interpreter would try again, and complain, when it ends
