"""Plain lines on stderr.

Owns that writing them never fails: a stderr that is full, closed or read by nobody is no reason to end a run that goes well.
"""

import contextlib
import os
import sys
from collections.abc import Iterable

from asyncmirror.text import show_line


def write(lines: Iterable[str]) -> None:
    """Write lines that are fit to be shown."""
    text = "".join(line + "\n" for line in lines)
    # Python has no sys.stderr where the descriptor was closed.
    if text and sys.stderr is not None:
        with contextlib.suppress(OSError):
            sys.stderr.write(text)
            sys.stderr.flush()


def occupy() -> None:
    """Have nothing stand where stdin, stdout or stderr were closed: a file that is opened later would be taken for one of them.

    A library's last words would go into the journal, and libuv ends a process that closes such a file.
    """
    for standard in range(3):
        try:
            os.fstat(standard)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
            os.set_inheritable(null, True)  # noqa: FBT003  its second argument, by position only


def settle() -> None:
    """Have the rest written, or forgotten where nobody can read it: Python would end with an exit code of its own."""
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stderr.fileno())
        os.close(null)


def complain(text: str) -> None:
    """Tell of an error in one line, escaped and without credentials."""
    from asyncmirror.cli.logs import Redactor  # noqa: PLC0415  logging is slow to import, and most commands end well

    write([f"asyncmirror: {show_line(Redactor(os.environ)(text))}"])
