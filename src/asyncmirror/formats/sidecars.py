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
_ESCAPED = {plain: escape for escape, plain in _ESCAPES.items()}
_EXPOSURE = re.compile(rb"(?:.*/)?[0-9]{8}/([0-9]{8})", re.DOTALL)
_RELEASED = b"spectro"


class Sum(NamedTuple):
    """What a line says: a path below the directory that the file stands in, and the SHA-256 of what is there."""

    path: bytes
    digest: bytes


def name(directory: bytes, root: bytes) -> bytes:
    """What DESI calls the checksum file of a directory.

    Args:
        directory: Its path below the source; empty: the source itself.
        root: The source's name.

    Returns:
        ``checksum-<expid>.sha256sum`` for ``…/<night>/<expid>`` (8 digits each), else the path below ``spectro/`` (where there
        is such a directory in it) with ``_`` for each slash. Nothing keeps it from being longer than a name may be.
    """
    if exposure := _EXPOSURE.fullmatch(directory):
        return b"checksum-" + exposure[1] + SUFFIX
    parts = directory.split(b"/") if directory else [root]
    if _RELEASED in parts[:-1]:
        parts = parts[parts.index(_RELEASED) + 1 :]
    return b"_".join(parts) + SUFFIX


def escape(path: bytes) -> bytes:
    """A path in one line. Where it is another than before, the line has to begin with a backslash."""
    return re.sub(rb"[\n\r\\]", lambda found: _ESCAPED[found[0]], path)


def line(path: bytes, digest: bytes) -> bytes:
    """What ``sha256sum`` writes of a file."""
    escaped = escape(path)
    return b"%b%b  %b\n" % (b"" if escaped == path else b"\\", digest.hex().encode("ascii"), escaped)


def sums(pieces: Iterable[bytes]) -> Iterator[Sum]:
    """Read such a file, which comes in pieces.

    Raises:
        ValueError: A line is none of that form, or names something outside of the directory.
    """
    for number, each in enumerate(_lines(pieces), 1):
        match = _LINE.fullmatch(each)
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
