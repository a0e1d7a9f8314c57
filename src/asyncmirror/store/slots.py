"""Slots for requests in flight: so many, fewer or more while they are in use, and none for a while or until told.

Owns who may go and in which order the others wait. A free slot is taken without waiting, at the cost of a comparison; who has
to wait is woken in turn. Knows no request and no reason.
"""

import asyncio
from collections import deque
from collections.abc import Callable


class Slots:
    """So many slots. Belongs to one event loop.

    Invariant: where a slot is free, nobody waits.

    Attributes:
        paused: Nobody may begin, until told otherwise.
    """

    def __init__(self, size: int) -> None:
        self._size = size  # as asked for
        self._open = size  # as of now: 0 while they are held
        self._free = size  # below 0 while more are taken than there are by now
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._refusal: Callable[[], Exception] | None = None
        self.paused = False

    @property
    def taken(self) -> int:
        """Slots in use."""
        return self._open - self._free

    def take(self) -> bool:
        """Take a slot if one is free; else `turn` waits for one."""
        if self._free > 0:
            self._free -= 1
            return True
        return False

    async def turn(self) -> None:
        """Wait for a slot, and take it.

        Raises:
            Exception: What `refuse` gives.
        """
        if self.paused and self._refusal is not None:
            raise self._refusal()
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await future
        except asyncio.CancelledError:
            if not future.cancelled() and future.exception() is None:  # it was this one's turn at the same moment
                self.release()
            raise

    def release(self) -> None:
        """Give a slot back."""
        self._free += 1
        if self._free > 0 and self._waiting:
            self._wake()

    def resize(self, size: int) -> None:
        """Have so many from now on. Who holds a slot keeps it."""
        self._size = size
        self._reopen()

    def pause(self) -> None:
        """Let nobody begin until `resume`. Who holds a slot keeps it."""
        self.paused = True
        self._shut()

    def resume(self) -> None:
        """Go on after `pause`."""
        self.paused = False
        self._reopen()

    def hold(self, seconds: float) -> None:
        """Let nobody begin for so long from now."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._let_go)
        self._shut()

    def refuse(self, error: Callable[[], Exception]) -> None:
        """Let nobody wait any longer: each gets an error instead of a slot, and while it is paused whoever comes later, too."""
        self._refusal = error
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_exception(error())

    def admit(self) -> None:
        """Let whoever comes wait again, after `refuse`."""
        self._refusal = None

    def _let_go(self) -> None:
        self._timer = None
        self._reopen()

    def _shut(self) -> None:
        self._free -= self._open
        self._open = 0

    def _reopen(self) -> None:
        if self.paused or self._timer is not None:
            return
        self._free += self._size - self._open
        self._open = self._size
        self._wake()

    def _wake(self) -> None:
        while self._free > 0 and self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                self._free -= 1
                future.set_result(None)
