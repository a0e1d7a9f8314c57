"""Answering `asyncmirror status` while a mirror is open: what its journal knows, and what is live.

Owns the one command that every open mirror serves. The report's shape is `status`', the socket `endpoint`'s and `control`'s.
Where no socket can be made the mirror goes on without.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from asyncmirror.engine.control import Control, Peer, Request
from asyncmirror.engine.endpoint import listening
from asyncmirror.engine.history import last_runs
from asyncmirror.engine.history import to_plain as to_history
from asyncmirror.engine.status import Live, report, to_plain
from asyncmirror.errors import UsageError
from asyncmirror.journal.writer import Journal


@contextlib.asynccontextmanager
async def answering(control: Control, journal: Journal, live: Callable[[], Live]) -> AsyncIterator[None]:
    """Answer until the block ends, and let it be known where."""

    async def status(request: Request, _: Peer) -> object:
        most = _most(request)
        found = await asyncio.wrap_future(journal.ask(lambda connection: report(connection, journal.path, most)))
        return to_plain(found._replace(live=live()))

    async def history(request: Request, _: Peer) -> object:
        most = _most(request)
        return to_history(await asyncio.wrap_future(journal.ask(lambda connection: last_runs(connection, most))))

    control.serve("status", status)
    control.serve("history", history)
    with contextlib.ExitStack() as stack:
        endpoint = stack.enter_context(listening(journal.path)) if journal.locked else None
        async with control.listening(endpoint):
            if endpoint is not None:
                with contextlib.suppress(OSError):  # a full disk: whoever asks is told that nobody can be asked
                    journal.answers(endpoint.path)
            yield


def _most(request: Request) -> int | None:
    """How many are asked for; None: all."""
    most = request.get("most")
    if most is not None and not (isinstance(most, int) and 0 <= most < 1 << 31):
        raise UsageError("most is no number of problems or runs")
    return most
