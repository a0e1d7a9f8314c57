"""A bounded channel that closes: the arrow between two stages.

Owns back-pressure between stages. Threads `put` and wait while it is full; the event loop `offer`s, which never waits, and asks
for `room` before it goes on; the loop `take`s. The end of the stream is the channel's being closed and empty, no sentinel.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class Channel(Generic[T]):
    """Items from one stage to the next. Made on the loop that takes from it."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._items: deque[T] = deque()
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._space = threading.Condition()
        self._takers: deque[asyncio.Future[None]] = deque()
        self._offerers: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        """How many items are in it."""
        return len(self._items)

    @property
    def ended(self) -> bool:
        """Whether there is nothing to take any more, now or later."""
        return self._closed and not self._items

    def put(self, item: T) -> None:
        """Add an item from a thread, waiting while the channel is full. In a closed channel it is dropped."""
        with self._space:
            while len(self._items) >= self._capacity and not self._closed:
                self._space.wait()
            if self._closed:
                return
            self._items.append(item)
            idle = len(self._items) == 1
        if idle:
            self._loop.call_soon_threadsafe(self._wake_takers)

    def offer(self, items: Iterable[T]) -> None:
        """Add items from the loop, without waiting. In a closed channel they are dropped."""
        with self._space:
            if self._closed:
                return
            self._items.extend(items)
        self._wake_takers()

    async def room(self) -> None:
        """Wait until the channel holds fewer items than its capacity, or is closed."""
        while len(self._items) >= self._capacity and not self._closed:
            await self._wait(self._offerers)

    async def take(self, limit: int, joins: Callable[[T, T], bool] | None = None) -> list[T]:
        """Take at least one item, or as many as are there up to `limit`; none means that the channel has ended.

        Args:
            limit: How many at most.
            joins: Whether an item may be taken together with the first; where it is None, all may.
        """
        while not self._items:
            if self._closed:
                return []
            await self._wait(self._takers)
        with self._space:
            items = self._items
            taken = [items.popleft()]
            while items and len(taken) < limit and (joins is None or joins(taken[0], items[0])):
                taken.append(items.popleft())
            self._space.notify_all()
        if items:
            self._wake(self._takers, 1)
        if len(items) < self._capacity:
            self._wake(self._offerers, len(self._offerers))
        return taken

    def close(self) -> None:
        """End the stream: what is in it can still be taken. From the loop's thread."""
        with self._space:
            self._closed = True
            self._space.notify_all()
        self._wake(self._takers, len(self._takers))
        self._wake(self._offerers, len(self._offerers))

    def clear(self) -> list[T]:
        """Take all that is in it at once. From the loop's thread."""
        with self._space:
            items = list(self._items)
            self._items.clear()
            self._space.notify_all()
        self._wake(self._offerers, len(self._offerers))
        return items

    async def _wait(self, queue: "deque[asyncio.Future[None]]") -> None:
        future = self._loop.create_future()
        queue.append(future)
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self._wake(queue, 1)  # it was woken for an item that it will not take: wake another
            elif future in queue:
                queue.remove(future)
            raise

    def _wake_takers(self) -> None:
        self._wake(self._takers, len(self._items))

    @staticmethod
    def _wake(queue: "deque[asyncio.Future[None]]", count: int) -> None:
        while queue and count > 0:
            future = queue.popleft()
            if not future.done():
                future.set_result(None)
                count -= 1
