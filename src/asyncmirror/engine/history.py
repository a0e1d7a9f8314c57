"""The runs on record, for people and programs: the whole of `asyncmirror history`.

Owns a run's shape, and that what comes from a file or a socket is shown only where it is what it should be: it may be of
another version, or damaged.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from asyncmirror.engine.consulting import consult
from asyncmirror.engine.gauges import listed, mapping, moment, number, text
from asyncmirror.journal import runs
from asyncmirror.journal.lock import Holder


class Run(NamedTuple):
    """A run on record: times in seconds since the epoch, `ended` None where it was killed or is going on."""

    started: float
    ended: float | None
    host: str
    pid: int
    version: str
    summary: Mapping[str, object] | None


class End(StrEnum):
    """How a run ended."""

    ENDED = "ended"  # it came to its end, whatever that was
    STOPPED = "stopped"  # by somebody, before its end
    FAILED = "failed"  # it could not go on
    ABANDONED = "abandoned"  # it ended without a summary: an internal error
    KILLED = "killed"  # its process ended without a word
    RUNNING = "running"


class History(NamedTuple):
    """Runs, oldest first, and the process that has the journal now."""

    runs: tuple[Run, ...]
    running: Holder | None = None

    def end(self, run: Run) -> End:
        """How a run of these ended."""
        summary = run.summary
        if summary is not None:
            if summary.get("error"):
                return End.FAILED
            return End.STOPPED if summary.get("stopped") else End.ENDED
        if run.ended is not None:
            return End.ABANDONED
        # The lock may be another host's, and process ids come round.
        here = self.running is not None and (self.running.pid, self.running.host) == (run.pid, run.host)
        return End.RUNNING if here and run is self.runs[-1] else End.KILLED


def read_history(journal: Path, most: int | None = None) -> History:
    """The last runs on record, asked of the process that has the journal, or read from the file.

    Args:
        journal: The file.
        most: How many at most; None: all.

    Raises:
        UsageError: There is no journal.
        JournalError: It can't be read, or the process that has it does not answer.
    """
    return consult(
        journal,
        lambda connection: History(last_runs(connection, most)),
        {"do": "history", "most": most},
        lambda answer, running: History(from_plain(answer), running),
    )


def last_runs(connection: sqlite3.Connection, most: int | None) -> tuple[Run, ...]:
    """So many runs, oldest first; None: all that are on record.

    Raises:
        ValueError, TypeError: The journal is damaged.
    """
    return tuple(map(run_of, runs.last(connection, most)))


def to_plain(found: Sequence[Run]) -> object:
    """Runs of what JSON has, for the socket."""
    return {"runs": found}


def from_plain(found: object) -> tuple[Run, ...]:
    """Read what `to_plain` gave.

    Raises:
        ValueError, KeyError, TypeError: It is something else.
    """
    return tuple(run_of(listed(row)) for row in listed(mapping(found)["runs"]))


def run_of(row: Sequence[object]) -> Run:
    """A run, from its row in the journal or from the socket.

    Raises:
        ValueError, TypeError: It is something else.
    """
    started, ended, host, pid, version, summary = row
    if isinstance(summary, str):
        summary = _loads(summary)
    if not isinstance(summary, Mapping | None):
        raise TypeError("the summary of a run is an object")
    times = moment(started), None if ended is None else moment(ended)
    return Run(*times, text(host), number(pid), text(version), summary)


def _loads(told: str) -> object:
    try:
        return json.loads(told)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
