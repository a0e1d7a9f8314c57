"""Fewer requests in flight while the store asks for fewer: `plan.pace` applied to the slots.

Owns the pace of one process, the clock and the chance it needs, and the count of what was turned away. With several loops each
process has its share of the concurrency and a pace of its own: they hear the same store and need no word of each other.
Knows no operation.
"""

import random
import time
from collections.abc import Callable

from asyncmirror.errors import StoreError, ThrottledError
from asyncmirror.events import Flight
from asyncmirror.plan.pace import Pace
from asyncmirror.store.slots import Slots


class Throttle:
    """The pace of requests that take `slots`.

    Args:
        slots: What is made narrower and wider.
        most: Requests in flight as asked for.
        clock: Gives seconds, never going back.
        chance: Draws evenly from [0, 1).

    Attributes:
        active: Less is allowed now than was asked for; only then successes need to be told.
        admitted: Requests that succeeded though less was allowed.
        ending: The run is about to end: there is no point in waiting for the store to admit more.
        changed: Called when that began or ended, and while it lasts with every refusal.
    """

    def __init__(
        self,
        slots: Slots,
        most: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.active = False
        self.admitted = 0
        self.ending = False
        self.changed: Callable[[], None] = _nobody
        self._slots = slots
        self._clock = clock
        self._chance = chance
        self._pace = Pace.free(most)
        self._refused = 0
        self._began = 0.0
        self._stalled = 0.0
        self._paused = 0.0
        self._paused_since: float | None = None

    @property
    def flight(self) -> Flight:
        """The gauges now."""
        pace = self._pace
        return Flight(0 if pace.gap else int(pace.limit), pace.most, self._refused)

    def stalled(self) -> float:
        """Seconds, in all, for which less was allowed than was asked for."""
        return self._stalled + (self._clock() - self._began if self.active else 0.0)

    def paused(self) -> float:
        """Seconds, in all, for which nothing was allowed because somebody said so."""
        return self._paused + (0.0 if self._paused_since is None else self._clock() - self._paused_since)

    def steer(self, most: int) -> None:
        """Have at most so many from now on."""
        self._apply(self._pace.steered(most))

    def pause(self) -> None:
        """Let no request begin until `resume`; what is in flight goes on."""
        if self._paused_since is None and not self.ending:
            self._paused_since = self._clock()
            self._slots.pause()

    def resume(self) -> None:
        """Go on after `pause`."""
        self._paused = self.paused()
        self._paused_since = None
        self._slots.resume()

    def succeeded(self, number: int) -> None:
        """A request, by its number, succeeded. Need not be told while not `active`."""
        if number > self._pace.mark:
            self.admitted += 1
        self._apply(self._pace.succeeded(number, self._clock()))

    def failed(self, error: StoreError, number: int, begun: int) -> None:
        """A request, by its number, failed; `begun` is the last one's number."""
        if isinstance(error, ThrottledError):
            self._refused += 1
            self._apply(self._pace.refused(number, begun, self._slots.taken, self._clock()))
            if self.active:
                self.changed()
        elif self.active:
            self._apply(self._pace.failed(number, self._clock()))

    def end(self) -> None:
        """Turn away who waits for a slot while less is allowed, or nothing; what is in flight goes on."""
        self.ending = True
        if self.active or self._slots.paused:
            self._slots.refuse(lambda: ThrottledError("the run ended before the store admitted this request"))

    def _apply(self, pace: Pace) -> None:
        before, self._pace = self._pace, pace
        if int(pace.limit) != int(before.limit):
            self._slots.resize(int(pace.limit))
        if pace.gap and (pace.gap, pace.mark) != (before.gap, before.mark):
            # Spread over half of it: other processes and hosts were turned away at the same moment.
            self._slots.hold(pace.gap * (1 + self._chance()) / 2)
        if pace.throttled == self.active:
            return
        self.active = pace.throttled
        if self.active:
            self._began = self._clock()
        else:
            self._stalled += self._clock() - self._began
            self.changed()


def _nobody() -> None:
    """Who is told while nobody asked."""
