"""File systems that are mounted below the source: an empty directory that was a mount point is no deletion.

Owns what the journal remembers of them: every run notes those that are there, so that a later one sees which are away. One
whose directory has something in it by now, or is gone, is forgotten: somebody saw to that.
"""

import asyncio
import errno
import json
import os
from pathlib import Path

from asyncmirror.journal import queries
from asyncmirror.journal.changes import Remember
from asyncmirror.journal.schema import translate_damage
from asyncmirror.journal.writer import Journal
from asyncmirror.source import mounts
from asyncmirror.source.beneath import Beneath

_META = "mounts"


async def away(journal: Journal, source: Path, beneath: Beneath) -> list[bytes]:
    """The directories where something was mounted in an earlier run, and that are empty now; notes what is mounted.

    Raises:
        JournalError: The journal failed.
    """
    noted = (await asyncio.wrap_future(journal.ask(queries.meta))).get(_META, "")
    before = _read(noted, journal)
    now = mounts.below(source)
    if not (before or now):
        return []
    missing = await asyncio.to_thread(lambda: {each for each in before - now if _is_empty(beneath, each)})
    told = json.dumps([os.fsdecode(each) for each in sorted(now | missing)])
    if told != noted:
        await asyncio.wrap_future(journal.submit((Remember(_META, told),)))
    return sorted(missing)


def _read(noted: str, journal: Journal) -> set[bytes]:
    try:
        return {os.fsencode(each) for each in json.loads(noted or "[]")}
    except (ValueError, TypeError):
        raise translate_damage(journal.path, "its mounts can't be read") from None


def _is_empty(beneath: Beneath, directory: bytes) -> bool:
    """Whether there is nothing in a directory, or nobody can tell."""
    try:
        with beneath.listing(directory) as entries:
            return next(entries, None) is None
    except OSError as error:
        return error.errno not in (errno.ENOENT, errno.ENOTDIR)
