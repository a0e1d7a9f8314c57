"""Where what may still be sent is kept: in this process, or where several processes draw from the same.

Owns the memory that they share and its lock. With `--loops` a limit is the run's and not a process's, and who needs more gets
more: they draw from one pot, and none has to know of the others. A process that dies lets the lock go; one that is stopped
while it holds it makes the others wait, never hang: who does not get the lock looks again a little later.
"""

import fcntl
import mmap
import os
import random
import struct
from typing import Protocol, Self

from asyncmirror.plan.bucket import Bucket

_STATE = struct.Struct("=dd?")
_SHARERS = struct.Struct("=i")
_POTS = 2
_SIZE = _POTS * _STATE.size + _SHARERS.size
_BUSY = 0.001
"""Seconds until the next look, where another process holds the lock."""
_SPREAD = 0.004
"""Seconds over which processes that wait for one pot are spread: who comes first is left to chance, so that none starves."""


class Pot(Protocol):
    """What may still go. The clock is `time.monotonic`, which is one for all processes."""

    def draw(self, amount: float, rate: float, now: float) -> float:
        """Draw an amount; gives the seconds to wait until something may be drawn, 0 where it was. See `plan.bucket`."""
        ...


class OwnPot:
    """A pot of one process."""

    def __init__(self) -> None:
        self._bucket = Bucket()

    def draw(self, amount: float, rate: float, now: float) -> float:
        """See `Pot.draw`."""
        self._bucket, wait = self._bucket.draw(amount, rate, now)
        return wait


class SharedPots:
    """The pots of several processes, in a file that has no name.

    Attributes:
        descriptor: The file's, for a process that inherits it.
        sharers: How many processes draw from them.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, _SIZE)
        (self.sharers,) = _SHARERS.unpack_from(self._memory, _POTS * _STATE.size)

    @classmethod
    def make(cls, sharers: int) -> Self:
        """New ones, for so many processes."""
        descriptor = os.memfd_create("asyncmirror-limits")
        os.pwrite(descriptor, bytes(_POTS * _STATE.size) + _SHARERS.pack(sharers), 0)
        return cls(descriptor)

    def pot(self, number: int) -> "SharedPot":
        """One of them."""
        return SharedPot(self.descriptor, self._memory, number)

    def close(self) -> None:
        """Leave them to the others."""
        self._memory.close()
        os.close(self.descriptor)


class SharedPot:
    """One pot of several processes."""

    def __init__(self, descriptor: int, memory: mmap.mmap, number: int) -> None:
        self._descriptor = descriptor
        self._memory = memory
        self._offset = number * _STATE.size

    def draw(self, amount: float, rate: float, now: float) -> float:
        """See `Pot.draw`."""
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, self._offset)
        except OSError:
            return _BUSY
        try:
            bucket = Bucket(*_STATE.unpack_from(self._memory, self._offset))
            bucket, wait = bucket.draw(amount, rate, now)
            _STATE.pack_into(self._memory, self._offset, *bucket)
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, self._offset)
        return wait + random.random() * _SPREAD if wait else 0.0  # noqa: S311  no secret
