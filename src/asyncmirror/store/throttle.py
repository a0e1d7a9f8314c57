"""How many requests may be in flight: `plan.allowance` applied to the slots.

Owns the allowance of one process, the clock and the chance it needs, and the count of what was turned away. With several loops
each process has its share of the concurrency and an allowance of its own: they hear the same store and need no word of each
other. Knows no operation.
"""

import random
import time
from collections.abc import Callable

from asyncmirror.errors import StoreError, ThrottledError
from asyncmirror.events import Flight, Narrow
from asyncmirror.plan.allowance import Allowance
from asyncmirror.plan.trial import Reading
from asyncmirror.store.slots import Slots


class Throttle:
    """The allowance of requests that take `slots`.

    Args:
        slots: What is made narrower and wider.
        allowance: What is allowed to begin with.
        clock: Gives seconds, never going back.
        chance: Draws evenly from [0, 1).

    Attributes:
        active: Less is allowed now because the store asked for it.
        heeds: Successes need to be told: it is active, listens to keys, or a prefix is narrow.
        narrow: Prefixes with a limit of their own, told by `store.lanes`.
        admitted: Requests that succeeded though less was allowed.
        ending: The run is about to end: there is no point in waiting for the store to admit more.
        refused: Requests that the store turned away.
        changed: Called when the store began or ceased to ask for fewer, and while it does with every refusal.
    """

    def __init__(
        self,
        slots: Slots,
        allowance: Allowance,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.active = False
        self.heeds = False
        self.narrow: tuple[Narrow, ...] = ()
        self.admitted = 0
        self.ending = False
        self.refused = 0
        self.changed: Callable[[], None] = _nobody
        self._slots = slots
        self._clock = clock
        self._chance = chance
        self.allowance = allowance
        self._listens = False
        self._asked = False  # what `changed` last told
        self._began: float | None = None
        self._stalled = 0.0
        self._paused = 0.0
        self._paused_since: float | None = None

    @property
    def flight(self) -> Flight:
        """The gauges now."""
        allowance = self.allowance
        limit = 0 if allowance.gap else allowance.limit
        return Flight(limit, allowance.most, self.refused, allowance.is_asked_for_fewer(self._clock()), self.narrow)

    def stalled(self) -> float:
        """Seconds, in all, for which less was allowed than was asked for, if only for one prefix."""
        return self._stalled + (0.0 if self._began is None else self._clock() - self._began)

    def paused(self) -> float:
        """Seconds, in all, for which nothing was allowed because somebody said so."""
        return self._paused + (0.0 if self._paused_since is None else self._clock() - self._paused_since)

    def steer(self, most: int, *, auto: bool) -> None:
        """Have at most so many from now on; with `auto`, as many of them as serve best."""
        self._apply(self.allowance.steered(most, auto=auto))

    def look(self, reading: Reading) -> None:
        """Take in the gauges."""
        self._apply(self.allowance.look(reading))
        if self._asked and not self.active:
            self._tell()

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
        if number > self.allowance.mark:
            self.admitted += 1
        self._apply(self.allowance.succeeded(number, self._clock()))

    def failed(self, error: StoreError, number: int, begun: int) -> None:
        """A request, by its number, failed; `begun` is the last one's number."""
        if isinstance(error, ThrottledError):
            self.refused += 1
            self._apply(self.allowance.refused(number, begun, self._slots.taken, self._clock()))
            self._tell()
        elif self.active:
            self._apply(self.allowance.failed(number, self._clock()))

    def divide(self, narrow: tuple[Narrow, ...], *, listens: bool) -> None:
        """These prefixes have a limit of their own now. `listens`: somebody wants to hear of successes."""
        before, self.narrow, self._listens = self.narrow, narrow, listens
        self._weigh()
        if [each.prefix for each in before] != [each.prefix for each in narrow]:
            self.changed()

    def resume_at(self, allowance: Allowance, begun: int) -> None:
        """Allow what was allowed before: what was refused since is a prefix's affair. `begun` is the last request's number."""
        if self.allowance.gap:
            self._slots.hold(0.0)
        self._apply(allowance.resumed(begun))

    def unwatch(self) -> None:
        """Tell nobody any more: whoever was told, and all that belongs to it, is to go."""
        self.changed = _nobody

    def begin(self) -> None:
        """Another run begins: what `end` said is over."""
        self.ending = False
        self._slots.admit()

    def end(self) -> None:
        """Turn away who waits for a slot while less is allowed, or nothing; what is in flight goes on."""
        self.ending = True
        if self.active or self._slots.paused:
            self._slots.refuse(lambda: ThrottledError("the run ended before the store admitted this request"))

    def _apply(self, allowance: Allowance) -> None:
        before, self.allowance = self.allowance, allowance
        if allowance.limit != before.limit:
            self._slots.resize(allowance.limit)
        if allowance.gap and (allowance.gap, allowance.mark) != (before.gap, before.mark):
            # Spread over half of it: other processes and hosts were turned away at the same moment.
            self._slots.hold(allowance.gap * (1 + self._chance()) / 2)
        if allowance.narrowed == self.active:
            return
        self.active = allowance.narrowed
        self._weigh()
        if not self.active:
            self._tell()

    def _weigh(self) -> None:
        narrowed = self.active or bool(self.narrow)
        self.heeds = narrowed or self._listens
        if narrowed and self._began is None:
            self._began = self._clock()
        elif not narrowed and self._began is not None:
            self._stalled += self._clock() - self._began
            self._began = None

    def _tell(self) -> None:
        """Have it told that the store asks for fewer, or has ceased to."""
        asked = self.allowance.is_asked_for_fewer(self._clock())
        if asked or self._asked:
            self._asked = asked
            self.changed()


def _nobody() -> None:
    """Who is told while nobody asked."""
