"""How many requests may be in flight: fewer when the store turns some away, more again as it admits them.

Owns the decision, as a value and what answers make of it. Pure: the moment is given, in seconds of any clock that never goes
back. Knows no slots and no requests but by their number: the first request of a process is 1, the next 2.

Down: a refusal lowers the limit by a factor, once per round trip: what was begun before the last lowering tells nothing new,
so that a burst of 64 refusals is one signal. A refusal that stands alone among a hundred requests is none: one key that is
always refused must not hold up the others. At one request in flight there is a gap before the next, which doubles.

Up: first one more with each success, which doubles the limit every round trip, up to a part of what last did well; then along
CUBIC's curve (RFC 9438) over time, flat about what last did well and steep beyond it. Time and not round trips, because what
stores limit is a rate: probing for more with every round trip would be refused with every one.

How many are asked for may change meanwhile (`steered`): by the user, or by `plan.climb`, which `plan.allowance` joins to this.
"""

from typing import NamedTuple, Self

LOWERED = 0.7
"""What a refusal leaves of a limit that did well until then: CUBIC's factor."""
HALVED = 0.5
"""And of one at which nothing had succeeded yet: TCP's old factor; there is far to go."""
PERIOD = 8.0
"""Seconds in which the curve comes back to what last did well. Two and a half of them reach `most` from anywhere."""
REACHED = 0.95
"""So much of what was asked for is as good as all of it: the last of the curve is flat."""
LONE = 100
"""A refusal without another in so many requests is no signal."""
FIRST_GAP = 0.1
LONGEST_GAP = 5.0
"""Seconds between two requests where one in flight is too many. A storm's end is noticed no later."""
CLOSING = 4.0
"""A success divides the gap by so much: what refuses everything and then nothing is soon forgiven."""
FORGOTTEN = 60.0
"""Seconds after the last refusal from which failures of another kind end it: the store may be gone, and needs no mercy."""


class Pace(NamedTuple):
    """What is allowed now, and what has to be remembered to decide what is allowed next. Made by `free`."""

    most: int  # in flight, as asked for
    limit: float  # in flight, from 1 to `most`
    gap: float = 0.0  # seconds from an answer to the next request; not 0 only at a limit of 1
    good: float = 0.0  # the limit that last did well
    proven: bool = True  # something succeeded at this limit
    mark: int = 0  # the last request begun before the limit was last lowered
    heard: int = -LONE - 1  # the last request begun before the last refusal
    heard_at: float = 0.0  # when that was
    since: float = 0.0  # from when the curve is counted

    @classmethod
    def free(cls, most: int) -> Self:
        """As many as were asked for."""
        return cls(most, float(most), good=float(most))

    @property
    def throttled(self) -> bool:
        """Whether less is allowed than was asked for."""
        return self.limit < self.most or self.gap > 0

    def refused(self, number: int, begun: int, in_flight: int, now: float) -> "Pace":
        """The store turned a request away because there were too many.

        Args:
            number: Which one.
            begun: The last request that has been begun.
            in_flight: Requests in flight when the answer came, this one included.
            now: The moment, in seconds.
        """
        lone = begun - self.heard > LONE
        heard = self._replace(heard=begun, heard_at=now)
        if lone or number <= self.mark:
            return heard
        lowered = heard._replace(mark=begun, since=now, proven=False)
        # A limit that was not used up says nothing; what was in flight does.
        level = max(1.0, min(self.limit, float(in_flight)))
        if self.limit < 2:  # noqa: PLR2004  one in flight is the least
            return lowered._replace(limit=1.0, gap=min(max(FIRST_GAP, 2 * self.gap), LONGEST_GAP))
        if not self.proven:
            return lowered._replace(limit=max(1.0, level * HALVED))
        return lowered._replace(limit=max(1.0, level * LOWERED), good=level)

    def succeeded(self, number: int, now: float) -> "Pace":
        """The store did what a request asked."""
        if number <= self.mark or not self.throttled:
            return self
        limit, gap, since = self.limit, 0.0, now
        if self.gap:
            gap = self.gap / CLOSING if self.gap > FIRST_GAP else 0.0
        elif limit < self.good * LOWERED:
            limit = min(limit + 1, self.good * LOWERED)
        else:
            since = self.since
            limit = max(limit, self._curve(now))
        if limit >= REACHED * self.most and not gap:
            return self.freed()
        return self._replace(limit=limit, gap=gap, since=since, proven=True)

    def failed(self, number: int, now: float) -> "Pace":
        """A request failed, but not because there were too many."""
        if not self.throttled or number <= self.mark:
            return self
        if now - self.heard_at > FORGOTTEN:
            return self.freed()
        return self._replace(gap=0.0) if self.gap else self

    def steered(self, most: int) -> "Pace":
        """So many were asked for instead. Where less is allowed, it stays so: what the store admits is found out from there."""
        if not self.throttled:
            return self._replace(most=most, limit=float(most), good=float(most))
        if self.limit >= most and not self.gap:
            return self._replace(most=most).freed()
        return self._replace(most=most, limit=min(self.limit, most), good=min(self.good, most))

    def _curve(self, now: float) -> float:
        elapsed = (now - self.since) / PERIOD - 1
        # Beyond what did well the curve is `most`'s: from wherever it starts, it takes the same time.
        return self.good + (1 - LOWERED) * (self.good if elapsed < 0 else self.most) * elapsed**3

    def freed(self) -> "Pace":
        """The store turns nobody away any more: all that was asked for, with what is known of the last time."""
        return Pace.free(self.most)._replace(mark=self.mark, heard=self.heard, heard_at=self.heard_at)
