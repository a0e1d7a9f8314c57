"""The SHA-256 of objects on record, for checksum files: from the journal, or from the source, read anew.

Owns when a SHA-256 is known to be the object's. The journal has it where the file was sent with ``--checksum-algorithm sha256``
in one request; of an upload in parts S3 defines a hash of hashes, which is no file's SHA-256. Read anew, it counts only if the
same bytes give the checksum on record too: else they are not what the bucket has.
"""

import threading
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from asyncmirror.audit.contents import Digest, find, read_through
from asyncmirror.checksum import Running
from asyncmirror.errors import SourceError
from asyncmirror.formats.rows import is_link
from asyncmirror.journal.ordered import Kept
from asyncmirror.model import Algorithm, Body, Checksum
from asyncmirror.source.beneath import Beneath, classify
from asyncmirror.source.read import OpenFile

_AHEAD = 256
"""Files that are read, or wait for it, while the first of them is still being read."""


class Known(NamedTuple):
    """The SHA-256 of an object, or why it is not known (`digest` is empty then)."""

    kept: Kept
    digest: bytes
    reason: str = ""


class Digests:
    """Finds them, in the order in which they are asked for.

    Args:
        beneath: The source, for those that are not on record; None: it is not read.
        readers: How many threads read.
    """

    def __init__(self, beneath: Beneath | None, readers: int) -> None:
        self._beneath = beneath
        self._readers = readers
        self._stopped = threading.Event()

    def of(self, rows: Iterable[Kept]) -> Generator[Known, None, None]:
        """What is known of each."""
        if self._beneath is None:
            yield from map(on_record, rows)
            return
        ahead: deque[Future[Known]] = deque()
        pool = ThreadPoolExecutor(self._readers, "read")
        try:
            for kept in rows:
                ahead.append(pool.submit(self._find, self._beneath, kept))
                if len(ahead) >= _AHEAD:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            self._stopped.set()  # whoever asked is gone, or all is told
            pool.shutdown(cancel_futures=True)

    def _find(self, beneath: Beneath, kept: Kept) -> Known:
        known = on_record(kept)
        return known if known.digest or is_link(kept) else read(beneath, kept, self._stopped)


def on_record(kept: Kept) -> Known:
    """What the journal alone tells."""
    checksum = kept.completed.checksum
    if is_link(kept):
        return Known(kept, b"", "it is a symbolic link on record, and has no bytes of its own")
    if checksum.algorithm is Algorithm.SHA256 and not checksum.parts and checksum.digest:
        return Known(kept, checksum.digest)
    return Known(kept, b"", "its SHA-256 is not on record (--read reads the file)")


def read(beneath: Beneath, kept: Kept, stopped: threading.Event) -> Known:
    """Read a file of the source anew. Blocks.

    Raises:
        CancelledError: `stopped` was set.
    """
    before = kept.completed
    if not before.checksum.digest:
        return Known(kept, b"", "it was adopted by its size alone: nothing proves that the bucket has these bytes")
    both = _Both(before.checksum, before.part_size)
    try:
        with OpenFile(beneath, find(beneath, kept.parent, kept.name), drop_cache=True) as opened:
            value = read_through(opened, both, stopped)
    except FileNotFoundError:
        return Known(kept, b"", "it is gone from the source")
    except SourceError as error:
        return Known(kept, b"", str(error))
    except OSError as error:
        return Known(kept, b"", str(classify(error, "open")))
    if value != before.checksum:
        return Known(kept, b"", "the source gives other bytes than were sent")
    return Known(kept, both.sha256.checksum().digest)


class _Both(Digest):
    """The checksum that is on record, and the SHA-256 beside it, in one reading."""

    def __init__(self, like: Checksum, part_size: int) -> None:
        super().__init__(like, part_size)
        self.sha256 = Running(Algorithm.SHA256)

    def update(self, data: Body) -> None:
        """Take in the next piece."""
        super().update(data)
        self.sha256.update(data)
