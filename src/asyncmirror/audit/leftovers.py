"""`gc`: unfinished multipart uploads below a prefix, whose they are, and an end to our own that are of no use.

Owns the question whose an upload is. S3 does not tell; the journal does: an upload with its id on record is gone on with by the
next sync and stays; one of a file on record as having left some behind (`journal.changes.Orphan`), or as being created when the
process was killed, is ours; any other is somebody else's and is only told of. Parts cost storage until their upload is ended.
"""

import asyncio
from collections.abc import AsyncGenerator
from enum import StrEnum
from typing import NamedTuple

from asyncmirror.audit.agreed import remaps_of
from asyncmirror.errors import AsyncmirrorError, BucketError, StoreError
from asyncmirror.journal import reader
from asyncmirror.journal.belongs import Belongs
from asyncmirror.model import RemoteUpload
from asyncmirror.plan import keys
from asyncmirror.settings import Collection
from asyncmirror.store.assemble import assemble
from asyncmirror.store.limit import closing
from asyncmirror.store.port import Store


class Whose(StrEnum):
    """Whose an unfinished upload is."""

    RESUMABLE = "resumable"  # on record: the next sync goes on with it
    ORPHAN = "orphan"  # ours, and of no use
    FOREIGN = "foreign"  # the journal knows nothing of it


class Leftover(NamedTuple):
    """An unfinished upload; `aborted`: it was ended now."""

    whose: Whose
    upload: RemoteUpload
    aborted: bool = False


def whose(upload: RemoteUpload, known: reader.Uploads) -> Whose:
    """Whose an upload is, by what the journal knows."""
    if upload.upload_id in known.ids:
        return Whose.RESUMABLE
    return Whose.ORPHAN if upload.key in known.orphaned else Whose.FOREIGN


async def collect(asked: Collection, of: Belongs, own: Store | None = None) -> AsyncGenerator[Leftover, None]:
    """Look for unfinished uploads, and end our own orphans where that is asked for.

    Args:
        asked: Where, and whether to abort.
        of: What the journal must be of.
        own: A store of one's own, undecorated; None: the S3 bucket that is asked for.

    Raises:
        UsageError, JournalError: As `reader.reading`.
        StoreError: The bucket could not be looked at; always a fatal one.
    """
    prefix = keys.directory_prefix(asked.destination.prefix, b"")
    # Held to the end: a sync that began meanwhile could create an upload that looks like an orphan.
    with reader.reading(asked.journal, of) as connection:
        remaps = await asyncio.to_thread(remaps_of, connection, asked.journal)
        known = await asyncio.to_thread(reader.uploads, connection, lambda path: prefix + keys.encode(remaps.file(path)))
        async with assemble(asked, own) as assembled:
            store = assembled.store
            try:
                # All of them first: a listing that is changed while it goes on may leave some out.
                async with closing(store.list_multipart_uploads(prefix)) as listing:
                    found = [upload async for upload in listing]
                for upload in found:
                    leftover = Leftover(whose(upload, known), upload)
                    if asked.abort and leftover.whose is Whose.ORPHAN:
                        await store.abort_multipart_upload(upload.key, upload.upload_id)
                        leftover = leftover._replace(aborted=True)
                    yield leftover
            except StoreError as error:
                raise _fatal(error) from error


def _fatal(error: AsyncmirrorError) -> AsyncmirrorError:
    if error.fatal:
        return error
    return BucketError(f"unfinished uploads could not be looked at: {error}", hint="run the same command again later")
