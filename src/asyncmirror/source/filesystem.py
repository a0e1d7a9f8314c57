"""What kind of file system a directory lies on.

Owns the reading of Linux's mount table (proc(5), ``/proc/self/mountinfo``). Elsewhere, and for what the table does not name,
the answer is that it is not known.
"""

import os
from pathlib import Path
from typing import NamedTuple

_LOCAL = frozenset({"bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "overlay", "ramfs", "tmpfs", "xfs", "zfs"})
_MOUNTS = Path("/proc/self/mountinfo")


def kind(path: Path, mounts: Path | None = None) -> str:
    """The type of the file system that a path lies on, in the kernel's words (``ext4``, ``lustre``); empty: unknown."""
    try:
        device = os.stat(path).st_dev
        lines = (mounts or _MOUNTS).read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in lines:
        before, _, after = line.partition(" - ")
        if before.split(" ")[2:3] == [wanted]:
            return after.partition(" ")[0]
    return ""


class Threads(NamedTuple):
    """How many threads list, and how many read."""

    scanners: int
    readers: int


def threads(path: Path, scanners: int, readers: int) -> Threads:
    """The numbers given, and where one is 0, what suits the file system.

    A local one answers at once: more threads would only wait for each other. Over a network each look-up and open takes a round
    trip, and many go on at once.
    """
    suggested = Threads(1, 4) if is_local(kind(path)) else Threads(8, 32)
    return Threads(scanners or suggested.scanners, readers or suggested.readers)


def is_local(kind: str) -> bool:
    """Whether a file system of this type answers from this machine's own memory and disks."""
    return kind in _LOCAL
