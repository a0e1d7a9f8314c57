"""A page that is served, with a journal behind it, and somebody who asks.

Owns the parts: a real `Site`, a real `Journal`, a real HTTP client.
"""

import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path

from aiohttp import ClientSession

from asyncmirror.events import Flight, Narrow, Progress, Started, Summary, Transfer
from asyncmirror.http.address import Address
from asyncmirror.http.site import Site
from asyncmirror.journal.belongs import Belongs
from asyncmirror.journal.changes import Fail
from asyncmirror.journal.writer import Journal
from asyncmirror.model import Identity, Outcome, Problem

ANYWHERE = Address("127.0.0.1", 0)
IDENTITY = Identity(1, 2, 1024, 3, 4)
TOKEN = "correct-horse-battery-staple"
STARTED = Started("/data/\x1b[2Jedr", "s3://desidata/edr", "/var/j.db", resumed=False)
HOSTILE = (
    b"<script>document.title='run'</script>",
    b"<img src=x onerror=\"document.title='run'\">",
    b"a&amp;b\"'`${document.title}",
    "\u202egpj.exe".encode(),
    b"two\nlines\x00\x1b[31m",
    b"\xff\xfe no UTF-8",
)
"""Names that somebody made to be more than names."""


def progress(complete: int = 0, *, failed: int = 0, seconds: float = 1.0, transfers: Iterable[Transfer] = ()) -> Progress:
    """A reading of the gauges, with 1 KiB a file."""
    return Progress(
        scanning=False,
        scanned=100,
        scanned_bytes=100 << 10,
        queued=100 - complete - failed,
        queued_bytes=(100 - complete - failed) << 10,
        settled={Outcome.COMPLETE: complete, Outcome.FAILED: failed},
        settled_bytes={Outcome.COMPLETE: complete << 10, Outcome.FAILED: failed << 10},
        bytes_sent=complete << 10,
        requests=complete + failed,
        seconds=seconds,
        slowest=tuple(transfers),
        flight=Flight(16, 64, 3, narrow=(Narrow("bad\x1b[2J/", 5),)),
    )


def summary(complete: int = 100, *, failed: int = 0, error: str = "", code: int = 0) -> Summary:
    """What a run came to."""
    counts = {Outcome.COMPLETE: complete, Outcome.FAILED: failed}
    sizes = {outcome: count << 10 for outcome, count in counts.items()}
    return Summary(counts, sizes, complete << 10, (complete + failed) << 10, 100, 12.0, code, bool(error), error)


@contextlib.contextmanager
def journal(path: Path, problems: Iterable[bytes] = (), outcome: Outcome = Outcome.FAILED) -> Iterator[Journal]:
    """A journal with these names on record as problems, in one directory."""
    opened = Journal(path / "j.db", Belongs("/data", "s3://desidata/edr", ""))
    try:
        directory = opened.known(b"d", None).directory
        fails = [Fail(directory, name, Problem(IDENTITY, outcome, "the store said no", retryable=True)) for name in problems]
        opened.submit(fails).result(10)
        yield opened
    finally:
        opened.close()


@contextlib.asynccontextmanager
async def asking(site: Site, **headers: str) -> AsyncIterator[ClientSession]:
    """Somebody who asks a site, with these headers."""
    async with ClientSession(site.url, headers=headers) as session:
        yield session


async def text(session: ClientSession, path: str) -> tuple[int, str]:
    """The status and the text of an answer."""
    async with session.get(path) as answer:
        return answer.status, await answer.text()
