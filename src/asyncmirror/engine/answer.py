"""Answering `asyncmirror status` while a run has the journal.

Owns the socket beside the journal, ``JOURNAL.sock``, open to the journal's owner only. One question a connection. Where no
socket can be made (a long path, a file system without them), the run goes on without.
"""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

from asyncmirror.engine.status import report, to_json
from asyncmirror.errors import JournalError
from asyncmirror.journal.writer import Journal

_LONGEST = 107
"""Bytes of a socket's path (Linux, unix(7))."""


def socket_path(journal: Path) -> str:
    """Where a run with this journal answers; empty where it can't."""
    path = os.path.abspath(journal) + ".sock"
    return path if len(os.fsencode(path)) <= _LONGEST else ""


@contextlib.asynccontextmanager
async def answering(journal: Journal, path: str) -> AsyncIterator[None]:
    """Answer questions until the block ends."""
    talks: set[asyncio.StreamWriter] = set()
    over = False

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if over:
            writer.close()
            return
        talks.add(writer)
        try:
            asked = json.loads(await reader.readline())["most"]
            most = None if asked is None else int(asked)
            status = await asyncio.wrap_future(journal.ask(lambda connection: report(connection, journal.path, most)))
            writer.write(to_json(status))
            await writer.drain()
        except (JournalError, OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            pass  # whoever asked is told by the missing answer
        finally:
            talks.discard(writer)
            writer.close()

    server = None
    if path:
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)  # the lock is ours: it is what a killed run left
            server = await asyncio.start_unix_server(answer, path)
            os.chmod(path, 0o600)
        except OSError:
            server = None
    try:
        yield
    finally:
        over = True
        if server is not None:
            server.close()
            for writer in tuple(talks):
                writer.close()  # whoever connects and asks nothing must not hold up the run's end
            await server.wait_closed()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
