"""How many requests may be in flight, all told: what serves best (`plan.climb`), and what the store admits (`plan.pace`).

Owns how the two go together. Pure. What the climb allows is the most that the pace may allow; while the pace is below that, the
climb waits. A refusal in the turn of a trial ends the trial, and the limit that stood stands again: it was not refused. A
refusal of the limit that stands lowers it a little, for good, so that the store is not asked for too much again and again, as
the pace by itself would. Only where that happens several times in a row, the pace takes over, and goes down far. A store that
refuses everything is out of order: then the climb keeps what it knew, and the pace alone comes back to it.
"""

import math
from typing import NamedTuple, Self

from asyncmirror.plan.climb import Climb
from asyncmirror.plan.pace import Pace
from asyncmirror.plan.trial import FULL, Reading

CALM = 5.0
"""Seconds without a refusal after which the next one is the first again."""
IN_EARNEST = 5
"""So many, one soon after the other, and it is not a little too much: the pace takes over."""
REMEMBERED = 60.0
"""Seconds after the last refusal for which the store counts as one that asks for fewer, though the climb has settled below."""


class Allowance(NamedTuple):
    """What is allowed now. Made by `fixed` or `auto`."""

    pace: Pace
    climb: Climb | None = None
    in_a_row: int = 0  # times that the climb had to retreat, each soon after the other
    refused_at: float = -math.inf  # the last one

    @classmethod
    def fixed(cls, most: int) -> Self:
        """So many, but for refusals."""
        return cls(Pace.free(most))

    @classmethod
    def auto(cls, most: int, start: int) -> Self:
        """What serves best, at most `most`; `start` to begin with."""
        climb = Climb.begin(most, start)
        return cls(Pace.free(climb.limit), climb)

    @property
    def limit(self) -> int:
        """Requests in flight, at least 1."""
        return int(self.pace.limit)

    @property
    def most(self) -> int:
        """And at most, ever."""
        return self.pace.most if self.climb is None else self.climb.most

    @property
    def gap(self) -> float:
        """Seconds between two requests; not 0 only at a limit of 1."""
        return self.pace.gap

    @property
    def mark(self) -> int:
        """See `Pace.mark`."""
        return self.pace.mark

    @property
    def narrowed(self) -> bool:
        """Whether less is allowed at this moment because the store asked for it."""
        return self.pace.throttled

    def is_asked_for_fewer(self, now: float) -> bool:
        """Whether less is allowed because the store asked for it, or the climb has settled where it did not long ago."""
        return self.narrowed or now - self.refused_at < REMEMBERED

    def refused(self, number: int, begun: int, in_flight: int, now: float) -> "Allowance":
        """See `Pace.refused`."""
        before = self.pace
        after = before.refused(number, begun, in_flight, now)
        climb = self.climb
        if climb is None or after.mark == before.mark or not before.proven:
            return self._replace(pace=after)
        if in_flight < FULL * before.limit:  # not too many of them, but something else; and nothing new of what does well
            return self._replace(pace=after._replace(good=before.good))
        tried_more = climb.limit > climb.stands
        first = 1 if climb.rate is not None else IN_EARNEST  # what has not even been measured yet may be far too much
        in_a_row = self.in_a_row + 1 if now - self.refused_at < CALM else first
        climb = climb.retreated(now, int(after.good))
        pace = after.steered(climb.stands)
        if tried_more or in_a_row < IN_EARNEST:
            return Allowance(pace.freed(), climb, in_a_row, now)
        return Allowance(pace, climb, 0, now)

    def succeeded(self, number: int, now: float) -> "Allowance":
        """See `Pace.succeeded`."""
        return self._replace(pace=self.pace.succeeded(number, now))

    def failed(self, number: int, now: float) -> "Allowance":
        """See `Pace.failed`."""
        return self._replace(pace=self.pace.failed(number, now))

    def look(self, reading: Reading) -> "Allowance":
        """Take in the gauges; `reading.narrowed` need not be set."""
        if self.climb is None:
            return self
        climb = self.climb.look(reading._replace(narrowed=self.narrowed))
        return self._replace(pace=self.pace.steered(climb.limit), climb=climb)

    def steered(self, most: int, *, auto: bool) -> "Allowance":
        """The same under another `most`, climbing from what is allowed now, or not at all."""
        if not auto:
            return Allowance(self.pace.steered(most))
        climb = Climb.begin(most, self.limit) if self.climb is None else self.climb.within(most)
        return Allowance(self.pace.steered(climb.limit), climb)
