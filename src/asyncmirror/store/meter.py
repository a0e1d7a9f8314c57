"""At most so many bytes, or requests, a second: who may go, and in which order the others wait.

Owns the queue and its timer; how much may go when is decided in `plan.bucket`, where it is kept is `pots`' business, what the
rate is at this moment it is told when it asks. First come, first served: who wants much asks for a slice at a time and goes to
the end of the queue for the next, so that many connections have equal shares and none starves. Knows no request and no body.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from asyncmirror.store.pots import OwnPot, Pot

_LOOK = 0.25
"""Seconds after which the rate is asked for anew: a timetable may have come to its next change."""
_SHARE = 0.02
"""Seconds of the rate that one turn is worth, so that the wire is neither idle nor in bursts."""


class Waiter(Protocol):
    """Who waits for a turn."""

    @property
    def left(self) -> int:
        """How much is still wanted; 0: nothing any more."""
        ...

    def granted(self, amount: int) -> None:
        """So much may go, now."""
        ...


class _Turn:
    """A task that waits."""

    def __init__(self, amount: int) -> None:
        self.may_go: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._amount = amount

    @property
    def left(self) -> int:
        return 0 if self.may_go.done() else self._amount

    def granted(self, amount: int) -> None:
        self.may_go.set_result(amount)

    def refused(self, error: Exception) -> None:
        """It is turned away."""
        if not self.may_go.done():
            self.may_go.set_exception(error)


class Meter:
    """At most so much a second. Belongs to one event loop.

    Args:
        least: The smallest slice that one turn is worth, where so much is wanted.
        most: The largest.
        pot: What is drawn from.
        clock: `time.monotonic`, or another where the pot is not shared.

    Attributes:
        limited: There is a limit, or a timetable of limits; where not, nobody needs to ask.
        slice: What one turn is worth now.
        given_up: What was wanted and is not any more, by those who say so.
        queued: What is wanted by those who wait, those who have given up since included until it would be their turn.
        stuck: What of it could not leave for another reason than the limit. They say so.
        carried: What those who draw from it have in hand, all told, gone or not, until they are through with it. They say so.
    """

    def __init__(
        self, least: int = 1, most: int = 1, pot: Pot | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.limited = False
        self.slice = most
        self.given_up = 0
        self.queued = 0
        self.carried = 0
        self.stuck = 0
        self._least = least
        self._most = most
        self._pot = pot or OwnPot()
        self._clock = clock
        self._ask: Callable[[], float | None] = _none
        self._rate: float | None = None
        self._look_at = 0.0
        self._held = False
        self._refusal: Callable[[], Exception] | None = None
        self._waiting: deque[tuple[Waiter, int]] = deque()
        self._serving = False
        self._timer: asyncio.Handle | None = None

    def limit(self, ask: Callable[[], float | None] | None) -> None:
        """Go by another limit from now on: `ask` gives it as of the moment it is called, None for as much as can be.

        None instead of it: there never is one.
        """
        self.limited = ask is not None
        self._ask = ask or _none
        self._look(self._clock())
        self._serve()

    def hold(self, *, held: bool) -> None:
        """Let nobody go, or go on."""
        self._held = held
        self._serve()

    def refuse(self, error: Callable[[], Exception]) -> None:
        """Let no task wait for its turn any longer: each gets an error instead, and whoever comes later, too."""
        self._refusal = error
        for waiter, _ in self._waiting:
            if isinstance(waiter, _Turn):
                waiter.refused(error())

    def admit(self) -> None:
        """Let whoever comes wait again, after `refuse`."""
        self._refusal = None

    @property
    def over(self) -> bool:
        """Whether who comes is turned away, and not because all are held."""
        return self._refusal is not None and not self._held

    @property
    def owed(self) -> int:
        """What is wanted by those who wait."""
        return sum(waiter.left for waiter, _ in self._waiting)

    @property
    def rate(self) -> float | None:
        """How much may go a second now; None: as much as can be."""
        now = self._clock()
        if now >= self._look_at:
            self._look(now)
        return self._rate

    def take(self, amount: int) -> bool:
        """Let go at once what is not more than a slice; False where it has to wait for its turn."""
        return not self._waiting and not self._held and amount <= self.slice and not self._draw(amount)

    def wait(self, waiter: Waiter) -> None:
        """Wait for a turn, `take` having refused one. `granted` is called later, never from within."""
        wanted = waiter.left
        self.queued += wanted
        self._waiting.append((waiter, wanted))
        if self._timer is None and not self._serving:
            self._timer = asyncio.get_running_loop().call_soon(self._serve)

    async def turn(self, amount: int = 1) -> None:
        """Wait until an amount may go, however many turns it takes.

        Raises:
            Exception: What `refuse` gives.
        """
        while amount > 0:
            if self._refusal is not None:
                raise self._refusal()
            piece = min(amount, self.slice)
            if not self.take(piece):
                turn = _Turn(piece)
                self.wait(turn)
                piece = await turn.may_go
            amount -= piece

    def _serve(self) -> None:
        """Let those go who may; the others hear from the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        wait, self._serving = 0.0, True
        while self._waiting and not self._held and not wait:
            waiter, wanted = self._waiting[0]
            amount = min(waiter.left, self.slice)
            wait = self._draw(amount) if amount else 0.0
            if not wait:
                self._waiting.popleft()
                self.queued -= wanted
                if amount:
                    waiter.granted(amount)
        self._serving = False
        if wait:
            self._timer = asyncio.get_running_loop().call_later(min(wait, _LOOK), self._serve)

    def _draw(self, amount: int) -> float:
        rate = self.rate
        return 0.0 if rate is None else self._pot.draw(amount, rate, self._clock())

    def _look(self, now: float) -> None:
        self._look_at = now + _LOOK
        self._rate = self._ask()
        worth = self._most if self._rate is None else self._rate * _SHARE
        self.slice = int(min(max(worth, self._least), self._most))


def _none() -> None:
    """No limit."""
