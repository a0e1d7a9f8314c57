"""The server: listens, makes connections, shows what it stored and what it was asked.

Owns the listening socket and the life of everything below it. This is what tests and benchmarks talk to.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType, TracebackType
from typing import Self

from asyncmirror.testing.clock import Clock
from asyncmirror.testing.config import ServerConfig
from asyncmirror.testing.faults import FaultPlan
from asyncmirror.testing.hub import Connection, Hub
from asyncmirror.testing.log import LoggedRequest, RequestLog
from asyncmirror.testing.null import NullHub, NullProtocol, RememberingProtocol
from asyncmirror.testing.protocol import S3Protocol
from asyncmirror.testing.service import Service
from asyncmirror.testing.signature import Credentials
from asyncmirror.testing.state import StoredObject, StoredUpload


class S3Server:
    """An S3 server on a real socket, in the running event loop.

    ``async with S3Server(ServerConfig(buckets=("data",))) as server: … server.url …``

    Leaving the block ends all connections, and raises what went wrong within the server itself, if anything did.
    """

    def __init__(self, config: ServerConfig | None = None, *, sock: socket.socket | None = None) -> None:
        self.clock = Clock()
        self._service = Service(config or ServerConfig(), self.clock)
        self._sock = sock
        self._server: asyncio.Server | None = None
        self._hub: Hub | None = None
        self._null: NullHub | None = None
        self._log = RequestLog()
        self._ticker: asyncio.TimerHandle | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        config = self.config
        loop = asyncio.get_running_loop()
        factory = self._strict_factory(loop) if config.profile.checks else self._null_factory(loop)
        if self._sock is not None:
            self._server = await loop.create_server(factory, sock=self._sock, ssl=config.tls, backlog=1024)
        else:
            self._server = await loop.create_server(factory, config.host, config.port, ssl=config.tls, backlog=1024)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
        assert self._server is not None
        self._server.close()
        connections: Iterable[Connection] = [
            *(self._hub.open if self._hub is not None else ()),
            *(self._null.open if self._null is not None else ()),
        ]
        for connection in connections:
            connection.abort()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                await self._server.wait_closed()
        self._log.close()
        if self._hub is not None and self._hub.crashes and error is None:
            raise ExceptionGroup("the test server itself failed", self._hub.crashes)

    @property
    def config(self) -> ServerConfig:
        """How it is set up."""
        return self._service.config

    def reconfigure(self, **changes: object) -> None:
        """Change some of the configuration while it runs, for instance `may_list`, `credentials` or `latency`."""
        self._service.config = replace(self._service.config, **changes)  # type: ignore[arg-type]  # the dataclass knows its fields

    @property
    def url(self) -> str:
        """The endpoint, for path addressing."""
        return f"{'https' if self.config.tls is not None else 'http'}://{self.config.host}:{self.port}"

    @property
    def requests(self) -> tuple[LoggedRequest, ...]:
        """Every request that ended, in that order. Always empty for the null profile."""
        return tuple(self._log.lines)

    async def reached(self, count: int) -> None:
        """Wait until so many requests have ended; `requests` has at least as many lines then."""
        await self._log.reached(count)

    @property
    def count(self) -> int:
        """How many requests were begun."""
        return self._null.count if self._null is not None else self._hub.numbered if self._hub is not None else 0

    @property
    def received(self) -> int:
        """How many bytes the null profile has received, heads included."""
        return self._null.received if self._null is not None else 0

    @property
    def connections(self) -> int:
        """How many connections are open now."""
        return len(self._null.open) if self._null is not None else len(self._hub.open) if self._hub is not None else 0

    def objects(self, bucket: str) -> Mapping[str, StoredObject]:
        """What a bucket holds now, by key. Live."""
        return MappingProxyType(self._service.buckets[bucket].objects)

    def uploads(self, bucket: str) -> Mapping[str, StoredUpload]:
        """A bucket's uploads in progress, by upload id. Live."""
        return MappingProxyType(self._service.buckets[bucket].uploads)

    def put(self, bucket: str, key: str, stored: StoredObject) -> None:
        """Place an object past all checks: what somebody else put there."""
        self._service.buckets[bucket].objects[key] = stored

    def remove(self, bucket: str, key: str) -> None:
        """Take an object away: what somebody else deleted."""
        del self._service.buckets[bucket].objects[key]

    def abort_uploads(self) -> int:
        """Abort all uploads in progress, as a lifecycle rule does; gives their number."""
        gone = 0
        for bucket in self._service.buckets.values():
            gone += len(bucket.uploads)
            bucket.uploads.clear()
        return gone

    def inject(self, plan: FaultPlan) -> None:
        """Begin a fault plan in place of the one before; its counts and its time start now."""
        assert self._hub is not None, "the null profile has no faults"
        self._hub.inject(plan)

    def renew(self, *credentials: Credentials) -> None:
        """Accept these credentials from now on, and no others."""
        self.reconfigure(credentials=credentials)

    def drop_connections(self) -> None:
        """End all connections at once, those at rest too."""
        for connection in list(self._hub.open) if self._hub is not None else ():
            connection.abort()

    def _strict_factory(self, loop: asyncio.AbstractEventLoop) -> Callable[[], asyncio.BaseProtocol]:
        self._log = RequestLog(self.config.log_path)
        hub = self._hub = Hub(self._service, self._log, loop)
        hub.inject(self.config.faults)
        return lambda: S3Protocol(hub)

    def _null_factory(self, loop: asyncio.AbstractEventLoop) -> Callable[[], asyncio.BaseProtocol]:
        hub = self._null = NullHub(loop, self.clock.now, self.config.latency)
        self._tick()
        protocol = RememberingProtocol if self.config.remember else NullProtocol
        return lambda: protocol(hub)

    def _tick(self) -> None:
        assert self._null is not None
        self._null.tick()
        self._ticker = self._null.loop.call_later(1.0, self._tick)
