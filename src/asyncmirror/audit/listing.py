"""A bucket's listing in ranges, several at once, and the proof that what it leaves out is not there.

Owns the ranges. The journal knows the keys in order, so that a request can begin behind any of them: each thousand rows on
record become one range, as long as a page of a listing, and ranges are asked for at the same time. A listing can be cut
short by a store without a word; so what it leaves out is asked for by name, the first ones each and then a sample: one that
is there after all ends the look, instead of a million objects being called missing.
"""

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from asyncmirror.audit.merge import Merge, Pair
from asyncmirror.errors import BucketError
from asyncmirror.journal.ordered import Kept
from asyncmirror.store.limit import closing
from asyncmirror.store.port import Store

PAGE = 1000
"""Objects on a page of a listing (AWS, ListObjectsV2: MaxKeys)."""
_ASKED_EACH = 1000
_ASKED_OF = 1000  # beyond those, each thousandth


class Range(NamedTuple):
    """The keys behind `after` up to `last`, with what is on record of them; `last` is None for all that follow."""

    after: str
    last: str | None
    rows: Sequence[Kept]


class Ranges:
    """Looks at ranges. One for a pass; ranges may be looked at by several tasks at once."""

    def __init__(self, store: Store, prefix: str) -> None:
        """Prepare.

        Args:
            store: What is asked, retrying.
            prefix: What all keys begin with, slash included.
        """
        self._store = store
        self._prefix = prefix
        self._missing = 0

    async def pairs(self, span: Range) -> AsyncIterator[Pair]:
        """All keys of a range, as the journal and as the bucket have them.

        Raises:
            StoreError: The bucket could not be listed, or its listing is not to be trusted.
        """
        merge = Merge(span.rows, span.after)
        async with closing(self._store.list_objects(self._prefix, span.after)) as objects:
            async for remote in objects:
                if span.last is not None and remote.key > span.last:
                    break
                for pair in merge.add(remote):
                    yield await self._checked(pair)
                if remote.key == span.last:  # another page is not asked for to learn what belongs to the next range
                    break
        for pair in merge.rest():
            yield await self._checked(pair)

    async def _checked(self, pair: Pair) -> Pair:
        kept, remote = pair
        if kept is not None and remote is None:
            await self._prove_missing(kept)
        return pair

    async def _prove_missing(self, kept: Kept) -> None:
        self._missing += 1
        if self._missing > _ASKED_EACH and self._missing % _ASKED_OF:
            return
        if await self._store.head_object(kept.key) is not None:
            raise BucketError(
                f"its listing leaves out {kept.key!r}, which is there",
                op="ListObjectsV2",
                hint="nothing can be told from such a listing: run the command again when the store is well",
            )
