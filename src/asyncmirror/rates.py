"""How fast a run is, and how long it will take still: folds over readings of the gauges.

Owns what "now" means, the average, and what is left. Pure; knows no screen, no page and no clock: time is the gauges'
``seconds``.
"""

from typing import NamedTuple

from asyncmirror.events import Erasing, Progress
from asyncmirror.model import Outcome

_WINDOW = 10.0
"""Seconds over which "now" is measured."""
_LEAST_SPAN = 0.5
"""Seconds below which a rate would be noise."""


class Rate(NamedTuple):
    """Bytes and objects per second."""

    bytes: float = 0.0
    objects: float = 0.0


class _Sample(NamedTuple):
    seconds: float
    bytes_sent: int
    objects: int


class Pace(NamedTuple):
    """The readings of the last seconds, oldest first."""

    samples: tuple[_Sample, ...] = ()

    def observe(self, progress: Progress) -> "Pace":
        """The pace after one more reading; another run begins anew."""
        sample = _Sample(progress.seconds, progress.bytes_sent, progress.settled.get(Outcome.COMPLETE, 0))
        recent = tuple(old for old in self.samples if sample.seconds - _WINDOW <= old.seconds <= sample.seconds)
        return Pace((*recent, sample))

    @property
    def now(self) -> Rate:
        """The rate over the window; zero as long as there is too little to measure."""
        if not self.samples:
            return Rate()
        first, last = self.samples[0], self.samples[-1]
        span = last.seconds - first.seconds
        if span < _LEAST_SPAN:
            return average(last.seconds, last.bytes_sent, last.objects)
        return Rate((last.bytes_sent - first.bytes_sent) / span, (last.objects - first.objects) / span)


def average(seconds: float, bytes_sent: int, objects: int) -> Rate:
    """The rate over a whole run; zero before it has lasted long enough to tell."""
    return Rate(bytes_sent / seconds, objects / seconds) if seconds >= _LEAST_SPAN else Rate()


class Remaining(NamedTuple):
    """What is left to do. Sizes in bytes, `share` done from 0 to 1, `seconds` None where it can't be told."""

    files: int
    size: int
    share: float
    seconds: float | None


def deletion_left(erasing: Erasing) -> float | None:
    """For how many seconds a deletion will go on, if it does as it did; None where that can't be told."""
    return (erasing.objects - erasing.done) * erasing.seconds / erasing.done if erasing.done else None


def remaining(progress: Progress, rate: Rate) -> Remaining | None:
    """What is left at this rate; None while the scan goes on, because the total isn't known.

    The slower of bytes and objects decides: a tail of small files is not bound by bandwidth.
    """
    if progress.scanning:
        return None
    files = max(0, progress.scanned - sum(progress.settled.values()))
    size = max(0, progress.scanned_bytes - sum(progress.settled_bytes.values()) - progress.under_way)
    if progress.scanned_bytes:
        share = 1 - size / progress.scanned_bytes
    else:
        share = 1 - files / progress.scanned if progress.scanned else 1.0
    if (size and not rate.bytes) or (files and not (rate.objects or rate.bytes)):
        return Remaining(files, size, share, None)
    by_bytes = size / rate.bytes if size else 0.0
    by_objects = files / rate.objects if files and rate.objects else 0.0
    return Remaining(files, size, share, max(by_bytes, by_objects))
