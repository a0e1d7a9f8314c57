"""Whether all is well with the process, in a word for supervisors: the answer of ``/healthz``.

Owns the judgement: the event loop turns, the journal answers, the last run did not end by an error, and what goes on moves.
Pure: ages are given, in seconds. That files failed is no illness: the run's result tells of them.
"""

from typing import NamedTuple

from asyncmirror.http.picture import Phase, Picture, Result
from asyncmirror.text import show_line

_LOOP = 30.0
"""Seconds without a reading of the gauges, which are read twice a second."""
_JOURNAL = 120.0
"""Seconds without an answer of the journal: to count 100 million rows for somebody takes a while."""
_NOTHING_MOVED = 1800.0
"""Seconds without anything scanned, asked, sent or settled: several times what one request is tried for."""


class Ages(NamedTuple):
    """How long ago, in seconds: the last reading, the question that the journal owes an answer to (0: none), the last move."""

    reading: float = 0.0
    journal: float = 0.0
    move: float = 0.0


class Health(NamedTuple):
    """The judgement. `reason` is empty where all is well."""

    reason: str = ""

    @property
    def good(self) -> bool:
        """Whether all is well."""
        return not self.reason


def examine(picture: Picture, ages: Ages) -> Health:
    """Whether all is well."""
    if picture.waiting is not None and picture.waiting.why:
        return Health(f"no run can go on: {show_line(picture.waiting.why)}")
    if picture.error or picture.result is Result.FAILED:
        return Health(f"the last run ended by an error: {show_line(picture.error)}")
    if picture.phase is Phase.RUNNING:
        return _moves(ages, paused=picture.progress.paused)
    return Health()


def _moves(ages: Ages, *, paused: bool) -> Health:
    """Whether a run does what it should."""
    if ages.reading > _LOOP:
        return Health(f"the event loop has not turned for {ages.reading:.0f} s")
    if ages.journal > _JOURNAL:
        return Health(f"the journal has not answered for {ages.journal:.0f} s")
    if ages.move > _NOTHING_MOVED and not paused:
        return Health(f"nothing has been scanned, sent or settled for {ages.move / 60:.0f} min")
    return Health()
