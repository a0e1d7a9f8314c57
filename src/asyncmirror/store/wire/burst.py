"""Small requests that leave together, at the end of one turn of the loop.

Owns the gathering. Sent one by one, each wakes a server that has just gone to sleep; together, the first wakes it and it finds
the others. A wake-up is paid for in the sender's `send`, and in a virtual machine it is the dearest part of a small object.
Knows no HTTP.
"""

import asyncio
from typing import Protocol


class Leaver(Protocol):
    """Whose request waits."""

    def leave(self, data: bytes) -> None:
        """Send it now, unless there is no one to send it to any more."""
        ...


class Burst:
    """The requests of one pool that wait for the end of this turn."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: list[tuple[Leaver, bytes]] = []

    def add(self, leaver: Leaver, data: bytes) -> None:
        """Have a request leave soon."""
        if not self._waiting:
            self._loop.call_soon(self._leave)
        self._waiting.append((leaver, data))

    def _leave(self) -> None:
        waiting, self._waiting = self._waiting, []
        for leaver, data in waiting:
            leaver.leave(data)
