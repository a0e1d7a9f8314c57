"""Where this process's control groups keep their numbers, in version 2, version 1 and where there are none.

Owns the way to a group's files. Source: cgroups(7), the kernel's cgroup-v2.rst and cgroup-v1, proc(5). What the numbers mean is
for whoever asks.
"""

from collections.abc import Iterator
from pathlib import Path

PROC, MOUNT = Path("/proc"), Path("/sys/fs/cgroup")
NO_LIMIT = 1 << 60
"""Version 1 says "no limit" by a number near 2^63."""


def groups(controller: str, proc: Path = PROC, mount: Path = MOUNT) -> Iterator[Path]:
    """The directories of this process's group and of those above it, the innermost first.

    Args:
        controller: Of version 1, such as ``memory``; empty for version 2, which has one tree for all.
        proc: Where proc is mounted.
        mount: Where the groups are.
    """
    root = mount / controller
    for line in read(proc / "self" / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            below = Path(path.strip("/"))
            # Within a container the path may be the host's: then the root is all that can be seen.
            yield from (root / each for each in (below, *below.parents))


def read(path: Path) -> str:
    """A file's text without the blanks at its ends; empty where it can't be read."""
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def number(text: str) -> int | None:
    """A count; None for ``max`` and where there is none."""
    return int(text) if text.isdecimal() else None


def field(text: str, name: str) -> int | None:
    """The number behind a name, in a file that has one such pair in a line: ``cpu.stat``, ``memory.stat``."""
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return number(value)
    return None
