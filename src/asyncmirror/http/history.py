"""How fast it was and how much was allowed, second by second for hours and minute by minute for weeks.

Owns a memory of fixed size, made at once: it does not grow, however long the process lives. What was not measured is not there:
while the process stood still, and between runs, there are no points, and a chart has a gap. Pure: moments are given. Rates are
per second of measured time, so that a stretch of ten minutes with one of them measured tells that minute's rate.
"""

import math
from array import array
from collections.abc import Iterator
from typing import NamedTuple

from asyncmirror.events import Progress
from asyncmirror.model import Outcome

SECONDS = 2 * 3600
"""How far back there are points of one second."""
MINUTES = 4 * 7 * 24 * 60
"""How many points of a minute there are: four weeks."""
_STILL = 5.0
"""Seconds between two readings from which on the process stood still meanwhile: what was sent then has no moment."""
_MINUTE = 60
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)


class Sums(NamedTuple):
    """What was measured in a stretch of time. From `limit` on, they are sums over its seconds."""

    seconds: float = 0.0
    bytes_sent: float = 0.0
    files: float = 0.0
    requests: float = 0.0
    refused: float = 0.0
    limit: float = 0.0
    most: float = 0.0
    bytes_allowed: float = 0.0

    def plus(self, other: "Sums", share: float = 1.0) -> "Sums":
        """These and a share of others."""
        return Sums(*(mine + share * theirs for mine, theirs in zip(self, other, strict=True)))


class Point(NamedTuple):
    """A stretch of time that begins at `time` (seconds since the epoch): rates per second, and means of the limits.

    `limit` of `most` requests were allowed in flight, `bytes_allowed` a second to be sent; 0: as many as could be.
    """

    time: float
    bytes_per_second: float
    files_per_second: float
    requests_per_second: float
    refused_per_second: float
    limit: float
    most: float
    bytes_allowed: float


class Series(NamedTuple):
    """Points `step` seconds apart; where none is, nothing was measured."""

    step: int
    points: tuple[Point, ...]


class _Ring:
    """The last so many stretches of equal length. A stretch has its place by its number, so that nothing is ever moved."""

    def __init__(self, step: int, size: int) -> None:
        self.step = step
        self.size = size
        self._numbers = array("q", bytes(8 * size))
        self._columns = [array("d", bytes(8 * size)) for _ in Sums._fields]

    def add(self, number: int, sums: Sums) -> None:
        place = number % self.size
        if self._numbers[place] != number:
            self._numbers[place] = number
            for column in self._columns:
                column[place] = 0.0
        for column, value in zip(self._columns, sums, strict=True):
            column[place] += value

    def get(self, number: int) -> Sums | None:
        place = number % self.size
        return Sums(*(column[place] for column in self._columns)) if self._numbers[place] == number else None


class History:
    """Takes readings of the gauges, and gives points."""

    def __init__(self) -> None:
        self._seconds = _Ring(1, SECONDS)
        self._minutes = _Ring(_MINUTE, MINUTES)
        self._last: Progress | None = None

    def begin(self) -> None:
        """A run begins: its gauges start from nothing."""
        self._last = None

    def observe(self, now: float, progress: Progress) -> None:
        """Take in the gauges at a moment, in seconds since the epoch."""
        last, self._last = self._last or Progress(), progress
        span = progress.seconds - last.seconds
        sent = progress.bytes_sent - last.bytes_sent
        if not 0 < span < _STILL or (progress.paused and not sent):
            return
        measured = Sums(
            span,
            sent,
            progress.settled.get(Outcome.COMPLETE, 0) - last.settled.get(Outcome.COMPLETE, 0),
            progress.requests - last.requests,
            progress.flight.refused - last.flight.refused,
            progress.flight.limit * span,
            progress.flight.most * span,
            progress.allowance.bandwidth * span,
        )
        for ring in (self._seconds, self._minutes):
            for number, share in _shares(now - span, now, ring.step):
                ring.add(number, Sums().plus(measured, share))

    def series(self, start: float, end: float, most: int) -> Series:
        """What is known from `start` to `end` (seconds since the epoch), in at most about `most` points."""
        ring = self._seconds if start >= end - SECONDS else self._minutes
        start = max(start, end - ring.size * ring.step)
        wanted = max(ring.step, math.ceil((end - start) / max(1, most)))
        step = next((each for each in _STEPS if each >= wanted), _STEPS[-1])
        return Series(step, tuple(_points(ring, int(start // step), int(end // step), step)))


def _shares(start: float, end: float, step: int) -> Iterator[tuple[int, float]]:
    """The stretches that a time falls into, and which part of it falls into each."""
    first, last = int(start // step), int(end // step)
    for number in range(first, last + 1):
        inside = min(end, (number + 1) * step) - max(start, number * step)
        if inside > 0:
            yield number, inside / (end - start)


def _points(ring: _Ring, first: int, last: int, step: int) -> Iterator[Point]:
    each = max(1, step // ring.step)
    for number in range(first, last + 1):
        sums = Sums()
        for fine in range(number * each, (number + 1) * each):
            if (found := ring.get(fine)) is not None:
                sums = sums.plus(found)
        if sums.seconds:
            rates = (value / sums.seconds for value in sums[1:])
            yield Point(number * step, *rates)
