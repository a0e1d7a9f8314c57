"""What a screen shows, as a pure function of what happened.

Owns two folds: events into a `State` (what was begun, said, gone wrong), and readings of the gauges into a `Pace` (how fast,
how long still). Counts by outcome stand in the gauges and in the summary already and are not kept a second time. Knows no
terminal and no clock: time is the gauges' ``seconds``.
"""

from typing import NamedTuple

from asyncmirror.events import Event, Notice, Progress, Settled, Started, Summary, Unchanged
from asyncmirror.model import Outcome

PROBLEMS = frozenset({Outcome.CHANGED, Outcome.UNREADABLE, Outcome.UNSUPPORTED, Outcome.REFUSED, Outcome.FAILED})
"""Outcomes that a person should look at."""
PROBLEMS_KEPT = 20
"""So many are shown at the end. The others are in the journal: memory must not grow with the tree."""
_WINDOW = 10.0
"""Seconds over which "now" is measured."""
_LEAST_SPAN = 0.5
"""Seconds below which a rate would be noise."""


class State(NamedTuple):
    """What is known so far. `problems` are the first ones, `problem_count` is of all."""

    started: Started | None = None
    notices: tuple[str, ...] = ()
    problems: tuple[Settled, ...] = ()
    problem_count: int = 0
    summary: Summary | None = None


def fold(state: State, event: Event) -> State:
    """The state after an event."""
    match event:
        case Settled(outcome=outcome):
            if outcome not in PROBLEMS:
                return state
            kept = state.problems if len(state.problems) >= PROBLEMS_KEPT else (*state.problems, event)
            return state._replace(problems=kept, problem_count=state.problem_count + 1)
        case Unchanged():
            return state
        case Notice(text=text):
            return state._replace(notices=(*state.notices, text))
        case Started():
            return state._replace(started=event)
        case Summary():
            return state._replace(summary=event)


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
        """The pace after one more reading."""
        sample = _Sample(progress.seconds, progress.bytes_sent, progress.settled.get(Outcome.COMPLETE, 0))
        recent = tuple(old for old in self.samples if old.seconds >= sample.seconds - _WINDOW)
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


def remaining(progress: Progress, rate: Rate) -> Remaining | None:
    """What is left at this rate; None while the scan goes on, because the total isn't known.

    The slower of bytes and objects decides: a tail of small files is not bound by bandwidth.
    """
    if progress.scanning:
        return None
    files = max(0, progress.scanned - sum(progress.settled.values()))
    in_flight = sum(transfer.sent for transfer in progress.slowest)
    size = max(0, progress.scanned_bytes - sum(progress.settled_bytes.values()) - in_flight)
    if progress.scanned_bytes:
        share = 1 - size / progress.scanned_bytes
    else:
        share = 1 - files / progress.scanned if progress.scanned else 1.0
    if (size and not rate.bytes) or (files and not (rate.objects or rate.bytes)):
        return Remaining(files, size, share, None)
    by_bytes = size / rate.bytes if size else 0.0
    by_objects = files / rate.objects if files and rate.objects else 0.0
    return Remaining(files, size, share, max(by_bytes, by_objects))
