"""Connections to one endpoint: made when needed, used again last-in first-out, closed when idle too long.

Owns which connection a request goes over and the one case in which it goes over a second one: a connection that had served
before and was closed before a byte of the answer came. Such a request is sent again once, whole, on a new connection; PutObject
and UploadPart are idempotent. Knows HTTP's exchange, not S3. There are never more connections than requests at once.
"""

import asyncio
import os
import socket
import ssl
from contextlib import suppress

from asyncmirror.errors import ConnectionFaultError, StoreError, UnreachableError
from asyncmirror.model import Body
from asyncmirror.store.meter import Meter
from asyncmirror.store.wire.addresses import Address, Addresses, Resolver, choose, resolve
from asyncmirror.store.wire.answer import Answer
from asyncmirror.store.wire.burst import Burst
from asyncmirror.store.wire.http import Connection, StaleConnectionError
from asyncmirror.store.wire.tls import TlsLayer

IDLE_TIMEOUT = 4.0
"""Seconds. Below what servers keep by default: Apache 5 s, Ceph RGW (beast) 65 s, nginx 75 s."""
_HINT = "check --endpoint-url and the network"


class _Pooled(Connection):
    """A connection that knows its address."""

    __slots__ = ("address",)

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        tls: TlsLayer | None,
        server_name: str,
        burst: Burst,
        bandwidth: Meter,
        address: Address,
    ) -> None:
        super().__init__(loop, tls, server_name, burst, bandwidth)
        self.address = address
        address.load += 1

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self.address.load -= 1
        super().connection_lost(exc)


class Pool:
    """All connections to one host and port.

    Args:
        host: A name or a numeric address; with TLS also what the certificate must hold.
        port: The port.
        context: Verifies the server; None for plain HTTP.
        connect_timeout: Seconds for one address to connect, TLS handshake included.
        idle_timeout: Seconds after which an unused connection is closed.
        resolver: Looks the name up.
        bandwidth: How fast bodies may leave, over all connections; None: as fast as can be.
    """

    def __init__(
        self,
        host: str,
        port: int,
        context: ssl.SSLContext | None = None,
        *,
        connect_timeout: float = 10.0,
        idle_timeout: float = IDLE_TIMEOUT,
        resolver: Resolver = resolve,
        bandwidth: Meter | None = None,
    ) -> None:
        self._host = host
        self._context = context
        self._connect_timeout = connect_timeout
        self._idle_timeout = idle_timeout
        self._addresses = Addresses(host, port, resolver=resolver)
        self._loop = asyncio.get_running_loop()
        self._burst = Burst(self._loop)
        self._bandwidth = bandwidth or Meter()
        self._idle: list[_Pooled] = []
        self._all: set[_Pooled] = set()
        self._session: ssl.SSLSession | None = None
        self._reaper: asyncio.TimerHandle | None = None
        self._retired = False

    async def request(self, head: bytes, body: Body, timeout: float, *, streams: bool = False) -> Answer:
        """Send one request and wait for its answer; arguments as in `Connection.send`.

        Raises:
            UnreachableError: No address could be connected to.
            UntrustedError: The certificate is not trusted.
            ConnectionFaultError: The connection broke or a deadline passed.
        """
        connection = self._take()
        if connection is not None:
            try:
                return await self._exchange(connection, head, body, timeout, streams=streams)
            except StaleConnectionError:
                pass  # the server had closed it before it saw the request
        return await self._exchange(await self._open(), head, body, timeout, streams=streams)

    async def _exchange(self, connection: _Pooled, head: bytes, body: Body, timeout: float, *, streams: bool) -> Answer:
        size = len(body)
        self._bandwidth.carried += size
        try:
            answer = await connection.send(head, body, timeout, streams=streams)
        except StaleConnectionError:
            raise
        except ConnectionFaultError:
            self._broke(connection)
            raise
        except BaseException:
            connection.abort()  # given up: its answer must reach nobody
            raise
        finally:
            self._bandwidth.carried -= size
        if answer.rest is None or answer.rest.ended:
            self._served(connection)
        else:
            answer.rest.then = lambda fault: self._served(connection) if fault is None else self._broke(connection)
        return answer

    def _served(self, connection: _Pooled) -> None:
        if connection.served == 1:
            connection.address.succeeded()
            if connection.tls is not None:
                self._session = connection.tls.session or self._session
        if not connection.closed:
            self._give_back(connection)

    def _broke(self, connection: _Pooled) -> None:
        connection.address.failed(self._loop.time())
        self._addresses.doubt()

    def _take(self) -> _Pooled | None:
        idle = self._idle
        while idle:
            connection = idle.pop()
            if not connection.closed:
                return connection
        return None

    def _give_back(self, connection: _Pooled) -> None:
        if self._retired:
            connection.close()
            return
        connection.idle_since = self._loop.time()
        self._idle.append(connection)
        if self._reaper is None:
            self._reaper = self._loop.call_later(self._idle_timeout, self._reap)

    def _reap(self) -> None:
        # The list is ordered: who came back last stands last.
        too_old = self._loop.time() - self._idle_timeout
        kept = [connection for connection in self._idle if connection.idle_since > too_old and not connection.closed]
        for connection in self._idle:
            if connection.idle_since <= too_old:
                connection.close()
        self._idle = kept
        self._reaper = None
        if kept:
            self._reaper = self._loop.call_at(kept[0].idle_since + self._idle_timeout, self._reap)

    # Making connections

    async def _open(self) -> _Pooled:
        addresses = await self._addresses.current()
        while True:
            address = choose(addresses, self._loop.time())
            try:
                return await self._connect(address)
            except UnreachableError:
                address.failed(self._loop.time())
                self._addresses.doubt()
                addresses.remove(address)
                if not addresses:
                    raise

    async def _connect(self, address: Address) -> _Pooled:
        tls = None if self._context is None else TlsLayer(self._context, self._host, self._session)
        connection = _Pooled(self._loop, tls, self._host, self._burst, self._bandwidth, address)
        where = f"{address.name[0]} port {address.name[1]}"
        try:
            async with asyncio.timeout(self._connect_timeout):
                await self._handshake(connection, address)
        except TimeoutError as error:
            raise UnreachableError(f"no connection to {where} within {self._connect_timeout:g} s", hint=_HINT) from error
        except OSError as error:
            # By number: uvloop puts a text of its own in the place of the system's.
            said = os.strerror(error.errno).lower() if error.errno else str(error)
            raise UnreachableError(f"no connection to {where}: {said}", hint=_HINT) from error
        return connection

    async def _handshake(self, connection: _Pooled, address: Address) -> None:
        self._all.add(connection)
        connection.lost.add_done_callback(lambda _: self._all.discard(connection))
        made = False
        peer = socket.socket(address.family, socket.SOCK_STREAM)
        try:
            peer.setblocking(False)  # noqa: FBT003  the name of the method says what is False
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.sock_connect(peer, address.name)
            await self._loop.create_connection(lambda: connection, sock=peer)
            made = True
            await connection.ready
        except BaseException:
            connection.ready.cancel()
            if made:
                connection.abort()
            else:
                peer.close()
                connection.connection_lost(None)
            raise

    # The end

    def retire(self) -> None:
        """Take no connection back any more; those in use end with their request."""
        self._retired = True
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    async def close(self) -> None:
        """Close all connections at once and wait until they are gone. Requests still waiting fail."""
        self.retire()
        if self._reaper is not None:
            self._reaper.cancel()
        for connection in list(self._all):
            connection.abort()
        waiting = [connection.lost for connection in self._all]
        if waiting:
            with suppress(StoreError):
                await asyncio.wait(waiting)
