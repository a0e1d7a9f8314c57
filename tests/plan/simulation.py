"""A store that admits so many requests a second and refuses the others, with whoever sends to it: events on a virtual clock."""

import heapq
import random
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count

from asyncmirror.plan import backoff
from asyncmirror.plan.allowance import Allowance
from asyncmirror.plan.pace import Pace
from asyncmirror.plan.trial import Reading

LATENCY = 0.02
WORKERS = 64
SIZE = 4096
LOOK = 0.05
"""Seconds between two looks at the gauges."""


class Simulation:
    """Workers that always have something to send, a store that refuses what comes above its rate, and the pace between them.

    Args:
        rate: Requests per second that the store admits at a moment.
        pace: How many may be in flight.
        latency: Seconds that an answer takes.
        jitter: By how much of it the next answer may take longer or shorter.
        workers: How many there are.
        paced: Without, only each worker's own backing off answers the store.
    """

    def __init__(
        self,
        rate: Callable[[float], float],
        seed: int = 1,
        *,
        pace: Pace | Allowance | None = None,
        latency: float = LATENCY,
        jitter: float = 0.0,
        workers: int = WORKERS,
        paced: bool = True,
    ) -> None:
        self.done: list[float] = []
        self.refused: list[float] = []
        self.pace: Pace | Allowance = Pace.free(WORKERS) if pace is None else pace
        self.limits: list[int] = []  # at every look
        self._rate = rate
        self._latency = latency
        self._jitter = jitter
        self._paced = paced
        self._chance = random.Random(seed)
        self._order = count()
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._ready = deque(range(workers))
        self._failures = [0] * workers
        self._begun = 0
        self._in_flight = 0
        self._held = 0.0
        self._credit, self._credited = float("inf"), 0.0
        if isinstance(self.pace, Allowance):
            self._at(0.0, self._look)

    def run(self, until: float) -> None:
        """Let time pass up to a moment."""
        self._start(0.0)
        while self._events[0][0] <= until:
            now, _, happen = heapq.heappop(self._events)
            happen(now)
            self._start(now)

    def rate_in(self, begin: float, end: float) -> float:
        """Successes per second between two moments."""
        return _between(self.done, begin, end) / (end - begin)

    def refused_in(self, begin: float, end: float) -> int:
        """Refusals between two moments."""
        return _between(self.refused, begin, end)

    def recovered(self, calm: float, rate: float, within: float) -> float:
        """Seconds after which there are 90 % of a rate, over half a second each."""
        steps = (calm + step / 2 for step in range(round(2 * within) + 1))
        return next((step - calm for step in steps if self.rate_in(step, step + 0.5) >= 0.9 * rate), float("inf"))

    def _look(self, now: float) -> None:
        assert isinstance(self.pace, Allowance)
        self.pace = self.pace.look(Reading(now, len(self.done), len(self.done) * SIZE, self._in_flight))
        self.limits.append(self.pace.limit)
        self._at(now + LOOK, self._look)

    def _at(self, moment: float, happen: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._order), happen))

    def _start(self, now: float) -> None:
        while self._ready and self._in_flight < int(self.pace.limit) and now >= self._held:
            worker = self._ready.popleft()
            self._begun += 1
            self._in_flight += 1
            admitted, number = self._admits(now), self._begun
            latency = self._latency * (1 + self._chance.uniform(-self._jitter, self._jitter))
            self._at(now + latency, partial(self._answer, worker, number, admitted))

    def _admits(self, now: float) -> bool:
        # A tenth of a second's worth may come at once.
        rate = self._rate(now)
        self._credit = min(max(1.0, rate / 10), self._credit + rate * (now - self._credited))
        self._credited = now
        if rate <= 0 or self._credit < 1:
            return False
        self._credit -= 1
        return True

    def _answer(self, worker: int, number: int, admitted: bool, now: float) -> None:  # noqa: FBT001  bound where it is sent
        before = self.pace
        if admitted:
            self.done.append(now)
            self.pace = self.pace.succeeded(number, now)
            self._failures[worker] = 0
            self._ready.append(worker)
        else:
            self.refused.append(now)
            if self._paced:
                self.pace = self.pace.refused(number, self._begun, self._in_flight, now)
            self._failures[worker] += 1
            pause = backoff.delay(self._failures[worker], self._chance.random(), throttled=True)
            self._at(now + pause, lambda _: self._ready.append(worker))
        self._in_flight -= 1
        if self.pace.gap and (self.pace.gap, self.pace.mark) != (before.gap, before.mark):
            self._held = now + self.pace.gap * (1 + self._chance.random()) / 2
            self._at(self._held, lambda _: None)


def _between(moments: Sequence[float], begin: float, end: float) -> int:
    """How many of the moments, which are in order, are from `begin` on and before `end`."""
    return bisect_left(moments, end) - bisect_left(moments, begin)
