"""The export format of ncdu, so that people can look through an outline with ``ncdu -f FILE``.

Owns the writing. The format is ncdu's "JSON Export File Format", version 1.2 (https://dev.yorhel.nl/ncdu/jsonfmt): a directory
is an array of its own description and its entries, names are bytes as they are. Sizes on disk are not known to an outline; the
apparent ones stand in their place, because that is what ncdu shows first. Knows no clock: the time is given.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from asyncmirror.plan.outline import Kind, Move, Step
from asyncmirror.version import VERSION

_FLUSH = 1 << 16
# What JSON forbids in a string, and DEL, which ncdu writes so too. All other bytes stand as they are, UTF-8 or not.
_ESCAPED = re.compile(rb'["\\\x00-\x1f\x7f]')
_MARKS = {Kind.UNREADABLE: b',"read_error":true', Kind.UNKNOWN: b',"notreg":true', Kind.DIRECTORY: b"", Kind.FILE: b""}


def write(file: BinaryIO, steps: Iterable[Step], root: Path, timestamp: int) -> None:
    """Write an outline. `root` stands in it with its whole path, `timestamp` in seconds since the epoch.

    Raises:
        OSError: It can't be written.
    """
    buffer = bytearray(b'[1,2,{"progname":"asyncmirror","progver":"%b","timestamp":%d}' % (VERSION.encode(), timestamp))
    shown: bytes | None = os.path.abspath(os.fsencode(root))
    for move, name, kind, size in steps:
        if move is Move.LEAVE:
            buffer += b"]"
            continue
        description = b'{"name":"%b"%b%b}' % (_string(name if shown is None else shown), _sizes(move, size), _MARKS[kind])
        shown = None
        if move is Move.ENTER:
            buffer += b",\n[" + description
        elif kind in (Kind.DIRECTORY, Kind.UNREADABLE):
            buffer += b",\n[" + description + b"]"
        else:
            buffer += b",\n" + description
        if len(buffer) >= _FLUSH:
            file.write(buffer)
            buffer.clear()
    file.write(buffer + b"]\n")


def _sizes(move: Move, size: int) -> bytes:
    """An entry's own bytes. Those of a directory that is entered are its entries'; ncdu adds them up itself."""
    return b"" if move is Move.ENTER or not size else b',"asize":%d,"dsize":%d' % (size, size)


def _string(name: bytes) -> bytes:
    return _ESCAPED.sub(lambda match: b"\\u%04x" % match[0][0], name)
