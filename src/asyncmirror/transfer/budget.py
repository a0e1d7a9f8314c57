"""How many bytes of bodies are in memory at once.

Owns one number, which may be turned while bytes are taken. Whoever wants to read a body takes its bytes first and gives them
back when it is sent. First come, first served, so that a large part is not starved by small files. Counted in bytes, never in
items.
"""

import asyncio
from collections import deque


class ByteBudget:
    """`capacity` bytes, for tasks of one event loop."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._largest = capacity
        self._reserved = 0
        self.taken = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def acquire(self, size: int) -> None:
        """Take `size` bytes, waiting until they are free.

        Raises:
            ValueError: More is asked for than the capacity ever was.
        """
        if size > self._largest:
            raise ValueError(f"{size} bytes do not fit into a budget of {self._largest}")
        if not self._waiting and self._fits(size):
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

    def resize(self, capacity: int) -> None:
        """Have so many bytes from now on. What is taken stays taken; what is larger by now goes alone."""
        self.capacity = capacity
        self._largest = max(self._largest, capacity)
        self._grant()

    def reserve(self, size: int) -> None:
        """Leave so many bytes to something else, from now on: up to a quarter of all. Said again, it is the same reserve."""
        self._reserved = size

    def _fits(self, size: int) -> bool:
        return self.taken + size <= self.capacity - min(self._reserved, self.capacity // 4) or not self.taken

    def _grant(self) -> None:
        while self._waiting and self._fits(self._waiting[0][0]):
            size, future = self._waiting.popleft()
            if not future.done():
                self.taken += size
                future.set_result(None)
