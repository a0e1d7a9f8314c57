"""What the machine has left for this process: whether the loop's thread gets the CPU it wants, and whether memory is short.

Owns which of the kernel's numbers say that: scheduler statistics and thread clock, control groups in both versions, pressure
stall information. What can't be read says nothing. Knows no request. Source: the kernel's sched-stats.rst
("/proc/<pid>/schedstat"), cgroup-v2.rst ("cpu.stat", "memory.current"), psi.rst.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self

from asyncmirror.cgroups import MOUNT, NO_LIMIT, PROC, field, groups, number, read

_SECOND = 1_000_000_000  # nanoseconds
_USED_UP = 0.9
"""Of a memory limit, without the page cache that the kernel gives back when asked."""
_HALF_USED = 0.7
_STALLED = 0.1
"""Of a limit, and of the time for which somebody in the group waited for memory (psi.rst's "some"). The machine's own stalls
tell nothing of this process: there is always somebody who waits."""
_LEAST_AVAILABLE = 0.03
"""Of the machine's memory."""
_EACH = 1.0
"""Seconds between two looks at memory."""


class _Limit(NamedTuple):
    """A memory limit, in bytes, and where the use of it is told."""

    most: int
    used: Path
    statistics: Path
    idle_cache: str
    stalls: Path | None = None

    def used_up(self) -> float:
        """The share of it that is used, without what the kernel gives back when asked."""
        idle = field(read(self.statistics), self.idle_cache) or 0
        return ((number(read(self.used)) or 0) - idle) / max(1, self.most)


class Strain:
    """This process and the thread that makes it. A context manager: it keeps a file open."""

    def __init__(self, proc: Path = PROC, mount: Path = MOUNT) -> None:
        self._proc = proc
        self._scheduler = _open(proc / "thread-self" / "schedstat")
        self._limits = tuple(_limits(proc, mount))
        self._throttling = next(_existing(proc, mount, "cpu", "cpu.stat"), None)
        self._looked_at = float("-inf")
        self._stalled = [0] * len(self._limits)
        self._short = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close what is open."""
        if self._scheduler is not None:
            os.close(self._scheduler)
            self._scheduler = None

    def busy(self) -> float:
        """Seconds, in all, for which this thread had a CPU or waited for one: for other work to go on, or for its quota."""
        if self._scheduler is not None:
            ran, waited, _ = os.pread(self._scheduler, 128, 0).split()
            return (int(ran) + int(waited)) / _SECOND
        return time.thread_time() + self._throttled()

    def is_memory_short(self, now: float) -> bool:
        """Whether it is, at a moment in seconds of any clock that never goes back. Looked at once a second."""
        if now - self._looked_at >= _EACH:
            seconds, self._looked_at = now - self._looked_at, now
            before, self._stalled = self._stalled, [_stall_time(limit) for limit in self._limits]
            stalled = [(now - then) / 1e6 > _STALLED * seconds for then, now in zip(before, self._stalled, strict=True)]
            used = [limit.used_up() for limit in self._limits]
            near = any(share > (_HALF_USED if waits else _USED_UP) for share, waits in zip(used, stalled, strict=True))
            self._short = near or self._is_machine_used_up()
        return self._short

    def _throttled(self) -> float:
        text = "" if self._throttling is None else read(self._throttling)
        return (field(text, "throttled_usec") or 0) / 1e6 + (field(text, "throttled_time") or 0) / _SECOND

    def _is_machine_used_up(self) -> bool:
        memory = {line.partition(":")[0]: line.split() for line in read(self._proc / "meminfo").splitlines()}
        if "MemAvailable" not in memory or "MemTotal" not in memory:
            return False
        return int(memory["MemAvailable"][1]) < _LEAST_AVAILABLE * int(memory["MemTotal"][1])


def _stall_time(limit: _Limit) -> int:
    """Microseconds, in all; 0 where nobody counts them."""
    some = "" if limit.stalls is None else read(limit.stalls).partition("\n")[0]
    return number(some.rpartition("total=")[2]) or 0


def _limits(proc: Path, mount: Path) -> Iterator[_Limit]:
    """The limits of this process's groups."""
    for group in groups("", proc, mount):
        most = number(read(group / "memory.max"))
        if most is not None:
            yield _Limit(most, group / "memory.current", group / "memory.stat", "inactive_file", group / "memory.pressure")
    for group in groups("memory", proc, mount):
        most = number(read(group / "memory.limit_in_bytes"))
        if most is not None and most < NO_LIMIT:
            yield _Limit(most, group / "memory.usage_in_bytes", group / "memory.stat", "total_inactive_file")


def _existing(proc: Path, mount: Path, controller: str, name: str) -> Iterator[Path]:
    """Files of that name in this process's groups, the innermost first."""
    for each in ("", controller):
        yield from (group / name for group in groups(each, proc, mount) if read(group / name))


def _open(path: Path) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
