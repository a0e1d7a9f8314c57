"""What the journal says and what the bucket lists, held against each other in one pass over both.

Owns the merge of the two ascending streams and the verdict on each key. Pure: knows no journal, no store and no screen, only
what they handed out. An ETag is opaque: it is compared with the one that was confirmed, and never taken for a checksum.
"""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple

from asyncmirror.checksum import compute
from asyncmirror.errors import BucketError
from asyncmirror.journal.ordered import Kept
from asyncmirror.model import RemoteObject


class Verdict(StrEnum):
    """What became of an object since it was confirmed."""

    EQUAL = "equal"  # it is there as it was confirmed
    MISSING = "missing"  # it is not in the bucket
    DIFFERENT = "different"  # another object is in its place, or other bytes
    EXTRA = "extra"  # it is in the bucket, and the journal does not know it
    CHANGED = "changed"  # the source has another file by now, or none: the object may be right
    DAMAGED = "damaged"  # the source gives other bytes, and its file did not change
    UNREADABLE = "unreadable"  # the source does not give it
    INVALID = "invalid"  # a checksum file that does not account for its directory
    UNPROVEN = "unproven"  # there is no checksum to compare with: it was adopted by its size alone


class Finding(NamedTuple):
    """One key with its verdict. `size` is what was confirmed, or of what is extra, in bytes; `path` is empty where unknown."""

    verdict: Verdict
    key: str
    path: bytes = b""
    size: int = 0
    reason: str = ""


class Pair(NamedTuple):
    """One key as the journal and as the listing have it; one of them may be None."""

    kept: Kept | None
    remote: RemoteObject | None


class Merge:
    """Pairs what is on record, in key order, with a listing that comes object by object."""

    def __init__(self, kept: Iterable[Kept], after: str = "") -> None:
        """Begin.

        Args:
            kept: The rows, ascending.
            after: The key behind which the listing begins.
        """
        self._kept = iter(kept)
        self._next = next(self._kept, None)
        self._last = after

    def add(self, remote: RemoteObject) -> Iterator[Pair]:
        """Take in the next object listed; gives the pairs that are settled by it.

        Raises:
            BucketError: The listing is not in the order that S3 promises. Held against it, anything might seem missing.
        """
        # Strings of Python compare by code point, which is the order of their UTF-8 bytes.
        if remote.key <= self._last:
            raise BucketError(
                f"it lists {remote.key!r} after {self._last!r}, out of order",
                op="ListObjectsV2",
                hint="this store's listing can't be verified against",
            )
        self._last = remote.key
        while self._next is not None and self._next.key < remote.key:
            yield self._take(None)
        yield self._take(remote) if self._next is not None and self._next.key == remote.key else Pair(None, remote)

    def rest(self) -> Iterator[Pair]:
        """The listing has ended: what is left on record was not listed."""
        while self._next is not None:
            yield self._take(None)

    def _take(self, remote: RemoteObject | None) -> Pair:
        pair = Pair(self._next, remote)
        self._next = next(self._kept, None)
        return pair


def _is_link(kept: Kept) -> bool:
    """Whether it may be a symbolic link on record: its object is empty, whatever `lstat` says of the link."""
    return kept.completed.checksum == compute(kept.completed.checksum.algorithm, b"")


def judge(pair: Pair) -> Finding:
    """The verdict on a pair."""
    kept, remote = pair
    if kept is None:
        assert remote is not None
        return Finding(Verdict.EXTRA, remote.key, b"", remote.size, "the journal does not know it")
    size, etag = kept.completed.identity.size, kept.completed.etag
    finding = Finding(Verdict.EQUAL, kept.key, kept.path, size)
    if remote is None:
        return finding._replace(verdict=Verdict.MISSING, reason="it is not in the bucket")
    if remote.size != size and (remote.size or not _is_link(kept)):
        reason = f"it has {remote.size:,} bytes in the bucket; {size:,} were confirmed"
        return finding._replace(verdict=Verdict.DIFFERENT, reason=reason)
    # Some stores confirm an object without its ETag (`model.Stored`), some list none.
    if etag and remote.etag and remote.etag != etag:
        reason = f"its ETag in the bucket is {remote.etag}; {etag} was confirmed"
        return finding._replace(verdict=Verdict.DIFFERENT, reason=reason)
    return finding
