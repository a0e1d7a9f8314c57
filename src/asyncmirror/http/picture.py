"""What is known of the runs of this process: one frozen value, folded from events and from readings of the gauges.

Owns the fold, and what counts for ever: totals over all runs that have ended, so that a counter never goes back when the next
one begins. Bounded: of notices and problems the newest are kept, all problems are in the journal. Pure: moments are given, in
seconds since the epoch. Knows no socket and no form in which it is told.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from asyncmirror.events import (
    Deletion,
    DeletionBegun,
    Deletions,
    Event,
    Fate,
    Notice,
    Progress,
    Settled,
    Started,
    Steered,
    Summary,
    Unchanged,
    Waiting,
)
from asyncmirror.model import PROBLEMS, Outcome
from asyncmirror.rates import Pace

NOTICES_KEPT = 50
PROBLEMS_KEPT = 100

_NOTHING: Mapping[Outcome, int] = MappingProxyType({})


class Phase(StrEnum):
    """What the process is doing."""

    OPENING = "opening"  # the journal and the store
    RUNNING = "running"
    WAITING = "waiting"  # a run is over, another may come
    ENDED = "ended"  # the last run is over


class Result(StrEnum):
    """What a run came to."""

    SUCCESS = "success"  # all is there
    INCOMPLETE = "incomplete"  # it saw all, and something is not there
    STOPPED = "stopped"  # by somebody, before its end
    FAILED = "failed"  # by an error that no file is to blame for


class Said(NamedTuple):
    """A notice, and when it was given."""

    time: float
    text: str


class Totals(NamedTuple):
    """What the runs that have ended did, together."""

    runs: Mapping[Result, int] = MappingProxyType({})
    entries: Mapping[Outcome, int] = _NOTHING
    entry_bytes: Mapping[Outcome, int] = _NOTHING
    scanned: int = 0
    scanned_bytes: int = 0
    bytes_sent: int = 0
    requests: int = 0
    refused: int = 0
    deleted: int = 0
    deleted_bytes: int = 0


class Batches(NamedTuple):
    """How far a queue of batches is worked off: the `number`-th `of` so many, called `name` (escaped; empty at the end).

    `size` is this one's in bytes, None where unknown; `completed` and `failed` count those that have ended in this go.
    """

    number: int
    of: int
    name: str
    size: int | None
    completed: int
    failed: int


class Picture(NamedTuple):
    """All that is told of, but history. `run` counts the runs of this process; the gauges are its, or the last one's."""

    phase: Phase = Phase.OPENING
    source: str = ""
    destination: str = ""
    journal: str = ""
    run: int = 0
    started: float = 0.0
    ended: float | None = None
    progress: Progress = Progress()
    pace: Pace = Pace()
    summary: Summary | None = None
    last_success: float | None = None
    totals: Totals = Totals()
    notices: tuple[Said, ...] = ()
    problems: tuple[Settled, ...] = ()
    batches: Batches | None = None
    waiting: Waiting | None = None
    error: str = ""

    @property
    def result(self) -> Result | None:
        """What the last run came to; None while it goes on."""
        return None if self.summary is None else judge(self.summary)

    @property
    def problem_count(self) -> int:
        """Entries of that run that a person should look at."""
        return sum(self.progress.settled.get(outcome, 0) for outcome in PROBLEMS)

    @property
    def ever(self) -> Totals:
        """The totals with the run that goes on."""
        return _added(self.totals, self.progress) if self.phase is Phase.RUNNING else self.totals


def judge(summary: Summary) -> Result:
    """What a run came to."""
    if summary.error:
        return Result.FAILED
    if summary.stopped:
        return Result.STOPPED
    return Result.INCOMPLETE if summary.exit_code else Result.SUCCESS


def fold(picture: Picture, event: Event, now: float) -> Picture:
    """The picture after an event, told at a moment."""
    match event:
        case Started():
            return picture._replace(
                phase=Phase.RUNNING,
                source=event.source,
                destination=event.destination,
                journal=event.journal,
                run=picture.run + 1,
                started=now,
                ended=None,
                progress=Progress(),
                pace=Pace(),
                summary=None,
                problems=(),
                waiting=None,
                error="",
            )
        case Notice() | Steered():
            return picture._replace(notices=(*picture.notices, Said(now, event.text))[-NOTICES_KEPT:])
        case Settled(outcome=outcome) if outcome in PROBLEMS:
            return picture._replace(problems=(*picture.problems, event)[-PROBLEMS_KEPT:])
        case Summary():
            return _ended(picture, event, now)
        case Waiting():
            # A run that could not go on may have had no summary.
            return picture._replace(
                phase=Phase.WAITING,
                ended=now if picture.phase is Phase.RUNNING else picture.ended,
                totals=picture.ever,
                progress=picture.progress._replace(erasing=None),
                waiting=event,
                error=event.why,
            )
        case Settled() | Unchanged() | DeletionBegun() | Deletion():
            return picture


def _ended(picture: Picture, summary: Summary, now: float) -> Picture:
    result, gone = judge(summary), summary.deletions or Deletions()
    last = _last(picture.progress, summary)
    totals = picture._replace(progress=last).ever
    totals = totals._replace(
        runs={**totals.runs, result: totals.runs.get(result, 0) + 1},
        deleted=totals.deleted + gone.counts.get(Fate.DELETED, 0),
        deleted_bytes=totals.deleted_bytes + gone.sizes.get(Fate.DELETED, 0),
    )
    return picture._replace(
        phase=Phase.WAITING,
        ended=now,
        progress=last,
        summary=summary,
        last_success=now if result is Result.SUCCESS else picture.last_success,
        totals=totals,
        error=summary.error,
    )


def _last(progress: Progress, summary: Summary) -> Progress:
    """The gauges as they stand at the end of a run: nobody may have read them since much was done."""
    return progress._replace(
        scanning=False,
        scanned=sum(summary.counts.values()),
        scanned_bytes=summary.bytes_total,
        queued=0,
        queued_bytes=0,
        settled=summary.counts,
        settled_bytes=summary.bytes_by_outcome,
        bytes_sent=summary.bytes_sent,
        requests=summary.requests,
        seconds=summary.seconds,
        slowest=(),
        erasing=None,
    )


def observe(picture: Picture, progress: Progress) -> Picture:
    """The picture after a reading of the gauges. Between runs they tell nothing new."""
    if picture.phase is not Phase.RUNNING:
        return picture
    return picture._replace(progress=progress, pace=picture.pace.observe(progress))


def close(picture: Picture, error: str = "") -> Picture:
    """The picture when no run follows; `error` is why, where the last one ended without a summary."""
    return picture._replace(phase=Phase.ENDED, waiting=None, error=error or picture.error)


def _added(totals: Totals, progress: Progress) -> Totals:
    """The totals and a run's gauges."""
    return totals._replace(
        entries=_sum(totals.entries, progress.settled),
        entry_bytes=_sum(totals.entry_bytes, progress.settled_bytes),
        scanned=totals.scanned + progress.scanned,
        scanned_bytes=totals.scanned_bytes + progress.scanned_bytes,
        bytes_sent=totals.bytes_sent + progress.bytes_sent,
        requests=totals.requests + progress.requests,
        refused=totals.refused + progress.flight.refused,
    )


def _sum(some: Mapping[Outcome, int], more: Mapping[Outcome, int]) -> Mapping[Outcome, int]:
    return {key: some.get(key, 0) + more.get(key, 0) for key in (*some, *(key for key in more if key not in some))}
