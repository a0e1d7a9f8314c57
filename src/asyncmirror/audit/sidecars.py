"""The checksum files that are published beside the data, held against the source as it reads now.

Owns when such a file is valid. By DESI's rule there are as many non-directories in its directory as it has lines, and one more:
itself; below it too, where its lines name files in subdirectories. And every file that it names gives the SHA-256 that it says.
"""

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from itertools import islice

from asyncmirror.audit.contents import Digest, directory_at, find, read_through
from asyncmirror.audit.merge import Finding, Verdict
from asyncmirror.errors import ChangedError, SourceError
from asyncmirror.formats.sidecars import SUFFIX, Sum, sums
from asyncmirror.journal.ordered import Kept
from asyncmirror.model import Algorithm, Checksum
from asyncmirror.plan.parts import Part
from asyncmirror.sizes import MIB
from asyncmirror.source.beneath import Beneath, classify
from asyncmirror.source.read import OpenFile

_PIECE = MIB
_LIKE = Checksum(Algorithm.SHA256, b"")
_TOGETHER = 64
"""Lines of one file that are checked together; the readers' number bounds how many are read."""


def is_sidecar(kept: Kept) -> bool:
    """Whether an object is a checksum file by its name."""
    return kept.name.endswith(SUFFIX)


class Sidecars:
    """Checks them. Called by several tasks at once."""

    def __init__(self, beneath: Beneath, readers: Executor, stopped: threading.Event) -> None:
        self.checked = 0
        self.bytes_read = 0
        self._beneath = beneath
        self._readers = readers
        self._stopped = stopped

    async def check(self, kept: Kept) -> AsyncIterator[Finding]:
        """What is wrong with a checksum file, and with what it names; nothing where all is well."""
        loop = asyncio.get_running_loop()
        itself = Finding(Verdict.INVALID, kept.key, kept.path, kept.completed.identity.size)
        shown = kept.name.decode("utf-8", "backslashreplace")
        try:
            with await loop.run_in_executor(self._readers, self._open, kept.parent, kept.name) as opened:
                lines = sums(opened.pieces(Part(1, 0, opened.identity.size), _PIECE))
                count, recursive = 0, False
                while some := await loop.run_in_executor(self._readers, list, islice(lines, _TOGETHER)):
                    count += len(some)
                    recursive = recursive or any(b"/" in each.path for each in some)
                    calls = [loop.run_in_executor(self._readers, self._compare, kept, each) for each in some]
                    for each, (verdict, reason) in zip(some, await asyncio.gather(*calls), strict=True):
                        self.checked += 1
                        if verdict is not Verdict.EQUAL:
                            path = kept.parent + b"/" + each.path if kept.parent else each.path
                            yield Finding(verdict, "", path, 0, f"{reason} ({shown})")
            there = await loop.run_in_executor(self._readers, self._entries, kept.parent, recursive)
        except ValueError as error:
            yield itself._replace(reason=str(error))
        except SourceError as error:
            yield itself._replace(verdict=Verdict.UNREADABLE, reason=str(error))
        except OSError as error:
            yield itself._replace(verdict=Verdict.UNREADABLE, reason=str(classify(error, "open")))
        else:
            if there != count + 1:
                yield itself._replace(reason=f"it has {count:,} lines, and {there - 1:,} other files stand with it")

    def _open(self, directory: bytes, name: bytes) -> OpenFile:
        return OpenFile(self._beneath, find(self._beneath, directory, name))

    def _compare(self, kept: Kept, line: Sum) -> tuple[Verdict, str]:
        path = kept.parent + b"/" + line.path if kept.parent else line.path
        directory, _, name = path.rpartition(b"/")
        try:
            with self._open(directory, name) as opened:
                value = read_through(opened, Digest(_LIKE, 0), self._stopped)
                self.bytes_read += opened.identity.size
        except FileNotFoundError:
            return Verdict.CHANGED, "it is named in a checksum file, and not in the source"
        except ChangedError as error:
            return Verdict.CHANGED, str(error)
        except SourceError as error:
            return Verdict.UNREADABLE, str(error)
        except OSError as error:
            return Verdict.UNREADABLE, str(classify(error, "open"))
        if value.digest != line.digest:
            return Verdict.DAMAGED, "its SHA-256 is not that of the checksum file"
        return Verdict.EQUAL, ""

    def _entries(self, directory: bytes, recursive: bool) -> int:  # noqa: FBT001  `run_in_executor` passes by position
        """How many entries of a directory are no directories; of those below it too, links in it not followed."""
        count = 0
        pending = [directory_at(self._beneath, directory)]
        while pending:
            where = pending.pop()
            with self._beneath.listing(where) as entries:
                for entry in entries:
                    if not entry.is_dir(follow_symlinks=False):
                        count += 1
                    elif recursive:
                        name = entry.name.encode("utf-8", "surrogateescape")
                        pending.append(where + b"/" + name if where else name)
        return count
