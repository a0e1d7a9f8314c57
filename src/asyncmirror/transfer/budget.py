"""How many bytes of bodies are in memory at once.

Owns one number. Whoever wants to read a body takes its bytes first and gives them back when it is sent. First come, first
served, so that a large part is not starved by small files. Counted in bytes, never in items.
"""

import asyncio
from collections import deque


class ByteBudget:
    """`capacity` bytes, for tasks of one event loop."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.taken = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def acquire(self, size: int) -> None:
        """Take `size` bytes, waiting until they are free.

        Raises:
            ValueError: More than the whole capacity is asked for: it would wait for ever.
        """
        if size > self.capacity:
            raise ValueError(f"{size} bytes do not fit into a budget of {self.capacity}")
        if not self._waiting and self.taken + size <= self.capacity:
            self.taken += size
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, future))
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.release(size)  # it was granted, and is not wanted any more
            elif (size, future) in self._waiting:  # else it was passed over already, by a release since it was cancelled
                self._waiting.remove((size, future))
                self._grant()
            raise

    def release(self, size: int) -> None:
        """Give `size` bytes back."""
        self.taken -= size
        self._grant()

    def _grant(self) -> None:
        while self._waiting and self.taken + self._waiting[0][0] <= self.capacity:
            size, future = self._waiting.popleft()
            if not future.done():
                self.taken += size
                future.set_result(None)
