"""File systems that are mounted at or below the source: what was in one that is away is no deletion.

Owns what the journal remembers of them: every run notes those that are there, so that a later one sees which are away. One
whose directory is gone, or has most of what is on record in it, is forgotten: somebody saw to that. What lies in the directory
below a mount point, or is written there while nothing is mounted, is not taken for the file system.
"""

import asyncio
import errno
import json
import os
from pathlib import Path

from asyncmirror.journal import paths, queries
from asyncmirror.journal.changes import Remember
from asyncmirror.journal.schema import translate_damage
from asyncmirror.journal.writer import Journal
from asyncmirror.source import mounts
from asyncmirror.source.beneath import Beneath

_META = "mounts"
_SAMPLE = 1000
"""Names on record that are looked for in one directory."""


def tell(away: list[bytes]) -> str:
    """What to say of the directories where nothing is mounted any more."""
    where = os.fsdecode(away[0]) or "."
    return f"nothing is mounted at {where!r}, as it was before (or remove the directory)"


async def away(journal: Journal, source: Path, beneath: Beneath) -> list[bytes]:
    """The directories where something was mounted in an earlier run, and is not now; notes what is mounted.

    Raises:
        JournalError: The journal failed.
    """
    noted = (await asyncio.wrap_future(journal.ask(queries.meta))).get(_META, "")
    before = _read(noted, journal)
    now = mounts.below(source)
    if not (before or now):
        return []
    missing = await asyncio.to_thread(lambda: {each for each in before - now if _is_away(journal, beneath, each)})
    # Nobody can tell of those within one that is away. A look may have mounted one, if its kind is mounted at need.
    hidden = {each for each in before - now if any(_is_in(each, other) for other in missing)}
    told = json.dumps([os.fsdecode(each) for each in sorted(now | missing | hidden | mounts.below(source))])
    if told != noted:
        await asyncio.wrap_future(journal.submit((Remember(_META, told),)))
    return sorted(missing)


def _read(noted: str, journal: Journal) -> set[bytes]:
    try:
        return {os.fsencode(each) for each in json.loads(noted or "[]")}
    except (ValueError, TypeError):
        raise translate_damage(journal.path, "its mounts can't be read") from None


def _is_in(path: bytes, directory: bytes) -> bool:
    return not directory or path.startswith(directory + b"/")


def _is_away(journal: Journal, beneath: Beneath, directory: bytes) -> bool:
    """Whether no more than half of what is on record at the top of a directory is there, or nobody can tell. Blocks."""
    known = journal.ask(lambda connection: paths.top(connection, directory, _SAMPLE)).result()
    if not known:
        return False  # nothing in it can be missed
    try:
        with beneath.listing(directory):
            pass
    except OSError as error:
        return error.errno not in (errno.ENOENT, errno.ENOTDIR)
    return 2 * sum(beneath.exists(directory, name) for name in known) <= len(known)
