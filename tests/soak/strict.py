"""A strict server within this process, on a thread of its own: what it stores can be looked at, and set back.

Owns the thread, and the comparison of what the server has with a tree and with a journal.
"""

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from asyncmirror.checksum import compute
from asyncmirror.model import Algorithm
from asyncmirror.testing import LoggedRequest, S3Server, ServerConfig, StoredObject
from tests.acceptance.command import Site
from tests.acceptance.servers import PATIENCE, Request
from tests.soak.record import Record

if TYPE_CHECKING:
    from concurrent.futures import Future

T = TypeVar("T")
BUCKET = "box"


class Strict:
    """Made by `strict`."""

    def __init__(self, server: S3Server, loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._loop = loop
        self._past: list[Request] = []
        self._away = False
        self._restart: Future[None] | None = None
        self.site = Site(server.url, BUCKET)

    def do(self, function: Callable[[S3Server], T]) -> T:
        """Have the server's thread do something."""

        async def call() -> T:
            return function(self._server)

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(PATIENCE)

    def settled(self) -> list[Request]:
        """All requests, once those of clients that are gone are over."""

        async def idle() -> list[Request]:
            async with asyncio.timeout(PATIENCE):
                while self._server.connections:  # noqa: ASYNC110  the server tells nobody when the last is gone
                    await asyncio.sleep(0.002)
            return self._past + [_request(line) for line in self._server.requests]

        return asyncio.run_coroutine_threadsafe(idle(), self._loop).result(PATIENCE + 1)

    def told(self) -> list[Request]:
        """All requests that have ended so far."""
        return self.do(lambda server: self._past + ([] if self._away else [_request(line) for line in server.requests]))

    def leave(self) -> None:
        """End all connections and stop listening, with its state, until `come_back`."""

        async def leave() -> None:
            self._server.reconfigure(port=self._server.port)
            await self._server.__aexit__(None, None, None)
            self._past += [_request(line) for line in self._server.requests]
            self._away = True

        asyncio.run_coroutine_threadsafe(leave(), self._loop).result(PATIENCE)

    def come_back(self) -> None:
        """Listen again."""

        async def come_back() -> None:
            await self._server.__aenter__()
            self._away = False

        asyncio.run_coroutine_threadsafe(come_back(), self._loop).result(PATIENCE)

    def restart(self, after: int) -> None:
        """Once it has answered so many more requests, end all its connections and stop listening; then go on, with its state.

        It waits in the server's thread for as long as nobody asks that much.
        """

        async def restart() -> None:
            await self._server.reached(len(self._server.requests) + after)
            self._server.reconfigure(port=self._server.port)
            await self._server.__aexit__(None, None, None)
            self._past += [_request(line) for line in self._server.requests]  # what was done until the end
            await self._server.__aenter__()

        self.forget_restart()
        self._restart = asyncio.run_coroutine_threadsafe(restart(), self._loop)

    def forget_restart(self) -> None:
        """No restart any more, if it has not come to that."""
        if self._restart is not None:
            self._restart.cancel()
            self._restart = None

    def objects(self) -> dict[str, StoredObject]:
        """What the bucket holds."""
        return self.do(lambda server: dict(server.objects(BUCKET)))

    def struck(self, since: int) -> Counter[str]:
        """The faults that struck, by kind, since so many requests."""
        lines = self.do(lambda server: server.requests)
        return Counter(line.fault for line in lines[max(0, since - len(self._past)) :] if line.fault)

    def uploads(self) -> dict[str, dict[int, str]]:
        """The unfinished uploads: the ETags of their parts."""
        return self.do(
            lambda server: {
                upload_id: {number: part.etag for number, part in upload.parts.items()}
                for upload_id, upload in server.uploads(BUCKET).items()
            }
        )

    def set_back(self, objects: Mapping[str, StoredObject]) -> None:
        """Let the bucket hold these objects and no upload."""

        def replace(server: S3Server) -> None:
            for key in list(server.objects(BUCKET)):
                server.remove(BUCKET, key)
            for key, stored in objects.items():
                server.put(BUCKET, key, stored)
            server.abort_uploads()

        self.do(replace)

    def wrong(self, files: Mapping[str, Path], but: Collection[str] = (), former: Collection[str] = ()) -> list[str]:
        """The keys that differ from their file, that are missing, or that are nobody's.

        Args:
            files: The tree.
            but: Keys of files that need not be there as they are.
            former: Keys that files may have had before.
        """
        objects = self.objects()
        different = [
            key for key in files if key not in but and (key not in objects or objects[key].body != files[key].read_bytes())
        ]
        return sorted([*different, *(objects.keys() - files.keys() - set(former))])

    def ahead(self, record: Record, gone: Collection[str] = ()) -> list[str]:
        """What a journal calls confirmed and the bucket does not have; `gone` are uploads that somebody aborted."""
        objects, uploads = self.objects(), self.uploads()
        found = [
            key
            for key, digest in record.objects.items()
            if key not in objects or compute(Algorithm.CRC64NVME, objects[key].body).digest != digest
        ]
        for (key, number), etag in record.receipts.items():
            upload_id = record.uploads[key][1]
            there = uploads.get(upload_id)
            if there is None:  # completed, which the journal does not know yet
                found += [f"{key} part {number}"] if key not in objects and upload_id not in gone else []
            elif there.get(number) != etag:
                found.append(f"{key} part {number}")
        return found


class _Started(NamedTuple):
    server: S3Server
    loop: asyncio.AbstractEventLoop
    over: asyncio.Event


@contextlib.contextmanager
def strict() -> Iterator[Strict]:
    """A server until the block ends; what went wrong within it is raised then."""
    started: list[_Started] = []
    ready = threading.Event()
    crashes: list[BaseException] = []

    async def serve() -> None:
        async with S3Server(ServerConfig(buckets=(BUCKET,))) as server:
            started.append(_Started(server, asyncio.get_running_loop(), asyncio.Event()))
            ready.set()
            await started[0].over.wait()

    def work() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:  # noqa: BLE001  raised below, in the thread that waits
            crashes.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=work, name="strict server")
    thread.start()
    ready.wait()
    try:
        if started:
            yield Strict(started[0].server, started[0].loop)
    finally:
        if started:
            started[0].loop.call_soon_threadsafe(started[0].over.set)
        thread.join()
    if crashes:
        raise crashes[0]


def _request(line: LoggedRequest) -> Request:
    """A line of its log. What took no effect has no status 200, whatever was answered."""
    status = 200 if line.done else line.status if line.status != 200 else 0
    return Request(line.op, line.key, line.part_number, line.body_bytes, status)
