"""Which bodies may begin, and in which order the others wait, under a limit of bytes a second.

Owns the queue, and how many bytes have begun. How many may, is decided in `plan.admission`; how many of them may not leave yet,
the meter knows, from which they draw. First come, first served. Who waits here has taken nothing else: no slot, no connection,
no signature that grows old. Knows no request and no body.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from asyncmirror.plan.admission import admits
from asyncmirror.store.meter import Meter

_LOOK = 0.05
"""Seconds between two looks at the meter while bodies wait: a small part of what is admitted ahead."""


class Admission:
    """Lets bodies begin. Belongs to one event loop.

    Args:
        meter: What the bodies draw from.
        sharers: Processes that draw from the same pot: each has its share of what may be on its way.

    Attributes:
        begun: Bytes of the bodies that were let in and have not ended.
    """

    def __init__(self, meter: Meter, sharers: int = 1) -> None:
        self.begun = 0
        self._meter = meter
        self._sharers = sharers
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._refusal: Callable[[], Exception] | None = None

    def take(self, size: int) -> bool:
        """Let a body of so many bytes begin if it may; else `turn` waits until it may."""
        if not self._waiting and (not self._meter.limited or self._may()):
            self.begun += size
            return True
        return False

    async def turn(self, size: int) -> None:
        """Wait until a body may begin, and let it.

        Raises:
            Exception: What `refuse` gives.
        """
        if self._refusal is not None:
            raise self._refusal()
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, future))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_LOOK, self._look)
        try:
            await future
        except asyncio.CancelledError:
            if not future.cancelled() and future.exception() is None:  # it was this one's turn at the same moment
                self.release(size)
            raise

    def release(self, size: int) -> None:
        """A body has ended: it was answered, or given up."""
        self.begun -= size

    def refuse(self, error: Callable[[], Exception]) -> None:
        """Let nobody wait any longer: each gets an error instead, and whoever would have to wait later, too."""
        self._refusal = error
        while self._waiting:
            _, future = self._waiting.popleft()
            if not future.done():
                future.set_exception(error())

    def admit(self) -> None:
        """Let whoever comes wait again, after `refuse`."""
        self._refusal = None

    def _may(self) -> bool:
        coming = max(0, self.begun - self._meter.carried)
        return admits(coming + self._meter.queued, self._meter.rate, self._sharers)

    def _look(self) -> None:
        """Let in who may by now."""
        self._timer = None
        while self._waiting and self._may():
            size, future = self._waiting.popleft()
            if not future.done():
                self.begun += size
                future.set_result(None)
        if self._waiting:
            self._timer = asyncio.get_running_loop().call_later(_LOOK, self._look)
