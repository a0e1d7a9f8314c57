"""The body of an answer while it comes: what has arrived waits here until somebody takes it.

Owns how much waits, which holds the peer back, and what is too slow. Knows no HTTP and no socket. The connection adds what
comes and tells the end; whoever asked takes piece by piece, at any pace: its own time is never charged to the peer.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from asyncmirror.errors import StoreError

_MOST = 256 << 10
"""Bytes that wait before the peer is held back; one read of a socket, as much again at most, comes on top."""
_LEAST = 64 << 10
"""Bytes that must come in each period, a request's timeout: less is a peer that drips."""


class Source(Protocol):
    """Where it comes from."""

    def hold(self) -> None:
        """Let nothing more come."""
        ...

    def go_on(self) -> None:
        """Let more come."""
        ...

    def abort(self) -> None:
        """Nobody wants the rest."""
        ...


class Inflow:
    """One body. Its bytes can be taken once.

    Attributes:
        then: Called at the end, with what broke it off or None; nobody, where it has ended before this is set.
        ended: No more will come.
    """

    __slots__ = ("_came", "_fault", "_full", "_pieces", "_source", "_waiter", "_waiting", "_was_full", "ended", "then")

    def __init__(self, source: Source) -> None:
        self.ended = False
        self.then: Callable[[StoreError | None], None] | None = None
        self._source = source
        self._pieces: deque[bytes] = deque()
        self._waiting = 0
        self._came = 0
        self._full = self._was_full = False
        self._fault: StoreError | None = None
        self._waiter: asyncio.Future[None] | None = None

    # The connection's side

    def add(self, data: bytes) -> None:
        """Some of it came."""
        if not data:
            return
        self._pieces.append(data)
        self._waiting += len(data)
        self._came += len(data)
        if self._waiting > _MOST and not self._full:
            self._full = self._was_full = True
            self._source.hold()
        self._wake()

    def end(self, fault: StoreError | None = None) -> None:
        """It is whole, or broken off."""
        self.ended, self._fault = True, fault
        if self._full:
            self._full = False
            self._source.go_on()  # what comes next is of another answer
        self._wake()
        if self.then is not None:
            self.then(fault)

    def is_slow(self) -> bool:
        """Whether too little came since this was asked last, though there was always room."""
        slow = self._came < _LEAST and not self._was_full
        self._came, self._was_full = 0, self._full
        return slow

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # The taker's side

    async def pieces(self) -> AsyncIterator[bytes]:
        """All of it.

        Raises:
            StoreError: It was broken off; what came before was given.
        """
        while True:
            while self._pieces:
                piece = self._pieces.popleft()
                self._waiting -= len(piece)
                if self._full and not self._pieces:
                    self._full = False
                    self._source.go_on()
                yield piece
            if self._fault is not None:
                raise self._fault
            if self.ended:
                return
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def drop(self) -> None:
        """Want no more of it."""
        self._pieces.clear()
        if not self.ended:
            self.ended, self.then = True, None
            self._source.abort()
