"""How many requests may be in flight, all told: what serves best (`plan.climb`), and what the store admits (`plan.pace`).

Owns how the two go together. Pure. What the climb allows is the most that the pace may allow; while the pace is below that, the
climb waits. A refusal in the turn of a trial ends the trial, and the limit that stood stands again: it was not refused. A
refusal of the limit that stands sends it back to what the store admitted before, or lowers it a little, for good, so that the
store is not asked for too much again and again, as the pace by itself would. Only where the store goes on refusing many, the
pace takes over, and goes down far. A store that refuses everything is out of order: then the climb keeps what it knew, and the
pace alone comes back to it.
"""

import math
from typing import NamedTuple, Self

from asyncmirror.plan.climb import Climb
from asyncmirror.plan.pace import Pace
from asyncmirror.plan.trial import FULL, Reading

SOON = 0.4
"""Seconds from one lowering to the next, where few are refused: a store whose credit is used up refuses some at any rate."""
EARNEST = 0.2
"""So many of the requests begun since the last lowering were refused: it is not a little too much, and the pace takes over."""
FEW = 4
"""What a part of the requests is allowed to begin with, at least: with fewer it takes long to find out what serves best."""
REMEMBERED = 60.0
"""Seconds after the last refusal for which the store counts as one that asks for fewer, though the climb has settled below."""


class Allowance(NamedTuple):
    """What is allowed now. Made by `fixed` or `auto`."""

    pace: Pace
    climb: Climb | None = None
    turned: int = 0  # refusals of requests begun since the limit was last lowered
    lowered_at: float = -math.inf  # when the climb last had to retreat

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
        return self.narrowed or now - self.lowered_at < REMEMBERED

    def refused(self, number: int, begun: int, in_flight: int, now: float) -> "Allowance":
        """See `Pace.refused`."""
        before, climb = self.pace, self.climb
        after = before.refused(number, begun, in_flight, now)
        turned = self.turned + (number > before.mark)
        if after.mark == before.mark:
            return self._replace(pace=after, turned=turned)
        if climb is None:
            return self._replace(pace=after)
        tried_more, since = climb.limit > climb.stands, number - before.mark
        earnest = not tried_more and since >= before.limit and turned > EARNEST * since
        if not before.proven or (earnest and turned >= since):  # nothing is admitted: that it was too much is not said
            restored = climb.restored()
            good = max(after.good, float(restored.stands)) if restored is not climb else after.good
            return Allowance(after.steered(restored.stands)._replace(good=good), restored, lowered_at=self.lowered_at)
        if in_flight < FULL * before.limit:  # not too many of them, but something else; and nothing new of what does well
            return self._replace(pace=after._replace(good=before.good), turned=0)
        if not (tried_more or earnest) and now - self.lowered_at < SOON:
            return self._replace(pace=before._replace(heard=begun, heard_at=now), turned=turned)
        climb = climb.retreated(now, int(after.good))
        pace = after.steered(climb.stands)
        return Allowance(pace if earnest else pace.freed(), climb, lowered_at=now)

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

    def part(self, share: float) -> "Allowance":
        """An allowance for a part of the requests that has had such a share of what is allowed to all."""
        start = min(self.most, max(FEW, round(share * self.limit)))
        if self.climb is not None:  # about what it can have: it is not halved when refused, and twice as many would be too much
            return Allowance(Pace.free(start), Climb.begin(self.climb.most, start)._replace(refused=2 * start))
        return Allowance(Pace.free(self.most)._replace(limit=float(start), good=float(start)))

    def resumed(self, begun: int) -> "Allowance":
        """The same again, as if nothing had been refused since; `begun` is the last request that has been begun."""
        pace = self.pace._replace(mark=begun, heard=begun)
        if self.climb is None:
            return Allowance(pace)
        climb = self.climb.begun_anew()
        return Allowance(pace.steered(climb.limit), climb)

    def steered(self, most: int, *, auto: bool) -> "Allowance":
        """The same under another `most`, climbing from what is allowed now, or not at all."""
        if not auto:
            return Allowance(self.pace.steered(most))
        climb = Climb.begin(most, self.limit) if self.climb is None else self.climb.within(most)
        return Allowance(self.pace.steered(climb.limit), climb)
