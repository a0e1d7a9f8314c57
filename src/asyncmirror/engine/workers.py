"""As many tasks as requests may be in flight, and more of them when more may be.

Owns the tasks and their number. It only grows: where fewer requests are allowed, the slots hold back who is too many.
"""

import asyncio
from collections.abc import Awaitable, Callable


class Workers:
    """Tasks that do the same until there is nothing left to do.

    Args:
        work: What each does; it returns when there is nothing more.
        count: How many to begin with.
    """

    def __init__(self, work: Callable[[], Awaitable[None]], count: int) -> None:
        self._work = work
        self._wanted = count
        self._hired = 0
        self._busy = 0
        self._turned = asyncio.Event()

    def grow(self, count: int) -> None:
        """Have at least so many, unless the first has found nothing more to do."""
        self._wanted = max(self._wanted, count)
        self._turned.set()

    async def run(self) -> None:
        """Have them work until all have ended.

        Raises:
            BaseExceptionGroup: What they raised.
        """
        async with asyncio.TaskGroup() as group:
            self._hire(group)
            while self._busy == self._hired:  # the first to end has found that nothing is left
                await self._turned.wait()
                self._turned.clear()
                self._hire(group)

    def _hire(self, group: asyncio.TaskGroup) -> None:
        if self._busy == self._hired:
            for _ in range(self._wanted - self._hired):
                group.create_task(self._one())
                self._hired += 1
                self._busy += 1

    async def _one(self) -> None:
        try:
            await self._work()
        finally:
            self._busy -= 1
            self._turned.set()
