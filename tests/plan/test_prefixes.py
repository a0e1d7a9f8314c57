"""What a limit for a narrow prefix gains over one for the whole store, where its works are set aside: docs/adr/0013-pace.md."""

import heapq
import random
from collections import Counter, deque
from collections.abc import Iterable
from itertools import count

import pytest

from asyncmirror.engine.parking import AHEAD
from asyncmirror.plan import backoff
from asyncmirror.plan.allowance import Allowance
from asyncmirror.plan.trial import Reading
from tests.plan.simulation import LOOK, SIZE

LATENCY = 0.2
WORKERS = 256
NARROW = 100.0
"""Requests per second that the narrow prefix admits; the wide one admits all."""
BURST = 1.0
"""Seconds of those that it admits at once after it stood idle."""


class Run:
    """Works of two prefixes, in their order, to workers that carry out one after the other.

    Args:
        works: Whether each is of the narrow prefix.
        apart: Each prefix has an allowance of its own; else there is one.
        aside: So many of the narrow prefix's works may be set aside, so that others overtake them.
    """

    def __init__(self, works: Iterable[bool], *, apart: bool, aside: int = 0) -> None:
        self._works = iter(works)
        self._apart = apart
        self._room = aside
        self._aside = 0
        self._in_hand = 0
        self._allowances = [Allowance.auto(WORKERS, 64) for _ in range(1 + apart)]
        self._chance = random.Random(1)
        self._order = count()
        self._events: list[tuple[float, int, int, int, bool]] = []  # moment, order, worker, number, admitted
        self._waiting: list[deque[int]] = [deque() for _ in self._allowances]
        self._narrow = [False] * WORKERS
        self._failures = [0] * WORKERS
        self._begun, self._flying, self._done = ([0] * len(self._allowances) for _ in range(3))
        self._held = [0.0] * len(self._allowances)
        self._credit, self._credited = 0.0, 0.0

    def seconds(self) -> float:
        """How long it takes."""
        now, looked = 0.0, 0.0
        busy = sum(self._next(worker) for worker in range(WORKERS))
        while busy:
            self._start(now)
            now, _, worker, number, admitted = heapq.heappop(self._events) if self._events else (looked + LOOK, 0, -1, 0, False)
            while looked + LOOK <= now:
                looked += LOOK
                self._look(looked)
            if number:
                busy -= self._answer(worker, number, now, admitted=admitted)
            elif worker >= 0:
                self._waiting[self._place(worker)].append(worker)
        return now

    def _place(self, worker: int) -> int:
        return int(self._apart and self._narrow[worker])

    def _next(self, worker: int) -> bool:
        narrow = self._take()
        if narrow is None:
            return False
        self._in_hand += narrow
        self._narrow[worker] = narrow
        self._waiting[self._place(worker)].append(worker)
        return True

    def _take(self) -> bool | None:
        """The next work, as `engine.parking` gives it out."""
        if self._aside and self._in_hand < AHEAD * self._allowances[-1].limit + 4:
            self._aside -= 1
            return True
        while (narrow := next(self._works, None)) and self._aside < self._room:
            self._aside += 1
        if narrow is None and self._aside:
            self._aside -= 1
            return True
        return narrow

    def _look(self, now: float) -> None:
        for place, allowance in enumerate(self._allowances):
            done = self._done[place]
            self._allowances[place] = allowance.look(Reading(now, done, done * SIZE, self._flying[place]))

    def _start(self, now: float) -> None:
        for place, waiting in enumerate(self._waiting):
            while waiting and self._flying[place] < self._allowances[place].limit and now >= self._held[place]:
                worker = waiting.popleft()
                self._begun[place] += 1
                self._flying[place] += 1
                self._at(now + LATENCY * self._chance.uniform(0.8, 1.2), worker, self._begun[place], self._admits(worker, now))

    def _at(self, moment: float, worker: int, number: int, admitted: bool = False) -> None:  # noqa: FBT001, FBT002  an event's
        heapq.heappush(self._events, (moment, next(self._order), worker, number, admitted))

    def _admits(self, worker: int, now: float) -> bool:
        if not self._narrow[worker]:
            return True
        self._credit = min(NARROW * BURST, self._credit + NARROW * (now - self._credited))
        self._credited = now
        if self._credit < 1:
            return False
        self._credit -= 1
        return True

    def _answer(self, worker: int, number: int, now: float, *, admitted: bool) -> bool:
        """Whether the worker has nothing more to do."""
        place = self._place(worker)
        before = self._allowances[place]
        ended = False
        if admitted:
            self._allowances[place] = before.succeeded(number, now)
            self._done[place] += 1
            self._failures[worker] = 0
            self._flying[place] -= 1
            self._in_hand -= self._narrow[worker]
            ended = not self._next(worker)
        else:
            after = self._allowances[place] = before.refused(number, self._begun[place], self._flying[place], now)
            self._failures[worker] += 1
            self._at(now + backoff.delay(self._failures[worker], self._chance.random(), throttled=True), worker, 0)
            self._flying[place] -= 1
            if after.gap and (after.gap, after.mark) != (before.gap, before.mark):
                self._held[place] = now + after.gap
                self._at(self._held[place], -1, 0)
        return ended


def seconds(works: list[bool], aside: int) -> tuple[float, float]:
    """How long it takes with one limit, and with one for each prefix."""
    return Run(works, apart=False).seconds(), Run(works, apart=True, aside=aside).seconds()


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_where_prefixes_come_mixed_all_take_as_long_as_the_narrow_one(share: float) -> None:
    chance = random.Random(2)
    works = [chance.random() < share for _ in range(round(20 * NARROW / share))]
    together, apart = seconds(works, aside=len(works))
    assert together <= 1.15 * apart
    assert apart <= 1.08 * Counter(works)[True] / NARROW


def test_where_more_come_than_may_be_set_aside_they_wait_in_the_way() -> None:
    chance = random.Random(2)
    works = [chance.random() < 0.5 for _ in range(round(60 * NARROW))]
    run = Run(works, apart=True, aside=300)
    assert run.seconds() >= 0.9 * Counter(works)[True] / NARROW


def test_where_they_come_one_after_the_other_both_go_at_the_same_time() -> None:
    narrow, wide = 30 * NARROW, 20 * WORKERS / LATENCY
    together, apart = seconds([True] * round(narrow) + [False] * round(wide), aside=round(narrow))
    assert apart <= 36
    assert together >= 50
