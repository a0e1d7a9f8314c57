"""What the journal knows, for people and programs: the whole of `asyncmirror status`.

Owns the report's shape. How it is got, from the file or from the process that has it, is `consulting`'s.
"""

import os
import sqlite3
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from asyncmirror.audit.agreed import releases_of, remaps_of
from asyncmirror.engine.consulting import consult
from asyncmirror.engine.gauges import from_plain as gauges_from_plain
from asyncmirror.engine.gauges import listed, mapping, moment, number, text
from asyncmirror.engine.gauges import to_plain as gauges_to_plain
from asyncmirror.engine.history import Run, run_of
from asyncmirror.events import Progress
from asyncmirror.journal import looks, paths, queries, runs
from asyncmirror.journal.lock import Holder
from asyncmirror.journal.looks import Ended
from asyncmirror.model import Outcome


class Upload(NamedTuple):
    """An unfinished upload: bytes confirmed of bytes in all."""

    path: bytes
    size: int
    upload_id: str
    confirmed: int


class Trouble(NamedTuple):
    """An entry that is not complete, and why."""

    path: bytes
    outcome: Outcome
    reason: str


class Live(NamedTuple):
    """What is so at this moment: the gauges, each knob as its flag would take it, and since when it is paused (None: not)."""

    progress: Progress
    knobs: Mapping[str, str]
    paused: float | None = None


class Status(NamedTuple):
    """The report. `counts` and `sizes` (bytes) are by outcome, over all runs; `unproven` were adopted by size alone.

    `looked` is the last `verify` that came to its end. `remaps` are what is where in the bucket, FROM and TO; `releases` the
    directories that the mirror is of (none: all of the source). `condemned` objects may be deleted, or not.

    `live` is told by the process that has the journal; without one there is nothing live.
    """

    source: str
    destination: str
    endpoint: str
    journal: str
    running: Holder | None
    last_run: Run | None
    counts: Mapping[Outcome, int]
    sizes: Mapping[Outcome, int]
    uploads: tuple[Upload, ...]
    troubles: tuple[Trouble, ...]
    unproven: int = 0
    looked: Ended | None = None
    remaps: tuple[tuple[bytes, bytes], ...] = ()
    releases: tuple[str, ...] = ()
    condemned: int = 0
    live: Live | None = None


_OF_JOURNAL = Status._fields.index("live")


def report(connection: sqlite3.Connection, journal: Path, most: int | None) -> Status:
    """Make the report from an open journal, with at most so many troubles (None: all)."""
    of = queries.meta(connection)
    totals = queries.totals(connection)
    row = next(iter(runs.last(connection, 1)), None)
    troubles = islice(queries.problems(connection), most)
    return Status(
        source=of.get("source", ""),
        destination=of.get("destination", ""),
        endpoint=of.get("endpoint", ""),
        journal=os.fspath(journal),
        running=None,
        last_run=run_of(row) if row else None,
        counts={outcome: total.entries for outcome, total in totals.items()},
        sizes={outcome: total.size for outcome, total in totals.items()},
        uploads=tuple(Upload(*found) for found in queries.unfinished(connection)),
        troubles=tuple(Trouble(path, problem.outcome, problem.reason) for path, problem in troubles),
        unproven=sum(total.unproven for total in totals.values()),
        looked=looks.last(connection),
        remaps=tuple(sorted(remaps_of(connection, journal).moves.items())),
        releases=releases_of(connection),
        condemned=paths.condemned(connection),
    )


def _looked(row: Sequence[object]) -> Ended:
    kind, began, ended, exit_code = row
    return Ended(text(kind), moment(began), moment(ended), number(exit_code))


def read_status(journal: Path, most: int | None = None) -> Status:
    """What a journal knows, asked of the process that has it, or read from the file.

    Args:
        journal: The file.
        most: How many troubles at most; None: all.

    Raises:
        UsageError: There is no journal.
        JournalError: It can't be read, or the process that has it does not answer.
    """
    return consult(
        journal,
        lambda connection: report(connection, journal, most),
        {"do": "status", "most": most},
        lambda answer, running: from_plain(answer)._replace(running=running),
    )


def to_plain(status: Status) -> object:
    """A report of what JSON has, for the socket. Paths keep their bytes by surrogate escapes."""

    def plain(value: object) -> object:
        if isinstance(value, bytes):
            return os.fsdecode(value)
        if isinstance(value, Mapping):
            return {str(key): plain(item) for key, item in value.items()}
        return [plain(item) for item in value] if isinstance(value, tuple) else value

    live = status.live and {**status.live._asdict(), "progress": gauges_to_plain(status.live.progress)}
    return {"report": plain(status[:_OF_JOURNAL]), "live": live}


def from_plain(found: object) -> Status:
    """Read what `to_plain` gave.

    Raises:
        ValueError, KeyError, TypeError: It is something else.
    """
    told = mapping(found)
    live = told["live"]
    report = listed(told["report"])
    source, destination, endpoint, journal, _, last, counts, sizes, uploads, troubles, unproven, looked, *more = report
    remaps, releases, condemned = more
    if not isinstance(counts, Mapping) or not isinstance(sizes, Mapping):
        raise TypeError("entries and bytes are told by outcome")
    return Status(
        text(source),
        text(destination),
        text(endpoint),
        text(journal),
        None,
        run_of(listed(last)) if last else None,
        {Outcome(int(key)): number(value) for key, value in counts.items()},
        {Outcome(int(key)): number(value) for key, value in sizes.items()},
        tuple(Upload(os.fsencode(path), number(size), text(name), number(sent)) for path, size, name, sent in uploads),
        tuple(Trouble(os.fsencode(path), Outcome(outcome), text(reason)) for path, outcome, reason in troubles),
        number(unproven),
        _looked(listed(looked)) if looked else None,
        tuple((os.fsencode(text(before)), os.fsencode(text(after))) for before, after in map(listed, listed(remaps))),
        tuple(map(text, listed(releases))),
        number(condemned),
        None if live is None else _live(mapping(live)),
    )


def _live(told: Mapping[str, object]) -> Live:
    knobs = {name: text(value) for name, value in mapping(told["knobs"]).items()}
    paused = told["paused"]
    return Live(gauges_from_plain(told["progress"]), knobs, None if paused is None else moment(paused))
