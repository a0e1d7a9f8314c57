"""The remaps that a journal's keys were made with: they are on record, so that every look at the bucket uses the same.

Owns where they stand in the journal, and whether a run may use others; likewise which directories a mirror is of. A journal
keeps paths below the source; their keys are derived. So remaps may change only where nothing is on record: a release that is
new in a mirror may bring its own.
"""

import json
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from asyncmirror.errors import UsageError
from asyncmirror.journal import queries, reader
from asyncmirror.journal.schema import translate_damage
from asyncmirror.plan.remap import Remaps

META = "remap"
RELEASES = "releases"
"""Beside them: the directories that the mirror is of. They are for people; each run says anew what it is of."""


def remaps_of(connection: sqlite3.Connection, journal: Path) -> Remaps:
    """The remaps on record; none in a journal that was made without.

    Raises:
        JournalError: They can't be read.
    """
    try:
        return Remaps.from_text(queries.meta(connection).get(META, ""))
    except ValueError:
        raise translate_damage(journal, "its remaps can't be read") from None


def releases_of(connection: sqlite3.Connection) -> tuple[str, ...]:
    """The directories that the mirror was of in its last run; none: it was of all of the source."""
    try:
        return tuple(map(str, json.loads(queries.meta(connection).get(RELEASES, "[]"))))
    except (ValueError, TypeError):
        return ()


def account(connection: sqlite3.Connection, within: Sequence[str] | None) -> reader.Account:
    """What is on record, of a mirror of these directories (None: of those of its last run).

    A directory that came into the mirror later is none that the last run over the whole of it has seen.
    """
    found, known = reader.account(connection), releases_of(connection)
    seen = known if found.within is None else found.within
    return found._replace(ended=found.ended and _covers(seen, known if within is None else within))


def _covers(seen: Sequence[str], asked: Sequence[str]) -> bool:
    """Whether a run over these directories has seen those that are asked about; none: all of the source."""
    return not seen or (bool(asked) and all(any(f"{each}/".startswith(f"{one}/") for one in seen) for each in asked))


def agree(connection: sqlite3.Connection, remaps: Remaps, journal: Path) -> bool:
    """See that what is in the bucket keeps its keys; whether these remaps have to be put on record.

    Raises:
        UsageError: Something on record would get another key.
        JournalError: The remaps on record can't be read.
    """
    before = remaps_of(connection, journal)
    for path in before.differing(remaps):
        for directory in queries.holding(connection, path):
            there, here = before.directory(directory), remaps.directory(directory)
            if there != here:
                shown, was, would = map(os.fsdecode, (path, before.directory(path), remaps.directory(path)))
                raise UsageError(
                    f"what is in {shown!r} was mirrored to {was!r}, and would go to {would!r} now",
                    hint=f"give --remap {shown}={was} as before, or give the changed mirror a --journal of its own"
                    if was != shown
                    else f"leave --remap {shown}={would} out, or give the changed mirror a --journal of its own",
                )
    return before.text() != remaps.text()
