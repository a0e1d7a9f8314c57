r"""Checksum files beside the data, as ``sha256sum`` writes them: ``<64 hexadecimal digits>  <name>`` a line.

Owns the form (GNU coreutils, "cksum output modes"): a ``*`` before the name says that it was read as binary, which changes
nothing; a ``\`` before the digits, that newline, carriage return and backslash in the name are written ``\n``, ``\r``, ``\\``.
DESI names such a file ``checksum-<expid>.sha256sum`` (raw data) or after its directory (reductions). Knows no file system.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

SUFFIX = b".sha256sum"
_LINE = re.compile(rb"(\\?)([0-9a-fA-F]{64}) [ *](.+)")
_ESCAPES = {b"\\n": b"\n", b"\\r": b"\r", b"\\\\": b"\\"}


class Sum(NamedTuple):
    """What a line says: a path below the directory that the file stands in, and the SHA-256 of what is there."""

    path: bytes
    digest: bytes


def sums(pieces: Iterable[bytes]) -> Iterator[Sum]:
    """Read such a file, which comes in pieces.

    Raises:
        ValueError: A line is none of that form, or names something outside of the directory.
    """
    for number, line in enumerate(_lines(pieces), 1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError(f"line {number} is no checksum")
        path = re.sub(rb"\\[nr\\]", lambda found: _ESCAPES[found[0]], match[3]) if match[1] else match[3]
        path = path.removeprefix(b"./")
        if any(part in (b"", b".", b"..") for part in path.split(b"/")) or b"\0" in path:
            raise ValueError(f"line {number} names something outside of its directory")
        yield Sum(path, bytes.fromhex(match[2].decode("ascii")))


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        yield from whole
    if rest:
        yield rest
