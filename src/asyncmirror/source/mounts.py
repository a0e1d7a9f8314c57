"""Which file systems are mounted at or below a directory.

Owns the reading of the kernel's table. Other systems than Linux do not tell.
"""

import os
import re
from pathlib import Path

TABLE = Path("/proc/self/mountinfo")
_POINT = 4  # the field of a line that is the mount point (proc(5))
_OCTAL = re.compile(rb"\\([0-7]{3})")


def below(root: Path) -> frozenset[bytes]:
    """The mount points below a directory, and itself if it is one, as paths from there; none where nobody tells."""
    try:
        lines = TABLE.read_bytes().splitlines()
    except OSError:
        return frozenset()
    start = os.path.realpath(os.fsencode(root)).rstrip(b"/") + b"/"
    points = (_OCTAL.sub(lambda match: bytes([int(match[1], 8)]), line.split(b" ")[_POINT]) for line in lines)
    return frozenset(point.removeprefix(start).rstrip(b"/") for each in points if (point := each + b"/").startswith(start))
