"""The body of a request while it leaves: piece by piece, as the transport has room and the bandwidth allows.

Owns what has not left, and the time that its size gives it. Knows no HTTP and no socket. The connection tells when there is
room, and is told whenever the body has moved or waits; a body that leaves at once, as a small one does, needs none of this.
"""

from collections.abc import Callable
from typing import Protocol

from asyncmirror.model import Body
from asyncmirror.store.meter import Meter

SLICE = 1 << 18  # bytes given to the transport at once; a record of TLS holds 16 KiB, a socket's buffer some 100 KiB
_MIN_RATE = 1 << 20  # bytes per second: a body may take this long on top of the timeout


class Sink(Protocol):
    """Where it goes."""

    @property
    def full(self) -> bool:
        """Whether there is no room now."""
        ...

    def take(self, data: bytes | memoryview) -> None:
        """Let it leave."""
        ...

    def moved(self) -> None:
        """What could leave for now has left."""
        ...


class Outflow:
    """One body. A `meter.Waiter`.

    Attributes:
        last_chance: When it must have left, by the clock. Time in which the bandwidth lets no piece leave does not count.
    """

    __slots__ = ("_bandwidth", "_clock", "_head", "_queued_at", "_rest", "_sink", "_stuck", "last_chance")

    def __init__(
        self, sink: Sink, bandwidth: Meter, clock: Callable[[], float], head: bytes, body: Body, timeout: float
    ) -> None:
        self.last_chance = clock() + timeout + len(body) / _MIN_RATE
        self._sink = sink
        self._bandwidth = bandwidth
        self._clock = clock
        self._rest: memoryview | None = memoryview(body)
        self._queued_at = 0.0
        self._stuck = 0
        self._head = head
        if not bandwidth.limited:
            sink.take(head)
            self._head = b""  # else it leaves with the first piece: a server waits so long for what follows and no longer

    @property
    def left(self) -> int:
        """Bytes that have not left; 0 where the body was given up. See `meter.Waiter`."""
        return 0 if self._rest is None else len(self._rest)

    @property
    def waits(self) -> bool:
        """Whether the bandwidth lets no piece leave."""
        return self._queued_at > 0

    def granted(self, amount: int) -> None:
        """So many bytes may leave. See `meter.Waiter`."""
        self.last_chance += self._clock() - self._queued_at
        self._queued_at = 0.0
        self.go_on(amount)

    def go_on(self, granted: int = 0) -> None:
        """Let as much leave as there is room for and as may; `granted` bytes of it may by now."""
        if self._rest is None or self._queued_at:
            return
        self._stick(0)
        while self._rest is not None and not self._sink.full:
            size = granted or SLICE
            if self._bandwidth.limited and not granted:
                size = min(len(self._rest), self._bandwidth.slice)
                if not self._bandwidth.take(size):
                    self._queued_at = self._clock()
                    self._bandwidth.wait(self)
                    break
            piece, self._rest = self._rest[:size], self._rest[size:] or None
            if self._head:
                self._sink.take(b"".join((self._head, piece)))
                self._head = b""
            else:
                self._sink.take(piece)
            granted = 0
        if not self._queued_at:
            self._stick(self.left)
        self._sink.moved()

    def give_up(self) -> None:
        """Let nothing more leave."""
        if self._queued_at:
            self._bandwidth.given_up += self.left
        self._stick(0)
        self._rest = None

    def _stick(self, left: int) -> None:
        """Tell how much has no room."""
        self._bandwidth.stuck += left - self._stuck
        self._stuck = left
