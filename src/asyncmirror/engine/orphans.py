"""Uploads that stopped runs left in the bucket: looked for at the end of a run, and told of in every run until they are gone.

Owns the look and its words. Which files it concerns is the journal's to know (`journal.changes.Orphan`). Nothing is aborted
here: S3 does not tell whose an upload is.
"""

import asyncio
from collections.abc import Callable

from asyncmirror.errors import StoreError
from asyncmirror.journal import queries
from asyncmirror.journal.changes import Tidy
from asyncmirror.journal.writer import Journal
from asyncmirror.plan import keys
from asyncmirror.store.port import Store


async def look(journal: Journal, store: Store, prefix: Callable[[bytes], str], tell: Callable[[str], None]) -> None:
    """Look for uploads of the files on record.

    Args:
        journal: What remembers the files.
        store: What is asked, once for each of them.
        prefix: Gives what the keys of a directory's files begin with.
        tell: Told of each upload found.

    Raises:
        JournalError: The journal failed.
        StoreError: The run can't go on.
    """
    for directory, path, name, known in await asyncio.wrap_future(journal.ask(queries.orphans)):
        key = prefix(path) + keys.encode(name)
        try:
            uploads = [each.upload_id async for each in store.list_multipart_uploads(key) if each.key == key]
        except StoreError as error:
            if error.fatal:
                raise
            tell(f"uploads of {key!r} left over from a stopped run can't be looked for: {error}")
            continue
        left = [upload_id for upload_id in uploads if upload_id != known]
        for upload_id in left:
            tell(
                f"an unfinished upload of {key!r} may be left over from a stopped run: id {upload_id}"
                " (abort it if nobody else is uploading that key)"
            )
        if not left:
            await asyncio.wrap_future(journal.submit((Tidy(directory, name),)))
