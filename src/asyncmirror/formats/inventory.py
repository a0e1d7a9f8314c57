r"""``inventory-NAME.txt``, as DESI publishes it with a production: ``./path`` a line, for each file.

Owns the writing. A path's bytes stand as they are, UTF-8 or not. Newline, carriage return and backslash in it are written
``\n``, ``\r``, ``\\``, and the line begins with a backslash then, as in a checksum file: no other line does. Knows no journal.
"""

from collections.abc import Iterable
from typing import BinaryIO

from asyncmirror.formats.sidecars import escape

_FLUSH = 1 << 16


def write(file: BinaryIO, paths: Iterable[bytes]) -> None:
    """Write an inventory of these paths.

    Raises:
        OSError: It can't be written.
    """
    buffer = bytearray()
    for path in paths:
        escaped = escape(path)
        buffer += b"./%b\n" % path if escaped == path else b"\\./%b\n" % escaped
        if len(buffer) >= _FLUSH:
            file.write(buffer)
            buffer.clear()
    file.write(buffer)
